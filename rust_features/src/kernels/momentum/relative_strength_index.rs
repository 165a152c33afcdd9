//! Relative strength index.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Column, Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::{Row, WINDOWS};
use crate::state::state;
use crate::subnormal::all_tiny;
use crate::window::{any_tiny, flush_tiny, wilder_shares};

/// Share of gains in all moves, Wilder smoothing.
#[derive(Debug)]
pub(crate) struct Rsi {
    period: usize,
    column: Column,
}

state! {
    /// Previous value and the averages of gains and losses, or their sums while they are seeded.
    pub(crate) struct GainsAndLosses {
        previous: f64,
        gain: f64,
        loss: f64,
        /// Values seen, counted until the index is warm.
        values: u64,
    }
}

impl GainsAndLosses {
    /// Averages that are warm, for a period.
    #[inline(always)]
    pub(crate) fn warm(period: usize, [previous, gain, loss]: [f64; 3]) -> Self {
        Self {
            previous,
            gain,
            loss,
            values: period as u64 + 1,
        }
    }

    /// Takes a value; the index once it is warm.
    #[inline(always)]
    pub(crate) fn push(&mut self, period: usize, value: f64) -> Option<f64> {
        let (gain, loss) = self.averages(period, value)?;
        Some(index(gain, gain + loss))
    }

    /// See [`Kernel::live`]; not the previous value.
    #[inline(always)]
    pub(crate) fn live(&mut self, show: &mut impl FnMut(&mut f64)) {
        show(&mut self.gain);
        show(&mut self.loss);
    }

    /// Takes a value once the averages are warm; both.
    #[inline(always)]
    fn advance(&mut self, period: usize, value: f64) -> (f64, f64) {
        let (gain, loss) = self.moves(value);
        // A product costs a fraction of a quotient, and the recursion waits for it.
        let (keep, share) = wilder_shares(period);
        self.gain = flush_tiny(self.gain.mul_add(keep, gain * share));
        self.loss = flush_tiny(self.loss.mul_add(keep, loss * share));
        (self.gain, self.loss)
    }

    /// What `show` makes of the averages at a span's bars, once they are warm; the bars taken.
    #[inline(always)]
    pub(crate) fn take_span(
        &mut self,
        period: usize,
        span: Span<'_>,
        cells: &mut [f64],
        show: impl Fn(f64, f64) -> f64,
    ) -> usize {
        let (values, Some(previous)) = (span.source(), span.earlier_source(1)) else {
            return 0;
        };
        if !self.is_warm(period) {
            return 0;
        }
        let bars = values.len() - values.len() % WINDOWS;
        for first in (0..bars).step_by(WINDOWS) {
            let own = first..first + WINDOWS;
            let mut rows = [Row::ZEROS; 2];
            let [gains, losses] = rows.each_mut().map(|row| &mut row.0[..]);
            let moves = [&values[own.clone()], &previous[own.clone()]];
            self.take(period, moves, [&mut *gains, &mut *losses]);
            for ((cell, gain), loss) in cells[own].iter_mut().zip(&*gains).zip(&*losses) {
                *cell = show(*gain, *loss);
            }
        }
        bars
    }

