//! The statistics of [`crate::moments`] for many series side by side, with the bits of each alone.

use crate::moments::{
    LANES, are_all_equal, autocorrelation, is_safe, moved, score_and_variance, standard_score,
};
use crate::neighbours::{Row, WINDOWS, row_of};
use crate::side_by_side::{means, of_one, sums_of, sums_over};
use crate::subnormal::{all_near, lift, needs_lift};
use crate::window::{merged, paired};

/// Sums of several terms, which also take the number of the series, over as many rows as there are in each window.
#[inline(always)]
fn sums_of_terms<'a, const N: usize>(
    count: usize,
    row: impl Fn(usize) -> &'a [f64; WINDOWS],
    terms: impl Fn(f64, usize) -> [f64; N],
) -> [Row; N] {
    let add = |totals: &mut [Row; N], bar: usize| {
        for (series, value) in row(bar).iter().enumerate() {
            let now = terms(*value, series);
            for (total, now) in totals.iter_mut().zip(now) {
                total.0[series] += now;
            }
        }
    };
    let in_chunks = count - count % LANES;
    let mut lanes = [[Row::ZEROS; N]; LANES];
    for first in (0..in_chunks).step_by(LANES) {
        for (lane, totals) in lanes.iter_mut().enumerate() {
            add(totals, first + lane);
        }
    }
    let mut totals = [Row::ZEROS; N];
    for (term, total) in totals.iter_mut().enumerate() {
        for series in 0..WINDOWS {
            let lane = lanes.each_ref().map(|lane| lane[term].0[series]);
            total.0[series] = (lane[0] + lane[2]) + (lane[1] + lane[3]);
        }
    }
    for bar in in_chunks..count {
        add(&mut totals, bar);
    }
    totals
}

/// Scores of the last of `count` rows among all of them, and the variances, as [`score_and_variance`].
#[inline(always)]
fn scores_and_variances<'a>(count: usize, row: impl Fn(usize) -> &'a [f64; WINDOWS]) -> [Row; 2] {
    let last = row(count - 1);
    let sums = sums_of_terms(count, &row, |value, series| {
        let d = value - last[series];
        [d, d * d]
    });
    let count = count as f64;
    let mut rows = [Row::ZEROS; 2];
    for series in 0..WINDOWS {
        let means = sums.each_ref().map(|sum| sum.0[series] / count);
        (rows[0].0[series], rows[1].0[series]) = score_and_variance(means);
    }
    rows
}

/// As [`standard_score`].
#[inline(always)]
pub(crate) fn standard_scores(values: &[Row]) -> Row {
    if values.is_empty() {
        return Row::ZEROS;
    }
    let [mut scores, variances] = scores_and_variances(values.len(), |bar| &values[bar].0);
    correct(&mut scores, &variances, |series| {
        standard_score(&of_one(values, series))
    });
    scores
}

/// As [`standard_score`] of the windows of `length` values that start at neighbouring ones.
#[inline(always)]
pub(crate) fn standard_scores_of_windows(values: &[f64], length: usize) -> Row {
    if length == 0 || are_all_equal(values) {
        return Row::ZEROS;
    }
    // Mostly the last value tells.
    if values.last().copied().is_some_and(needs_lift) && all_near(values) {
        let lifted: Vec<f64> = values.iter().map(|value| lift(*value)).collect();
        let [mut scores, variances] = scores_and_variances(length, |bar| row_of(&lifted, bar));
        for (score, variance) in scores.0.iter_mut().zip(&variances.0) {
            *score = if *variance > 0.0 { *score } else { 0.0 };
        }
        return scores;
    }
    let [mut scores, variances] = scores_and_variances(length, |bar| row_of(values, bar));
    correct(&mut scores, &variances, |at| {
        standard_score(&values[at..][..length])
    });
    scores
}

/// The second, third and fourth of [`crate::moments::central_moments`].
#[inline(always)]
pub(crate) fn central_moments_of_each(values: &[Row]) -> [Row; 3] {
    let count = values.len() as f64;
    let means = means(values);
    let sums = sums_of_terms(
        values.len(),
        |bar| &values[bar].0,
        |value, series| {
            let d = value - means.0[series];
            let square = d * d;
            [d, square, square * d, square * square]
        },
    );
    let mut rows = [Row::ZEROS; 3];
    for series in 0..WINDOWS {
        let moments = moved(sums.each_ref().map(|sum| sum.0[series] / count));
        rows[0].0[series] = moments.second;
        rows[1].0[series] = moments.third;
        rows[2].0[series] = moments.fourth;
    }
    rows
}

