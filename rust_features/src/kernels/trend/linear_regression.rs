//! A straight line fitted to the last values.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, OutputDescription, output};
use crate::known_length::known_length;
use crate::neighbours::{Row, WINDOWS, deviations, divide};
use crate::side_by_side::{self, Memories, SideBySide, sums_over};
use crate::subnormal::{Arithmetic, Careful, Lifted, Plain, all_near, share};
use crate::window::{sum_over, weighted_deviation};

pub(super) const PARAMETERS: [Parameter; 2] = [
    Parameter::period("timeperiod", "bars that the line is fitted to", 14, 2),
    Parameter::column("close"),
];
/// Degrees of an angle of one.
const DEGREES: f64 = 1.0_f64.to_degrees();
pub(super) const SOURCE: &str =
    "TA-Lib LINEARREG, LINEARREG_SLOPE, LINEARREG_INTERCEPT, LINEARREG_ANGLE, TSF; least squares";

/// What the fit needs to know of its period.
#[derive(Debug)]
pub(super) struct Fit {
    pub(super) column: Column,
    /// Weights that turn values into the slope: each place's distance from the middle, scaled.
    pub(super) weights: Box<[f64]>,
    /// Distance of the last place from the middle.
    half: f64,
    /// Sum of the squared distances of all places from the middle.
    pub(super) squares: f64,
}

/// A fitted line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// What it is fitted to.
    pub(super) values: &'a [f64],
    /// Newest value.
    pub(super) value: f64,
    /// Mean of the values less the newest one: their differences are exact where values are close.
    pub(super) mean_change: f64,
    pub(super) slope: f64,
}

impl Line<'_> {
    /// Height of the line `places` after the middle of the window.
    #[inline(always)]
    fn height<A: Arithmetic>(&self, places: f64) -> f64 {
        self.value + (self.mean_change + A::product(self.slope, places))
    }

    /// Distance of one of the values from their mean.
    #[inline(always)]
    pub(super) fn distance(&self, value: f64) -> f64 {
        (value - self.value) - self.mean_change
    }
}

impl Fit {
    pub(super) fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let period = arguments.count("timeperiod")?;
        let half = (period - 1) as f64 / 2.0;
        let distances = (0..period).map(|place| place as f64 - half);
        let squares: f64 = distances.clone().map(|distance| distance * distance).sum();
        Ok(Self {
            column: arguments.column()?,
            weights: distances.map(|distance| distance / squares).collect(),
            half,
            squares,
        })
    }

    pub(super) fn lookback(&self) -> Lookback {
        Lookback::of(self.column, self.weights.len())
    }

    /// The line through as many values as there are weights, `value` the last of them.
    #[inline(always)]
    pub(super) fn line<'a>(values: &'a [f64], weights: &[f64], value: f64) -> Line<'a> {
        Line {
            values,
            value,
            mean_change: share(
                sum_over([values], |[other]| other - value),
                values.len() as f64,
            ),
            slope: weighted_deviation(values, weights, value),
        }
    }

    /// The newest values of many series, and their lines: mean changes and slopes.
    #[inline(always)]
    pub(super) fn lines_of_each<'a>(&self, newest: &SideBySide<'a>) -> Option<(&'a Row, [Row; 2])> {
        let rows = newest.last(self.column, self.weights.len())?;
        let values = rows.last()?;
        let mut changes = sums_over([rows], |[other], at| other - values.0[at]);
        for change in &mut changes.0 {
            *change /= rows.len() as f64;
        }
        let slopes = side_by_side::weighted_deviations(rows, &self.weights, values);
        Some((values, [changes, slopes]))
    }

    /// The lines of a block's bars.
    #[inline(always)]
    pub(super) fn lines(&self, block: Block<'_>) -> Option<[Row; 2]> {
        let (windows, values) = (block.sources(self.weights.len())?, block.source()?);
        let [mut changes, slopes] = deviations(windows, &self.weights, values);
        divide(&mut changes.0, self.weights.len() as f64);
        Some([changes, slopes])
    }
}

