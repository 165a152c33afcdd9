//! The last candles and what TA-Lib calls long, short and near: the ground that the candlestick patterns stand on.

use crate::frame::Frame;

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

/// A size relative to the average candle before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    measure: Measure,
    /// Candles in the average; the candle itself when zero.
    candles: usize,
    factor: f64,
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

/// The last `N` candles; every method takes how many candles back, 0 for the newest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candles<'a, const N: usize> {
    opens: &'a [f64; N],
    highs: &'a [f64; N],
    lows: &'a [f64; N],
    closes: &'a [f64; N],
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
        })
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
        if self.white(back) {
            self.close(back)
        } else {
            self.open(back)
        }
    }

    /// Lower end of the body.
    #[inline(always)]
    pub(super) fn bottom(&self, back: usize) -> f64 {
        if self.white(back) {
            self.open(back)
        } else {
            self.close(back)
        }
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
        let measured = |back: usize| match size.measure {
            Measure::Body => self.body(back),
            Measure::Range => self.high(back) - self.low(back),
            Measure::Shadows => self.upper_shadow(back) + self.lower_shadow(back),
        };
        let mean = if size.candles == 0 {
            measured(back)
        } else {
            let mut total = 0.0;
            for before in (1..=size.candles).rev() {
                total += measured(back + before);
            }
            total / size.candles as f64
        };
        let scaled = size.factor * mean;
        if size.measure == Measure::Shadows {
            scaled / 2.0
        } else {
            scaled
        }
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
