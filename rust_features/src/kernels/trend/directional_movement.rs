//! Wilder's directional movement: +DI, -DI, DX and ADX.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::{Frame, Span};
use crate::kernel::{Description, Kernel, OutputDescription, output};
use crate::neighbours::{Row, WINDOWS};
use crate::state::state;
use crate::subnormal::all_tiny;
use crate::window::{TINY, any_tiny, flush_tiny, wilder_shares};

const PERIOD: Parameter = Parameter::period("timeperiod", "bars of Wilder's smoothing", 14, 2);
const SOURCE: &str =
    "TA-Lib ADX, DX, PLUS_DI, MINUS_DI; Wilder (1978), New Concepts in Technical Trading Systems";
const ADX: OutputDescription = output(
    "adx",
    "Wilder average of dx, seeded with the mean of the first timeperiod; a bar without dx holds it",
);
const PLUS_DI: OutputDescription = output(
    "plus_di",
    "100 * smoothed +DM / smoothed true range; 0 without any range",
);
const MINUS_DI: OutputDescription = output(
    "minus_di",
    "100 * smoothed -DM / smoothed true range; 0 without any range",
);
const DX: OutputDescription = output(
    "dx",
    "100 * |+DI - -DI| / (+DI + -DI); without movement the previous one, 0 at first",
);

state! {
    /// Previous bar, running sums of movement and range, last DX and ADX.
    pub(crate) struct Movement {
        high: f64,
        low: f64,
        close: f64,
        plus: f64,
        minus: f64,
        range: f64,
        dx: f64,
        adx: f64,
        /// Bars seen, counted until ADX is warm.
        bars: u64,
    }
}

impl Movement {
    /// As `push` for a span's bars once all is warm: the outputs that `shown` numbers; the bars taken, up to one
    /// without movement or with a tiny number.
    #[inline(always)]
    pub(crate) fn take_span(
        &mut self,
        period: usize,
        span: Span<'_>,
        shown: &[usize],
        outputs: &mut [&mut [f64]],
    ) -> usize {
        let (Some([highs, lows, closes]), [first_output, ..]) =
            (span.previous_high_low_close(), &*outputs)
        else {
            return 0;
        };
        if self.bars < 2 * period as u64 {
            return 0;
        }
        let bars = first_output.len() - first_output.len() % WINDOWS;
        let [_, own_highs, own_lows, own_closes, _] = span.prices().map(|values| &values[..bars]);
        for first in (0..bars).step_by(WINDOWS) {
            let own = first..first + WINDOWS;
            let given = [own_highs, own_lows].map(|values| &values[own.clone()]);
            let previous = [highs, lows, closes].map(|values| &values[own.clone()]);
            // A market that stands still has no index of its own.
            let still = self.plus == 0.0 && self.minus == 0.0;
            if still && self.range == 0.0 && self.high < TINY && all_tiny(given[0]) {
                // Ranges of such prices count as none: the index stays.
                (self.plus, self.minus, self.range) = (0.0, 0.0, 0.0);
                let all = [self.adx, 0.0, 0.0, self.dx];
                for (output, number) in outputs.iter_mut().zip(shown) {
                    output[own.clone()].fill(all[*number]);
                }
                if let ([.., high], [.., low], [.., close]) = (given[0], given[1], &own_closes[own])
                {
                    (self.high, self.low, self.close) = (*high, *low, *close);
                }
                continue;
            }
            if still {
                if !self.stand_still(period, given, previous) {
                    return first;
                }
                let all = [self.adx, 0.0, 0.0, self.dx];
                for (output, number) in outputs.iter_mut().zip(shown) {
                    output[own.clone()].fill(all[*number]);
                }
                if let [.., close] = own_closes[own] {
                    self.close = close;
                }
                continue;
            }
            if any_tiny(given[0]) {
                return first;
            }
            let mut all = [Row::ZEROS; 4];
            let mut next = *self;
            if !next.take(period, given, previous, &mut all) {
                return first;
            }
            *self = next;
            for (output, number) in outputs.iter_mut().zip(shown) {
                output[own.clone()].copy_from_slice(&all[*number].0[..own.len()]);
            }
            if let [.., close] = own_closes[own.clone()] {
                self.close = close;
            }
        }
        bars
    }

