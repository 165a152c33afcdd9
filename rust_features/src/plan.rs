//! A spec made executable: each distinct kernel once, and where its outputs go.

use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::across::Across;
use crate::frame::{Column, LOG_RETURNS, Lookback};
use crate::runner::Runner;
use crate::tile_step::OutputColumn;
use crate::tiled::Part;

/// Kernels of one spec with their places in memory.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) kernels: Vec<PlannedKernel>,
    pub(crate) features: usize,
    pub(crate) lookback: Lookback,
    /// What kernels read of many series side by side.
    pub(crate) side_by_side: Lookback,
    /// The same when all windows lie as rows.
    pub(crate) beside_rows: Lookback,
    /// Whether no kernel reads a history where series stand side by side.
    pub(crate) rows_suffice: bool,
    /// Words of state of one series.
    pub(crate) words: usize,
    /// Window values of one series, history excluded.
    pub(crate) window: usize,
    pub(crate) warmup_bars: usize,
    /// Bars from which on no kernel counts any more how many it has seen.
    pub(crate) settled_bars: usize,
    /// Rows of the live numbers of a whole tile's states.
    pub(crate) live_rows: usize,
    /// Rows of its windows, and of what follows from bars.
    pub(crate) window_rows: usize,
    /// Outputs of the kernel that has most.
    pub(crate) most_outputs: usize,
}

/// One kernel of a plan.
#[derive(Debug)]
pub(crate) struct PlannedKernel {
    pub(crate) runner: Box<dyn Runner>,
    /// Set for a kernel that compares symbols; its runner gives NaN.
    pub(crate) across: Option<Across>,
    pub(crate) columns: Vec<OutputColumn>,
    /// Its words of state.
    pub(crate) words: Part,
    /// Its window.
    pub(crate) window: Part,
    /// `None` where what it remembers never lies as rows.
    pub(crate) rows: Option<RowsOfMemory>,
}

/// How what a kernel remembers lies as rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowsOfMemory {
    /// Those of the states' live numbers, which bars read all and change.
    live: Part,
    /// The first of the others.
    first: usize,
    /// Parts of equal length that a window consists of.
    parts: usize,
    /// Rows of each part: its first numbers, which hold all newest values.
    len: usize,
    /// Rows behind these, which hold no numbers of a window.
    derived: usize,
}

impl RowsOfMemory {
    /// Rows beside the live ones.
    fn count(self) -> usize {
        self.numbers() + self.derived
    }

    fn numbers(self) -> usize {
        self.parts * self.len
    }
}

impl PlannedKernel {
    /// Its rows among the live ones of a whole tile.
    pub(crate) fn live_rows(&self) -> Range<usize> {
        self.rows.map_or(0..0, |rows| rows.live.range())
    }

    /// Its rows among the others.
    pub(crate) fn window_rows(&self) -> Range<usize> {
        self.rows
            .map_or(0..0, |rows| rows.first..rows.first + rows.count())
    }

    /// Of these, the first that holds no numbers of a window.
    pub(crate) fn first_derived_row(&self) -> usize {
        self.rows.map_or(0, RowsOfMemory::numbers)
    }

    /// For each of its rows of windows the number that it holds.
    pub(crate) fn numbers_of_rows(&self) -> impl Iterator<Item = usize> + Clone {
        let (parts, len) = self.rows.map_or((0, 0), |rows| (rows.parts, rows.len));
        let part_len = self.window.len.checked_div(parts).unwrap_or(0);
        (0..parts).flat_map(move |part| (0..len).map(move |at| part * part_len + at))
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            kernels: Vec::new(),
            features: 0,
            lookback: Lookback::default(),
            side_by_side: Lookback::default(),
            beside_rows: Lookback::default(),
            rows_suffice: true,
            words: 0,
            window: 0,
            warmup_bars: 0,
            settled_bars: 0,
            live_rows: 0,
            window_rows: 0,
            most_outputs: 0,
        }
    }
}

impl Plan {
    /// Adds a kernel and returns its index.
    pub(crate) fn add_kernel(&mut self, runner: Box<dyn Runner>) -> usize {
        self.lookback = self.lookback.and(runner.lookback());
        self.side_by_side = self.side_by_side.and(runner.side_by_side());
        self.beside_rows = self.beside_rows.and(runner.lookback_beside_rows());
        self.rows_suffice &= runner.side_by_side() == runner.lookback();
        let words = Part {
            first: self.words,
            len: runner.words(),
        };
        let window = Part {
            first: self.window,
            len: runner.window_len(),
        };
        self.words += words.len;
        self.window += window.len;
        self.most_outputs = self.most_outputs.max(runner.outputs());
        for output in 0..runner.outputs() {
            self.settled_bars = self.settled_bars.max(runner.warmup_bars(output) + 1);
        }
        let rows = runner
            .memory_rows()
            .map(|(live, (parts, len))| RowsOfMemory {
                live: Part {
                    first: self.live_rows,
                    len: live,
                },
                first: self.window_rows,
                parts,
                len,
                derived: runner.derived_rows(),
            });
        self.live_rows += rows.map_or(0, |rows| rows.live.len);
        self.window_rows += rows.map_or(0, RowsOfMemory::count);
        self.kernels.push(PlannedKernel {
            runner,
            across: None,
            columns: Vec::new(),
            words,
            window,
            rows,
        });
        self.kernels.len() - 1
    }

    /// Shows an output of a kernel as the next feature.
    pub(crate) fn add_feature(&mut self, kernel: usize, output: usize) {
        let kernel = &mut self.kernels[kernel];
        kernel.columns.push(OutputColumn {
            output,
            column: self.features,
        });
        self.warmup_bars = self.warmup_bars.max(kernel.runner.warmup_bars(output));
        self.features += 1;
    }

    /// Whether a kernel compares symbols.
    pub(crate) fn compares_symbols(&self) -> bool {
        self.kernels.iter().any(|kernel| kernel.across.is_some())
    }

    /// Leaves the next feature's column to another plan.
    pub(crate) fn add_foreign_feature(&mut self, warmup_bars: usize) {
        self.warmup_bars = self.warmup_bars.max(warmup_bars);
        self.features += 1;
    }

    /// Describes what one series remembers: a snapshot of another layout must not be read as this one.
    pub(crate) fn describe_memory(&self, hash: &mut Sha256) {
        let mut number = |value: usize| hash.update((value as u64).to_le_bytes());
        for column in Column::ALL {
            number(self.lookback.bars(column));
        }
        // Left out where nobody reads them: such snapshots look as they always did.
        if self.lookback.reads_log_returns() {
            number(self.lookback.kept()[LOG_RETURNS]);
        }
        for kernel in &self.kernels {
            number(kernel.runner.revision() as usize);
            number(kernel.words.len);
            number(kernel.window.len);
        }
    }

    /// Bytes that one series takes.
    pub(crate) fn series_bytes(&self) -> usize {
        8 * (self.words + self.window + crate::history::values_per_lane(self.lookback))
    }

    /// Bytes that one series of a whole tile takes besides: newest bars, windows and states as rows.
    pub(crate) fn tile_bytes(&self) -> usize {
        8 * (crate::newest::values_per_series(self.side_by_side) + self.memory_rows())
    }

    /// Rows of what can lie as rows of a whole tile.
    pub(crate) fn memory_rows(&self) -> usize {
        self.live_rows + self.window_rows
    }
}
