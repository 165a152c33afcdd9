//! Williams' %R.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbouring_extremes::{tile_highest, tile_lowest};
use crate::neighbours::{LONGEST, Row, TILE};
use crate::side_by_side::{self, Memories, SideBySide};
use crate::subnormal::{Arithmetic, Careful, Lifted, Plain, all_near};
use crate::window::{highest, lowest};

/// Distance of the close from the top of the range.
#[derive(Debug)]
pub(crate) struct WillR {
    period: usize,
}

impl Kernel for WillR {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "willr",
        summary: "Williams' %R",
        parameters: &[Parameter::period("timeperiod", "bars of the range", 14, 2)],
        outputs: &[output(
            "willr",
            "-100 * (highest high - close) / (highest high - lowest low); 0 without range",
        )],
        source: "TA-Lib WILLR; Williams (1973), How I Made One Million Dollars",
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
        let (Some(highs), Some(lows), [row]) = (
            newest.last(Column::High, self.period),
            newest.last(Column::Low, self.period),
            outputs,
        ) else {
            return false;
        };
        let (high, low) = (side_by_side::highest(highs), side_by_side::lowest(lows));
        places::<Plain>(
            &high.0,
            &low.0,
            &newest.current(Column::Close).0,
            &mut row.0,
        );
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let (Some(highs), Some(lows)) = (frame.highs(self.period), frame.lows(self.period)) else {
            return [f64::NAN];
        };
        let (high, low) = known_length!([highs, lows] of [14] => (highest(highs), lowest(lows)));
        [place::<Careful>(high, low, frame.bar.close)]
    }

    #[inline(always)]
    fn span(
        &self,
        (): &mut (),
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let length = self.period;
        let (Some(highs), Some(lows), [cells]) = (
            span.windows(Column::High, length),
            span.windows(Column::Low, length),
            outputs,
        ) else {
            return 0;
        };
        if length > LONGEST {
            return 0;
        }
        let closes = span.closes(cells.len());
        let (mut tops, mut bottoms) = ([0.0; TILE], [0.0; TILE]);
        let tiles = cells.chunks_mut(TILE).zip(closes.chunks(TILE));
        for (tile, (cells, closes)) in tiles.enumerate() {
            let own = tile * TILE..tile * TILE + cells.len() + length - 1;
            let (tops, bottoms) = (&mut tops[..cells.len()], &mut bottoms[..cells.len()]);
            tile_highest(&highs[own.clone()], length, tops);
            tile_lowest(&lows[own], length, bottoms);
            if all_near(tops) {
                places::<Lifted>(tops, bottoms, closes, cells);
            } else {
                places::<Plain>(tops, bottoms, closes, cells);
            }
        }
        cells.len()
    }
}

#[inline(always)]
fn places<A: Arithmetic>(highs: &[f64], lows: &[f64], closes: &[f64], cells: &mut [f64]) {
    let bars = cells.len();
    let (highs, lows, closes) = (&highs[..bars], &lows[..bars], &closes[..bars]);
    for (at, cell) in cells.iter_mut().enumerate() {
        *cell = place::<A>(highs[at], lows[at], closes[at]);
    }
}

#[inline(always)]
fn place<A: Arithmetic>(high: f64, low: f64, close: f64) -> f64 {
    let range = high - low;
    if range > 0.0 {
        -100.0 * A::quotient(high - close, range)
    } else {
        0.0
    }
}
