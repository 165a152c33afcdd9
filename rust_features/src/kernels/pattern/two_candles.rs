//! Patterns of two candles.

use super::candles::{BODY_SHORT, EQUAL, Measure, NEAR, SHADOW_LONG, all, any, patterns, signal};

/// A body inside the one before it, which is `$long`, against that one's colour: 100 strictly, 80 where one end meets.
macro_rules! inside {
    ($c:ident, $long:expr) => {
        signal(
            all!(
                $c,
                $long,
                $c.top(0) <= $c.top(1),
                $c.bottom(0) >= $c.bottom(1)
            ),
            -$c.sign(1)
                * if ($c.top(0) < $c.top(1)) & ($c.bottom(0) > $c.bottom(1)) {
                    100.0
                } else {
                    80.0
                },
        )
    };
}

/// Whether a black candle is followed by a white one that opens below it, the first of them long.
macro_rules! opens_below {
    ($c:ident) => {
        all!(
            $c,
            $c.black(1),
            $c.is_long(1),
            $c.white(0),
            $c.open(0) < $c.low(1)
        )
    };
}

/// Whether both candles are marubozus of opposite colours with a gap between them.
macro_rules! kicks {
    ($c:ident) => {
        all!(
            $c,
            $c.white(1) != $c.white(0),
            $c.each(0..2, |back| {
                all!(
                    $c,
                    $c.is_long(back),
                    $c.no_upper_shadow(back),
                    $c.no_lower_shadow(back)
                )
            }),
            $c.either($c.black(1), || $c.gaps_up(0), || $c.gaps_down(0)),
        )
    };
}

