//! Means and sums of all windows of a series, for batches: tiles of them, added up and divided in few passes.

use crate::neighbours::{TILE, divide, is_safe};
use crate::subnormal::{corrected, is_near};
use crate::window::{LANES, all_finite, fold_lanes};

/// Means of the windows of `length` values that start at the first, second, … of `values`, as many as there are
/// `cells`, with the bits of [`crate::window::mean`]: those taken, fewer when a value is not finite.
#[inline(always)]
pub(crate) fn all_means(values: &[f64], length: usize, cells: &mut [f64]) -> usize {
    all_totals::<true>(values, length, cells)
}

/// Sums, as [`all_means`], with the bits of [`crate::window::sum`].
#[inline(always)]
pub(crate) fn all_sums(values: &[f64], length: usize, cells: &mut [f64]) -> usize {
    all_totals::<false>(values, length, cells)
}

#[inline(always)]
fn all_totals<const MEANS: bool>(values: &[f64], length: usize, cells: &mut [f64]) -> usize {
    let mut parts = Parts::ZEROS;
    let mut taken = 0;
    for cells in cells.chunks_mut(TILE) {
        let values = &values[taken..][..cells.len() + length - 1];
        parts.add_up(values, length, cells.len());
        let rest = &values[length - length % LANES..];
        let finite = match length % LANES {
            0 => parts.show::<0, MEANS>(rest, length, cells),
            1 => parts.show::<1, MEANS>(rest, length, cells),
            2 => parts.show::<2, MEANS>(rest, length, cells),
            3 => parts.show::<3, MEANS>(rest, length, cells),
            4 => parts.show::<4, MEANS>(rest, length, cells),
            5 => parts.show::<5, MEANS>(rest, length, cells),
            6 => parts.show::<6, MEANS>(rest, length, cells),
            _ => parts.show::<7, MEANS>(rest, length, cells),
        };
        if !finite && !all_finite(values) {
            break;
        }
        taken += cells.len();
    }
    taken
}

