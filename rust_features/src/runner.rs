//! Runs a kernel over bars or over series without knowing which kernel it is.
//!
//! One virtual call covers a whole chunk of bars or a tile of series; inside it the compiler knows the kernel, keeps
//! its state in registers and inlines its step.

use std::fmt::Debug;

use crate::across::{self, AcrossSymbols, BuildAcross};
use crate::arguments::{ArgumentError, Arguments};
use crate::frame::{Columns, Frame, Lookback};
use crate::kernel::{Description, Kernel, Values};
use crate::state::{State, Words, WordsMut};

/// A kernel with its type erased.
pub(crate) trait Runner: Debug + Send + Sync {
    fn lookback(&self) -> Lookback;
    fn warmup_bars(&self, output: usize) -> usize;
    /// Words of state of one series.
    fn words(&self) -> usize;
    /// Length of the kernel's own window.
    fn window_len(&self) -> usize;
    /// Writes the state of a series that has seen no bar.
    fn initialise(&self, words: &mut [u64]);
    /// Steps one series over consecutive bars.
    fn run_bars(
        &self,
        memory: Memory<'_>,
        columns: &Columns<'_>,
        bars: std::ops::Range<usize>,
        out: Rows<'_>,
    );
    /// Steps several series by one bar each.
    fn run_tile(&self, memory: Memory<'_>, tile: &Tile<'_>, out: Rows<'_>);
    /// As `run_tile`, but leaves the memory as it was.
    fn peek_tile(&self, memory: Memory<'_>, tile: &Tile<'_>, out: Rows<'_>);
}

/// Words and windows of one kernel, for one series or for all.
pub(crate) struct Memory<'a> {
    pub(crate) words: &'a mut [u64],
    pub(crate) window: &'a mut [f64],
}

/// One bar of each of a few series.
pub(crate) struct Tile<'a> {
    /// Series and output row of each frame.
    pub(crate) rows: &'a [TileRow],
    pub(crate) frames: &'a [Frame<'a>],
}

#[derive(Clone, Copy, Default)]
pub(crate) struct TileRow {
    pub(crate) lane: usize,
    pub(crate) row: usize,
}

/// A row-major matrix of features and the columns that one kernel fills.
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a mut [f64],
    pub(crate) stride: usize,
    pub(crate) columns: &'a [OutputColumn],
}

/// Output of a kernel and the feature column that shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputColumn {
    pub(crate) output: usize,
    pub(crate) column: usize,
}

#[inline(always)]
fn scatter<V: Values>(row: &mut [f64], columns: &[OutputColumn], values: V) {
    for OutputColumn { output, column } in columns {
        row[*column] = values.as_slice()[*output];
    }
}

fn tile<K: Kernel, const COMMIT: bool>(
    kernel: &K,
    memory: &mut Memory<'_>,
    tile: &Tile<'_>,
    out: &mut Rows<'_>,
) {
    let window_len = kernel.window_len();
    let mut scratch = if COMMIT {
        Vec::new()
    } else {
        vec![0.0; window_len]
    };
    for (TileRow { lane, row }, frame) in tile.rows.iter().zip(tile.frames) {
        let words = &mut memory.words[lane * K::State::WORDS..][..K::State::WORDS];
        let window = &mut memory.window[lane * window_len..][..window_len];
        let mut state = K::State::load(&mut Words::new(words));
        let values = if COMMIT {
            let values = kernel.step(&mut state, window, frame);
            state.store(&mut WordsMut::new(words));
            values
        } else {
            scratch.copy_from_slice(window);
            kernel.step(&mut state, &mut scratch, frame)
        };
        scatter(
            &mut out.values[row * out.stride..][..out.stride],
            out.columns,
            values,
        );
    }
}

impl<K: Kernel> Runner for K {
    fn lookback(&self) -> Lookback {
        Kernel::lookback(self)
    }

    fn warmup_bars(&self, output: usize) -> usize {
        Kernel::warmup_bars(self, output)
    }

    fn words(&self) -> usize {
        K::State::WORDS
    }

    fn window_len(&self) -> usize {
        Kernel::window_len(self)
    }

    fn initialise(&self, words: &mut [u64]) {
        K::State::default().store(&mut WordsMut::new(words));
    }

    fn run_bars(
        &self,
        memory: Memory<'_>,
        columns: &Columns<'_>,
        bars: std::ops::Range<usize>,
        out: Rows<'_>,
    ) {
        let mut state = K::State::load(&mut Words::new(memory.words));
        let columns = columns.first(bars.end);
        let rows = out.values.chunks_exact_mut(out.stride);
        if let [OutputColumn { output, column }] = *out.columns {
            // The usual case, and the one that benchmarks against other libraries see.
            for (index, row) in bars.zip(rows) {
                row[column] = self
                    .step(&mut state, memory.window, &columns.frame(index))
                    .as_slice()[output];
            }
        } else {
            for (index, row) in bars.zip(rows) {
                scatter(
                    row,
                    out.columns,
                    self.step(&mut state, memory.window, &columns.frame(index)),
                );
            }
        }
        state.store(&mut WordsMut::new(memory.words));
    }

    fn run_tile(&self, mut memory: Memory<'_>, rows: &Tile<'_>, mut out: Rows<'_>) {
        tile::<K, true>(self, &mut memory, rows, &mut out);
    }

    fn peek_tile(&self, mut memory: Memory<'_>, rows: &Tile<'_>, mut out: Rows<'_>) {
        tile::<K, false>(self, &mut memory, rows, &mut out);
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
            build: |arguments| Ok(Box::new(K::new(arguments)?)),
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
