//! What kind of market it is.

super::kernel_files! {
    market_regime: [MarketRegime],
    trend_regime: [TrendRegime],
}