    /// A few bars of a market that stands still: nothing but the range decays. False, with nothing changed, when a bar
    /// moves.
    #[inline(always)]
    fn stand_still(
        &mut self,
        period: usize,
        [highs, lows]: [&[f64]; 2],
        previous: [&[f64]; 3],
    ) -> bool {
        let (highs, lows) = (&highs[..WINDOWS], &lows[..WINDOWS]);
        let previous = previous.map(|values| &values[..WINDOWS]);
        let mut ranges = Row::ZEROS;
        let mut moved = false;
        for (at, range) in ranges.0.iter_mut().enumerate() {
            let before = previous.map(|values| values[at]);
            let [plus, minus, own] = moves([highs[at], lows[at]], before);
            moved |= plus + minus > 0.0;
            *range = own;
        }
        if moved {
            return false;
        }
        let (keep, _) = wilder_shares(period);
        for range in &ranges.0 {
            self.range = flush_tiny(self.range.mul_add(keep, *range));
        }
        if let ([.., high], [.., low]) = (highs, lows) {
            (self.high, self.low) = (*high, *low);
        }
        true
    }

    /// A few bars, loop by loop; false when a step is needed to do them right.
    #[inline(always)]
    fn take(
        &mut self,
        period: usize,
        [highs, lows]: [&[f64]; 2],
        previous: [&[f64]; 3],
        all: &mut [Row; 4],
    ) -> bool {
        let bars = WINDOWS;
        let (highs, lows) = (&highs[..bars], &lows[..bars]);
        let previous = previous.map(|values| &values[..bars]);
        let (keep, share) = wilder_shares(period);
        let mut rows = [Row::ZEROS; 3];
        let [plus, minus, ranges] = rows.each_mut().map(|row| &mut row.0[..bars]);
        for at in 0..bars {
            let before = previous.map(|values| values[at]);
            [plus[at], minus[at], ranges[at]] = moves([highs[at], lows[at]], before);
        }
        for at in 0..bars {
            self.plus = self.plus.mul_add(keep, plus[at]);
            self.minus = self.minus.mul_add(keep, minus[at]);
            self.range = self.range.mul_add(keep, ranges[at]);
            [plus[at], minus[at], ranges[at]] = [self.plus, self.minus, self.range];
        }
        let [adx, plus_di, minus_di, dx] = all.each_mut().map(|row| &mut row.0[..bars]);
        let mut moved = true;
        for at in 0..bars {
            plus_di[at] = 100.0 * (plus[at] / ranges[at]);
            minus_di[at] = 100.0 * (minus[at] / ranges[at]);
            let total = plus_di[at] + minus_di[at];
            moved &= ranges[at] > 0.0;
            moved &= total > 0.0;
            dx[at] = 100.0 * ((minus_di[at] - plus_di[at]).abs() / total);
        }
        for (cell, dx) in adx.iter_mut().zip(&*dx) {
            self.adx = self.adx.mul_add(keep, dx * share);
            *cell = self.adx;
        }
        if let ([.., high], [.., low], [.., newest]) = (highs, lows, &*dx) {
            (self.high, self.low, self.dx) = (*high, *low, *newest);
        }
        moved && ![&*plus, minus, ranges, adx].into_iter().any(any_tiny)
    }

    /// Takes a bar: adx, +DI, -DI, dx, each NaN before its warm-up.
    #[inline(always)]
    pub(crate) fn push(&mut self, period: usize, frame: &Frame<'_>) -> [f64; 4] {
        let (high, low, close) = (frame.bar.high, frame.bar.low, frame.bar.close);
        let [plus, minus, range] = moves([high, low], [self.high, self.low, self.close]);
        (self.high, self.low, self.close) = (high, low, close);
        let length = period as f64;
        let warm = 2 * period as u64;
        let bars = self.bars;
        if bars < warm {
            self.bars += 1;
        }
        if bars == 0 {
            return [f64::NAN; 4];
        }
        if bars < period as u64 {
            self.plus += plus;
            self.minus += minus;
            self.range += range;
            return [f64::NAN; 4];
        }
        let (keep, share) = wilder_shares(period);
        self.plus = flush_tiny(self.plus.mul_add(keep, plus));
        self.minus = flush_tiny(self.minus.mul_add(keep, minus));
        self.range = flush_tiny(self.range.mul_add(keep, range));
        let (mut plus_di, mut minus_di, mut moved) = (0.0, 0.0, false);
        if self.range > 0.0 {
            plus_di = 100.0 * (self.plus / self.range);
            minus_di = 100.0 * (self.minus / self.range);
            let total = plus_di + minus_di;
            if total > 0.0 {
                self.dx = 100.0 * ((minus_di - plus_di).abs() / total);
                moved = true;
            }
        }
        if bars < warm - 1 {
            self.adx += if moved { self.dx } else { 0.0 };
            return [f64::NAN, plus_di, minus_di, self.dx];
        }
        if bars == warm - 1 {
            self.adx = (self.adx + if moved { self.dx } else { 0.0 }) / length;
        } else if moved {
            self.adx = flush_tiny(self.adx.mul_add(keep, self.dx * share));
        }
        [self.adx, plus_di, minus_di, self.dx]
    }
}

