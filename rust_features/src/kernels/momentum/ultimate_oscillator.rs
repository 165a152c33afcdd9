//! Ultimate oscillator.

use std::ops::Range;

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::kernels::trend::directional_movement::true_range;
use crate::neighbours::{LONGEST, Row, WINDOWS, Wide, sums_over};
use crate::side_by_side::{self, Memories, SideBySide};
use crate::subnormal::{Arithmetic, Careful, Lifted, Plain, all_near};
use crate::window::{LANES, fold_lanes, sum_over};

/// Weights of the windows' shares, the shortest first.
const WEIGHTS: [f64; 3] = [4.0, 2.0, 1.0];

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

    const SIDE_BY_SIDE: bool = true;

    #[inline(always)]
    fn side_by_side(
        &self,
        _memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let long = self.periods[2];
        let (Some(highs), Some(lows), Some(previous @ [_, closes @ ..]), [row]) = (
            newest.last(Column::High, long),
            newest.last(Column::Low, long),
            newest.last(Column::Close, long + 1),
            outputs,
        ) else {
            return false;
        };
        let bars = [highs, lows, closes, previous];
        match self.periods {
            [7, 14, 28] => oscillators_of_each(bars, [7, 14, 28], row),
            periods => oscillators_of_each(bars, periods, row),
        }
        true
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

    #[inline(always)]
    fn block(
        &self,
        (): &mut (),
        _window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let long = self.periods[2];
        let (Some(highs), Some(lows), Some(previous @ [_, closes @ ..]), [row]) = (
            block.highs(long),
            block.lows(long),
            block.closes(long + 1),
            outputs,
        ) else {
            return false;
        };
        if long > LONGEST {
            return false;
        }
        // Every bar once, for all windows that it is in.
        let (mut pressures, mut ranges): (Wide, Wide) = ([0.0; _], [0.0; _]);
        let bars = (highs.iter().zip(lows)).zip(closes.iter().zip(previous));
        let cells = pressures.iter_mut().zip(&mut ranges);
        for ((pressure, range), ((high, low), (close, previous))) in cells.zip(bars) {
            *pressure = buying_pressure(*low, *close, *previous);
            *range = true_range(*high, *low, *previous);
        }
        oscillators(&pressures, &ranges, self.periods, row);
        true
    }
}

/// As [`oscillator`] for many series.
#[inline(always)]
fn oscillators_of_each(bars: [&[Row]; 4], [short, middle, long]: [usize; 3], row: &mut Row) {
    let (before, newest) = (long - middle, long - short);
    let [mut pressure, mut range] = [Row::ZEROS; 2];
    *row = Row::ZEROS;
    let windows = [newest..long, before..newest, 0..before];
    for (window, weight) in windows.into_iter().zip(WEIGHTS) {
        let [highs, lows, closes, previous] = bars.map(|column| &column[window.clone()]);
        let pressures =
            side_by_side::sums_over([lows, closes, previous], |[low, close, previous], _| {
                buying_pressure(low, close, previous)
            });
        let ranges =
            side_by_side::sums_over([highs, lows, previous], |[high, low, previous], _| {
                true_range(high, low, previous)
            });
        for (sums, more) in [(&mut pressure, pressures), (&mut range, ranges)] {
            for (sum, more) in sums.0.iter_mut().zip(&more.0) {
                *sum += more;
            }
        }
        add_shares::<Plain>(row, weight, &pressure, &range);
    }
    for total in &mut row.0 {
        *total = percent(*total);
    }
}

/// As [`oscillator`] for the bars of a block.
#[inline(always)]
fn oscillators(pressures: &Wide, ranges: &Wide, periods: [usize; 3], row: &mut Row) {
    let pressures = growing_sums(pressures, periods);
    let ranges = growing_sums(ranges, periods);
    *row = Row::ZEROS;
    for (at, weight) in WEIGHTS.into_iter().enumerate() {
        let (pressure, range) = (&pressures[at], &ranges[at]);
        if all_near(&range.0) {
            add_shares::<Lifted>(row, weight, pressure, range);
        } else {
            add_shares::<Plain>(row, weight, pressure, range);
        }
    }
    for total in &mut row.0 {
        *total = percent(*total);
    }
}

