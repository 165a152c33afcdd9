//! Supertrend.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::volatility::average_true_range::AverageRange;
use crate::neighbours::{TILE, divide_by_each, parts};
use crate::state::{show_flag, state};
use crate::subnormal::{Arithmetic, Lifted, Plain, all_near, each_near, midpoint, quotient};

/// A band of true ranges on one side of the price, which only tightens until the close crosses it.
#[derive(Debug)]
pub(crate) struct Supertrend {
    period: usize,
    multiplier: f64,
}

state! {
    /// Average range, both bands and the trend.
    pub(crate) struct Bands {
        range: AverageRange,
        upper: f64,
        lower: f64,
        previous_close: f64,
        falling: bool,
        started: bool,
    }
}

impl Kernel for Supertrend {
    type State = Bands;
    type Output = [f64; 3];
    const DESCRIPTION: Description = Description {
        name: "supertrend",
        summary: "supertrend",
        parameters: &[
            Parameter::period("timeperiod", "bars of the average true range", 10, 2),
            Parameter::number(
                "multiplier",
                "average true ranges from the middle to a band",
                3.0,
                0.0,
                1e6,
            ),
        ],
        outputs: &[
            output(
                "supertrend",
                "lower band while rising, upper band while falling: (high + low) / 2 -+ multiplier * atr, each only tightened until the close before is beyond it",
            ),
            output(
                "trend",
                "1 while rising, -1 while falling; rising at first, turned by a close beyond the band",
            ),
            output("distance", "(close - supertrend) / close"),
        ],
        source: "TA-Lib SUPERTREND; Seban (2009), Tout le monde merite d'etre riche",
    };
    const REVISION: u32 = 2;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            multiplier: arguments.number("multiplier")?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    const MEMORY_ROWS: bool = true;

    #[inline(always)]
    fn live(&self, state: &mut Bands, show: &mut impl FnMut(&mut f64)) {
        state.range.live(show);
        show(&mut state.upper);
        show(&mut state.lower);
        show_flag(&mut state.falling, show);
    }

    #[inline(always)]
    fn catch_up(&self, state: &mut Bands, _window: &mut [f64], newest: &Frame<'_>, _bars: u64) {
        state.previous_close = newest.bar.close;
        state.range.previous_close = newest.bar.close;
    }

    #[inline(always)]
    fn step(&self, state: &mut Bands, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 3] {
        let close = frame.bar.close;
        let previous_close = std::mem::replace(&mut state.previous_close, close);
        let Some(range) = state.range.push(self.period, frame) else {
            return [f64::NAN; 3];
        };
        let reach = self.multiplier * range;
        let middle = midpoint(frame.bar.high, frame.bar.low);
        let [line, trend] = state.tighten(middle, reach, previous_close, close);
        [line, trend, quotient(close - line, close)]
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut Bands,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let ([lines, trends, distances], Some(previous)) = (outputs, span.previous_closes()) else {
            return 0;
        };
        let (bars, before) = (lines.len(), state.range);
        // Average ranges and middles stand where other numbers will.
        let ranged = (state.range).take_span(self.period, span, lines, |range, _| range);
        if ranged < bars || !state.started {
            state.range = before;
            return 0;
        }
        let [_, highs, lows, closes, _] = span.prices();
        for own in parts(bars, TILE) {
            middles(&highs[own.clone()], &lows[own.clone()], &mut distances[own]);
        }
        for at in 0..bars {
            let reach = self.multiplier * lines[at];
            [lines[at], trends[at]] = state.tighten(distances[at], reach, previous[at], closes[at]);
        }
        for at in 0..bars {
            distances[at] = closes[at] - lines[at];
        }
        divide_by_each(distances, &closes[..bars]);
        if let [.., close] = closes[..bars] {
            state.previous_close = close;
        }
        bars
    }
}

/// The middle of each bar.
#[inline(always)]
fn middles(highs: &[f64], lows: &[f64], cells: &mut [f64]) {
    if all_near(highs) && each_near(lows) {
        middles_by::<Lifted>(highs, lows, cells);
    } else {
        middles_by::<Plain>(highs, lows, cells);
    }
}

#[inline(always)]
fn middles_by<A: Arithmetic>(highs: &[f64], lows: &[f64], cells: &mut [f64]) {
    for ((cell, high), low) in cells.iter_mut().zip(highs).zip(lows) {
        *cell = A::middle(*high, *low);
    }
}

impl Bands {
    /// The line and the trend at a close.
    #[inline(always)]
    #[allow(
        clippy::needless_bitwise_bool,
        reason = "where ranges are zero any guess of a branch is wrong"
    )]
    fn tighten(&mut self, middle: f64, reach: f64, previous_close: f64, close: f64) -> [f64; 2] {
        let (upper, lower) = (middle + reach, middle - reach);
        let first = !std::mem::replace(&mut self.started, true);
        let upper_moves = first | (upper < self.upper) | (previous_close > self.upper);
        let lower_moves = first | (lower > self.lower) | (previous_close < self.lower);
        self.upper = if upper_moves { upper } else { self.upper };
        self.lower = if lower_moves { lower } else { self.lower };
        let (above, below) = (close > self.upper, close < self.lower);
        self.falling = !first & ((self.falling & !above) | (!self.falling & below));
        if self.falling {
            [self.upper, -1.0]
        } else {
            [self.lower, 1.0]
        }
    }
}
