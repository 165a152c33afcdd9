//! The newest bars of the series of a tile, side by side: one vector lane per series.
//!
//! Windows that are summed afresh at each bar cost most of a panel's time when each is summed alone. Here as many are
//! summed at once, each with the bits of the functions of [`crate::window`], because it adds in the same order.

use crate::frame::{Column, Frame, KEPT, LOG_RETURNS, Lookback};
use crate::neighbours::{LONGEST, Row, WINDOWS, folded};
use crate::window::LANES;

/// Room for the newest bars of a tile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Newest {
    rows: Vec<Row>,
}

/// The newest values of each series of a tile: a row for each bar, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct SideBySide<'a> {
    columns: [&'a [Row]; KEPT],
}

impl Newest {
    /// Copies as many bars of each frame as `lookback` says; `None` when a series has fewer.
    pub(crate) fn of(
        &mut self,
        lookback: Lookback,
        frames: &[Frame<'_>; WINDOWS],
    ) -> Option<SideBySide<'_>> {
        let depths = lookback.kept();
        self.rows.resize(depths.iter().sum(), Row::ZEROS);
        let mut rest = &mut self.rows[..];
        let mut columns = [&[][..]; KEPT];
        for (column, depth) in depths.into_iter().enumerate() {
            let (rows, after) = rest.split_at_mut(depth);
            rest = after;
            for (group, frames) in frames.as_chunks::<LANES>().0.iter().enumerate() {
                copy(frames, column, group * LANES, rows)?;
            }
            columns[column] = rows;
        }
        Some(SideBySide { columns })
    }
}

/// Copies the newest values of a column of a few series into their places of each row.
#[inline(always)]
fn copy(frames: &[Frame<'_>; LANES], column: usize, first: usize, rows: &mut [Row]) -> Option<()> {
    let mut windows = [&[][..]; LANES];
    for (window, frame) in windows.iter_mut().zip(frames) {
        *window = frame.newest(column, rows.len())?;
    }
    for (bar, row) in rows.iter_mut().enumerate() {
        let cells = row.0.get_mut(first..)?.first_chunk_mut::<LANES>()?;
        for (cell, window) in cells.iter_mut().zip(windows) {
            *cell = *window.get(bar)?;
        }
    }
    Some(())
}

impl<'a> SideBySide<'a> {
    /// What a kernel with this lookback needs; nothing when its windows are too long to be copied.
    pub(crate) fn lookback(lookback: Lookback) -> Lookback {
        if lookback.kept().into_iter().all(|bars| bars <= LONGEST) {
            lookback
        } else {
            Lookback::CURRENT_BAR
        }
    }

    /// The newest `bars` values of a column.
    #[inline(always)]
    pub(crate) fn last(&self, column: Column, bars: usize) -> Option<&'a [Row]> {
        last(self.columns[column as usize], bars)
    }

    /// The newest `returns` log returns of the closes.
    #[inline(always)]
    pub(crate) fn log_returns(&self, returns: usize) -> Option<&'a [Row]> {
        last(self.columns[LOG_RETURNS], returns)
    }
}

#[inline(always)]
fn last(rows: &[Row], bars: usize) -> Option<&[Row]> {
    rows.get(rows.len().checked_sub(bars)?..)
}

/// The values of one series.
#[cold]
pub(crate) fn of_one(rows: &[Row], series: usize) -> Vec<f64> {
    rows.iter().map(|row| row.0[series]).collect()
}

/// Sum of `term`, which also takes the number of the series, over each window: the bits of [`crate::window::sum_of`].
#[inline(always)]
pub(crate) fn sums_of(rows: &[Row], term: impl Fn(f64, usize) -> f64) -> Row {
    let (chunks, mut rest) = rows.as_chunks::<LANES>();
    let mut sums = Row::ZEROS;
    if !chunks.is_empty() {
        let mut lanes = [Row::ZEROS; LANES];
        for chunk in chunks {
            for (lane, row) in lanes.iter_mut().zip(chunk) {
                for series in 0..WINDOWS {
                    lane.0[series] += term(row.0[series], series);
                }
            }
        }
        sums = folded(&lanes);
    }
    if let Some(([a, b, c, d], after)) = rest.split_first_chunk::<4>() {
        for (series, sum) in sums.0.iter_mut().enumerate() {
            let [a, b, c, d] = [a, b, c, d].map(|row| term(row.0[series], series));
            *sum += (a + c) + (b + d);
        }
        rest = after;
    }
    if let Some(([a, b], after)) = rest.split_first_chunk::<2>() {
        for (series, sum) in sums.0.iter_mut().enumerate() {
            *sum += term(a.0[series], series) + term(b.0[series], series);
        }
        rest = after;
    }
    if let [last] = rest {
        for (series, sum) in sums.0.iter_mut().enumerate() {
            *sum += term(last.0[series], series);
        }
    }
    sums
}

/// Means of the windows: the bits of [`crate::window::mean`].
#[inline(always)]
pub(crate) fn means(rows: &[Row]) -> Row {
    let mut means = sums_of(rows, |value, _| value);
    for mean in &mut means.0 {
        *mean /= rows.len() as f64;
    }
    means
}

/// Sum of `term`, which also takes the number of the series, over pairs of values, the longer window cut: the bits of
/// [`crate::window::sum_of_pairs`].
#[inline(always)]
pub(crate) fn sums_of_pairs(
    left: &[Row],
    right: &[Row],
    term: impl Fn([f64; 2], usize) -> f64,
) -> Row {
    let add = |total: &mut Row, left: &Row, right: &Row| {
        for series in 0..WINDOWS {
            total.0[series] += term([left.0[series], right.0[series]], series);
        }
    };
    let length = left.len().min(right.len());
    let (left, right) = (&left[..length], &right[..length]);
    let mut sums = Row::ZEROS;
    let (Some(last_left), Some(last_right)) =
        (left.last_chunk::<LANES>(), right.last_chunk::<LANES>())
    else {
        for (left, right) in left.iter().zip(right) {
            add(&mut sums, left, right);
        }
        return sums;
    };
    let mut lanes = [Row::ZEROS; LANES];
    let chunks = left.as_chunks::<LANES>().0.iter();
    for (left, right) in chunks.zip(right.as_chunks::<LANES>().0) {
        for (lane, total) in lanes.iter_mut().enumerate() {
            add(total, &left[lane], &right[lane]);
        }
    }
    for lane in LANES - length % LANES..LANES {
        add(&mut lanes[lane], &last_left[lane], &last_right[lane]);
    }
    folded(&lanes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window;

    #[test]
    fn many_series_have_the_bits_of_each_alone() {
        let rows: Vec<Row> = (0..64)
            .map(|bar| {
                Row(std::array::from_fn(|series| {
                    1e5 + ((bar * 7 + series * 13) % 31) as f64 * 0.37
                }))
            })
            .collect();
        for length in 1..=64 {
            let rows = &rows[64 - length..];
            let together = [
                sums_of(rows, |value, _| value * value),
                means(rows),
                sums_of_pairs(&rows[1..], rows, |[a, b], series| a * b - series as f64),
            ];
            for series in 0..WINDOWS {
                let values = of_one(rows, series);
                let alone = [
                    window::sum_of(&values, |value| value * value),
                    window::mean(&values),
                    window::sum_of_pairs(&values[1..], &values, |a, b| a * b - series as f64),
                ];
                for (together, alone) in together.iter().zip(alone) {
                    let bits = together.0[series].to_bits();
                    assert_eq!(bits, alone.to_bits(), "{length} of {series}");
                }
            }
        }
    }
}
