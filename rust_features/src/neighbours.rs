//! Many overlapping windows at once, for batches.
//!
//! Neighbouring bars' windows lie side by side, one vector lane per bar, and share what they have in common. Each has
//! the bits of the functions of [`crate::window`], because it adds in the same order.

use crate::subnormal::{Arithmetic, Lifted, Plain, all_near, needs_lift};
use crate::subnormal_windows;
use crate::window::{LANES, Level, fold_lanes};

/// Bars of a block.
pub(crate) const WINDOWS: usize = 64;

/// Longest window of which a block takes the extremes.
pub(crate) const LONGEST: usize = 64;

/// A number for each bar of a block; aligned to a cache line, so that no vector of it straddles two.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub struct Row(pub(crate) [f64; WINDOWS]);

impl Row {
    pub(crate) const ZEROS: Self = Self([0.0; WINDOWS]);
}

/// A number for each value of a block's windows of at most [`LONGEST`].
pub(crate) type Wide = [f64; WINDOWS + LONGEST];

/// Sums of the windows of `length` values that start at the first, second, … of `values`, which holds
/// `length + WINDOWS - 1`: the bits of [`crate::window::sum`].
#[inline(always)]
pub(crate) fn sums(values: &[f64], length: usize) -> Row {
    let mut sums = Row::ZEROS;
    let in_chunks = length - length % LANES;
    if in_chunks > 0 {
        // What a window's lanes hold is another window's, one lane further.
        let mut lanes = [0.0; WINDOWS + 7];
        for first in (0..in_chunks).step_by(LANES) {
            for (lane, value) in lanes.iter_mut().zip(&values[first..]) {
                *lane += *value;
            }
        }
        let fours = added::<{ WINDOWS + 3 }>(&lanes, 4);
        let twos = added::<{ WINDOWS + 1 }>(&fours, 2);
        sums.0 = added(&twos, 1);
    }
    for first in in_chunks..length {
        for (sum, value) in sums.0.iter_mut().zip(&values[first..]) {
            *sum += *value;
        }
    }
    sums
}

#[inline(always)]
fn added<const N: usize>(values: &[f64], stride: usize) -> [f64; N] {
    let mut sums = [0.0; N];
    let pairs = values[..N].iter().zip(&values[stride..][..N]);
    for (sum, (left, right)) in sums.iter_mut().zip(pairs) {
        *sum = left + right;
    }
    sums
}

/// Means of windows, as [`sums`].
#[inline(always)]
pub(crate) fn means(values: &[f64], length: usize) -> Row {
    let mut means = sums(values, length);
    divide(&mut means, length as f64);
    means
}

/// Divides each number by a whole one below 2^52, with the bits of a division, which takes several times as long.
///
/// The error of the product with the rounded reciprocal is exact and corrects it. Source: Markstein (1990), IBM J.
/// Res. Dev. 34:1, theorem on correctly rounded quotients.
#[inline(always)]
fn divide(row: &mut Row, count: f64) {
    // Errors of quotients near either end of the range would not be exact, or not finite.
    let mut safe = true;
    for value in &row.0 {
        let size = value.abs();
        safe &= size > 1e-280 || size == 0.0;
        safe &= size < 1e300;
    }
    if safe {
        let share = 1.0 / count;
        for value in &mut row.0 {
            let quotient = *value * share;
            *value = quotient.mul_add(-count, *value).mul_add(share, quotient);
        }
    } else if all_near(&row.0) {
        divide_by::<Lifted>(row, count);
    } else {
        divide_by::<Plain>(row, count);
    }
}

/// Whether all of the values may be near zero.
#[inline(always)]
fn starts_near(values: &[f64]) -> bool {
    values.first().copied().is_some_and(needs_lift)
}

#[inline(always)]
fn divide_by<A: Arithmetic>(row: &mut Row, count: f64) {
    for value in &mut row.0 {
        *value = A::share(*value, count);
    }
}

/// Population variances of windows, as [`sums`]: the bits of [`crate::window::variance`].
#[inline(always)]
pub(crate) fn variances(values: &[f64], length: usize) -> Row {
    if let Some(variances) = subnormal_windows::variances(values) {
        return variances;
    }
    Spreads::of(values, length).variances(length)
}

