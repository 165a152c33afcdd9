//! Means and variances of many overlapping windows at once, for batches; the bits of [`crate::window`].

use crate::neighbours::{TILE, WINDOWS};
use crate::subnormal::{all_near, needs_lift};
use crate::subnormal_windows;
use crate::window::{mean_and_variance, merged, paired};

/// Means and population variances of the windows of `length` values that start at the first, second, … of `values`,
/// as many as there are `means`; `values` holds one less than `length` more.
#[inline(always)]
pub(crate) fn means_and_variances(
    values: &[f64],
    length: usize,
    means: &mut [f64],
    variances: &mut [f64],
) {
    let mut spreads = Spreads::new(length);
    let tiles = means.chunks_mut(TILE).zip(variances.chunks_mut(TILE));
    for (tile, (means, variances)) in tiles.enumerate() {
        let values = &values[tile * TILE..][..means.len() + length - 1];
        if values.first().copied().is_some_and(needs_lift)
            && near_zero(values, length, means, variances)
        {
            continue;
        }
        spreads.measure(values, variances.len());
        spreads.show_means(values, means);
        spreads.show_variances(variances);
    }
}

/// The variances alone, of as many windows as there are `cells`.
#[inline(always)]
pub(crate) fn variances(values: &[f64], length: usize, cells: &mut [f64]) {
    let mut spreads = Spreads::new(length);
    for (tile, cells) in cells.chunks_mut(TILE).enumerate() {
        let values = &values[tile * TILE..][..cells.len() + length - 1];
        if all_near(values) {
            // Squares of such distances are zero.
            cells.fill(0.0);
        } else {
            spreads.measure(values, cells.len());
            spreads.show_variances(cells);
        }
    }
}

/// Whether all of the values were near zero, and the moments are there.
#[cold]
#[inline(never)]
fn near_zero(values: &[f64], length: usize, means: &mut [f64], variances: &mut [f64]) -> bool {
    let blocks = means.chunks_mut(WINDOWS).zip(variances.chunks_mut(WINDOWS));
    for (block, (means, variances)) in blocks.enumerate() {
        let values = &values[block * WINDOWS..][..means.len() + length - 1];
        if means.len() < WINDOWS {
            // Too few to stand side by side.
            let cells = means.iter_mut().zip(variances);
            for ((mean, variance), window) in cells.zip(values.windows(length)) {
                (*mean, *variance) = mean_and_variance(window);
            }
            continue;
        }
        let Some(rows) = subnormal_windows::means_and_variances(values, length) else {
            return false;
        };
        means.copy_from_slice(&rows[0].0);
        variances.copy_from_slice(&rows[1].0);
    }
    true
}

/// Means, less the block's first value, and sums of squared distances from the mean, of blocks of as many values each
/// that start at neighbouring ones.
#[repr(align(64))]
struct Blocks {
    offsets: [f64; TILE + 8],
    within: [f64; TILE + 8],
}

impl Blocks {
    /// Blocks of one value.
    const SINGLE: Self = Self {
        offsets: [0.0; TILE + 8],
        within: [0.0; TILE + 8],
    };

    /// Blocks of two values, `stride` apart.
    #[inline(always)]
    fn pair(&mut self, values: &[f64], stride: usize, count: usize) {
        let (left, right) = (&values[..count], &values[stride..][..count]);
        let (offsets, within) = (&mut self.offsets[..count], &mut self.within[..count]);
        for at in 0..count {
            (offsets[at], within[at]) = paired(left[at], right[at]);
        }
    }

    /// Blocks of two blocks of `lower`, `stride` apart, of twice `half` values each.
    #[inline(always)]
    fn merge(&mut self, lower: &Self, values: &[f64], stride: usize, half: f64, count: usize) {
        let (first, second) = (&values[..count], &values[stride..][..count]);
        let (left, right) = (&lower.offsets[..count], &lower.offsets[stride..][..count]);
        let (own, other) = (&lower.within[..count], &lower.within[stride..][..count]);
        let (offsets, within) = (&mut self.offsets[..count], &mut self.within[..count]);
        for at in 0..count {
            let distance = (second[at] - first[at]) + (right[at] - left[at]);
            (offsets[at], within[at]) = merged(distance, left[at], own[at] + other[at], half);
        }
    }
}

/// Distances of the blocks' means from the first block's, and their squares, times the blocks' values.
#[repr(align(64))]
struct Between {
    deviations: [f64; TILE],
    squares: [f64; TILE],
    /// Values of the first blocks.
    first_count: usize,
}

impl Between {
    /// Adds blocks of `count` values, the first of which starts at `done`, a mean less its block's first value each.
    #[inline(always)]
    fn add(
        &mut self,
        values: &[f64],
        (done, count): (usize, f64),
        first_offsets: &[f64],
        offset: impl Fn(usize) -> f64,
    ) {
        let windows = first_offsets.len();
        let (origins, firsts) = (&values[..windows], &values[done..][..windows]);
        let deviations = &mut self.deviations[..windows];
        let squares = &mut self.squares[..windows];
        if done == self.first_count {
            // Those of the tile before.
            deviations.fill(0.0);
            squares.fill(0.0);
        }
        for at in 0..windows {
            let deviation = (firsts[at] - origins[at]) + (offset(at) - first_offsets[at]);
            let weighted = count * deviation;
            deviations[at] += weighted;
            squares[at] = weighted.mul_add(deviation, squares[at]);
        }
    }
}

