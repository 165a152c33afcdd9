//! Many overlapping windows at once, for batches.
//!
//! Neighbouring bars' windows lie side by side, one vector lane per bar, and share what they have in common. Each has
//! the bits of the functions of [`crate::window`], because it adds in the same order.

use std::ops::Range;

use crate::subnormal::{corrected, is_near, needs_lift};
use crate::window::{LANES, fold_lanes};
use crate::{subnormal_blocks, subnormal_windows};

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

impl Default for Row {
    fn default() -> Self {
        Self::ZEROS
    }
}

/// A number for each value of a block's windows of at most [`LONGEST`].
pub(crate) type Wide = [f64; WINDOWS + LONGEST];

/// Windows that are taken in one go: what one pass over them writes has long left the processor's store buffer when
/// the next one reads it at another offset, and all of it stays in the first-level cache.
pub(crate) const TILE: usize = 256;

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
    let mut first = in_chunks;
    if length & 4 != 0 {
        let twos = added::<{ WINDOWS + 1 }>(&values[first..], 2);
        add_pairs(&twos, &mut sums.0);
        first += 4;
    }
    if length & 2 != 0 {
        add_pairs(&values[first..], &mut sums.0);
        first += 2;
    }
    if length & 1 != 0 {
        for (sum, value) in sums.0.iter_mut().zip(&values[first..]) {
            *sum += *value;
        }
    }
    sums
}

/// Adds each value and the next one.
#[inline(always)]
fn add_pairs(values: &[f64], sums: &mut [f64]) {
    let (left, right) = (&values[..sums.len()], &values[1..][..sums.len()]);
    for (at, sum) in sums.iter_mut().enumerate() {
        *sum += left[at] + right[at];
    }
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
    divide(&mut means.0, length as f64);
    means
}

/// Divides each number by a whole one below 2^50, with the bits of a division.
#[inline(always)]
pub(crate) fn divide(values: &mut [f64], count: f64) {
    let share = 1.0 / count;
    // Of usual numbers none needs a second look.
    if values.first().copied().is_some_and(is_near) && subnormal_blocks::divide(values, count) {
        return;
    }
    let safe = values
        .iter()
        .fold(true, |safe, value| safe & is_safe(*value));
    if safe {
        for value in values {
            *value = corrected(*value, count, share);
        }
    } else {
        for value in values {
            *value /= count;
        }
    }
}

/// Divides each number by its own divisor.
#[inline(always)]
pub(crate) fn divide_by_each(values: &mut [f64], divisors: &[f64]) {
    // Of usual numbers none needs a second look.
    if divisors.first().copied().is_some_and(is_near) {
        subnormal_blocks::divide_by_each(values, divisors);
        return;
    }
    for (value, divisor) in values.iter_mut().zip(divisors) {
        *value /= *divisor;
    }
}

/// Divides each number by the width that it is a part of; `without` stands for parts of nothing.
#[inline(always)]
pub(crate) fn divide_by_widths(values: &mut [f64], widths: &[f64], without: f64) {
    divide_by_each(values, widths);
    for (value, width) in values.iter_mut().zip(widths) {
        *value = if *width > 0.0 { *value } else { without };
    }
}

/// The bars of each part of as many bars as `length`, the last with those that are left.
#[inline(always)]
pub(crate) fn parts(bars: usize, length: usize) -> impl Iterator<Item = Range<usize>> {
    let starts = (0..bars).step_by(length);
    starts.map(move |first| first..bars.min(first + length))
}

/// Whether [`corrected`] may take it: errors of quotients near either end of the range would not be exact, or finite.
#[inline(always)]
pub(crate) fn is_safe(value: f64) -> bool {
    let size = value.abs();
    let mut safe = size > 1e-280 || size == 0.0;
    safe &= size < 1e300;
    safe
}

