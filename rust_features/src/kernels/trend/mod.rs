//! Direction and strength of the trend: averages, fitted lines, stops, MACD, directional movement.

pub(crate) mod average;

super::kernel_files! {
    adaptive_average: [Kama],
    directional_movement: [Adx, Dx, MinusDi, PlusDi],
    directional_movement_rating: [Adxr, MinusDm, PlusDm],
    exponential_averages: [Dema, Rma, T3, Tema, Zlema],
    exponential_moving_average: [Ema],
    ichimoku: [Ichimoku],
    linear_regression: [LinearReg, LinearRegAngle, LinearRegIntercept, LinearRegSlope, Tsf],
    linear_regression_fit: [LinearRegR2],
    macd: [Macd],
    macd_variants: [MacdExt, MacdFix],
    mesa_average: [Mama],
    midpoint: [Midpoint, Midprice],
    moving_average: [Ma],
    parabolic_sar: [Sar],
    simple_moving_average: [Sma],
    supertrend: [Supertrend],
    typical_prices: [AvgPrice, MedPrice, TypPrice, WclPrice],
    volume_weighted_average: [Vwma],
    weighted_averages: [Hma, Trima, Wma],
}
