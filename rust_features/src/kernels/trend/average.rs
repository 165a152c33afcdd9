//! What moving averages of one series have in common, and the kernel that each of them becomes.

use std::fmt::Debug;

use super::simple_moving_average::ratio;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::Row;
use crate::side_by_side::{Memories, SideBySide};
use crate::state::State;

/// A moving average of any series, with its period. A new one implements this and is a kernel by [`AverageKernel`].
pub(crate) trait Average: Debug + Send + Sync + Sized + 'static {
    /// What it remembers besides the newest values.
    type State: State;
    /// Name in a feature spec, of the kernel and of its first output.
    const NAME: &'static str;
    /// What it measures, one line.
    const SUMMARY: &'static str;
    /// Period when the spec leaves it out.
    const DEFAULT_PERIOD: i64;
    /// How it is computed.
    const FORMULA: &'static str;
    /// Where the definition comes from.
    const SOURCE: &'static str;

    /// Whether each average is made from the one before, see [`Kernel::IS_CHAIN`].
    const IS_CHAIN: bool = false;
    /// Whether `push_all` takes no value that is not finite, see [`Kernel::span_checks`].
    const CHECKS: bool = false;

    /// Whether there is an `average_of_each`.
    const OF_EACH: bool = false;

    /// See [`Kernel::MEMORY_ROWS`].
    const MEMORY_ROWS: bool = false;

    /// See [`Kernel::live`]; nothing else changes.
    #[inline(always)]
    fn live(state: &mut Self::State, show: &mut impl FnMut(&mut f64)) {
        let _ = (state, show);
    }

    /// The average over `period` values, at least one.
    fn over(period: usize) -> Self;

    /// Values before the first one that has an average.
    fn lookback(&self) -> usize;

    /// Newest values, the current one included, that `push` reads; 0 if it needs the current one only.
    fn taps(&self) -> usize;

    /// Takes a value; the average once it is warm. `newest` holds `taps` values, or is `None` while there are fewer.
    fn push(&self, state: &mut Self::State, value: f64, newest: Option<&[f64]>) -> Option<f64>;

    /// The averages at the first of many values, with the bits of `push`, where that is faster; how many. `newest` are the windows of `taps` values that end at each value, side by side.
    #[inline(always)]
    fn push_all(
        &self,
        state: &mut Self::State,
        values: &[f64],
        newest: Option<&[f64]>,
        averages: &mut [f64],
    ) -> usize {
        let _ = (state, values, newest, averages);
        0
    }

    /// The averages of many series, of `taps` values each, with the bits of `push`.
    #[inline(always)]
    fn average_of_each(&self, memories: &mut Memories<'_>, newest: &[Row]) -> Option<Row> {
        let _ = (memories, newest);
        None
    }
}

/// A moving average of a column.
#[derive(Debug)]
pub(crate) struct AverageKernel<A> {
    average: A,
    column: Column,
}

impl<A: Average> Kernel for AverageKernel<A> {
    type State = A::State;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: A::NAME,
        summary: A::SUMMARY,
        parameters: &[
            Parameter::period("timeperiod", "bars of the average", A::DEFAULT_PERIOD, 1),
            Parameter::column("close"),
        ],
        outputs: &[
            output(A::NAME, A::FORMULA),
            output("ratio", "value / average - 1; 0 when the average is 0"),
        ],
        source: A::SOURCE,
    };
    const CLASSIC_OUTPUTS: usize = 1;
    const IS_CHAIN: bool = A::IS_CHAIN;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            average: A::over(arguments.count("timeperiod")?),
            column: arguments.column()?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(self.column, self.average.taps())
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.average.lookback()
    }

    const SIDE_BY_SIDE: bool = A::OF_EACH;
    const MEMORY_ROWS: bool = A::MEMORY_ROWS;

    #[inline(always)]
    fn live(&self, state: &mut A::State, show: &mut impl FnMut(&mut f64)) {
        A::live(state, show);
    }

    #[inline(always)]
    fn side_by_side(
        &self,
        memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(values @ [.., newest]), [averages, ratios]) =
            (newest.last(self.column, self.average.taps()), outputs)
        else {
            return false;
        };
        let Some(all) = self.average.average_of_each(memories, values) else {
            return false;
        };
        *averages = all;
        super::simple_moving_average::ratios(&newest.0, &averages.0, &mut ratios.0);
        true
    }

    #[inline(always)]
    fn step(&self, state: &mut A::State, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let value = frame.current(self.column);
        let newest = frame.last(self.column, self.average.taps());
        match self.average.push(state, value, newest) {
            Some(average) => [average, ratio(value, average)],
            None => [f64::NAN; 2],
        }
    }

    #[inline(always)]
    fn span_checks(&self, column: Column) -> bool {
        A::CHECKS && column == self.column
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut A::State,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (values, [averages, ratios @ ..]) = (span.source(), outputs) else {
            return 0;
        };
        let newest = span.sources(self.average.taps());
        let bars = self.average.push_all(state, values, newest, averages);
        if let [ratios, ..] = ratios {
            super::simple_moving_average::ratios(values, &averages[..bars], ratios);
        }
        bars
    }
}
