//! Ichimoku's five lines, each as it is known at the bar.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::state::state;
use crate::subnormal::{Arithmetic, Lifted, Plain, is_near, quotients};
use crate::window::{delay, delay_len, highest, lowest};

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
        let (edges_a, edges_b) = window.split_at_mut(delay_len(self.displacement));
        // A line that is not warm is NaN, and so is the edge that later shows it; the window's zeros are never shown.
        let mut senkou_a = delay(edges_a, edge_a);
        let mut senkou_b = delay(edges_b, span_b);
        if state.bars < self.displacement as u64 {
            state.bars += 1;
            (senkou_a, senkou_b) = (f64::NAN, f64::NAN);
        }
        let (top, bottom) = if senkou_a > senkou_b {
            (senkou_a, senkou_b)
        } else {
            (senkou_b, senkou_a)
        };
        // Zero inside the cloud.
        let beyond = if close > top {
            close - top
        } else if close < bottom {
            close - bottom
        } else {
            0.0
        };
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
            // Without a cloud there is no place in it.
            if thickness.is_nan() {
                f64::NAN
            } else {
                distance
            },
            thickness,
            above_chikou - 1.0,
        ]
    }
}
