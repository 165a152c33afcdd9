//! Rolling standard deviation.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, Moments, output};

/// Population standard deviation of the last bars.
#[derive(Debug)]
pub(crate) struct StdDev {
    period: usize,
    deviations: f64,
    column: Column,
}

impl Kernel for StdDev {
    type State = ();
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "stddev",
        summary: "rolling standard deviation",
        parameters: &[
            Parameter::period("timeperiod", "bars in the window", 5, 2),
            Parameter::number("nbdev", "deviations to report", 1.0, 0.0, 1e6),
            Parameter::column("close"),
        ],
        outputs: &[
            output(
                "stddev",
                "nbdev * population standard deviation of the last timeperiod values",
            ),
            output("ratio", "stddev / mean of the window; 0 when the mean is 0"),
        ],
        source: "TA-Lib STDDEV",
    };
    const MOMENTS: Moments = Moments::MeanAndVariance;
    const CLASSIC_OUTPUTS: usize = 1;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            deviations: arguments.number("nbdev")?,
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
        let Some((mean, variance)) = frame.mean_and_variance(self.column, self.period) else {
            return [f64::NAN; 2];
        };
        let deviation = self.deviations * variance.sqrt();
        [deviation, if mean > 0.0 { deviation / mean } else { 0.0 }]
    }
}
