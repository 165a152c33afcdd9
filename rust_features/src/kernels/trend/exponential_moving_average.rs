//! Exponential moving average, seeded with a simple one.

use super::simple_moving_average::ratio;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::WINDOWS;
use crate::state::state;
use crate::subnormal::all_tiny;
use crate::window::{all_finite, all_plain, flush_tiny};

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
    const IS_CHAIN: bool = true;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            smoothing: Smoothing::of(arguments.count("timeperiod")?),
            column: arguments.column()?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.smoothing.period - 1
    }

    const MEMORY_ROWS: bool = true;

    #[inline(always)]
    fn live(&self, state: &mut ExponentialAverage, show: &mut impl FnMut(&mut f64)) {
        show(&mut state.value);
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
    fn span_checks(&self, column: Column) -> bool {
        column == self.column
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut ExponentialAverage,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (values, [averages, ratios @ ..]) = (span.source(), outputs) else {
            return 0;
        };
        if !state.is_warm(self.smoothing) {
            return 0;
        }
        let bars = state.take_span(self.smoothing, values, averages);
        if let [ratios, ..] = ratios {
            super::simple_moving_average::ratios(values, &averages[..bars], ratios);
        }
        bars
    }
}

/// Period and factors of an exponential average.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Smoothing {
    pub(crate) period: usize,
    /// Share of the new value.
    pub(crate) factor: f64,
    /// Share of the average before. Both sum to exactly one: then the average of equal values stays that value.
    pub(crate) keep: f64,
}

impl Smoothing {
    /// The usual factor, 2 / (period + 1).
    pub(crate) fn of(period: usize) -> Self {
        Self::fixed(period, 2.0 / (period as f64 + 1.0))
    }

    /// Wilder's factor, 1 / period.
    pub(crate) fn wilder(period: usize) -> Self {
        Self::fixed(period, 1.0 / period as f64)
    }

    /// A factor that does not follow from the period, which is the seed's length only.
    pub(crate) fn fixed(period: usize, factor: f64) -> Self {
        let keep = 1.0 - factor;
        Self {
            period,
            factor: 1.0 - keep,
            keep,
        }
    }

    /// The average after `value`; one rounding on the way from average to average.
    #[inline(always)]
    pub(crate) fn next(self, average: f64, value: f64) -> f64 {
        self.keep.mul_add(average, self.factor * value)
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
    /// The averages at the values, once the seed is complete; how many, up to a value that is not finite.
    #[inline(always)]
    pub(crate) fn take_span(
        &mut self,
        smoothing: Smoothing,
        values: &[f64],
        averages: &mut [f64],
    ) -> usize {
        let averages = &mut averages[..values.len()];
        let mut taken = 0;
        // Its own, so that it stays in a register from block to block.
        let mut average = std::mem::take(self);
        for (values, averages) in values.chunks(WINDOWS).zip(averages.chunks_mut(WINDOWS)) {
            if !take_chain([&mut average], [smoothing], values, &mut [averages]) {
                break;
            }
            taken += values.len();
        }
        *self = average;
        taken
    }

    /// Whether the seed is complete.
    #[inline(always)]
    pub(crate) fn is_warm(&self, smoothing: Smoothing) -> bool {
        self.seeded >= smoothing.period as u64
    }

    /// Takes a value once the seed is complete; the average.
    #[inline(always)]
    pub(crate) fn advance(&mut self, smoothing: Smoothing, value: f64) -> f64 {
        self.value = flush_tiny(smoothing.next(self.value, flush_tiny(value)));
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

/// The averages of a chain, each over the one before, at some values, once all seeds are complete; false, with nothing
/// changed, when a value is not finite.
#[inline(always)]
pub(crate) fn take_chain<const N: usize>(
    chain: [&mut ExponentialAverage; N],
    smoothings: [Smoothing; N],
    values: &[f64],
    rows: &mut [&mut [f64]; N],
) -> bool {
    let length = values.len();
    let rows = rows.each_mut().map(|row| &mut row[..length]);
    let mut averages = chain.each_ref().map(|link| link.value);
    // Averages of prices are as far from tiny as prices: no look at them, and each recursion stays in one register.
    if all_plain(&averages) && all_plain(values) {
        for (at, value) in values.iter().enumerate() {
            let mut value = *value;
            for link in 0..N {
                value = smoothings[link].next(averages[link], value);
                averages[link] = value;
                rows[link][at] = value;
            }
        }
        // A value that is not finite stays in the averages for good.
        if all_finite(&averages) {
            for (link, average) in chain.into_iter().zip(averages) {
                link.value = average;
            }
            return true;
        }
    }
    if !all_finite(values) {
        return false;
    }
    if all_tiny(values) && chain.iter().all(|link| link.value == 0.0) {
        // Such values count as zero, and nothing is left to decay.
        for (link, row) in chain.into_iter().zip(rows) {
            link.value = 0.0;
            row[..values.len()].fill(0.0);
        }
        return true;
    }
    for (at, value) in values.iter().enumerate() {
        let mut value = *value;
        for link in 0..N {
            value = chain[link].advance(smoothings[link], value);
            rows[link][at] = value;
        }
    }
    true
}
