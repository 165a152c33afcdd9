//! The contract of an indicator: one [`Kernel::step`] per bar, for batch, stream and panel alike.

use std::fmt::Debug;
use std::ops::Range;

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame, Lookback, Span};
use crate::neighbours::Row;
use crate::side_by_side::{Memories, SideBySide};
use crate::state::State;
use crate::trailing;

/// One indicator with its parameters. A new one implements this and nothing else.
///
/// A kernel holds parameters only. What it remembers of a series lives in three places:
/// - the shared history of prices and volumes, read through [`Frame`] as far back as [`Kernel::lookback`] declares;
/// - [`Kernel::State`], plain numbers, for recursions;
/// - `window`, [`Kernel::window_len`] numbers that start as zero, for past values of its own (see [`crate::window::slide`]).
///
/// Whoever owns these three can copy, store and restore a series without knowing the kernel, so `peek`, `reset`,
/// snapshots and rollback hold for every kernel by construction. `step` must not read a clock, the environment or
/// anything but its arguments.
pub trait Kernel: Debug + Send + Sync + Sized + 'static {
    /// What the kernel remembers besides prices; `()` for a function of the last bars.
    type State: State;
    /// `[f64; N]`, one value for each output of the description, in its order.
    type Output: Values;
    /// Name, parameters, outputs, formulas and source.
    const DESCRIPTION: Description;
    /// Outputs, counted from the first, that a function library has too; those after it are ours and cost nothing
    /// when only these are asked for.
    const CLASSIC_OUTPUTS: usize = Self::Output::LEN;
    /// Whether bars wait for the one before more than anything else: then vectors of 512 bits lose, because a scalar
    /// operation beside them takes six cycles instead of four.
    const IS_CHAIN: bool = false;
    /// Raise it when the meaning of the state or window changes, so that older snapshots are refused.
    const REVISION: u32 = 1;

    /// Builds the kernel from arguments already checked against the description.
    ///
    /// # Errors
    /// A combination of arguments that makes no sense, for example a fast period above the slow one.
    fn new(arguments: &Arguments) -> Result<Self, ArgumentError>;

    /// Bars of each column that `step` reads.
    fn lookback(&self) -> Lookback {
        Lookback::CURRENT_BAR
    }

    /// Numbers of `window`.
    fn window_len(&self) -> usize {
        0
    }

    /// Index of the first bar, counted from 0, at which this output is valid; NaN before it and never after.
    fn warmup_bars(&self, output: usize) -> usize;

    /// Takes one bar; returns every output, NaN before its warm-up.
    fn step(&self, state: &mut Self::State, window: &mut [f64], frame: &Frame<'_>) -> Self::Output;

    /// Takes a block of bars at once, where that is faster than as many steps: the outputs asked for, the first ones
    /// or all, with the bits of the steps. False, with nothing changed, when it cannot: then it is stepped.
    #[inline(always)]
    fn block(
        &self,
        state: &mut Self::State,
        window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let _ = (state, window, block, outputs);
        false
    }

    /// Whether there is a [`Kernel::side_by_side`].
    const SIDE_BY_SIDE: bool = false;

    /// Whether what it remembers of series that have all been warm for a bar may lie as rows, a cell for each: the numbers
    /// that [`Kernel::live`] shows, and the windows. [`Kernel::side_by_side`] then takes these rows ([`Memories::take_rows`])
    /// and never refuses; a kernel without it has no window, and is stepped.
    const MEMORY_ROWS: bool = false;

    /// Whether it does with these parameters.
    fn takes_rows(&self) -> bool {
        Self::MEMORY_ROWS
    }

    /// Shows each number of a warm series' state that a bar changes and that [`Kernel::catch_up`] does not find, in an order
    /// of its own.
    #[inline(always)]
    fn live(&self, state: &mut Self::State, show: &mut impl FnMut(&mut f64)) {
        let _ = (state, show);
    }

    /// Makes what follows from a warm series' newest bar, from the numbers that are live and from the `bars` it took since
    /// [`Kernel::align`] what it is, and the window that it lay as rows what steps expect.
    #[inline(always)]
    fn catch_up(&self, state: &mut Self::State, window: &mut [f64], newest: &Frame<'_>, bars: u64) {
        let _ = (state, window, newest, bars);
    }

    /// What of an aligned window lies as rows: of how many parts of equal length it consists, and how many numbers from the
    /// start of each do.
    fn window_rows(&self) -> (usize, usize) {
        (1, self.window_len())
    }

    /// Rows that follow from the bars it looks back on, kept behind those of the windows so that fewer of these bars need be
    /// read.
    fn derived_rows(&self) -> usize {
        0
    }

    /// Makes [`Kernel::derived_rows`], which were not kept so far, be what they are before the newest bar.
    fn derive(&self, newest: &SideBySide<'_>, rows: &mut [Row]) {
        let _ = (newest, rows);
    }

    /// Bars of each column that [`Kernel::side_by_side`] reads when it has all these rows.
    fn lookback_beside_rows(&self) -> Lookback {
        self.lookback()
    }

    /// Tells which of all these rows, once `bars` bars were taken since they were laid, the next one needs.
    fn needed_rows(&self, bars: u64, tell: &mut dyn FnMut(Range<usize>)) {
        let (parts, len) = self.window_rows();
        for part in 0..parts {
            // Only trailing windows are longer than their rows.
            let needed = if parts * len < self.window_len() {
                trailing::needed_rows(len, bars)
            } else {
                0..len
            };
            tell(part * len + needed.start..part * len + needed.end);
        }
    }

    /// Moves a window's values so that the newest ones are where they are in each other series' window.
    fn align(&self, state: &mut Self::State, window: &mut [f64]) {
        let _ = (state, window);
    }

    /// The same for rows: what [`Kernel::catch_up`] can undo need not be so in a snapshot.
    fn align_rows(&self, state: &mut Self::State, window: &mut [f64]) {
        self.align(state, window);
    }

    /// Steps many series at once, a cell of each row for each, where that is faster than as many steps: every output,
    /// with their bits. False, with no memory changed, when it cannot: then they are stepped. Every series has the bars
    /// that [`Kernel::lookback`] declares.
    #[inline(always)]
    fn side_by_side(
        &self,
        memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let _ = (memories, newest, outputs);
        false
    }

    /// Whether [`Kernel::span`] takes no bar whose number in this column is not finite. Then nobody looks before it does,
    /// and the look costs nothing beside a recursion.
    #[inline(always)]
    fn span_checks(&self, column: Column) -> bool {
        let _ = column;
        false
    }

    /// As [`Kernel::block`] for any number of bars, straight into the columns of the outputs: for recursions and
    /// functions of a bar, which need no windows side by side. The bars taken, from the first one; the next is stepped.
    #[inline(always)]
    fn span(
        &self,
        state: &mut Self::State,
        window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let _ = (state, window, span, outputs);
        0
    }

    /// As [`Kernel::span`] where the only output is whole numbers of one span, with every column checked.
    #[inline(always)]
    fn signals(&self, span: Span<'_>, cells: &mut [i32]) -> usize {
        let _ = (span, cells);
        0
    }
}

