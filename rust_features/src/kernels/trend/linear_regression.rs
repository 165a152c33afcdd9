//! A straight line fitted to the last values.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, OutputDescription, output};
use crate::known_length::known_length;
use crate::neighbours::{Row, sums_over, weighted_deviations};
use crate::window::{sum_over, weighted_deviation};

const PARAMETERS: [Parameter; 2] = [
    Parameter::period("timeperiod", "bars that the line is fitted to", 14, 2),
    Parameter::column("close"),
];
const SOURCE: &str =
    "TA-Lib LINEARREG, LINEARREG_SLOPE, LINEARREG_INTERCEPT, LINEARREG_ANGLE, TSF; least squares";

/// What the fit needs to know of its period.
#[derive(Debug)]
struct Fit {
    column: Column,
    /// Weights that turn values into the slope: each place's distance from the middle, scaled.
    weights: Box<[f64]>,
    /// Distance of the last place from the middle.
    half: f64,
    /// Sum of the squared distances of all places from the middle.
    squares: f64,
}

/// A fitted line.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    /// What it is fitted to.
    values: &'a [f64],
    /// Newest value.
    value: f64,
    /// Mean of the values less the newest one: their differences are exact where values are close.
    mean_change: f64,
    slope: f64,
}

impl Line<'_> {
    /// Height of the line `places` after the middle of the window.
    #[inline(always)]
    fn height(&self, places: f64) -> f64 {
        self.value + (self.mean_change + self.slope * places)
    }

    /// Distance of one of the values from their mean.
    #[inline(always)]
    fn distance(&self, value: f64) -> f64 {
        (value - self.value) - self.mean_change
    }
}

impl Fit {
    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
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

    fn lookback(&self) -> Lookback {
        Lookback::of(self.column, self.weights.len())
    }

    /// The line through as many values as there are weights, `value` the last of them.
    #[inline(always)]
    fn line<'a>(values: &'a [f64], weights: &[f64], value: f64) -> Line<'a> {
        Line {
            values,
            value,
            mean_change: sum_over([values], |[other]| other - value) / values.len() as f64,
            slope: weighted_deviation(values, weights, value),
        }
    }

    /// The lines of a block's bars.
    #[inline(always)]
    fn lines(&self, block: Block<'_>) -> Option<[Row; 2]> {
        let (windows, values) = (block.sources(self.weights.len())?, block.source()?);
        let length = self.weights.len();
        let mut changes = sums_over([windows], length, |[other], window| other - values[window]);
        for change in &mut changes.0 {
            *change /= length as f64;
        }
        Some([changes, weighted_deviations(windows, &self.weights, values)])
    }

    /// Share of the variance of the values that the line explains; 0 when they are all the same.
    #[inline(always)]
    fn explained(&self, line: &Line<'_>) -> f64 {
        let total = sum_over([line.values], |[value]| {
            let distance = line.distance(value);
            distance * distance
        });
        let share = if total > SAFE_SQUARES.0 && total < SAFE_SQUARES.1 {
            line.slope * line.slope * self.squares / total
        } else {
            explained_of_extreme(line, self.squares)
        };
        if share > 1.0 { 1.0 } else { share }
    }
}

/// Sums of squares that lost nothing below the range of numbers, nor left it.
const SAFE_SQUARES: (f64, f64) = (1e-200, 1e200);

/// Share of the variance that the line explains where squares of the values would vanish or overflow.
#[cold]
#[inline(never)]
fn explained_of_extreme(line: &Line<'_>, squares: f64) -> f64 {
    // Distances are measured by their own sum.
    let scale = sum_over([line.values], |[value]| line.distance(value).abs());
    if scale == 0.0 {
        return 0.0;
    }
    let total = sum_over([line.values], |[value]| {
        let part = line.distance(value) / scale;
        part * part
    });
    let slope = line.slope / scale;
    let fitted = slope * slope * squares;
    if total > 0.0 { fitted / total } else { 0.0 }
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

            #[inline(always)]
            fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> Self::Output {
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
                for (at, value) in values.iter().enumerate() {
                    let $line = Line {
                        values: &windows[at..at + length],
                        value: *value,
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
        let height = line.height(fit.half);
        [height, super::simple_moving_average::ratio(line.value, height)]
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
        let relative = if line.value == 0.0 { 0.0 } else { line.slope / line.value };
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
    |fit, line| [line.height(-fit.half)]
);
line_kernel!(
    /// Angle of the line.
    LinearRegAngle,
    "linearreg_angle",
    "angle of the linear regression",
    1,
    [output("angle", "arc tangent of the slope in degrees, with one price unit per bar at 45")],
    |fit, line| [libm::atan(line.slope).to_degrees()]
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
        let forecast = line.height(fit.half + 1.0);
        [forecast, super::simple_moving_average::ratio(forecast, line.value)]
    }
);
line_kernel!(
    /// How straight the last values lie.
    LinearRegR2,
    "linearreg_r2",
    "fit of the linear regression",
    1,
    [output("r2", "share of the values' variance that the line explains, 0 to 1; 0 when they are all the same")],
    |fit, line| [fit.explained(&line)]
);
