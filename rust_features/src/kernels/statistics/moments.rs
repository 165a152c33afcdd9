//! Rolling variance, skewness and kurtosis.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::moments::{Moments as CentralMoments, is_safe, shape, shape_of};
use crate::moments_of_each::central_moments_of_each;
use crate::neighbours::{Row, WINDOWS};
use crate::rolling_moments::variances;
use crate::sample::{Sample, source_parameter};
use crate::side_by_side::{Memories, SideBySide, of_one};
use crate::window::variance;

/// Population variance of the last bars.
#[derive(Debug)]
pub(crate) struct Var {
    period: usize,
    column: Column,
}

impl Kernel for Var {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "var",
        summary: "rolling variance",
        parameters: &[
            Parameter::period("timeperiod", "bars in the window", 5, 1),
            Parameter::column("close"),
        ],
        outputs: &[output(
            "var",
            "population variance of the last timeperiod values",
        )],
        source: "TA-Lib VAR, without its nbdev, which it ignores",
    };

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
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        match frame.last(self.column, self.period) {
            Some(values) => [variance(values)],
            None => [f64::NAN],
        }
    }

    #[inline(always)]
    fn span(
        &self,
        (): &mut (),
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (Some(windows), [cells]) = (span.sources(self.period), outputs) else {
            return 0;
        };
        let bars = span.source().len();
        variances(windows, self.period, &mut cells[..bars]);
        bars
    }
}

/// Asymmetry and weight of the tails of the last values.
#[derive(Debug)]
pub(crate) struct Moments {
    sample: Sample,
    skew_correction: f64,
    kurtosis_factor: f64,
    kurtosis_offset: f64,
}

impl Moments {
    #[inline(always)]
    fn outputs(&self, shape: Option<[f64; 2]>) -> [f64; 4] {
        match shape {
            Some([skew, kurtosis]) => [
                skew,
                kurtosis,
                skew * self.skew_correction,
                kurtosis * self.kurtosis_factor + self.kurtosis_offset,
            ],
            None => [0.0; 4],
        }
    }
}

impl Kernel for Moments {
    type State = ();
    type Output = [f64; 4];
    const DESCRIPTION: Description = Description {
        name: "moments",
        summary: "rolling skewness and kurtosis",
        parameters: &[
            Parameter::period("timeperiod", "values in the window", 20, 4),
            source_parameter("log_return"),
        ],
        outputs: &[
            output(
                "skew",
                "third central moment / variance^1.5 over the last timeperiod values; 0 when all are equal",
            ),
            output(
                "kurtosis",
                "fourth central moment / variance^2 - 3; 0 when all are equal",
            ),
            output(
                "skew_adjusted",
                "skew * sqrt(n (n - 1)) / (n - 2), n = timeperiod, as pandas",
            ),
            output(
                "kurtosis_adjusted",
                "((n + 1) kurtosis + 6) (n - 1) / ((n - 2)(n - 3)), as pandas; 0 when all are equal",
            ),
        ],
        source: "Joanes and Gill (1998), Comparing Measures of Sample Skewness and Kurtosis: g1, g2, G1, G2",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let n = arguments.count("timeperiod")? as f64;
        let outer = (n - 1.0) / ((n - 2.0) * (n - 3.0));
        Ok(Self {
            sample: Sample::new(arguments)?,
            skew_correction: (n * (n - 1.0)).sqrt() / (n - 2.0),
            kurtosis_factor: (n + 1.0) * outer,
            kurtosis_offset: 6.0 * outer,
        })
    }

    fn lookback(&self) -> Lookback {
        self.sample.lookback()
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.sample.warmup_bars()
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 4] {
        let Some(values) = self.sample.values(frame) else {
            return [f64::NAN; 4];
        };
        self.outputs(known_length!([values] of [20] => shape(values)))
    }

    const SIDE_BY_SIDE: bool = true;

    #[inline(always)]
    fn side_by_side(
        &self,
        _memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(values), [skews, kurtoses, adjusted_skews, adjusted_kurtoses]) =
            (self.sample.side_by_side(newest), outputs)
        else {
            return false;
        };
        let [second, third, fourth] = central_moments_of_each(values);
        let mut show = |series: usize, shown: [f64; 4]| {
            skews.0[series] = shown[0];
            kurtoses.0[series] = shown[1];
            adjusted_skews.0[series] = shown[2];
            adjusted_kurtoses.0[series] = shown[3];
        };
        for series in 0..WINDOWS {
            let moments = CentralMoments {
                second: second.0[series],
                third: third.0[series],
                fourth: fourth.0[series],
            };
            show(series, self.outputs(Some(shape_of(&moments))));
        }
        for (series, variance) in second.0.iter().enumerate() {
            if !is_safe(*variance) {
                show(series, self.outputs(shape(&of_one(values, series))));
            }
        }
        true
    }
}
