//! Windows of the series of a panel as rows, a cell for each series, kept from bar to bar for whole tiles of them.
//!
//! A window of one series alone is in the caches as whole lines, of which a bar needs a value or two and changes one. As
//! rows, a bar of a tile changes one row and reads no more than the newest values; and as many series are summed at once.

use crate::lanes::Mode;
use crate::neighbours::{Row, WINDOWS};
use crate::newest::tile_of;
use crate::plan::{Plan, PlannedKernel};
use crate::read_through::read_rows_through;
use crate::side_by_side::SideBySide;
use crate::tiled::Tiled;

/// Windows of all series, of each tile that is stepped whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct WindowRows {
    tiles: Vec<TileWindows>,
}

/// Windows of a tile.
#[derive(Debug, Clone, Default)]
struct TileWindows {
    /// For each number of a window that counts a row; see [`PlannedKernel::rows`].
    rows: Vec<Row>,
    /// Bars that these took since they were laid, the newest one left out.
    bars: u64,
    /// Whether they are the windows after the newest bar.
    is_current: bool,
    /// Whether only they are, and not the windows of the lanes.
    is_ahead: bool,
}

/// Words and windows of all lanes.
pub(crate) struct LaneMemory<'a> {
    pub(crate) words: &'a mut Tiled<u64>,
    pub(crate) windows: &'a mut Tiled<f64>,
}

impl LaneMemory<'_> {
    /// Words and windows of a kernel, of a whole tile.
    fn of(&mut self, kernel: &PlannedKernel, tile: usize) -> (&mut [u64], &mut [f64]) {
        (
            self.words.of_tile_mut(kernel.words, tile),
            self.windows.of_tile_mut(kernel.window, tile),
        )
    }
}

impl WindowRows {
    /// Makes the windows of some series lie as rows, where they are a whole tile of which each may, or else one by one;
    /// the tile whose windows do.
    pub(crate) fn lay(
        &mut self,
        plan: &Plan,
        (mode, rows): (Mode, &[(usize, usize)]),
        mut lanes: LaneMemory<'_>,
        newest: Option<&SideBySide<'_>>,
        may: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if plan.window_rows == 0 {
            return None;
        }
        let whole = tile_of(rows).filter(|_| rows.iter().all(|(lane, _)| may(*lane)));
        if let (Some(tile), Some(newest)) = (whole, newest) {
            self.run_ahead(plan, tile, &mut lanes, newest);
            return whole;
        }
        for (lane, _) in rows {
            self.settle(plan, *lane, &mut lanes);
            if mode == Mode::Update {
                self.forget(*lane);
            }
        }
        None
    }

    /// Takes the windows of a tile, where they are not here yet, to be changed here only.
    fn run_ahead(
        &mut self,
        plan: &Plan,
        tile: usize,
        lanes: &mut LaneMemory<'_>,
        newest: &SideBySide<'_>,
    ) {
        if self.tiles.len() <= tile {
            self.tiles.resize_with(tile + 1, TileWindows::default);
        }
        let own = &mut self.tiles[tile];
        own.is_ahead = true;
        if std::mem::replace(&mut own.is_current, true) {
            own.bars += 1;
            return;
        }
        own.bars = 0;
        own.rows.resize(plan.window_rows, Row::ZEROS);
        for kernel in &plan.kernels {
            let rows = &mut own.rows[kernel.rows()];
            if rows.is_empty() {
                continue;
            }
            let (words, windows) = lanes.of(kernel, tile);
            let windows = windows.chunks_exact_mut(kernel.window.len);
            for (place, window) in windows.enumerate() {
                let words = &mut words[place * kernel.words.len..][..kernel.words.len];
                kernel.runner.align(words, window);
                for (row, number) in rows.iter_mut().zip(kernel.numbers_of_rows()) {
                    row.0[place] = window[number];
                }
            }
            (kernel.runner).derive(newest, &mut rows[kernel.first_derived_row()..]);
        }
    }

    /// Brings the windows of the lanes of a tile, of which this is one, up to date.
    pub(crate) fn settle(&mut self, plan: &Plan, lane: usize, lanes: &mut LaneMemory<'_>) {
        let tile = lane / WINDOWS;
        let Some(own) = self.tiles.get_mut(tile).filter(|own| own.is_ahead) else {
            return;
        };
        own.is_ahead = false;
        for kernel in &plan.kernels {
            let rows = &own.rows[kernel.rows()];
            if rows.is_empty() {
                continue;
            }
            let (_, windows) = lanes.of(kernel, tile);
            for (place, window) in windows.chunks_exact_mut(kernel.window.len).enumerate() {
                copy_to(kernel, rows, place, window);
            }
        }
    }

    /// Says that a lane, whose tile is settled, is about to change.
    pub(crate) fn forget(&mut self, lane: usize) {
        if let Some(tile) = self.tiles.get_mut(lane / WINDOWS) {
            tile.is_current = false;
        }
    }

    /// Windows of a kernel, of a tile; nothing when they lie elsewhere.
    pub(crate) fn of(&mut self, kernel: &PlannedKernel, tile: usize) -> &mut [Row] {
        let tile = self.tiles.get_mut(tile).filter(|tile| tile.is_current);
        tile.map_or(&mut [], |tile| &mut tile.rows[kernel.rows()])
    }

    /// Reads the rows of a kernel, of a tile, that its newest bar needs.
    pub(crate) fn bring_nearer(&self, kernel: &PlannedKernel, tile: usize) {
        if let Some(tile) = self.tiles.get(tile).filter(|tile| tile.is_current) {
            let rows = &tile.rows[kernel.rows()];
            let mut read = |needed| read_rows_through(&rows[needed]);
            kernel.runner.needed_rows(tile.bars, &mut read);
        }
    }

    /// Brings a copy of the window of a kernel, of a lane that may be ahead, up to date.
    pub(crate) fn settle_alone(&self, kernel: &PlannedKernel, lane: usize, window: &mut [f64]) {
        let tile = self.tiles.get(lane / WINDOWS).filter(|tile| tile.is_ahead);
        if let Some(tile) = tile {
            copy_to(kernel, &tile.rows[kernel.rows()], lane % WINDOWS, window);
        }
    }
}

/// Copies the rows of a series to its window.
fn copy_to(kernel: &PlannedKernel, rows: &[Row], place: usize, window: &mut [f64]) {
    for (row, number) in rows.iter().zip(kernel.numbers_of_rows()) {
        window[number] = row.0[place];
    }
}
