//! Stochastic oscillator smoothed by averages of any kind.

use super::stochastic::place_in_range;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::moving_average::{MovingAverage, MovingAverageState, kind_parameter};
use crate::state::state;

/// Place of the close in the range of the last bars, smoothed twice by averages of any kind.
#[derive(Debug)]
pub(crate) struct StochOfAverages {
    fast_k: usize,
    slow_k: MovingAverage,
    slow_d: MovingAverage,
}

state! {
    /// Both averages.
    pub(crate) struct StochOfAveragesState {
        slow_k: MovingAverageState,
        slow_d: MovingAverageState,
    }
}

impl Kernel for StochOfAverages {
    type State = StochOfAveragesState;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "stoch_ma",
        summary: "stochastic oscillator with averages of a chosen kind",
        parameters: &[
            Parameter::period("fastk_period", "bars of the range", 5, 1),
            Parameter::period("slowk_period", "raw values in slowk", 3, 1),
            kind_parameter("slowk_matype", 1),
            Parameter::period("slowd_period", "slowk values in slowd", 3, 1),
            kind_parameter("slowd_matype", 1),
        ],
        outputs: &[
            output(
                "slowk",
                "average of 100 * (close - lowest low) / (highest high - lowest low), of the kind slowk_matype; raw value 0 without range",
            ),
            output("slowd", "average of slowk, of the kind slowd_matype"),
        ],
        source: "TA-Lib STOCH with its matypes; Lane (1984), Stocks & Commodities 2:3",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            fast_k: arguments.count("fastk_period")?,
            slow_k: MovingAverage::of(arguments, "slowk_period", "slowk_matype", 0)?,
            slow_d: MovingAverage::of(arguments, "slowd_period", "slowd_matype", 0)?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&[Column::High, Column::Low], self.fast_k)
    }

    /// The last raw values, then the last slowk values.
    fn window_len(&self) -> usize {
        self.slow_k.own_window() + self.slow_d.own_window()
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.fast_k - 1 + self.slow_k.lookback() + self.slow_d.lookback()
    }

    #[inline(always)]
    fn step(
        &self,
        state: &mut StochOfAveragesState,
        window: &mut [f64],
        frame: &Frame<'_>,
    ) -> [f64; 2] {
        let Some(raw) = place_in_range(frame, self.fast_k) else {
            return [f64::NAN; 2];
        };
        let (raws, slow_ks) = window.split_at_mut(self.slow_k.own_window());
        let Some(slow_k) = self.slow_k.push_own(&mut state.slow_k, raws, raw) else {
            return [f64::NAN; 2];
        };
        match self.slow_d.push_own(&mut state.slow_d, slow_ks, slow_k) {
            Some(slow_d) => [slow_k, slow_d],
            None => [f64::NAN; 2],
        }
    }
}
