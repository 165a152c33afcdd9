//! Hikkake: a false break out of an inside bar, and its confirmation within three bars.

use super::candles::{Candles, KnownSizes, NEAR, all, patterns};

/// Bars within which a pattern may be confirmed.
const PATIENCE: usize = 3;

/// The signal at the newest candle: 100 or -100 where a break is taken back, 200 or -200 where a close confirms the
/// newest one of the last bars, which happens once.
///
/// `starts` tells of a candle, and of whether the pattern is bullish, whether a break out of the one before it would
/// be a pattern.
#[inline(always)]
fn hikkake<const N: usize, S: KnownSizes>(
    c: &Candles<'_, N, S>,
    starts: impl Fn(usize, bool) -> bool,
) -> f64 {
    // The pattern not yet confirmed, 1 for a bullish one and -1 for a bearish one, and the level that confirms it. All
    // without a branch, so that vectors can take it.
    let (mut side, mut level) = (0.0, 0.0);
    let mut signal = 0.0;
    for back in (0..=PATIENCE).rev() {
        let below = all!(
            c,
            c.high(back) < c.high(back + 1),
            c.low(back) < c.low(back + 1),
            starts(back, true),
        );
        let above = all!(
            c,
            c.high(back) > c.high(back + 1),
            c.low(back) > c.low(back + 1),
            starts(back, false),
        );
        let confirmed =
            ((side > 0.0) & (c.close(back) > level)) | ((side < 0.0) & (c.close(back) < level));
        signal = if confirmed { 200.0 * side } else { 0.0 };
        side = if confirmed { 0.0 } else { side };
        if below {
            (signal, side, level) = (100.0, 1.0, c.high(back + 1));
        }
        if above {
            (signal, side, level) = (-100.0, -1.0, c.low(back + 1));
        }
    }
    signal
}

/// Whether a candle lies inside the one before it.
macro_rules! is_inside {
    ($c:ident, $back:expr) => {
        all!(
            $c,
            $c.high($back) < $c.high($back + 1),
            $c.low($back) > $c.low($back + 1)
        )
    };
}

patterns! {
    Hikkake, "cdlhikkake", 6, "hikkake: an inside bar and a break that is taken back; 200 or -200 where a close confirms it within three bars", |c|
        hikkake(c, |back, _| is_inside!(c, back + 1));
    HikkakeModified, "cdlhikkakemod", 11, "modified hikkake: two inside bars, the first closing at its end, and a break that is taken back; 200 or -200 where a close confirms it within three bars", |c|
        hikkake(c, |back, bullish| {
            let near = |back: usize| c.average(NEAR, back);
            all!(c,
                is_inside!(c, back + 1),
                is_inside!(c, back + 2),
                c.either(
                    bullish,
                    || c.close(back + 2) <= c.low(back + 2) + near(back + 2),
                    || c.close(back + 2) >= c.high(back + 2) - near(back + 2),
                ),
            )
        });
}
