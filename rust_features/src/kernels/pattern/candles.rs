//! The last candles and what TA-Lib calls long, short and near: the ground that the candlestick patterns stand on.

use std::cell::OnceCell;

use crate::frame::{Column, Frame, Span};
use crate::instructions::{Work, with_widest_vectors};
use crate::subnormal::{Arithmetic, Lifted, Plain, all_near};

/// What a candle is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    /// Distance of open and close.
    Body,
    /// Distance of high and low.
    Range,
    /// Mean of both shadows.
    Shadows,
}

impl Measure {
    #[inline(always)]
    fn of(self, open: f64, high: f64, low: f64, close: f64) -> f64 {
        match self {
            Self::Body => (close - open).abs(),
            Self::Range => high - low,
            Self::Shadows => (high - top(open, close)) + (bottom(open, close) - low),
        }
    }
}

/// Upper end of a body.
#[inline(always)]
fn top(open: f64, close: f64) -> f64 {
    if close >= open { close } else { open }
}

/// Lower end of a body.
#[inline(always)]
fn bottom(open: f64, close: f64) -> f64 {
    if close >= open { open } else { close }
}

/// A size relative to the average candle before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    measure: Measure,
    /// Candles in the average; the candle itself when zero.
    candles: usize,
    factor: f64,
    /// Where a tile keeps it; those of the candle itself are not kept.
    slot: usize,
}

const fn size(measure: Measure, candles: usize, factor: f64, slot: usize) -> Size {
    Size {
        measure,
        candles,
        factor,
        slot,
    }
}

/// Slots of a tile.
const SLOTS: usize = 6;

// TA-Lib's default candle settings.
pub(super) const BODY_LONG: Size = size(Measure::Body, 10, 1.0, 0);
pub(super) const BODY_SHORT: Size = size(Measure::Body, 10, 1.0, 0);
pub(super) const BODY_DOJI: Size = size(Measure::Range, 10, 0.1, 1);
pub(super) const SHADOW_LONG: Size = size(Measure::Body, 0, 1.0, SLOTS);
pub(super) const SHADOW_VERY_LONG: Size = size(Measure::Body, 0, 2.0, SLOTS);
pub(super) const SHADOW_SHORT: Size = size(Measure::Shadows, 10, 1.0, 2);
pub(super) const SHADOW_VERY_SHORT: Size = size(Measure::Range, 10, 0.1, 1);
pub(super) const NEAR: Size = size(Measure::Range, 5, 0.2, 3);
pub(super) const FAR: Size = size(Measure::Range, 5, 0.6, 4);
pub(super) const EQUAL: Size = size(Measure::Range, 5, 0.05, 5);

impl Size {
    /// `factor` times the mean of `candles` measures with this sum.
    #[inline(always)]
    fn of_total<A: Arithmetic>(self, total: f64) -> f64 {
        let mean = if self.candles == 0 {
            total
        } else {
            A::share(total, self.candles as f64)
        };
        let scaled = A::product(mean, self.factor);
        if self.measure == Measure::Shadows {
            A::share(scaled, 2.0)
        } else {
            scaled
        }
    }
}

/// The last `N` candles; every method takes how many candles back, 0 for the newest. What sizes count is known from
/// `sizes`, or found out.
#[derive(Clone, Copy)]
pub(super) struct Candles<'a, const N: usize, S = FoundOut> {
    opens: &'a [f64; N],
    highs: &'a [f64; N],
    lows: &'a [f64; N],
    closes: &'a [f64; N],
    sizes: S,
}

/// What is known of the sizes that count.
pub(super) trait KnownSizes: Copy {
    /// The size at a candle, where it is known.
    fn known(self, size: Size, back: usize) -> Option<f64>;
}

/// Nothing is known.
#[derive(Clone, Copy)]
pub(super) struct FoundOut;

impl KnownSizes for FoundOut {
    #[inline(always)]
    fn known(self, _: Size, _: usize) -> Option<f64> {
        None
    }
}

