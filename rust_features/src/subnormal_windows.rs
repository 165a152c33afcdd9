//! Sums of many overlapping windows of numbers near zero, as [`crate::neighbours`] has them, lifted.

use crate::instructions::{Work, with_widest_vectors};
use crate::neighbours::{LONGEST, Row, WINDOWS, Wide};
use crate::subnormal::{Arithmetic, Lifted, ROUNDED, ROUNDING, all_near, is_near, lift};
use crate::subnormal::{lifted_product, lower, snap};
use crate::window::{LANES, fold_lanes, highest, lowest, plain_weighted_deviation};

/// Windows of at most [`LONGEST`] values [`crate::subnormal::NEAR`] zero, one of them not zero; `None` for others.
#[inline(always)]
fn lifted(values: &[f64], length: usize) -> Option<Wide> {
    if length > LONGEST || !all_near(values) {
        return None;
    }
    let first = values.first().copied().map_or(0.0, lift);
    let mut all: Wide = [first; WINDOWS + LONGEST];
    for (cell, value) in all.iter_mut().zip(values) {
        *cell = lift(*value);
    }
    Some(all)
}

/// As [`crate::rolling_moments::means_and_variances`]: the squares of such small distances are zero.
#[cold]
#[inline(never)]
pub(crate) fn means_and_variances(values: &[f64], length: usize) -> Option<[Row; 2]> {
    with_widest_vectors(Means { values, length })
}

struct Means<'a> {
    values: &'a [f64],
    length: usize,
}

impl Work for Means<'_> {
    type Result = Option<[Row; 2]>;

    #[inline(always)]
    fn run(self) -> Self::Result {
        let values = lifted(self.values, self.length)?;
        // Then no two are further apart than twice as much. The first comes again where there are no more.
        let close = |value: &f64| (value - values[0]).abs() < 0.5 * ROUNDED;
        let means = if values.iter().fold(true, |all, value| all & close(value)) {
            means::<High>(&values, self.length)
        } else {
            means::<Snapped>(&values, self.length)
        };
        Some([means, Row::ZEROS])
    }
}

/// How means of blocks, less the block's first value, are rounded to the grid.
trait Rounding {
    /// What stands for no distance.
    const NONE: f64;
    /// Half a distance from a mean.
    fn moved(mean: f64, distance: f64) -> f64;
}

/// Kept a rounding constant high, where one operation does it: while no distance reaches [`ROUNDED`].
struct High;

impl Rounding for High {
    const NONE: f64 = ROUNDING;

    #[inline(always)]
    fn moved(mean: f64, distance: f64) -> f64 {
        distance.mul_add(0.5, mean)
    }
}

/// Whatever the distances.
struct Snapped;

impl Rounding for Snapped {
    const NONE: f64 = 0.0;

    #[inline(always)]
    fn moved(mean: f64, distance: f64) -> f64 {
        // Half a distance is exact here, and so is the sum where the result is below the normal numbers.
        snap(0.5 * distance + mean)
    }
}

/// Means of blocks of 16, 8, 4, 2 and 1 values, less the block's first, merged as [`crate::window`] merges them.
#[inline(always)]
fn means<R: Rounding>(values: &Wide, length: usize) -> Row {
    let mut merged = Merged {
        values,
        offsets: None,
        deviations: Row::ZEROS,
    };
    let mut rest = &values[..];
    for _ in 0..length / 16 {
        let eights = pairs::<R, { WINDOWS + 7 }>(rest, 8);
        let fours = merge::<R, { WINDOWS + 3 }>(&eights, rest, 4);
        let twos = merge::<R, { WINDOWS + 1 }>(&fours, rest, 2);
        merged.add(&merge::<R, WINDOWS>(&twos, rest, 1), rest, 16.0);
        rest = &rest[16..];
    }
    if length & 8 != 0 {
        let fours = pairs::<R, { WINDOWS + 3 }>(rest, 4);
        let twos = merge::<R, { WINDOWS + 1 }>(&fours, rest, 2);
        merged.add(&merge::<R, WINDOWS>(&twos, rest, 1), rest, 8.0);
        rest = &rest[8..];
    }
    if length & 4 != 0 {
        let twos = pairs::<R, { WINDOWS + 1 }>(rest, 2);
        merged.add(&merge::<R, WINDOWS>(&twos, rest, 1), rest, 4.0);
        rest = &rest[4..];
    }
    if length & 2 != 0 {
        merged.add(&pairs::<R, WINDOWS>(rest, 1), rest, 2.0);
        rest = &rest[2..];
    }
    if length & 1 != 0 {
        merged.add(&[R::NONE; WINDOWS], rest, 1.0);
    }
    merged.means::<R>(length)
}