/// What the variances of a tile of windows are made of; as for one window in [`crate::window::variance`].
struct Spreads {
    length: usize,
    between: Between,
    /// The first blocks of the windows; of the squares within, those of all blocks.
    first: Blocks,
    /// Blocks that are merged, and those that they are merged from.
    blocks: Blocks,
    lower: Blocks,
}

impl Spreads {
    fn new(length: usize) -> Self {
        Self {
            length,
            between: Between {
                // A window of 16 values or more starts with as many, another one with the largest power of two in it.
                first_count: 1 << length.clamp(1, 16).ilog2(),
                deviations: [0.0; TILE],
                squares: [0.0; TILE],
            },
            first: Blocks::SINGLE,
            blocks: Blocks::SINGLE,
            lower: Blocks::SINGLE,
        }
    }

    /// Merges halves of blocks of 16, 8, 4, 2 and 1 values of each window.
    #[inline(always)]
    fn measure(&mut self, values: &[f64], windows: usize) {
        let mut done = 0;
        for _ in 0..self.length / 16 {
            let rest = &values[done..];
            self.lower.pair(rest, 8, windows + 7);
            self.blocks.merge(&self.lower, rest, 4, 1.0, windows + 3);
            self.lower.merge(&self.blocks, rest, 2, 2.0, windows + 1);
            self.blocks.merge(&self.lower, rest, 1, 4.0, windows);
            self.add(values, done, 16.0, windows);
            done += 16;
        }
        if self.length & 8 != 0 {
            let rest = &values[done..];
            self.blocks.pair(rest, 4, windows + 3);
            self.lower.merge(&self.blocks, rest, 2, 1.0, windows + 1);
            self.blocks.merge(&self.lower, rest, 1, 2.0, windows);
            self.add(values, done, 8.0, windows);
            done += 8;
        }
        if self.length & 4 != 0 {
            let rest = &values[done..];
            self.lower.pair(rest, 2, windows + 1);
            self.blocks.merge(&self.lower, rest, 1, 1.0, windows);
            self.add(values, done, 4.0, windows);
            done += 4;
        }
        if self.length & 2 != 0 {
            self.blocks.pair(&values[done..], 1, windows);
            self.add(values, done, 2.0, windows);
            done += 2;
        }
        if self.length & 1 != 0 && done > 0 {
            // Blocks of one value are their own mean.
            let first_offsets = &self.first.offsets[..windows];
            self.between
                .add(values, (done, 1.0), first_offsets, |_| 0.0);
        }
    }

    /// Adds the merged blocks, of `count` values, the first of which starts at `done`.
    #[inline(always)]
    fn add(&mut self, values: &[f64], done: usize, count: f64, windows: usize) {
        let (offsets, within) = (
            &self.blocks.offsets[..windows],
            &self.blocks.within[..windows],
        );
        let first_offsets = &mut self.first.offsets[..windows];
        let totals = &mut self.first.within[..windows];
        if done == 0 {
            totals.copy_from_slice(within);
            first_offsets.copy_from_slice(offsets);
            return;
        }
        for (total, within) in totals.iter_mut().zip(within) {
            *total += *within;
        }
        let offset = |at: usize| offsets[at];
        self.between
            .add(values, (done, count), first_offsets, offset);
    }

    #[inline(always)]
    fn show_means(&self, values: &[f64], means: &mut [f64]) {
        let (share, windows) = (1.0 / self.length as f64, means.len());
        let (values, offsets) = (&values[..windows], &self.first.offsets[..windows]);
        let deviations = &self.between.deviations[..windows];
        for at in 0..windows {
            means[at] = values[at] + (deviations[at] * share + offsets[at]);
        }
    }

    #[inline(always)]
    fn show_variances(&self, variances: &mut [f64]) {
        let (share, windows) = (1.0 / self.length as f64, variances.len());
        let within = &self.first.within[..windows];
        let (deviations, squares) = (
            &self.between.deviations[..windows],
            &self.between.squares[..windows],
        );
        for at in 0..windows {
            let between = squares[at] - deviations[at] * deviations[at] * share;
            let variance = (within[at] + between) * share;
            variances[at] = if variance > 0.0 { variance } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window;

    #[test]
    fn side_by_side_has_the_bits_of_one_by_one() {
        let usual: Vec<f64> = (0..800)
            .map(|i| 1e5 + f64::from(i * 7 % 31).sqrt())
            .collect();
        let tiny: Vec<f64> = usual.iter().map(|value| value * 1e-312).collect();
        let values = [usual, tiny];
        for (values, length) in values
            .iter()
            .flat_map(|all| (1..100).map(move |n| (all, n)))
        {
            for windows in [1, 63, 64, 256, 257, 700] {
                let given = &values[..length + windows - 1];
                let (mut means, mut variances) = (vec![0.0; windows], vec![0.0; windows]);
                means_and_variances(given, length, &mut means, &mut variances);
                let mut alone = vec![0.0; windows];
                super::variances(given, length, &mut alone);
                assert_eq!(alone, variances);
                for at in 0..windows {
                    let expected = window::mean_and_variance(&given[at..][..length]);
                    assert_eq!((means[at], variances[at]), expected, "{length} from {at}");
                }
            }
        }
    }
}
