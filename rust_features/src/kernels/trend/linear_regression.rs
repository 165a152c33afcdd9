//! A straight line fitted to the last values.

use super::linear_regression_fit::Fit;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, OutputDescription, output};
use crate::known_length::known_length;
use crate::neighbouring_filters::{all_averages, all_deviations};
use crate::neighbours::{Row, WINDOWS};
use crate::side_by_side::{Memories, SideBySide, weighted_deviations};
use crate::subnormal::{Arithmetic, Careful, Lifted, Plain, all_near, each_near};
use crate::subnormal_blocks::ratio_by;
use crate::window::weighted_deviation;

pub(super) const PARAMETERS: [Parameter; 2] = [
    Parameter::period("timeperiod", "bars that the line is fitted to", 14, 2),
    Parameter::column("close"),
];
/// Degrees of an angle of one.
const DEGREES: f64 = 1.0_f64.to_degrees();
pub(super) const SOURCE: &str =
    "TA-Lib LINEARREG, LINEARREG_SLOPE, LINEARREG_INTERCEPT, LINEARREG_ANGLE, TSF; least squares";

/// What turns values into one number of their line: a weight for the distance of each from the newest one, oldest first.
/// Distances are exact where values are close.
#[derive(Debug)]
struct Filter {
    column: Column,
    weights: Box<[f64]>,
    /// Whether it gives a height, to which the newest value is added.
    is_height: bool,
}

impl Filter {
    /// The line's rise per bar.
    fn slope(fit: Fit) -> Self {
        Self {
            column: fit.column,
            weights: fit.weights,
            is_height: false,
        }
    }

    /// The line's height, given the distance from the middle of the window to either end, so far after the middle.
    fn height(fit: &Fit, place: impl Fn(f64) -> f64) -> Self {
        let length = fit.weights.len();
        let place = place((length - 1) as f64 / 2.0);
        let share = 1.0 / length as f64;
        let weights = fit.weights.iter();
        Self {
            column: fit.column,
            weights: weights.map(|weight| weight.mul_add(place, share)).collect(),
            is_height: true,
        }
    }

    /// Its number, given the newest value and the weighted distances.
    #[inline(always)]
    fn number(&self, newest: f64, deviation: f64) -> f64 {
        if self.is_height {
            newest + deviation
        } else {
            deviation
        }
    }
}

/// One kernel of the family: its filter, and what it shows of the newest value and the filter's number.
macro_rules! line_kernel {
    ($(#[$meta:meta])* $kernel:ident, $name:literal, $summary:literal, $count:literal, $outputs:expr, $filter:expr, $shows_line:literal, |$value:ident, $line:ident| $shown:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(crate) struct $kernel(Filter);

        impl $kernel {
            /// Whether the first output is the filter's number itself.
            const SHOWS_LINE: bool = $shows_line;

            #[inline(always)]
            #[allow(unused_variables, reason = "not every output needs the value")]
            fn shown<Way: Arithmetic>($value: f64, $line: f64) -> [f64; $count] {
                $shown
            }
        }

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
                let filter: fn(Fit) -> Filter = $filter;
                Ok(Self(filter(Fit::new(arguments)?)))
            }

            fn lookback(&self) -> Lookback {
                Lookback::of(self.0.column, self.0.weights.len())
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
                let filter = &self.0;
                let Some(rows @ [.., newest]) = newest.last(filter.column, filter.weights.len())
                else {
                    return false;
                };
                let deviations = weighted_deviations(rows, &filter.weights, newest);
                for at in 0..WINDOWS {
                    let line = filter.number(newest.0[at], deviations.0[at]);
                    let all = Self::shown::<Plain>(newest.0[at], line);
                    for (row, value) in outputs.iter_mut().zip(all) {
                        row.0[at] = value;
                    }
                }
                true
            }

            #[inline(always)]
            fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> Self::Output {
                let filter = &self.0;
                let weights = &*filter.weights;
                match frame.last(filter.column, weights.len()) {
                    Some(values) => {
                        let newest = frame.current(filter.column);
                        let deviation = known_length!(
                            [values, weights] of [14] => weighted_deviation(values, weights, newest)
                        );
                        Self::shown::<Careful>(newest, filter.number(newest, deviation))
                    }
                    None => [f64::NAN; $count],
                }
            }

            #[inline(always)]
            fn span_checks(&self, column: Column) -> bool {
                column == self.0.column
            }

            #[inline(always)]
            fn span(
                &self,
                (): &mut (),
                _window: &mut [f64],
                span: Span<'_>,
                outputs: &mut [&mut [f64]],
            ) -> usize {
                let filter = &self.0;
                let (Some(windows), [lines, more @ ..]) =
                    (span.sources(filter.weights.len()), outputs)
                else {
                    return 0;
                };
                let taken = if filter.is_height {
                    all_averages(windows, &filter.weights, lines)
                } else {
                    all_deviations(windows, &filter.weights, lines)
                };
                if more.is_empty() && Self::SHOWS_LINE {
                    return taken;
                }
                let values = &span.source()[..taken];
                for (block, values) in values.chunks(WINDOWS).enumerate() {
                    let lines = &mut lines[block * WINDOWS..][..values.len()];
                    let near = all_near(values) && each_near(lines);
                    for (at, value) in values.iter().enumerate() {
                        let all = if near {
                            Self::shown::<Lifted>(*value, lines[at])
                        } else {
                            Self::shown::<Plain>(*value, lines[at])
                        };
                        let [first, rest @ ..] = all;
                        lines[at] = first;
                        for (cells, value) in more.iter_mut().zip(rest) {
                            cells[block * WINDOWS + at] = value;
                        }
                    }
                }
                taken
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
    |fit| Filter::height(&fit, |half| half),
    true,
    |value, line| [line, ratio_by::<Way>(value, line)]
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
    Filter::slope,
    true,
    |value, line| [line, if value == 0.0 { 0.0 } else { Way::quotient(line, value) }]
);
line_kernel!(
    /// Height of the line at the oldest bar.
    LinearRegIntercept,
    "linearreg_intercept",
    "intercept of the linear regression",
    1,
    [output("intercept", "height of the fitted line at the oldest bar of the window")],
    |fit| Filter::height(&fit, |half| -half),
    true,
    |value, line| [line]
);
line_kernel!(
    /// Angle of the line.
    LinearRegAngle,
    "linearreg_angle",
    "angle of the linear regression",
    1,
    [output("angle", "arc tangent of the slope in degrees, with one price unit per bar at 45")],
    Filter::slope,
    false,
    |value, line| [Way::product(libm::atan(line), DEGREES)]
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
    |fit| Filter::height(&fit, |half| half + 1.0),
    true,
    |value, line| [line, ratio_by::<Way>(line, value)]
);
