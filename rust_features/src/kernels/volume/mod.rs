//! Traded volume, alone and with price.

super::kernel_files! {
    accumulation_distribution: [Ad, AdOsc],
    chaikin_money_flow: [ChaikinMoneyFlow],
    amihud_illiquidity: [AmihudIlliquidity],
    money_flow_index: [Mfi],
    on_balance_volume: [Obv],
    volume_ratio: [VolumeRatio],
    volume_zscore: [VolumeZscore],
}
