//! Returns and statistics of the last bars.

super::kernel_files! {
    autocorrelation: [Autocorrelation],
    log_return: [LogReturn],
    moments: [Moments, Var],
    rank: [Rank],
    simple_return: [SimpleReturn],
    two_series: [Beta, Correl],
    window_totals: [Max, Min, Sum],
    zscore: [Zscore],
}
