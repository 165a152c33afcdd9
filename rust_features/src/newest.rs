//! The newest bars of the series of a panel as rows, kept from bar to bar for whole tiles of them.

use crate::frame::{Column, Frame, KEPT, Lookback};
use crate::history::History;
use crate::instructions::{Work, with_widest_vectors};
use crate::logarithm::log_ratios_of_each;
use crate::neighbours::{Row, WINDOWS};
use crate::read_through::read_rows_through;
use crate::side_by_side::{PRICES, SideBySide, frame_of};
use crate::subnormal::all_near;
use crate::window::LANES;

/// Bars appended to a column's rows before its newest values move back to the front.
const SLACK: usize = 8;

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
    /// The bars before those that a whole tile took last.
    previous: [Row; PRICES],
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

impl Newest {
    /// Adds the newest bar of each series; `None` when one has fewer than `lookback` says. Where not [`Newest::holds`]
    /// the series, their frames must have their histories.
    ///
    /// `None` as well when all prices are so near zero that the processor takes much longer with them: steps know how to
    /// avoid that.
    pub(crate) fn add(
        &mut self,
        lookback: Lookback,
        series: &[(usize, usize)],
        frames: &[Frame<'_>; WINDOWS],
    ) -> Option<()> {
        let Some(tile) = tile_of(series) else {
            self.forget(series);
            self.others.is_current = false;
            return self.others.add(lookback, frames);
        };
        if self.tiles.len() <= tile {
            self.tiles.resize_with(tile + 1, TileRows::default);
        }
        let tile = self.tiles.get_mut(tile)?;
        if let Some(previous) = tile.rows.first_chunk() {
            self.previous = *previous;
        }
        tile.add(lookback, frames)
    }

    /// Reads what [`Newest::add`] of a whole tile, and the kernels after it, look at: of each column so many bars.
    pub(crate) fn bring_nearer(&self, tile: usize, bars: [usize; KEPT]) {
        if let Some(tile) = self.tiles.get(tile) {
            tile.bring_nearer(bars);
        }
    }

    /// The rows of the series that [`Newest::add`] took last.
    pub(crate) fn of(&self, series: &[(usize, usize)]) -> Option<SideBySide<'_>> {
        match tile_of(series) {
            Some(tile) => self.tiles.get(tile)?.rows(&self.previous),
            None => self.others.rows(&self.previous),
        }
    }

    /// The newest bar of a series whose tile was whole then.
    pub(crate) fn frame(&self, series: usize) -> Option<Frame<'_>> {
        let current = self.tiles.get(series / WINDOWS)?.rows.first_chunk()?;
        Some(frame_of(current, series % WINDOWS))
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

    /// Says that these series, named by their first numbers, changed in another way than by [`Newest::add`].
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
pub(crate) fn tile_of(series: &[(usize, usize)]) -> Option<usize> {
    let (first, _) = series.first()?;
    let mut pairs = series.iter().zip(*first..);
    let are_neighbours = first % WINDOWS == 0 && pairs.all(|((own, _), expected)| *own == expected);
    (series.len() == WINDOWS && are_neighbours).then_some(first / WINDOWS)
}

impl TileRows {
    /// The current bars, and all rows of each kept column.
    fn parts(&self) -> Option<(&[Row; PRICES], [&[Row]; KEPT])> {
        let (current, mut rest) = self.rows.split_first_chunk()?;
        let mut columns = [&[][..]; KEPT];
        for (column, depth) in columns.iter_mut().zip(self.depths) {
            (*column, rest) = rest.split_at_checked(room(depth))?;
        }
        Some((current, columns))
    }

    /// Copies what is kept of one series to a lane of its history.
    fn copy_to(&self, place: usize, history: &mut History, lane: usize) {
        let Some((_, columns)) = self.parts() else {
            return;
        };
        for (column, (rows, depth)) in columns.into_iter().zip(self.depths).enumerate() {
            if depth > 0 {
                let rows = rows.iter().skip(self.appended).take(depth);
                history.replace(lane, column, rows.map(|row| row.0[place]));
            }
        }
    }

    /// As [`Newest::of`].
    fn rows<'a>(&'a self, previous: &'a [Row; PRICES]) -> Option<SideBySide<'a>> {
        let (current, mut columns) = self.parts()?;
        for (column, depth) in columns.iter_mut().zip(self.depths) {
            if depth > 0 {
                *column = column.get(self.appended..self.appended + depth)?;
            }
        }
        Some(SideBySide {
            current,
            previous,
            columns,
        })
    }

    /// As [`Newest::bring_nearer`].
    fn bring_nearer(&self, bars: [usize; KEPT]) {
        let Some((current, columns)) = self.parts() else {
            return;
        };
        read_rows_through(current);
        for ((rows, depth), bars) in columns.into_iter().zip(self.depths).zip(bars) {
            let needed = if depth == 0 || self.appended == SLACK {
                // All move, or there are none.
                rows
            } else {
                let behind = self.appended + 1 + depth;
                &rows[behind.saturating_sub(bars)..behind]
            };
            read_rows_through(needed);
        }
    }

    /// As [`Newest::add`].
    fn add(&mut self, lookback: Lookback, frames: &[Frame<'_>; WINDOWS]) -> Option<()> {
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
        Some(())
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
