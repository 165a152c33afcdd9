//! Simple moving average.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbours::{Row, means};
use crate::window::mean;

/// Mean of the last bars.
#[derive(Debug)]
pub(crate) struct Sma {
    period: usize,
    column: Column,
}

impl Kernel for Sma {
    type State = ();
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "sma",
        summary: "simple moving average",
        parameters: &[
            Parameter::period("timeperiod", "bars in the mean", 30, 1),
            Parameter::column("close"),
        ],
        outputs: &[
            output("sma", "mean of the last timeperiod values"),
            output("ratio", "value / sma - 1; 0 when sma is 0"),
        ],
        source: "TA-Lib SMA",
    };
    const CLASSIC_OUTPUTS: usize = 1;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            column: arguments.column()?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(self.column, self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        match frame.last(self.column, self.period) {
            Some(values) => {
                let average = known_length!([values] of [50] => mean(values));
                [average, ratio(frame.current(self.column), average)]
            }
            None => [f64::NAN; 2],
        }
    }

    #[inline(always)]
    fn block(
        &self,
        (): &mut (),
        _window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(values), Some(newest)) = (block.sources(self.period), block.source()) else {
            return false;
        };
        let averages = means(values, self.period);
        if let [row, ratios @ ..] = outputs {
            *row = averages;
            if let [ratios, ..] = ratios {
                for (at, cell) in ratios.0.iter_mut().enumerate() {
                    *cell = ratio(newest[at], averages.0[at]);
                }
            }
        }
        true
    }
}

/// Distance of a value from its average, as a fraction of the average.
#[inline(always)]
pub(crate) fn ratio(value: f64, average: f64) -> f64 {
    if average == 0.0 {
        0.0
    } else {
        value / average - 1.0
    }
}
