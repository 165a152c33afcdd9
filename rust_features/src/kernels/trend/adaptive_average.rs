//! Kaufman's adaptive moving average.

use super::average::{Average, AverageKernel};
use crate::known_length::known_length;
use crate::neighbouring_means::tile_sums_over;
use crate::neighbours::{LONGEST, Row, TILE, parts};
use crate::side_by_side::{Memories, MemoryRows, each_series, sums_over};
use crate::state::state;
use crate::subnormal::{
    Arithmetic, Careful, Lifted, Plain, all_near, all_subnormal, is_near, lift_subnormal,
    lower_raised, raise, toward,
};
use crate::window::{all_finite, sum_of_pairs};

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

    const OF_EACH: bool = true;
    const CHECKS: bool = true;
    const MEMORY_ROWS: bool = true;

    #[inline(always)]
    fn live(state: &mut AdaptiveState, show: &mut impl FnMut(&mut f64)) {
        show(&mut state.average);
    }

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
        let smoothing = smoothing::<Careful>((value - oldest).abs(), path);
        state.average = pursue(state.average, value, smoothing);
        Some(state.average)
    }

    #[inline(always)]
    fn push_all(
        &self,
        state: &mut AdaptiveState,
        _values: &[f64],
        newest: Option<&[f64]>,
        averages: &mut [f64],
    ) -> usize {
        let Some(newest) = newest else {
            return 0;
        };
        if self.period == 1 || self.period > LONGEST || !state.started {
            return 0;
        }
        let mut changes = [0.0; TILE + LONGEST];
        let (mut paths, mut lifted) = ([0.0; TILE], [0.0; TILE + LONGEST]);
        let mut taken = 0;
        for cells in averages.chunks_mut(TILE) {
            let bars = cells.len();
            let Some(windows) = newest.get(taken..taken + bars + self.period) else {
                break;
            };
            // Subnormal values are lifted, which changes none of the shares.
            let numbers = if all_subnormal(windows) {
                for (cell, value) in lifted.iter_mut().zip(windows) {
                    *cell = lift_subnormal(*value);
                }
                &lifted[..windows.len()]
            } else {
                windows
            };
            let (before, after) = (&numbers[..numbers.len() - 1], &numbers[1..]);
            let changes = &mut changes[..after.len()];
            for (at, change) in changes.iter_mut().enumerate() {
                *change = (after[at] - before[at]).abs();
            }
            let paths = &mut paths[..bars];
            tile_sums_over(changes, self.period, paths);
            // A value that is not finite makes a path of its kind.
            if !all_finite(paths) && !all_finite(windows) {
                break;
            }
            let (oldest, newest_numbers) = (&numbers[..bars], &numbers[self.period..]);
            let values = &windows[self.period..];
            let near = all_near(paths);
            for own in parts(bars, BLOCK) {
                let (ends, oldest) = (&newest_numbers[own.clone()], &oldest[own.clone()]);
                let (paths, cells) = (&paths[own.clone()], &mut cells[own.clone()]);
                if near {
                    smoothings::<Lifted>(ends, oldest, paths, cells);
                } else {
                    smoothings::<Plain>(ends, oldest, paths, cells);
                }
                state.follow(&values[own], cells);
            }
            taken += bars;
        }
        taken
    }

    #[inline(always)]
    fn average_of_each(&self, memories: &mut Memories<'_>, newest: &[Row]) -> Option<Row> {
        let (values, before) = newest.split_last()?;
        let laid = memories.take_rows();
        if self.period == 1 {
            return Some(*values);
        }
        let (Some(oldest), Some(previous)) = (newest.first(), before.last()) else {
            return None;
        };
        let paths = sums_over([before, newest.get(1..)?], |[old, new], _| {
            (new - old).abs()
        });
        let mut rows = Row::ZEROS;
        for (at, cell) in rows.0.iter_mut().enumerate() {
            let distance = (values.0[at] - oldest.0[at]).abs();
            *cell = smoothing::<Plain>(distance, paths.0[at]);
        }
        if let Some(MemoryRows {
            live: [averages], ..
        }) = laid
        {
            for (at, average) in averages.0.iter_mut().enumerate() {
                *average = pursue(*average, values.0[at], rows.0[at]);
            }
            return Some(*averages);
        }
        each_series!(memories, |at, state: AdaptiveState| {
            if !state.started {
                state.started = true;
                state.average = previous.0[at];
            }
            state.average = pursue(state.average, values.0[at], rows.0[at]);
            rows.0[at] = state.average;
        });
        Some(rows)
    }
}

impl AdaptiveState {
    /// Moves the average toward each value by the share in its cell, and shows it there.
    #[inline(always)]
    fn follow(&mut self, values: &[f64], cells: &mut [f64]) {
        if all_subnormal(values) && all_subnormal(&[self.average]) {
            let mut average = raise(self.average);
            for (cell, value) in cells.iter_mut().zip(values) {
                average = pursue_raised(average, raise(*value), *cell);
                *cell = lower_raised(average);
            }
            self.average = lower_raised(average);
            return;
        }
        let mut average = self.average;
        for (cell, value) in cells.iter_mut().zip(values) {
            average = pursue(average, *value, *cell);
            *cell = average;
        }
        self.average = average;
    }
}

/// Bars of a block: so few that a processor makes the shares of the next one beside the averages of this one.
const BLOCK: usize = 32;

/// An average after a value, moved toward it by a share: the next one waits for one operation. What reached the value
/// stays.
#[inline(always)]
fn pursue(average: f64, value: f64, share: f64) -> f64 {
    let distance = value - average;
    if is_near(distance) {
        if distance == 0.0 {
            return average;
        }
        return pursue_near(average, value, share);
    }
    (1.0 - share).mul_add(average, share * value)
}

/// As [`pursue`] of different numbers near zero.
#[cold]
#[inline(never)]
fn pursue_near(average: f64, value: f64, share: f64) -> f64 {
    if all_subnormal(&[average, value]) {
        lower_raised(pursue_raised(raise(average), raise(value), share))
    } else {
        toward(average, value, share)
    }
}

/// As [`pursue`] of raised numbers, whose sums are rounded to the grid.
#[inline(always)]
fn pursue_raised(average: f64, value: f64, share: f64) -> f64 {
    (value - average).mul_add(share, average)
}

/// The [`smoothing`] of each bar of a block.
#[inline(always)]
fn smoothings<A: Arithmetic>(values: &[f64], oldest: &[f64], paths: &[f64], cells: &mut [f64]) {
    let bars = cells.len();
    let (values, oldest, paths) = (&values[..bars], &oldest[..bars], &paths[..bars]);
    for (at, cell) in cells.iter_mut().enumerate() {
        *cell = smoothing::<A>((values[at] - oldest[at]).abs(), paths[at]);
    }
}

/// Share by which the average follows, of the whole change and the sum of the bars' changes.
#[inline(always)]
fn smoothing<A: Arithmetic>(distance: f64, path: f64) -> f64 {
    let efficiency = if path > distance {
        A::quotient(distance, path)
    } else {
        1.0
    };
    let smoothing = efficiency * (FAST - SLOW) + SLOW;
    smoothing * smoothing
}
