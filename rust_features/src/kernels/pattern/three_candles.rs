//! Patterns of three candles.

use super::candles::{
    BODY_SHORT, EQUAL, FAR, Measure, NEAR, SHADOW_LONG, SHADOW_SHORT, SHADOW_VERY_SHORT, all, any,
    patterns, signal,
};

/// Whether the last close reaches into the body of the first candle, against its colour.
macro_rules! reaches_back {
    ($c:ident, $penetration:ident) => {
        $c.either(
            $c.black(2),
            || {
                all!(
                    $c,
                    $c.white(0),
                    $c.close(0) > $c.close(2) + $c.share(Measure::Body, $penetration, 2)
                )
            },
            || {
                all!(
                    $c,
                    $c.black(0),
                    $c.close(0) < $c.close(2) - $c.share(Measure::Body, $penetration, 2)
                )
            },
        )
    };
}

/// Whether a long candle, a star away from it (`$star` judges the middle one) and a candle against it follow.
macro_rules! star {
    ($c:ident, $penetration:ident, $star:expr, $first_is_black:literal) => {
        all!(
            $c,
            $c.black(2) == $first_is_black,
            $c.is_long(2),
            $star,
            $c.either(
                $first_is_black,
                || $c.body_gaps_down(1),
                || $c.body_gaps_up(1)
            ),
            $c.body(0) > $c.average(BODY_SHORT, 0),
            reaches_back!($c, $penetration),
        )
    };
}

/// Whether three white candles close higher and higher.
macro_rules! rises {
    ($c:ident) => {
        all!(
            $c,
            $c.each(0..3, |back| $c.white(back)),
            $c.close(0) > $c.close(1),
            $c.close(1) > $c.close(2)
        )
    };
}

/// Whether a candle opens within or just above the white body before it.
macro_rules! opens_inside {
    ($c:ident, $back:literal) => {
        all!(
            $c,
            $c.open($back) > $c.open($back + 1),
            $c.open($back) <= $c.close($back + 1) + $c.average(NEAR, $back + 1),
        )
    };
}

