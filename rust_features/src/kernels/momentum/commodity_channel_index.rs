//! Commodity channel index.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};
use crate::state::state;
use crate::window::{slide, sum_of};

/// Typical prices whose mean deviation is this small a part of the price differ by rounding only.
const SAME: f64 = 1e-15;

/// Distance of the typical price from its mean, in mean deviations.
#[derive(Debug)]
pub(crate) struct Cci {
    period: usize,
}

state! {
    /// How far the window is filled.
    pub(crate) struct CciState {
        /// Typical prices so far, counted until the window is full.
        filled: u64,
    }
}

impl Kernel for Cci {
    type State = CciState;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "cci",
        summary: "commodity channel index",
        parameters: &[Parameter::period("timeperiod", "bars in the mean", 14, 2)],
        outputs: &[output(
            "cci",
            "(typical - its mean) / (0.015 * mean absolute deviation), typical = (high + low + close) / 3; 0 in a flat market",
        )],
        source: "TA-Lib CCI; Lambert (1980), Commodities 9:10",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    /// The last typical prices.
    fn window_len(&self) -> usize {
        self.period
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    #[inline(always)]
    fn step(&self, state: &mut CciState, window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let typical = (frame.bar.high + frame.bar.low + frame.bar.close) / 3.0;
        slide(window, typical);
        let full = self.period as u64;
        state.filled = (state.filled + 1).min(full);
        if state.filled < full {
            return [f64::NAN];
        }
        // Distances from the newest price are exact where prices are close, and zero where they are the same.
        let count = self.period as f64;
        let mean = sum_of(window, |value| value - typical) / count;
        let deviation = sum_of(window, |value| ((value - typical) - mean).abs()) / count;
        [if deviation > SAME * typical {
            -mean / (0.015 * deviation)
        } else {
            0.0
        }]
    }
}
