//! Ichimoku's five lines, each as it is known at the bar.

use std::ops::Range;

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbouring_extremes::{tile_highest, tile_lowest};
use crate::neighbours::{LONGEST, Row, TILE, WINDOWS, divide_by_each, parts};
use crate::rings::{
    align_delay, delay, delay_len, delay_of_each, delay_places, delays_of_each, delays_rows,
    place_delay,
};
use crate::side_by_side::{self, Memories, SideBySide, each_series, highest_of, lowest_of};
use crate::state::state;
use crate::subnormal::{Arithmetic, Lifted, Plain, all_near, each_near, is_near, quotients};
use crate::window::{highest, lowest};

/// Middles of three ranges; the cloud that charts draw at this bar was known `displacement` bars ago.
#[derive(Debug)]
pub(crate) struct Ichimoku {
    conversion: usize,
    base: usize,
    span_b: usize,
    displacement: usize,
}

state! {
    /// Bars seen, counted until every line is warm.
    pub(crate) struct IchimokuState {
        bars: u64,
    }
}

impl Ichimoku {
    /// Index of the first bar of: conversion, base, cloud's first and second edge.
    fn starts(&self) -> [usize; 4] {
        [
            self.conversion - 1,
            self.base - 1,
            self.conversion.max(self.base) - 1 + self.displacement,
            self.span_b - 1 + self.displacement,
        ]
    }

    /// How many bars ago the base's range was what, with the base's of now, makes the longest one, if there is such a bar.
    fn base_ago(&self) -> Option<usize> {
        let ago = self.span_b.checked_sub(self.base)?;
        (self.conversion <= self.base && (1..=self.base).contains(&ago)).then_some(ago)
    }
}

/// Highest highs and lowest lows of the newest bars, one for each period; NaN while there are fewer bars.
///
/// A period looks only at the bars that the one before it has not seen, as long as each is the longer one.
#[inline(always)]
fn ranges(frame: &Frame<'_>, periods: [usize; 3]) -> [[f64; 3]; 2] {
    let (mut tops, mut bottoms) = ([f64::NAN; 3], [f64::NAN; 3]);
    let (mut high, mut low, mut seen) = (f64::NEG_INFINITY, f64::INFINITY, 0);
    for (at, period) in periods.into_iter().enumerate() {
        if period < seen {
            (high, low, seen) = (f64::NEG_INFINITY, f64::INFINITY, 0);
        }
        let (Some(highs), Some(lows)) = (frame.highs(period), frame.lows(period)) else {
            continue;
        };
        let unseen = period - seen;
        let (before, below) = (highest(&highs[..unseen]), lowest(&lows[..unseen]));
        high = if before > high { before } else { high };
        low = if below < low { below } else { low };
        seen = period;
        (tops[at], bottoms[at]) = (high, low);
    }
    [tops, bottoms]
}

/// Middles of the ranges, and of the first two of them.
#[inline(always)]
fn middles<A: Arithmetic>([tops, bottoms]: [[f64; 3]; 2]) -> [f64; 4] {
    let mut middles = [0.0; 4];
    for (middle, (top, bottom)) in middles.iter_mut().zip(tops.into_iter().zip(bottoms)) {
        *middle = A::middle(top, bottom);
    }
    middles[3] = A::middle(middles[0], middles[1]);
    middles
}

/// The middle of each pair.
#[inline(always)]
fn all_middles(tops: &[f64], bottoms: &[f64], middles: &mut [f64]) {
    #[inline(always)]
    fn fill<A: Arithmetic>(tops: &[f64], bottoms: &[f64], middles: &mut [f64]) {
        for ((middle, top), bottom) in middles.iter_mut().zip(tops).zip(bottoms) {
            *middle = A::middle(*top, *bottom);
        }
    }
    if all_near(tops) && each_near(bottoms) {
        fill::<Lifted>(tops, bottoms, middles);
    } else {
        fill::<Plain>(tops, bottoms, middles);
    }
}

