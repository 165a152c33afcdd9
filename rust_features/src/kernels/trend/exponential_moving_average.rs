//! Exponential moving average, seeded with a simple one.

use super::simple_moving_average::ratio;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::{Row, WINDOWS};
use crate::state::state;
use crate::window::{any_tiny, flush_tiny};

/// Exponential average of the last bars.
#[derive(Debug)]
pub(crate) struct Ema {
    smoothing: Smoothing,
    column: Column,
}

impl Kernel for Ema {
    type State = ExponentialAverage;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "ema",
        summary: "exponential moving average",
        parameters: &[
            Parameter::period(
                "timeperiod",
                "bars of the seed; the smoothing is 2 / (timeperiod + 1)",
                30,
                1,
            ),
            Parameter::column("close"),
        ],
        outputs: &[
            output(
                "ema",
                "ema + (value - ema) * 2 / (timeperiod + 1), seeded with the first timeperiod bars' mean",
            ),
            output("ratio", "value / ema - 1; 0 when ema is 0"),
        ],
        source: "TA-Lib EMA",
    };
    const CLASSIC_OUTPUTS: usize = 1;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            smoothing: Smoothing::of(arguments.count("timeperiod")?),
            column: arguments.column()?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.smoothing.period - 1
    }

    #[inline(always)]
    fn step(
        &self,
        state: &mut ExponentialAverage,
        _window: &mut [f64],
        frame: &Frame<'_>,
    ) -> [f64; 2] {
        let value = frame.current(self.column);
        match state.push(self.smoothing, value) {
            Some(average) => [average, ratio(value, average)],
            None => [f64::NAN; 2],
        }
    }

    #[inline(always)]
    fn block(
        &self,
        state: &mut ExponentialAverage,
        _window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(values), [row, ratios @ ..]) = (block.source(), outputs) else {
            return false;
        };
        if !state.is_warm(self.smoothing) {
            return false;
        }
        state.take_block(self.smoothing, values, row);
        if let [ratios, ..] = ratios {
            for (at, cell) in ratios.0.iter_mut().enumerate() {
                *cell = ratio(values[at], row.0[at]);
            }
        }
        true
    }
}

/// Period and factor of an exponential average.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Smoothing {
    pub(crate) period: usize,
    pub(crate) factor: f64,
}

impl Smoothing {
    /// The usual factor, 2 / (period + 1).
    pub(crate) fn of(period: usize) -> Self {
        Self {
            period,
            factor: 2.0 / (period as f64 + 1.0),
        }
    }

    /// Wilder's factor, 1 / period.
    pub(crate) fn wilder(period: usize) -> Self {
        Self::fixed(period, 1.0 / period as f64)
    }

    /// A factor that does not follow from the period, which is the seed's length only.
    pub(crate) fn fixed(period: usize, factor: f64) -> Self {
        Self { period, factor }
    }
}

state! {
    /// Running exponential average, or the running sum of its seed.
    pub(crate) struct ExponentialAverage {
        value: f64,
        /// Values of the seed so far; stays at the period afterwards.
        seeded: u64,
    }
}

impl ExponentialAverage {
    /// The averages at a block's values, once the seed is complete.
    ///
    /// First without a look at tiny numbers, which no market has; that keeps the recursion in one register.
    #[inline(always)]
    pub(crate) fn take_block(
        &mut self,
        smoothing: Smoothing,
        values: &[f64; WINDOWS],
        row: &mut Row,
    ) {
        let (mut average, mut distances) = (self.value, Row::ZEROS);
        for (at, value) in values.iter().enumerate() {
            let distance = value - average;
            average = distance.mul_add(smoothing.factor, average);
            (distances.0[at], row.0[at]) = (distance, average);
        }
        if any_tiny(&distances.0) || any_tiny(&row.0) {
            for (cell, value) in row.0.iter_mut().zip(values) {
                *cell = self.advance(smoothing, *value);
            }
        } else {
            self.value = average;
        }
    }

    /// Whether the seed is complete.
    #[inline(always)]
    pub(crate) fn is_warm(&self, smoothing: Smoothing) -> bool {
        self.seeded >= smoothing.period as u64
    }

    /// Takes a value once the seed is complete; the average.
    #[inline(always)]
    pub(crate) fn advance(&mut self, smoothing: Smoothing, value: f64) -> f64 {
        let distance = flush_tiny(value - self.value);
        self.value = flush_tiny(distance.mul_add(smoothing.factor, self.value));
        self.value
    }

    /// Takes a value; the average once the seed is complete.
    #[inline(always)]
    pub(crate) fn push(&mut self, smoothing: Smoothing, value: f64) -> Option<f64> {
        if self.is_warm(smoothing) {
            return Some(self.advance(smoothing, value));
        }
        self.value += value;
        self.seeded += 1;
        if !self.is_warm(smoothing) {
            return None;
        }
        self.value /= smoothing.period as f64;
        Some(self.value)
    }
}
