//! Rolling standard deviation.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::{Row, means_and_variances, variances};
use crate::window::mean_and_variance;

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

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let window = frame.last(self.column, self.period);
        let Some(window) = window else {
            return [f64::NAN; 2];
        };
        let (mean, variance) = mean_and_variance(window);
        let deviation = self.deviations * variance.sqrt();
        [deviation, if mean > 0.0 { deviation / mean } else { 0.0 }]
    }

    #[inline(always)]
    fn block(
        &self,
        (): &mut (),
        _window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let Some(values) = block.sources(self.period) else {
            return false;
        };
        let mut deviations = variances(values, self.period);
        for deviation in &mut deviations.0 {
            *deviation = self.deviations * deviation.sqrt();
        }
        if let [row, ratios @ ..] = outputs {
            *row = deviations;
            if let [ratios, ..] = ratios {
                let [means, _] = means_and_variances(values, self.period);
                for (at, cell) in ratios.0.iter_mut().enumerate() {
                    let mean = means.0[at];
                    *cell = if mean > 0.0 {
                        deviations.0[at] / mean
                    } else {
                        0.0
                    };
                }
            }
        }
        true
    }
}
