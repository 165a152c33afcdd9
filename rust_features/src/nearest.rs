//! "Did you mean": the known name nearest to a misspelt one.

/// The known name at the smallest edit distance, unless even that is far off.
pub(crate) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A spec is untrusted: the distance costs the product of both lengths.
    if given.len() > 64 {
        return None;
    }
    // Capitals are a habit of TA-Lib's users, not a typing error.
    let given = given.to_ascii_lowercase();
    known
        .map(|name| (strsim::damerau_levenshtein(&given, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len().max(given.len()) / 3)
        .map(|(_, name)| name)
}

/// Kernels that go by other names elsewhere, where the nearest spelling would be another indicator.
const OTHER_NAMES: [(&str, &str); 12] = [
    ("bollinger", "bbands"),
    ("bollinger_bands", "bbands"),
    ("cmf", "chaikin_money_flow"),
    ("correlation", "reference"),
    ("kurtosis", "moments"),
    ("log_returns", "log_return"),
    ("returns", "simple_return"),
    ("skew", "moments"),
    ("tr", "trange"),
    ("variance", "var"),
    ("volatility", "realised_volatility"),
    ("vwap", "session_vwap"),
];

/// The kernel that is meant by a name that is none.
pub(crate) fn nearest_kernel<'a>(
    given: &str,
    known: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let meant = OTHER_NAMES
        .iter()
        .find(|(other, _)| given.eq_ignore_ascii_case(other));
    match meant {
        Some((_, kernel)) => Some(kernel),
        None => nearest(given, known),
    }
}

#[cfg(test)]
mod tests {
    use super::{OTHER_NAMES, nearest, nearest_kernel};

    #[test]
    fn finds_a_typing_error_and_stays_silent_otherwise() {
        let known = ["rsi", "timeperiod", "bbands"];
        assert_eq!(
            nearest("time_period", known.into_iter()),
            Some("timeperiod")
        );
        assert_eq!(nearest("bbnads", known.into_iter()), Some("bbands"));
        assert_eq!(nearest("RSI", known.into_iter()), Some("rsi"));
        assert_eq!(nearest("completely_else", known.into_iter()), None);
    }

    #[test]
    fn knows_kernels_by_other_names() {
        let known = || crate::kernels::all().chain(crate::across::KERNELS);
        let names = || known().map(|entry| entry.description.name);
        for (other, kernel) in OTHER_NAMES {
            assert!(!names().any(|name| name == other), "{other} is a kernel");
            assert!(names().any(|name| name == kernel), "{kernel} is none");
            assert_eq!(nearest_kernel(other, names()), Some(kernel));
        }
        assert_eq!(nearest_kernel("VWAP", names()), Some("session_vwap"));
        assert_eq!(nearest_kernel("STOCHRSI", names()), Some("stochrsi"));
    }
}
