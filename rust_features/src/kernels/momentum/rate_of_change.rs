//! Rate of change.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};

/// Change over some bars in percent.
#[derive(Debug)]
pub(crate) struct Roc {
    period: usize,
    column: Column,
}

impl Kernel for Roc {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "roc",
        summary: "rate of change",
        parameters: &[
            Parameter::period("timeperiod", "bars between the two values", 10, 1),
            Parameter::column("close"),
        ],
        outputs: &[output(
            "roc",
            "(value / value timeperiod bars ago - 1) * 100; 0 when the old value is 0",
        )],
        source: "TA-Lib ROC",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            column: arguments.column()?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(self.column, self.period + 1)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        match frame.last(self.column, self.period + 1) {
            Some([old, ..]) if *old != 0.0 => [(frame.current(self.column) / old - 1.0) * 100.0],
            Some(_) => [0.0],
            None => [f64::NAN],
        }
    }
}
