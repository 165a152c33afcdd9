//! Moving average convergence/divergence.

use super::exponential_moving_average::{ExponentialAverage, Smoothing};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::{Row, WINDOWS};
use crate::state::state;
use crate::window::any_tiny;

/// Difference of a fast and a slow exponential average, and its own average.
#[derive(Debug)]
pub(crate) struct Macd {
    fast: Smoothing,
    slow: Smoothing,
    signal: Smoothing,
    column: Column,
}

state! {
    /// The three averages and the bars that only the slow one has seen.
    pub(crate) struct MacdState {
        fast: ExponentialAverage,
        slow: ExponentialAverage,
        signal: ExponentialAverage,
        skipped: u64,
    }
}

impl Kernel for Macd {
    type State = MacdState;
    type Output = [f64; 6];
    const DESCRIPTION: Description = Description {
        name: "macd",
        summary: "moving average convergence/divergence",
        parameters: &[
            Parameter::period(
                "fastperiod",
                "bars of the fast average; the longer of both periods is the slow one",
                12,
                1,
            ),
            Parameter::period("slowperiod", "bars of the slow average", 26, 2),
            Parameter::period("signalperiod", "bars of the signal's average", 9, 1),
            Parameter::column("close"),
        ],
        outputs: &[
            output(
                "macd",
                "fast ema - slow ema; the fast one is seeded with the last bars of the slow one's seed",
            ),
            output("signal", "ema of macd"),
            output("histogram", "macd - signal"),
            output("macd_ratio", "macd / value; 0 when the value is 0"),
            output("signal_ratio", "signal / value; 0 when the value is 0"),
            output(
                "histogram_ratio",
                "histogram / value; 0 when the value is 0",
            ),
        ],
        source: "TA-Lib MACD; Appel (1979), The Moving Average Convergence-Divergence Method",
    };
    const CLASSIC_OUTPUTS: usize = 3;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let (fast, slow) = (
            arguments.count("fastperiod")?,
            arguments.count("slowperiod")?,
        );
        // The longer period is the slow one, as in TA-Lib.
        let (fast, slow) = (fast.min(slow), fast.max(slow));
        Ok(Self {
            fast: Smoothing::of(fast),
            slow: Smoothing::of(slow),
            signal: Smoothing::of(arguments.count("signalperiod")?),
            column: arguments.column()?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.slow.period + self.signal.period - 2
    }

    #[inline(always)]
    fn step(&self, state: &mut MacdState, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 6] {
        let value = frame.current(self.column);
        let slow = state.slow.push(self.slow, value);
        // The fast seed is the newest part of the slow seed, so that both averages start at one bar.
        if state.skipped < (self.slow.period - self.fast.period) as u64 {
            state.skipped += 1;
            return [f64::NAN; 6];
        }
        let fast = state.fast.push(self.fast, value);
        let (Some(fast), Some(slow)) = (fast, slow) else {
            return [f64::NAN; 6];
        };
        let macd = fast - slow;
        let Some(signal) = state.signal.push(self.signal, macd) else {
            return [f64::NAN; 6];
        };
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

    #[inline(always)]
    fn block(
        &self,
        state: &mut MacdState,
        _window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let Some(values) = block.source() else {
            return false;
        };
        let skipped = state.skipped >= (self.slow.period - self.fast.period) as u64;
        let warm = state.slow.is_warm(self.slow) && state.fast.is_warm(self.fast);
        let [macds, signals, histograms, relative @ ..] = outputs else {
            return false;
        };
        if !(skipped && warm && state.signal.is_warm(self.signal)) {
            return false;
        }
        self.take_block(state, values, [&mut *macds, &mut *signals]);
        for (at, histogram) in histograms.0.iter_mut().enumerate() {
            *histogram = macds.0[at] - signals.0[at];
        }
        for (row, parts) in relative.iter_mut().zip([&*macds, signals, histograms]) {
            for (at, cell) in row.0.iter_mut().enumerate() {
                let value = values[at];
                *cell = if value == 0.0 {
                    0.0
                } else {
                    parts.0[at] / value
                };
            }
        }
        true
    }
}

impl Macd {
    /// The line and its signal at a block's values, once all averages are warm; the three recursions side by side, as
    /// `ExponentialAverage::take_block` does for one.
    #[inline(always)]
    fn take_block(
        &self,
        state: &mut MacdState,
        values: &[f64; WINDOWS],
        [macds, signals]: [&mut Row; 2],
    ) {
        let mut all = [state.slow.value, state.fast.value, state.signal.value];
        let mut seen = [Row::ZEROS; 5];
        for (at, value) in values.iter().enumerate() {
            let [slow, fast, signal] = &mut all;
            let (to_slow, to_fast) = (value - *slow, value - *fast);
            *slow = to_slow.mul_add(self.slow.factor, *slow);
            *fast = to_fast.mul_add(self.fast.factor, *fast);
            let macd = *fast - *slow;
            let to_signal = macd - *signal;
            *signal = to_signal.mul_add(self.signal.factor, *signal);
            (macds.0[at], signals.0[at]) = (macd, *signal);
            for (row, value) in seen
                .iter_mut()
                .zip([to_slow, to_fast, to_signal, *slow, *fast])
            {
                row.0[at] = value;
            }
        }
        if seen.iter().any(|row| any_tiny(&row.0)) || any_tiny(&signals.0) {
            for (at, value) in values.iter().enumerate() {
                let slow = state.slow.advance(self.slow, *value);
                macds.0[at] = state.fast.advance(self.fast, *value) - slow;
                signals.0[at] = state.signal.advance(self.signal, macds.0[at]);
            }
        } else {
            [state.slow.value, state.fast.value, state.signal.value] = all;
        }
    }
}