/// +DM, -DM and the true range of a bar after the high, low and close before it.
#[inline(always)]
fn moves([high, low]: [f64; 2], [previous_high, previous_low, close]: [f64; 3]) -> [f64; 3] {
    let (rise, fall) = (high - previous_high, previous_low - low);
    [
        one_move(rise, fall),
        one_move(fall, rise),
        true_range(high, low, close),
    ]
}

/// A bar's move to one side, if it is up and beyond the other side's.
#[inline(always)]
pub(super) fn one_move(own: f64, other: f64) -> f64 {
    if own > 0.0 && own > other { own } else { 0.0 }
}

/// Largest of high - low and the distances of high and low from the previous close.
#[inline(always)]
pub(crate) fn true_range(high: f64, low: f64, previous_close: f64) -> f64 {
    let (up, down) = ((high - previous_close).abs(), (low - previous_close).abs());
    let range = high - low;
    let range = if up > range { up } else { range };
    if down > range { down } else { range }
}

/// One kernel of the family: which of the four values it shows.
macro_rules! movement_kernel {
    ($(#[$meta:meta])* $kernel:ident, $name:literal, $summary:literal, $shown:expr, $warmup:expr, $outputs:expr) => {
        $(#[$meta])*
        #[derive(Debug)]
        pub(crate) struct $kernel {
            period: usize,
        }

        impl Kernel for $kernel {
            type State = Movement;
            type Output = [f64; $shown.len()];
            const DESCRIPTION: Description = Description {
                name: $name,
                summary: $summary,
                parameters: &[PERIOD],
                outputs: &$outputs,
                source: SOURCE,
            };
            const CLASSIC_OUTPUTS: usize = 1;

            fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
                Ok(Self { period: arguments.count("timeperiod")? })
            }

            fn warmup_bars(&self, output: usize) -> usize {
                let warmup: [fn(usize) -> usize; $shown.len()] = $warmup;
                warmup[output](self.period)
            }

            // Only the average counts the bars to its end.
            const MEMORY_ROWS: bool = $shown[0] == 0;

            #[inline(always)]
            fn live(&self, state: &mut Movement, show: &mut impl FnMut(&mut f64)) {
                let Movement { plus, minus, range, dx, adx, .. } = state;
                for number in [plus, minus, range, dx, adx] {
                    show(number);
                }
            }

            #[inline(always)]
            fn catch_up(&self, state: &mut Movement, _window: &mut [f64], newest: &Frame<'_>, _bars: u64) {
                (state.high, state.low, state.close) =
                    (newest.bar.high, newest.bar.low, newest.bar.close);
            }

            #[inline(always)]
            fn step(&self, state: &mut Movement, _window: &mut [f64], frame: &Frame<'_>) -> Self::Output {
                let all = state.push(self.period, frame);
                $shown.map(|index: usize| all[index])
            }

            #[inline(always)]
            fn span(
                &self,
                state: &mut Movement,
                _window: &mut [f64],
                span: Span<'_>,
                outputs: &mut [&mut [f64]],
            ) -> usize {
                state.take_span(self.period, span, &$shown, outputs)
            }
        }
    };
}

movement_kernel!(
    /// Average directional index with both indicators it is made of.
    Adx, "adx", "average directional index", [0, 1, 2, 3],
    [|period| 2 * period - 1, |period| period, |period| period, |period| period],
    [ADX, PLUS_DI, MINUS_DI, DX]
);
movement_kernel!(
    /// Plus directional indicator.
    PlusDi, "plus_di", "plus directional indicator", [1], [|period| period], [PLUS_DI]
);
movement_kernel!(
    /// Minus directional indicator.
    MinusDi, "minus_di", "minus directional indicator", [2], [|period| period], [MINUS_DI]
);
movement_kernel!(
    /// Directional index.
    Dx, "dx", "directional index", [3], [|period| period], [DX]
);
