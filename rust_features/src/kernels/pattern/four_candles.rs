//! Patterns of four and five candles.

use super::candles::{Measure, NEAR, SHADOW_VERY_SHORT, all, patterns, signal};

/// Whether a value lies further than a level in the direction of the first of five candles. No closure: it may stay a
/// call, which no vector takes.
macro_rules! beyond {
    ($c:ident, $value:expr, $level:expr) => {
        $c.either($c.white(4), || $value > $level, || $value < $level)
    };
}

patterns! {
    Breakaway, "cdlbreakaway", 15, "breakaway: a gap that runs on for two candles and then closes back into it", |c| signal(
        all!(c,
            c.is_long(4),
            c.white(4) == c.white(3),
            c.white(3) == c.white(1),
            c.white(1) != c.white(0),
            // A close between the bodies of two candles of one colour tells that there is a gap.
            c.either(
                c.black(4),
                || all!(c,
                    c.high(2) < c.high(3),
                    c.low(2) < c.low(3),
                    c.high(1) < c.high(2),
                    c.low(1) < c.low(2),
                    c.close(0) > c.open(3),
                    c.close(0) < c.close(4),
                ),
                || all!(c,
                    c.high(2) > c.high(3),
                    c.low(2) > c.low(3),
                    c.high(1) > c.high(2),
                    c.low(1) > c.low(2),
                    c.close(0) < c.open(3),
                    c.close(0) > c.close(4),
                ),
            ),
        ),
        c.sign(0) * 100.0,
    );
    ConcealingBabySwallow, "cdlconcealbabyswall", 14, "concealing baby swallow: four black candles, the last around the one before", |c| signal(
        all!(c,
            c.each(0..4, |back| c.black(back)),
            c.each(2..4, |back| all!(c, c.no_lower_shadow(back), c.no_upper_shadow(back))),
            c.body_gaps_down(1),
            c.upper_shadow(1) > c.average(SHADOW_VERY_SHORT, 1),
            c.high(1) > c.close(2),
            c.high(0) > c.high(1),
            c.low(0) < c.low(1),
        ),
        100.0,
    );
    LadderBottom, "cdlladderbottom", 15, "ladder bottom: falling black candles, one with an upper shadow, a white one above it", |c| signal(
        all!(c,
            c.each(1..5, |back| c.black(back)),
            c.open(4) > c.open(3),
            c.open(3) > c.open(2),
            c.close(4) > c.close(3),
            c.close(3) > c.close(2),
            c.upper_shadow(1) > c.average(SHADOW_VERY_SHORT, 1),
            c.white(0),
            c.open(0) > c.open(1),
            c.close(0) > c.high(1),
        ),
        100.0,
    );
    MatHold, "cdlmathold", 15, penetration 0.5, "mat hold: a long white candle, three short ones that stay in its upper part, a new high", |c, penetration| {
        let floor = c.close(4) - c.share(Measure::Body, penetration, 4);
        signal(
            all!(c,
                c.is_long(4),
                c.each(1..4, |back| c.is_short(back)),
                c.white(4),
                c.black(3),
                c.white(0),
                c.body_gaps_up(3),
                c.each(1..3, |back| all!(c, c.bottom(back) < c.close(4), c.bottom(back) > floor)),
                c.top(2) < c.open(3),
                c.top(1) < c.top(2),
                c.open(0) > c.close(1),
                c.each(1..4, |back| c.close(0) > c.high(back)),
            ),
            100.0,
        )
    };
    RiseFallThreeMethods, "cdlrisefall3methods", 15, "rising or falling three methods: three short candles against a long one, and one that goes on", |c| {
        let sign = c.sign(4);
        signal(
            all!(c,
                c.is_long(4),
                c.each(1..4, |back| c.is_short(back)),
                c.is_long(0),
                c.each(1..4, |back| c.sign(back) == -sign),
                c.sign(0) == sign,
                c.each(1..4, |back| all!(c, c.bottom(back) < c.high(4), c.top(back) > c.low(4))),
                beyond!(c, c.close(3), c.close(2)),
                beyond!(c, c.close(2), c.close(1)),
                beyond!(c, c.open(0), c.close(1)),
                beyond!(c, c.close(0), c.close(4)),
            ),
            sign * 100.0,
        )
    };
    ThreeBlackCrows, "cdl3blackcrows", 14, "three black crows: three falling black candles without lower shadows after a white one", |c| signal(
        all!(c,
            c.white(3),
            c.each(0..3, |back| all!(c, c.black(back), c.no_lower_shadow(back))),
            c.open(1) < c.open(2),
            c.open(1) > c.close(2),
            c.open(0) < c.open(1),
            c.open(0) > c.close(1),
            c.high(3) > c.close(2),
            c.close(2) > c.close(1),
            c.close(1) > c.close(0),
        ),
        -100.0,
    );
    ThreeLineStrike, "cdl3linestrike", 9, "three line strike: three candles of one colour, a fourth that takes them back", |c| signal(
        all!(c,
            c.white(3) == c.white(2),
            c.white(2) == c.white(1),
            c.white(1) != c.white(0),
            c.each(1..3, |back| {
                let near = c.average(NEAR, back + 1);
                all!(c, c.open(back) >= c.bottom(back + 1) - near, c.open(back) <= c.top(back + 1) + near)
            }),
            c.either(
                c.white(1),
                || all!(c,
                    c.close(1) > c.close(2),
                    c.close(2) > c.close(3),
                    c.open(0) > c.close(1),
                    c.close(0) < c.open(3),
                ),
                || all!(c,
                    c.close(1) < c.close(2),
                    c.close(2) < c.close(3),
                    c.open(0) < c.close(1),
                    c.close(0) > c.open(3),
                ),
            ),
        ),
        c.sign(1) * 100.0,
    );
}
