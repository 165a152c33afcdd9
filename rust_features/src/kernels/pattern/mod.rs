//! Shapes of one or a few bars.

mod candles;
mod tiles;

super::kernel_files! {
    candle_shape: [CandleShape],
    four_candles: [Breakaway, ConcealingBabySwallow, LadderBottom, MatHold, RiseFallThreeMethods, ThreeBlackCrows, ThreeLineStrike],
    hikkake: [Hikkake, HikkakeModified],
    single_candle: [
        BeltHold, ClosingMarubozu, Doji, DragonflyDoji, GravestoneDoji, HighWave, LongLeggedDoji, LongLine, Marubozu,
        RickshawMan, ShortLine, SpinningTop, Takuri,
    ],
    three_candles: [
        AbandonedBaby, AdvanceBlock, EveningDojiStar, EveningStar, GapSideBySideWhite, IdenticalThreeCrows, MorningDojiStar,
        MorningStar, StalledPattern, StickSandwich, TasukiGap, ThreeInside, ThreeOutside, ThreeStarsInTheSouth, ThreeWhiteSoldiers, TriStar, TwoCrows,
        UniqueThreeRiver, UpsideGapTwoCrows, XSideGapThreeMethods,
    ],
    two_candles: [
        Counterattack, DarkCloudCover, DojiStar, Engulfing, Hammer, HangingMan, Harami, HaramiCross, HomingPigeon,
        InNeck, InvertedHammer, Kicking, KickingByLength, MatchingLow, OnNeck, Piercing, SeparatingLines,
        ShootingStar, Thrusting,
    ],
}
