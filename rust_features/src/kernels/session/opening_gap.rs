//! Gaps between one close and the next open, and how much of them has been filled.

use super::market_calendar::{CALENDAR, STAMP};
use super::session_clock::{HOURS, SessionClock};
use crate::arguments::{ArgumentError, Arguments};
use crate::frame::{Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::{TILE, divide_by_each, parts};
use crate::state::state;
use crate::subnormal::quotients;

/// The gap from `close` to `open` and the move from there to `now`, both relative, and between them the share of the way
/// back that prices between `low` and `high` have gone; 1 without a gap.
#[inline(always)]
fn gap_filled_move(close: f64, open: f64, (low, high): (f64, f64), now: f64) -> [f64; 3] {
    let (gap, retraced) = gap_and_way_back(close, open, (low, high));
    let [opened, filled, moved] =
        quotients([open - close, retraced, now - open], [close, gap, open]);
    [opened, if retraced < gap { filled } else { 1.0 }, moved]
}

/// The size of a gap, and how far prices have gone from its end toward where it began.
#[inline(always)]
fn gap_and_way_back(close: f64, open: f64, (low, high): (f64, f64)) -> (f64, f64) {
    if open > close {
        (open - close, open - low)
    } else {
        (close - open, high - open)
    }
}

/// Gap between two bars.
#[derive(Debug)]
pub(crate) struct Gap;

state! {
    /// Previous close.
    pub(crate) struct GapState {
        close: f64,
        known: bool,
    }
}

impl Kernel for Gap {
    type State = GapState;
    type Output = [f64; 2];
    const DESCRIPTION: Description = Description {
        name: "gap",
        summary: "gap between the previous close and the open",
        parameters: &[],
        outputs: &[
            output("gap", "open / previous close - 1"),
            output(
                "filled",
                "share of the way back to the previous close that the bar's range has covered, at most 1; 1 without gap",
            ),
        ],
        source: "definition",
    };

    fn new(_arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self)
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        1
    }

    #[inline(always)]
    fn step(&self, state: &mut GapState, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
        let bar = &frame.bar;
        let close = std::mem::replace(&mut state.close, bar.close);
        if std::mem::replace(&mut state.known, true) {
            let [gap, filled, _] = gap_filled_move(close, bar.open, (bar.low, bar.high), bar.open);
            [gap, filled]
        } else {
            [f64::NAN; 2]
        }
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut GapState,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (Some(closes), [gaps, fillings]) = (span.previous_closes(), outputs) else {
            return 0;
        };
        if !state.known {
            return 0;
        }
        let bars = gaps.len();
        let mut sizes = [0.0; TILE];
        let [opens, highs, lows, ..] = span.prices();
        for own in parts(bars, TILE) {
            let [opens, highs, lows, closes] =
                [opens, highs, lows, closes].map(|values| &values[own.clone()]);
            let sizes = &mut sizes[..own.len()];
            let (gaps, fillings) = (&mut gaps[own.clone()], &mut fillings[own]);
            for at in 0..sizes.len() {
                gaps[at] = opens[at] - closes[at];
                (sizes[at], fillings[at]) =
                    gap_and_way_back(closes[at], opens[at], (lows[at], highs[at]));
            }
            let mut filled = [0.0; TILE];
            let filled = &mut filled[..sizes.len()];
            filled.copy_from_slice(fillings);
            divide_by_each(filled, sizes);
            for at in 0..sizes.len() {
                fillings[at] = if fillings[at] < sizes[at] {
                    filled[at]
                } else {
                    1.0
                };
            }
            divide_by_each(gaps, closes);
        }
        if let [.., close] = span.closes(bars) {
            state.close = *close;
        }
        bars
    }
}

/// Session of the bars before the first one.
const NO_SESSION: i64 = i64::MIN;

/// Gap between two sessions.
#[derive(Debug)]
pub(crate) struct SessionGap {
    clock: SessionClock,
}

state! {
    /// Close before the session, its first price and its range so far.
    pub(crate) struct SessionRange {
        session: i64,
        started: bool,
        last_close: f64,
        previous_close: f64,
        open: f64,
        low: f64,
        high: f64,
    }
}

impl Kernel for SessionGap {
    type State = SessionRange;
    type Output = [f64; 3];
    const DESCRIPTION: Description = Description {
        name: "session_gap",
        summary: "gap at the session's open, its filling, and the move since",
        parameters: &[CALENDAR, STAMP, HOURS],
        outputs: &[
            output(
                "gap",
                "first open of the session / last close of the session before - 1; 0 in the first session",
            ),
            output(
                "filled",
                "share of the way back to that close that the session's range so far has covered, at most 1; 1 without \
                 gap",
            ),
            output("since_open", "close / first open of the session - 1"),
        ],
        source: "definition",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            clock: SessionClock::new(arguments)?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        0
    }

    #[inline(always)]
    fn step(&self, state: &mut SessionRange, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 3] {
        let bar = &frame.bar;
        let session = self.clock.session(bar.open_time_ns);
        let begins = session.is_some_and(|session| session != state.session);
        if begins || !state.started {
            // Bars before the first session are no session to gap from.
            let gaps = state.started && state.session != NO_SESSION;
            state.previous_close = if gaps { state.last_close } else { bar.open };
            state.session = session.unwrap_or(NO_SESSION);
            state.started = true;
            (state.open, state.low, state.high) = (bar.open, bar.low, bar.high);
        }
        if session.is_some() {
            state.last_close = bar.close;
            state.low = if bar.low < state.low {
                bar.low
            } else {
                state.low
            };
            state.high = if bar.high > state.high {
                bar.high
            } else {
                state.high
            };
        }
        let range = (state.low, state.high);
        gap_filled_move(state.previous_close, state.open, range, bar.close)
    }
}
