//! What kernels remember of the series of a panel as rows, a cell for each series, kept from bar to bar for whole tiles.
//!
//! A window of one series alone is in the caches as whole lines, of which a bar needs a value or two and changes one. As
//! rows, a bar of a tile changes one row and reads no more than the newest values; and as many windows are summed at once.
//! Of the states of warm series, rows hold the numbers that bars go on changing, and nothing that is alike or follows.

use crate::neighbours::{Row, WINDOWS};
use crate::newest::Newest;
use crate::plan::{Plan, PlannedKernel};
use crate::read_through::{read_rows_through, read_through};
use crate::runner::Memory;
use crate::side_by_side::{MemoryRows, SideBySide};
use crate::tiled::Tiled;

/// Windows and states of all series, of each tile that is stepped whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct TileMemories {
    tiles: Vec<MemoryOfTile>,
}

/// Windows and states of a tile.
#[derive(Debug, Clone, Default)]
struct MemoryOfTile {
    /// See [`PlannedKernel::live_rows`]: close together, as bars read them all.
    live: Vec<Row>,
    /// See [`PlannedKernel::window_rows`].
    windows: Vec<Row>,
    /// Words of the first series when these were laid.
    words: Vec<u64>,
    /// Bars that these took since they were laid.
    bars: u64,
    /// Whether they are what is remembered after the newest bar.
    is_current: bool,
    /// Whether only they are, and not the memory of the lanes.
    is_ahead: bool,
}

/// Words and windows of all lanes.
pub(crate) struct LaneMemory<'a> {
    pub(crate) words: &'a mut Tiled<u64>,
    pub(crate) windows: &'a mut Tiled<f64>,
}

impl TileMemories {
    /// Takes what is remembered of a tile, where it is not here yet, to be changed here only.
    pub(crate) fn run_ahead(
        &mut self,
        plan: &Plan,
        tile: usize,
        lanes: &mut LaneMemory<'_>,
        newest: &SideBySide<'_>,
    ) {
        if self.tiles.len() <= tile {
            self.tiles.resize_with(tile + 1, MemoryOfTile::default);
        }
        let own = &mut self.tiles[tile];
        own.is_ahead = true;
        if std::mem::replace(&mut own.is_current, true) {
            return;
        }
        own.bars = 0;
        own.live.resize(plan.live_rows, Row::ZEROS);
        own.windows.resize(plan.window_rows, Row::ZEROS);
        own.words.resize(plan.words, 0);
        for kernel in plan.kernels.iter().filter(|kernel| kernel.rows.is_some()) {
            let live = &mut own.live[kernel.live_rows()];
            let rows = &mut own.windows[kernel.window_rows()];
            for place in 0..WINDOWS {
                let series = tile * WINDOWS + place;
                let words = lanes.words.of_mut(kernel.words, series);
                let window = lanes.windows.of_mut(kernel.window, series);
                kernel.runner.align_rows(words, window);
                kernel.runner.copy_live(words, live, place);
                for (row, number) in rows.iter_mut().zip(kernel.numbers_of_rows()) {
                    row.0[place] = window[number];
                }
            }
            let first = lanes.words.of(kernel.words, tile * WINDOWS);
            own.words[kernel.words.range()].copy_from_slice(first);
            (kernel.runner).derive(newest, &mut rows[kernel.first_derived_row()..]);
        }
    }

    /// Counts the bar that a tile has taken.
    pub(crate) fn count(&mut self, tile: usize) {
        if let Some(tile) = self.tiles.get_mut(tile) {
            tile.bars += 1;
        }
    }

    /// Brings the memory of the lanes of a tile, of which this is one, up to date; `newest` ends with the bar that the tile
    /// took last.
    pub(crate) fn settle(
        &mut self,
        plan: &Plan,
        lane: usize,
        lanes: &mut LaneMemory<'_>,
        newest: &Newest,
    ) {
        let tile = lane / WINDOWS;
        if self.ahead(lane).is_none() {
            return;
        }
        for kernel in plan.kernels.iter().filter(|kernel| kernel.rows.is_some()) {
            for lane in tile * WINDOWS..(tile + 1) * WINDOWS {
                let memory = Memory {
                    words: lanes.words.of_mut(kernel.words, lane),
                    window: lanes.windows.of_mut(kernel.window, lane),
                };
                self.settle_alone(kernel, lane, memory, newest);
            }
        }
        self.tiles[tile].is_ahead = false;
    }

    /// Says that a lane, whose tile is settled, is about to change.
    pub(crate) fn forget(&mut self, lane: usize) {
        if let Some(tile) = self.tiles.get_mut(lane / WINDOWS) {
            tile.is_current = false;
        }
    }

    /// What a kernel remembers of a tile; nothing when it lies elsewhere.
    pub(crate) fn of(&mut self, kernel: &PlannedKernel, tile: usize) -> Option<MemoryRows<'_>> {
        let tile = self.tiles.get_mut(tile).filter(|tile| tile.is_current)?;
        kernel.rows?;
        Some(MemoryRows {
            live: &mut tile.live[kernel.live_rows()],
            windows: &mut tile.windows[kernel.window_rows()],
            words: &tile.words[kernel.words.range()],
            bars: tile.bars,
        })
    }

    /// Reads what the newest bar of a tile needs.
    pub(crate) fn bring_nearer(&self, plan: &Plan, tile: usize) {
        let Some(tile) = self.tiles.get(tile).filter(|tile| tile.is_current) else {
            return;
        };
        read_through(&tile.words, |word| word);
        read_rows_through(&tile.live);
        for kernel in &plan.kernels {
            let windows = &tile.windows[kernel.window_rows()];
            if !windows.is_empty() {
                let mut read = |needed| read_rows_through(&windows[needed]);
                kernel.runner.needed_rows(tile.bars, &mut read);
            }
        }
    }

    /// Brings a copy of what a kernel remembers of a lane, which may be ahead, up to date; see [`TileMemories::settle`].
    pub(crate) fn settle_alone(
        &self,
        kernel: &PlannedKernel,
        lane: usize,
        Memory { words, window }: Memory<'_>,
        newest: &Newest,
    ) {
        let (Some(tile), Some(bar), Some(_)) = (self.ahead(lane), newest.frame(lane), kernel.rows)
        else {
            return;
        };
        let place = lane % WINDOWS;
        let live = &tile.live[kernel.live_rows()];
        let rows = &tile.windows[kernel.window_rows()];
        for (row, number) in rows.iter().zip(kernel.numbers_of_rows()) {
            window[number] = row.0[place];
        }
        let memory = Memory { words, window };
        (kernel.runner).catch_up(memory, (live, place), &bar, tile.bars);
    }

    /// The tile of a lane whose memory is here only.
    fn ahead(&self, lane: usize) -> Option<&MemoryOfTile> {
        self.tiles.get(lane / WINDOWS).filter(|tile| tile.is_ahead)
    }
}
