//! Patterns over tiles of candles: what the sizes count is found out for all of them at once, and every condition is
//! looked at, so that vectors take both.

use std::cell::Cell;

use super::candles::{
    BODY_DOJI, BODY_LONG, Candles, EQUAL, FAR, KnownSizes, Measure, NEAR, SHADOW_SHORT, Size,
};
use crate::frame::{Column, Span};
use crate::indicator;
use crate::instructions::{Work, with_widest_vectors};
use crate::neighbours::{TILE, divide, is_safe};
use crate::subnormal::{
    LEAST_NORMAL, Lifted, Plain, all_near, corrected, is_factor, is_near, lift_subnormal,
    lower_subnormal,
};
use crate::window::Finite;

/// The sizes that a tile finds out for all its candles, each once; another one is found out where it is asked for.
const KEPT: [Size; 6] = [BODY_LONG, BODY_DOJI, SHADOW_SHORT, NEAR, FAR, EQUAL];

impl Size {
    /// Its place among the [`KEPT`] ones.
    #[inline(always)]
    fn place(self) -> Option<usize> {
        KEPT.iter().position(|kept| {
            kept.measure == self.measure
                && kept.candles == self.candles
                && kept.factor.to_bits() == self.factor.to_bits()
        })
    }

    /// The size of a sum that is neither negative nor normal, with a factor of at most 1: the bits of
    /// [`Size::of_mean`]. None of the roundings to the grid is a second one: a sum of 2^52 grids at most is divided by 5
    /// or 10 with three bits after the point, or more, so that what is a tenth off the middle between two multiples
    /// stays off.
    #[inline(always)]
    fn of_subnormal(self, sum: f64, count: f64, share: f64) -> f64 {
        let on_grid = |lifted: f64, factor| lifted.mul_add(factor, LEAST_NORMAL) - LEAST_NORMAL;
        let shadows = if self.measure == Measure::Shadows {
            0.5
        } else {
            1.0
        };
        let mean = on_grid(corrected(lift_subnormal(sum), count, share), 1.0);
        lower_subnormal(on_grid(on_grid(mean, self.factor), shadows))
    }
}

/// Numbers that a tile finds out for each candle: the [`KEPT`] sizes, and the share that [`Candles::share`] asks for.
const PLACES: usize = KEPT.len() + 1;
/// Which of them a pattern asks for.
type AskedFor = [Cell<Option<Size>>; PLACES];

/// A number for each candle of a tile and those before; aligned so that no vector of it straddles two cache lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Numbers([f64; ROOM]);

impl Numbers {
    const ZEROS: Self = Self([0.0; ROOM]);
}

/// What tiles write, one after the other: memory that is cleared once.
struct Found {
    measures: Numbers,
    /// Each from the first candle that has as many before it as its size counts.
    sizes: [Numbers; PLACES],
}

/// Candles that a tile's first one is judged by, and more.
const BEFORE: usize = 16;
/// Room for a tile's candles and those before; with as much more as lets sizes be found out in whole vectors.
const ROOM: usize = TILE + 2 * BEFORE;
/// Sizes that are found out.
const SUMS: usize = TILE + BEFORE;

/// Opens, highs, lows and closes.
type Prices<'a> = [&'a [f64]; 4];

/// The prices of a span's candles, and of those before that its first one is judged by: `candles` with itself.
#[inline(always)]
fn prices(span: Span<'_>, candles: usize) -> Option<Prices<'_>> {
    let [Some(opens), Some(highs), Some(lows), Some(closes)] =
        [Column::Open, Column::High, Column::Low, Column::Close]
            .map(|column| span.windows(column, candles))
    else {
        return None;
    };
    Some([opens, highs, lows, closes])
}

/// A candlestick pattern over the last `N` candles.
pub(super) trait Pattern<const N: usize> {
    /// 100 (bullish), -100 (bearish) or 0 at the newest candle.
    fn signal<S: KnownSizes>(&self, candles: &Candles<'_, N, S>) -> f64;

    /// The signals at the candles of a span, from the first one; how many. None of a tile whose numbers are not all
    /// finite, nor any after it.
    #[inline(always)]
    fn signals<T: indicator::Cell>(&self, span: Span<'_>, cells: &mut [T]) -> usize {
        let Some(prices) = prices(span, N) else {
            return 0;
        };
        let asked = self.asked();
        let mut found = Found {
            measures: Numbers::ZEROS,
            sizes: [Numbers::ZEROS; PLACES],
        };
        let mut taken = 0;
        for cells in cells.chunks_mut(TILE) {
            let prices = prices.map(|values| &values[taken..taken + cells.len() + N - 1]);
            let all_finite = with_widest_vectors(Tile {
                asked: &asked,
                prices,
                found: &mut found,
            });
            if !all_finite {
                break;
            }
            // Here, where the compiler sees all of it: in a function of its own many patterns take no vectors. And not yet
            // among the cells, of which it cannot know that they hold no prices.
            let mut signals = [0.0; TILE];
            for (cell, candles) in signals.iter_mut().zip(windows(prices, &found.sizes)) {
                *cell = self.signal(&candles);
            }
            for (cell, signal) in cells.iter_mut().zip(signals) {
                *cell = T::of(signal);
            }
            taken += cells.len();
        }
        taken
    }

    /// Which sizes the pattern asks for: the same ones at any candles.
    #[inline(always)]
    fn asked(&self) -> AskedFor {
        let asked = AskedFor::default();
        self.signal(&Candles {
            opens: &[0.0; N],
            highs: &[0.0; N],
            lows: &[0.0; N],
            closes: &[0.0; N],
            sizes: Asked(&asked),
        });
        asked
    }
}

/// Notes which sizes are asked for.
#[derive(Clone, Copy)]
struct Asked<'a>(&'a AskedFor);

impl KnownSizes for Asked<'_> {
    #[inline(always)]
    fn known(self, size: Size, _: usize) -> Option<f64> {
        self.0[size.place()?].set(Some(size));
        Some(0.0)
    }

    #[inline(always)]
    fn known_share(self, share: Size, _: usize) -> Option<f64> {
        self.0[KEPT.len()].set(Some(share));
        Some(0.0)
    }
}

