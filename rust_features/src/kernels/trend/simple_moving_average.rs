//! Simple moving average.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, Moments, output};

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
    const MOMENTS: Moments = Moments::Mean;
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

    fn moments_window(&self) -> (Column, usize) {
        (self.column, self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        match frame.mean(self.column, self.period) {
            Some(average) => [average, ratio(frame.current(self.column), average)],
            None => [f64::NAN; 2],
        }
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
