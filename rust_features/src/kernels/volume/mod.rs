//! Traded volume, alone and with price.

super::kernel_files! {
    money_flow_index: [Mfi],
    on_balance_volume: [Obv],
    volume_zscore: [VolumeZscore],
}
