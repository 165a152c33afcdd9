//! Aroon: how long ago the extremes of the last bars were.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Lookback, Span};
use crate::kernel::{Description, Kernel, output};
use crate::known_length::known_length;
use crate::neighbouring_extremes::{tile_latest_highest, tile_latest_lowest};
use crate::neighbours::{LONGEST, Row, TILE, parts};
use crate::side_by_side::{self, Memories, SideBySide};
use crate::window::{LANES, highest, lowest};

const PERIOD: Parameter = Parameter::period("timeperiod", "bars looked back on", 14, 2);
const SOURCE: &str = "TA-Lib AROON, AROONOSC; Chande (1995), Stocks & Commodities 13:9";

/// Age of the lowest low and of the highest high.
#[derive(Debug)]
pub(crate) struct Aroon {
    period: usize,
}

/// Aroon down and up once there are `period + 1` bars.
#[inline(always)]
fn down_and_up(frame: &Frame<'_>, period: usize) -> Option<(f64, f64)> {
    let (highs, lows) = (frame.highs(period + 1)?, frame.lows(period + 1)?);
    let factor = 100.0 / period as f64;
    let (down, up) = known_length!([highs, lows] of [15] => (
        latest_place(lows, lowest(lows)),
        latest_place(highs, highest(highs)),
    ));
    Some((factor * down, factor * up))
}

/// Place of the last of the values that equal `extreme`, which is one of them.
///
/// Every value is looked at, several side by side: where the extreme lies is a coin toss that branches would lose.
#[inline(always)]
fn latest_place(values: &[f64], extreme: f64) -> f64 {
    let mut places = [0.0; LANES];
    let mut look_at = |values: &[f64; LANES], first: f64| {
        for (lane, value) in values.iter().enumerate() {
            if *value == extreme {
                places[lane] = first + lane as f64;
            }
        }
    };
    let Some(newest) = values.last_chunk() else {
        let latest = values.iter().rposition(|value| *value == extreme);
        return latest.unwrap_or_default() as f64;
    };
    for (chunk, values) in values.as_chunks().0.iter().enumerate() {
        look_at(values, (chunk * LANES) as f64);
    }
    look_at(newest, (values.len() - LANES) as f64);
    highest(&places)
}

/// The same for a span: `show` gets both of each tile in turn. The bars taken: none where windows are too long.
#[inline(always)]
fn downs_and_ups(
    span: Span<'_>,
    period: usize,
    bars: usize,
    mut show: impl FnMut([&[f64]; 2]),
) -> usize {
    let windows = [Column::Low, Column::High].map(|column| span.windows(column, period + 1));
    let [Some(lows), Some(highs)] = windows else {
        return 0;
    };
    if period + 1 > LONGEST {
        return 0;
    }
    let factor = 100.0 / period as f64;
    let mut rows = [[0.0; TILE]; 2];
    for own in parts(bars, TILE) {
        let numbers = own.start..own.end + period;
        let [downs, ups] = rows.each_mut().map(|row| &mut row[..own.len()]);
        tile_latest_lowest(&lows[numbers.clone()], period + 1, downs);
        tile_latest_highest(&highs[numbers], period + 1, ups);
        for cell in downs.iter_mut().chain(ups.iter_mut()) {
            *cell *= factor;
        }
        show([downs, ups]);
    }
    bars
}

/// The same for many series.
#[inline(always)]
fn downs_and_ups_of_each(newest: &SideBySide<'_>, period: usize) -> Option<[Row; 2]> {
    let lows = newest.last(Column::Low, period + 1)?;
    let highs = newest.last(Column::High, period + 1)?;
    let factor = 100.0 / period as f64;
    let mut rows = [
        side_by_side::latest_places(lows, |later, best| later <= best),
        side_by_side::latest_places(highs, |later, best| later >= best),
    ];
    for row in &mut rows {
        for cell in &mut row.0 {
            *cell *= factor;
        }
    }
    Some(rows)
}

impl Kernel for Aroon {
    type State = ();
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "aroon",
        summary: "age of the extremes",
        parameters: &[PERIOD],
        outputs: &[
            output(
                "down",
                "100 * (timeperiod - bars since the lowest low) / timeperiod, of equal lows the latest",
            ),
            output(
                "up",
                "100 * (timeperiod - bars since the highest high) / timeperiod, of equal highs the latest",
            ),
        ],
        source: SOURCE,
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&[Column::High, Column::Low], self.period + 1)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    const SIDE_BY_SIDE: bool = true;

    #[inline(always)]
    fn side_by_side(
        &self,
        _memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some(rows), [_, _]) = (downs_and_ups_of_each(newest, self.period), &*outputs) else {
            return false;
        };
        outputs.copy_from_slice(&rows);
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        match down_and_up(frame, self.period) {
            Some((down, up)) => [down, up],
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
        let [downs, ups] = outputs else {
            return 0;
        };
        let bars = downs.len();
        let tiles = downs.chunks_mut(TILE).zip(ups.chunks_mut(TILE));
        let mut tiles = tiles.map(|(downs, ups)| [downs, ups]);
        downs_and_ups(span, self.period, bars, |rows| {
            for (cells, row) in tiles.next().into_iter().flatten().zip(rows) {
                cells.copy_from_slice(row);
            }
        })
    }
}

/// Aroon up less Aroon down.
#[derive(Debug)]
pub(crate) struct AroonOsc {
    period: usize,
}

impl Kernel for AroonOsc {
    type State = ();
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "aroonosc",
        summary: "Aroon oscillator",
        parameters: &[PERIOD],
        outputs: &[output("aroonosc", "aroon up - aroon down")],
        source: SOURCE,
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    fn lookback(&self) -> Lookback {
        Lookback::of_each(&[Column::High, Column::Low], self.period + 1)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    const SIDE_BY_SIDE: bool = true;

    #[inline(always)]
    fn side_by_side(
        &self,
        _memories: &mut Memories<'_>,
        newest: &SideBySide<'_>,
        outputs: &mut [Row],
    ) -> bool {
        let (Some([downs, ups]), [row]) = (downs_and_ups_of_each(newest, self.period), outputs)
        else {
            return false;
        };
        for (at, cell) in row.0.iter_mut().enumerate() {
            *cell = ups.0[at] - downs.0[at];
        }
        true
    }

    #[inline(always)]
    fn step(&self, (): &mut (), _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        match down_and_up(frame, self.period) {
            Some((down, up)) => [up - down],
            None => [f64::NAN],
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
        let [cells] = outputs else {
            return 0;
        };
        let bars = cells.len();
        let mut tiles = cells.chunks_mut(TILE);
        downs_and_ups(span, self.period, bars, |[downs, ups]| {
            let cells = tiles.next().unwrap_or_default();
            for ((cell, up), down) in cells.iter_mut().zip(ups).zip(downs) {
                *cell = *up - *down;
            }
        })
    }
}
