//! The last candles and what TA-Lib calls long, short and near: the ground that the candlestick patterns stand on.

use std::ops::Range;

use crate::frame::Frame;
use crate::subnormal::{Arithmetic, Plain};

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
    pub(super) fn of(self, open: f64, high: f64, low: f64, close: f64) -> f64 {
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
    pub(super) measure: Measure,
    /// Candles in the average; the candle itself when zero.
    pub(super) candles: usize,
    pub(super) factor: f64,
}

const fn size(measure: Measure, candles: usize, factor: f64) -> Size {
    Size {
        measure,
        candles,
        factor,
    }
}

// TA-Lib's default candle settings.
pub(super) const BODY_LONG: Size = size(Measure::Body, 10, 1.0);
pub(super) const BODY_SHORT: Size = size(Measure::Body, 10, 1.0);
pub(super) const BODY_DOJI: Size = size(Measure::Range, 10, 0.1);
pub(super) const SHADOW_LONG: Size = size(Measure::Body, 0, 1.0);
pub(super) const SHADOW_VERY_LONG: Size = size(Measure::Body, 0, 2.0);
pub(super) const SHADOW_SHORT: Size = size(Measure::Shadows, 10, 1.0);
pub(super) const SHADOW_VERY_SHORT: Size = size(Measure::Range, 10, 0.1);
pub(super) const NEAR: Size = size(Measure::Range, 5, 0.2);
pub(super) const FAR: Size = size(Measure::Range, 5, 0.6);
pub(super) const EQUAL: Size = size(Measure::Range, 5, 0.05);

impl Size {
    /// A share of what the candle itself measures.
    pub(super) const fn share_of(measure: Measure, share: f64) -> Self {
        size(measure, 0, share)
    }

    /// `factor` times the mean of `candles` measures with this sum.
    #[inline(always)]
    fn of_total(self, total: f64) -> f64 {
        self.of_mean::<Plain>(if self.candles == 0 {
            total
        } else {
            Plain::share(total, self.candles as f64)
        })
    }

    /// `factor` times this mean.
    #[inline(always)]
    pub(super) fn of_mean<A: Arithmetic>(self, mean: f64) -> f64 {
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
    pub(super) opens: &'a [f64; N],
    pub(super) highs: &'a [f64; N],
    pub(super) lows: &'a [f64; N],
    pub(super) closes: &'a [f64; N],
    pub(super) sizes: S,
}

/// What is known of the sizes that count.
pub(super) trait KnownSizes: Copy {
    /// Whether a pattern looks at all of its conditions: with vectors that costs less than a branch at each.
    const LOOKS_AT_ALL: bool = true;
    /// The size at a candle, where it is known.
    fn known(self, size: Size, back: usize) -> Option<f64>;
    /// The share of a candle's own measure that the pattern asks for, of which there is one.
    fn known_share(self, share: Size, back: usize) -> Option<f64>;
}

/// Nothing is known.
#[derive(Clone, Copy)]
pub(super) struct FoundOut;

impl KnownSizes for FoundOut {
    const LOOKS_AT_ALL: bool = false;

    #[inline(always)]
    fn known(self, _: Size, _: usize) -> Option<f64> {
        None
    }