/// Sums of the newest values of each window of a block: those of the shortest period, then as many more as a longer one
/// has.
#[inline(always)]
fn growing_sums(values: &Wide, periods: [usize; 3]) -> [Row; 3] {
    if let [7, 14, 28] = periods {
        return usual_sums(values);
    }
    let [short, middle, long] = periods;
    let (before, newest) = (long - middle, long - short);
    let mut sums = [Row::ZEROS; 3];
    let mut sum = Row::ZEROS;
    let windows = [newest..long, before..newest, 0..before];
    for (sums, window) in sums.iter_mut().zip(windows) {
        let values = &values[window.start..window.end + WINDOWS - 1];
        let more = sums_over([values], window.len(), |[value], _| value);
        for (sum, more) in sum.0.iter_mut().zip(&more.0) {
            *sum += more;
        }
        *sums = sum;
    }
    sums
}

/// Seven values of each window of a block, a column of all windows for each.
#[inline(always)]
fn seven(values: &Wide, first: usize) -> [&[f64]; 7] {
    let mut columns = [&values[..WINDOWS]; 7];
    for (place, column) in columns.iter_mut().enumerate() {
        *column = &values[first + place..][..WINDOWS];
    }
    columns
}

/// [`growing_sums`] of the usual periods in one loop, which keeps the sums of a vector of windows in registers.
#[inline(always)]
fn usual_sums(values: &Wide) -> [Row; 3] {
    // No closure, which would stay a call, and loops of few turns, each of which the compiler unrolls.
    let (oldest, old) = (seven(values, 0), seven(values, 7));
    let (new, newest) = (seven(values, 14), seven(values, 21));
    let mut sums = [Row::ZEROS; 3];
    for at in 0..WINDOWS {
        // In the order of `sum_over`.
        let [mut short, mut middle] = [0.0; 2];
        for place in 0..7 {
            short += newest[place][at];
            middle += new[place][at];
        }
        let mut lanes = [0.0; LANES];
        for place in 0..7 {
            lanes[place] += oldest[place][at];
        }
        for (place, column) in old.iter().enumerate() {
            // The eighth value ends the first chunk; those after it belong to the newest lanes.
            let lane = if place == 0 { 7 } else { place + 1 };
            lanes[lane] += column[at];
        }
        let middle = short + middle;
        sums[0].0[at] = short;
        sums[1].0[at] = middle;
        sums[2].0[at] = middle + fold_lanes(lanes);
    }
    sums
}

#[inline(always)]
fn add_shares<A: Arithmetic>(totals: &mut Row, weight: f64, pressures: &Row, ranges: &Row) {
    let pairs = pressures.0.iter().zip(&ranges.0);
    for (total, (pressure, range)) in totals.0.iter_mut().zip(pairs) {
        *total += weight * share::<A>(*pressure, *range);
    }
}

/// The oscillator of highs, lows, closes and the closes before, of the longest period.
#[inline(always)]
fn oscillator(bars: [&[f64]; 4], [short, middle, long]: [usize; 3]) -> [f64; 1] {
    // Each longer window is the shorter one and the bars before it.
    let (before, newest) = (long - middle, long - short);
    let [mut pressure, mut range] = pressure_and_range(bars, newest..long);
    let mut total = WEIGHTS[0] * share::<Careful>(pressure, range);
    for (window, weight) in [(before..newest, WEIGHTS[1]), (0..before, WEIGHTS[2])] {
        let [more_pressure, more_range] = pressure_and_range(bars, window);
        pressure += more_pressure;
        range += more_range;
        total += weight * share::<Careful>(pressure, range);
    }
    [percent(total)]
}

/// Sums of close - true low and of true range.
#[inline(always)]
fn pressure_and_range(bars: [&[f64]; 4], window: Range<usize>) -> [f64; 2] {
    let [highs, lows, closes, previous] =
        bars.map(|column| column.get(window.clone()).unwrap_or_default());
    [
        sum_over([lows, closes, previous], |[low, close, previous]| {
            buying_pressure(low, close, previous)
        }),
        sum_over([highs, lows, previous], |[high, low, previous]| {
            true_range(high, low, previous)
        }),
    ]
}

/// The weighted shares as their mean in percent.
#[inline(always)]
fn percent(total: f64) -> f64 {
    100.0 * (total / 7.0)
}

/// Close less the lower of low and close before.
#[inline(always)]
fn buying_pressure(low: f64, close: f64, previous: f64) -> f64 {
    close - if low < previous { low } else { previous }
}

#[inline(always)]
fn share<A: Arithmetic>(pressure: f64, range: f64) -> f64 {
    if range > 0.0 {
        A::quotient(pressure, range)
    } else {
        0.0
    }
}
