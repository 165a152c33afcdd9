//! Relative strength index.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame};
use crate::kernel::{Description, Kernel, output};
use crate::state::state;
use crate::window::flush_tiny;

/// Share of gains in all moves, Wilder smoothing.
#[derive(Debug)]
pub(crate) struct Rsi {
    period: usize,
    column: Column,
}

state! {
    /// Previous value and the averages of gains and losses, or their sums while they are seeded.
    pub(crate) struct GainsAndLosses {
        previous: f64,
        gain: f64,
        loss: f64,
        /// Values seen, counted until the index is warm.
        values: u64,
    }
}

impl GainsAndLosses {
    /// Takes a value; the index once it is warm.
    #[inline(always)]
    pub(crate) fn push(&mut self, period: usize, value: f64) -> Option<f64> {
        let (gain, loss) = self.averages(period, value)?;
        let total = gain + loss;
        Some(if total > 0.0 {
            100.0 * (gain / total)
        } else {
            0.0
        })
    }

    /// Takes a value; the averages of gains and losses once they are warm.
    #[inline(always)]
    pub(crate) fn averages(&mut self, period: usize, value: f64) -> Option<(f64, f64)> {
        let change = value - self.previous;
        self.previous = value;
        let gain = if change > 0.0 { change } else { 0.0 };
        let loss = if change < 0.0 { -change } else { 0.0 };
        let length = period as f64;
        if self.values > period as u64 {
            // A product costs a fraction of a quotient, and the recursion waits for it.
            let (keep, share) = ((length - 1.0) / length, 1.0 / length);
            self.gain = flush_tiny(self.gain.mul_add(keep, gain * share));
            self.loss = flush_tiny(self.loss.mul_add(keep, loss * share));
        } else {
            self.values += 1;
            if self.values == 1 {
                return None;
            }
            self.gain += gain;
            self.loss += loss;
            if self.values <= period as u64 {
                return None;
            }
            self.gain /= length;
            self.loss /= length;
        }
        Some((self.gain, self.loss))
    }
}

impl Kernel for Rsi {
    type State = GainsAndLosses;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "rsi",
        summary: "relative strength index",
        parameters: &[
            Parameter::period("timeperiod", "bars of Wilder's smoothing", 14, 2),
            Parameter::column("close"),
        ],
        outputs: &[output(
            "rsi",
            "100 * average gain / (average gain + average loss); 0 in a flat market",
        )],
        source: "TA-Lib RSI; Wilder (1978), New Concepts in Technical Trading Systems",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            column: arguments.column()?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    #[inline(always)]
    fn step(&self, state: &mut GainsAndLosses, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        [state
            .push(self.period, frame.current(self.column))
            .unwrap_or(f64::NAN)]
    }
}
