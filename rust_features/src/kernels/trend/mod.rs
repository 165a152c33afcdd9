//! Direction and strength of the trend: averages, MACD, directional movement.

pub(crate) mod average;

super::kernel_files! {
    adaptive_average: [Kama],
    directional_movement: [Adx, Dx, MinusDi, PlusDi],
    exponential_averages: [Dema, Rma, T3, Tema, Zlema],
    exponential_moving_average: [Ema],
    macd: [Macd],
    midpoint: [Midpoint, Midprice],
    moving_average: [Ma],
    simple_moving_average: [Sma],
    volume_weighted_average: [Vwma],
    weighted_averages: [Hma, Trima, Wma],
}
