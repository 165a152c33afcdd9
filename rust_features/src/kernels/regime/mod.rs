//! What kind of market it is.

mod squared_returns;

super::kernel_files! {
    market_regime: [MarketRegime],
    trend_regime: [TrendRegime],
}