/// One kernel of the family: what it shows of the line.
macro_rules! line_kernel {
    ($(#[$meta:meta])* $kernel:ident, $name:literal, $summary:literal, $count:literal, $outputs:expr, |$fit:ident, $line:ident| $shown:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(crate) struct $kernel(Fit);

        impl Kernel for $kernel {
            type State = ();
            type Output = [f64; $count];
            const DESCRIPTION: Description = Description {
                name: $name,
                summary: $summary,
                parameters: &PARAMETERS,
                outputs: &{
                    const OUTPUTS: [OutputDescription; $count] = $outputs;
                    OUTPUTS
                },
                source: SOURCE,
            };
            const CLASSIC_OUTPUTS: usize = 1;

            fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
                Fit::new(arguments).map(Self)
            }

            fn lookback(&self) -> Lookback {
                self.0.lookback()
            }

            fn warmup_bars(&self, _output: usize) -> usize {
                self.0.weights.len() - 1
            }

            const SIDE_BY_SIDE: bool = true;

            #[inline(always)]
            fn side_by_side(
                &self,
                _memories: &mut Memories<'_>,
                newest: &SideBySide<'_>,
                outputs: &mut [Row],
            ) -> bool {
                type Way = Plain;
                let $fit = &self.0;
                let Some((values, [changes, slopes])) = $fit.lines_of_each(newest) else {
                    return false;
                };
                for at in 0..WINDOWS {
                    let $line = Line {
                        values: &[],
                        value: values.0[at],
                        mean_change: changes.0[at],
                        slope: slopes.0[at],
                    };
                    let all: [f64; $count] = $shown;
                    for (row, value) in outputs.iter_mut().zip(all) {
                        row.0[at] = value;
                    }
                }
                true
            }

            #[inline(always)]
            fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> Self::Output {
                type Way = Careful;
                // No closure: it would stay a call, and be compiled without wide vectors.
                let $fit = &self.0;
                let weights = &*$fit.weights;
                match frame.last($fit.column, weights.len()) {
                    Some(values) => known_length!([values, weights] of [14] => {
                        let $line = Fit::line(values, weights, frame.current($fit.column));
                        $shown
                    }),
                    None => [f64::NAN; $count],
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
                let $fit = &self.0;
                let length = $fit.weights.len();
                let (Some([changes, slopes]), Some(windows), Some(values)) =
                    ($fit.lines(block), block.sources(length), block.source())
                else {
                    return false;
                };
                let lines = |at: usize| Line {
                    values: &windows[at..at + length],
                    value: values[at],
                    mean_change: changes.0[at],
                    slope: slopes.0[at],
                };
                // All lines of such prices are as near to zero.
                if all_near(windows) {
                    type Way = Lifted;
                    for at in 0..WINDOWS {
                        let $line = lines(at);
                        let all: [f64; $count] = $shown;
                        for (row, value) in outputs.iter_mut().zip(all) {
                            row.0[at] = value;
                        }
                    }
                } else {
                    type Way = Plain;
                    for at in 0..WINDOWS {
                        let $line = lines(at);
                        let all: [f64; $count] = $shown;
                        for (row, value) in outputs.iter_mut().zip(all) {
                            row.0[at] = value;
                        }
                    }
                }
                true
            }
        }
    };
}

line_kernel!(
    /// Height of the line at the current bar.
    LinearReg,
    "linearreg",
    "linear regression",
    2,
    [
        output("linearreg", "height of the fitted line at the current bar"),
        output("ratio", "value / linearreg - 1; 0 when linearreg is 0")
    ],
    |fit, line| {
        let height = line.height::<Way>(fit.half);
        [height, if height == 0.0 { 0.0 } else { Way::quotient(line.value, height) - 1.0 }]
    }
);
line_kernel!(
    /// Rise of the line per bar.
    LinearRegSlope,
    "linearreg_slope",
    "slope of the linear regression",
    2,
    [
        output("slope", "rise of the fitted line per bar"),
        output("ratio", "slope / value; 0 when the value is 0")
    ],
    |fit, line| {
        let relative = if line.value == 0.0 { 0.0 } else { Way::quotient(line.slope, line.value) };
        [line.slope, relative]
    }
);
line_kernel!(
    /// Height of the line at the oldest bar.
    LinearRegIntercept,
    "linearreg_intercept",
    "intercept of the linear regression",
    1,
    [output("intercept", "height of the fitted line at the oldest bar of the window")],
    |fit, line| [line.height::<Way>(-fit.half)]
);
line_kernel!(
    /// Angle of the line.
    LinearRegAngle,
    "linearreg_angle",
    "angle of the linear regression",
    1,
    [output("angle", "arc tangent of the slope in degrees, with one price unit per bar at 45")],
    |fit, line| [Way::product(libm::atan(line.slope), DEGREES)]
);
line_kernel!(
    /// Height of the line one bar ahead.
    Tsf,
    "tsf",
    "time series forecast",
    2,
    [
        output("tsf", "height of the fitted line one bar ahead"),
        output("ratio", "tsf / value - 1; 0 when the value is 0")
    ],
    |fit, line| {
        let forecast = line.height::<Way>(fit.half + 1.0);
        [forecast, if line.value == 0.0 { 0.0 } else { Way::quotient(forecast, line.value) - 1.0 }]
    }
);
