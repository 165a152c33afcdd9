//! Rolling standard deviation.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::rolling_moments::{means_and_variances, variances};
use crate::subnormal::all_near;
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
    fn span(
        &self,
        (): &mut (),
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (Some(windows), [deviations, ratios @ ..]) = (span.sources(self.period), outputs)
        else {
            return 0;
        };
        let bars = span.source().len();
        let deviations = &mut deviations[..bars];
        if let [ratios, ..] = ratios {
            // The means stand where the ratios will.
            let ratios = &mut ratios[..bars];
            if all_near(windows) {
                // Squares of such distances are zero.
                deviations.fill(0.0);
                ratios.fill(0.0);
                return bars;
            }
            means_and_variances(windows, self.period, ratios, deviations);
            for (deviation, ratio) in deviations.iter_mut().zip(ratios) {
                *deviation = self.deviations * deviation.sqrt();
                // Values near zero deviate by nothing, and vectors that divide by such means take a hundred times as
                // long.
                let divisor = if *deviation == 0.0 { 1.0 } else { *ratio };
                *ratio = if *ratio > 0.0 {
                    *deviation / divisor
                } else {
                    0.0
                };
            }
        } else {
            variances(windows, self.period, deviations);
            for deviation in deviations {
                *deviation = self.deviations * deviation.sqrt();
            }
        }
        bars
    }
}
