//! The newest bars of the series of a tile, side by side: one vector lane per series.
//!
//! Windows that are summed afresh at each bar cost most of a panel's time when each is summed alone. Here as many are
//! summed at once, each with the bits of the functions of [`crate::window`], because it adds in the same order.

use crate::frame::{Column, Frame, KEPT, LOG_RETURNS, Lookback};
use crate::history::History;
use crate::instructions::{Work, with_widest_vectors};
use crate::logarithm::log_ratios_of_each;
use crate::neighbours::{LONGEST, Row, WINDOWS, folded};
use crate::state::State;
use crate::subnormal::all_near;
use crate::window::LANES;

/// Bars appended to a column's rows before its newest values move back to the front.
const SLACK: usize = 16;

/// Values that one series of a whole tile takes.
pub(crate) fn values_per_series(lookback: Lookback) -> usize {
    PRICES + lookback.kept().into_iter().map(room).sum::<usize>()
}

/// Rows of a column.
const fn room(depth: usize) -> usize {
    if depth == 0 { 0 } else { depth + SLACK }
}

/// The newest bars of all series, in tiles of neighbours; of tiles that are stepped whole they are kept from bar to bar.
#[derive(Debug, Clone, Default)]
pub(crate) struct Newest {
    tiles: Vec<TileRows>,
    /// Of series that are no neighbours.
    others: TileRows,
}

/// The newest bars of a tile.
#[derive(Debug, Clone, Default)]
struct TileRows {
    /// The current bars, a row for each of [`Column::ALL`]; then for each kept column its newest values and the slack.
    rows: Vec<Row>,
    /// Bars appended since the values last moved to the front.
    appended: usize,
    /// Bars kept of each column.
    depths: [usize; KEPT],
    /// Whether they end with the bar before.
    is_current: bool,
    /// Whether only they do, and the history of these series has fallen behind.
    is_ahead: bool,
}

/// The newest values of each series of a tile: a row for each bar, oldest first.
#[derive(Debug, Clone, Copy)]
pub struct SideBySide<'a> {
    current: &'a [Row; PRICES],
    columns: [&'a [Row]; KEPT],
}

/// Columns of a bar.
const PRICES: usize = Column::ALL.len();

impl Newest {
    /// Adds the newest bar of each series; `None` when one has fewer than `lookback` says. Where not [`Newest::holds`]
    /// the series, their frames must have their histories.
    ///
    /// `None` as well when all prices are so near zero that the processor takes much longer with them: steps know how to
    /// avoid that.
    pub(crate) fn of(
        &mut self,
        lookback: Lookback,
        series: &[(usize, usize)],
        frames: &[Frame<'_>; WINDOWS],
    ) -> Option<SideBySide<'_>> {
        let Some(tile) = tile_of(series) else {
            self.forget(series);
            self.others.is_current = false;
            return self.others.step(lookback, frames);
        };
        if self.tiles.len() <= tile {
            self.tiles.resize_with(tile + 1, TileRows::default);
        }
        self.tiles.get_mut(tile)?.step(lookback, frames)
    }

    /// Whether the series are a whole tile whose bars before the newest one are here.
    pub(crate) fn holds(&self, series: &[(usize, usize)]) -> bool {
        tile_of(series)
            .and_then(|tile| self.tiles.get(tile))
            .is_some_and(|tile| tile.is_current)
    }

    /// Notes that the newest bars of a whole tile are here only.
    pub(crate) fn run_ahead(&mut self, series: &[(usize, usize)]) {
        if let Some(tile) = tile_of(series).and_then(|tile| self.tiles.get_mut(tile)) {
            tile.is_ahead = true;
        }
    }

    /// Whether the newest bars of a series are here only.
    pub(crate) fn is_ahead(&self, series: usize) -> bool {
        (self.tiles.get(series / WINDOWS)).is_some_and(|tile| tile.is_ahead)
    }

    /// The current close of a series that is ahead.
    pub(crate) fn close(&self, series: usize) -> Option<f64> {
        let rows = &self.tiles.get(series / WINDOWS)?.rows;
        Some(rows.get(Column::Close as usize)?.0[series % WINDOWS])
    }

