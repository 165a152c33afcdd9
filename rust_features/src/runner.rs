//! Runs a kernel over bars or over series without knowing which kernel it is.
//!
//! One virtual call covers a whole chunk of bars or a tile of series; inside it the compiler knows the kernel, keeps
//! its state in registers and inlines its step.

use std::fmt::Debug;
use std::ops::Range;

use crate::across::{self, AcrossSymbols, BuildAcross};
use crate::arguments::{ArgumentError, Arguments};
use crate::frame::{Block, Column, Columns, Frame, Lookback, Span};
use crate::instructions::{Work, with_half_vectors, with_widest_vectors};
use crate::kernel::{Description, Kernel, Values};
use crate::neighbours::{Row, WINDOWS};
use crate::side_by_side::{MemoryRows, SideBySide};
use crate::state::{State, Words, WordsMut};
use crate::tile_step::{Step, Tile, TileMemory, catch_up, copy_live};
use crate::window::all_finite;

/// A kernel with its type erased.
pub(crate) trait Runner: Debug + Send + Sync {
    fn lookback(&self) -> Lookback;
    /// Bars that the kernel reads of many series side by side.
    fn side_by_side(&self) -> Lookback;
    fn warmup_bars(&self, output: usize) -> usize;
    /// Number of outputs.
    fn outputs(&self) -> usize;
    /// Outputs, counted from the first, that `run_bars` can give alone.
    fn classic_outputs(&self) -> usize;
    /// Revision of what state and window mean.
    fn revision(&self) -> u32;
    /// Words of state of one series.
    fn words(&self) -> usize;
    /// Length of the kernel's own window.
    fn window_len(&self) -> usize;
    /// Writes the state of a series that has seen no bar.
    fn initialise(&self, words: &mut [u64]);
    /// Whether the kernel looks at every number of this column itself, wherever it takes spans.
    fn span_checks(&self, column: Column) -> bool;
    /// Where what the kernel remembers may lie as rows: the live numbers of a state, the parts of a window, and the numbers
    /// of each that do.
    fn memory_rows(&self) -> Option<(usize, (usize, usize))>;
    /// Copies the live numbers of a state into the cells of the series at a place.
    fn copy_live(&self, words: &[u64], rows: &mut [Row], place: usize);
    /// Makes a state what it is with the live numbers of the series at a place, whose window was copied from its rows; see
    /// [`Kernel::catch_up`].
    fn catch_up(&self, memory: Memory<'_>, live: (&[Row], usize), newest: &Frame<'_>, bars: u64);
    /// Rows that the kernel keeps behind those of the windows.
    fn derived_rows(&self) -> usize;
    /// Makes these rows, which were not kept so far, be what they are before the newest bar.
    fn derive(&self, newest: &SideBySide<'_>, rows: &mut [Row]);
    /// Bars that the kernel reads of many series side by side when all windows lie as rows.
    fn lookback_beside_rows(&self) -> Lookback;
    /// Tells which of all rows, once `bars` bars were taken since they were laid, the next one needs.
    fn needed_rows(&self, bars: u64, tell: &mut dyn FnMut(Range<usize>));
    /// Makes the newest values of the window of one series be where they are in another's.
    fn align(&self, words: &mut [u64], window: &mut [f64]);
    /// The same for rows.
    fn align_rows(&self, words: &mut [u64], window: &mut [f64]);
    /// Steps one series over consecutive bars, given with all columns and their log returns; each of `out` takes one
    /// output of all bars: every output, or only the classic ones. False at a number of the `unchecked` columns that is
    /// not finite; what `out` holds is then worth nothing.
    fn run_bars(
        &self,
        memory: Memory<'_>,
        columns: (&Columns<'_>, &[f64]),
        unchecked: &[(Column, &[f64])],
        bars: Range<usize>,
        out: &mut [&mut [f64]],
    ) -> bool;
    /// The signals at all bars, 0 before the first; false, with cells that are worth nothing, where the kernel gives none
    /// or does not take every bar. It looks only at the columns of [`Runner::span_checks`].
    fn run_signals(&self, columns: &Columns<'_>, cells: &mut [i32]) -> bool;
    /// Steps several series by one bar each; `out` holds the rows of features. `memory_rows` counts instead of `memory`
    /// where there is one.
    fn run_tile(
        &self,
        memory: TileMemory<'_>,
        memory_rows: Option<MemoryRows<'_>>,
        tile: &Tile<'_>,
        out: &mut [f64],
    );
    /// As `run_tile`, but leaves the memory as it was.
    fn peek_tile(&self, memory: TileMemory<'_>, tile: &Tile<'_>, out: &mut [f64]);
}

/// Words and window of one kernel, of one series.
#[derive(Debug)]
pub(crate) struct Memory<'a> {
    pub(crate) words: &'a mut [u64],
    pub(crate) window: &'a mut [f64],
}

/// A kernel and the column that its `source` parameter names.
#[derive(Debug)]
struct Built<K> {
    kernel: K,
    source: Option<Column>,
}

/// Whether the kernel has a `source` parameter.
const fn has_source<K: Kernel>() -> bool {
    let parameters = K::DESCRIPTION.parameters;
    let mut at = 0;
    while at < parameters.len() {
        if parameters[at].is_column() {
            return true;
        }
        at += 1;
    }
    false
}

/// Bars stepped before a kernel that took no block is asked again; twice as many after each refusal, up to a block.
const STEPS: usize = 8;

/// Longer windows do not lie as rows: what a bar saves is then little beside what turning them takes.
const MOST_WINDOW_ROWS: usize = 512;

/// Outputs that a kernel may have to take blocks and spans.
const MOST_OUTPUTS: usize = 10;

struct Chunk<'a, 'o, K> {
    kernel: &'a K,
    source: Option<Column>,
    memory: Memory<'a>,
    columns: &'a Columns<'a>,
    log_returns: &'a [f64],
    unchecked: &'a [(Column, &'a [f64])],
    bars: Range<usize>,
    out: &'a mut [&'o mut [f64]],
}

