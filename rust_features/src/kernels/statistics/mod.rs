//! Returns and statistics of the last bars.

super::kernel_files! {
    log_return: [LogReturn],
}
