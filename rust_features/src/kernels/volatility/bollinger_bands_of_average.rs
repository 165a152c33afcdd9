//! Bollinger bands around an average of any kind.

use super::bollinger_bands::Reach;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::moving_average::{MovingAverage, MovingAverageState, kind_parameter};
use crate::rolling_moments::means_and_variances;
use crate::window::mean_and_variance;

/// An average of any kind with bands of standard deviations around it.
#[derive(Debug)]
pub(crate) struct BollingerBandsOfAverage {
    period: usize,
    reach: Reach,
    average: MovingAverage,
    column: Column,
}

impl Kernel for BollingerBandsOfAverage {
    type State = MovingAverageState;
    type Output = [f64; 5];
    const DESCRIPTION: Description = Description {
        name: "bbands_ma",
        summary: "Bollinger bands around an average of a chosen kind",
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
            kind_parameter("matype", 1),
            Parameter::column("close"),
        ],
        outputs: &[
            output(
                "upper",
                "middle + nbdevup * population standard deviation around the window's mean",
            ),
            output("middle", "the average that matype names"),
            output(
                "lower",
                "middle - nbdevdn * population standard deviation around the window's mean",
            ),
            output(
                "percent_b",
                "(value - lower) / (upper - lower); 0.5 when the bands meet",
            ),
            output("width", "(upper - lower) / middle; 0 when middle is 0"),
        ],
        source: "TA-Lib BBANDS with matype; Bollinger (2001), Bollinger on Bollinger Bands",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            reach: Reach::of(arguments)?,
            average: MovingAverage::of(arguments, "timeperiod", "matype", 0)?,
            column: arguments.column()?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(self.column, self.period.max(self.average.taps()))
    }

    fn window_len(&self) -> usize {
        self.average.memory()
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.average.lookback().max(self.period - 1)
    }

    #[inline(always)]
    fn step(
        &self,
        state: &mut MovingAverageState,
        window: &mut [f64],
        frame: &Frame<'_>,
    ) -> [f64; 5] {
        let value = frame.current(self.column);
        let newest = frame.last(self.column, self.average.taps());
        let middle = self.average.push(state, window, value, newest);
        let moments = frame.last(self.column, self.period).map(mean_and_variance);
        let (Some(middle), Some((_, variance))) = (middle, moments) else {
            return [f64::NAN; 5];
        };
        self.reach.bands(middle, variance, value)
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut MovingAverageState,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (values, [upper, middle, lower, rest @ ..]) = (span.source(), outputs) else {
            return 0;
        };
        let Some(windows) = span.sources(self.period) else {
            return 0;
        };
        let newest = span.sources(self.average.taps());
        let bars = (self.average).push_all(state, values, newest, middle);
        let (values, windows) = (&values[..bars], &windows[..self.period - 1 + bars]);
        // The means of the windows stand where the upper bands will.
        means_and_variances(windows, self.period, &mut upper[..bars], &mut lower[..bars]);
        self.reach.show(values, [upper, middle, lower], rest);
        bars
    }
}
