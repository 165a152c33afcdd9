//! Logarithm of a ratio of prices, exact to the last digits for the small moves that markets make.

/// Below this `(a - b) / (a + b)`, a move of about 6 %, the series converges in a few terms.
const SMALL: f64 = 1.0 / 32.0;

/// `ln(a / b)` of two prices above zero.
///
/// Dividing first would round a small move away: of 1e9 against 1e9 + 0.01 it leaves five digits. The difference of
/// two near prices is exact, and `ln(a / b) = 2 atanh((a - b) / (a + b))`.
#[inline(always)]
pub(crate) fn log_ratio(a: f64, b: f64) -> f64 {
    let z = (a - b) / (a + b);
    if z.abs() >= SMALL {
        return of_large_move(a, b);
    }
    let w = z * z;
    let tail =
        w * (1.0 / 3.0 + w * (1.0 / 5.0 + w * (1.0 / 7.0 + w * (1.0 / 9.0 + w * (1.0 / 11.0)))));
    let twice = z + z;
    twice + twice * tail
}

#[inline(never)]
fn of_large_move(a: f64, b: f64) -> f64 {
    let ratio = a / b;
    if ratio > f64::MIN_POSITIVE && ratio < f64::MAX {
        libm::log(ratio)
    } else {
        libm::log(a) - libm::log(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_where_they_meet() {
        for step in 0..2000 {
            let move_size = f64::from(step) * 1e-4;
            for (a, b) in [(1.0 + move_size, 1.0), (1.0, 1.0 + move_size)] {
                let expected = (a - b) / a.min(b);
                let expected = if a > b {
                    libm::log1p(expected)
                } else {
                    -libm::log1p(-expected)
                };
                let error = (log_ratio(a, b) - expected).abs();
                assert!(error <= 1.2e-15 * expected.abs(), "{a} / {b}: {error}");
            }
        }
    }

    #[test]
    fn a_small_move_on_a_large_price_keeps_its_digits() {
        let expected = 0.007_812_5 / 1e9 - 0.5 * (0.007_812_5_f64 / 1e9).powi(2);
        let error = log_ratio(1e9 + 0.007_812_5, 1e9) / expected - 1.0;
        assert!(error.abs() < 1e-15, "{error}");
    }

    #[test]
    fn no_two_prices_give_infinity() {
        for (a, b) in [(1e300, 1e-300), (1e-300, 1e300), (5e-324, 1e308)] {
            let value = log_ratio(a, b);
            assert!(value.is_finite() && (value > 0.0) == (a > b), "{a} {b}");
        }
        assert_eq!(log_ratio(7.0, 7.0), 0.0);
    }
}
