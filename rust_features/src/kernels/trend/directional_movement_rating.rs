//! Wilder's directional movement: the smoothed movements themselves and the rating over ADX.

use super::directional_movement::Movement;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};
use crate::state::state;
use crate::window::{flush_tiny, slide};

/// Average directional movement index rating.
#[derive(Debug)]
pub(crate) struct Adxr {
    period: usize,
}

state! {
    /// The movement and how far the window is filled.
    pub(crate) struct Rating {
        movement: Movement,
        /// Indices so far, counted until the window is full.
        filled: u64,
    }
}

impl Kernel for Adxr {
    type State = Rating;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "adxr",
        summary: "average directional movement index rating",
        parameters: &[Parameter::period(
            "timeperiod",
            "bars of Wilder's smoothing",
            14,
            2,
        )],
        outputs: &[output("adxr", "(adx + adx timeperiod - 1 bars ago) / 2")],
        source: "TA-Lib ADXR; Wilder (1978), New Concepts in Technical Trading Systems",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    /// The last values of adx.
    fn window_len(&self) -> usize {
        self.period
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        3 * self.period - 2
    }

    #[inline(always)]
    fn step(&self, state: &mut Rating, window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let [adx, ..] = state.movement.push(self.period, frame);
        if adx.is_nan() {
            return [f64::NAN];
        }
        slide(window, adx);
        let full = self.period as u64;
        state.filled = state.filled.saturating_add(1).min(full);
        match window {
            [old, ..] if state.filled >= full => [adx.midpoint(*old)],
            _ => [f64::NAN],
        }
    }
}

state! {
    /// Previous bar and the running sum.
    pub(crate) struct OneMovement {
        high: f64,
        low: f64,
        sum: f64,
        /// Bars seen, counted until the sum is warm.
        bars: u64,
    }
}

impl OneMovement {
    /// Takes a bar; the smoothed movement once it is warm.
    #[inline(always)]
    fn push(&mut self, period: usize, up: bool, frame: &Frame<'_>) -> f64 {
        let (high, low) = (frame.bar.high, frame.bar.low);
        let (rise, fall) = (high - self.high, self.low - low);
        (self.high, self.low) = (high, low);
        let (own, other) = if up { (rise, fall) } else { (fall, rise) };
        let moved = if own > 0.0 && own > other { own } else { 0.0 };
        let bars = self.bars;
        let seed = (period - 1) as u64;
        if bars <= seed {
            self.bars += 1;
            if bars == 0 {
                return f64::NAN;
            }
            self.sum += moved;
            return if bars < seed { f64::NAN } else { self.sum };
        }
        self.sum = if period == 1 {
            moved
        } else {
            flush_tiny(self.sum - self.sum / period as f64 + moved)
        };
        self.sum
    }
}

/// One of the two movements.
macro_rules! one_movement_kernel {
    ($(#[$meta:meta])* $kernel:ident, $name:literal, $summary:literal, $formula:literal, $source:literal, $up:literal) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(crate) struct $kernel {
            period: usize,
        }

        impl Kernel for $kernel {
            type State = OneMovement;
            type Output = [f64; 2];
            const DESCRIPTION: Description = Description {
                name: $name,
                summary: $summary,
                parameters: &[Parameter::period("timeperiod", "bars of Wilder's smoothing; 1 for none", 14, 1)],
                outputs: &[
                    output($name, $formula),
                    output("ratio", "mean movement per bar: the sum / timeperiod / close"),
                ],
                source: $source,
            };

            fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
                Ok(Self { period: arguments.count("timeperiod")? })
            }

            fn warmup_bars(&self, _output: usize) -> usize {
                (self.period - 1).max(1)
            }

            #[inline(always)]
            fn step(&self, state: &mut OneMovement, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
                let sum = state.push(self.period, $up, frame);
                [sum, sum / self.period as f64 / frame.bar.close]
            }
        }
    };
}

one_movement_kernel!(
    /// Smoothed rises of the high.
    PlusDm,
    "plus_dm",
    "plus directional movement",
    "running sum of rises of the high that exceed the fall of the low: sum - sum / timeperiod + rise, seeded with timeperiod - 1 bars",
    "TA-Lib PLUS_DM; Wilder (1978), New Concepts in Technical Trading Systems",
    true
);
one_movement_kernel!(
    /// Smoothed falls of the low.
    MinusDm,
    "minus_dm",
    "minus directional movement",
    "running sum of falls of the low that exceed the rise of the high: sum - sum / timeperiod + fall, seeded with timeperiod - 1 bars",
    "TA-Lib MINUS_DM; Wilder (1978), New Concepts in Technical Trading Systems",
    false
);
