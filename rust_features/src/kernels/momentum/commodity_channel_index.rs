//! Commodity channel index.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::window::sum_over;

/// Typical prices whose mean deviation is this small a part of the price differ by rounding only.
const SAME: f64 = 1e-15;

/// Distance of the typical price from its mean, in mean deviations.
#[derive(Debug)]
pub(crate) struct Cci {
    period: usize,
}

impl Kernel for Cci {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "cci",
        summary: "commodity channel index",
        parameters: &[Parameter::period("timeperiod", "bars in the mean", 14, 2)],
        outputs: &[output(
            "cci",
            "(typical - its mean) / (0.015 * mean absolute deviation), typical = (high + low + close) / 3; 0 in a flat market",
        )],
        source: "TA-Lib CCI; Lambert (1980), Commodities 9:10",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&[Column::High, Column::Low, Column::Close], self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let (Some(highs), Some(lows), Some(closes)) = (
            frame.highs(self.period),
            frame.lows(self.period),
            frame.closes(self.period),
        ) else {
            return [f64::NAN];
        };
        // Three times the typical price, less the close: such distances are exact where prices are close.
        let close = frame.bar.close;
        let distance = |[high, low, own]: [f64; 3]| (high - close) + (low - close) + (own - close);
        let share = 1.0 / self.period as f64;
        let bars = [highs, lows, closes];
        let mean = sum_over(bars, distance) * share;
        let deviation = sum_over(bars, |bar| (distance(bar) - mean).abs()) * share;
        let newest = distance([frame.bar.high, frame.bar.low, close]);
        [if deviation > SAME * close {
            (newest - mean) / (0.015 * deviation)
        } else {
            0.0
        }]
    }
}