/// Means and population variances of windows: the bits of [`crate::window::mean_and_variance`].
#[inline(always)]
pub(crate) fn means_and_variances(values: &[f64], length: usize) -> [Row; 2] {
    if starts_near(values)
        && let Some(rows) = subnormal_windows::means_and_variances(values, length)
    {
        return rows;
    }
    let spreads = Spreads::of(values, length);
    [spreads.means(length), spreads.variances(length)]
}

/// What the variances of neighbouring windows are made of; as for one window in [`crate::window::variance`].
struct Spreads<'a> {
    values: &'a [f64],
    /// Of the first blocks.
    offsets: Option<[f64; WINDOWS]>,
    within: Row,
    deviations: Row,
    squares: Row,
}

impl<'a> Spreads<'a> {
    #[inline(always)]
    fn of(values: &'a [f64], length: usize) -> Self {
        let mut spreads = Spreads {
            values,
            offsets: None,
            within: Row::ZEROS,
            deviations: Row::ZEROS,
            squares: Row::ZEROS,
        };
        let mut rest = values;
        for _ in 0..length / 16 {
            let eights = Level::<{ WINDOWS + 7 }>::pairs(rest, 8);
            let fours = Level::<{ WINDOWS + 3 }>::merge(&eights, rest, 4, 1.0);
            let twos = Level::<{ WINDOWS + 1 }>::merge(&fours, rest, 2, 2.0);
            spreads.add(&Level::merge(&twos, rest, 1, 4.0), rest, 16.0);
            rest = &rest[16..];
        }
        if length & 8 != 0 {
            let fours = Level::<{ WINDOWS + 3 }>::pairs(rest, 4);
            let twos = Level::<{ WINDOWS + 1 }>::merge(&fours, rest, 2, 1.0);
            spreads.add(&Level::merge(&twos, rest, 1, 2.0), rest, 8.0);
            rest = &rest[8..];
        }
        if length & 4 != 0 {
            let twos = Level::<{ WINDOWS + 1 }>::pairs(rest, 2);
            spreads.add(&Level::merge(&twos, rest, 1, 1.0), rest, 4.0);
            rest = &rest[4..];
        }
        if length & 2 != 0 {
            spreads.add(&Level::pairs(rest, 1), rest, 2.0);
            rest = &rest[2..];
        }
        if length & 1 != 0 {
            spreads.add(&Level::SINGLE, rest, 1.0);
        }
        spreads
    }

    #[inline(always)]
    fn means(&self, length: usize) -> Row {
        let share = 1.0 / length as f64;
        let offsets = self.offsets.unwrap_or([0.0; WINDOWS]);
        let mut means = Row::ZEROS;
        for (window, mean) in means.0.iter_mut().enumerate() {
            *mean = self.values[window] + (self.deviations.0[window] * share + offsets[window]);
        }
        means
    }

    #[inline(always)]
    fn variances(&self, length: usize) -> Row {
        let share = 1.0 / length as f64;
        let mut variances = Row::ZEROS;
        for (window, variance) in variances.0.iter_mut().enumerate() {
            let deviation = self.deviations.0[window];
            let between = self.squares.0[window] - deviation * deviation * share;
            let value = (self.within.0[window] + between) * share;
            *variance = if value > 0.0 { value } else { 0.0 };
        }
        variances
    }

    #[inline(always)]
    fn add(&mut self, block: &Level<WINDOWS>, firsts: &[f64], count: f64) {
        for (within, own) in self.within.0.iter_mut().zip(&block.within) {
            *within += *own;
        }
        let Some(offsets) = &self.offsets else {
            self.offsets = Some(block.offsets);
            return;
        };
        let (origins, firsts) = (&self.values[..WINDOWS], &firsts[..WINDOWS]);
        for window in 0..WINDOWS {
            let deviation =
                (firsts[window] - origins[window]) + (block.offsets[window] - offsets[window]);
            let weighted = count * deviation;
            self.deviations.0[window] += weighted;
            self.squares.0[window] = weighted.mul_add(deviation, self.squares.0[window]);
        }
    }
}

