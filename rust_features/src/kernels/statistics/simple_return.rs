//! Simple returns, now and some bars ago.

use crate::arguments::{ArgumentError, Arguments, LONGEST_PERIOD, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::divide_by_each;
use crate::subnormal::quotient;

/// Relative change of the close.
#[derive(Debug)]
pub(crate) struct SimpleReturn {
    period: usize,
    lag: usize,
}

impl Kernel for SimpleReturn {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "simple_return",
        summary: "simple return",
        parameters: &[
            Parameter::period("timeperiod", "bars between the two closes", 1, 1),
            Parameter::integer(
                "lag",
                "bars ago at which the return ended",
                0,
                0,
                LONGEST_PERIOD,
            ),
        ],
        outputs: &[output(
            "simple_return",
            "close lag bars ago / close lag + timeperiod bars ago - 1",
        )],
        source: "definition",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            lag: arguments.count("lag")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(Column::Close, self.lag + self.period + 1)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.lag + self.period
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        match frame.closes(self.lag + self.period + 1) {
            Some(closes) => [quotient(closes[self.period] - closes[0], closes[0])],
            None => [f64::NAN],
        }
    }

    #[inline(always)]
    fn span(
        &self,
        (): &mut (),
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let closes = span.windows(Column::Close, self.lag + self.period + 1);
        let (Some(closes), [changes]) = (closes, outputs) else {
            return 0;
        };
        let (olds, values) = (&closes[..changes.len()], &closes[self.period..]);
        for (cell, (value, old)) in changes.iter_mut().zip(values.iter().zip(olds)) {
            *cell = value - old;
        }
        divide_by_each(changes, olds);
        changes.len()
    }
}
