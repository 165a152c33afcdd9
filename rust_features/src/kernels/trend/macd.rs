//! Moving average convergence/divergence.

use super::exponential_moving_average::{ExponentialAverage, Smoothing};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::WINDOWS;
use crate::state::state;
use crate::subnormal::{all_tiny, is_near};
use crate::subnormal_blocks;
use crate::window::{all_finite, all_plain, any_tiny};

/// How the three averages follow.
#[derive(Debug)]
pub(super) struct Averages {
    pub(super) fast: Smoothing,
    pub(super) slow: Smoothing,
    pub(super) signal: Smoothing,
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

/// A kernel of the three recursions: what it is called, and the averages that its arguments name.
macro_rules! macd_kernel {
    ($(#[$meta:meta])* $kernel:ident, $description:expr, |$arguments:ident| $averages:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(crate) struct $kernel {
            averages: Averages,
            column: Column,
        }

        impl Kernel for $kernel {
            type State = MacdState;
            type Output = [f64; 6];
            const DESCRIPTION: Description = $description;
            const CLASSIC_OUTPUTS: usize = 3;
            const IS_CHAIN: bool = true;

            fn new($arguments: &Arguments) -> Result<Self, ArgumentError> {
                Ok(Self {
                    averages: $averages,
                    column: $arguments.column()?,
                })
            }

            fn warmup_bars(&self, _output: usize) -> usize {
                self.averages.warmup_bars()
            }

            const MEMORY_ROWS: bool = true;

            #[inline(always)]
            fn live(&self, state: &mut MacdState, show: &mut impl FnMut(&mut f64)) {
                for average in [&mut state.fast, &mut state.slow, &mut state.signal] {
                    show(&mut average.value);
                }
            }

            #[inline(always)]
            fn step(
                &self,
                state: &mut MacdState,
                _window: &mut [f64],
                frame: &Frame<'_>,
            ) -> [f64; 6] {
                self.averages.step(state, frame.current(self.column))
            }

            #[inline(always)]
            fn span_checks(&self, column: Column) -> bool {
                column == self.column
            }

            #[inline(always)]
            fn span(
                &self,
                state: &mut MacdState,
                _window: &mut [f64],
                span: Span<'_>,
                outputs: &mut [&mut [f64]],
            ) -> usize {
                self.averages.span(state, span.source(), outputs)
            }
        }
    };
}
pub(super) use macd_kernel;

macd_kernel!(
    /// Difference of a fast and a slow exponential average, and its own average.
    Macd,
    Description {
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
    },
    |arguments| {
        let (fast, slow) = (
            arguments.count("fastperiod")?,
            arguments.count("slowperiod")?,
        );
        // The longer period is the slow one, as in TA-Lib.
        let (fast, slow) = (fast.min(slow), fast.max(slow));
        Averages {
            fast: Smoothing::of(fast),
            slow: Smoothing::of(slow),
            signal: Smoothing::of(arguments.count("signalperiod")?),
        }
    }
);

impl Averages {
    /// Index of the first bar at which all three are warm.
    pub(super) fn warmup_bars(&self) -> usize {
        self.slow.period + self.signal.period - 2
    }

    /// Takes a value: the line, its signal, their difference and the three as shares of the value.
    #[inline(always)]
    pub(super) fn step(&self, state: &mut MacdState, value: f64) -> [f64; 6] {
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
        lines(macd, signal, value)
    }

