//! Donchian channel.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbours::Row;
use crate::side_by_side::{self, Memories, SideBySide};
use crate::subnormal::{Arithmetic, Lifted, Plain, is_near};
use crate::window::{highest, lowest};

/// Highest high and lowest low of the last bars.
#[derive(Debug)]
pub(crate) struct DonchianChannel {
    period: usize,
}

impl Kernel for DonchianChannel {
    type State = ();
    type Output = [f64; 5];
    const DESCRIPTION: Description = Description {
        name: "donchian",
        summary: "Donchian channel",
        parameters: &[Parameter::period(
            "timeperiod",
            "bars of the channel, the current one included",
            20,
            1,
        )],
        outputs: &[
            output("upper", "highest high of the last timeperiod bars"),
            output("middle", "(upper + lower) / 2"),
            output("lower", "lowest low of the last timeperiod bars"),
            output(
                "position",
                "(close - lower) / (upper - lower); 0.5 when they meet",
            ),
            output("width", "(upper - lower) / middle"),
        ],
        source: "Donchian (1960), High Finance in Copper, Financial Analysts Journal 16:6; TA-Lib MAX and MIN",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&[Column::High, Column::Low], self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    const SIDE_BY_SIDE: bool = true;

    #[inline(always)]
    fn side_by_side(
        &self,
        _memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(highs), Some(lows), [upper, middle, lower, position, width]) = (
            newest.last(Column::High, self.period),
            newest.last(Column::Low, self.period),
            outputs,
        ) else {
            return false;
        };
        (*upper, *lower) = (side_by_side::highest(highs), side_by_side::lowest(lows));
        for (at, close) in newest.current(Column::Close).0.iter().enumerate() {
            let (high, low) = (upper.0[at], lower.0[at]);
            [_, middle.0[at], _, position.0[at], width.0[at]] = channel::<Plain>(high, low, *close);
        }
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 5] {
        let (Some(highs), Some(lows)) = (frame.highs(self.period), frame.lows(self.period)) else {
            return [f64::NAN; 5];
        };
        let (upper, lower) = known_length!([highs, lows] of [20] => (highest(highs), lowest(lows)));
        if is_near(upper) {
            channel::<Lifted>(upper, lower, frame.bar.close)
        } else {
            channel::<Plain>(upper, lower, frame.bar.close)
        }
    }
}

#[inline(always)]
fn channel<A: Arithmetic>(upper: f64, lower: f64, close: f64) -> [f64; 5] {
    // Halves first: two prices near the largest number have no sum.
    let middle = A::product(upper, 0.5) + A::product(lower, 0.5);
    let distance = upper - lower;
    let position = if distance > 0.0 {
        A::quotient(close - lower, distance)
    } else {
        0.5
    };
    [
        upper,
        middle,
        lower,
        position,
        A::quotient(distance, middle),
    ]
}
