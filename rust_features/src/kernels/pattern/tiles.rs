//! Patterns over tiles of candles: what the sizes count is found out for all of them at once, and every condition is
//! looked at, so that vectors take both.

use std::cell::Cell;

use super::candles::{
    BODY_DOJI, BODY_LONG, Candles, EQUAL, FAR, KnownSizes, Measure, NEAR, SHADOW_SHORT, Size,
};
use crate::frame::{Column, Span};
use crate::instructions::{Work, with_widest_vectors};
use crate::neighbours::{TILE, divide};
use crate::subnormal::{
    LEAST_NORMAL, Lifted, Plain, all_near, all_subnormal, corrected, is_factor, lift_subnormal,
    lower_subnormal,
};

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

    /// Sizes of sums that [`all_subnormal`] allows, with a factor of at most 1: the bits of [`Size::of_mean`]. None of
    /// the roundings to the grid is a second one: a sum of 2^52 grids at most is divided by 5 or 10 with three bits
    /// after the point, or more, so that what is a tenth off the middle between two multiples stays off.
    #[inline(always)]
    fn scale_subnormal(self, sums: &mut [f64]) {
        let count = self.candles.max(1) as f64;
        let share = 1.0 / count;
        let on_grid = |lifted: f64, factor| lifted.mul_add(factor, LEAST_NORMAL) - LEAST_NORMAL;
        let shadows = if self.measure == Measure::Shadows {
            0.5
        } else {
            1.0
        };
        for cell in sums {
            let mean = on_grid(corrected(lift_subnormal(*cell), count, share), 1.0);
            *cell = lower_subnormal(on_grid(on_grid(mean, self.factor), shadows));
        }
    }
}

/// Numbers that a tile finds out for each candle: the [`KEPT`] sizes, and the share that [`Candles::share`] asks for.
const PLACES: usize = KEPT.len() + 1;
/// Which of them a pattern asks for.
type AskedFor = [Cell<Option<Size>>; PLACES];

/// Candles that a tile's first one is judged by, and more.
const BEFORE: usize = 16;
/// Room for a tile's candles and those before; with as much more as lets sizes be found out in whole vectors.
const ROOM: usize = TILE + 2 * BEFORE;

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

    /// The signals at the candles of a span, from the first one; how many.
    #[inline(always)]
    fn signals(&self, span: Span<'_>, signals: &mut [f64]) -> usize {
        let Some(prices) = prices(span, N) else {
            return 0;
        };
        let asked = self.asked();
        let mut sizes = [[0.0; ROOM]; PLACES];
        let mut taken = 0;
        for cells in signals.chunks_mut(TILE) {
            let prices = prices.map(|values| &values[taken..taken + cells.len() + N - 1]);
            for (sizes, asked) in sizes.iter_mut().zip(&asked) {
                if let Some(size) = asked.get() {
                    with_widest_vectors(SizesOf {
                        size,
                        prices,
                        sizes,
                    });
                }
            }
            // Not yet among the outputs, of which a compiler cannot know that they hold no prices.
            let mut found = [0.0; TILE];
            for (cell, candles) in found.iter_mut().zip(tile::<N>(prices, &sizes)) {
                *cell = self.signal(&candles);
            }
            cells.copy_from_slice(&found[..cells.len()]);
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

/// What a tile found out, seen from one of its candles; only what was asked for means anything.
///
/// Indexed, not a window of each: a compiler that does not see that such windows lie side by side gathers every number
/// by its own address.
#[derive(Clone, Copy)]
struct At<'a, const N: usize> {
    found: &'a [[f64; ROOM]; PLACES],
    candle: usize,
}

impl<const N: usize> At<'_, N> {
    #[inline(always)]
    fn number(self, place: usize, back: usize) -> f64 {
        self.found[place][self.candle + (N - 1 - back)]
    }
}

impl<const N: usize> KnownSizes for At<'_, N> {
    #[inline(always)]
    fn known(self, size: Size, back: usize) -> Option<f64> {
        Some(self.number(size.place()?, back))
    }

    #[inline(always)]
    fn known_share(self, _: Size, back: usize) -> Option<f64> {
        Some(self.number(KEPT.len(), back))
    }
}

/// The last `N` candles at each one of a tile that has as many.
#[inline(always)]
fn tile<'a, const N: usize>(
    prices: Prices<'a>,
    found: &'a [[f64; ROOM]; PLACES],
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
            sizes: At { found, candle },
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
    sizes: &'s mut [f64; ROOM],
}

impl Work for SizesOf<'_, '_> {
    type Result = ();

    #[inline(always)]
    fn run(self) {
        let size = self.size;
        // One loop for each measure, or no vector takes it.
        let measured = match size.measure {
            Measure::Body => self.measured(Measure::Body),
            Measure::Range => self.measured(Measure::Range),
            Measure::Shadows => self.measured(Measure::Shadows),
        };
        // Those of TA-Lib.
        match size.candles {
            0 => *self.sizes = measured,
            10 => add_up::<10>(&measured, self.sizes),
            _ => add_up::<5>(&measured, self.sizes),
        }
        let sizes = &mut self.sizes[size.candles..][..TILE + BEFORE];
        if all_subnormal(sizes) && size.factor <= 1.0 {
            size.scale_subnormal(sizes);
            return;
        }
        if size.candles > 0 {
            divide(sizes, size.candles as f64);
        }
        if size.factor.to_bits() == const { 1.0_f64.to_bits() } && size.measure != Measure::Shadows
        {
            return;
        }
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

impl SizesOf<'_, '_> {
    #[inline(always)]
    fn measured(&self, measure: Measure) -> [f64; ROOM] {
        let mut measured = [0.0; ROOM];
        let [opens, highs, lows, closes] = self.prices;
        let candles = opens.iter().zip(highs).zip(lows.iter().zip(closes));
        for (cell, ((open, high), (low, close))) in measured.iter_mut().zip(candles) {
            *cell = measure.of(*open, *high, *low, *close);
        }
        measured
    }
}

/// The sum of the values before each, oldest first.
#[inline(always)]
fn add_up<const VALUES: usize>(values: &[f64; ROOM], totals: &mut [f64; ROOM]) {
    let totals = &mut totals[VALUES..][..TILE + BEFORE];
    for (total, before) in totals.iter_mut().zip(values.windows(VALUES)) {
        *total = 0.0;
        for value in before {
            *total += value;
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
        let mut sizes = [0.0; ROOM];
        with_widest_vectors(SizesOf {
            size,
            prices,
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
            let found = sizes[at + SEEN - 1];
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
