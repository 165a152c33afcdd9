//! Weighted deviations of all windows of a series, for batches: for windows of the usual lengths every weight stands in
//! the code of one loop over the windows, which keeps the sums of a vector of windows in registers.

use crate::instructions::{Work, with_widest_vectors};
use crate::neighbours::{Row, TILE, WINDOWS, weighted_deviations};
use crate::subnormal::{
    ROUNDED, ROUNDING, all_near, all_subnormal, lift, lower_subnormal, needs_lift, raise,
};
use crate::window::{
    Finite, LANES, all_finite, fold_lanes, highest, lowest, plain_weighted_deviation,
};

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
        let mut room = None;
        for cells in self.cells.chunks_mut(TILE) {
            let Some(values) = self.values.get(taken..taken + cells.len() + length - 1) else {
                break;
            };
            let done = match length {
                14 => tile::<14, ADD>(values, self.weights, cells, &mut room),
                23 => tile::<23, ADD>(values, self.weights, cells, &mut room),
                30 => tile::<30, ADD>(values, self.weights, cells, &mut room),
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

/// Room for a tile's lifted values; made once, where it is needed.
type Room = [f64; TILE + 4 * LANES];

/// A tile of windows of `LENGTH` values, one chunk to less than four; none where the first one is near zero and the
/// others are not, or of so few.
#[inline(always)]
fn tile<const LENGTH: usize, const ADD: bool>(
    values: &[f64],
    weights: &[f64],
    cells: &mut [f64],
    room: &mut Option<Room>,
) -> usize {
    let Ok(weights) = <&[f64; LENGTH]>::try_from(weights) else {
        return 0;
    };
    if cells.len() < TOGETHER {
        return 0;
    }
    if values.first().copied().is_some_and(needs_lift) {
        return near_tile::<LENGTH, ADD>(values, weights, cells, room);
    }
    sum_up::<LENGTH, ADD, false>((values, values), weights, cells);
    cells.len()
}

/// As [`tile`] for numbers near zero, in the way of [`crate::subnormal_windows::weighted_deviations`]; none where a sum
/// might leave the subnormal numbers.
#[cold]
#[inline(never)]
fn near_tile<const LENGTH: usize, const ADD: bool>(
    values: &[f64],
    weights: &[f64; LENGTH],
    cells: &mut [f64],
    room: &mut Option<Room>,
) -> usize {
    with_widest_vectors(NearTile::<LENGTH, ADD> {
        values,
        weights,
        cells,
        room: room.get_or_insert([0.0; _]),
    })
}

struct NearTile<'a, const LENGTH: usize, const ADD: bool> {
    values: &'a [f64],
    weights: &'a [f64; LENGTH],
    cells: &'a mut [f64],
    room: &'a mut Room,
}

impl<const LENGTH: usize, const ADD: bool> Work for NearTile<'_, LENGTH, ADD> {
    type Result = usize;

    #[inline(always)]
    fn run(self) -> usize {
        let (values, cells) = (self.values, self.cells);
        let Some(lifted) = self.room.get_mut(..values.len()) else {
            return 0;
        };
        let (least, most) = if let Some(range) = raise_all(values, lifted) {
            range
        } else if all_near(values) {
            for (cell, value) in lifted.iter_mut().zip(values) {
                *cell = lift(*value);
            }
            range(lifted)
        } else {
            return 0;
        };
        if (most - least) * total_size(self.weights) >= ROUNDED {
            return 0;
        }
        sum_up::<LENGTH, ADD, true>((lifted, values), self.weights, cells);
        if ADD || most == least {
            return cells.len();
        }
        // Only the processor knows the sign of a sum that vanished.
        let mut vanished = false;
        for cell in &*cells {
            vanished |= *cell == 0.0;
        }
        if vanished {
            for (at, cell) in cells.iter_mut().enumerate() {
                let own = &values[at..][..LENGTH];
                if *cell == 0.0 {
                    *cell = plain_weighted_deviation(own, self.weights, own[LENGTH - 1]);
                }
            }
        }
        cells.len()
    }
}

/// Raises numbers, at least as many as are taken together, in one pass with the look at them: the least and the largest
/// of the raised ones, none where a number is negative or normal.
#[inline(always)]
fn raise_all(values: &[f64], raised: &mut [f64]) -> Option<(f64, f64)> {
    let (mut least, mut most) = ([i64::MAX; TOGETHER], [i64::MIN; TOGETHER]);
    let mut take = |values: &[f64; TOGETHER], raised: &mut [f64; TOGETHER]| {
        for at in 0..TOGETHER {
            // Signed, as sizes and signs are told apart at once.
            let bits = values[at].to_bits().cast_signed();
            least[at] = least[at].min(bits);
            most[at] = most[at].max(bits);
            raised[at] = raise(values[at]);
        }
    };
    if !all_subnormal(values.get(..1)?) {
        return None;
    }
    let chunks = raised.as_chunks_mut().0;
    for (values, raised) in values.as_chunks().0.iter().zip(chunks) {
        take(values, raised);
    }
    take(values.last_chunk()?, raised.last_chunk_mut()?);
    let least = least.into_iter().fold(i64::MAX, i64::min);
    let most = most.into_iter().fold(i64::MIN, i64::max);
    let ends = [least, most].map(|bits| f64::from_bits(bits.cast_unsigned()));
    all_subnormal(&ends).then(|| ends.map(raise).into())
}