impl Kernel for Ichimoku {
    type State = IchimokuState;
    type Output = [f64; 10];
    const DESCRIPTION: Description = Description {
        name: "ichimoku",
        summary: "Ichimoku's lines without look-ahead",
        parameters: &[
            Parameter::period("conversion", "bars of the conversion line (tenkan)", 9, 1),
            Parameter::period("base", "bars of the base line (kijun)", 26, 1),
            Parameter::period(
                "span_b",
                "bars of the cloud's second edge (senkou b)",
                52,
                1,
            ),
            Parameter::period(
                "displacement",
                "bars that the cloud is drawn ahead and the close behind",
                26,
                1,
            ),
        ],
        outputs: &[
            output(
                "tenkan",
                "(highest high + lowest low) / 2 of conversion bars",
            ),
            output("kijun", "(highest high + lowest low) / 2 of base bars"),
            output(
                "senkou_a",
                "(tenkan + kijun) / 2 as it was displacement bars ago: the edge drawn at this bar",
            ),
            output(
                "senkou_b",
                "(highest high + lowest low) / 2 of span_b bars as it was displacement bars ago",
            ),
            output(
                "chikou",
                "close displacement bars ago: the price that the current close is drawn at",
            ),
            output("tenkan_ratio", "close / tenkan - 1"),
            output("kijun_ratio", "close / kijun - 1"),
            output(
                "cloud_distance",
                "distance of the close from the nearer edge of the cloud / close, negative below it; 0 inside",
            ),
            output("cloud_thickness", "(senkou_a - senkou_b) / close"),
            output("chikou_ratio", "close / chikou - 1"),
        ],
        source: "Hosoda (1969), Ichimoku Kinko Hyo",
    };
    const REVISION: u32 = 2;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            conversion: arguments.count("conversion")?,
            base: arguments.count("base")?,
            span_b: arguments.count("span_b")?,
            displacement: arguments.count("displacement")?,
        })
    }

    fn lookback(&self) -> Lookback {
        let longest = self.conversion.max(self.base).max(self.span_b);
        Lookback::of_each(&[Column::High, Column::Low], longest)
            .and(Lookback::of(Column::Close, self.displacement + 1))
    }

    /// The edges of the cloud from now back to the ones drawn at this bar.
    fn window_len(&self) -> usize {
        2 * delay_len(self.displacement)
    }

    fn warmup_bars(&self, output: usize) -> usize {
        let [tenkan, kijun, senkou_a, senkou_b] = self.starts();
        match output {
            0 | 5 => tenkan,
            1 | 6 => kijun,
            2 => senkou_a,
            3 => senkou_b,
            7 | 8 => senkou_a.max(senkou_b),
            _ => self.displacement,
        }
    }

    const SIDE_BY_SIDE: bool = true;
    const MEMORY_ROWS: bool = true;

    fn align(&self, _state: &mut IchimokuState, window: &mut [f64]) {
        window
            .chunks_exact_mut(delay_len(self.displacement))
            .for_each(align_delay);
    }

    fn catch_up(
        &self,
        _state: &mut IchimokuState,
        window: &mut [f64],
        _newest: &Frame<'_>,
        bars: u64,
    ) {
        for edges in window.chunks_exact_mut(delay_len(self.displacement)) {
            place_delay(edges, bars);
        }
    }

    fn derived_rows(&self) -> usize {
        self.base_ago().map_or(0, delays_rows::<2>)
    }

    fn derive(&self, newest: &SideBySide<'_>, rows: &mut [Row]) {
        rows.fill(Row::ZEROS);
        let first = self.base_ago().unwrap_or(0);
        for ago in (1..=first).rev() {
            let before = [Column::High, Column::Low].map(|at| newest.last(at, self.base + ago));
            if let [Some(highs), Some(lows)] = before {
                let [highs, lows] = [highs, lows].map(|rows| &rows[..self.base]);
                let ranges = [side_by_side::highest(highs), side_by_side::lowest(lows)];
                delays_of_each(rows, (first - ago) as u64, ranges);
            }
        }
    }

    fn lookback_beside_rows(&self) -> Lookback {
        match self.base_ago() {
            Some(_) => Lookback::of_each(&[Column::High, Column::Low], self.base)
                .and(Lookback::of(Column::Close, self.displacement + 1)),
            None => self.lookback(),
        }
    }

    fn needed_rows(&self, bars: u64, tell: &mut dyn FnMut(Range<usize>)) {
        let mut delays = |first: usize, count: usize, values: usize, bars: u64| {
            for delay in 0..count {
                for place in delay_places(values, bars) {
                    let row = first + delay * (values + 1) + place;
                    tell(row..row + 1);
                }
            }
        };
        let len = delay_len(self.displacement);
        for first in [0, len] {
            delays(first + 1, 1, self.displacement, bars);
        }
        if let Some(ago) = self.base_ago() {
            // As many were kept already when the rows were laid.
            delays(2 * len, 2, ago, bars + ago as u64);
        }
    }

    #[inline(always)]
    fn side_by_side(
        &self,
        memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let Some([old_closes, ..]) = newest.last(Column::Close, self.displacement + 1) else {
            return false;
        };
        let [
            tenkans,
            kijuns,
            edges_a,
            edges_b,
            chikous,
            above_tenkans,
            above_kijuns,
            distances,
            thicknesses,
            above_chikous,
        ] = outputs
        else {
            return false;
        };
        let rows = memories.take_rows();
        let bars = rows.as_ref().map_or(0, |rows| rows.bars);
        let (window, derived) = rows
            .map(|rows| rows.windows.split_at_mut(2 * delay_len(self.displacement)))
            .unzip();
        let derived = derived.zip(self.base_ago());
        let derived = derived.map(|(rows, ago)| (rows, bars + ago as u64));
        let Some([tops, bottoms]) = self.ranges(newest, derived) else {
            return false;
        };
        let mut known = [Row::ZEROS; 4];
        for at in 0..WINDOWS {
            let ranges = [&tops, &bottoms].map(|rows| rows.each_ref().map(|row| row.0[at]));
            let middles = middles::<Plain>(ranges);
            for (row, middle) in known.iter_mut().zip(middles) {
                row.0[at] = middle;
            }
        }
        if let Some(window) = window {
            let (first, second) = window.split_at_mut(delay_len(self.displacement));
            *edges_a = delay_of_each(first, bars, known[3]);
            *edges_b = delay_of_each(second, bars, known[2]);
        } else {
            each_series!(memories, |at, state: IchimokuState, window| {
                let now = [known[3].0[at], known[2].0[at]];
                [edges_a.0[at], edges_b.0[at]] = self.delayed(state, window, now);
            });
        }
        let closes = newest.current(Column::Close);
        for at in 0..WINDOWS {
            let close = closes.0[at];
            let edges = [edges_a.0[at], edges_b.0[at]];
            let thickness = (edges[0] - edges[1]) / close;
            let distance = beyond(close, edges) / close;
            distances.0[at] = placed(distance, thickness);
            thicknesses.0[at] = thickness;
            above_tenkans.0[at] = close / known[0].0[at] - 1.0;
            above_kijuns.0[at] = close / known[1].0[at] - 1.0;
            above_chikous.0[at] = close / old_closes.0[at] - 1.0;
        }
        (*tenkans, *kijuns, *chikous) = (known[0], known[1], *old_closes);
        true
    }

    #[inline(always)]
    fn step(&self, state: &mut IchimokuState, window: &mut [f64], frame: &Frame<'_>) -> [f64; 10] {
        let close = frame.bar.close;
        let ranges = match [self.conversion, self.base, self.span_b] {
            // Unrolled.
            [9, 26, 52] => ranges(frame, [9, 26, 52]),
            periods => ranges(frame, periods),
        };
        let [tenkan, kijun, span_b, edge_a] = if ranges[0].iter().all(|top| is_near(*top)) {
            middles::<Lifted>(ranges)
        } else {
            middles::<Plain>(ranges)
        };
        let edges @ [senkou_a, senkou_b] = self.delayed(state, window, [edge_a, span_b]);
        let beyond = beyond(close, edges);
        let chikou = match frame.closes(self.displacement + 1) {
            Some([old, ..]) => *old,
            _ => f64::NAN,
        };
        let [thickness, distance, above_tenkan, above_kijun, above_chikou] = quotients(
            [senkou_a - senkou_b, beyond, close, close, close],
            [close, close, tenkan, kijun, chikou],
        );
        [
            tenkan,
            kijun,
            senkou_a,
            senkou_b,
            chikou,
            above_tenkan - 1.0,
            above_kijun - 1.0,
            placed(distance, thickness),
            thickness,
            above_chikou - 1.0,
        ]
    }

    /// Once every line is warm; the longest windows are stepped.
    #[inline(always)]
    fn span(
        &self,
        state: &mut IchimokuState,
        window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let periods = [self.conversion, self.base, self.span_b];
        let is_short = periods.iter().all(|period| *period <= LONGEST);
        let columns = [Column::High, Column::Low];
        let [short, middle, long] = periods.map(|period| {
            let windows = columns.map(|column| span.windows(column, period));
            match windows {
                [Some(highs), Some(lows)] => Some((period, highs, lows)),
                _ => None,
            }
        });
        let (Some(short), Some(middle), Some(long), Some(old_closes), Some(lines)) = (
            short,
            middle,
            long,
            span.windows(Column::Close, self.displacement + 1),
            outputs.first_chunk_mut::<10>(),
        ) else {
            return 0;
        };
        if !is_short || state.bars < self.displacement as u64 {
            return 0;
        }
        let bars = lines[0].len();
        let closes = span.closes(bars);
        let (edges_a, edges_b) = window.split_at_mut(delay_len(self.displacement));
        for own in parts(bars, TILE) {
            let [
                tenkans,
                kijuns,
                drawn_a,
                drawn_b,
                chikous,
                above_tenkans,
                above_kijuns,
                distances,
                thicknesses,
                above_chikous,
            ] = lines.each_mut().map(|cells| &mut cells[own.clone()]);
            let closes = &closes[own.clone()];
            chikous.copy_from_slice(&old_closes[own.clone()]);
            // What is written last holds what leads to it.
            let ranges = [
                (short, &mut *tenkans),
                (middle, &mut *kijuns),
                (long, &mut *drawn_b),
            ];
            for ((period, highs, lows), cells) in ranges {
                let values = own.start..own.end + period - 1;
                tile_highest(&highs[values.clone()], period, distances);
                tile_lowest(&lows[values], period, thicknesses);
                all_middles(distances, thicknesses, cells);
            }
            all_middles(tenkans, kijuns, drawn_a);
            for (edge_a, edge_b) in drawn_a.iter_mut().zip(&mut *drawn_b) {
                (*edge_a, *edge_b) = (delay(edges_a, *edge_a), delay(edges_b, *edge_b));
            }
            for (at, close) in closes.iter().enumerate() {
                let edges = [drawn_a[at], drawn_b[at]];
                (distances[at], thicknesses[at]) = (beyond(*close, edges), edges[0] - edges[1]);
            }
            divide_by_each(distances, closes);
            divide_by_each(thicknesses, closes);
            for (distance, thickness) in distances.iter_mut().zip(&*thicknesses) {
                *distance = placed(*distance, *thickness);
            }
            let lines = [
                (above_tenkans, &*tenkans),
                (above_kijuns, &*kijuns),
                (above_chikous, &*chikous),
            ];
            for (above, line) in lines {
                above.copy_from_slice(closes);
                divide_by_each(above, line);
                for above in above {
                    *above -= 1.0;
                }
            }
        }
        bars
    }
}