impl<K: Kernel> Work for Chunk<'_, '_, K> {
    type Result = bool;

    #[inline(always)]
    fn run(self) -> bool {
        // Two loops: what the first does not write, the compiler does not compute.
        if const { K::CLASSIC_OUTPUTS < K::Output::LEN } && self.out.len() < K::Output::LEN {
            self.run_loop(const { K::CLASSIC_OUTPUTS })
        } else {
            self.run_loop(const { K::Output::LEN })
        }
    }
}

impl<K: Kernel> Chunk<'_, '_, K> {
    /// Whether the unchecked columns, those that spans check or the others, hold finite numbers at these bars.
    #[inline(always)]
    fn finite(&self, by_spans: bool, bars: Range<usize>) -> bool {
        self.unchecked.iter().all(|(column, values)| {
            self.kernel.span_checks(*column) != by_spans || all_finite(&values[bars.clone()])
        })
    }

    #[inline(always)]
    fn run_loop(mut self, outputs: usize) -> bool {
        if !self.finite(false, self.bars.clone()) {
            return false;
        }
        let out = std::mem::take(&mut self.out);
        let mut state = K::State::load(&mut Words::new(self.memory.words));
        let window = std::mem::take(&mut self.memory.window);
        // Cut here, where the compiler sees that all columns have one length: then no bar checks an index.
        let columns = self.columns.first(self.bars.end);
        let source = columns.column(self.source.unwrap_or(Column::Close));
        let length = self.bars.len();
        let out = &mut out[..outputs];
        let mut rows = [Row::ZEROS; MOST_OUTPUTS];
        let (mut at, mut steps) = (0, STEPS);
        while at < length {
            let block = Block {
                columns,
                source,
                first: self.bars.start + at,
            };
            if outputs <= MOST_OUTPUTS {
                let mut rest: [&mut [f64]; MOST_OUTPUTS] = Default::default();
                for (rest, column) in rest.iter_mut().zip(&mut *out) {
                    *rest = &mut column[at..length];
                }
                let rest = &mut rest[..outputs];
                let taken = self.kernel.span(&mut state, window, block.span(), rest);
                if taken > 0 {
                    (at, steps) = (at + taken, STEPS);
                    continue;
                }
                if length - at >= WINDOWS {
                    if !self.finite(true, block.first..block.first + WINDOWS) {
                        return false;
                    }
                    let rows = &mut rows[..outputs];
                    if self.kernel.block(&mut state, window, block, rows) {
                        for (row, column) in rows.iter().zip(rest) {
                            column[..WINDOWS].copy_from_slice(&row.0);
                        }
                        (at, steps) = (at + WINDOWS, STEPS);
                        continue;
                    }
                }
            }
            // Bars up to the next try.
            let end = length.min(at + steps);
            steps = WINDOWS.min(2 * steps);
            if !self.finite(true, self.bars.start + at..self.bars.start + end) {
                return false;
            }
            for bar in at..end {
                let index = self.bars.start + bar;
                let mut frame = columns.frame(index, self.log_returns);
                if const { has_source::<K>() } {
                    frame = frame.with_source(&source[..=index]);
                }
                let values = self.kernel.step(&mut state, window, &frame);
                for (column, value) in out.iter_mut().zip(values.as_slice()) {
                    column[bar] = *value;
                }
            }
            at = end;
        }
        state.store(&mut WordsMut::new(self.memory.words));
        true
    }
}

