//! Middle of the range of the last bars.

use super::simple_moving_average::ratio;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::window::{highest, lowest};

/// Middle of the highest and the lowest value.
#[derive(Debug)]
pub(crate) struct Midpoint {
    period: usize,
    column: Column,
}

impl Kernel for Midpoint {
    type State = ();
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "midpoint",
        summary: "middle of the range of one column",
        parameters: &[
            Parameter::period("timeperiod", "bars of the range", 14, 2),
            Parameter::column("close"),
        ],
        outputs: &[
            output("midpoint", "(highest value + lowest value) / 2"),
            output("ratio", "value / midpoint - 1; 0 when midpoint is 0"),
        ],
        source: "TA-Lib MIDPOINT",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            column: arguments.column()?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(self.column, self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        match frame.last(self.column, self.period) {
            Some(values) => {
                let middle = highest(values).midpoint(lowest(values));
                [middle, ratio(frame.current(self.column), middle)]
            }
            None => [f64::NAN; 2],
        }
    }
}

/// Middle of the highest high and the lowest low.
#[derive(Debug)]
pub(crate) struct Midprice {
    period: usize,
}

impl Kernel for Midprice {
    type State = ();
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "midprice",
        summary: "middle of the range of highs and lows",
        parameters: &[Parameter::period("timeperiod", "bars of the range", 14, 2)],
        outputs: &[
            output("midprice", "(highest high + lowest low) / 2"),
            output("ratio", "close / midprice - 1"),
        ],
        source: "TA-Lib MIDPRICE",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&[Column::High, Column::Low], self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        match middle_of_range(frame, self.period) {
            Some(middle) => [middle, ratio(frame.bar.close, middle)],
            None => [f64::NAN; 2],
        }
    }
}

/// Middle of the highest high and the lowest low of the newest `period` bars.
#[inline(always)]
pub(crate) fn middle_of_range(frame: &Frame<'_>, period: usize) -> Option<f64> {
    Some(highest(frame.highs(period)?).midpoint(lowest(frame.lows(period)?)))
}