/// A tile of candles, whose sizes are found out where they are finite.
struct Tile<'a> {
    asked: &'a AskedFor,
    prices: Prices<'a>,
    found: &'a mut Found,
}

impl Work for Tile<'_> {
    /// False where a number is not finite.
    type Result = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let Found { measures, sizes } = self.found;
        let [opens, highs, lows, closes] = self.prices;
        let mut finite = Finite::default();
        for ((open, high), (low, close)) in opens.iter().zip(highs).zip(lows.iter().zip(closes)) {
            for number in [open, high, low, close] {
                finite.look(*number);
            }
        }
        if !finite.all() {
            return false;
        }
        for (sizes, asked) in sizes.iter_mut().zip(self.asked) {
            if let Some(size) = asked.get() {
                with_widest_vectors(SizesOf {
                    size,
                    prices: self.prices,
                    measures,
                    sizes,
                });
            }
        }
        true
    }
}

/// What a tile found out, seen from one of its candles; only what was asked for means anything.
///
/// Indexed, not a window of each: a compiler that does not see that such windows lie side by side gathers every number
/// by its own address.
#[derive(Clone, Copy)]
struct At<'a, const N: usize> {
    sizes: &'a [Numbers; PLACES],
    candle: usize,
}

impl<const N: usize> At<'_, N> {
    #[inline(always)]
    fn number(self, place: usize, size: Size, back: usize) -> f64 {
        self.sizes[place].0[self.candle + (N - 1 - back - size.candles)]
    }
}

impl<const N: usize> KnownSizes for At<'_, N> {
    #[inline(always)]
    fn known(self, size: Size, back: usize) -> Option<f64> {
        Some(self.number(size.place()?, size, back))
    }

    #[inline(always)]
    fn known_share(self, share: Size, back: usize) -> Option<f64> {
        Some(self.number(KEPT.len(), share, back))
    }
}

/// The last `N` candles at each one of a tile that has as many.
#[inline(always)]
fn windows<'a, const N: usize>(
    prices: Prices<'a>,
    sizes: &'a [Numbers; PLACES],
) -> impl Iterator<Item = Candles<'a, N, At<'a, N>>> {
    let [opens, highs, lows, closes] = prices.map(|values| values.windows(N).map(whole));
    let columns = opens.zip(highs).zip(lows.zip(closes));
    columns
        .zip(0..TILE)
        .map(|(((opens, highs), (lows, closes)), candle)| Candles {
            opens,
            highs,
            lows,
            closes,
            sizes: At { sizes, candle },
        })
}

/// A window of `N` values, whose length is known from now on.
#[inline(always)]
fn whole<const N: usize>(window: &[f64]) -> &[f64; N] {
    window.first_chunk().unwrap_or(const { &[0.0; N] })
}

/// The size that counts at each candle of a tile that has enough before it: the bits of [`Candles::average`].
struct SizesOf<'a, 's> {
    size: Size,
    prices: Prices<'a>,
    measures: &'s mut Numbers,
    sizes: &'s mut Numbers,
}

impl Work for SizesOf<'_, '_> {
    type Result = ();

    #[inline(always)]
    fn run(mut self) {
        // One loop for each measure, or no vector takes it.
        match self.size.measure {
            Measure::Body => self.measure(Measure::Body),
            Measure::Range => self.measure(Measure::Range),
            Measure::Shadows => self.measure(Measure::Shadows),
        }
        // Those of TA-Lib.
        match self.size.candles {
            0 => self.sizes::<1>(),
            10 => self.sizes::<10>(),
            _ => self.sizes::<5>(),
        }
    }
}

