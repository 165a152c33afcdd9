//! Bollinger bands.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::moments_of_each::means_and_variances_of_each;
use crate::neighbours::{Row, WINDOWS, parts};
use crate::rolling_moments::means_and_variances;
use crate::side_by_side::{Memories, SideBySide};
use crate::window::mean_and_variance;

/// A simple average with bands of standard deviations around it.
#[derive(Debug)]
pub(crate) struct BollingerBands {
    period: usize,
    reach: Reach,
    column: Column,
}

impl Kernel for BollingerBands {
    type State = ();
    type Output = [f64; 5];
    const DESCRIPTION: Description = Description {
        name: "bbands",
        summary: "Bollinger bands",
        parameters: &[
            Parameter::period("timeperiod", "bars of average and deviation", 20, 2),
            Parameter::number(
                "nbdevup",
                "deviations from the middle to the upper band",
                2.0,
                0.0,
                1e6,
            ),
            Parameter::number(
                "nbdevdn",
                "deviations from the middle to the lower band",
                2.0,
                0.0,
                1e6,
            ),
            Parameter::column("close"),
        ],
        outputs: &[
            output("upper", "middle + nbdevup * population standard deviation"),
            output("middle", "mean of the last timeperiod values"),
            output("lower", "middle - nbdevdn * population standard deviation"),
            output(
                "percent_b",
                "(value - lower) / (upper - lower); 0.5 when the bands meet",
            ),
            output("width", "(upper - lower) / middle; 0 when middle is 0"),
        ],
        source: "TA-Lib BBANDS; Bollinger (2001), Bollinger on Bollinger Bands",
    };
    const CLASSIC_OUTPUTS: usize = 3;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            reach: Reach::of(arguments)?,
            column: arguments.column()?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(self.column, self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    const SIDE_BY_SIDE: bool = true;

    #[inline(always)]
    fn side_by_side(
        &self,
        _memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(values @ [.., newest]), [upper, middle, lower, percent_b, width]) =
            (newest.last(self.column, self.period), outputs)
        else {
            return false;
        };
        let [means, variances] = means_and_variances_of_each(values);
        for (at, value) in newest.0.iter().enumerate() {
            [
                upper.0[at],
                middle.0[at],
                lower.0[at],
                percent_b.0[at],
                width.0[at],
            ] = self.reach.bands(means.0[at], variances.0[at], *value);
        }
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 5] {
        let Some(window) = frame.last(self.column, self.period) else {
            return [f64::NAN; 5];
        };
        let (middle, variance) = known_length!([window] of [20] => mean_and_variance(window));
        self.reach
            .bands(middle, variance, frame.current(self.column))
    }

    #[inline(always)]
    fn span(
        &self,
        (): &mut (),
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let ([upper, middle, lower, rest @ ..], values) = (outputs, span.source()) else {
            return 0;
        };
        let Some(windows) = span.sources(self.period) else {
            return 0;
        };
        let bars = values.len();
        let (upper, middle, lower) = (&mut upper[..bars], &mut middle[..bars], &mut lower[..bars]);
        means_and_variances(windows, self.period, middle, lower);
        self.reach.show(values, [upper, middle, lower], rest);
        bars
    }
}

/// What is shown of bands that meet.
const MEETING: [f64; 2] = [0.5, 0.0];

/// The value's place between the bands, and the bands' width.
#[inline(always)]
fn shown([upper, middle, lower]: [f64; 3], value: f64) -> [f64; 2] {
    let distance = upper - lower;
    [
        if distance > 0.0 {
            (value - lower) / distance
        } else {
            MEETING[0]
        },
        if middle > 0.0 {
            distance / middle
        } else {
            MEETING[1]
        },
    ]
}

/// How many deviations the bands are from the middle: the upper one, and the lower one.
#[derive(Debug)]
pub(super) struct Reach {
    up: f64,
    down: f64,
}

impl Reach {
    pub(super) fn of(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            up: arguments.number("nbdevup")?,
            down: arguments.number("nbdevdn")?,
        })
    }

    /// The upper and the lower band.
    #[inline(always)]
    fn around(&self, middle: f64, variance: f64) -> [f64; 2] {
        let deviation = variance.sqrt();
        [middle + self.up * deviation, middle - self.down * deviation]
    }

    /// All outputs.
    #[inline(always)]
    pub(super) fn bands(&self, middle: f64, variance: f64, value: f64) -> [f64; 5] {
        let [upper, lower] = self.around(middle, variance);
        let [percent_b, width] = shown([upper, middle, lower], value);
        [upper, middle, lower, percent_b, width]
    }

    /// As [`Reach::bands`] of many bars, of which the variances stand where the lower bands will.
    #[inline(always)]
    pub(super) fn show(
        &self,
        values: &[f64],
        [upper, middle, lower]: [&mut [f64]; 3],
        rest: &mut [&mut [f64]],
    ) {
        let bars = values.len();
        let (upper, middle, lower) = (&mut upper[..bars], &middle[..bars], &mut lower[..bars]);
        for at in 0..bars {
            [upper[at], lower[at]] = self.around(middle[at], lower[at]);
        }
        let [percent_b, width] = rest else {
            return;
        };
        let (percent_b, width) = (&mut percent_b[..bars], &mut width[..bars]);
        for own in parts(bars, WINDOWS) {
            if upper[own.clone()] == lower[own.clone()] {
                // As all of prices near zero do: vectors that divide such numbers take a hundred times as long, even
                // where the result does not count.
                percent_b[own.clone()].fill(MEETING[0]);
                width[own].fill(MEETING[1]);
                continue;
            }
            for at in own {
                [percent_b[at], width[at]] = shown([upper[at], middle[at], lower[at]], values[at]);
            }
        }
    }
}
