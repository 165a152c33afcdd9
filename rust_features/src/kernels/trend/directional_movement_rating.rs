//! Wilder's directional movement: the smoothed movements themselves and the rating over ADX.

use super::directional_movement::{Movement, one_move};
use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Frame, Span};
use crate::kernel::{Description, Kernel, output};
use crate::neighbours::{LONGEST, WINDOWS, Wide};
use crate::state::state;
use crate::subnormal::all_tiny;
use crate::window::{any_tiny, flush_tiny, slide, wilder_shares};

/// Average directional movement index rating.
#[derive(Debug)]
pub(crate) struct Adxr {
    period: usize,
}

state! {
    /// The movement and how far the window is filled.
    pub(crate) struct Rating {
        movement: Movement,
        /// Indices so far, counted until the window is full.
        filled: u64,
    }
}

impl Kernel for Adxr {
    type State = Rating;
    type Output = [f64; 1];
    const DESCRIPTION: Description = Description {
        name: "adxr",
        summary: "average directional movement index rating",
        parameters: &[Parameter::period(
            "timeperiod",
            "bars of Wilder's smoothing",
            14,
            2,
        )],
        outputs: &[output("adxr", "(adx + adx timeperiod - 1 bars ago) / 2")],
        source: "TA-Lib ADXR; Wilder (1978), New Concepts in Technical Trading Systems",
    };

    fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
        Ok(Self {
            period: arguments.count("timeperiod")?,
        })
    }

    /// The last values of adx.
    fn window_len(&self) -> usize {
        self.period
    }

    fn warmup_bars(&self, _output: usize) -> usize {
        3 * self.period - 2
    }

    #[inline(always)]
    fn step(&self, state: &mut Rating, window: &mut [f64], frame: &Frame<'_>) -> [f64; 1] {
        let [adx, ..] = state.movement.push(self.period, frame);
        if adx.is_nan() {
            return [f64::NAN];
        }
        slide(window, adx);
        let full = self.period as u64;
        state.filled = state.filled.saturating_add(1).min(full);
        match window {
            [old, ..] if state.filled >= full => [rating(adx, *old)],
            _ => [f64::NAN],
        }
    }

    #[inline(always)]
    fn span(
        &self,
        state: &mut Rating,
        window: &mut [f64],
        span: Span<'_>,
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let period = self.period;
        if period > LONGEST || window.len() < period || state.filled < period as u64 {
            return 0;
        }
        let taken = state.movement.take_span(period, span, &[0], outputs);
        let [cells] = outputs else {
            return 0;
        };
        let mut indices: Wide = [0.0; _];
        indices[..period].copy_from_slice(&window[..period]);
        for cells in cells[..taken].as_chunks_mut::<WINDOWS>().0 {
            indices[period..][..WINDOWS].copy_from_slice(cells);
            let (new, old) = (&indices[period..][..WINDOWS], &indices[1..][..WINDOWS]);
            for (at, cell) in cells.iter_mut().enumerate() {
                *cell = rating(new[at], old[at]);
            }
            indices.copy_within(WINDOWS..WINDOWS + period, 0);
        }
        window[..period].copy_from_slice(&indices[..period]);
        taken
    }
}

/// The middle of two indices, which are zero or far from both ends of the range of numbers.
#[inline(always)]
fn rating(new: f64, old: f64) -> f64 {
    0.5 * (new + old)
}

state! {
    /// Previous bar and the running sum.
    pub(crate) struct OneMovement {
        high: f64,
        low: f64,
        sum: f64,
        /// Bars seen, counted until the sum is warm.
        bars: u64,
    }
}

impl OneMovement {
    /// Takes a bar; the smoothed movement once it is warm.
    #[inline(always)]
    fn push(&mut self, period: usize, up: bool, frame: &Frame<'_>) -> f64 {
        let (high, low) = (frame.bar.high, frame.bar.low);
        let moved = moved(up, [high, low], [self.high, self.low]);
        (self.high, self.low) = (high, low);
        let bars = self.bars;
        let seed = (period - 1) as u64;
        if bars <= seed {
            self.bars += 1;
            if bars == 0 {
                return f64::NAN;
            }
            self.sum += moved;
            return if bars < seed { f64::NAN } else { self.sum };
        }
        self.sum = flush_tiny(self.sum.mul_add(wilder_shares(period).0, moved));
        self.sum
    }

