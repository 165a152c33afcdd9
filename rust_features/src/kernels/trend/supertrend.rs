//! Supertrend.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};
use crate::kernels::volatility::average_true_range::AverageRange;
use crate::state::state;
use crate::subnormal::{midpoint, quotient};

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

    #[inline(always)]
    fn step(&self, state: &mut Bands, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 3] {
        let close = frame.bar.close;
        let previous_close = std::mem::replace(&mut state.previous_close, close);
        let Some(range) = state.range.push(self.period, frame) else {
            return [f64::NAN; 3];
        };
        let middle = midpoint(frame.bar.high, frame.bar.low);
        let (upper, lower) = (
            middle + self.multiplier * range,
            middle - self.multiplier * range,
        );
        let first = !std::mem::replace(&mut state.started, true);
        if first || upper < state.upper || previous_close > state.upper {
            state.upper = upper;
        }
        if first || lower > state.lower || previous_close < state.lower {
            state.lower = lower;
        }
        if !first {
            state.falling = if state.falling {
                close <= state.upper
            } else {
                close < state.lower
            };
        }
        let (line, trend) = if state.falling {
            (state.upper, -1.0)
        } else {
            (state.lower, 1.0)
        };
        [line, trend, quotient(close - line, close)]
    }
}