    /// Brings the history of the series of a tile, of which this is one, up to date.
    pub(crate) fn settle(&mut self, series: usize, history: &mut History) {
        let tile = series / WINDOWS;
        if let Some(rows) = self.tiles.get_mut(tile).filter(|tile| tile.is_ahead) {
            rows.is_ahead = false;
            for place in 0..WINDOWS {
                rows.copy_to(place, history, tile * WINDOWS + place);
            }
        }
    }

    /// Brings the first lane of a history, a copy of that of a series that is ahead, up to date.
    pub(crate) fn settle_alone(&self, series: usize, alone: &mut History) {
        if let Some(rows) = self.tiles.get(series / WINDOWS) {
            rows.copy_to(series % WINDOWS, alone, 0);
        }
    }

    /// Says that these series, named by their first numbers, changed in another way than by [`Newest::of`].
    pub(crate) fn forget(&mut self, series: &[(usize, usize)]) {
        for (own, _) in series {
            self.forget_one(*own);
        }
    }

    /// As `forget`.
    pub(crate) fn forget_one(&mut self, series: usize) {
        if let Some(tile) = self.tiles.get_mut(series / WINDOWS) {
            tile.is_current = false;
        }
    }
}

/// The number of the tile that these series are, in their order.
#[inline]
fn tile_of(series: &[(usize, usize)]) -> Option<usize> {
    let (first, _) = series.first()?;
    let mut pairs = series.iter().zip(*first..);
    let are_neighbours = first % WINDOWS == 0 && pairs.all(|((own, _), expected)| *own == expected);
    (series.len() == WINDOWS && are_neighbours).then_some(first / WINDOWS)
}

impl TileRows {
    /// Copies what is kept of one series to a lane of its history.
    fn copy_to(&self, place: usize, history: &mut History, lane: usize) {
        let mut first = PRICES;
        for (column, depth) in self.depths.into_iter().enumerate() {
            if depth > 0 {
                let rows = self.rows.iter().skip(first + self.appended).take(depth);
                history.replace(lane, column, rows.map(|row| row.0[place]));
            }
            first += room(depth);
        }
    }

    /// As [`Newest::of`].
    fn step(
        &mut self,
        lookback: Lookback,
        frames: &[Frame<'_>; WINDOWS],
    ) -> Option<SideBySide<'_>> {
        let depths = lookback.kept();
        self.depths = depths;
        let is_current = std::mem::take(&mut self.is_current);
        (self.rows).resize(values_per_series(lookback), Row::ZEROS);
        let (current, mut rest) = self.rows.split_first_chunk_mut::<PRICES>()?;
        copy_bars(frames, current);
        if all_near(&current[Column::Close as usize].0) {
            return None;
        }
        let moves = self.appended == SLACK;
        self.appended = if is_current && !moves {
            self.appended + 1
        } else {
            1
        };
        let mut columns = [&[][..]; KEPT];
        for (column, depth) in depths.into_iter().enumerate() {
            let (rows, after) = rest.split_at_mut(room(depth));
            rest = after;
            if depth == 0 {
                continue;
            }
            if is_current && moves {
                rows.copy_within(SLACK.., 0);
            }
            let rows = rows.get_mut(self.appended..self.appended + depth)?;
            if !is_current {
                for (group, frames) in frames.as_chunks::<LANES>().0.iter().enumerate() {
                    copy(frames, column, group * LANES, rows)?;
                }
            } else if let Some(newest) = rows.last_mut() {
                *newest = match (current.get(column), columns[Column::Close as usize]) {
                    (Some(row), _) => *row,
                    // A lookback on log returns is one on two closes.
                    (None, [.., before, now]) => with_widest_vectors(LogReturns { now, before }),
                    (None, _) => return None,
                };
            }
            columns[column] = rows;
        }
        self.is_current = true;
        Some(SideBySide { current, columns })
    }
}

/// The log returns of the closes.
struct LogReturns<'a> {
    now: &'a Row,
    before: &'a Row,
}

impl Work for LogReturns<'_> {
    type Result = Row;

    #[inline(always)]
    fn run(self) -> Row {
        log_ratios_of_each(self.now, self.before)
    }
}

