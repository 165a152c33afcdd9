//! Patterns over tiles of candles: what the sizes count is found out for all of them at once, and every condition is
//! looked at, so that vectors take both.

use std::cell::Cell;

use super::candles::{
    BODY_DOJI, BODY_LONG, Candles, EQUAL, FAR, KnownSizes, Measure, NEAR, SHADOW_SHORT, Size,
};
use crate::frame::{Column, Span};
use crate::instructions::{Work, with_widest_vectors};
use crate::neighbours::{TILE, divide};
use crate::subnormal::{Lifted, Plain, all_near};

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
}

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
        let mut sizes = [[0.0; ROOM]; KEPT.len()];
        let mut taken = 0;
        for cells in signals.chunks_mut(TILE) {
            let prices = prices.map(|values| &values[taken..taken + cells.len() + N - 1]);
            for ((sizes, size), asked) in sizes.iter_mut().zip(KEPT).zip(&asked) {
                if asked.get() {
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
    fn asked(&self) -> [Cell<bool>; KEPT.len()] {
        let asked = [const { Cell::new(false) }; KEPT.len()];
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
struct Asked<'a>(&'a [Cell<bool>; KEPT.len()]);

impl KnownSizes for Asked<'_> {
    #[inline(always)]
    fn known(self, size: Size, _: usize) -> Option<f64> {
        self.0[size.place()?].set(true);
        Some(0.0)
    }
}

/// The kept sizes at the last `N` candles; only those that were asked for mean anything.
#[derive(Clone, Copy)]
struct At<'a, const N: usize>([&'a [f64; N]; KEPT.len()]);

impl<const N: usize> KnownSizes for At<'_, N> {
    #[inline(always)]
    fn known(self, size: Size, back: usize) -> Option<f64> {
        Some(self.0[size.place()?][N - 1 - back])
    }
}

/// The last `N` candles at each one of a tile that has as many.
#[inline(always)]
fn tile<'a, const N: usize>(
    prices: Prices<'a>,
    sizes: &'a [[f64; ROOM]; KEPT.len()],
) -> impl Iterator<Item = Candles<'a, N, At<'a, N>>> {
    let [opens, highs, lows, closes] = prices.map(|values| values.windows(N).map(whole));
    let [first, second, third, fourth, fifth, sixth] =
        sizes.each_ref().map(|values| values.windows(N).map(whole));
    let sizes = first
        .zip(second)
        .zip(third.zip(fourth))
        .zip(fifth.zip(sixth));
    let columns = opens.zip(highs).zip(lows.zip(closes));
    columns.zip(sizes).map(
        |(
            ((opens, highs), (lows, closes)),
            (((first, second), (third, fourth)), (fifth, sixth)),
        )| {
            Candles {
                opens,
                highs,
                lows,
                closes,
                sizes: At([first, second, third, fourth, fifth, sixth]),
            }
        },
    )
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
            10 => add_up::<10>(&measured, self.sizes),
            _ => add_up::<5>(&measured, self.sizes),
        }
        let sizes = &mut self.sizes[size.candles..][..TILE + BEFORE];
        divide(sizes, size.candles as f64);
        if size.factor.to_bits() == const { 1.0_f64.to_bits() } && size.measure != Measure::Shadows
        {
            return;
        }
        let [_, _, _, closes] = self.prices;
        if all_near(closes) && all_near(sizes) {
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
