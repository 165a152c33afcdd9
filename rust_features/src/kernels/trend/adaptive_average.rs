//! Kaufman's adaptive moving average.

use super::average::{Average, AverageKernel};
use crate::known_length::known_length;
use crate::state::state;
use crate::subnormal::{product, quotient};
use crate::window::sum_of_pairs;

/// Kaufman's adaptive moving average.
pub(crate) type Kama = AverageKernel<Adaptive>;

/// Smoothing of a two-bar average, for a straight move.
const FAST: f64 = 2.0 / 3.0;
/// Smoothing of a thirty-bar average, for pure noise.
const SLOW: f64 = 2.0 / 31.0;

/// An exponential average, faster the straighter the last values moved.
#[derive(Debug)]
pub(crate) struct Adaptive {
    period: usize,
}

state! {
    /// The average, which starts at the value before the first complete window.
    pub(crate) struct AdaptiveState {
        average: f64,
        started: bool,
    }
}

impl Average for Adaptive {
    type State = AdaptiveState;
    const NAME: &'static str = "kama";
    const SUMMARY: &'static str = "Kaufman's adaptive moving average";
    const DEFAULT_PERIOD: i64 = 30;
    const FORMULA: &'static str = "kama + (value - kama) * (efficiency * (2/3 - 2/31) + 2/31)^2, seeded with the value before; efficiency = |change over timeperiod| / sum of |bar changes|, 1 when flat";
    const SOURCE: &'static str = "TA-Lib KAMA; Kaufman (1995), Smarter Trading";

    fn over(period: usize) -> Self {
        Self { period }
    }

    fn lookback(&self) -> usize {
        self.taps() - 1
    }

    /// A period of one bar copies the value, as in TA-Lib.
    fn taps(&self) -> usize {
        if self.period == 1 { 1 } else { self.period + 1 }
    }

    #[inline(always)]
    fn push(&self, state: &mut AdaptiveState, value: f64, newest: Option<&[f64]>) -> Option<f64> {
        if self.period == 1 {
            return Some(value);
        }
        let values = newest?;
        let (Some((_, before)), Some((oldest, after))) =
            (values.split_last(), values.split_first())
        else {
            return None;
        };
        if !state.started {
            state.started = true;
            state.average = before.last().copied().unwrap_or(value);
        }
        let path = known_length!(
            [before, after] of [20] => sum_of_pairs(before, after, |old, new| (new - old).abs())
        );
        let distance = (value - oldest).abs();
        let efficiency = if path > distance {
            quotient(distance, path)
        } else {
            1.0
        };
        let smoothing = efficiency * (FAST - SLOW) + SLOW;
        state.average += product(value - state.average, smoothing * smoothing);
        Some(state.average)
    }
}
