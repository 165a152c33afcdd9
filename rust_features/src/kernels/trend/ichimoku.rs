//! Ichimoku's five lines, each as it is known at the bar.

use super::midpoint::middle_of_range;
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::state::state;
use crate::window::slide;

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
        2 * (self.displacement + 1)
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
        let line = |period| middle_of_range(frame, period).unwrap_or(f64::NAN);
        let (tenkan, kijun) = (line(self.conversion), line(self.base));
        let (edges_a, edges_b) = window.split_at_mut(self.displacement + 1);
        // A line that is not warm is NaN, and so is the edge that later shows it; the window's zeros are never shown.
        slide(edges_a, tenkan.midpoint(kijun));
        slide(edges_b, line(self.span_b));
        let displacement = self.displacement as u64;
        let drawn = |edges: &[f64]| edges.first().copied().unwrap_or(f64::NAN);
        let (senkou_a, senkou_b) = if state.bars < displacement {
            state.bars += 1;
            (f64::NAN, f64::NAN)
        } else {
            (drawn(edges_a), drawn(edges_b))
        };
        let (top, bottom) = if senkou_a > senkou_b {
            (senkou_a, senkou_b)
        } else {
            (senkou_b, senkou_a)
        };
        let cloud_thickness = (senkou_a - senkou_b) / close;
        let cloud_distance = if cloud_thickness.is_nan() {
            f64::NAN
        } else if close > top {
            (close - top) / close
        } else if close < bottom {
            (close - bottom) / close
        } else {
            0.0
        };
        let chikou = match frame.closes(self.displacement + 1) {
            Some([old, ..]) => *old,
            _ => f64::NAN,
        };
        [
            tenkan,
            kijun,
            senkou_a,
            senkou_b,
            chikou,
            close / tenkan - 1.0,
            close / kijun - 1.0,
            cloud_distance,
            cloud_thickness,
            close / chikou - 1.0,
        ]
    }
}
