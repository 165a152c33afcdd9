//! Williams' %R.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbours::{self, LONGEST, Row, WINDOWS};
use crate::subnormal::{Arithmetic, Careful, Lifted, Plain, all_near};
use crate::window::{highest, lowest};

/// Distance of the close from the top of the range.
#[derive(Debug)]
pub(crate) struct WillR {
    period: usize,
}

impl Kernel for WillR {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "willr",
        summary: "Williams' %R",
        parameters: &[Parameter::period("timeperiod", "bars of the range", 14, 2)],
        outputs: &[output(
            "willr",
            "-100 * (highest high - close) / (highest high - lowest low); 0 without range",
        )],
        source: "TA-Lib WILLR; Williams (1973), How I Made One Million Dollars",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&[Column::High, Column::Low], self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let (Some(highs), Some(lows)) = (frame.highs(self.period), frame.lows(self.period)) else {
            return [f64::NAN];
        };
        let (high, low) = known_length!([highs, lows] of [14] => (highest(highs), lowest(lows)));
        [place::<Careful>(high, low, frame.bar.close)]
    }

    #[inline(always)]
    fn block(
        &self,
        (): &mut (),
        _window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let length = self.period;
        let (Some(high), Some(low), Some(closes), [row]) = (
            block.highs(length),
            block.lows(length),
            block.close(),
            outputs,
        ) else {
            return false;
        };
        if length > LONGEST {
            return false;
        }
        let (high, low) = (
            neighbours::highest(high, length),
            neighbours::lowest(low, length),
        );
        if all_near(&high.0) {
            places::<Lifted>(&high, &low, closes, row);
        } else {
            places::<Plain>(&high, &low, closes, row);
        }
        true
    }
}

#[inline(always)]
fn places<A: Arithmetic>(high: &Row, low: &Row, closes: &[f64; WINDOWS], row: &mut Row) {
    for (at, cell) in row.0.iter_mut().enumerate() {
        *cell = place::<A>(high.0[at], low.0[at], closes[at]);
    }
}

#[inline(always)]
fn place<A: Arithmetic>(high: f64, low: f64, close: f64) -> f64 {
    let range = high - low;
    if range > 0.0 {
        -100.0 * A::quotient(high - close, range)
    } else {
        0.0
    }
}
