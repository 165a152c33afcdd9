//! What a run cost, whatever else the machine did meanwhile.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time that this thread has used.
pub(super) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Never negative, so the cast keeps the value; nor are the nanoseconds a whole second.
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