#[inline(always)]
fn pairs<R: Rounding, const N: usize>(values: &[f64], stride: usize) -> [f64; N] {
    let mut offsets = [0.0; N];
    let (left, right) = (&values[..N], &values[stride..][..N]);
    for at in 0..N {
        offsets[at] = R::moved(R::NONE, right[at] - left[at]);
    }
    offsets
}

#[inline(always)]
fn merge<R: Rounding, const N: usize>(lower: &[f64], values: &[f64], stride: usize) -> [f64; N] {
    let mut offsets = [0.0; N];
    let (first, second) = (&values[..N], &values[stride..][..N]);
    let (left, right) = (&lower[..N], &lower[stride..][..N]);
    for at in 0..N {
        let distance = (second[at] - first[at]) + (right[at] - left[at]);
        offsets[at] = R::moved(left[at], distance);
    }
    offsets
}

struct Merged<'a> {
    values: &'a Wide,
    /// Of the first blocks.
    offsets: Option<[f64; WINDOWS]>,
    deviations: Row,
}

impl Merged<'_> {
    #[inline(always)]
    fn add(&mut self, block: &[f64; WINDOWS], firsts: &[f64], count: f64) {
        let Some(offsets) = &self.offsets else {
            self.offsets = Some(*block);
            return;
        };
        let firsts = &firsts[..WINDOWS];
        for window in 0..WINDOWS {
            let deviation =
                (firsts[window] - self.values[window]) + (block[window] - offsets[window]);
            self.deviations.0[window] += count * deviation;
        }
    }

    #[inline(always)]
    fn means<R: Rounding>(&self, length: usize) -> Row {
        let share = 1.0 / length as f64;
        let offsets = self.offsets.unwrap_or([R::NONE; WINDOWS]);
        let mut means = Row::ZEROS;
        for (window, mean) in means.0.iter_mut().enumerate() {
            let deviation = lifted_product(self.deviations.0[window], share);
            *mean = lower(self.values[window] + (deviation + (offsets[window] - R::NONE)));
        }
        means
    }
}

/// As [`crate::neighbours::weighted_deviations`]; `None` also where a sum might leave the subnormal numbers.
///
/// The sums are kept half a rounding constant high, so that every addition of a product rounds to the grid by itself.
#[cold]
#[inline(never)]
pub(crate) fn weighted_deviations(
    values: &[f64],
    weights: &[f64],
    origins: &[f64; WINDOWS],
) -> Option<Row> {
    with_widest_vectors(WeightedDeviations {
        values,
        weights,
        origins,
    })
}

struct WeightedDeviations<'a> {
    values: &'a [f64],
    weights: &'a [f64],
    origins: &'a [f64; WINDOWS],
}

impl Work for WeightedDeviations<'_> {
    type Result = Option<Row>;

    #[inline(always)]
    fn run(self) -> Option<Row> {
        deviations(self.values, self.weights, self.origins)
    }
}

#[inline(always)]
fn deviations(values: &[f64], weights: &[f64], origins: &[f64; WINDOWS]) -> Option<Row> {
    let length = weights.len();
    let lifted_values = lifted(values, length)?;
    if length < LANES || !all_near(origins) {
        return None;
    }
    let least = lowest(values).min(lowest(origins));
    let most = highest(values).max(highest(origins));
    let weight = weights.iter().fold(0.0, |sum, weight| sum + weight.abs());
    if lift(most - least) * weight >= ROUNDED {
        return None;
    }
    let mut lifted_origins = *origins;
    for origin in &mut lifted_origins {
        *origin = lift(*origin);
    }
    let counted = LANES - length % LANES;
    let mut lanes = [Row([ROUNDING; WINDOWS]); LANES];
    for (lane, total) in lanes.iter_mut().enumerate() {
        let whole = length / LANES;
        for place in 0..whole + usize::from(lane >= counted) {
            let first = if place < whole {
                place * LANES
            } else {
                length - LANES
            };
            let bar = first + lane;
            let values = &lifted_values[bar..][..WINDOWS];
            for (window, total) in total.0.iter_mut().enumerate() {
                *total = (values[window] - lifted_origins[window]).mul_add(weights[bar], *total);
            }
        }
    }
    let mut row = Row::ZEROS;
    let mut vanished = false;
    for (window, cell) in row.0.iter_mut().enumerate() {
        let total = fold_lanes(lanes.each_ref().map(|lane| lane.0[window] - ROUNDING));
        vanished |= total == 0.0;
        *cell = lower(total);
    }
    // Only the processor knows the sign of a sum that vanished.
    if vanished && most > least {
        for (window, cell) in row.0.iter_mut().enumerate() {
            if *cell == 0.0 {
                *cell =
                    plain_weighted_deviation(&values[window..][..length], weights, origins[window]);
            }
        }
    }
    Some(row)
}

