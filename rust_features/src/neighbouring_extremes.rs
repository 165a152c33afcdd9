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

/// How many values of each window stand before its highest one, as [`tile_highest`]; of equal ones the latest counts.
#[inline(always)]
pub(crate) fn tile_latest_highest(values: &[f64], length: usize, cells: &mut [f64]) {
    latest_places::<true>(values, length, cells);
}

/// How many values of each window stand before its lowest one, as [`tile_latest_highest`].
#[inline(always)]
pub(crate) fn tile_latest_lowest(values: &[f64], length: usize, cells: &mut [f64]) {
    latest_places::<false>(values, length, cells);
}

/// As [`extremes`], each with its place in its window.
#[inline(always)]
fn latest_places<const HIGHEST: bool>(values: &[f64], length: usize, cells: &mut [f64]) {
    let windows = cells.len();
    if length < 2 {
        cells.fill(0.0);
        return;
    }
    let mut room = [const { Aligned([0.0; TILE + LONGEST]) }; 4];
    let [best, next, places, next_places] = room.each_mut().map(|numbers| &mut numbers.0);
    let (mut best, mut next, mut places, mut next_places) = (best, next, places, next_places);
    let mut span = 2;
    // Of single values every place is zero.
    let wide = windows + length - span;
    let (left, right) = (&values[..wide], &values[1..][..wide]);
    for at in 0..wide {
        let is_later = wins::<HIGHEST>(right[at], left[at]);
        best[at] = if is_later { right[at] } else { left[at] };
        places[at] = if is_later { 1.0 } else { 0.0 };
    }
    while 2 * span <= length {
        let wide = windows + length - 2 * span;
        let (left, right) = (&best[..wide], &best[span..][..wide]);
        let (left_places, right_places) = (&places[..wide], &places[span..][..wide]);
        let (winners, winning_places) = (&mut next[..wide], &mut next_places[..wide]);
        let further = span as f64;
        for at in 0..wide {
            let is_later = wins::<HIGHEST>(right[at], left[at]);
            winners[at] = if is_later { right[at] } else { left[at] };
            let place = right_places[at] + further;
            winning_places[at] = if is_later { place } else { left_places[at] };
        }
        std::mem::swap(&mut best, &mut next);
        std::mem::swap(&mut places, &mut next_places);
        span *= 2;
    }
    let stride = length - span;
    let (left, right) = (&best[..windows], &best[stride..][..windows]);
    let (left_places, right_places) = (&places[..windows], &places[stride..][..windows]);
    let further = stride as f64;
    for (at, cell) in cells.iter_mut().enumerate() {
        let place = right_places[at] + further;
        let is_later = wins::<HIGHEST>(right[at], left[at]);
        *cell = if is_later { place } else { left_places[at] };
    }
}

/// Whether a later value takes the place of an earlier one.
#[inline(always)]
fn wins<const HIGHEST: bool>(later: f64, earlier: f64) -> bool {
    if HIGHEST {
        later >= earlier
    } else {
        later <= earlier
    }
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
                let (mut high_places, mut low_places) = (highs.clone(), lows.clone());
                tile_latest_highest(given, length, &mut high_places);
                tile_latest_lowest(given, length, &mut low_places);
                for at in 0..windows {
                    let own = &given[at..][..length];
                    assert_eq!(highs[at], window::highest(own), "{length} from {at}");
                    assert_eq!(lows[at], window::lowest(own), "{length} from {at}");
                    let places = [highs[at], lows[at]]
                        .map(|extreme| own.iter().rposition(|value| *value == extreme));
                    let found = [high_places[at], low_places[at]];
                    assert_eq!(found.map(|place| Some(place as usize)), places);
                }
            }
        }
    }
}
