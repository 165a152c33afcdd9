//! Wilder's directional movement: +DI, -DI, DX and ADX.

use crate::arguments::{ArgumentError, Arguments, Parameter};
use crate::frame::Frame;
use crate::kernel::{Description, Kernel, OutputDescription, output};
use crate::state::state;
use crate::window::flush_tiny;

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
    /// Takes a bar: adx, +DI, -DI, dx, each NaN before its warm-up.
    #[inline(always)]
    pub(crate) fn push(&mut self, period: usize, frame: &Frame<'_>) -> [f64; 4] {
        let (high, low, close) = (frame.bar.high, frame.bar.low, frame.bar.close);
        let (rise, fall) = (high - self.high, self.low - low);
        let range = true_range(high, low, self.close);
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
        let minus = if fall > 0.0 && rise < fall { fall } else { 0.0 };
        let plus = if rise > 0.0 && rise > fall { rise } else { 0.0 };
        if bars < period as u64 {
            self.plus += plus;
            self.minus += minus;
            self.range += range;
            return [f64::NAN; 4];
        }
        let (keep, share) = ((length - 1.0) / length, 1.0 / length);
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

            fn new(arguments: &Arguments) -> Result<Self, ArgumentError> {
                Ok(Self { period: arguments.count("timeperiod")? })
            }

            fn warmup_bars(&self, output: usize) -> usize {
                let warmup: [fn(usize) -> usize; $shown.len()] = $warmup;
                warmup[output](self.period)
            }

            #[inline(always)]
            fn step(&self, state: &mut Movement, _window: &mut [f64], frame: &Frame<'_>) -> Self::Output {
                let all = state.push(self.period, frame);
                $shown.map(|index: usize| all[index])
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
