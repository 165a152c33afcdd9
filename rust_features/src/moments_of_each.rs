//! The statistics of [`crate::moments`] for many series side by side, with the bits of each alone.

use crate::moments::{LANES, autocorrelation, is_safe, moved, standard_score};
use crate::neighbours::{Row, WINDOWS};
use crate::side_by_side::{means, of_one, sums_of, sums_of_pairs};

/// Sums of several terms, which also take the number of the series, over each window.
#[inline(always)]
fn sums_of_terms<const N: usize>(
    values: &[Row],
    terms: impl Fn(f64, usize) -> [f64; N],
) -> [Row; N] {
    let add = |totals: &mut [Row; N], row: &Row| {
        for series in 0..WINDOWS {
            let now = terms(row.0[series], series);
            for (total, now) in totals.iter_mut().zip(now) {
                total.0[series] += now;
            }
        }
    };
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [[Row::ZEROS; N]; LANES];
    for chunk in chunks {
        for (lane, row) in lanes.iter_mut().zip(chunk) {
            add(lane, row);
        }
    }
    let mut totals = [Row::ZEROS; N];
    for (term, total) in totals.iter_mut().enumerate() {
        for series in 0..WINDOWS {
            let lane = lanes.each_ref().map(|lane| lane[term].0[series]);
            total.0[series] = (lane[0] + lane[2]) + (lane[1] + lane[3]);
        }
    }
    for row in rest {
        add(&mut totals, row);
    }
    totals
}

/// As [`standard_score`].
#[inline(always)]
pub(crate) fn standard_scores(values: &[Row]) -> Row {
    let Some(last) = values.last() else {
        return Row::ZEROS;
    };
    let count = values.len() as f64;
    let [sums, squares] = sums_of_terms(values, |value, series| {
        let d = value - last.0[series];
        [d, d * d]
    });
    let (mut scores, mut variances) = (Row::ZEROS, Row::ZEROS);
    for series in 0..WINDOWS {
        let (mean, square) = (sums.0[series] / count, squares.0[series] / count);
        let variance = square - mean * mean;
        variances.0[series] = variance;
        scores.0[series] = -mean / variance.sqrt();
    }
    correct(&mut scores, &variances, |series| {
        standard_score(&of_one(values, series))
    });
    scores
}

/// The second, third and fourth of [`crate::moments::central_moments`].
#[inline(always)]
pub(crate) fn central_moments_of_each(values: &[Row]) -> [Row; 3] {
    let count = values.len() as f64;
    let means = means(values);
    let sums = sums_of_terms(values, |value, series| {
        let d = value - means.0[series];
        let square = d * d;
        [d, square, square * d, square * square]
    });
    let mut rows = [Row::ZEROS; 3];
    for series in 0..WINDOWS {
        let moments = moved(sums.each_ref().map(|sum| sum.0[series] / count));
        rows[0].0[series] = moments.second;
        rows[1].0[series] = moments.third;
        rows[2].0[series] = moments.fourth;
    }
    rows
}

/// As [`autocorrelation`].
#[inline(always)]
pub(crate) fn autocorrelations(values: &[Row], lag: usize) -> Row {
    let rounded = means(values);
    let mut rests = sums_of(values, |value, series| value - rounded.0[series]);
    for rest in &mut rests.0 {
        *rest /= values.len() as f64;
    }
    let centred = |value: f64, series: usize| (value - rounded.0[series]) - rests.0[series];
    let later = values.get(lag..).unwrap_or_default();
    let products = sums_of_pairs(later, values, |[a, b], series| {
        centred(a, series) * centred(b, series)
    });
    let squares = sums_of(values, |value, series| {
        centred(value, series) * centred(value, series)
    });
    let mut row = Row::ZEROS;
    for series in 0..WINDOWS {
        row.0[series] = products.0[series] / squares.0[series];
    }
    correct(&mut row, &squares, |series| {
        autocorrelation(&of_one(values, series), lag)
    });
    row
}

/// Replaces what stems from squares that left the range of numbers.
#[inline(always)]
fn correct(row: &mut Row, squares: &Row, alone: impl Fn(usize) -> f64) {
    let safe = squares
        .0
        .iter()
        .fold(true, |safe, square| safe & is_safe(*square));
    if safe {
        return;
    }
    for (series, square) in squares.0.iter().enumerate() {
        if !is_safe(*square) {
            row.0[series] = alone(series);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moments::central_moments;

    #[test]
    fn many_series_have_the_bits_of_each_alone() {
        // Among the series: flat ones, tiny ones, huge ones.
        let scales = [1.0, 0.0, 1e-200, 1e-310, 1e200, 3.0, 1e9];
        let rows: Vec<Row> = (0..64)
            .map(|bar| {
                Row(std::array::from_fn(|series| {
                    let value = 1.0 + ((bar * 7 + series * 13) % 31) as f64 * 0.37;
                    scales[series % scales.len()] * value
                }))
            })
            .collect();
        for length in 2..=64 {
            let rows = &rows[64 - length..];
            let scores = standard_scores(rows);
            let moments = central_moments_of_each(rows);
            for lag in [1, length / 2] {
                let row = autocorrelations(rows, lag);
                for series in 0..WINDOWS {
                    let values = of_one(rows, series);
                    let alone = autocorrelation(&values, lag);
                    let bits = row.0[series].to_bits();
                    assert_eq!(bits, alone.to_bits(), "{length} of {series} by {lag}");
                }
            }
            for series in 0..WINDOWS {
                let values = of_one(rows, series);
                let bits = scores.0[series].to_bits();
                let alone = standard_score(&values);
                assert_eq!(bits, alone.to_bits(), "{length} of {series}");
                let together = moments.each_ref().map(|row| row.0[series].to_bits());
                let alone = central_moments(&values);
                let alone = [alone.second, alone.third, alone.fourth].map(f64::to_bits);
                assert_eq!(together, alone, "{length} of {series}");
            }
        }
    }
}
