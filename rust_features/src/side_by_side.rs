//! The newest bars of the series of a tile, side by side: one vector lane per series.
//!
//! Windows that are summed afresh at each bar cost most of a panel's time when each is summed alone. Here as many are
//! summed at once, each with the bits of the functions of [`crate::window`], because it adds in the same order.

use crate::bar::Bar;
use crate::frame::{Column, Frame, KEPT, LOG_RETURNS, Lookback};
use crate::neighbours::{LONGEST, Row, WINDOWS, folded, in_lanes};
use crate::state::State;
use crate::tile_step::TileMemory;
use crate::window::LANES;

/// The newest values of each series of a tile: a row for each bar, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct SideBySide<'a> {
    pub(crate) current: &'a [Row; PRICES],
    /// The bars before, of a tile that was whole then too.
    pub(crate) previous: &'a [Row; PRICES],
    pub(crate) columns: [&'a [Row]; KEPT],
}

/// Columns of a bar.
pub(crate) const PRICES: usize = Column::ALL.len();

/// What a kernel remembers of each series of a tile.
#[derive(Debug)]
pub struct Memories<'a> {
    pub(crate) memory: TileMemory<'a>,
    /// All of it where it lies as rows.
    pub(crate) memory_rows: Option<MemoryRows<'a>>,
    /// Numbers of a window.
    pub(crate) window_len: usize,
    /// The series, and their rows of features.
    pub(crate) rows: &'a [(usize, usize)],
}

/// What a kernel remembers of the series of a whole tile, a cell for each; all series' windows are filled alike.
#[derive(Debug)]
pub(crate) struct MemoryRows<'a> {
    /// A row for each number that [`crate::kernel::Kernel::live`] shows.
    pub(crate) live: &'a mut [Row],
    /// A row for each number of the windows.
    pub(crate) windows: &'a mut [Row],
    /// The state of one of the series: what is not live is alike.
    pub(crate) words: &'a [u64],
    /// Bars taken since they were aligned, the newest one left out.
    pub(crate) bars: u64,
}

impl<'a> Memories<'a> {
    /// What lies as rows; [`Memories::of`] gives something else then, which no longer counts.
    #[inline(always)]
    pub(crate) fn take_rows(&mut self) -> Option<MemoryRows<'a>> {
        self.memory_rows.take()
    }

    /// Words of the series at a place of the tile.
    #[inline(always)]
    pub(crate) fn words<S: State>(&mut self, place: usize) -> &mut [u64] {
        let (series, _) = self.rows[place];
        self.memory.words.of(place, series, S::WORDS)
    }

    /// Words and window of the series at a place of the tile.
    #[inline(always)]
    pub(crate) fn of<S: State>(&mut self, place: usize) -> (&mut [u64], &mut [f64]) {
        let (series, _) = self.rows[place];
        (
            self.memory.words.of(place, series, S::WORDS),
            self.memory.windows.of(place, series, self.window_len),
        )
    }
}

/// Runs a block for each series' place in the tile, its state and, where it needs one, its window. No closure: that would
/// stay a call, and be compiled without wide vectors.
macro_rules! each_series {
    ($memories:ident, |$place:ident, $state:ident: $kind:ty| $step:block) => {
        for $place in 0..$crate::neighbours::WINDOWS {
            let words = $memories.words::<$kind>($place);
            $crate::side_by_side::with_state!(words, $state: $kind, $step);
        }
    };
    ($memories:ident, |$place:ident, $state:ident: $kind:ty, $window:ident| $step:block) => {
        for $place in 0..$crate::neighbours::WINDOWS {
            let (words, $window) = $memories.of::<$kind>($place);
            $crate::side_by_side::with_state!(words, $state: $kind, $step);
        }
    };
}
pub(crate) use each_series;

/// Runs a block with the state that some words are, and keeps what becomes of it.
macro_rules! with_state {
    ($words:ident, $state:ident: $kind:ty, $step:block) => {
        let mut remembered =
            <$kind as $crate::state::State>::load(&mut $crate::state::Words::new($words));
        let $state = &mut remembered;
        $step
        $crate::state::State::store(
            &remembered,
            &mut $crate::state::WordsMut::new($words),
        );
    };
}
pub(crate) use with_state;

impl<'a> SideBySide<'a> {
    /// What a kernel with this lookback needs; nothing when its windows are too long to be copied.
    pub(crate) fn lookback(lookback: Lookback) -> Lookback {
        if lookback.kept().into_iter().all(|bars| bars <= LONGEST) {
            lookback
        } else {
            Lookback::CURRENT_BAR
        }
    }