/// As [`crate::window::mean_and_variance`] of one window of numbers near zero; `None` for another.
#[cold]
#[inline(never)]
pub(crate) fn mean_and_variance(values: &[f64]) -> Option<(f64, f64)> {
    with_widest_vectors(Mean(values))
}

struct Mean<'a>(&'a [f64]);

impl Work for Mean<'_> {
    type Result = Option<(f64, f64)>;

    #[inline(always)]
    fn run(self) -> Self::Result {
        let (values, mut room) = (self.0, [0.0; LONGEST]);
        let lifted = room.get_mut(..values.len())?;
        if !all_near(values) {
            return None;
        }
        for (cell, value) in lifted.iter_mut().zip(values) {
            *cell = lift(*value);
        }
        let mut mean = MeanOfBlocks::default();
        let (sixteens, mut rest) = lifted.as_chunks::<16>();
        for block in sixteens {
            let fours = merge::<Snapped, 4>(&pairs::<Snapped, 8>(block, 8), block, 4);
            mean.add(
                merge::<Snapped, 1>(&merge::<Snapped, 2>(&fours, block, 2), block, 1),
                block[0],
                16.0,
            );
        }
        if let Some((block, after)) = rest.split_first_chunk::<8>() {
            let twos = merge::<Snapped, 2>(&pairs::<Snapped, 4>(block, 4), block, 2);
            mean.add(merge::<Snapped, 1>(&twos, block, 1), block[0], 8.0);
            rest = after;
        }
        if let Some((block, after)) = rest.split_first_chunk::<4>() {
            let twos = pairs::<Snapped, 2>(block, 2);
            mean.add(merge::<Snapped, 1>(&twos, block, 1), block[0], 4.0);
            rest = after;
        }
        if let Some((block, after)) = rest.split_first_chunk::<2>() {
            mean.add(pairs::<Snapped, 1>(block, 1), block[0], 2.0);
            rest = after;
        }
        if let [single] = rest {
            mean.add([0.0], *single, 1.0);
        }
        let (first, offset) = mean.origin?;
        let deviation = lifted_product(mean.deviations, 1.0 / values.len() as f64);
        Some((lower(first + (deviation + offset)), 0.0))
    }
}

/// The sum of the blocks' distances from the first one.
#[derive(Default)]
struct MeanOfBlocks {
    /// First value of the first block, and its mean less that.
    origin: Option<(f64, f64)>,
    deviations: f64,
}

impl MeanOfBlocks {
    #[inline(always)]
    fn add(&mut self, [mean]: [f64; 1], first: f64, count: f64) {
        match self.origin {
            None => self.origin = Some((first, mean)),
            Some((origin, offset)) => {
                self.deviations += count * ((first - origin) + (mean - offset));
            }
        }
    }
}

/// As [`crate::window::weighted_deviation`] of numbers near zero; `None` where a sum might leave the subnormal
/// numbers, or has no sign.
#[cold]
#[inline(never)]
pub(crate) fn weighted_deviation(values: &[f64], weights: &[f64], origin: f64) -> Option<f64> {
    with_widest_vectors(WeightedDeviation {
        values,
        weights,
        origin,
    })
}

struct WeightedDeviation<'a> {
    values: &'a [f64],
    weights: &'a [f64],
    origin: f64,
}

