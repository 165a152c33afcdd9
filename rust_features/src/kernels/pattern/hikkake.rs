//! Hikkake: a false break out of an inside bar, and its confirmation within three bars.

use super::candles::{Candles, KnownSizes, NEAR, patterns};

/// Bars within which a pattern may be confirmed.
const PATIENCE: usize = 3;

/// The signal at the newest candle: 100 or -100 where `pattern` finds one, 200 or -200 where a close confirms the
/// newest one of the last bars, which happens once.
///
/// `pattern` tells of a candle whether a pattern ends there, and whether it is bullish.
#[inline(always)]
fn hikkake<const N: usize, S: KnownSizes>(
    c: &Candles<'_, N, S>,
    pattern: impl Fn(usize) -> Option<bool>,
) -> f64 {
    let mut open: Option<(usize, bool)> = None;
    for back in (0..=PATIENCE).rev() {
        if let Some(bullish) = pattern(back) {
            open = Some((back, bullish));
            if back == 0 {
                return if bullish { 100.0 } else { -100.0 };
            }
        } else if let Some((found, bullish)) = open {
            let confirmed = if bullish {
                c.close(back) > c.high(found + 1)
            } else {
                c.close(back) < c.low(found + 1)
            };
            if confirmed {
                if back == 0 {
                    return if bullish { 200.0 } else { -200.0 };
                }
                open = None;
            }
        }
    }
    0.0
}

/// Whether a candle breaks out of the one before it: below (the pattern is bullish), above, or not.
macro_rules! breaks_out {
    ($c:ident, $back:ident) => {
        if $c.high($back) < $c.high($back + 1) && $c.low($back) < $c.low($back + 1) {
            Some(true)
        } else if $c.high($back) > $c.high($back + 1) && $c.low($back) > $c.low($back + 1) {
            Some(false)
        } else {
            None
        }
    };
}

/// Whether a candle lies inside the one before it.
macro_rules! is_inside {
    ($c:ident, $back:expr) => {
        $c.high($back) < $c.high($back + 1) && $c.low($back) > $c.low($back + 1)
    };
}

patterns! {
    Hikkake, "cdlhikkake", 6, "hikkake: an inside bar and a break that is taken back; 200 or -200 where a close confirms it within three bars", |c|
        hikkake(&c, |back| if is_inside!(c, back + 1) { breaks_out!(c, back) } else { None });
    HikkakeModified, "cdlhikkakemod", 11, "modified hikkake: two inside bars, the first closing at its end, and a break that is taken back; 200 or -200 where a close confirms it within three bars", |c|
        hikkake(&c, |back| {
            if !(is_inside!(c, back + 1) && is_inside!(c, back + 2)) {
                return None;
            }
            let near = c.average(NEAR, back + 2);
            breaks_out!(c, back).filter(|bullish| {
                if *bullish {
                    c.close(back + 2) <= c.low(back + 2) + near
                } else {
                    c.close(back + 2) >= c.high(back + 2) - near
                }
            })
        });
}
