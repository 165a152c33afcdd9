//! True range and its Wilder average.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Frame};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::directional_movement::true_range;
use crate::neighbours::{Row, WINDOWS};
use crate::state::state;
use crate::window::{any_tiny, flush_tiny};

const PERIOD: Parameter = Parameter::period("timeperiod", "bars of Wilder's smoothing", 14, 1);
const SOURCE: &str =
    "TA-Lib ATR, NATR, TRANGE; Wilder (1978), New Concepts in Technical Trading Systems";

state! {
    /// Previous close and the average, or the running sum of its seed.
    pub(crate) struct AverageRange {
        previous_close: f64,
        average: f64,
        /// Bars seen, counted until the average is warm.
        bars: u64,
    }
}

impl AverageRange {
    /// Takes a range once the average is warm; the average.
    #[inline(always)]
    fn advance(&mut self, period: usize, range: f64) -> f64 {
        let length = period as f64;
        let (keep, share) = ((length - 1.0) / length, 1.0 / length);
        self.average = flush_tiny(self.average.mul_add(keep, flush_tiny(range) * share));
        self.average
    }

    /// The averages at a block's bars, once they are warm.
    #[inline(always)]
    fn take_block(&mut self, period: usize, block: Block<'_>, row: &mut Row) -> bool {
        let (Some(highs), Some(lows), Some(closes)) = (block.high(), block.low(), block.close())
        else {
            return false;
        };
        if self.bars <= period as u64 {
            return false;
        }
        let mut previous = [self.previous_close; WINDOWS + 1];
        previous[1..].copy_from_slice(closes);
        for (at, cell) in row.0.iter_mut().enumerate() {
            *cell = true_range(highs[at], lows[at], previous[at]);
        }
        let length = period as f64;
        let (keep, share) = ((length - 1.0) / length, 1.0 / length);
        let (ranges, mut average) = (*row, self.average);
        // First without a look at tiny numbers, which no market has.
        for (cell, range) in row.0.iter_mut().zip(&ranges.0) {
            average = average.mul_add(keep, range * share);
            *cell = average;
        }
        if any_tiny(&ranges.0) || any_tiny(&row.0) {
            for (cell, range) in row.0.iter_mut().zip(&ranges.0) {
                *cell = self.advance(period, *range);
            }
        } else {
            self.average = average;
        }
        self.previous_close = previous[WINDOWS];
        true
    }

    /// Takes a bar; the average once it is warm.
    #[inline(always)]
    pub(crate) fn push(&mut self, period: usize, frame: &Frame<'_>) -> Option<f64> {
        let range = true_range(frame.bar.high, frame.bar.low, self.previous_close);
        self.previous_close = frame.bar.close;
        if self.bars > period as u64 {
            return Some(self.advance(period, range));
        }
        self.bars += 1;
        if self.bars == 1 {
            return None;
        }
        self.average += range;
        if self.bars <= period as u64 {
            return None;
        }
        self.average /= period as f64;
        Some(self.average)
    }
}

/// Average true range.
#[derive(Debug)]
pub(crate) struct Atr {
    period: usize,
}

impl Kernel for Atr {
    type State = AverageRange;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "atr",
        summary: "average true range",
        parameters: &[PERIOD],
        outputs: &[
            output(
                "atr",
                "Wilder average of the true range, seeded with the mean of the first timeperiod",
            ),
            output("ratio", "atr / close"),
        ],
        source: SOURCE,
    };
    const CLASSIC_OUTPUTS: usize = 1;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    #[inline(always)]
    fn step(&self, state: &mut AverageRange, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        match state.push(self.period, frame) {
            Some(average) => [average, average / frame.bar.close],
            None => [f64::NAN; 2],
        }
    }

    #[inline(always)]
    fn block(
        &self,
        state: &mut AverageRange,
        _window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let Some(closes) = block.close() else {
            return false;
        };
        let [row, ratios @ ..] = outputs else {
            return false;
        };
        if !state.take_block(self.period, block, row) {
            return false;
        }
        if let [ratios, ..] = ratios {
            for (at, cell) in ratios.0.iter_mut().enumerate() {
                *cell = row.0[at] / closes[at];
            }
        }
        true
    }
}

/// Average true range in percent of the close.
#[derive(Debug)]
pub(crate) struct Natr {
    period: usize,
}

impl Kernel for Natr {
    type State = AverageRange;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "natr",
        summary: "normalised average true range",
        parameters: &[PERIOD],
        outputs: &[output("natr", "atr / close * 100")],
        source: SOURCE,
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    #[inline(always)]
    fn step(&self, state: &mut AverageRange, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        [state
            .push(self.period, frame)
            .map_or(f64::NAN, |average| average / frame.bar.close * 100.0)]
    }

    #[inline(always)]
    fn block(
        &self,
        state: &mut AverageRange,
        _window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(closes), [row]) = (block.close(), outputs) else {
            return false;
        };
        if !state.take_block(self.period, block, row) {
            return false;
        }
        for (cell, close) in row.0.iter_mut().zip(closes) {
            *cell = *cell / close * 100.0;
        }
        true
    }
}

/// True range of one bar.
#[derive(Debug)]
pub(crate) struct TrueRange;

state! {
    /// Previous close.
    pub(crate) struct PreviousClose {
        close: f64,
        known: bool,
    }
}

impl Kernel for TrueRange {
    type State = PreviousClose;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "trange",
        summary: "true range",
        parameters: &[],
        outputs: &[output(
            "trange",
            "largest of high - low, |high - previous close|, |low - previous close|",
        )],
        source: SOURCE,
    };

    fn new(_arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        1
    }

    #[inline(always)]
    fn step(&self, state: &mut PreviousClose, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let range = true_range(frame.bar.high, frame.bar.low, state.close);
        state.close = frame.bar.close;
        if std::mem::replace(&mut state.known, true) {
            [range]
        } else {
            [f64::NAN]
        }
    }
}
