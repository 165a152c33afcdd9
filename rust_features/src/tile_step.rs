//! One kernel's work at one bar of a tile of series: side by side, on rows, or one after the other.

use crate::frame::Frame;
use crate::instructions::Work;
use crate::kernel::{Kernel, Values};
use crate::neighbours::Row;
use crate::output::Ahead;
use crate::side_by_side::{Memories, MemoryRows, PRICES, SideBySide, frame_of};
use crate::state::{State, Words, WordsMut};
use crate::tiled::PartOfSome;

/// Words and windows of one kernel, of the series of a tile.
#[derive(Debug)]
pub(crate) struct TileMemory<'a> {
    pub(crate) words: PartOfSome<'a, u64>,
    pub(crate) windows: PartOfSome<'a, f64>,
}

/// One bar of each of a few series, and where a kernel's outputs go.
pub(crate) struct Tile<'a> {
    /// The series of each frame, and its row of features.
    pub(crate) rows: &'a [(usize, usize)],
    pub(crate) frames: &'a [Frame<'a>],
    /// The newest bars of a full tile of warm series.
    pub(crate) newest: Option<SideBySide<'a>>,
    pub(crate) columns: &'a [OutputColumn],
    /// Features of a row.
    pub(crate) features: usize,
    /// What the next tile will write.
    pub(crate) ahead: &'a Ahead<'a>,
}

impl Tile<'_> {
    /// Writes what a kernel shows of one row.
    #[inline(always)]
    pub(crate) fn show<V: Values>(&self, row: usize, values: V, out: &mut [f64]) {
        let cells = &mut out[row * self.features..][..self.features];
        for OutputColumn { output, column } in self.columns {
            // The only output stays in its register.
            let output = if const { V::LEN == 1 } { 0 } else { *output };
            cells[*column] = values.as_slice()[output];
        }
    }

    /// Writes what a kernel shows of every row.
    #[inline(always)]
    fn show_rows(&self, outputs: &[Row], out: &mut [f64]) {
        for OutputColumn { output, column } in self.columns {
            for ((_, row), value) in self.rows.iter().zip(&outputs[*output].0) {
                out[row * self.features + column] = *value;
            }
        }
    }
}

/// Output of a kernel and the feature column that shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputColumn {
    pub(crate) output: usize,
    pub(crate) column: usize,
}

/// A kernel's work at one bar of each of a few series.
pub(crate) struct Step<'a, K> {
    pub(crate) kernel: &'a K,
    pub(crate) memory: TileMemory<'a>,
    pub(crate) memory_rows: Option<MemoryRows<'a>>,
    pub(crate) tile: &'a Tile<'a>,
    pub(crate) out: &'a mut [f64],
}

/// Copies the live numbers of a state into the cells of the series at a place.
#[inline(always)]
pub(crate) fn copy_live<K: Kernel>(
    kernel: &K,
    state: &mut K::State,
    rows: &mut [Row],
    place: usize,
) {
    let mut rows = rows.iter_mut();
    kernel.live(state, &mut |number| {
        if let Some(row) = rows.next() {
            row.0[place] = *number;
        }
    });
}

/// Makes a state what it is with the live numbers of the series at a place.
#[inline(always)]
pub(crate) fn catch_up<K: Kernel>(
    kernel: &K,
    (state, window): (&mut K::State, &mut [f64]),
    (rows, place): (&[Row], usize),
    newest: &Frame<'_>,
    bars: u64,
) {
    let mut rows = rows.iter();
    kernel.live(state, &mut |number| {
        if let Some(row) = rows.next() {
            *number = row.0[place];
        }
    });
    kernel.catch_up(state, window, newest, bars);
}

impl<K: Kernel> Work for Step<'_, K> {
    type Result = ();

    #[inline(always)]
    fn run(mut self) {
        if const { K::SIDE_BY_SIDE }
            && let Some(newest) = &self.tile.newest
        {
            let mut rows = K::Output::ROWS;
            let rows = rows.as_mut();
            let mut memories = Memories {
                memory: TileMemory {
                    words: self.memory.words.lend(),
                    windows: self.memory.windows.lend(),
                },
                memory_rows: self.memory_rows.take(),
                window_len: self.kernel.window_len(),
                rows: self.tile.rows,
            };
            if self.kernel.side_by_side(&mut memories, newest, rows) {
                self.tile.show_rows(rows, self.out);
                return;
            }
        }
        if const { K::MEMORY_ROWS && !K::SIDE_BY_SIDE }
            && let (Some(rows), Some(newest)) = (self.memory_rows.take(), &self.tile.newest)
        {
            self.step_on_rows(rows, newest.previous);
            return;
        }
        debug_assert!(self.memory_rows.is_none(), "a kernel refused its rows");
        let window_len = self.kernel.window_len();
        for (place, (lane, row)) in self.tile.rows.iter().enumerate() {
            let words = self.memory.words.of(place, *lane, K::State::WORDS);
            let window = self.memory.windows.of(place, *lane, window_len);
            let mut state = K::State::load(&mut Words::new(words));
            let values = self
                .kernel
                .step(&mut state, window, &self.tile.frames[place]);
            state.store(&mut WordsMut::new(words));
            self.tile.show(*row, values, self.out);
        }
    }
}

impl<K: Kernel> Step<'_, K> {
    /// Steps a whole tile of warm series, given their bars before.
    #[inline(always)]
    fn step_on_rows(
        self,
        MemoryRows {
            live, words, bars, ..
        }: MemoryRows<'_>,
        previous: &[Row; PRICES],
    ) {
        let alike = K::State::load(&mut Words::new(words));
        for (place, (_, row)) in self.tile.rows.iter().enumerate() {
            self.tile.ahead.ask();
            let mut state = alike;
            let before = frame_of(previous, place);
            let own = (&mut state, &mut [][..]);
            catch_up(self.kernel, own, (&*live, place), &before, bars);
            let values = (self.kernel).step(&mut state, &mut [], &self.tile.frames[place]);
            copy_live(self.kernel, &mut state, live, place);
            self.tile.show(*row, values, self.out);
        }
    }
}
