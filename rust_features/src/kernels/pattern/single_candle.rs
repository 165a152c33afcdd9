//! Patterns of one candle, judged by the average candle before it.

use super::candles::{
    BODY_DOJI, Measure, NEAR, SHADOW_LONG, SHADOW_SHORT, SHADOW_VERY_LONG, SHADOW_VERY_SHORT, all,
    any, patterns, signal,
};

patterns! {
    BeltHold, "cdlbelthold", 11, "belt hold: a long candle that opens at its extreme", |c| signal(
        all!(c, c.is_long(0), c.either(c.white(0), || c.no_lower_shadow(0), || c.no_upper_shadow(0))),
        c.sign(0) * 100.0,
    );
    ClosingMarubozu, "cdlclosingmarubozu", 11, "closing marubozu: a long candle that closes at its extreme", |c| signal(
        all!(c, c.is_long(0), c.either(c.white(0), || c.no_upper_shadow(0), || c.no_lower_shadow(0))),
        c.sign(0) * 100.0,
    );
    Doji, "cdldoji", 11, "doji: open and close nearly meet", |c| signal(c.is_doji(0), 100.0);
    DragonflyDoji, "cdldragonflydoji", 11, "dragonfly doji: a doji with a lower shadow only", |c| signal(
        all!(c, c.is_doji(0), c.no_upper_shadow(0), c.lower_shadow(0) > c.average(SHADOW_VERY_SHORT, 0)),
        100.0,
    );
    GravestoneDoji, "cdlgravestonedoji", 11, "gravestone doji: a doji with an upper shadow only", |c| signal(
        all!(c, c.is_doji(0), c.no_lower_shadow(0), c.upper_shadow(0) > c.average(SHADOW_VERY_SHORT, 0)),
        100.0,
    );
    HighWave, "cdlhighwave", 11, "high wave: a short body between very long shadows", |c| signal(
        all!(c,
            c.is_short(0),
            c.upper_shadow(0) > c.average(SHADOW_VERY_LONG, 0),
            c.lower_shadow(0) > c.average(SHADOW_VERY_LONG, 0),
        ),
        c.sign(0) * 100.0,
    );
    LongLeggedDoji, "cdllongleggeddoji", 11, "long legged doji: a doji with a long shadow", |c| signal(
        all!(c,
            c.is_doji(0),
            any!(c,
                c.lower_shadow(0) > c.average(SHADOW_LONG, 0),
                c.upper_shadow(0) > c.average(SHADOW_LONG, 0),
            ),
        ),
        100.0,
    );
    LongLine, "cdllongline", 11, "long line: a long body with short shadows", |c| signal(
        all!(c,
            c.is_long(0),
            c.upper_shadow(0) < c.average(SHADOW_SHORT, 0),
            c.lower_shadow(0) < c.average(SHADOW_SHORT, 0),
        ),
        c.sign(0) * 100.0,
    );
    Marubozu, "cdlmarubozu", 11, "marubozu: a long body without shadows", |c| signal(
        all!(c, c.is_long(0), c.no_upper_shadow(0), c.no_lower_shadow(0)),
        c.sign(0) * 100.0,
    );
    RickshawMan, "cdlrickshawman", 11, "rickshaw man: a long legged doji with its body near the middle", |c| {
        let middle = c.low(0) + c.share(Measure::Range, 0.5, 0);
        signal(
            all!(c,
                c.is_doji(0),
                c.lower_shadow(0) > c.average(SHADOW_LONG, 0),
                c.upper_shadow(0) > c.average(SHADOW_LONG, 0),
                c.bottom(0) <= middle + c.average(NEAR, 0),
                c.top(0) >= middle - c.average(NEAR, 0),
            ),
            100.0,
        )
    };
    ShortLine, "cdlshortline", 11, "short line: a short body with short shadows", |c| signal(
        all!(c,
            c.is_short(0),
            c.upper_shadow(0) < c.average(SHADOW_SHORT, 0),
            c.lower_shadow(0) < c.average(SHADOW_SHORT, 0),
        ),
        c.sign(0) * 100.0,
    );
    SpinningTop, "cdlspinningtop", 11, "spinning top: a short body between longer shadows", |c| signal(
        all!(c, c.is_short(0), c.upper_shadow(0) > c.body(0), c.lower_shadow(0) > c.body(0)),
        c.sign(0) * 100.0,
    );
    Takuri, "cdltakuri", 11, "takuri: a dragonfly doji with a very long lower shadow", |c| signal(
        all!(c,
            c.body(0) <= c.average(BODY_DOJI, 0),
            c.no_upper_shadow(0),
            c.lower_shadow(0) > c.average(SHADOW_VERY_LONG, 0),
        ),
        100.0,
    );
}
