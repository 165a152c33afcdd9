//! Rate of change of a triple-smoothed average.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::exponential_averages::{cascade, cascade_all};
use crate::kernels::trend::exponential_moving_average::{ExponentialAverage, Smoothing};
use crate::state::state;

/// One-bar rate of change of an average of an average of an average.
#[derive(Debug)]
pub(crate) struct Trix {
    smoothing: Smoothing,
    column: Column,
}

state! {
    /// The three averages and the last value of the third.
    pub(crate) struct TrixState {
        chain: [ExponentialAverage; 3],
        previous: f64,
        known: bool,
    }
}

impl Kernel for Trix {
    type State = TrixState;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "trix",
        summary: "rate of change of a triple-smoothed average",
        parameters: &[
            Parameter::period("timeperiod", "bars of each of the three averages", 30, 1),
            Parameter::column("close"),
        ],
        outputs: &[output(
            "trix",
            "(ema(ema(ema)) / the one before - 1) * 100; 0 when the one before is 0",
        )],
        source: "TA-Lib TRIX; Hutson (1983), Stocks & Commodities 1:5",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            smoothing: Smoothing::of(arguments.count("timeperiod")?),
            column: arguments.column()?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        3 * (self.smoothing.period - 1) + 1
    }

    const MEMORY_ROWS: bool = true;

    #[inline(always)]
    fn live(&self, state: &mut TrixState, show: &mut impl FnMut(&mut f64)) {
        for link in &mut state.chain {
            show(&mut link.value);
        }
    }

    #[inline(always)]
    fn catch_up(
        &self,
        state: &mut TrixState,
        _window: &mut [f64],
        _newest: &Frame<'_>,
        _bars: u64,
    ) {
        let [.., last] = &state.chain;
        state.previous = last.value;
    }

    #[inline(always)]
    fn step(&self, state: &mut TrixState, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let value = frame.current(self.column);
        let Some([_, _, average]) = cascade(&mut state.chain, self.smoothing, value) else {
            return [f64::NAN];
        };
        let previous = std::mem::replace(&mut state.previous, average);
        if !std::mem::replace(&mut state.known, true) {
            return [f64::NAN];
        }
        [change(average, previous)]
    }

    #[inline(always)]
    fn span_checks(&self, column: Column) -> bool {
        column == self.column
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut TrixState,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (values, [cells]) = (span.source(), outputs) else {
            return 0;
        };
        let last = |[_, _, average]: [f64; 3]| average;
        if !state.known {
            return 0;
        }
        let bars = cascade_all(&mut state.chain, self.smoothing, values, cells, last);
        for cell in &mut cells[..bars] {
            let average = std::mem::replace(cell, change(*cell, state.previous));
            state.previous = average;
        }
        bars
    }
}

#[inline(always)]
fn change(average: f64, previous: f64) -> f64 {
    if previous == 0.0 {
        0.0
    } else {
        (average / previous - 1.0) * 100.0
    }
}
