//! Commodity channel index.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Block, Column, Frame, Lookback};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbours::{Row, WINDOWS, sums_over};
use crate::side_by_side::{self, Memories, SideBySide};
use crate::subnormal::{Arithmetic, Careful, Lifted, Plain, all_near, is_near, product};
use crate::subnormal_windows::scale;
use crate::window::sum_over;

/// Typical prices whose mean deviation is this small a part of the price differ by rounding only.
const SAME: f64 = 1e-15;

/// Distance of the typical price from its mean, in mean deviations.
#[derive(Debug)]
pub(crate) struct Cci {
    period: usize,
}

impl Kernel for Cci {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "cci",
        summary: "commodity channel index",
        parameters: &[Parameter::period("timeperiod", "bars in the mean", 14, 2)],
        outputs: &[output(
            "cci",
            "(typical - its mean) / (0.015 * mean absolute deviation), typical = (high + low + close) / 3; 0 in a flat market",
        )],
        source: "TA-Lib CCI; Lambert (1980), Commodities 9:10",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&[Column::High, Column::Low, Column::Close], self.period)
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
        let (Some(highs), Some(lows), Some(closes), [row]) = (
            newest.last(Column::High, self.period),
            newest.last(Column::Low, self.period),
            newest.last(Column::Close, self.period),
            outputs,
        ) else {
            return false;
        };
        let columns = [highs, lows, closes];
        let current =
            [Column::High, Column::Low, Column::Close].map(|column| newest.current(column));
        let close = current[2];
        let share = 1.0 / self.period as f64;
        let mut means = side_by_side::sums_over(columns, |bar, at| distance(bar, close.0[at]));
        for mean in &mut means.0 {
            *mean *= share;
        }
        *row = side_by_side::sums_over(columns, |bar, at| {
            (distance(bar, close.0[at]) - means.0[at]).abs()
        });
        for deviation in &mut row.0 {
            *deviation *= share;
        }
        indices::<Plain>(current, &means, row);
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let (Some(highs), Some(lows), Some(closes)) = (
            frame.highs(self.period),
            frame.lows(self.period),
            frame.closes(self.period),
        ) else {
            return [f64::NAN];
        };
        let close = frame.bar.close;
        let share = 1.0 / self.period as f64;
        let (mean, deviation) = known_length!([highs, lows, closes] of [14] => {
            let bars = [highs, lows, closes];
            let mean = product(sum_over(bars, |bar| distance(bar, close)), share);
            let deviation = sum_over(bars, |bar| (distance(bar, close) - mean).abs());
            (mean, product(deviation, share))
        });
        let newest = distance([frame.bar.high, frame.bar.low, close], close);
        [index::<Careful>(newest, mean, deviation, close)]
    }

    #[inline(always)]
    fn block(
        &self,
        (): &mut (),
        _window: &mut [f64],
        block: Block<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let length = self.period;
        let (Some(highs), Some(lows), Some(closes), [row]) = (
            block.highs(length),
            block.lows(length),
            block.closes(length),
            outputs,
        ) else {
            return false;
        };
        let columns = [highs, lows, closes];
        let [high, low, close] = columns.map(|column| {
            let newest = column.last_chunk::<WINDOWS>();
            newest.copied().map_or(Row::ZEROS, Row)
        });
        let share = 1.0 / length as f64;
        let mut means = sums_over(columns, length, |bar, at| distance(bar, close.0[at]));
        scale(&mut means, share);
        *row = sums_over(columns, length, |bar, at| {
            (distance(bar, close.0[at]) - means.0[at]).abs()
        });
        scale(row, share);
        let newest = [&high, &low, &close];
        if all_near(&high.0) && row.0.iter().chain(&means.0).all(|value| is_near(*value)) {
            indices::<Lifted>(newest, &means, row);
        } else {
            indices::<Plain>(newest, &means, row);
        }
        true
    }
}

/// Three times the typical price, less `close`: such distances are exact where prices are close.
#[inline(always)]
fn distance([high, low, own]: [f64; 3], close: f64) -> f64 {
    (high - close) + (low - close) + (own - close)
}

/// Turns the mean deviations of a block, or of many series, into the indices.
#[inline(always)]
fn indices<A: Arithmetic>([high, low, close]: [&Row; 3], means: &Row, row: &mut Row) {
    for (at, cell) in row.0.iter_mut().enumerate() {
        let newest = distance([high.0[at], low.0[at], close.0[at]], close.0[at]);
        *cell = index::<A>(newest, means.0[at], *cell, close.0[at]);
    }
}

#[inline(always)]
fn index<A: Arithmetic>(newest: f64, mean: f64, deviation: f64, close: f64) -> f64 {
    if deviation > A::product(close, SAME) {
        A::quotient(newest - mean, A::product(deviation, 0.015))
    } else {
        0.0
    }
}
