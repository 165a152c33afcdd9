//! Middle of the range of the last bars.

use super::simple_moving_average::{ratio, ratios};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbouring_extremes::{tile_highest, tile_lowest};
use crate::neighbours::{LONGEST, TILE};
use crate::window::{highest, lowest};

/// Middle of the highest and the lowest value.
#[derive(Debug)]
pub(crate) struct Midpoint {
    period: usize,
    column: Column,
}

impl Kernel for Midpoint {
    type State = ();
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "midpoint",
        summary: "middle of the range of one column",
        parameters: &[
            Parameter::period("timeperiod", "bars of the range", 14, 2),
            Parameter::column("close"),
        ],
        outputs: &[
            output("midpoint", "(highest value + lowest value) / 2"),
            output("ratio", "value / midpoint - 1; 0 when midpoint is 0"),
        ],
        source: "TA-Lib MIDPOINT",
    };
    const CLASSIC_OUTPUTS: usize = 1;

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            column: arguments.column()?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of(self.column, self.period)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period - 1
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        match frame.last(self.column, self.period) {
            Some(values) => {
                let middle = highest(values).midpoint(lowest(values));
                [middle, ratio(frame.current(self.column), middle)]
            }
            None => [f64::NAN; 2],
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
        let Some(values) = span.sources(self.period) else {
            return 0;
        };
        range_middles([values; 2], self.period, span.source(), outputs)
    }
}

/// Middle of the highest high and the lowest low.
#[derive(Debug)]
pub(crate) struct Midprice {
    period: usize,
}

impl Kernel for Midprice {
    type State = ();
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "midprice",
        summary: "middle of the range of highs and lows",
        parameters: &[Parameter::period("timeperiod", "bars of the range", 14, 2)],
        outputs: &[
            output("midprice", "(highest high + lowest low) / 2"),
            output("ratio", "close / midprice - 1"),
        ],
        source: "TA-Lib MIDPRICE",
    };
    const CLASSIC_OUTPUTS: usize = 1;

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

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        match middle_of_range(frame, self.period) {
            Some(middle) => [middle, ratio(frame.bar.close, middle)],
            None => [f64::NAN; 2],
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
        let (Some(highs), Some(lows), [middles, ..]) = (
            span.windows(Column::High, self.period),
            span.windows(Column::Low, self.period),
            &outputs,
        ) else {
            return 0;
        };
        let closes = span.closes(middles.len());
        range_middles([highs, lows], self.period, closes, outputs)
    }
}

/// The middles of the windows of highs and lows, and the ratios of values to them where they are asked for; those taken,
/// all or none.
#[inline(always)]
fn range_middles(
    [highs, lows]: [&[f64]; 2],
    length: usize,
    values: &[f64],
    outputs: &mut [&mut [f64]],
) -> usize {
    let [middles, more @ ..] = outputs else {
        return 0;
    };
    if length > LONGEST {
        return 0;
    }
    let mut bottoms = [0.0; TILE];
    for (tile, middles) in middles.chunks_mut(TILE).enumerate() {
        let own = tile * TILE..tile * TILE + middles.len() + length - 1;
        let bottoms = &mut bottoms[..middles.len()];
        tile_highest(&highs[own.clone()], length, middles);
        tile_lowest(&lows[own], length, bottoms);
        for (middle, bottom) in middles.iter_mut().zip(bottoms) {
            *middle = middle.midpoint(*bottom);
        }
    }
    if let [cells, ..] = more {
        ratios(values, middles, cells);
    }
    middles.len()
}

/// Middle of the highest high and the lowest low of the newest `period` bars.
#[inline(always)]
pub(crate) fn middle_of_range(frame: &Frame<'_>, period: usize) -> Option<f64> {
    Some(highest(frame.highs(period)?).midpoint(lowest(frame.lows(period)?)))
}
