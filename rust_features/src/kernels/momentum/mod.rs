//! Speed of price: oscillators and rates of change.

super::kernel_files! {
    aroon: [Aroon, AroonOsc],
    balance_of_power: [Bop],
    chande_momentum_oscillator: [Cmo],
    commodity_channel_index: [Cci],
    momentum: [Mom],
    price_oscillators: [Apo, Ppo],
    rate_of_change: [Roc, Rocp, Rocr, Rocr100],
    relative_strength_index: [Rsi],
    stochastic: [Stoch, StochF],
    stochastic_of_averages: [StochOfAverages],
    stochastic_rsi: [StochRsi],
    triple_smoothed_rate_of_change: [Trix],
    ultimate_oscillator: [UltOsc],
    williams_percent_r: [WillR],
}