/// Whether all of the values may be near zero.
#[inline(always)]
fn starts_near(values: &[f64]) -> bool {
    values.first().copied().is_some_and(needs_lift)
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

/// A number for each value of a block's windows, aligned as a [`Row`].
#[repr(align(64))]
struct WideRow(Wide);

impl WideRow {
    const ZEROS: Self = Self([0.0; WINDOWS + LONGEST]);
}

/// Windows of one, two, four … values, until two of them cover `length`.
#[inline(always)]
fn extremes(values: &[f64], length: usize, pick: impl Fn(f64, f64) -> f64) -> Row {
    let (mut first, mut second) = (WideRow::ZEROS, WideRow::ZEROS);
    // Turned by reference: the numbers themselves stay where they are.
    let (mut best, mut next) = (&mut first, &mut second);
    for (best, value) in best.0.iter_mut().zip(values) {
        *best = *value;
    }
    let mut span = 1;
    while 2 * span <= length {
        // As many as the windows need, in whole vectors.
        let needed = (WINDOWS + length - 2 * span).next_multiple_of(LANES);
        let needed = needed.min(WINDOWS + LONGEST - span);
        let (left, right) = (&best.0[..needed], &best.0[span..][..needed]);
        for (at, next) in next.0[..needed].iter_mut().enumerate() {
            *next = pick(left[at], right[at]);
        }
        std::mem::swap(&mut best, &mut next);
        span *= 2;
    }
    let mut row = Row::ZEROS;
    let (left, right) = (&best.0[..WINDOWS], &best.0[length - span..][..WINDOWS]);
    for (at, row) in row.0.iter_mut().enumerate() {
        *row = pick(left[at], right[at]);
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
        add_deviations(values, weights, (length, 1), origins, &mut row);
        return row;
    }
    let mut lanes = [Row::ZEROS; LANES];
    let counted = LANES - length % LANES;
    for (lane, total) in lanes.iter_mut().enumerate() {
        let own = (&values[lane..], &weights[lane..]);
        add_deviations(own.0, own.1, (length / LANES, LANES), origins, total);
        if lane >= counted {
            let bar = length - LANES + lane;
            add_deviations(&values[bar..], &weights[bar..], (1, 1), origins, total);
        }
    }
    folded(&lanes)
}

/// Sums of the distances from each window's origin, and the weighted ones, as [`weighted_deviations`]; the first have
/// the bits of [`sums_over`].
#[inline(always)]
pub(crate) fn deviations(values: &[f64], weights: &[f64], origins: &[f64; WINDOWS]) -> [Row; 2] {
    let length = weights.len();
    if length < LANES || starts_near(values) {
        let plain = sums_over([values], length, |[value], window| value - origins[window]);
        return [plain, weighted_deviations(values, weights, origins)];
    }
    let (mut plain, mut weighted) = ([Row::ZEROS; LANES], [Row::ZEROS; LANES]);
    let counted = LANES - length % LANES;
    for (lane, totals) in plain.iter_mut().zip(&mut weighted).enumerate() {
        let mut both = [Row::ZEROS; 2];
        for place in 0..length / LANES {
            let bar = place * LANES + lane;
            add_both(row_of(values, bar), weights[bar], origins, &mut both);
        }
        if lane >= counted {
            let bar = length - LANES + lane;
            add_both(row_of(values, bar), weights[bar], origins, &mut both);
        }
        (*totals.0, *totals.1) = (both[0], both[1]);
    }
    [folded(&plain), folded(&weighted)]
}

#[inline(always)]
fn add_both(
    values: &[f64; WINDOWS],
    weight: f64,
    origins: &[f64; WINDOWS],
    [plain, weighted]: &mut [Row; 2],
) {
    for at in 0..WINDOWS {
        let distance = values[at] - origins[at];
        plain.0[at] += distance;
        weighted.0[at] = distance.mul_add(weight, weighted.0[at]);
    }
}

/// Adds what some bars of each window contribute: the first one, that `stride` further, …, `count` in all.
#[inline(always)]
fn add_deviations(
    values: &[f64],
    weights: &[f64],
    (count, stride): (usize, usize),
    origins: &[f64; WINDOWS],
    total: &mut Row,
) {
    let mut done = 0;
    while done + 3 <= count {
        let bars = [done * stride, (done + 1) * stride, (done + 2) * stride];
        let [first, second, third] = bars.map(|bar| row_of(values, bar));
        let of = bars.map(|bar| weights[bar]);
        for at in 0..WINDOWS {
            let origin = origins[at];
            let sum = (first[at] - origin).mul_add(of[0], total.0[at]);
            let sum = (second[at] - origin).mul_add(of[1], sum);
            total.0[at] = (third[at] - origin).mul_add(of[2], sum);
        }
        done += 3;
    }
    while done < count {
        let (values, weight) = (row_of(values, done * stride), weights[done * stride]);
        for at in 0..WINDOWS {
            total.0[at] = (values[at] - origins[at]).mul_add(weight, total.0[at]);
        }
        done += 1;
    }
}

/// The sums of each window, or series, of its lanes.
#[inline(always)]
pub(crate) fn folded(lanes: &[Row; LANES]) -> Row {
    let mut sums = Row::ZEROS;
    for (at, sum) in sums.0.iter_mut().enumerate() {
        *sum = fold_lanes(lanes.each_ref().map(|lane| lane.0[at]));
    }
    sums
}

/// One value of each window.
#[inline(always)]
pub(crate) fn row_of(values: &[f64], bar: usize) -> &[f64; WINDOWS] {
    let values = values.get(bar..).unwrap_or_default();
    values.first_chunk().unwrap_or(&Row::ZEROS.0)
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
        let values = columns.map(|column| row_of(column, bar));
        for (window, total) in total.0.iter_mut().enumerate() {
            *total += term(values.map(|values| values[window]), window);
        }
    };
    in_lanes(length, add)
}

/// Totals of `length` bars of each window, or series, in the order of [`crate::window::sum_over`]; `add` takes a bar.
#[inline(always)]
pub(crate) fn in_lanes(length: usize, add: impl Fn(&mut Row, usize)) -> Row {
    if length < LANES {
        let mut row = Row::ZEROS;
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
    folded(&lanes)
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
            let means = means(given, length);
            let (weights, origins) = (&others[..length], values[3..].first_chunk().unwrap());
            let weighted = weighted_deviations(given, weights, origins);
            let both = deviations(given, weights, origins);
            let pairs = sums_over([given, &others], length, |[a, b], window| {
                (a * b - window as f64).abs()
            });
            let extremes =
                (length <= LONGEST).then(|| (highest(given, length), lowest(given, length)));
            for at in 0..WINDOWS {
                let (own, other) = (&values[at..][..length], &others[at..][..length]);
                let pair = window::sum_of_pairs(own, other, |a, b| (a * b - at as f64).abs());
                assert_eq!(means.0[at], window::mean(own), "{length} from {at}");
                assert_eq!(pairs.0[at], pair, "{length} from {at}");
                let deviation = window::weighted_deviation(own, weights, values[at + 3]);
                assert_eq!(weighted.0[at], deviation, "{length} from {at}");
                let plain = window::sum_over([own], |[value]| value - origins[at]);
                let both = [both[0].0[at], both[1].0[at]];
                assert_eq!(both, [plain, deviation], "{length} from {at}");
                if let Some((highest, lowest)) = extremes {
                    assert_eq!(highest.0[at], window::highest(own), "{length} from {at}");
                    assert_eq!(lowest.0[at], window::lowest(own), "{length} from {at}");
                }
            }
        }
    }
}
