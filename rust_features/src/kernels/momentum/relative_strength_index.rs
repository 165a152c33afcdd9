//! Relative strength index.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::Row;
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
        Some(index(gain, gain + loss))
    }

    /// Takes a value once the averages are warm; both.
    #[inline(always)]
    fn advance(&mut self, period: usize, value: f64) -> (f64, f64) {
        let (gain, loss) = self.moves(value);
        let length = period as f64;
        // A product costs a fraction of a quotient, and the recursion waits for it.
        let (keep, share) = ((length - 1.0) / length, 1.0 / length);
        self.gain = flush_tiny(self.gain.mul_add(keep, gain * share));
        self.loss = flush_tiny(self.loss.mul_add(keep, loss * share));
        (self.gain, self.loss)
    }

    /// Rise and fall since the previous value.
    #[inline(always)]
    fn moves(&mut self, value: f64) -> (f64, f64) {
        let change = flush_tiny(value - self.previous);
        self.previous = value;
        (
            if change > 0.0 { change } else { 0.0 },
            if change < 0.0 { -change } else { 0.0 },
        )
    }

    /// Takes a value; the averages of gains and losses once they are warm.
    #[inline(always)]
    pub(crate) fn averages(&mut self, period: usize, value: f64) -> Option<(f64, f64)> {
        if self.values > period as u64 {
            return Some(self.advance(period, value));
        }
        let (gain, loss) = self.moves(value);
        self.values += 1;
        if self.values == 1 {
            return None;
        }
        self.gain += gain;
        self.loss += loss;
        if self.values <= period as u64 {
            return None;
        }
        self.gain /= period as f64;
        self.loss /= period as f64;
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

    #[inline(always)]
    fn block(
        &self,
        state: &mut GainsAndLosses,
        _window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(values), [row]) = (block.source(), outputs) else {
            return false;
        };
        if state.values <= self.period as u64 {
            return false;
        }
        let mut totals = Row::ZEROS;
        for (at, value) in values.iter().enumerate() {
            let (gain, loss) = state.advance(self.period, *value);
            (row.0[at], totals.0[at]) = (gain, gain + loss);
        }
        for (cell, total) in row.0.iter_mut().zip(&totals.0) {
            *cell = index(*cell, *total);
        }
        true
    }
}

#[inline(always)]
fn index(gain: f64, total: f64) -> f64 {
    if total > 0.0 {
        100.0 * (gain / total)
    } else {
        0.0
    }
}