struct Signals<'a, K> {
    kernel: &'a K,
    span: Span<'a>,
    cells: &'a mut [i32],
}

impl<K: Kernel> Work for Signals<'_, K> {
    type Result = usize;

    #[inline(always)]
    fn run(self) -> usize {
        self.kernel.signals(self.span, self.cells)
    }
}

impl<K: Kernel> Runner for Built<K> {
    fn lookback(&self) -> Lookback {
        self.kernel.lookback()
    }

    fn side_by_side(&self) -> Lookback {
        if const { K::SIDE_BY_SIDE } {
            SideBySide::lookback(self.kernel.lookback())
        } else {
            Lookback::CURRENT_BAR
        }
    }

    fn warmup_bars(&self, output: usize) -> usize {
        self.kernel.warmup_bars(output)
    }

    fn outputs(&self) -> usize {
        K::Output::LEN
    }

    fn classic_outputs(&self) -> usize {
        K::CLASSIC_OUTPUTS
    }

    fn revision(&self) -> u32 {
        K::REVISION
    }

    fn span_checks(&self, column: Column) -> bool {
        self.kernel.span_checks(column)
    }

    fn words(&self) -> usize {
        K::State::WORDS
    }

    fn window_len(&self) -> usize {
        self.kernel.window_len()
    }

    fn initialise(&self, words: &mut [u64]) {
        K::State::default().store(&mut WordsMut::new(words));
    }

    fn memory_rows(&self) -> Option<(usize, (usize, usize))> {
        // Without the bars it looks back on, it is not given any rows.
        let takes_them = K::MEMORY_ROWS
            && self.side_by_side() == self.kernel.lookback()
            && self.kernel.window_len() <= MOST_WINDOW_ROWS
            && self.kernel.takes_rows();
        let mut live = 0;
        (self.kernel).live(&mut K::State::default(), &mut |_| live += 1);
        takes_them.then(|| (live, self.kernel.window_rows()))
    }

    fn copy_live(&self, words: &[u64], rows: &mut [Row], place: usize) {
        let mut state = K::State::load(&mut Words::new(words));
        copy_live(&self.kernel, &mut state, rows, place);
    }

    fn catch_up(
        &self,
        Memory { words, window }: Memory<'_>,
        live: (&[Row], usize),
        newest: &Frame<'_>,
        bars: u64,
    ) {
        let mut state = K::State::load(&mut Words::new(words));
        catch_up(&self.kernel, (&mut state, window), live, newest, bars);
        state.store(&mut WordsMut::new(words));
    }

    fn derived_rows(&self) -> usize {
        self.kernel.derived_rows()
    }

    fn derive(&self, newest: &SideBySide<'_>, rows: &mut [Row]) {
        self.kernel.derive(newest, rows);
    }