impl Work for WeightedDeviation<'_> {
    type Result = Option<f64>;

    #[inline(always)]
    fn run(self) -> Option<f64> {
        let length = self.values.len().min(self.weights.len());
        let (values, weights) = (&self.values[..length], &self.weights[..length]);
        let (last_values, last_weights) = (
            values.last_chunk::<LANES>()?,
            weights.last_chunk::<LANES>()?,
        );
        if !all_near(values) || !is_near(self.origin) {
            return None;
        }
        let mut weight = 0.0;
        let (mut least, mut most) = (self.origin, self.origin);
        for (value, own) in values.iter().zip(weights) {
            least = if *value < least { *value } else { least };
            most = if *value > most { *value } else { most };
            weight += own.abs();
        }
        if lift(most - least) * weight >= ROUNDED {
            return None;
        }
        let origin = lift(self.origin);
        let mut lanes = [ROUNDING; LANES];
        let chunks = values.as_chunks::<LANES>().0.iter();
        for (values, weights) in chunks.zip(weights.as_chunks::<LANES>().0) {
            for (lane, total) in lanes.iter_mut().enumerate() {
                *total = (lift(values[lane]) - origin).mul_add(weights[lane], *total);
            }
        }
        for lane in LANES - length % LANES..LANES {
            lanes[lane] =
                (lift(last_values[lane]) - origin).mul_add(last_weights[lane], lanes[lane]);
        }
        let total = fold_lanes(lanes.map(|lane| lane - ROUNDING));
        (total != 0.0 || most == least).then(|| lower(total))
    }
}

/// Products of each number and a factor, where the numbers are near zero.
#[inline(always)]
pub(crate) fn scale(row: &mut Row, factor: f64) {
    if all_near(&row.0) {
        for value in &mut row.0 {
            *value = Lifted::product(*value, factor);
        }
    } else {
        for value in &mut row.0 {
            *value *= factor;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::plain_mean_and_variance;

    /// Multiples of the least number, up to `most` of them.
    fn windows(most: u64, length: usize, seed: u64) -> Vec<f64> {
        let mut random = seed;
        let mut next = || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            f64::from_bits((random >> 11) % (most + 1))
        };
        (0..length + WINDOWS - 1).map(|_| next()).collect()
    }

    #[test]
    fn windows_near_zero_have_the_bits_of_each_alone() {
        let mut taken = 0;
        for most in [1, 3, 40, 1 << 30, 1 << 51, 1 << 52, (1 << 53) + 5] {
            for length in 1..=LONGEST {
                let values = windows(most, length, length as u64);
                let Some([means, variances]) = means_and_variances(&values, length) else {
                    assert!(most < 50 || length == 0);
                    continue;
                };
                taken += 1;
                for at in 0..WINDOWS {
                    let own = &values[at..][..length];
                    let (mean, variance) = plain_mean_and_variance(own);
                    if let Some(alone) = mean_and_variance(own) {
                        assert_eq!(alone.0.to_bits(), mean.to_bits(), "{length} of {most}");
                        assert_eq!(alone.1.to_bits(), variance.to_bits());
                    }
                    let expected = [mean, variance].map(f64::to_bits);
                    let together = [means.0[at], variances.0[at]].map(f64::to_bits);
                    assert_eq!(together, expected, "{length} of {most} from {at}");
                }
            }
        }
        assert!(taken > 200);
    }

    #[test]
    fn weighted_sums_near_zero_have_the_bits_of_each_alone() {
        let mut taken = 0;
        for most in [1, 3, 40, 1 << 30, 1 << 50, 1 << 51, 1 << 53] {
            for length in LANES..=LONGEST {
                let values = windows(most, length, 3 * length as u64);
                let weights: Vec<f64> = (0..length)
                    .map(|place| (place as f64 - length as f64 / 2.5) / (length * length) as f64)
                    .collect();
                let origins = values[length - 1..].first_chunk().unwrap();
                let Some(row) = weighted_deviations(&values, &weights, origins) else {
                    continue;
                };
                taken += 1;
                for at in 0..WINDOWS {
                    let own = &values[at..][..length];
                    let alone = plain_weighted_deviation(own, &weights, origins[at]);
                    if let Some(near) = weighted_deviation(own, &weights, origins[at]) {
                        assert_eq!(near.to_bits(), alone.to_bits(), "{length} of {most}");
                    }
                    let together = row.0[at].to_bits();
                    assert_eq!(together, alone.to_bits(), "{length} of {most} from {at}");
                }
            }
        }
        assert!(taken > 200);
    }
}