impl<'a, const N: usize> Candles<'a, N> {
    /// The newest `N` candles, or `None` while there are fewer.
    #[inline(always)]
    pub(super) fn of(frame: &Frame<'a>) -> Option<Self> {
        Some(Self {
            opens: frame.opens(N)?.first_chunk()?,
            highs: frame.highs(N)?.first_chunk()?,
            lows: frame.lows(N)?.first_chunk()?,
            closes: frame.closes(N)?.first_chunk()?,
            sizes: FoundOut,
        })
    }
}

impl<const N: usize, S: KnownSizes> Candles<'_, N, S> {
    #[inline(always)]
    pub(super) fn open(&self, back: usize) -> f64 {
        self.opens[N - 1 - back]
    }

    #[inline(always)]
    pub(super) fn high(&self, back: usize) -> f64 {
        self.highs[N - 1 - back]
    }

    #[inline(always)]
    pub(super) fn low(&self, back: usize) -> f64 {
        self.lows[N - 1 - back]
    }

    #[inline(always)]
    pub(super) fn close(&self, back: usize) -> f64 {
        self.closes[N - 1 - back]
    }

    /// Whether it closed at or above its open.
    #[inline(always)]
    pub(super) fn white(&self, back: usize) -> bool {
        self.close(back) >= self.open(back)
    }

    /// Whether it closed below its open.
    #[inline(always)]
    pub(super) fn black(&self, back: usize) -> bool {
        !self.white(back)
    }

    /// 1 for a white candle, -1 for a black one.
    #[inline(always)]
    pub(super) fn sign(&self, back: usize) -> f64 {
        if self.white(back) { 1.0 } else { -1.0 }
    }

    /// Upper end of the body.
    #[inline(always)]
    pub(super) fn top(&self, back: usize) -> f64 {
        top(self.open(back), self.close(back))
    }

    /// Lower end of the body.
    #[inline(always)]
    pub(super) fn bottom(&self, back: usize) -> f64 {
        bottom(self.open(back), self.close(back))
    }

    #[inline(always)]
    pub(super) fn body(&self, back: usize) -> f64 {
        (self.close(back) - self.open(back)).abs()
    }

    #[inline(always)]
    pub(super) fn upper_shadow(&self, back: usize) -> f64 {
        self.high(back) - self.top(back)
    }

    #[inline(always)]
    pub(super) fn lower_shadow(&self, back: usize) -> f64 {
        self.bottom(back) - self.low(back)
    }

    /// Whether its body lies above the body of the candle before it.
    #[inline(always)]
    pub(super) fn body_gaps_up(&self, back: usize) -> bool {
        self.bottom(back) > self.top(back + 1)
    }

    /// Whether its body lies below the body of the candle before it.
    #[inline(always)]
    pub(super) fn body_gaps_down(&self, back: usize) -> bool {
        self.top(back) < self.bottom(back + 1)
    }

    /// Whether it lies wholly above the candle before it.
    #[inline(always)]
    pub(super) fn gaps_up(&self, back: usize) -> bool {
        self.low(back) > self.high(back + 1)
    }

    /// Whether it lies wholly below the candle before it.
    #[inline(always)]
    pub(super) fn gaps_down(&self, back: usize) -> bool {
        self.high(back) < self.low(back + 1)
    }

    /// The size that counts at a candle: factor times the mean of the candles before it.
    ///
    /// Summed afresh, oldest first, so that it has the bits of a TA-Lib run that starts at this candle.
    #[inline(always)]
    pub(super) fn average(&self, size: Size, back: usize) -> f64 {
        if let Some(known) = self.sizes.known(size, back) {
            return known;
        }
        let measured = |back: usize| {
            let measure = size.measure;
            measure.of(
                self.open(back),
                self.high(back),
                self.low(back),
                self.close(back),
            )
        };
        if size.candles == 0 {
            return size.of_total::<Plain>(measured(back));
        }
        let mut total = 0.0;
        for before in (1..=size.candles).rev() {
            total += measured(back + before);
        }
        size.of_total::<Plain>(total)
    }

    #[inline(always)]
    pub(super) fn is_doji(&self, back: usize) -> bool {
        self.body(back) <= self.average(BODY_DOJI, back)
    }

    #[inline(always)]
    pub(super) fn is_long(&self, back: usize) -> bool {
        self.body(back) > self.average(BODY_LONG, back)
    }

    #[inline(always)]
    pub(super) fn is_short(&self, back: usize) -> bool {
        self.body(back) < self.average(BODY_SHORT, back)
    }

    /// Whether the upper shadow is next to nothing.
    #[inline(always)]
    pub(super) fn no_upper_shadow(&self, back: usize) -> bool {
        self.upper_shadow(back) < self.average(SHADOW_VERY_SHORT, back)
    }

    /// Whether the lower shadow is next to nothing.
    #[inline(always)]
    pub(super) fn no_lower_shadow(&self, back: usize) -> bool {
        self.lower_shadow(back) < self.average(SHADOW_VERY_SHORT, back)
    }

    /// Whether a value at one candle lies within a size of a level of the candle `back`.
    #[inline(always)]
    pub(super) fn within(&self, value: f64, level: f64, size: Size, back: usize) -> bool {
        let distance = self.average(size, back);
        value <= level + distance && value >= level - distance
    }
}

