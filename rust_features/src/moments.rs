//! Standard score, central moments and autocorrelation of a window, exact after any past because they are computed afresh.

use crate::subnormal::{is_near, lift, needs_lift, product};
use crate::window::{highest, lowest, mean, sum_of, sum_of_pairs};

/// Central moments two to four, each divided by the number of values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    pub(crate) second: f64,
    pub(crate) third: f64,
    pub(crate) fourth: f64,
}

/// Lanes of a sum of several terms; few enough that the lanes of four terms stay in registers.
pub(crate) const LANES: usize = 4;

/// Sums of several terms of each value.
#[inline(always)]
fn sums_of<const N: usize>(values: &[f64], terms: impl Fn(f64) -> [f64; N]) -> [f64; N] {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [[0.0; LANES]; N];
    for chunk in chunks {
        for lane in 0..LANES {
            let now = terms(chunk[lane]);
            for n in 0..N {
                lanes[n][lane] += now[n];
            }
        }
    }
    let mut totals = [0.0; N];
    for (total, lane) in totals.iter_mut().zip(&lanes) {
        *total = (lane[0] + lane[2]) + (lane[1] + lane[3]);
    }
    for value in rest {
        let now = terms(*value);
        for n in 0..N {
            totals[n] += now[n];
        }
    }
    totals
}

/// Whether every value is the same: of usual ones two tell.
#[inline(always)]
pub(crate) fn are_all_equal(values: &[f64]) -> bool {
    values.first() == values.last()
        && values
            .iter()
            .fold(true, |all, value| all & (Some(value) == values.first()))
}

/// `(last value - mean) / population standard deviation` of the window; 0 when every value is equal.
///
/// Differences from the last value keep the digits that a rounded mean of large values would lose. No value of the
/// window is far from its mean: the square of that distance is below `length` variances.
#[inline(always)]
pub(crate) fn standard_score(values: &[f64]) -> f64 {
    let Some(last) = values.last().copied() else {
        return 0.0;
    };
    if needs_lift(last) && values.iter().all(|value| is_near(*value)) {
        // No square is anything but zero.
        return standard_score_of_extreme(values);
    }
    let (score, variance) = score_and_variance(sums_of_distances(values, |value| value - last));
    if is_safe(variance) {
        score
    } else {
        standard_score_of_extreme(values)
    }
}

/// Distances from the last value, added up, and their squares; each divided by the number of values.
#[inline(always)]
fn sums_of_distances(values: &[f64], distance: impl Fn(f64) -> f64) -> [f64; 2] {
    let count = values.len() as f64;
    let sums = sums_of(values, |value| {
        let d = distance(value);
        [d, d * d]
    });
    sums.map(|sum| sum / count)
}

/// The score of the value from which distances have this mean and mean square, and the variance.
#[inline(always)]
pub(crate) fn score_and_variance([mean, square]: [f64; 2]) -> (f64, f64) {
    let variance = square - mean * mean;
    (-mean / variance.sqrt(), variance)
}

/// The same for values so small or large that their squares leave the range of numbers.
#[cold]
#[inline(never)]
fn standard_score_of_extreme(values: &[f64]) -> f64 {
    if values.iter().all(|value| is_near(*value)) {
        let last = lift(values.last().copied().unwrap_or_default());
        let (score, variance) =
            score_and_variance(sums_of_distances(values, |value| lift(value) - last));
        return if variance > 0.0 { score } else { 0.0 };
    }
    scaled(values).map_or(0.0, |values| {
        let last = values.last().copied().unwrap_or_default();
        let moments = central_moments(&values);
        (last - mean(&values)) / moments.second.sqrt()
    })
}

/// Moments of the window about its mean.
///
/// The sums are taken about the rounded mean and then moved to the exact one, which differs by `shift`.
#[inline(always)]
pub(crate) fn central_moments(values: &[f64]) -> Moments {
    let count = values.len() as f64;
    let mean = mean(values);
    let [first, second, third, fourth] = sums_of(values, |value| {
        let d = value - mean;
        let square = d * d;
        [d, square, square * d, square * square]
    });
    moved([first, second, third, fourth].map(|sum| sum / count))
}

/// Central moments from the mean of the distances from a rounded mean, and of their powers.
#[inline(always)]
pub(crate) fn moved([shift, second, third, fourth]: [f64; 4]) -> Moments {
    let shift_square = shift * shift;
    let central = second - shift_square;
    Moments {
        second: if central > 0.0 { central } else { 0.0 },
        third: third - shift * (3.0 * second - 2.0 * shift_square),
        fourth: fourth - shift * (4.0 * third - shift * (6.0 * second - 3.0 * shift_square)),
    }
}

