//! Stochastic oscillator of the relative strength index.

use super::relative_strength_index::GainsAndLosses;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::moving_average::{MovingAverage, MovingAverageState, kind_parameter};
use crate::state::state;
use crate::window::{highest, lowest, slide};

/// Indices this close to each other, in points, differ by the rounding of a decay only.
const SAME: f64 = 1e-10;

/// Place of the index in its own range.
#[derive(Debug)]
pub(crate) struct StochRsi {
    period: usize,
    fast_k: usize,
    fast_d: MovingAverage,
    column: Column,
}

state! {
    /// The index, its window's filling and the average of fastk.
    pub(crate) struct StochRsiState {
        index: GainsAndLosses,
        fast_d: MovingAverageState,
        /// Indices so far, counted until the window is full.
        filled: u64,
    }
}

impl Kernel for StochRsi {
    type State = StochRsiState;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "stochrsi",
        summary: "stochastic relative strength index",
        parameters: &[
            Parameter::period("timeperiod", "bars of the index", 14, 2),
            Parameter::period("fastk_period", "indices of the range", 5, 1),
            Parameter::period("fastd_period", "fastk values in fastd", 3, 1),
            kind_parameter("fastd_matype", 0),
            Parameter::column("close"),
        ],
        outputs: &[
            output(
                "fastk",
                "100 * (rsi - lowest rsi) / (highest rsi - lowest rsi); 0 without range",
            ),
            output("fastd", "average of fastk, of the kind fastd_matype"),
        ],
        source: "TA-Lib STOCHRSI; Chande and Kroll (1993), Stocks & Commodities 11:5",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            fast_k: arguments.count("fastk_period")?,
            fast_d: MovingAverage::of(arguments, "fastd_period", "fastd_matype", 0)?,
            column: arguments.column()?,
        })
    }

    /// The last indices, then the last fastk values.
    fn window_len(&self) -> usize {
        self.fast_k + self.fast_d.own_window()
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period + self.fast_k - 1 + self.fast_d.lookback()
    }

    #[inline(always)]
    fn step(&self, state: &mut StochRsiState, window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let Some(index) = state.index.push(self.period, frame.current(self.column)) else {
            return [f64::NAN; 2];
        };
        let (indices, fast_ks) = window.split_at_mut(self.fast_k);
        slide(indices, index);
        let full = self.fast_k as u64;
        state.filled = state.filled.saturating_add(1).min(full);
        if state.filled < full {
            return [f64::NAN; 2];
        }
        let low = lowest(indices);
        let range = highest(indices) - low;
        let fast_k = if range > SAME {
            100.0 * ((index - low) / range)
        } else {
            0.0
        };
        match self.fast_d.push_own(&mut state.fast_d, fast_ks, fast_k) {
            Some(fast_d) => [fast_k, fast_d],
            None => [f64::NAN; 2],
        }
    }
}
