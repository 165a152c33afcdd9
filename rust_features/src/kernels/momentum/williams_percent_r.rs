//! Williams' %R.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
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
        let (high, low) = (highest(highs), lowest(lows));
        let range = high - low;
        [if range > 0.0 {
            -100.0 * ((high - frame.bar.close) / range)
        } else {
            0.0
        }]
    }
}
