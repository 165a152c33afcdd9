//! Speed of price: oscillators and rates of change.

super::kernel_files! {
    rate_of_change: [Roc],
    relative_strength_index: [Rsi],
    stochastic: [Stoch],
}