patterns! {
    Counterattack, "cdlcounterattack", 12, "counterattack: opposite long candles that close alike", |c| signal(
        all!(c,
            c.white(1) != c.white(0),
            c.is_long(1),
            c.is_long(0),
            c.within(c.close(0), c.close(1), EQUAL, 1),
        ),
        c.sign(0) * 100.0,
    );
    DarkCloudCover, "cdldarkcloudcover", 12, penetration 0.5, "dark cloud cover: a black candle opens above a long white one and closes well inside it", |c, penetration| signal(
        all!(c,
            c.white(1),
            c.is_long(1),
            c.black(0),
            c.open(0) > c.high(1),
            c.close(0) > c.open(1),
            c.close(0) < c.close(1) - c.share(Measure::Body, penetration, 1),
        ),
        -100.0,
    );
    DojiStar, "cdldojistar", 12, "doji star: a doji gaps away from a long candle", |c| signal(
        all!(c,
            c.is_long(1),
            c.is_doji(0),
            c.either(c.white(1), || c.body_gaps_up(0), || c.body_gaps_down(0)),
        ),
        -c.sign(1) * 100.0,
    );
    Engulfing, "cdlengulfing", 3, "engulfing: a body covers the opposite one before it", |c| {
        let bullish = all!(c,
            c.white(0),
            c.black(1),
            any!(c,
                all!(c, c.close(0) >= c.open(1), c.open(0) < c.close(1)),
                all!(c, c.close(0) > c.open(1), c.open(0) <= c.close(1)),
            ),
        );
        let bearish = all!(c,
            c.black(0),
            c.white(1),
            any!(c,
                all!(c, c.open(0) >= c.close(1), c.close(0) < c.open(1)),
                all!(c, c.open(0) > c.close(1), c.close(0) <= c.open(1)),
            ),
        );
        let apart = (c.open(0) != c.close(1)) & (c.close(0) != c.open(1));
        signal(any!(c, bullish, bearish), c.sign(0) * if apart { 100.0 } else { 80.0 })
    };
    Hammer, "cdlhammer", 12, "hammer: a short body near the low before, above a long lower shadow", |c| signal(
        all!(c,
            c.is_short(0),
            c.lower_shadow(0) > c.average(SHADOW_LONG, 0),
            c.no_upper_shadow(0),
            c.bottom(0) <= c.low(1) + c.average(NEAR, 1),
        ),
        100.0,
    );
    HangingMan, "cdlhangingman", 12, "hanging man: a hammer's shape near the high before", |c| signal(
        all!(c,
            c.is_short(0),
            c.lower_shadow(0) > c.average(SHADOW_LONG, 0),
            c.no_upper_shadow(0),
            c.bottom(0) >= c.high(1) - c.average(NEAR, 1),
        ),
        -100.0,
    );
    Harami, "cdlharami", 12, "harami: a short body inside the long one before it", |c|
        inside!(c, all!(c, c.is_long(1), c.body(0) <= c.average(BODY_SHORT, 0)));
    HaramiCross, "cdlharamicross", 12, "harami cross: a doji inside the long body before it", |c|
        inside!(c, all!(c, c.is_long(1), c.is_doji(0)));
    HomingPigeon, "cdlhomingpigeon", 12, "homing pigeon: a short black body inside the long black one before it", |c| signal(
        all!(c,
            c.black(1),
            c.black(0),
            c.is_long(1),
            c.body(0) <= c.average(BODY_SHORT, 0),
            c.open(0) < c.open(1),
            c.close(0) > c.close(1),
        ),
        100.0,
    );
    InNeck, "cdlinneck", 12, "in neck: a white candle opens below a long black one and closes barely inside it", |c| signal(
        all!(c,
            opens_below!(c),
            c.close(0) <= c.close(1) + c.average(EQUAL, 1),
            c.close(0) >= c.close(1),
        ),
        -100.0,
    );
    InvertedHammer, "cdlinvertedhammer", 12, "inverted hammer: a short body with a long upper shadow gaps down", |c| signal(
        all!(c,
            c.is_short(0),
            c.upper_shadow(0) > c.average(SHADOW_LONG, 0),
            c.no_lower_shadow(0),
            c.body_gaps_down(0),
        ),
        100.0,
    );
    Kicking, "cdlkicking", 12, "kicking: opposite marubozus with a gap between them", |c|
        signal(kicks!(c), c.sign(0) * 100.0);
    KickingByLength, "cdlkickingbylength", 12, "kicking, judged by the longer marubozu", |c|
        signal(kicks!(c), (if c.body(0) <= c.body(1) { c.sign(1) } else { c.sign(0) }) * 100.0);
    MatchingLow, "cdlmatchinglow", 7, "matching low: two black candles close alike", |c| signal(
        all!(c, c.black(1), c.black(0), c.within(c.close(0), c.close(1), EQUAL, 1)),
        100.0,
    );
    OnNeck, "cdlonneck", 12, "on neck: a white candle opens below a long black one and closes at its low", |c| signal(
        all!(c, opens_below!(c), c.within(c.close(0), c.low(1), EQUAL, 1)),
        -100.0,
    );
    Piercing, "cdlpiercing", 12, "piercing: a long white candle opens below a long black one and closes above its middle", |c| signal(
        all!(c,
            opens_below!(c),
            c.is_long(0),
            c.close(0) < c.open(1),
            c.close(0) > c.close(1) + c.share(Measure::Body, 0.5, 1),
        ),
        100.0,
    );
    SeparatingLines, "cdlseparatinglines", 12, "separating lines: a belt hold opens where the opposite candle before it did", |c| signal(
        all!(c,
            c.white(1) != c.white(0),
            c.within(c.open(0), c.open(1), EQUAL, 1),
            c.is_long(0),
            c.either(c.white(0), || c.no_lower_shadow(0), || c.no_upper_shadow(0)),
        ),
        c.sign(0) * 100.0,
    );
    ShootingStar, "cdlshootingstar", 12, "shooting star: a short body with a long upper shadow gaps up", |c| signal(
        all!(c,
            c.is_short(0),
            c.upper_shadow(0) > c.average(SHADOW_LONG, 0),
            c.no_lower_shadow(0),
            c.body_gaps_up(0),
        ),
        -100.0,
    );
    Thrusting, "cdlthrusting", 12, "thrusting: a white candle opens below a long black one and closes below its middle", |c| signal(
        all!(c,
            opens_below!(c),
            c.close(0) > c.close(1) + c.average(EQUAL, 1),
            c.close(0) <= c.close(1) + c.share(Measure::Body, 0.5, 1),
        ),
        -100.0,
    );
}
