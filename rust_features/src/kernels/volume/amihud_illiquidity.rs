//! Amihud's illiquidity.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, output};
use crate::state::state;
use crate::trailing::{append, room_for};
use crate::window::sum_of;

/// Moves are reported per million of traded value.
const VALUE_UNIT: f64 = 1e6;
/// Mark of a bar without a quotient.
const UNKNOWN: f64 = -1.0;
/// Least illiquidity whose logarithm is taken.
const LEAST: f64 = 1e-12;

/// Absolute return per traded value.
#[derive(Debug)]
pub(crate) struct AmihudIlliquidity {
    period: usize,
}

state! {
    /// Previous close and how far the window is filled.
    pub(crate) struct Impacts {
        previous_close: f64,
        /// Bars seen, counted until the window is full.
        bars: u64,
        appended: u64,
    }
}

impl Kernel for AmihudIlliquidity {
    type State = Impacts;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "amihud",
        summary: "Amihud's illiquidity",
        parameters: &[Parameter::period("timeperiod", "bars in the mean", 20, 1)],
        outputs: &[
            output(
                "illiquidity",
                "mean of |close / previous close - 1| / (close * volume) * 1e6 over those of the last timeperiod bars \
                 that have volume; 0 when none has",
            ),
            output("log_illiquidity", "ln(max(illiquidity, 1e-12))"),
        ],
        source: "Amihud (2002), Illiquidity and Stock Returns",
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
    fn step(&self, state: &mut Impacts, window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let bar = &frame.bar;
        let previous_close = std::mem::replace(&mut state.previous_close, bar.close);
        let warm = state.bars >= self.period as u64;
        if !warm {
            state.bars += 1;
            if state.bars == 1 {
                return [f64::NAN; 2];
            }
        }
        let change = ((bar.close - previous_close) / previous_close).abs();
        let impact = change / (bar.close * bar.volume) * VALUE_UNIT;
        // Without volume a bar says nothing; neither does one whose quotient is beyond numbers.
        let impact = if bar.volume > 0.0 && impact < f64::INFINITY {
            impact
        } else {
            UNKNOWN
        };
        let impacts = append(window, &mut state.appended, impact);
        if !warm {
            return [f64::NAN; 2];
        }
        let known = sum_of(impacts, |impact| f64::from(u8::from(impact >= 0.0)));
        let total = sum_of(impacts, |impact| if impact >= 0.0 { impact } else { 0.0 });
        let illiquidity = if known > 0.0 { total / known } else { 0.0 };
        [
            illiquidity,
            libm::log(if illiquidity > LEAST {
                illiquidity
            } else {
                LEAST
            }),
        ]
    }
}