impl Ichimoku {
    /// As [`ranges`] of many series, all of which have the bars; `derived` are the base's of
    /// the bars before, so many in all.
    #[inline(always)]
    fn ranges(
        &self,
        newest: &SideBySide<'_>,
        derived: Option<(&mut [Row], u64)>,
    ) -> Option<[[Row; 3]; 2]> {
        let Some((derived, count)) = derived else {
            return ranges_of_each(newest, [self.conversion, self.base, self.span_b]);
        };
        let [[short_top, top], [short_bottom, bottom]] =
            ranges_of_each(newest, [self.conversion, self.base])?;
        let [top_before, bottom_before] = delays_of_each(derived, count, [top, bottom]);
        Some([
            [short_top, top, highest_of(&[top_before], top)],
            [short_bottom, bottom, lowest_of(&[bottom_before], bottom)],
        ])
    }

    /// Keeps the cloud's edges; those that are drawn at this bar.
    #[inline(always)]
    fn delayed(
        &self,
        state: &mut IchimokuState,
        window: &mut [f64],
        [edge_a, edge_b]: [f64; 2],
    ) -> [f64; 2] {
        let (edges_a, edges_b) = window.split_at_mut(delay_len(self.displacement));
        // A line that is not warm is NaN, and so is the edge that later shows it; the window's zeros are never shown.
        let drawn = [delay(edges_a, edge_a), delay(edges_b, edge_b)];
        if state.bars < self.displacement as u64 {
            state.bars += 1;
            return [f64::NAN; 2];
        }
        drawn
    }
}