patterns! {
    AbandonedBaby, "cdlabandonedbaby", 13, penetration 0.3, "abandoned baby: a doji with gaps on both sides between opposite candles", |c, penetration| signal(
        all!(c,
            c.is_long(2),
            c.is_doji(1),
            c.body(0) > c.average(BODY_SHORT, 0),
            reaches_back!(c, penetration),
            c.either(
                c.white(2),
                || all!(c, c.gaps_up(1), c.gaps_down(0)),
                || all!(c, c.gaps_down(1), c.gaps_up(0)),
            ),
        ),
        c.sign(0) * 100.0,
    );
    AdvanceBlock, "cdladvanceblock", 13, "advance block: three rising white candles that lose their strength", |c| {
        let shrinks = |back: usize| c.body(back) < c.body(back + 1);
        let shrinks_far = |back: usize| c.body(back) < c.body(back + 1) - c.average(FAR, back + 1);
        let shadowed = |back: usize| c.upper_shadow(back) > c.average(SHADOW_SHORT, back);
        let weakens = any!(c,
            all!(c, shrinks_far(1), c.body(0) < c.body(1) + c.average(NEAR, 1)),
            shrinks_far(0),
            all!(c, shrinks(0), shrinks(1), any!(c, shadowed(0), shadowed(1))),
            all!(c, shrinks(0), c.upper_shadow(0) > c.average(SHADOW_LONG, 0)),
        );
        signal(
            all!(c,
                rises!(c),
                opens_inside!(c, 1),
                opens_inside!(c, 0),
                c.is_long(2),
                c.upper_shadow(2) < c.average(SHADOW_SHORT, 2),
                weakens,
            ),
            -100.0,
        )
    };
    EveningDojiStar, "cdleveningdojistar", 13, penetration 0.3, "evening doji star: an evening star with a doji in the middle", |c, penetration|
        signal(star!(c, penetration, c.is_doji(1), false), -100.0);
    EveningStar, "cdleveningstar", 13, penetration 0.3, "evening star: a long white candle, a short body above it, a black candle into it", |c, penetration|
        signal(star!(c, penetration, c.body(1) <= c.average(BODY_SHORT, 1), false), -100.0);
    GapSideBySideWhite, "cdlgapsidesidewhite", 8, "side by side white lines: two alike white candles after a gap", |c| {
        let (up, down) = (c.body_gaps_up(1), c.body_gaps_down(1));
        let both = any!(c, all!(c, up, c.bottom(0) > c.top(2)), all!(c, down, c.top(0) < c.bottom(2)));
        signal(
            all!(c,
                both, c.white(1),
                c.white(0),
                c.within(c.body(0), c.body(1), NEAR, 1),
                c.within(c.open(0), c.open(1), EQUAL, 1),
            ),
            if up { 100.0 } else { -100.0 },
        )
    };
    IdenticalThreeCrows, "cdlidentical3crows", 13, "identical three crows: three falling black candles, each opening at the last close", |c| signal(
        all!(c,
            c.each(0..3, |back| all!(c, c.black(back), c.no_lower_shadow(back))),
            c.close(2) > c.close(1),
            c.close(1) > c.close(0),
            c.within(c.open(1), c.close(2), EQUAL, 2),
            c.within(c.open(0), c.close(1), EQUAL, 1),
        ),
        -100.0,
    );
    MorningDojiStar, "cdlmorningdojistar", 13, penetration 0.3, "morning doji star: a morning star with a doji in the middle", |c, penetration|
        signal(star!(c, penetration, c.is_doji(1), true), 100.0);
    MorningStar, "cdlmorningstar", 13, penetration 0.3, "morning star: a long black candle, a short body below it, a white candle into it", |c, penetration|
        signal(star!(c, penetration, c.body(1) <= c.average(BODY_SHORT, 1), true), 100.0);
    StalledPattern, "cdlstalledpattern", 13, "stalled pattern: two long white candles and a short one at their end", |c| signal(
        all!(c,
            rises!(c),
            c.is_long(2),
            c.is_long(1),
            c.no_upper_shadow(1),
            opens_inside!(c, 1),
            c.is_short(0),
            c.open(0) >= c.close(1) - c.body(0) - c.average(NEAR, 1),
        ),
        -100.0,
    );
    StickSandwich, "cdlsticksandwich", 8, "stick sandwich: a white candle between black ones that close alike", |c| signal(
        all!(c,
            c.black(2),
            c.white(1),
            c.black(0),
            c.low(1) > c.close(2),
            c.within(c.close(0), c.close(2), EQUAL, 2),
        ),
        100.0,
    );
    TasukiGap, "cdltasukigap", 8, "tasuki gap: an opposite candle of the same size does not close a gap", |c| {
        let alike = (c.body(1) - c.body(0)).abs() < c.average(NEAR, 1);
        let up = all!(c,
            c.body_gaps_up(1),
            c.white(1),
            c.black(0),
            c.open(0) < c.close(1),
            c.open(0) > c.open(1),
            c.close(0) < c.open(1),
            c.close(0) > c.top(2),
        );
        let down = all!(c,
            c.body_gaps_down(1),
            c.black(1),
            c.white(0),
            c.open(0) < c.open(1),
            c.open(0) > c.close(1),
            c.close(0) > c.open(1),
            c.close(0) < c.bottom(2),
        );
        signal(all!(c, alike, any!(c, up, down)), c.sign(1) * 100.0)
    };
    ThreeInside, "cdl3inside", 13, "three inside: a harami that the next close confirms", |c| signal(
        all!(c,
            c.is_long(2),
            c.body(1) <= c.average(BODY_SHORT, 1),
            c.top(1) < c.top(2),
            c.bottom(1) > c.bottom(2),
            c.either(
                c.white(2),
                || all!(c, c.black(0), c.close(0) < c.open(2)),
                || all!(c, c.white(0), c.close(0) > c.open(2)),
            ),
        ),
        -c.sign(2) * 100.0,
    );
    ThreeOutside, "cdl3outside", 4, "three outside: an engulfing that the next close confirms", |c| signal(
        c.either(
            c.white(1),
            || all!(c,
                c.black(2),
                c.close(1) > c.open(2),
                c.open(1) < c.close(2),
                c.close(0) > c.close(1),
            ),
            || all!(c,
                c.white(2),
                c.open(1) > c.close(2),
                c.close(1) < c.open(2),
                c.close(0) < c.close(1),
            ),
        ),
        c.sign(1) * 100.0,
    );
    ThreeStarsInTheSouth, "cdl3starsinsouth", 13, "three stars in the south: three black candles, each inside the one before", |c| signal(
        all!(c,
            c.each(0..3, |back| c.black(back)),
            c.is_long(2),
            c.lower_shadow(2) > c.average(SHADOW_LONG, 2),
            c.body(1) < c.body(2),
            c.open(1) > c.close(2),
            c.open(1) <= c.high(2),
            c.low(1) < c.close(2),
            c.low(1) >= c.low(2),
            c.lower_shadow(1) > c.average(SHADOW_VERY_SHORT, 1),
            c.is_short(0),
            c.no_lower_shadow(0),
            c.no_upper_shadow(0),
            c.low(0) > c.low(1),
            c.high(0) < c.high(1),
        ),
        100.0,
    );
    ThreeWhiteSoldiers, "cdl3whitesoldiers", 13, "three white soldiers: three rising white candles without upper shadows", |c| signal(
        all!(c,
            rises!(c),
            c.each(0..3, |back| c.no_upper_shadow(back)),
            opens_inside!(c, 1),
            opens_inside!(c, 0),
            c.body(1) > c.body(2) - c.average(FAR, 2),
            c.body(0) > c.body(1) - c.average(FAR, 1),
            c.body(0) > c.average(BODY_SHORT, 0),
        ),
        100.0,
    );
    TriStar, "cdltristar", 13, "tristar: three dojis, the middle one apart", |c| {
        let doji = c.average(super::candles::BODY_DOJI, 2);
        let found = c.each(0..3, |back| c.body(back) <= doji);
        let bullish = all!(c, c.body_gaps_down(1), c.bottom(0) > c.bottom(1));
        let bearish = all!(c, c.body_gaps_up(1), c.top(0) < c.top(1));
        signal(all!(c, found, any!(c, bullish, bearish)), if bullish { 100.0 } else { -100.0 })
    };
    TwoCrows, "cdl2crows", 13, "two crows: a gap above a long white candle that the second black candle closes", |c| signal(
        all!(c,
            c.white(2),
            c.is_long(2),
            c.black(1),
            c.body_gaps_up(1),
            c.black(0),
            c.open(0) < c.open(1),
            c.open(0) > c.close(1),
            c.close(0) > c.open(2),
            c.close(0) < c.close(2),
        ),
        -100.0,
    );
    UniqueThreeRiver, "cdlunique3river", 13, "unique three river: a long black candle, a lower low, a short white body", |c| signal(
        all!(c,
            c.is_long(2),
            c.black(2),
            c.black(1),
            c.close(1) > c.close(2),
            c.open(1) <= c.open(2),
            c.low(1) < c.low(2),
            c.is_short(0),
            c.white(0),
            c.open(0) > c.low(1),
        ),
        100.0,
    );
    UpsideGapTwoCrows, "cdlupsidegap2crows", 13, "upside gap two crows: two black candles above a long white one, the second around the first", |c| signal(
        all!(c,
            c.white(2),
            c.is_long(2),
            c.black(1),
            c.body(1) <= c.average(BODY_SHORT, 1),
            c.body_gaps_up(1),
            c.black(0),
            c.open(0) > c.open(1),
            c.close(0) < c.close(1),
            c.close(0) > c.close(2),
        ),
        -100.0,
    );
    XSideGapThreeMethods, "cdlxsidegap3methods", 3, "gap three methods: an opposite candle fills the gap of two alike", |c| signal(
        all!(c,
            c.white(2) == c.white(1),
            c.white(1) != c.white(0),
            c.open(0) < c.top(1),
            c.open(0) > c.bottom(1),
            c.close(0) < c.top(2),
            c.close(0) > c.bottom(2),
            c.either(c.white(2), || c.body_gaps_up(1), || c.body_gaps_down(1)),
        ),
        c.sign(2) * 100.0,
    );
}