    /// The smoothed movements at a span's bars once they are warm; the bars taken.
    #[inline(always)]
    fn take_span(&mut self, period: usize, up: bool, span: Span<'_>, sums: &mut [f64]) -> usize {
        let Some([before_highs, before_lows, _]) = span.previous_high_low_close() else {
            return 0;
        };
        if self.bars < period as u64 {
            return 0;
        }
        let [_, highs, lows, _, _] = span.prices();
        let columns = [highs, lows, before_highs, before_lows];
        let (keep, _) = wilder_shares(period);
        let mut taken = 0;
        for cells in sums.as_chunks_mut::<WINDOWS>().0 {
            let own = columns.map(|values| &values[taken..][..WINDOWS]);
            for (at, cell) in cells.iter_mut().enumerate() {
                let [high, low, before_high, before_low] = own.map(|values| values[at]);
                *cell = moved(up, [high, low], [before_high, before_low]);
            }
            if self.sum == 0.0 && all_tiny(cells) {
                // Such moves count as none, and nothing is left to decay.
                cells.fill(0.0);
            } else {
                self.add_up(keep, cells);
            }
            taken += WINDOWS;
            if let [[.., high], [.., low], ..] = own {
                (self.high, self.low) = (*high, *low);
            }
        }
        taken
    }

    /// The sums after each of a block's moves: first without a look at tiny numbers, which no market has.
    #[inline(always)]
    fn add_up(&mut self, keep: f64, cells: &mut [f64; WINDOWS]) {
        let moves = *cells;
        let mut sum = self.sum;
        for cell in &mut *cells {
            sum = sum.mul_add(keep, *cell);
            *cell = sum;
        }
        if any_tiny(&moves) || any_tiny(cells) {
            sum = self.sum;
            for (cell, own) in cells.iter_mut().zip(&moves) {
                sum = flush_tiny(sum.mul_add(keep, *own));
                *cell = sum;
            }
        }
        self.sum = sum;
    }
}

/// A bar's rise of the high, or its fall of the low.
#[inline(always)]
fn moved(up: bool, [high, low]: [f64; 2], [before_high, before_low]: [f64; 2]) -> f64 {
    let (rise, fall) = (high - before_high, before_low - low);
    if up {
        one_move(rise, fall)
    } else {
        one_move(fall, rise)
    }
}

/// One of the two movements.
macro_rules! one_movement_kernel {
    ($(#[$meta:meta])* $kernel:ident, $name:literal, $summary:literal, $formula:literal, $source:literal, $up:literal) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(crate) struct $kernel {
            period: usize,
        }

        impl Kernel for $kernel {
            type State = OneMovement;
            type Output = [f64; 2];
            const DESCRIPTION: Description = Description {
                name: $name,
                summary: $summary,
                parameters: &[Parameter::period("timeperiod", "bars of Wilder's smoothing; 1 for none", 14, 1)],
                outputs: &[
                    output($name, $formula),
                    output("ratio", "mean movement per bar: the sum / timeperiod / close"),
                ],
                source: $source,
            };
            const CLASSIC_OUTPUTS: usize = 1;
            const IS_CHAIN: bool = true;

            fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
                Ok(Self { period: arguments.count("timeperiod")? })
            }

            fn warmup_bars(&self, _output: usize) -> usize {
                (self.period - 1).max(1)
            }

            #[inline(always)]
            fn step(&self, state: &mut OneMovement, _window: &mut [f64], frame: &Frame<'_>) -> [f64; 2] {
                let sum = state.push(self.period, $up, frame);
                [sum, sum / self.period as f64 / frame.bar.close]
            }

            #[inline(always)]
            fn span(
                &self,
                state: &mut OneMovement,
                _window: &mut [f64],
                span: Span<'_>,
                outputs: &mut [&mut [f64]],
            ) -> usize {
                let [sums, ratios @ ..] = outputs else {
                    return 0;
                };
                let taken = state.take_span(self.period, $up, span, sums);
                if let [ratios, ..] = ratios {
                    let (sums, closes) = (&sums[..taken], span.closes(taken));
                    for ((cell, sum), close) in ratios.iter_mut().zip(sums).zip(closes) {
                        *cell = sum / self.period as f64 / close;
                    }
                }
                taken
            }
        }
    };
}

one_movement_kernel!(
    /// Smoothed rises of the high.
    PlusDm,
    "plus_dm",
    "plus directional movement",
    "running sum of rises of the high that exceed the fall of the low: sum - sum / timeperiod + rise, seeded with timeperiod - 1 bars",
    "TA-Lib PLUS_DM; Wilder (1978), New Concepts in Technical Trading Systems",
    true
);
one_movement_kernel!(
    /// Smoothed falls of the low.
    MinusDm,
    "minus_dm",
    "minus directional movement",
    "running sum of falls of the low that exceed the rise of the high: sum - sum / timeperiod + fall, seeded with timeperiod - 1 bars",
    "TA-Lib MINUS_DM; Wilder (1978), New Concepts in Technical Trading Systems",
    false
);