/// Newest candles of a tile.
pub(super) const TILE: usize = 128;
/// Candles of a tile, with those that its first one is judged by.
const ROOM: usize = TILE + 16;

/// Opens, highs, lows and closes.
pub(super) type Prices<'a> = [&'a [f64]; 4];

/// The prices of a span's candles, and of those before that its first one is judged by: `candles` with itself.
#[inline(always)]
pub(super) fn prices(span: Span<'_>, candles: usize) -> Option<Prices<'_>> {
    let [Some(opens), Some(highs), Some(lows), Some(closes)] =
        [Column::Open, Column::High, Column::Low, Column::Close]
            .map(|column| span.windows(column, candles))
    else {
        return None;
    };
    Some([opens, highs, lows, closes])
}

/// Candles in a row; what sizes count at each is found out for all of them when a pattern first asks.
pub(super) struct Tile<'a> {
    prices: Prices<'a>,
    sizes: [OnceCell<[f64; ROOM]>; SLOTS],
}

impl<'a> Tile<'a> {
    /// Of at most [`ROOM`] candles.
    pub(super) fn of(prices: Prices<'a>) -> Self {
        Self {
            prices,
            sizes: [const { OnceCell::new() }; SLOTS],
        }
    }

    /// The last `N` candles at each that has as many.
    #[inline(always)]
    pub(super) fn candles<const N: usize>(&self) -> impl Iterator<Item = Candles<'a, N, At<'_>>> {
        let [opens, highs, lows, closes] = self.prices.map(|values| values.windows(N).map(whole));
        let columns = opens.zip(highs).zip(lows.zip(closes));
        columns
            .zip(N - 1..)
            .map(|(((opens, highs), (lows, closes)), newest)| Candles {
                opens,
                highs,
                lows,
                closes,
                sizes: At { tile: self, newest },
            })
    }
}

/// A window of `N` values, whose length is known from now on.
#[inline(always)]
fn whole<const N: usize>(window: &[f64]) -> &[f64; N] {
    window.first_chunk().unwrap_or(const { &[0.0; N] })
}

/// A candle of a tile.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    tile: &'a Tile<'a>,
    newest: usize,
}

impl KnownSizes for At<'_> {
    #[inline(always)]
    fn known(self, size: Size, back: usize) -> Option<f64> {
        let kept = self.tile.sizes.get(size.slot)?;
        let sizes = kept.get_or_init(|| {
            with_widest_vectors(SizesOf {
                size,
                prices: self.tile.prices,
            })
        });
        sizes.get(self.newest - back).copied()
    }
}

/// The size that counts at each candle of a tile that has enough before it: the bits of [`Candles::average`].
struct SizesOf<'a> {
    size: Size,
    prices: Prices<'a>,
}

impl Work for SizesOf<'_> {
    type Result = [f64; ROOM];

    #[inline(always)]
    fn run(self) -> [f64; ROOM] {
        let size = self.size;
        // One loop for each measure, or no vector takes it.
        let measured = match size.measure {
            Measure::Body => self.measured(Measure::Body),
            Measure::Range => self.measured(Measure::Range),
            Measure::Shadows => self.measured(Measure::Shadows),
        };
        let mut sizes = [0.0; ROOM];
        // Those of TA-Lib.
        match size.candles {
            10 => add_up::<10>(&measured, &mut sizes),
            _ => add_up::<5>(&measured, &mut sizes),
        }
        let [_, _, _, closes] = self.prices;
        if all_near(closes) && all_near(&sizes) {
            for cell in &mut sizes {
                *cell = size.of_total::<Lifted>(*cell);
            }
        } else {
            for cell in &mut sizes {
                *cell = size.of_total::<Plain>(*cell);
            }
        }
        sizes
    }
}

