//! Direction and strength of the trend: averages, MACD, directional movement.

super::kernel_files! {
    directional_movement: [Adx, Dx, MinusDi, PlusDi],
    exponential_moving_average: [Ema],
    macd: [Macd],
    simple_moving_average: [Sma],
}
