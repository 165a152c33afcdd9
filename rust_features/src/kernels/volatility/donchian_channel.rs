//! Donchian channel.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbouring_extremes::{all_highest, all_lowest};
use crate::neighbours::{Row, WINDOWS, divide_by_each, divide_by_widths, parts};
use crate::side_by_side::{self, Memories, SideBySide};
use crate::subnormal::{Arithmetic, Lifted, Plain, all_near, each_near, is_near};
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

    const CLASSIC_OUTPUTS: usize = 3;
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

    #[inline(always)]
    fn span(
        &self,
        (): &mut (),
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let windows = [Column::High, Column::Low].map(|column| span.windows(column, self.period));
        let ([Some(highs), Some(lows)], [upper, middle, lower, more @ ..]) = (windows, outputs)
        else {
            return 0;
        };
        let bars = upper.len();
        if all_highest(highs, self.period, upper) < bars
            || all_lowest(lows, self.period, lower) < bars
        {
            return 0;
        }
        for own in parts(bars, WINDOWS) {
            let (upper, lower) = (&upper[own.clone()], &lower[own.clone()]);
            let middle = &mut middle[own.clone()];
            if all_near(upper) && each_near(lower) {
                middles::<Lifted>(upper, lower, middle);
            } else {
                middles::<Plain>(upper, lower, middle);
            }
            if let [positions, widths] = more {
                let closes = &span.closes(bars)[own.clone()];
                let (positions, widths) = (&mut positions[own.clone()], &mut widths[own]);
                for (at, width) in widths.iter_mut().enumerate() {
                    (*width, positions[at]) = (upper[at] - lower[at], closes[at] - lower[at]);
                }
                divide_by_widths(positions, widths, 0.5);
                divide_by_each(widths, middle);
            }
        }
        bars
    }
}

#[inline(always)]
fn middles<A: Arithmetic>(upper: &[f64], lower: &[f64], middles: &mut [f64]) {
    for ((cell, upper), lower) in middles.iter_mut().zip(upper).zip(lower) {
        *cell = middle::<A>(*upper, *lower);
    }
}

/// Halves first: two prices near the largest number have no sum.
#[inline(always)]
fn middle<A: Arithmetic>(upper: f64, lower: f64) -> f64 {
    A::product(upper, 0.5) + A::product(lower, 0.5)
}

#[inline(always)]
fn channel<A: Arithmetic>(upper: f64, lower: f64, close: f64) -> [f64; 5] {
    let middle = middle::<A>(upper, lower);
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