    /// As [`Kernel::span`], of the values.
    #[inline(always)]
    pub(super) fn span(
        &self,
        state: &mut MacdState,
        values: &[f64],
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [macds, signals, histograms, relative @ ..] = outputs else {
            return 0;
        };
        let skipped = state.skipped >= (self.slow.period - self.fast.period) as u64;
        let warm = state.slow.is_warm(self.slow) && state.fast.is_warm(self.fast);
        if !(skipped && warm && state.signal.is_warm(self.signal)) {
            return 0;
        }
        let bars = macds.len();
        let mut at = 0;
        while at < bars {
            let length = WINDOWS.min(bars - at);
            let values = &values[at..at + length];
            let rows = [&mut *macds, &mut *signals, &mut *histograms];
            let mut rows = rows.map(|row| &mut row[at..at + length]);
            if !state.take_plain(self, values, &mut rows) && !state.take(self, values, &mut rows) {
                break;
            }
            at += length;
        }
        let bars = at;
        show_relative([macds, signals, histograms], &values[..bars], relative);
        bars
    }
}

/// Shows the lines as shares of the values; 0 of no value.
#[inline(always)]
pub(super) fn show_relative(lines: [&[f64]; 3], values: &[f64], relative: &mut [&mut [f64]]) {
    for (cells, parts) in relative.iter_mut().zip(lines) {
        let (cells, parts) = (&mut cells[..values.len()], &parts[..values.len()]);
        if values.first().copied().is_some_and(is_near) {
            cells.copy_from_slice(parts);
            subnormal_blocks::divide_by_each(cells, values);
            for (cell, value) in cells.iter_mut().zip(values) {
                *cell = if *value == 0.0 { 0.0 } else { *cell };
            }
            continue;
        }
        // In one loop: passes of their own to copy, divide and correct make all of MACD a fifteenth slower.
        for ((cell, part), value) in cells.iter_mut().zip(parts).zip(values) {
            *cell = if *value == 0.0 { 0.0 } else { part / value };
        }
    }
}

/// The six outputs from the difference of the averages, its average and the value.
#[inline(always)]
pub(super) fn lines(macd: f64, signal: f64, value: f64) -> [f64; 6] {
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

impl MacdState {
    /// The line, its signal and their difference at some values, once all averages are warm; the three recursions side
    /// by side. False, with nothing changed, when the values are not prices or the signal is tiny.
    #[inline(always)]
    fn take_plain(
        &mut self,
        averages: &Averages,
        values: &[f64],
        [macds, signals, histograms]: &mut [&mut [f64]; 3],
    ) -> bool {
        let length = values.len();
        let (macds, signals) = (&mut macds[..length], &mut signals[..length]);
        let histograms = &mut histograms[..length];
        let [mut slow, mut fast, mut signal] =
            [self.slow.value, self.fast.value, self.signal.value];
        // Averages of plain values are plain, and what they differ by is not tiny.
        if !all_plain(&[slow, fast]) || !all_plain(values) {
            return false;
        }
        for (at, value) in values.iter().enumerate() {
            slow = averages.slow.next(slow, *value);
            fast = averages.fast.next(fast, *value);
            let macd = fast - slow;
            signal = averages.signal.next(signal, macd);
            (macds[at], signals[at], histograms[at]) = (macd, signal, macd - signal);
        }
        // A value that is not finite stays in the averages for good.
        if !(slow + signal).is_finite() || any_tiny(signals) {
            return false;
        }
        [self.slow.value, self.fast.value, self.signal.value] = [slow, fast, signal];
        true
    }

    /// The same one value at a time; false when one is not finite.
    #[inline(always)]
    fn take(
        &mut self,
        averages: &Averages,
        values: &[f64],
        [macds, signals, histograms]: &mut [&mut [f64]; 3],
    ) -> bool {
        if !all_finite(values) {
            return false;
        }
        let decayed = [self.slow.value, self.fast.value, self.signal.value] == [0.0; 3];
        if all_tiny(values) && decayed {
            // Such values count as zero, and nothing is left to decay.
            [self.slow.value, self.fast.value, self.signal.value] = [0.0; 3];
            for line in [macds, signals, histograms] {
                line[..values.len()].fill(0.0);
            }
            return true;
        }
        for (at, value) in values.iter().enumerate() {
            let slow = self.slow.advance(averages.slow, *value);
            macds[at] = self.fast.advance(averages.fast, *value) - slow;
            signals[at] = self.signal.advance(averages.signal, macds[at]);
            histograms[at] = macds[at] - signals[at];
        }
        true
    }
}
