//! Ultimate oscillator.

use std::ops::Range;

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::directional_movement::true_range;
use crate::subnormal::quotient;
use crate::window::sum_over;

/// Buying pressure as a share of the true range, over three windows.
#[derive(Debug)]
pub(crate) struct UltOsc {
    /// Shortest first.
    periods: [usize; 3],
}

impl Kernel for UltOsc {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "ultosc",
        summary: "ultimate oscillator",
        parameters: &[
            Parameter::period("timeperiod1", "bars of one window", 7, 1),
            Parameter::period("timeperiod2", "bars of another window", 14, 1),
            Parameter::period("timeperiod3", "bars of a third window", 28, 1),
        ],
        outputs: &[output(
            "ultosc",
            "100 * (4 * shortest + 2 * middle + longest) / 7, each the sum of close - true low over the sum of true range; 0 without range",
        )],
        source: "TA-Lib ULTOSC; Williams (1985), Stocks & Commodities 3:4",
    };
    const REVISION: u32 = 3;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        let mut periods = [
            arguments.count("timeperiod1")?,
            arguments.count("timeperiod2")?,
            arguments.count("timeperiod3")?,
        ];
        periods.sort_unstable();
        Ok(Self { periods })
    }

    fn lookback(&self) -> Lookback {
        let long = self.periods[2];
        Lookback::of_each(&[Column::High, Column::Low], long)
            .and(Lookback::of(Column::Close, long + 1))
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.periods[2]
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let long = self.periods[2];
        let (Some(highs), Some(lows), Some(closes @ [previous @ .., _])) =
            (frame.highs(long), frame.lows(long), frame.closes(long + 1))
        else {
            return [f64::NAN];
        };
        let closes = closes.get(1..).unwrap_or_default();
        let bars = [highs, lows, closes, previous];
        // The usual periods unrolled.
        match self.periods {
            [7, 14, 28] => oscillator(bars, [7, 14, 28]),
            periods => oscillator(bars, periods),
        }
    }
}

/// The oscillator of highs, lows, closes and the closes before, of the longest period.
#[inline(always)]
fn oscillator(bars: [&[f64]; 4], [short, middle, long]: [usize; 3]) -> [f64; 1] {
    // Each longer window is the shorter one and the bars before it.
    let (before, newest) = (long - middle, long - short);
    let [mut pressure, mut range] = pressure_and_range(bars, newest..long);
    let mut total = 4.0 * share(pressure, range);
    for (window, weight) in [(before..newest, 2.0), (0..before, 1.0)] {
        let [more_pressure, more_range] = pressure_and_range(bars, window);
        pressure += more_pressure;
        range += more_range;
        total += weight * share(pressure, range);
    }
    [100.0 * (total / 7.0)]
}

/// Sums of close - true low and of true range.
#[inline(always)]
fn pressure_and_range(bars: [&[f64]; 4], window: Range<usize>) -> [f64; 2] {
    let [highs, lows, closes, previous] =
        bars.map(|column| column.get(window.clone()).unwrap_or_default());
    [
        sum_over([lows, closes, previous], |[low, close, previous]| {
            close - if low < previous { low } else { previous }
        }),
        sum_over([highs, lows, previous], |[high, low, previous]| {
            true_range(high, low, previous)
        }),
    ]
}

#[inline(always)]
fn share(pressure: f64, range: f64) -> f64 {
    if range > 0.0 {
        quotient(pressure, range)
    } else {
        0.0
    }
}