/// Copies the current bar of each series.
fn copy_bars(frames: &[Frame<'_>; WINDOWS], [open, high, low, close, volume]: &mut [Row; PRICES]) {
    for (series, frame) in frames.iter().enumerate() {
        open.0[series] = frame.bar.open;
        high.0[series] = frame.bar.high;
        low.0[series] = frame.bar.low;
        close.0[series] = frame.bar.close;
        volume.0[series] = frame.bar.volume;
    }
}

/// Copies the newest values of a column of a few series into their places of each row.
#[inline(always)]
fn copy(frames: &[Frame<'_>; LANES], column: usize, first: usize, rows: &mut [Row]) -> Option<()> {
    let mut windows = [&[][..]; LANES];
    for (window, frame) in windows.iter_mut().zip(frames) {
        *window = frame.newest(column, rows.len())?;
    }
    let (blocks, rest) = rows.as_chunks_mut::<LANES>();
    let copied = blocks.len() * LANES;
    for (block, rows) in blocks.iter_mut().enumerate() {
        let mut values = [[0.0; LANES]; LANES];
        for (own, window) in values.iter_mut().zip(windows) {
            *own = *window.get(block * LANES..)?.first_chunk()?;
        }
        for (bar, row) in rows.iter_mut().enumerate() {
            *row.0.get_mut(first..)?.first_chunk_mut::<LANES>()? = values.map(|own| own[bar]);
        }
    }
    for (bar, row) in rest.iter_mut().enumerate() {
        let cells = row.0.get_mut(first..)?.first_chunk_mut::<LANES>()?;
        for (cell, window) in cells.iter_mut().zip(windows) {
            *cell = *window.get(copied + bar)?;
        }
    }
    Some(())
}

/// What a kernel remembers of each series of a tile.
#[derive(Debug)]
pub struct Memories<'a> {
    pub(crate) words: &'a mut [u64],
    pub(crate) window: &'a mut [f64],
    /// Numbers of a window.
    pub(crate) window_len: usize,
    /// The series, and their rows of features.
    pub(crate) rows: &'a [(usize, usize)],
}

impl Memories<'_> {
    /// State and window of the series at a place of the tile.
    #[inline(always)]
    pub(crate) fn of<S: State>(&mut self, place: usize) -> (&mut [u64], &mut [f64]) {
        let (series, _) = self.rows[place];
        (
            &mut self.words[series * S::WORDS..][..S::WORDS],
            &mut self.window[series * self.window_len..][..self.window_len],
        )
    }
}

/// Runs a block for each series' place in the tile, its state and its window. No closure: that would stay a call, and be
/// compiled without wide vectors.
macro_rules! each_series {
    ($memories:ident, |$place:ident, $state:ident: $kind:ty, $window:pat_param| $step:block) => {
        for $place in 0..$crate::neighbours::WINDOWS {
            let (words, $window) = $memories.of::<$kind>($place);
            let mut remembered =
                <$kind as $crate::state::State>::load(&mut $crate::state::Words::new(words));
            let $state = &mut remembered;
            $step
            $crate::state::State::store(
                &remembered,
                &mut $crate::state::WordsMut::new(words),
            );
        }
    };
}
pub(crate) use each_series;

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
    if length < LANES {
        let mut totals = Row::ZEROS;
        (0..length).for_each(|bar| add_bar(&mut totals, bar));
        return totals;
    }
    let counted = LANES - length % LANES;
    let mut lanes = [Row::ZEROS; LANES];
    for (lane, totals) in lanes.iter_mut().enumerate() {
        for place in 0..length / LANES {
            add_bar(totals, place * LANES + lane);
        }
        if lane >= counted {
            add_bar(totals, length - LANES + lane);
        }
    }
    folded(&lanes)
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
    if length < LANES {
        let mut totals = Row::ZEROS;
        (0..length).for_each(|bar| add(&mut totals, bar));
        return totals;
    }
    let counted = LANES - length % LANES;
    let mut lanes = [Row::ZEROS; LANES];
    for (lane, totals) in lanes.iter_mut().enumerate() {
        for place in 0..length / LANES {
            add(totals, place * LANES + lane);
        }
        if lane >= counted {
            add(totals, length - LANES + lane);
        }
    }
    folded(&lanes)
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