    /// The averages at a block of values, once they are warm.
    ///
    /// First without a look at tiny numbers, which no market has; that keeps both recursions in registers.
    #[inline(always)]
    pub(crate) fn take(
        &mut self,
        period: usize,
        [values, previous]: [&[f64]; 2],
        [gains, losses]: [&mut [f64]; 2],
    ) {
        let (keep, share) = wilder_shares(period);
        let (values, previous) = (&values[..WINDOWS], &previous[..WINDOWS]);
        let (gains, losses) = (&mut gains[..WINDOWS], &mut losses[..WINDOWS]);
        for (at, value) in values.iter().enumerate() {
            gains[at] = value - previous[at];
        }
        let mut tiny = any_tiny(gains);
        if tiny && self.gain == 0.0 && self.loss == 0.0 && all_tiny(gains) {
            // Such changes count as none, and nothing is left to decay.
            (self.gain, self.loss) = (0.0, 0.0);
            gains.fill(0.0);
            losses.fill(0.0);
            self.previous = values.last().copied().unwrap_or(self.previous);
            return;
        }
        if !tiny {
            for (gain, loss) in gains.iter_mut().zip(&mut *losses) {
                let change = *gain;
                *gain = if change > 0.0 { change } else { 0.0 } * share;
                *loss = if change < 0.0 { -change } else { 0.0 } * share;
            }
            let (mut gain, mut loss) = (self.gain, self.loss);
            for (gains, losses) in gains.iter_mut().zip(&mut *losses) {
                gain = gain.mul_add(keep, *gains);
                loss = loss.mul_add(keep, *losses);
                (*gains, *losses) = (gain, loss);
            }
            tiny = any_tiny(gains) || any_tiny(losses);
            if !tiny {
                (self.gain, self.loss) = (gain, loss);
                self.previous = values.last().copied().unwrap_or(self.previous);
            }
        }
        if tiny {
            for (at, value) in values.iter().enumerate() {
                (gains[at], losses[at]) = self.advance(period, *value);
            }
        }
    }

    /// Rise and fall since the previous value.
    #[inline(always)]
    fn moves(&mut self, value: f64) -> (f64, f64) {
        let change = flush_tiny(value - self.previous);
        self.previous = value;
        (
            if change > 0.0 { change } else { 0.0 },
            if change < 0.0 { -change } else { 0.0 },
        )
    }

    /// Whether the averages are warm, for a period.
    #[inline(always)]
    pub(crate) fn is_warm(&self, period: usize) -> bool {
        self.values > period as u64
    }

    /// Takes a value; the averages of gains and losses once they are warm.
    #[inline(always)]
    pub(crate) fn averages(&mut self, period: usize, value: f64) -> Option<(f64, f64)> {
        if self.is_warm(period) {
            return Some(self.advance(period, value));
        }
        let (gain, loss) = self.moves(value);
        self.values += 1;
        if self.values == 1 {
            return None;
        }
        self.gain += gain;
        self.loss += loss;
        if self.values <= period as u64 {
            return None;
        }
        self.gain /= period as f64;
        self.loss /= period as f64;
        Some((self.gain, self.loss))
    }
}

/// What of gains and losses lies as rows, for a kernel that remembers nothing else.
macro_rules! rows_of_moves {
    () => {
        const MEMORY_ROWS: bool = true;

        #[inline(always)]
        fn live(&self, state: &mut GainsAndLosses, show: &mut impl FnMut(&mut f64)) {
            state.live(show);
        }

        #[inline(always)]
        fn catch_up(
            &self,
            state: &mut GainsAndLosses,
            _window: &mut [f64],
            newest: &Frame<'_>,
            _bars: u64,
        ) {
            state.previous = newest.current(self.column);
        }
    };
}
pub(super) use rows_of_moves;

impl Kernel for Rsi {
    type State = GainsAndLosses;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "rsi",
        summary: "relative strength index",
        parameters: &[
            Parameter::period("timeperiod", "bars of Wilder's smoothing", 14, 2),
            Parameter::column("close"),
        ],
        outputs: &[output(
            "rsi",
            "100 * average gain / (average gain + average loss); 0 in a flat market",
        )],
        source: "TA-Lib RSI; Wilder (1978), New Concepts in Technical Trading Systems",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
            column: arguments.column()?,
        })
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        self.period
    }

    rows_of_moves!();

    #[inline(always)]
    fn step(&self, state: &mut GainsAndLosses, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        [state
            .push(self.period, frame.current(self.column))
            .unwrap_or(f64::NAN)]
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut GainsAndLosses,
        _window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let [cells] = outputs else {
            return 0;
        };
        state.take_span(self.period, span, cells, |gain, loss| {
            index(gain, gain + loss)
        })
    }
}

#[inline(always)]
pub(super) fn index(gain: f64, total: f64) -> f64 {
    if total > 0.0 {
        100.0 * (gain / total)
    } else {
        0.0
    }
}
