//! Realised volatility.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbours::Row;
use crate::side_by_side::sums_of;
use crate::side_by_side::{Memories, SideBySide};
use crate::window::sum_of;

/// Root mean square of log returns.
#[derive(Debug)]
pub(crate) struct RealisedVolatility {
    period: usize,
}

impl Kernel for RealisedVolatility {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "realised_volatility",
        summary: "realised volatility, per bar",
        parameters: &[Parameter::period(
            "timeperiod",
            "log returns in the mean",
            20,
            1,
        )],
        outputs: &[output(
            "volatility",
            "square root of the mean of the last timeperiod squared log returns",
        )],
        source: "Andersen, Bollerslev, Diebold and Labys (2003), Modeling and Forecasting Realized Volatility",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_log_returns(self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    const SIDE_BY_SIDE: bool = true;

    #[inline(always)]
    fn side_by_side(
        &self,
        _memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(returns), [row]) = (newest.log_returns(self.period), outputs) else {
            return false;
        };
        *row = sums_of(returns, |value, _| value * value);
        for cell in &mut row.0 {
            *cell = (*cell / self.period as f64).sqrt();
        }
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        match frame.log_returns(self.period) {
            Some(returns) => {
                let squares =
                    known_length!([returns] of [20] => sum_of(returns, |value| value * value));
                [(squares / self.period as f64).sqrt()]
            }
            None => [f64::NAN],
        }
    }
}
