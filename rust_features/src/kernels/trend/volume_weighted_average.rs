//! Volume-weighted moving average.

use super::simple_moving_average::ratio;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::window::{mean, plain_weighted_deviation, sum_over};

/// Mean of the last bars, each weighted by its volume.
#[derive(Debug)]
pub(crate) struct Vwma {
    period: usize,
    column: Column,
}

impl Kernel for Vwma {
    type State = ();
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "vwma",
        summary: "volume-weighted moving average",
        parameters: &[
            Parameter::period("timeperiod", "bars in the mean", 30, 1),
            Parameter::column("close"),
        ],
        outputs: &[
            output(
                "vwma",
                "sum of value * volume / sum of volume over timeperiod bars; their plain mean without any volume, where TA-Lib has NaN",
            ),
            output("ratio", "value / vwma - 1; 0 when vwma is 0"),
        ],
        source: "TA-Lib VWMA",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            column: arguments.column()?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&[self.column, Column::Volume], self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let values = frame.last(self.column, self.period);
        let (Some(values), Some(volumes)) = (values, frame.volumes(self.period)) else {
            return [f64::NAN; 2];
        };
        let value = frame.current(self.column);
        let average = known_length!([values, volumes] of [20] => {
            let volume = sum_over([volumes], |[volume]| volume);
            if volume > 0.0 {
                value + plain_weighted_deviation(values, volumes, value) / volume
            } else {
                mean(values)
            }
        });
        [average, ratio(value, average)]
    }
}