/// The sum of the weights' sizes, in whatever order is quickest.
#[inline(always)]
fn total_size(weights: &[f64]) -> f64 {
    let mut sizes = [0.0; LANES];
    for weights in weights.chunks(LANES) {
        for (size, weight) in sizes.iter_mut().zip(weights) {
            *size += weight.abs();
        }
    }
    fold_lanes(sizes)
}

/// The least and the largest of some values, at least as many as are taken together.
#[inline(always)]
fn range(values: &[f64]) -> (f64, f64) {
    let last = values.last_chunk().unwrap_or(&[0.0; TOGETHER]);
    let (mut least, mut most) = (*last, *last);
    for values in values.as_chunks::<TOGETHER>().0 {
        for at in 0..TOGETHER {
            least[at] = if values[at] < least[at] {
                values[at]
            } else {
                least[at]
            };
            most[at] = if values[at] > most[at] {
                values[at]
            } else {
                most[at]
            };
        }
    }
    (lowest(&least), highest(&most))
}

/// Vectors of windows for which each weight is loaded once: as many as there are registers for.
const VECTORS: usize = 4;
/// Windows that are taken together.
const TOGETHER: usize = VECTORS * LANES;

/// A number for each of the windows that are taken together.
type Vectors = [[f64; LANES]; VECTORS];

/// The windows' deviations, added to the newest value where `ADD` says so; of lifted values where `NEAR` says so, each
/// product rounded to the grid, and `plain` ones. At least as many windows as are taken together.
#[inline(always)]
fn sum_up<const LENGTH: usize, const ADD: bool, const NEAR: bool>(
    (values, plain): (&[f64], &[f64]),
    weights: &[f64; LENGTH],
    cells: &mut [f64],
) {
    let Some(last) = cells.len().checked_sub(TOGETHER) else {
        return;
    };
    for first in (0..cells.len()).step_by(TOGETHER) {
        // Those at the end are taken with some that were taken before.
        let first = first.min(last);
        let values = &values[first..][..TOGETHER + LENGTH - 1];
        let newest = vectors(values, LENGTH - 1);
        let of = (values, weights, &newest);
        // As `fold_lanes`, and without a closure, which would stay a call.
        let even = added(
            added(
                lane_of::<LENGTH, NEAR>(of, 0),
                lane_of::<LENGTH, NEAR>(of, 4),
            ),
            added(
                lane_of::<LENGTH, NEAR>(of, 2),
                lane_of::<LENGTH, NEAR>(of, 6),
            ),
        );
        let odd = added(
            added(
                lane_of::<LENGTH, NEAR>(of, 1),
                lane_of::<LENGTH, NEAR>(of, 5),
            ),
            added(
                lane_of::<LENGTH, NEAR>(of, 3),
                lane_of::<LENGTH, NEAR>(of, 7),
            ),
        );
        let mut sums = added(even, odd);
        if NEAR {
            for sum in sums.as_flattened_mut() {
                *sum = lower_subnormal(*sum);
            }
        }
        if ADD {
            let newest = if NEAR {
                vectors(&plain[first..], LENGTH - 1)
            } else {
                newest
            };
            sums = added(newest, sums);
        }
        cells[first..][..TOGETHER].copy_from_slice(sums.as_flattened());
    }
}

/// What a lane of the windows adds up to.
#[inline(always)]
fn lane_of<const LENGTH: usize, const NEAR: bool>(
    (values, weights, newest): (&[f64], &[f64; LENGTH], &Vectors),
    lane: usize,
) -> Vectors {
    // High enough that every addition of a product rounds to the grid by itself; no more when lanes are added up.
    let start = match lane {
        _ if !NEAR => 0.0,
        0..4 => ROUNDING,
        _ => -ROUNDING,
    };
    let mut totals = [[start; LANES]; VECTORS];
    for chunk in 0..LENGTH / LANES {
        add_product(&mut totals, values, weights, newest, chunk * LANES + lane);
    }
    // The values after the last chunk belong to the lanes of the newest full one.
    if lane >= LANES - LENGTH % LANES {
        add_product(&mut totals, values, weights, newest, LENGTH - LANES + lane);
    }
    totals
}

/// Adds what the windows' values at a place contribute.
#[inline(always)]
fn add_product<const LENGTH: usize>(
    totals: &mut Vectors,
    values: &[f64],
    weights: &[f64; LENGTH],
    newest: &Vectors,
    place: usize,
) {
    let own = vectors(values, place);
    for ((totals, own), newest) in totals.iter_mut().zip(&own).zip(newest) {
        for at in 0..LANES {
            totals[at] = (own[at] - newest[at]).mul_add(weights[place], totals[at]);
        }
    }
}

/// The windows' values at a place.
#[inline(always)]
fn vectors(values: &[f64], place: usize) -> Vectors {
    let mut vectors = [[0.0; LANES]; VECTORS];
    let values = &values[place..][..TOGETHER];
    for (vector, values) in vectors.iter_mut().zip(values.as_chunks().0) {
        *vector = *values;
    }
    vectors
}

#[inline(always)]
fn added(mut left: Vectors, right: Vectors) -> Vectors {
    for (left, right) in left.iter_mut().zip(&right) {
        for at in 0..LANES {
            left[at] += right[at];
        }
    }
    left
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