/// Highest values of windows of at most [`LONGEST`], as [`sums`].
#[inline(always)]
pub(crate) fn highest(values: &[f64], length: usize) -> Row {
    extremes(values, length, |a, b| if a > b { a } else { b })
}

/// Lowest values of windows of at most [`LONGEST`], as [`sums`].
#[inline(always)]
pub(crate) fn lowest(values: &[f64], length: usize) -> Row {
    extremes(values, length, |a, b| if a < b { a } else { b })
}

/// Windows of one, two, four … values, until two of them cover `length`.
#[inline(always)]
fn extremes(values: &[f64], length: usize, pick: impl Fn(f64, f64) -> f64) -> Row {
    let mut best: Wide = [0.0; WINDOWS + LONGEST];
    let mut next = best;
    for (best, value) in best.iter_mut().zip(values) {
        *best = *value;
    }
    let mut span = 1;
    while 2 * span <= length {
        let pairs = best.iter().zip(&best[span..]);
        for (next, (left, right)) in next.iter_mut().zip(pairs) {
            *next = pick(*left, *right);
        }
        (best, next) = (next, best);
        span *= 2;
    }
    let mut row = Row::ZEROS;
    let pairs = best.iter().zip(&best[length - span..]);
    for (row, (left, right)) in row.0.iter_mut().zip(pairs) {
        *row = pick(*left, *right);
    }
    row
}

/// How many values of each window of at most [`LONGEST`] stand before its extreme, as [`sums`]; of equal ones the
/// latest counts. `wins` tells whether a later value replaces an earlier one.
#[inline(always)]
pub(crate) fn latest_places(values: &[f64], length: usize, wins: impl Fn(f64, f64) -> bool) -> Row {
    let (mut best, mut places): (Wide, Wide) = ([0.0; WINDOWS + LONGEST], [0.0; WINDOWS + LONGEST]);
    let (mut next, mut next_places) = (best, places);
    for (at, (best, place)) in best.iter_mut().zip(&mut places).enumerate() {
        *best = values.get(at).copied().unwrap_or_default();
        *place = at as f64;
    }
    let mut span = 1;
    while 2 * span <= length {
        let needed = (WINDOWS + length - 2 * span).next_multiple_of(LANES);
        let needed = needed.min(WINDOWS + LONGEST - span);
        let (later, later_places) = (&best[span..][..needed], &places[span..][..needed]);
        for at in 0..needed {
            let later_wins = wins(later[at], best[at]);
            next[at] = if later_wins { later[at] } else { best[at] };
            next_places[at] = if later_wins {
                later_places[at]
            } else {
                places[at]
            };
        }
        (best, next) = (next, best);
        (places, next_places) = (next_places, places);
        span *= 2;
    }
    let later = &best[length - span..][..WINDOWS];
    let later_places = &places[length - span..][..WINDOWS];
    let mut row = Row::ZEROS;
    for (at, row) in row.0.iter_mut().enumerate() {
        let place = if wins(later[at], best[at]) {
            later_places[at]
        } else {
            places[at]
        };
        *row = place - at as f64;
    }
    row
}

/// Sums of weight times distance from each window's origin, as [`sums`]: the bits of
/// [`crate::window::weighted_deviation`]; as many weights as values in a window.
#[inline(always)]
pub(crate) fn weighted_deviations(
    values: &[f64],
    weights: &[f64],
    origins: &[f64; WINDOWS],
) -> Row {
    let length = weights.len();
    if starts_near(values)
        && let Some(row) = subnormal_windows::weighted_deviations(values, weights, origins)
    {
        return row;
    }
    if length < LANES {
        let mut row = Row::ZEROS;
        for (bar, weight) in weights.iter().enumerate() {
            add_deviations(&mut row, values, bar, *weight, origins);
        }
        return row;
    }
    let counted = LANES - length % LANES;
    let mut lanes = [Row::ZEROS; LANES];
    for (lane, total) in lanes.iter_mut().enumerate() {
        let whole = length / LANES;
        for place in 0..whole + usize::from(lane >= counted) {
            let first = if place < whole {
                place * LANES
            } else {
                length - LANES
            };
            let bar = first + lane;
            add_deviations(total, values, bar, weights[bar], origins);
        }
    }
    let mut row = Row::ZEROS;
    for (window, cell) in row.0.iter_mut().enumerate() {
        *cell = fold_lanes(lanes.each_ref().map(|lane| lane.0[window]));
    }
    row
}