/// Sums of the windows of a tile at most, with the bits of [`crate::window::sum_over`].
#[inline(always)]
pub(crate) fn tile_sums_over(values: &[f64], length: usize, cells: &mut [f64]) {
    let windows = cells.len();
    if length < LANES {
        cells.fill(0.0);
        for place in 0..length {
            for (cell, value) in cells.iter_mut().zip(&values[place..]) {
                *cell += *value;
            }
        }
        return;
    }
    // What a window's lane holds is another window's, one lane further; those with a value after the chunks are others.
    let (mut chunks, mut ends) = (Aligned([0.0; TILE + LANES]), Aligned([0.0; TILE + LANES]));
    let wide = windows + LANES - 1;
    add_columns(values, length / LANES, &mut chunks.0[..wide]);
    let last = &values[length - LANES..][..wide];
    for (at, end) in ends.0[..wide].iter_mut().enumerate() {
        *end = chunks.0[at] + last[at];
    }
    let counted = LANES - length % LANES;
    let mut lanes = [&chunks.0[..windows]; LANES];
    for (at, lane) in lanes.iter_mut().enumerate() {
        let own = if at < counted { &chunks.0 } else { &ends.0 };
        *lane = &own[at..][..windows];
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    for (at, cell) in cells.iter_mut().enumerate() {
        // No closure: it would stay a call.
        *cell = fold_lanes([a[at], b[at], c[at], d[at], e[at], f[at], g[at], h[at]]);
    }
}

/// A tile's numbers, of which no vector straddles two cache lines.
#[repr(align(64))]
struct Aligned<const N: usize>([f64; N]);

/// What the sums of a tile of neighbouring windows are made of; a window's parts start at its place.
struct Parts {
    /// What a window's lanes hold is another window's, one lane further.
    lanes: Aligned<{ TILE + LANES }>,
    fours: Aligned<{ TILE + LANES }>,
    /// Two of them are the sum of a window's chunks.
    twos: Aligned<{ TILE + LANES }>,
    /// Two of them are the sum of the four values after the chunks.
    rest: Aligned<{ TILE + LANES }>,
    /// Whether the first value is near zero.
    may_be_near: bool,
}

impl Parts {
    const ZEROS: Self = Self {
        lanes: Aligned([0.0; TILE + LANES]),
        fours: Aligned([0.0; TILE + LANES]),
        twos: Aligned([0.0; TILE + LANES]),
        rest: Aligned([0.0; TILE + LANES]),
        may_be_near: false,
    };

    #[inline(always)]
    fn add_up(&mut self, values: &[f64], length: usize, windows: usize) {
        self.may_be_near = values.first().copied().is_some_and(is_near);
        let chunks = length / LANES;
        if chunks > 0 {
            let lanes = if chunks > 1 {
                let lanes = &mut self.lanes.0[..windows + LANES - 1];
                add_columns(values, chunks, lanes);
                lanes
            } else {
                values
            };
            add_neighbours(lanes, 4, &mut self.fours.0[..windows + 3]);
            add_neighbours(&self.fours.0, 2, &mut self.twos.0[..=windows]);
        }
        if length & 4 != 0 {
            let rest = &values[chunks * LANES..];
            add_neighbours(rest, 2, &mut self.rest.0[..=windows]);
        }
    }

    /// Means or sums of windows with `REST` values after the chunks, which stand in `values`; false when a sum is not
    /// finite.
    #[inline(always)]
    fn show<const REST: usize, const MEANS: bool>(
        &self,
        values: &[f64],
        length: usize,
        cells: &mut [f64],
    ) -> bool {
        let sums = Sums::<REST>::of(self, values, cells.len());
        let count = length as f64;
        let share = 1.0 / count;
        // Subnormal sums would cost a hundred times as much.
        if MEANS && !self.may_be_near {
            let mut safe = true;
            for (at, cell) in cells.iter_mut().enumerate() {
                let sum = sums.at(at);
                safe &= is_safe(sum);
                *cell = corrected(sum, count, share);
            }
            if safe {
                return true;
            }
        }
        let mut finite = true;
        for (at, cell) in cells.iter_mut().enumerate() {
            // Of zeros alone the sum is zero, whatever their signs.
            *cell = 0.0 + sums.at(at);
            finite &= cell.is_finite();
        }
        if MEANS {
            divide(cells, count);
        }
        finite
    }
}

/// Sums of neighbouring windows with `REST` values after the chunks.
struct Sums<'a, const REST: usize> {
    twos: [&'a [f64]; 2],
    rest: [&'a [f64]; 2],
    pair: [&'a [f64]; 2],
    last: &'a [f64],
}

impl<'a, const REST: usize> Sums<'a, REST> {
    const HAS_FOUR: bool = REST & 4 != 0;
    const HAS_TWO: bool = REST & 2 != 0;
    const HAS_ONE: bool = REST & 1 != 0;

    #[inline(always)]
    fn of(parts: &'a Parts, values: &'a [f64], windows: usize) -> Self {
        let unused = &parts.rest.0[..windows];
        let both = |values: &'a [f64]| [&values[..windows], &values[1..][..windows]];
        let pair = if Self::HAS_TWO {
            both(&values[REST & 4..])
        } else {
            [unused; 2]
        };
        let last = if Self::HAS_ONE {
            &values[REST & 6..][..windows]
        } else {
            unused
        };
        Self {
            twos: both(&parts.twos.0),
            rest: both(&parts.rest.0),
            pair,
            last,
        }
    }

    #[inline(always)]
    fn at(&self, at: usize) -> f64 {
        let mut sum = self.twos[0][at] + self.twos[1][at];
        if const { Self::HAS_FOUR } {
            sum += self.rest[0][at] + self.rest[1][at];
        }
        if const { Self::HAS_TWO } {
            sum += self.pair[0][at] + self.pair[1][at];
        }
        if const { Self::HAS_ONE } {
            sum += self.last[at];
        }
        sum
    }
}

/// The sums of each value and the one `stride` further.
#[inline(always)]
fn add_neighbours(values: &[f64], stride: usize, sums: &mut [f64]) {
    let (left, right) = (&values[..sums.len()], &values[stride..][..sums.len()]);
    for (at, sum) in sums.iter_mut().enumerate() {
        *sum = left[at] + right[at];
    }
}

/// The sums of each value and those a chunk, two chunks, … further, `count` in all.
#[inline(always)]
fn add_columns(values: &[f64], count: usize, sums: &mut [f64]) {
    let windows = sums.len();
    let column = |place: usize| &values[place * LANES..][..windows];
    // Several at a time, for each time costs a pass over the sums.
    let mut done = match count {
        1 => {
            sums.copy_from_slice(column(0));
            1
        }
        2 => {
            let (first, second) = (column(0), column(1));
            for at in 0..windows {
                sums[at] = first[at] + second[at];
            }
            2
        }
        _ => {
            let (first, second, third) = (column(0), column(1), column(2));
            for at in 0..windows {
                sums[at] = first[at] + second[at] + third[at];
            }
            3
        }
    };
    while done + 3 <= count {
        let (first, second, third) = (column(done), column(done + 1), column(done + 2));
        for at in 0..windows {
            sums[at] = sums[at] + first[at] + second[at] + third[at];
        }
        done += 3;
    }
    while done < count {
        for (sum, value) in sums.iter_mut().zip(column(done)) {
            *sum += *value;
        }
        done += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window;

    #[test]
    fn all_windows_have_the_bits_of_each_alone() {
        let usual: Vec<f64> = (0..800)
            .map(|i| 1e5 + f64::from(i * 7 % 31).sqrt())
            .collect();
        let of = |change: fn(f64) -> f64| usual.iter().map(|value| change(*value)).collect();
        let series: [Vec<f64>; 5] = [
            usual.clone(),
            of(|value| (value - 1e5 - 2.7) * 1e-313),
            of(|value| (value - 1e5 - 2.7) * 1e-309),
            of(|value| if value > 1e5 + 5.0 { 1e300 } else { -1e-305 }),
            of(|_| -0.0),
        ];
        for (values, length) in series.iter().flat_map(|all| (1..60).map(move |n| (all, n))) {
            for windows in [1, 63, 256, 257, 700] {
                let given = &values[..length + windows - 1];
                let (mut means, mut sums) = (vec![0.0; windows], vec![0.0; windows]);
                assert_eq!(all_means(given, length, &mut means), windows);
                assert_eq!(all_sums(given, length, &mut sums), windows);
                for at in 0..windows {
                    let own = &given[at..][..length];
                    let [mean, sum] = [window::mean(own), window::sum(own)].map(f64::to_bits);
                    assert_eq!(means[at].to_bits(), mean, "{length} from {at}");
                    assert_eq!(sums[at].to_bits(), sum, "{length} from {at}");
                }
            }
        }
    }

    #[test]
    fn sums_in_lanes_have_the_bits_of_each_alone() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i * 7 % 31).sqrt()).collect();
        for length in 1..80 {
            for windows in [1, 8, 100, TILE] {
                let mut sums = vec![0.0; windows];
                tile_sums_over(&values[..length + windows - 1], length, &mut sums);
                for (at, sum) in sums.iter().enumerate() {
                    let own = &values[at..][..length];
                    let expected = window::sum_over([own], |[value]| value);
                    assert_eq!(*sum, expected, "{length} from {at}");
                }
            }
        }
    }

    #[test]
    fn a_tile_with_a_number_that_is_not_finite_is_left() {
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for length in [1, 5, 8, 30] {
                let mut values = vec![1e5; 700];
                values[300 + length] = wrong;
                let mut cells = vec![0.0; 701 - length];
                assert_eq!(all_means(&values, length, &mut cells), TILE, "{length}");
            }
        }
        let mut cells = [0.0; 4];
        assert_eq!(all_means(&[1e308; 5], 2, &mut cells), 4);
        assert_eq!(cells, [f64::INFINITY; 4]);
    }
}
