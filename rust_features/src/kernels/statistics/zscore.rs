//! Standard score of the last value.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::moments::standard_score;
use crate::sample::{Sample, source_parameter};

/// Last value in deviations from the mean of its window.
#[derive(Debug)]
pub(crate) struct Zscore {
    sample: Sample,
}

impl Kernel for Zscore {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "zscore",
        summary: "standard score of the last value in its window",
        parameters: &[
            Parameter::period(
                "timeperiod",
                "values in the window, the last one included",
                20,
                2,
            ),
            source_parameter("close"),
        ],
        outputs: &[output(
            "zscore",
            "(value - mean) / population standard deviation of the last timeperiod values; 0 when all are equal",
        )],
        source: "definition",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            sample: Sample::new(arguments)?,
        })
    }

    fn lookback(&self) -> Lookback {
        self.sample.lookback()
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.sample.warmup_bars()
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        match self.sample.values(frame) {
            Some(values) => [standard_score(values)],
            None => [f64::NAN],
        }
    }
}