/// Skewness and excess kurtosis of the window; `None` when every value is equal.
#[inline(always)]
pub(crate) fn shape(values: &[f64]) -> Option<[f64; 2]> {
    let moments = central_moments(values);
    if is_safe(moments.second) {
        Some(shape_of(&moments))
    } else {
        shape_of_extreme(values)
    }
}

/// Variances whose square neither vanishes nor overflows.
const SAFE_VARIANCE: (f64, f64) = (1e-120, 1e120);

#[inline(always)]
pub(crate) fn is_safe(variance: f64) -> bool {
    variance > SAFE_VARIANCE.0 && variance < SAFE_VARIANCE.1
}

#[inline(always)]
pub(crate) fn shape_of(moments: &Moments) -> [f64; 2] {
    let variance = moments.second;
    [
        moments.third / (variance * variance.sqrt()),
        moments.fourth / (variance * variance) - 3.0,
    ]
}

/// The same for values so small or large that their powers leave the range of numbers.
#[cold]
#[inline(never)]
fn shape_of_extreme(values: &[f64]) -> Option<[f64; 2]> {
    Some(shape_of(&central_moments(&scaled(values)?)))
}

/// The window moved and scaled to -1..1; `None` when every value is equal.
#[cold]
#[inline(never)]
fn scaled(values: &[f64]) -> Option<Vec<f64>> {
    let (low, high) = (lowest(values), highest(values));
    // Halves, because the range of two numbers can be infinite.
    let (half_low, half_high) = (product(low, 0.5), product(high, 0.5));
    let (half_range, centre) = (half_high - half_low, half_low + half_high);
    let distances = values.iter().map(|value| value - centre);
    (half_range > 0.0).then(|| {
        if is_near(low) && is_near(high) {
            let half_range = lift(half_range);
            distances
                .map(|distance| lift(distance) / half_range)
                .collect()
        } else {
            distances.map(|distance| distance / half_range).collect()
        }
    })
}

/// Sum of products of deviations `lag` values apart over the sum of squared deviations; 0 when every value is equal.
///
/// `lag` must be below the number of values.
#[inline(always)]
pub(crate) fn autocorrelation(values: &[f64], lag: usize) -> f64 {
    let [products, squares] = lagged_products(values, lag);
    if is_safe(squares) {
        products / squares
    } else {
        autocorrelation_of_extreme(values, lag)
    }
}

/// The same for values so small or large that their squares leave the range of numbers.
#[cold]
#[inline(never)]
fn autocorrelation_of_extreme(values: &[f64], lag: usize) -> f64 {
    scaled(values).map_or(0.0, |values| {
        let [products, squares] = lagged_products(&values, lag);
        products / squares
    })
}

#[inline(always)]
fn lagged_products(values: &[f64], lag: usize) -> [f64; 2] {
    let rounded = mean(values);
    // What rounding took from the mean.
    let rest = sum_of(values, |value| value - rounded) / values.len() as f64;
    let centred = |value: f64| (value - rounded) - rest;
    let later = values.get(lag..).unwrap_or_default();
    [
        sum_of_pairs(later, values, |a, b| centred(a) * centred(b)),
        sum_of(values, |value| centred(value) * centred(value)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_small_whole_numbers_are_exact() {
        let moments = central_moments(&[0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 4.0]);
        assert_eq!(
            (moments.second, moments.third, moments.fourth),
            (3.0, 6.0, 21.0)
        );
    }

    #[test]
    fn equal_values_have_no_shape() {
        for value in [0.1, 1e9 / 3.0, 5e-324, 1e308] {
            for length in [4, 5, 20, 33] {
                let window = vec![value; length];
                assert_eq!(standard_score(&window), 0.0);
                assert_eq!(autocorrelation(&window, 1), 0.0);
                assert_eq!(shape(&window), None, "{length} of {value}");
            }
        }
    }

    #[test]
    fn score_and_shape_do_not_depend_on_the_unit() {
        let values = [1.0, 2.0, 4.0, 2.0, 9.0, 1.0, 3.0];
        let expected = shape(&values).unwrap();
        let score = standard_score(&values);
        let correlation = autocorrelation(&values, 2);
        for unit in [2e-200, 3e-305, 7e200, 1e307] {
            let scaled = values.map(|value| value * unit);
            assert!((standard_score(&scaled) - score).abs() < 1e-12, "{unit}");
            assert!(
                (autocorrelation(&scaled, 2) - correlation).abs() < 1e-12,
                "{unit}"
            );
            for (got, expected) in shape(&scaled).unwrap().into_iter().zip(expected) {
                assert!((got - expected).abs() < 1e-12, "{unit}: {got} {expected}");
            }
        }
    }
}
