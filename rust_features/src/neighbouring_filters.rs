//! Weighted deviations of all windows of a series, for batches: for windows of the usual lengths every weight stands in
//! the code of one loop over the windows, which keeps the sums of a vector of windows in registers.

use crate::instructions::{Work, with_widest_vectors};
use crate::neighbours::{Row, TILE, WINDOWS, weighted_deviations};
use crate::subnormal::needs_lift;
use crate::window::{Finite, LANES, all_finite, fold_lanes};

/// For the windows that start at the first, second, … of `values`, with as many values as there are weights: the bits of
/// [`crate::window::weighted_deviation`] from each window's newest value. As many as there are `cells`; those taken,
/// fewer when a value is not finite or where windows are better taken one by one.
pub(crate) fn all_deviations(values: &[f64], weights: &[f64], cells: &mut [f64]) -> usize {
    with_widest_vectors(Filter::<false> {
        values,
        weights,
        cells,
    })
}

/// As [`all_deviations`], each added to the newest value.
pub(crate) fn all_averages(values: &[f64], weights: &[f64], cells: &mut [f64]) -> usize {
    with_widest_vectors(Filter::<true> {
        values,
        weights,
        cells,
    })
}

struct Filter<'a, const ADD: bool> {
    values: &'a [f64],
    weights: &'a [f64],
    cells: &'a mut [f64],
}

impl<const ADD: bool> Work for Filter<'_, ADD> {
    type Result = usize;

    #[inline(always)]
    fn run(self) -> usize {
        let length = self.weights.len();
        let mut taken = 0;
        for cells in self.cells.chunks_mut(TILE) {
            let Some(values) = self.values.get(taken..taken + cells.len() + length - 1) else {
                break;
            };
            let done = match length {
                14 => tile::<14, ADD>(values, self.weights, cells),
                23 => tile::<23, ADD>(values, self.weights, cells),
                30 => tile::<30, ADD>(values, self.weights, cells),
                _ => 0,
            };
            let done = if done > 0 {
                done
            } else {
                blocks::<ADD>(values, self.weights, cells)
            };
            // No weight hides a number that is not finite: zero times it is none either.
            let mut finite = Finite::default();
            for cell in &cells[..done] {
                finite.look(*cell);
            }
            if !finite.all() && !all_finite(values) {
                break;
            }
            taken += done;
            if done < cells.len() {
                break;
            }
        }
        taken
    }
}

/// A tile of windows of `LENGTH` values, one chunk to less than four; none where the first one is near zero.
#[inline(always)]
fn tile<const LENGTH: usize, const ADD: bool>(
    values: &[f64],
    weights: &[f64],
    cells: &mut [f64],
) -> usize {
    let Ok(weights) = <&[f64; LENGTH]>::try_from(weights) else {
        return 0;
    };
    if values.first().copied().is_some_and(needs_lift) {
        return 0;
    }
    let windows = cells.len();
    let newest = &values[LENGTH - 1..][..windows];
    // No closure: it would stay a call.
    let first = columns(values, 0, windows);
    let second = columns(values, LANES, windows);
    let third = columns(values, 2 * LANES, windows);
    let last = columns(values, LENGTH - LANES, windows);
    // The values after the last chunk belong to the lanes of the newest full one.
    let counted = LANES - LENGTH % LANES;
    for (at, cell) in cells.iter_mut().enumerate() {
        let newest = newest[at];
        let mut lanes = [0.0; LANES];
        // Three loops of few turns, each of which the compiler unrolls.
        if const { LENGTH >= LANES } {
            add(&mut lanes, &first, &weights[..LANES], at, newest);
        }
        if const { LENGTH >= 2 * LANES } {
            add(&mut lanes, &second, &weights[LANES..][..LANES], at, newest);
        }
        if const { LENGTH >= 3 * LANES } {
            add(
                &mut lanes,
                &third,
                &weights[2 * LANES..][..LANES],
                at,
                newest,
            );
        }
        for lane in counted..LANES {
            let weight = weights[LENGTH - LANES + lane];
            lanes[lane] = (last[lane][at] - newest).mul_add(weight, lanes[lane]);
        }
        let deviation = fold_lanes(lanes);
        *cell = if ADD { newest + deviation } else { deviation };
    }
    windows
}

/// The values of each window from `first` on, a slice of all windows for each.
#[inline(always)]
fn columns(values: &[f64], first: usize, windows: usize) -> [&[f64]; LANES] {
    let mut columns = [&values[..windows]; LANES];
    for (lane, column) in columns.iter_mut().enumerate() {
        // Of a chunk that the windows do not have nothing is read.
        *column = values
            .get(first + lane..first + lane + windows)
            .unwrap_or(column);
    }
    columns
}

/// Adds what a chunk contributes to a window's lanes.
#[inline(always)]
fn add(lanes: &mut [f64; LANES], chunk: &[&[f64]; LANES], weights: &[f64], at: usize, newest: f64) {
    for (lane, total) in lanes.iter_mut().enumerate() {
        *total = (chunk[lane][at] - newest).mul_add(weights[lane], *total);
    }
}

/// The whole blocks of a tile.
#[inline(always)]
fn blocks<const ADD: bool>(values: &[f64], weights: &[f64], cells: &mut [f64]) -> usize {
    let before = weights.len() - 1;
    let mut done = 0;
    for cells in cells.as_chunks_mut::<WINDOWS>().0 {
        let windows = &values[done..][..WINDOWS + before];
        let newest = windows[before..].first_chunk().unwrap_or(&Row::ZEROS.0);
        let deviations = weighted_deviations(windows, weights, newest);
        for ((cell, value), deviation) in cells.iter_mut().zip(newest).zip(&deviations.0) {
            *cell = if ADD { value + deviation } else { *deviation };
        }
        done += WINDOWS;
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::weighted_deviation;

    #[test]
    fn all_windows_have_the_bits_of_each_alone() {
        let usual: Vec<f64> = (0..800)
            .map(|i| 1e5 + f64::from(i * 7 % 31).sqrt())
            .collect();
        let near: Vec<f64> = usual.iter().map(|value| value * 1e-312).collect();
        for (values, length) in [&usual, &near]
            .into_iter()
            .flat_map(|all| (1..40).map(move |n| (all, n)))
        {
            let weights: Vec<f64> = (0..length)
                .map(|i| f64::from(i * 5 % 17).sqrt() - 2.0)
                .collect();
            for windows in [1, 63, 64, 257, 700] {
                let given = &values[..weights.len() + windows - 1];
                let (mut deviations, mut averages) = (vec![0.0; windows], vec![0.0; windows]);
                let taken = all_deviations(given, &weights, &mut deviations);
                assert_eq!(all_averages(given, &weights, &mut averages), taken);
                assert!(taken + WINDOWS > windows, "{length}");
                for at in 0..taken {
                    let own = &given[at..][..weights.len()];
                    let newest = own[own.len() - 1];
                    let expected = weighted_deviation(own, &weights, newest);
                    assert_eq!(deviations[at].to_bits(), expected.to_bits(), "{length}");
                    assert_eq!(averages[at].to_bits(), (newest + expected).to_bits());
                }
            }
        }
    }

    #[test]
    fn a_tile_with_a_number_that_is_not_finite_is_left() {
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for length in [3, 14, 30] {
                let mut values = vec![1e5; 700];
                values[300 + length] = wrong;
                let (weights, mut cells) = (vec![0.0; length], vec![0.0; 701 - length]);
                assert_eq!(
                    all_averages(&values, &weights, &mut cells),
                    TILE,
                    "{length}"
                );
            }
        }
    }
}