    #[inline(always)]
    fn known_share(self, _: Size, _: usize) -> Option<f64> {
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
    /// Whether both conditions hold; see [`all`].
    #[inline(always)]
    #[allow(clippy::unused_self, reason = "its type says how to look")]
    pub(super) fn both(&self, first: bool, second: impl FnOnce() -> bool) -> bool {
        if S::LOOKS_AT_ALL {
            first & second()
        } else {
            first && second()
        }
    }

    /// Whether one of two conditions holds; see [`any`].
    #[inline(always)]
    pub(super) fn one(&self, first: bool, second: impl FnOnce() -> bool) -> bool {
        !self.both(!first, || !second())
    }

    /// The condition that counts: `yes` where `chosen` holds, otherwise `no`.
    #[inline(always)]
    #[allow(clippy::unused_self, reason = "its type says how to look")]
    pub(super) fn either(
        &self,
        chosen: bool,
        yes: impl FnOnce() -> bool,
        no: impl FnOnce() -> bool,
    ) -> bool {
        if S::LOOKS_AT_ALL {
            (chosen & yes()) | (!chosen & no())
        } else if chosen {
            yes()
        } else {
            no()
        }
    }

    /// Whether a condition holds at each of these candles.
    #[inline(always)]
    pub(super) fn each(&self, backs: Range<usize>, holds: impl Fn(usize) -> bool) -> bool {
        // No fold: its closure may stay a call, which no vector takes.
        let mut all = true;
        for back in backs {
            all = self.both(all, || holds(back));
        }
        all
    }

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
        let known = self.sizes.known(size, back);
        known.unwrap_or_else(|| self.found_out(size, back))
    }

    /// A share of a candle's own measure. A pattern asks for one such share only.
    #[inline(always)]
    pub(super) fn share(&self, measure: Measure, share: f64, back: usize) -> f64 {
        let share = Size::share_of(measure, share);
        let known = self.sizes.known_share(share, back);
        known.unwrap_or_else(|| self.found_out(share, back))
    }

    #[inline(always)]
    fn found_out(&self, size: Size, back: usize) -> f64 {
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
            return size.of_total(measured(back));
        }
        let mut total = 0.0;
        for before in (1..=size.candles).rev() {
            total += measured(back + before);
        }
        size.of_total(total)
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
        self.both(value <= level + distance, || value >= level - distance)
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
                    use $crate::kernels::pattern::{candles::Candles, tiles::Pattern};
                    [Candles::of(frame).map_or(f64::NAN, |candles| self.signal(&candles))]
                }

                fn span_checks(&self, column: $crate::frame::Column) -> bool {
                    column != $crate::frame::Column::Volume
                }

                #[inline(always)]
                fn span(
                    &self,
                    (): &mut (),
                    _window: &mut [f64],
                    span: $crate::frame::Span<'_>,
                    outputs: &mut [&mut [f64]],
                ) -> usize {
                    match outputs {
                        [cells] => $crate::kernels::pattern::tiles::Pattern::signals(self, span, cells),
                        _ => 0,
                    }
                }

                #[inline(always)]
                fn signals(&self, span: $crate::frame::Span<'_>, cells: &mut [i32]) -> usize {
                    $crate::kernels::pattern::tiles::Pattern::signals(self, span, cells)
                }
            }

            impl $crate::kernels::pattern::tiles::Pattern<$count> for $kernel {
                #[inline(always)]
                fn signal<S: $crate::kernels::pattern::candles::KnownSizes>(
                    &self,
                    $candles: &$crate::kernels::pattern::candles::Candles<'_, $count, S>,
                ) -> f64 {
                    $(let $penetration = self.$penetration;)?
                    $signal
                }
            }
        )+
    };
}
pub(super) use patterns;

/// Whether all conditions hold at these candles.
macro_rules! all {
    ($c:expr, $condition:expr $(,)?) => { $condition };
    ($c:expr, $condition:expr, $($rest:expr),+ $(,)?) => {
        $c.both($condition, || $crate::kernels::pattern::candles::all!($c, $($rest),+))
    };
}
pub(super) use all;

/// Whether any condition holds at these candles.
macro_rules! any {
    ($c:expr, $condition:expr $(,)?) => { $condition };
    ($c:expr, $condition:expr, $($rest:expr),+ $(,)?) => {
        $c.one($condition, || $crate::kernels::pattern::candles::any!($c, $($rest),+))
    };
}
pub(super) use any;

/// `signal` where the pattern is there, 0 elsewhere.
#[inline(always)]
pub(super) fn signal(found: bool, signal: f64) -> f64 {
    if found { signal } else { 0.0 }
}