    /// The current values of a column.
    #[inline(always)]
    pub(crate) fn current(&self, column: Column) -> &'a Row {
        &self.current[column as usize]
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

/// The bar of the series at a place of some bars.
#[inline(always)]
pub(crate) fn frame_of(
    [open, high, low, close, volume]: &[Row; PRICES],
    place: usize,
) -> Frame<'_> {
    let bar = Bar {
        // No kernel that catches up reads it.
        open_time_ns: 0,
        open: open.0[place],
        high: high.0[place],
        low: low.0[place],
        close: close.0[place],
        volume: volume.0[place],
    };
    Frame::new(bar, [&[]; KEPT])
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

/// Sum of `term`, which also takes the number of the series, over bars, each given as one value of every column, all of
/// one length: the bits of [`crate::window::sum_over`].
#[inline(always)]
pub(crate) fn sums_over<const N: usize>(
    columns: [&[Row]; N],
    term: impl Fn([f64; N], usize) -> f64,
) -> Row {
    totals_over(columns, |total, values, series| {
        total + term(values, series)
    })
}

/// Folds the bars of each series in the order of [`crate::window::sum_over`]: `add` takes the total so far, one value of
/// every column and the number of the series.
#[inline(always)]
pub(crate) fn totals_over<const N: usize>(
    columns: [&[Row]; N],
    add: impl Fn(f64, [f64; N], usize) -> f64,
) -> Row {
    let length = (columns.iter()).fold(usize::MAX, |least, column| least.min(column.len()));
    let columns = columns.map(|column| &column[..length]);
    let add_bar = |totals: &mut Row, bar: usize| {
        let rows = columns.map(|column| &column[bar].0);
        for (series, total) in totals.0.iter_mut().enumerate() {
            *total = add(*total, rows.map(|row| row[series]), series);
        }
    };
    in_lanes(length, add_bar)
}

/// Sums of weight times distance from each series' origin: the bits of [`crate::window::weighted_deviation`]; as many
/// weights as bars.
#[inline(always)]
pub(crate) fn weighted_deviations(rows: &[Row], weights: &[f64], origins: &Row) -> Row {
    let length = rows.len().min(weights.len());
    let (rows, weights) = (&rows[..length], &weights[..length]);
    let add = |totals: &mut Row, bar: usize| {
        let (values, weight) = (&rows[bar].0, weights[bar]);
        for (series, total) in totals.0.iter_mut().enumerate() {
            *total = (values[series] - origins.0[series]).mul_add(weight, *total);
        }
    };
    in_lanes(length, add)
}

/// The higher one of the series' `best` value and the highest of the window.
#[inline(always)]
pub(crate) fn highest_of(rows: &[Row], best: Row) -> Row {
    extremes(rows, best, |a, b| if a > b { a } else { b })
}

/// The lower one of the series' `best` value and the lowest of the window.
#[inline(always)]
pub(crate) fn lowest_of(rows: &[Row], best: Row) -> Row {
    extremes(rows, best, |a, b| if a < b { a } else { b })
}

/// Highest values of the windows: those of [`crate::window::highest`].
#[inline(always)]
pub(crate) fn highest(rows: &[Row]) -> Row {
    highest_of(rows, Row([f64::NEG_INFINITY; WINDOWS]))
}

/// Lowest values of the windows: those of [`crate::window::lowest`].
#[inline(always)]
pub(crate) fn lowest(rows: &[Row]) -> Row {
    lowest_of(rows, Row([f64::INFINITY; WINDOWS]))
}

#[inline(always)]
fn extremes(rows: &[Row], mut best: Row, pick: impl Fn(f64, f64) -> f64) -> Row {
    for row in rows {
        for (best, value) in best.0.iter_mut().zip(&row.0) {
            *best = pick(*value, *best);
        }
    }
    best
}

/// How many values of each window stand before its extreme; of equal ones the latest counts. `wins` tells whether a later
/// value replaces an earlier one.
#[inline(always)]
pub(crate) fn latest_places(rows: &[Row], wins: impl Fn(f64, f64) -> bool) -> Row {
    let mut places = Row::ZEROS;
    let Some((first, later)) = rows.split_first() else {
        return places;
    };
    let mut best = *first;
    for (bar, row) in later.iter().enumerate() {
        let place = (bar + 1) as f64;
        for (series, value) in row.0.iter().enumerate() {
            let later_wins = wins(*value, best.0[series]);
            best.0[series] = if later_wins { *value } else { best.0[series] };
            places.0[series] = if later_wins { place } else { places.0[series] };
        }
    }
    places
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
        let weights: Vec<f64> = (0..64_i32)
            .map(|bar| f64::from(bar % 11).sqrt() - 1.0)
            .collect();
        for length in 1..=64 {
            let rows = &rows[64 - length..];
            let together = [
                sums_of(rows, |value, _| value * value),
                means(rows),
                sums_over([&rows[1..], rows], |[a, b], series| a * b - series as f64),
                weighted_deviations(rows, &weights[..length], &rows[length - 1]),
                highest(rows),
                lowest(rows),
                latest_places(rows, |later, best| later >= best),
            ];
            for series in 0..WINDOWS {
                let values = of_one(rows, series);
                let highest = window::highest(&values);
                let place = values.iter().rposition(|value| *value == highest);
                let alone = [
                    window::sum_of(&values, |value| value * value),
                    window::mean(&values),
                    window::sum_of_pairs(&values[1..], &values, |a, b| a * b - series as f64),
                    window::weighted_deviation(&values, &weights[..length], values[length - 1]),
                    window::highest(&values),
                    window::lowest(&values),
                    place.map_or(-1.0, |place| place as f64),
                ];
                for (together, alone) in together.iter().zip(alone) {
                    let bits = together.0[series].to_bits();
                    assert_eq!(bits, alone.to_bits(), "{length} of {series}");
                }
            }
        }
    }
}
