//! Logarithmic returns, now and some bars ago.

use crate::arguments::{ArgumentError, Arguments, LONGEST_PERIOD, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::logarithm::{log_ratio, log_ratios_of_each};
use crate::neighbours::Row;
use crate::side_by_side::{Memories, SideBySide};

/// Natural logarithm of a ratio of closes.
#[derive(Debug)]
pub(crate) struct LogReturn {
    period: usize,
    lag: usize,
}

impl Kernel for LogReturn {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "log_return",
        summary: "logarithmic return",
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
            "log_return",
            "ln(close lag bars ago / close lag + timeperiod bars ago)",
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
        if self.period == 1 {
            Lookback::of_log_returns(self.lag + 1)
        } else {
            Lookback::of(Column::Close, self.lag + self.period + 1)
        }
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.lag + self.period
    }

    const SIDE_BY_SIDE: bool = true;

    #[inline(always)]
    fn side_by_side(
        &self,
        _memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let [row] = outputs else {
            return false;
        };
        if self.period == 1 {
            let Some([old, ..]) = newest.log_returns(self.lag + 1) else {
                return false;
            };
            *row = *old;
            return true;
        }
        let Some(closes @ [before, ..]) = newest.last(Column::Close, self.lag + self.period + 1)
        else {
            return false;
        };
        *row = log_ratios_of_each(&closes[self.period], before);
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        if self.period == 1 {
            return match frame.log_returns(self.lag + 1) {
                Some([old, ..]) => [*old],
                _ => [f64::NAN],
            };
        }
        match frame.closes(self.lag + self.period + 1) {
            Some(closes) => [log_ratio(closes[self.period], closes[0])],
            None => [f64::NAN],
        }
    }
}
