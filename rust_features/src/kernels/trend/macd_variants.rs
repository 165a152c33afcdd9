//! MACD with averages of any kind, and with Appel's fixed factors.

use super::exponential_moving_average::Smoothing;
use super::macd::{Averages, MacdState, lines, macd_kernel, show_relative};
use super::moving_average::{MovingAverage, MovingAverageState, kind_parameter};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, OutputDescription, output};
use crate::neighbours::{TILE, WINDOWS};
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
    const CLASSIC_OUTPUTS: usize = 3;

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
            Some(signal) => lines(macd, signal, value),
            None => [f64::NAN; 6],
        }
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut MacdExtState,
        window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (values, [macds, signals, more @ ..]) = (span.source(), outputs) else {
            return 0;
        };
        let windows = [&self.fast, &self.slow].map(|average| span.sources(average.taps()));
        let ([Some(fast), Some(slow)], Some(window)) = (
            windows,
            window.get_mut(self.fast.memory() + self.slow.memory()..),
        ) else {
            return 0;
        };
        if state.values < self.lines_lookback() as u64 {
            return 0;
        }
        let mut slows = [0.0; TILE];
        let mut taken = 0;
        while taken < values.len() {
            let bars = match values.len() - taken {
                TILE.. => TILE,
                WINDOWS.. => WINDOWS,
                rest => rest,
            };
            let (own, values) = (taken..taken + bars, &values[taken..][..bars]);
            let (macds, signals) = (&mut macds[own.clone()], &mut signals[own]);
            let before = *state;
            let newest = [fast, slow].map(|windows| Some(&windows[taken..]));
            let mut done = bars == (self.fast).push_all(&mut state.fast, values, newest[0], macds);
            let slows = &mut slows[..bars];
            done &= bars == (self.slow).push_all(&mut state.slow, values, newest[1], slows);
            for (macd, slow) in macds.iter_mut().zip(&*slows) {
                *macd -= slow;
            }
            if !done || !(self.signal).push_own_all(&mut state.signal, window, macds, signals) {
                *state = before;
                break;
            }
            taken += bars;
        }
        let [histograms, ratios @ ..] = more else {
            return 0;
        };
        for (cell, (macd, signal)) in histograms[..taken]
            .iter_mut()
            .zip(macds.iter().zip(&**signals))
        {
            *cell = macd - signal;
        }
        show_relative([macds, signals, histograms], &values[..taken], ratios);
        taken
    }
}

const FAST_SEED: usize = 12;
const SLOW_SEED: usize = 26;

macd_kernel!(
    /// MACD with Appel's factors of 0.15 and 0.075.
    MacdFix,
    Description {
        name: "macdfix",
        summary: "moving average convergence/divergence with factors 0.15 and 0.075",
        parameters: &[
            Parameter::period("signalperiod", "bars of the signal's average", 9, 1),
            Parameter::column("close"),
        ],
        outputs: &OUTPUTS,
        source: "TA-Lib MACDFIX: seeds of 12 and 26 bars; Appel (1979), The Moving Average Convergence-Divergence Method",
    },
    |arguments| Averages {
        fast: Smoothing::fixed(FAST_SEED, 0.15),
        slow: Smoothing::fixed(SLOW_SEED, 0.075),
        signal: Smoothing::of(arguments.count("signalperiod")?),
    }
);