/// Adds what one bar of each window contributes.
#[inline(always)]
fn add_deviations(
    total: &mut Row,
    values: &[f64],
    bar: usize,
    weight: f64,
    origins: &[f64; WINDOWS],
) {
    let values = values.get(bar..).unwrap_or_default();
    let values = values.first_chunk::<WINDOWS>().unwrap_or(&Row::ZEROS.0);
    for (window, total) in total.0.iter_mut().enumerate() {
        *total = (values[window] - origins[window]).mul_add(weight, *total);
    }
}

/// Sums of `term`, which also takes the number of the window, over the bars of each window: the bits of
/// [`crate::window::sum_over`]. Columns as in [`sums`].
#[inline(always)]
pub(crate) fn sums_over<const N: usize>(
    columns: [&[f64]; N],
    length: usize,
    term: impl Fn([f64; N], usize) -> f64,
) -> Row {
    let add = |total: &mut Row, bar: usize| {
        let values = columns.map(|column| {
            let values = column.get(bar..).unwrap_or_default();
            values.first_chunk::<WINDOWS>().unwrap_or(&Row::ZEROS.0)
        });
        for (window, total) in total.0.iter_mut().enumerate() {
            *total += term(values.map(|values| values[window]), window);
        }
    };
    let mut row = Row::ZEROS;
    if length < LANES {
        (0..length).for_each(|bar| add(&mut row, bar));
        return row;
    }
    let counted = LANES - length % LANES;
    let mut lanes = [Row::ZEROS; LANES];
    for (lane, total) in lanes.iter_mut().enumerate() {
        for place in 0..length / LANES {
            add(total, place * LANES + lane);
        }
        if lane >= counted {
            add(total, length - LANES + lane);
        }
    }
    for (window, cell) in row.0.iter_mut().enumerate() {
        *cell = fold_lanes(lanes.each_ref().map(|lane| lane.0[window]));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window;

    #[test]
    fn side_by_side_has_the_bits_of_one_by_one() {
        let values: Vec<f64> = (0..200)
            .map(|i| 1e5 + f64::from(i * 7 % 31).sqrt())
            .collect();
        let others: Vec<f64> = (0..200)
            .map(|i| f64::from(i * 5 % 17).sqrt() - 2.0)
            .collect();
        for length in 1..100 {
            let given = &values[..length + WINDOWS - 1];
            let (means, variances) = (means(given, length), variances(given, length));
            let (weights, origins) = (&others[..length], values[3..].first_chunk().unwrap());
            let deviations = weighted_deviations(given, weights, origins);
            let pairs = sums_over([given, &others], length, |[a, b], window| {
                (a * b - window as f64).abs()
            });
            let extremes =
                (length <= LONGEST).then(|| (highest(given, length), lowest(given, length)));
            for at in 0..WINDOWS {
                let (own, other) = (&values[at..][..length], &others[at..][..length]);
                let expected = (window::mean(own), window::variance(own));
                let together = window::mean_and_variance(own);
                let pair = window::sum_of_pairs(own, other, |a, b| (a * b - at as f64).abs());
                assert_eq!(
                    (means.0[at], variances.0[at]),
                    expected,
                    "{length} from {at}"
                );
                let [mean, variance] = means_and_variances(given, length).map(|row| row.0[at]);
                assert_eq!((mean, variance), together, "{length} from {at}");
                assert_eq!(pairs.0[at], pair, "{length} from {at}");
                let deviation = window::weighted_deviation(own, weights, values[at + 3]);
                assert_eq!(deviations.0[at], deviation, "{length} from {at}");
                if let Some((highest, lowest)) = extremes {
                    assert_eq!(highest.0[at], window::highest(own), "{length} from {at}");
                    assert_eq!(lowest.0[at], window::lowest(own), "{length} from {at}");
                    let place = own.iter().rposition(|value| *value == highest.0[at]);
                    let places = latest_places(given, length, |later, best| later >= best);
                    assert_eq!(Some(places.0[at] as usize), place, "{length} from {at}");
                }
            }
        }
    }
}
