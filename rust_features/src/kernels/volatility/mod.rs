//! Size of moves: ranges, deviations and bands.

super::kernel_files! {
    average_true_range: [Atr, Natr, TrueRange],
    band_scale: [BandScale],
    bollinger_bands: [BollingerBands],
    bollinger_bands_of_average: [BollingerBandsOfAverage],
    donchian_channel: [DonchianChannel],
    ewma_variance: [EwmaVariance],
    high_low_range: [HighLowRange],
    keltner_channel: [KeltnerChannel],
    range_variance: [RangeVariance],
    range_volatility: [GarmanKlass, Parkinson, RogersSatchell],
    realised_volatility: [RealisedVolatility],
    standard_deviation: [StdDev],
    yang_zhang_volatility: [YangZhang],
}