/// Distance of the close from the nearer edge of the cloud, zero inside.
#[inline(always)]
fn beyond(close: f64, [senkou_a, senkou_b]: [f64; 2]) -> f64 {
    let (top, bottom) = if senkou_a > senkou_b {
        (senkou_a, senkou_b)
    } else {
        (senkou_b, senkou_a)
    };
    if close > top {
        close - top
    } else if close < bottom {
        close - bottom
    } else {
        0.0
    }
}

/// The distance from a cloud of some thickness: without a cloud there is no place in it.
#[inline(always)]
fn placed(distance: f64, thickness: f64) -> f64 {
    if thickness.is_nan() {
        f64::NAN
    } else {
        distance
    }
}

/// As [`ranges`] of many series, all of which have the bars.
#[inline(always)]
fn ranges_of_each<const N: usize>(
    newest: &SideBySide<'_>,
    periods: [usize; N],
) -> Option<[[Row; N]; 2]> {
    let mut ranges = [[Row::ZEROS; N]; 2];
    let nothing = [f64::NEG_INFINITY, f64::INFINITY].map(|value| Row([value; WINDOWS]));
    let ([mut high, mut low], mut seen) = (nothing, 0);
    for (at, period) in periods.into_iter().enumerate() {
        if period < seen {
            ([high, low], seen) = (nothing, 0);
        }
        let highs = newest.last(Column::High, period)?;
        let lows = newest.last(Column::Low, period)?;
        high = highest_of(&highs[..period - seen], high);
        low = lowest_of(&lows[..period - seen], low);
        seen = period;
        (ranges[0][at], ranges[1][at]) = (high, low);
    }
    Some(ranges)
}
