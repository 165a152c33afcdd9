//! What one version of a model did since it was loaded, for those who ask over the wire.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

/// Counters of one version.
#[derive(Debug, Default)]
pub struct ModelTotals {
    rows: AtomicU64,
    runs: AtomicU64,
    last_run_ms: AtomicU64,
    requests: AtomicU64,
    queue_ns: AtomicU64,
    inference_ns: AtomicU64,
}

/// The counters at one moment; each is exact, all of them together may be of neighbouring moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Rows scored.
    pub rows: u64,
    /// Runs of the model.
    pub runs: u64,
    /// When it last ran, milliseconds since the epoch; zero when it never did.
    pub last_run_ms: u64,
    /// Requests that took part in a run.
    pub requests: u64,
    /// What they waited for their run, together.
    pub queue_ns: u64,
    /// How long their runs took, together.
    pub inference_ns: u64,
}

impl ModelTotals {
    pub(super) fn count_run(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.runs.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now_ms = now.map_or(0, |elapsed| elapsed.as_millis() as u64);
        self.last_run_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(super) fn count_request(&self, queued: Duration, inference: Duration) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.queue_ns
            .fetch_add(queued.as_nanos() as u64, Ordering::Relaxed);
        self.inference_ns
            .fetch_add(inference.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Reads the counters.
    #[must_use]
    pub fn read(&self) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            rows: read(&self.rows),
            runs: read(&self.runs),
            last_run_ms: read(&self.last_run_ms),
            requests: read(&self.requests),
            queue_ns: read(&self.queue_ns),
            inference_ns: read(&self.inference_ns),
        }
    }
}
