//! Shapes of one or a few bars.

super::kernel_files! {
    candle_shape: [CandleShape],
}
