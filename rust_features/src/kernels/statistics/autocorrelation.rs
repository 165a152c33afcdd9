//! Autocorrelation of the last values.

use crate::arguments::{ArgumentError, Arguments, LONGEST_PERIOD, Parameter};
use crate::frame::{Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::moments::autocorrelation;
use crate::moments_of_each::autocorrelations;
use crate::neighbours::Row;
use crate::sample::{Sample, source_parameter};
use crate::side_by_side::{Memories, SideBySide};

/// Correlation of the values with those `lag` bars before them.
#[derive(Debug)]
pub(crate) struct Autocorrelation {
    sample: Sample,
    lag: usize,
}

impl Kernel for Autocorrelation {
    type State = ();
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

    fn warmup_bars(&self, _output: usize) -> usize {
        self.sample.warmup_bars()
    }

    const SIDE_BY_SIDE: bool = true;

    #[inline(always)]
    fn side_by_side(
        &self,
        _memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(values), [row]) = (self.sample.side_by_side(newest), outputs) else {
            return false;
        };
        *row = autocorrelations(values, self.lag);
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        // A match: a closure would stay a call, and be compiled without wide vectors.
        match self.sample.values(frame) {
            Some(values) => [known_length!([values] of [20] => if self.lag == 1 {
                autocorrelation(values, 1)
            } else {
                autocorrelation(values, self.lag)
            })],
            None => [f64::NAN],
        }
    }
}