impl SizesOf<'_, '_> {
    #[inline(always)]
    fn measure(&mut self, measure: Measure) {
        let [opens, highs, lows, closes] = self.prices;
        let candles = opens.iter().zip(highs).zip(lows.iter().zip(closes));
        for (cell, ((open, high), (low, close))) in self.measures.0.iter_mut().zip(candles) {
            *cell = measure.of(*open, *high, *low, *close);
        }
    }

    /// Finds out sizes of so many measures each.
    #[inline(always)]
    fn sizes<const CANDLES: usize>(&mut self) {
        let (size, count) = (self.size, CANDLES as f64);
        let share = 1.0 / count;
        let [_, _, _, closes] = self.prices;
        if closes.first().copied().is_some_and(is_near) {
            let mut bits = 0;
            if size.factor <= 1.0 {
                self.of_sums::<CANDLES>(|sum| {
                    bits |= sum.to_bits();
                    size.of_subnormal(sum, count, share)
                });
                if bits < f64::MIN_POSITIVE.to_bits() {
                    return;
                }
            }
        } else {
            let mut safe = true;
            self.of_sums::<CANDLES>(|sum| {
                safe &= is_safe(sum);
                size.of_mean::<Plain>(corrected(sum, count, share))
            });
            if safe {
                return;
            }
        }
        self.of_sums::<CANDLES>(|sum| sum);
        divide(&mut self.sizes.0[..SUMS], count);
        self.scale();
    }

    /// Numbers of the sum of so many measures from each on, oldest first.
    #[inline(always)]
    fn of_sums<const CANDLES: usize>(&mut self, mut number: impl FnMut(f64) -> f64) {
        let sizes = &mut self.sizes.0[..SUMS];
        for (cell, before) in sizes.iter_mut().zip(self.measures.0.windows(CANDLES)) {
            let mut sum = 0.0;
            for measure in before {
                sum += measure;
            }
            *cell = number(sum);
        }
    }

    /// Makes means sizes.
    #[inline(always)]
    fn scale(&mut self) {
        let (size, sizes) = (self.size, &mut self.sizes.0[..SUMS]);
        let [_, _, _, closes] = self.prices;
        if all_near(closes) && all_near(sizes) && is_factor(size.factor) {
            for cell in sizes {
                *cell = size.of_mean::<Lifted>(*cell);
            }
        } else {
            for cell in sizes {
                *cell = size.of_mean::<Plain>(*cell);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::candles::{BODY_SHORT, FoundOut, SHADOW_VERY_SHORT};
    use super::*;

    /// Candles that the first one is judged by, and itself.
    const SEEN: usize = 11;

    /// Opens, highs, lows and closes of candles some of which are flat.
    fn candles(scale: f64) -> [Vec<f64>; 4] {
        let close = |i: usize| 100.0 + (i * 7 % 31) as f64 / 3.0;
        let open = |i: usize| close(if i.is_multiple_of(5) { i } else { i + 1 });
        let reach = |i: usize| (i % 4) as f64 * 0.37;
        let column = |of: &dyn Fn(usize) -> f64| {
            let values = (0..TILE + SEEN - 1).map(|i| of(i) * scale);
            values.collect::<Vec<f64>>()
        };
        [
            column(&open),
            column(&|i| open(i).max(close(i)) + reach(i)),
            column(&|i| open(i).min(close(i)) - reach(i + 1)),
            column(&close),
        ]
    }

    /// The numbers of a tile have the bits of those found out one by one.
    fn check(size: Size, prices: Prices<'_>, one: impl Fn(&Candles<'_, SEEN, FoundOut>) -> f64) {
        let (mut measures, mut sizes) = (Numbers::ZEROS, Numbers::ZEROS);
        with_widest_vectors(SizesOf {
            size,
            prices,
            measures: &mut measures,
            sizes: &mut sizes,
        });
        for at in 0..TILE {
            let [opens, highs, lows, closes] = prices.map(|values| whole(&values[at..]));
            let expected = one(&Candles {
                opens,
                highs,
                lows,
                closes,
                sizes: FoundOut,
            });
            let found = sizes.0[at + SEEN - 1 - size.candles];
            assert_eq!(
                found.to_bits(),
                expected.to_bits(),
                "{size:?} at {at}: {found:e}, {expected:e}"
            );
        }
    }

    #[test]
    fn numbers_of_a_tile_have_the_bits_of_each_alone() {
        for scale in [1.0, 1e-300, 1e-309, 3e-311, 1e-322, 1e-324] {
            let columns = candles(scale);
            let prices = columns.each_ref().map(|values| &values[..]);
            for size in KEPT.into_iter().chain([BODY_SHORT, SHADOW_VERY_SHORT]) {
                check(size, prices, |candles| candles.average(size, 0));
            }
            for (measure, factor) in
                [Measure::Body, Measure::Range]
                    .into_iter()
                    .flat_map(|measure| {
                        [0.0, 1e-320, 1e-200, 0.3, 0.5, 1.0, 2.5, 1e6]
                            .map(|factor| (measure, factor))
                    })
            {
                let share = Size::share_of(measure, factor);
                check(share, prices, |candles| candles.share(measure, factor, 0));
            }
        }
    }
}
