//! A kernel's own past values, appended in constant time and read as one slice.

use std::ops::Range;

use crate::neighbours::Row;

/// Values appended before the newest ones move back to the front: one move pays for as many bars.
const SLACK: usize = 32;

/// The same of windows as rows: each row more is memory that all the tile's rows pass through the caches with.
const ROW_SLACK: usize = 8;

/// Numbers of `window` that hold the newest `length` values.
pub(crate) const fn room_for(length: usize) -> usize {
    length + SLACK
}

/// Rows that hold the newest `length` of them.
pub(crate) const fn rows_for(length: usize) -> usize {
    length + ROW_SLACK
}

/// Appends `value` to a window of [`room_for`] numbers; the newest `length` of them, oldest first.
///
/// `appended` belongs to the window and starts as zero, as the window does.
#[inline(always)]
pub(crate) fn append<'a>(window: &'a mut [f64], appended: &mut u64, value: f64) -> &'a [f64] {
    append_in::<SLACK, f64>(window, appended, value)
}

/// As [`append`] for the windows of a tile in [`rows_for`] rows, to which `bars` were appended since they were aligned.
#[inline(always)]
pub(crate) fn append_row(window: &mut [Row], bars: u64, row: Row) -> &[Row] {
    append_in::<ROW_SLACK, Row>(window, &mut appended_rows(bars), row)
}

/// What [`append`] counts after `bars` values were appended to windows in [`rows_for`] rows.
#[inline(always)]
pub(crate) fn appended_rows(bars: u64) -> u64 {
    match bars.checked_sub(1) {
        Some(earlier) => earlier % ROW_SLACK as u64 + 1,
        None => 0,
    }
}

/// Of [`rows_for`] rows, to which `bars` rows were appended since they were aligned, those that the next one needs.
pub(crate) fn needed_rows(rows: usize, bars: u64) -> Range<usize> {
    match (bars % ROW_SLACK as u64) as usize {
        // All move.
        0 if bars > 0 => 0..rows,
        appended => appended + 1..rows - (ROW_SLACK - 1 - appended),
    }
}

#[inline(always)]
fn append_in<'a, const SLACK: usize, T: Copy>(
    window: &'a mut [T],
    appended: &mut u64,
    value: T,
) -> &'a [T] {
    if *appended >= SLACK as u64 {
        window.copy_within(SLACK.min(window.len()).., 0);
        *appended = 0;
    }
    let length = window.len().saturating_sub(SLACK);
    let first = *appended as usize + 1;
    *appended += 1;
    match window.get_mut(first..first + length) {
        Some(newest) => {
            if let Some(last) = newest.last_mut() {
                *last = value;
            }
            newest
        }
        None => &[],
    }
}

/// The newest values of a window of [`room_for`] numbers, as [`append`] gave them last.
#[inline(always)]
pub(crate) fn newest(window: &[f64], appended: u64) -> &[f64] {
    let length = window.len().saturating_sub(SLACK);
    let first = appended.min(SLACK as u64) as usize;
    window.get(first..first + length).unwrap_or_default()
}

/// Makes these the newest values of a window, which has room for no more.
#[inline(always)]
pub(crate) fn replace(window: &mut [f64], appended: &mut u64, newest: &[f64]) {
    for (cell, value) in window.iter_mut().zip(newest) {
        *cell = *value;
    }
    *appended = 0;
}

/// Moves the newest values of a window to its front, where they are after `appended` of zero, and forgets older ones.
pub(crate) fn align(window: &mut [f64], appended: &mut u64) {
    let first = (*appended).min(SLACK as u64) as usize;
    window.copy_within(first.min(window.len()).., 0);
    let length = window.len().saturating_sub(SLACK);
    window[length..].fill(0.0);
    *appended = 0;
}

/// Appends a value of each series to its window; the sums of the newest ones. `$sum` is that of one series.
macro_rules! sums_after_append {
    ($memories:ident, $values:ident, |$at:ident, $state:ident: $kind:ty, $window:ident| $sum:expr) => {{
        let mut sums = $crate::neighbours::Row::ZEROS;
        if let Some(rows) = $memories.take_rows() {
            let newest = $crate::trailing::append_row(rows.windows, rows.bars, $values);
            sums = $crate::side_by_side::sums_of(newest, |value, _| value);
        } else {
            $crate::side_by_side::each_series!($memories, |$at, $state: $kind, $window| {
                sums.0[$at] = $sum;
            });
        }
        sums
    }};
}
pub(crate) use sums_after_append;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_in_order_at_every_fill() {
        for length in [1, 2, 31, 32, 33, 80] {
            let mut window = vec![0.0; room_for(length)];
            let mut appended = 0;
            for i in 1..300_i32 {
                let newest = append(&mut window, &mut appended, f64::from(i));
                let expected: Vec<f64> = (0..length as i32)
                    .rev()
                    .map(|ago| f64::from((i - ago).max(0)))
                    .collect();
                assert_eq!(newest, expected, "length {length} value {i}");
            }
        }
    }

    #[test]
    fn the_rows_needed_hold_the_newest_values() {
        for length in [1, 7, 20] {
            let mut rows = vec![Row::ZEROS; rows_for(length)];
            let first = rows.as_ptr().addr();
            for bars in 0..40_u32 {
                let needed = needed_rows(rows.len(), bars.into());
                let all = needed.clone().count() == rows.len();
                let row = Row([f64::from(bars); crate::neighbours::WINDOWS]);
                let newest = append_row(&mut rows, bars.into(), row);
                let place = (newest.as_ptr().addr() - first) / size_of::<Row>();
                assert!(all || needed == (place..place + length), "bar {bars}");
            }
        }
    }

    #[test]
    fn aligned_values_go_on_as_they_were() {
        for length in [1, 31, 33, 80] {
            let mut window = vec![0.0; room_for(length)];
            let mut appended = 0;
            for i in 1..300_i32 {
                let expected = append(&mut window, &mut appended, f64::from(i)).to_vec();
                align(&mut window, &mut appended);
                assert_eq!((&window[..length], appended), (&expected[..], 0));
            }
            align(&mut window, &mut u64::MAX.clone());
        }
        align(&mut [], &mut u64::MAX.clone());
    }

    #[test]
    fn garbage_from_a_snapshot_stays_inside_the_window() {
        for length in [0, 1, 20] {
            let mut window = vec![0.0; room_for(length)];
            let mut appended = u64::MAX;
            assert_eq!(append(&mut window, &mut appended, 1.0).len(), length);
            append(&mut [], &mut { u64::MAX }, 1.0);
        }
    }
}
