//! Bollinger bands.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, Moments, output};

/// A simple average with bands of standard deviations around it.
#[derive(Debug)]
pub(crate) struct BollingerBands {
    period: usize,
    deviations_up: f64,
    deviations_down: f64,
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
    const MOMENTS: Moments = Moments::MeanAndVariance;
    const CLASSIC_OUTPUTS: usize = 3;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            deviations_up: arguments.number("nbdevup")?,
            deviations_down: arguments.number("nbdevdn")?,
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
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 5] {
        let Some((middle, variance)) = frame.mean_and_variance(self.column, self.period) else {
            return [f64::NAN; 5];
        };
        let deviation = variance.sqrt();
        let upper = middle + self.deviations_up * deviation;
        let lower = middle - self.deviations_down * deviation;
        let distance = upper - lower;
        let percent_b = if distance > 0.0 {
            (frame.current(self.column) - lower) / distance
        } else {
            0.5
        };
        let width = if middle > 0.0 { distance / middle } else { 0.0 };
        [upper, middle, lower, percent_b, width]
    }
}