    fn lookback_beside_rows(&self) -> Lookback {
        if const { K::SIDE_BY_SIDE } {
            SideBySide::lookback(self.kernel.lookback_beside_rows())
        } else {
            Lookback::CURRENT_BAR
        }
    }

    fn needed_rows(&self, bars: u64, tell: &mut dyn FnMut(Range<usize>)) {
        self.kernel.needed_rows(bars, tell);
    }

    fn align(&self, words: &mut [u64], window: &mut [f64]) {
        let mut state = K::State::load(&mut Words::new(words));
        self.kernel.align(&mut state, window);
        state.store(&mut WordsMut::new(words));
    }

    fn align_rows(&self, words: &mut [u64], window: &mut [f64]) {
        let mut state = K::State::load(&mut Words::new(words));
        self.kernel.align_rows(&mut state, window);
        state.store(&mut WordsMut::new(words));
    }

    fn run_bars(
        &self,
        memory: Memory<'_>,
        (columns, log_returns): (&Columns<'_>, &[f64]),
        unchecked: &[(Column, &[f64])],
        bars: Range<usize>,
        out: &mut [&mut [f64]],
    ) -> bool {
        let chunk = Chunk {
            kernel: &self.kernel,
            source: self.source,
            memory,
            columns,
            log_returns,
            unchecked,
            bars,
            out,
        };
        if const { K::IS_CHAIN } {
            with_half_vectors(chunk)
        } else {
            with_widest_vectors(chunk)
        }
    }

    fn run_signals(&self, columns: &Columns<'_>, cells: &mut [i32]) -> bool {
        let first = self.kernel.warmup_bars(0);
        let Some((before, cells)) = cells.split_at_mut_checked(first) else {
            return false;
        };
        before.fill(0);
        let block = Block {
            columns: *columns,
            source: columns.close,
            first,
        };
        let length = cells.len();
        let taken = with_widest_vectors(Signals {
            kernel: &self.kernel,
            span: block.span(),
            cells,
        });
        taken > 0 && taken == length
    }

    fn run_tile(
        &self,
        memory: TileMemory<'_>,
        memory_rows: Option<MemoryRows<'_>>,
        tile: &Tile<'_>,
        out: &mut [f64],
    ) {
        with_widest_vectors(Step {
            kernel: &self.kernel,
            memory,
            memory_rows,
            tile,
            out,
        });
    }

    fn peek_tile(&self, mut memory: TileMemory<'_>, tile: &Tile<'_>, out: &mut [f64]) {
        let window_len = self.kernel.window_len();
        let mut scratch = vec![0.0; window_len];
        for (place, (lane, row)) in tile.rows.iter().enumerate() {
            let words = memory.words.of(place, *lane, K::State::WORDS);
            scratch.copy_from_slice(memory.windows.of(place, *lane, window_len));
            let mut state = K::State::load(&mut Words::new(words));
            let values = self
                .kernel
                .step(&mut state, &mut scratch, &tile.frames[place]);
            tile.show(*row, values, out);
        }
    }
}

/// A kernel as the registry knows it.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Name, parameters, outputs, formulas and source.
    pub description: &'static Description,
    pub(crate) build: fn(&Arguments) -> Result<Box<dyn Runner>, ArgumentError>,
    /// Builds the half that sees other symbols, where there is one.
    pub(crate) build_across: Option<BuildAcross>,
}

impl Debug for Entry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("Entry")
            .field(&self.description.name)
            .finish()
    }
}

impl Entry {
    /// The registry's entry for a kernel.
    pub const fn of<K: Kernel>() -> Self {
        Self {
            description: const { &K::DESCRIPTION },
            build: |arguments| {
                Ok(Box::new(Built {
                    kernel: K::new(arguments)?,
                    source: arguments.column().ok(),
                }))
            },
            build_across: None,
        }
    }

    /// The registry's entry for a kernel that compares symbols.
    pub(crate) const fn across<K: Kernel + AcrossSymbols>() -> Self {
        Self {
            build_across: Some(across::build::<K>),
            ..Self::of::<K>()
        }
    }
}
