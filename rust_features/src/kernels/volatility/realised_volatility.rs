//! Realised volatility.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};
use crate::logarithm::log_ratio;
use crate::state::state;
use crate::trailing::{append, room_for};
use crate::window::sum_of;

/// Root mean square of log returns.
#[derive(Debug)]
pub(crate) struct RealisedVolatility {
    period: usize,
}

state! {
    /// Previous close and the returns so far.
    pub(crate) struct Returns {
        previous_close: f64,
        /// Bars seen, counted until the window is full.
        bars: u64,
        appended: u64,
    }
}

impl Kernel for RealisedVolatility {
    type State = Returns;
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

    fn window_len(&self) -> usize {
        room_for(self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    #[inline(always)]
    fn step(&self, state: &mut Returns, window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let close = frame.bar.close;
        let previous_close = std::mem::replace(&mut state.previous_close, close);
        let warm = state.bars >= self.period as u64;
        if !warm {
            state.bars += 1;
            if state.bars == 1 {
                return [f64::NAN];
            }
        }
        let returns = append(
            window,
            &mut state.appended,
            log_ratio(close, previous_close),
        );
        if !warm {
            return [f64::NAN];
        }
        [(sum_of(returns, |value| value * value) / self.period as f64).sqrt()]
    }
}
