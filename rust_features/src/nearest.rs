//! "Did you mean": the known name nearest to a misspelt one.

/// The known name at the smallest edit distance, unless even that is far off.
pub(crate) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A spec is untrusted: the distance costs the product of both lengths.
    if given.len() > 64 {
        return None;
    }
    known
        .map(|name| (strsim::damerau_levenshtein(given, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len().max(given.len()) / 3)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_a_typing_error_and_stays_silent_otherwise() {
        let known = ["rsi", "timeperiod", "bbands"];
        assert_eq!(
            nearest("time_period", known.into_iter()),
            Some("timeperiod")
        );
        assert_eq!(nearest("bbnads", known.into_iter()), Some("bbands"));
        assert_eq!(nearest("completely_else", known.into_iter()), None);
    }
}
