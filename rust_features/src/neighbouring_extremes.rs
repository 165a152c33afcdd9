//! Extremes of all windows of a series, for batches: tiles of them, in as many passes as the length has digits.

use crate::neighbours::{LONGEST, TILE};

/// A tile's numbers, of which no vector straddles two cache lines.
#[repr(align(64))]
struct Aligned([f64; TILE + LONGEST]);

/// Highest values of the windows of at most [`LONGEST`] that start at the first, second, … of `values`, as many as
/// there are `cells`, at most [`TILE`]; `values` holds one less than `length` more.
#[inline(always)]
pub(crate) fn tile_highest(values: &[f64], length: usize, cells: &mut [f64]) {
    extremes::<true>(values, length, cells);
}

/// Lowest values, as [`tile_highest`].
#[inline(always)]
pub(crate) fn tile_lowest(values: &[f64], length: usize, cells: &mut [f64]) {
    extremes::<false>(values, length, cells);
}

/// As [`tile_highest`] for any number of `cells` and windows of any length: those taken, all of them or, of longer
/// windows, none.
#[inline(always)]
pub(crate) fn all_highest(values: &[f64], length: usize, cells: &mut [f64]) -> usize {
    all_extremes::<true>(values, length, cells)
}

/// Lowest values, as [`all_highest`].
#[inline(always)]
pub(crate) fn all_lowest(values: &[f64], length: usize, cells: &mut [f64]) -> usize {
    all_extremes::<false>(values, length, cells)
}

#[inline(always)]
fn all_extremes<const HIGHEST: bool>(values: &[f64], length: usize, cells: &mut [f64]) -> usize {
    if length > LONGEST {
        return 0;
    }
    for (tile, cells) in cells.chunks_mut(TILE).enumerate() {
        let own = &values[tile * TILE..][..cells.len() + length - 1];
        extremes::<HIGHEST>(own, length, cells);
    }
    cells.len()
}

/// Windows of two, four, … values, until two of them cover `length`. What a pass writes has left the processor's store
/// buffer when the next one reads it at another offset: a block of few windows would wait for it.
#[inline(always)]
fn extremes<const HIGHEST: bool>(values: &[f64], length: usize, cells: &mut [f64]) {
    let windows = cells.len();
    if length < 2 {
        cells.copy_from_slice(&values[..windows]);
        return;
    }
    let (mut first, mut second) = (
        Aligned([0.0; TILE + LONGEST]),
        Aligned([0.0; TILE + LONGEST]),
    );
    let (mut best, mut next) = (&mut first.0, &mut second.0);
    let mut span = 2;
    pick_all::<HIGHEST>(values, 1, &mut best[..windows + length - span]);
    while 2 * span <= length {
        pick_all::<HIGHEST>(best, span, &mut next[..windows + length - 2 * span]);
        std::mem::swap(&mut best, &mut next);
        span *= 2;
    }
    pick_all::<HIGHEST>(best, length - span, cells);
}

/// The better one of each value and the one `stride` further.
#[inline(always)]
fn pick_all<const HIGHEST: bool>(values: &[f64], stride: usize, picked: &mut [f64]) {
    let (left, right) = (&values[..picked.len()], &values[stride..][..picked.len()]);
    for (at, picked) in picked.iter_mut().enumerate() {
        let (left, right) = (left[at], right[at]);
        let is_left = if HIGHEST { left > right } else { left < right };
        *picked = if is_left { left } else { right };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window;

    #[test]
    fn all_windows_have_the_extremes_of_each_alone() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i * 37 % 101) - 50.0).collect();
        for length in 1..=LONGEST {
            for windows in [1, 7, 8, 100, TILE] {
                let given = &values[..windows + length - 1];
                let (mut highs, mut lows) = (vec![0.0; windows], vec![0.0; windows]);
                tile_highest(given, length, &mut highs);
                tile_lowest(given, length, &mut lows);
                for at in 0..windows {
                    let own = &given[at..][..length];
                    assert_eq!(highs[at], window::highest(own), "{length} from {at}");
                    assert_eq!(lows[at], window::lowest(own), "{length} from {at}");
                }
            }
        }
    }
}
