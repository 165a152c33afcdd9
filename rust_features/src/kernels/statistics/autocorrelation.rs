//! Autocorrelation of the last values.

use crate::arguments::{ArgumentError, Arguments, LONGEST_PERIOD, Parameter};
use crate::frame::{Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::moments::sum_of_pairs;
use crate::sample::{Sample, SampleState, source_parameter};
use crate::window::{mean, sum_of};

/// Correlation of the values with those `lag` bars before them.
#[derive(Debug)]
pub(crate) struct Autocorrelation {
    sample: Sample,
    lag: usize,
}

impl Kernel for Autocorrelation {
    type State = SampleState;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "autocorrelation",
        summary: "rolling autocorrelation",
        parameters: &[
            Parameter::period("timeperiod", "values in the window", 20, 3),
            Parameter::integer(
                "lag",
                "bars between the two values of a pair",
                1,
                1,
                LONGEST_PERIOD,
            ),
            source_parameter("log_return"),
        ],
        outputs: &[output(
            "autocorrelation",
            "sum of (value - mean)(value lag bars before - mean) over the window's pairs / sum of (value - mean)^2 \
             over the window; 0 when all values are equal",
        )],
        source: "Box and Jenkins (1970), Time Series Analysis: Forecasting and Control",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let (lag, period) = (arguments.count("lag")?, arguments.count("timeperiod")?);
        if lag >= period {
            return Err(ArgumentError::Contradiction(format!(
                "lag {lag} leaves no pair in a window of timeperiod {period}: give a lag below the timeperiod"
            )));
        }
        Ok(Self {
            sample: Sample::new(arguments)?,
            lag,
        })
    }

    fn lookback(&self) -> Lookback {
        self.sample.lookback()
    }

    fn window_len(&self) -> usize {
        self.sample.window_len()
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.sample.warmup_bars()
    }

    #[inline(always)]
    fn step(&self, state: &mut SampleState, window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let Some(values) = self.sample.push(state, window, frame) else {
            return [f64::NAN];
        };
        let (Some(later), Some(earlier)) = (
            values.get(self.lag..),
            values.get(..values.len() - self.lag),
        ) else {
            return [0.0];
        };
        let rounded = mean(values);
        // What rounding took from the mean.
        let rest = sum_of(values, |value| value - rounded) / values.len() as f64;
        let centred = |value: f64| (value - rounded) - rest;
        let squares = sum_of(values, |value| centred(value) * centred(value));
        if squares > 0.0 {
            [sum_of_pairs(later, earlier, |a, b| centred(a) * centred(b)) / squares]
        } else {
            [0.0]
        }
    }
}