impl SizesOf<'_> {
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
    for (total, before) in totals[VALUES..].iter_mut().zip(values.windows(VALUES)) {
        for value in before {
            *total += value;
        }
    }
}

/// Declares candlestick patterns: name, candles they look at (TA-Lib's lookback plus one), what they mean, and a
/// function of the candles that gives 100 (bullish), -100 (bearish) or 0.
///
/// `penetration` adds TA-Lib's parameter of that name with its default.
macro_rules! patterns {
    ($($kernel:ident, $name:literal, $count:literal $(, penetration $default:literal)?, $summary:literal, |$candles:ident $(, $penetration:ident)?| $signal:expr;)+) => {
        $(
            #[doc = $summary]
            #[derive(Debug)]
            pub(crate) struct $kernel {
                $($penetration: f64,)?
            }

            impl $crate::kernel::Kernel for $kernel {
                type State = ();
                type Output = [f64; 1];
                const DESCRIPTION: $crate::kernel::Description = $crate::kernel::Description {
                    name: $name,
                    summary: $summary,
                    parameters: &[$($crate::arguments::Parameter::number(
                        "penetration",
                        "how far the last close reaches into the first body, as a fraction of it",
                        $default,
                        0.0,
                        1e6,
                    ))?],
                    outputs: &[$crate::kernel::output(
                        "signal",
                        "100 where the pattern is bullish, -100 where it is bearish, 0 without it; 80 where one end of two bodies meets",
                    )],
                    source: concat!("TA-Lib ", $name, " with its default candle settings"),
                };

                fn new(
                    _arguments: &$crate::arguments::Arguments,
                ) -> Result<Self, $crate::arguments::ArgumentError> {
                    Ok(Self {
                        $($penetration: _arguments.number(stringify!($penetration))?,)?
                    })
                }

                fn lookback(&self) -> $crate::frame::Lookback {
                    use $crate::frame::Column;
                    let prices = [Column::Open, Column::High, Column::Low, Column::Close];
                    $crate::frame::Lookback::of_each(&prices, $count)
                }

                fn warmup_bars(&self, _output: usize) -> usize {
                    $count - 1
                }

                #[inline(always)]
                fn step(
                    &self,
                    (): &mut (),
                    _window: &mut [f64],
                    frame: &$crate::frame::Frame<'_>,
                ) -> [f64; 1] {
                    let Some($candles) = $crate::kernels::pattern::candles::Candles::<$count>::of(frame) else {
                        return [f64::NAN];
                    };
                    $(let $penetration = self.$penetration;)?
                    [$signal]
                }

                #[inline(always)]
                fn span(
                    &self,
                    (): &mut (),
                    _window: &mut [f64],
                    span: $crate::frame::Span<'_>,
                    outputs: &mut [&mut [f64]],
                ) -> usize {
                    use $crate::kernels::pattern::candles::{TILE, Tile, prices};
                    let (Some(prices), [signals]) = (prices(span, $count), outputs) else {
                        return 0;
                    };
                    $(let $penetration = self.$penetration;)?
                    let mut taken = 0;
                    for cells in signals.chunks_mut(TILE) {
                        let candles = cells.len() + $count - 1;
                        let tile = Tile::of(prices.map(|values| &values[taken..taken + candles]));
                        for (cell, $candles) in cells.iter_mut().zip(tile.candles::<$count>()) {
                            *cell = $signal;
                        }
                        taken += cells.len();
                    }
                    taken
                }
            }
        )+
    };
}
pub(super) use patterns;

/// `signal` where the pattern is there, 0 elsewhere.
#[inline(always)]
pub(super) fn signal(found: bool, signal: f64) -> f64 {
    if found { signal } else { 0.0 }
}
