//! True range and its Wilder average.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Frame, Span};
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

    /// The averages at a span's bars, once they are warm; the bars taken.
    #[inline(always)]
    fn take_span(&mut self, period: usize, span: Span<'_>, averages: &mut [f64]) -> usize {
        let Some(previous) = span.previous_closes() else {
            return 0;
        };
        if self.bars <= period as u64 {
            return 0;
        }
        let (averages, _) = averages.as_chunks_mut::<WINDOWS>();
        let bars = averages.len() * WINDOWS;
        let [_, highs, lows, closes, _] = span.prices().map(|values| &values[..bars]);
        let length = period as f64;
        let (keep, share) = ((length - 1.0) / length, 1.0 / length);
        let blocks = [highs, lows, &previous[..bars]].map(|values| values.as_chunks::<WINDOWS>().0);
        for (at, averages) in averages.iter_mut().enumerate() {
            let [highs, lows, previous] = blocks.map(|blocks| &blocks[at]);
            let mut row = Row::ZEROS;
            let ranges = &mut row.0;
            let mut tiny = any_tiny(highs);
            if tiny {
                for bar in 0..WINDOWS {
                    ranges[bar] = true_range(highs[bar], lows[bar], previous[bar]);
                }
            }
            // Without a look at tiny numbers, which no market has. The ranges are made beside the recursion, which
            // leaves the processor time for them.
            let mut average = self.average;
            if !tiny {
                for bar in 0..WINDOWS {
                    let range = true_range(highs[bar], lows[bar], previous[bar]);
                    average = average.mul_add(keep, range * share);
                    (ranges[bar], averages[bar]) = (range, average);
                }
                tiny = any_tiny(ranges) | any_tiny(averages);
            }
            if tiny {
                for (cell, range) in averages.iter_mut().zip(&*ranges) {
                    *cell = self.advance(period, *range);
                }
            } else {
                self.average = average;
            }
        }
        if let [.., close] = closes {
            self.previous_close = *close;
        }
        bars
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
    const IS_CHAIN: bool = true;

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
    fn span(
        &self,
        state: &mut AverageRange,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [averages, ratios @ ..] = outputs else {
            return 0;
        };
        let bars = state.take_span(self.period, span, averages);
        if let [ratios, ..] = ratios {
            for ((cell, average), close) in
                ratios.iter_mut().zip(&**averages).zip(span.closes(bars))
            {
                *cell = average / close;
            }
        }
        bars
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
    const IS_CHAIN: bool = true;

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
        match state.push(self.period, frame) {
            Some(average) => [average / frame.bar.close * 100.0],
            None => [f64::NAN],
        }
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut AverageRange,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [cells] = outputs else {
            return 0;
        };
        let bars = state.take_span(self.period, span, cells);
        for (cell, close) in cells.iter_mut().zip(span.closes(bars)) {
            *cell = *cell / close * 100.0;
        }
        bars
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
    #[inline(always)]
    fn span(
        &self,
        state: &mut PreviousClose,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (Some(previous), [ranges]) = (span.previous_closes(), outputs) else {
            return 0;
        };
        let bars = ranges.len();
        let [_, highs, lows, closes, _] = span.prices().map(|values| &values[..bars]);
        let previous = &previous[..bars];
        for (at, cell) in ranges.iter_mut().enumerate() {
            *cell = true_range(highs[at], lows[at], previous[at]);
        }
        if let [.., close] = closes {
            state.close = *close;
        }
        bars
    }
}
