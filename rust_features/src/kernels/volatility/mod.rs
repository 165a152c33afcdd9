//! Size of moves: ranges, deviations and bands.

super::kernel_files! {
    average_true_range: [Atr, Natr, TrueRange],
    bollinger_bands: [BollingerBands],
    high_low_range: [HighLowRange],
    realised_volatility: [RealisedVolatility],
    standard_deviation: [StdDev],
}
