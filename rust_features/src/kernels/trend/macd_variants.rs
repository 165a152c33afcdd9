//! MACD with averages of any kind, and with Appel's fixed factors.

use super::exponential_moving_average::{ExponentialAverage, Smoothing};
use super::moving_average::{MovingAverage, MovingAverageState, kind_parameter};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, OutputDescription, output};
use crate::state::state;

const OUTPUTS: [OutputDescription; 6] = [
    output(
        "macd",
        "fast average - slow average, both started so that their first values meet",
    ),
    output("signal", "average of macd"),
    output("histogram", "macd - signal"),
    output("macd_ratio", "macd / value; 0 when the value is 0"),
    output("signal_ratio", "signal / value; 0 when the value is 0"),
    output(
        "histogram_ratio",
        "histogram / value; 0 when the value is 0",
    ),
];

/// The six outputs from the difference of the averages, its average and the value.
#[inline(always)]
fn outputs(macd: f64, signal: f64, value: f64) -> [f64; 6] {
    let histogram = macd - signal;
    let relative = |part: f64| if value == 0.0 { 0.0 } else { part / value };
    [
        macd,
        signal,
        histogram,
        relative(macd),
        relative(signal),
        relative(histogram),
    ]
}

/// MACD with averages of any kind.
#[derive(Debug)]
pub(crate) struct MacdExt {
    fast: MovingAverage,
    slow: MovingAverage,
    signal: MovingAverage,
    column: Column,
}

state! {
    /// The three averages and the bars before the faster one starts.
    pub(crate) struct MacdExtState {
        fast: MovingAverageState,
        slow: MovingAverageState,
        signal: MovingAverageState,
        /// Values seen, counted until both averages have started.
        values: u64,
    }
}

impl MacdExt {
    fn lines_lookback(&self) -> usize {
        self.fast.lookback().max(self.slow.lookback())
    }
}

impl Kernel for MacdExt {
    type State = MacdExtState;
    type Output = [f64; 6];
    const DESCRIPTION: Description = Description {
        name: "macdext",
        summary: "moving average convergence/divergence with averages of any kind",
        parameters: &[
            Parameter::period(
                "fastperiod",
                "bars of the fast average; the longer of both periods is the slow one",
                12,
                1,
            ),
            kind_parameter("fastmatype", 0),
            Parameter::period("slowperiod", "bars of the slow average", 26, 2),
            kind_parameter("slowmatype", 0),
            Parameter::period("signalperiod", "bars of the signal's average", 9, 1),
            kind_parameter("signalmatype", 0),
            Parameter::column("close"),
        ],
        outputs: &OUTPUTS,
        source: "TA-Lib MACDEXT",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let (fast, slow) = (
            arguments.count("fastperiod")?,
            arguments.count("slowperiod")?,
        );
        let one = MovingAverage::of(arguments, "fastperiod", "fastmatype", 0)?;
        let other = MovingAverage::of(arguments, "slowperiod", "slowmatype", 0)?;
        // The longer period is the slow one, as in TA-Lib; each keeps its kind.
        let (fast, slow) = if fast > slow {
            (other, one)
        } else {
            (one, other)
        };
        Ok(Self {
            fast,
            slow,
            signal: MovingAverage::of(arguments, "signalperiod", "signalmatype", 0)?,
            column: arguments.column()?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(self.column, self.fast.taps().max(self.slow.taps()))
    }

    /// What the fast and the slow average remember, then the last differences, for the signal.
    fn window_len(&self) -> usize {
        self.fast.memory() + self.slow.memory() + self.signal.own_window()
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.lines_lookback() + self.signal.lookback()
    }

    #[inline(always)]
    fn step(&self, state: &mut MacdExtState, window: &mut [f64], frame: &Frame<'_>) -> [f64; 6] {
        let value = frame.current(self.column);
        let lookback = self.lines_lookback();
        let seen = state.values;
        if state.values < lookback as u64 {
            state.values += 1;
        }
        // An average that settles sooner starts later, so that the first values of both come at one bar.
        let (fast_memory, window) = window.split_at_mut(self.fast.memory());
        let (slow_memory, window) = window.split_at_mut(self.slow.memory());
        let push = |average: &MovingAverage, state: &mut MovingAverageState, memory: &mut [f64]| {
            if seen < (lookback - average.settling()) as u64 {
                return None;
            }
            average.push(
                state,
                memory,
                value,
                frame.last(self.column, average.taps()),
            )
        };
        let fast = push(&self.fast, &mut state.fast, fast_memory);
        let slow = push(&self.slow, &mut state.slow, slow_memory);
        let (Some(fast), Some(slow)) = (fast, slow) else {
            return [f64::NAN; 6];
        };
        let macd = fast - slow;
        match self.signal.push_own(&mut state.signal, window, macd) {
            Some(signal) => outputs(macd, signal, value),
            None => [f64::NAN; 6],
        }
    }
}

/// MACD with Appel's factors of 0.15 and 0.075.
#[derive(Debug)]
pub(crate) struct MacdFix {
    signal: Smoothing,
    column: Column,
}

state! {
    /// The three averages and the bars that only the slow one has seen.
    pub(crate) struct MacdFixState {
        fast: ExponentialAverage,
        slow: ExponentialAverage,
        signal: ExponentialAverage,
        skipped: u64,
    }
}

const FAST_SEED: usize = 12;
const SLOW_SEED: usize = 26;

impl Kernel for MacdFix {
    type State = MacdFixState;
    type Output = [f64; 6];
    const DESCRIPTION: Description = Description {
        name: "macdfix",
        summary: "moving average convergence/divergence with factors 0.15 and 0.075",
        parameters: &[
            Parameter::period("signalperiod", "bars of the signal's average", 9, 1),
            Parameter::column("close"),
        ],
        outputs: &OUTPUTS,
        source: "TA-Lib MACDFIX: seeds of 12 and 26 bars; Appel (1979), The Moving Average Convergence-Divergence Method",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            signal: Smoothing::of(arguments.count("signalperiod")?),
            column: arguments.column()?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        SLOW_SEED + self.signal.period - 2
    }

    #[inline(always)]
    fn step(&self, state: &mut MacdFixState, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 6] {
        let value = frame.current(self.column);
        let slow = state.slow.push(Smoothing::fixed(SLOW_SEED, 0.075), value);
        if state.skipped < (SLOW_SEED - FAST_SEED) as u64 {
            state.skipped += 1;
            return [f64::NAN; 6];
        }
        let fast = state.fast.push(Smoothing::fixed(FAST_SEED, 0.15), value);
        let (Some(fast), Some(slow)) = (fast, slow) else {
            return [f64::NAN; 6];
        };
        let macd = fast - slow;
        match state.signal.push(self.signal, macd) {
            Some(signal) => outputs(macd, signal, value),
            None => [f64::NAN; 6],
        }
    }
}