/// The outputs of one step: an array of `f64`.
pub trait Values: Copy {
    /// Number of outputs.
    const LEN: usize;
    /// A row for each output.
    type Rows: AsMut<[Row]>;
    /// Rows of zeros.
    const ROWS: Self::Rows;
    /// The outputs in order.
    fn as_slice(&self) -> &[f64];
}

impl<const N: usize> Values for [f64; N] {
    const LEN: usize = N;
    type Rows = [Row; N];
    const ROWS: Self::Rows = [Row::ZEROS; N];

    #[inline(always)]
    fn as_slice(&self) -> &[f64] {
        self
    }
}

/// What people and specs need to know of a kernel.
#[derive(Debug, Clone, Copy)]
pub struct Description {
    /// Name in a feature spec; TA-Lib's name in lower case where TA-Lib has the indicator.
    pub name: &'static str,
    /// What it measures, one line.
    pub summary: &'static str,
    /// Parameters with their defaults and ranges.
    pub parameters: &'static [Parameter],
    /// Outputs; the first is the default one.
    pub outputs: &'static [OutputDescription],
    /// Where the definition comes from.
    pub source: &'static str,
}

/// One output of a kernel.
#[derive(Debug, Clone, Copy)]
pub struct OutputDescription {
    /// Name in a feature spec.
    pub name: &'static str,
    /// How it is computed, including the value for a flat market.
    pub formula: &'static str,
}

/// Shorthand for an [`OutputDescription`].
pub const fn output(name: &'static str, formula: &'static str) -> OutputDescription {
    OutputDescription { name, formula }
}