/// The mean and population variance of [`crate::window::mean_and_variance`]: blocks of 16, 8, 4, 2 and 1 values, each
/// merged from its halves.
#[inline(always)]
pub(crate) fn means_and_variances_of_each(values: &[Row]) -> [Row; 2] {
    let mut spreads = Spreads {
        origin: None,
        within: Row::ZEROS,
        deviations: Row::ZEROS,
        squares: Row::ZEROS,
    };
    let (sixteens, mut rest) = values.as_chunks::<16>();
    for block in sixteens {
        spreads.add_block(block);
    }
    for size in [8, 4, 2, 1] {
        if let Some((block, after)) = rest.split_at_checked(size) {
            spreads.add_block(block);
            rest = after;
        }
    }
    spreads.means_and_variances(values.len())
}

/// What the variances of windows are made of, as in [`crate::window`].
struct Spreads {
    /// First value of the first block, and its mean less that.
    origin: Option<(Row, Row)>,
    within: Row,
    deviations: Row,
    squares: Row,
}

impl Spreads {
    /// Adds a block of 1, 2, 4, 8 or 16 values.
    #[inline(always)]
    fn add_block(&mut self, block: &[Row]) {
        let [mut offsets, mut within] = [[Row::ZEROS; 8]; 2];
        let mut stride = block.len() / 2;
        for at in 0..stride {
            let (left, right) = (&block[at].0, &block[at + stride].0);
            for series in 0..WINDOWS {
                (offsets[at].0[series], within[at].0[series]) = paired(left[series], right[series]);
            }
        }
        let mut half = 1.0;
        while stride > 1 {
            stride /= 2;
            for at in 0..stride {
                let (other_offset, other_within) = (offsets[at + stride], within[at + stride]);
                let (first, second) = (&block[at].0, &block[at + stride].0);
                for series in 0..WINDOWS {
                    let left = offsets[at].0[series];
                    let distance =
                        (second[series] - first[series]) + (other_offset.0[series] - left);
                    let both = within[at].0[series] + other_within.0[series];
                    (offsets[at].0[series], within[at].0[series]) =
                        merged(distance, left, both, half);
                }
            }
            half *= 2.0;
        }
        self.add(&block[0], &offsets[0], &within[0], block.len() as f64);
    }

    #[inline(always)]
    fn add(&mut self, first: &Row, offset: &Row, within: &Row, count: f64) {
        for (total, within) in self.within.0.iter_mut().zip(&within.0) {
            *total += within;
        }
        let Some((origin, origin_offset)) = &self.origin else {
            self.origin = Some((*first, *offset));
            return;
        };
        for series in 0..WINDOWS {
            let deviation =
                (first.0[series] - origin.0[series]) + (offset.0[series] - origin_offset.0[series]);
            let weighted = count * deviation;
            self.deviations.0[series] += weighted;
            self.squares.0[series] = weighted.mul_add(deviation, self.squares.0[series]);
        }
    }

    #[inline(always)]
    fn means_and_variances(&self, length: usize) -> [Row; 2] {
        let share = 1.0 / length as f64;
        let mut rows = [Row([f64::NAN; WINDOWS]), Row::ZEROS];
        let Some((first, offset)) = &self.origin else {
            return rows;
        };
        for series in 0..WINDOWS {
            let deviations = self.deviations.0[series];
            rows[0].0[series] = first.0[series] + (deviations * share + offset.0[series]);
            let between = self.squares.0[series] - deviations * deviations * share;
            let variance = (self.within.0[series] + between) * share;
            rows[1].0[series] = if variance > 0.0 { variance } else { 0.0 };
        }
        rows
    }
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
    let products = sums_over([later, values], |[a, b], series| {
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
    use crate::window::mean_and_variance;

    #[test]
    fn many_windows_have_the_bits_of_each_alone() {
        let usual: Vec<f64> = (0..200)
            .map(|at| 1.0 + f64::from(at * 7 % 31).sqrt())
            .collect();
        let scaled = |scale: f64| usual.iter().map(|value| value * scale).collect();
        let mut mixed: Vec<f64> = scaled(1e-310);
        (mixed[50], mixed[120]) = (1.0, 0.0);
        let flat = vec![3.0; usual.len()];
        for values in [
            scaled(1e-310),
            scaled(1e-295),
            scaled(1e200),
            mixed,
            flat,
            usual.clone(),
        ] {
            for length in [1, 2, 3, 4, 5, 20, 63, 64, 130] {
                for first in 0..=usual.len() - (length + WINDOWS - 1) {
                    let values = &values[first..][..length + WINDOWS - 1];
                    let scores = standard_scores_of_windows(values, length);
                    for (at, score) in scores.0.iter().enumerate() {
                        let alone = standard_score(&values[at..][..length]);
                        assert_eq!(score.to_bits(), alone.to_bits(), "{length} from {at}");
                    }
                }
            }
        }
    }

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
            let spreads = means_and_variances_of_each(rows);
            for series in 0..WINDOWS {
                let together = spreads.each_ref().map(|row| row.0[series].to_bits());
                let (mean, variance) = mean_and_variance(&of_one(rows, series));
                let alone = [mean, variance].map(f64::to_bits);
                assert_eq!(together, alone, "{length} of {series}");
            }
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
