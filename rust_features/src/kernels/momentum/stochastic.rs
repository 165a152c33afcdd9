//! Stochastic oscillator.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::state::state;
use crate::window::{highest, lowest, mean, slide};

/// Place of the close in the range of the last bars, smoothed twice.
#[derive(Debug)]
pub(crate) struct Stoch {
    fast_k: usize,
    slow_k: usize,
    slow_d: usize,
}

state! {
    /// Raw values in the window so far, counted until it is full.
    pub(crate) struct StochState {
        filled: u64,
    }
}

impl Kernel for Stoch {
    type State = StochState;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "stoch",
        summary: "stochastic oscillator",
        parameters: &[
            Parameter::period("fastk_period", "bars of the range", 5, 1),
            Parameter::period("slowk_period", "raw values in slowk", 3, 1),
            Parameter::period("slowd_period", "slowk values in slowd", 3, 1),
        ],
        outputs: &[
            output(
                "slowk",
                "sma of 100 * (close - lowest low) / (highest high - lowest low); raw value 0 without range",
            ),
            output("slowd", "sma of slowk"),
        ],
        source: "TA-Lib STOCH with simple averages; Lane (1984), Stocks & Commodities 2:3",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            fast_k: arguments.count("fastk_period")?,
            slow_k: arguments.count("slowk_period")?,
            slow_d: arguments.count("slowd_period")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&[Column::High, Column::Low], self.fast_k)
    }

    /// The last raw values, then the last slowk values.
    fn window_len(&self) -> usize {
        self.slow_k + self.slow_d
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.fast_k + self.slow_k + self.slow_d - 3
    }

    #[inline(always)]
    fn step(&self, state: &mut StochState, window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let (Some(highs), Some(lows)) = (frame.highs(self.fast_k), frame.lows(self.fast_k)) else {
            return [f64::NAN; 2];
        };
        let (high, low) = (highest(highs), lowest(lows));
        let range = high - low;
        let raw = if range > 0.0 {
            100.0 * ((frame.bar.close - low) / range)
        } else {
            0.0
        };
        let (raws, slow_ks) = window.split_at_mut(self.slow_k);
        slide(raws, raw);
        let slow_k = mean(raws);
        slide(slow_ks, slow_k);
        let full = (self.slow_k + self.slow_d - 1) as u64;
        state.filled = (state.filled + 1).min(full);
        if state.filled < full {
            return [f64::NAN; 2];
        }
        [slow_k, mean(slow_ks)]
    }
}
