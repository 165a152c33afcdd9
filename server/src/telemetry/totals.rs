//! What one version of a model did since it was loaded, for those who ask over the wire.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

/// Runs of up to so many rows are counted each by their own size; larger ones by the next power of two.
const EXACT_ROWS: u64 = 256;
/// Sizes above [`EXACT_ROWS`]: 512 to 2^24.
const POWERS: u64 = 16;

/// Counters of one version.
#[derive(Debug)]
pub struct ModelTotals {
    rows: AtomicU64,
    runs: AtomicU64,
    last_run_ms: AtomicU64,
    requests: AtomicU64,
    queue_ns: AtomicU64,
    inference_ns: AtomicU64,
    failed_requests: AtomicU64,
    failed_ns: AtomicU64,
    sizes: Box<[SizeTotals]>,
}

#[derive(Debug, Default)]
struct SizeTotals {
    runs: AtomicU64,
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
    /// Requests that the batcher refused, that ran out of time, or whose run failed.
    pub failed_requests: u64,
    /// How long they were in the batcher, together.
    pub failed_ns: u64,
}

/// Runs of one batch size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSize {
    /// Rows that ran together; above 256 the next power of two.
    pub rows: u64,
    /// Such runs.
    pub runs: u64,
    /// How long they took, together.
    pub inference_ns: u64,
}

impl Default for ModelTotals {
    fn default() -> Self {
        Self {
            rows: AtomicU64::default(),
            runs: AtomicU64::default(),
            last_run_ms: AtomicU64::default(),
            requests: AtomicU64::default(),
            queue_ns: AtomicU64::default(),
            inference_ns: AtomicU64::default(),
            failed_requests: AtomicU64::default(),
            failed_ns: AtomicU64::default(),
            sizes: (0..EXACT_ROWS + POWERS)
                .map(|_| SizeTotals::default())
                .collect(),
        }
    }
}

impl ModelTotals {
    pub(super) fn count_run(&self, rows: u64, inference: Duration) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.runs.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now_ms = now.map_or(0, |elapsed| elapsed.as_millis() as u64);
        self.last_run_ms.store(now_ms, Ordering::Relaxed);
        if let Some(size) = self.sizes.get(size_index(rows)) {
            size.runs.fetch_add(1, Ordering::Relaxed);
            size.inference_ns
                .fetch_add(inference.as_nanos() as u64, Ordering::Relaxed);
        }
    }

    /// Adds the requests of one run; `queued` is what they waited, together. Once a run: all threads write here.
    pub(super) fn count_requests(&self, requests: u32, queued: Duration, inference: Duration) {
        self.requests.fetch_add(requests.into(), Ordering::Relaxed);
        self.queue_ns
            .fetch_add(queued.as_nanos() as u64, Ordering::Relaxed);
        let inference_ns = inference.as_nanos() as u64 * u64::from(requests);
        self.inference_ns.fetch_add(inference_ns, Ordering::Relaxed);
    }

    pub(super) fn count_failure(&self, spent: Duration) {
        self.failed_requests.fetch_add(1, Ordering::Relaxed);
        self.failed_ns
            .fetch_add(spent.as_nanos() as u64, Ordering::Relaxed);
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
            failed_requests: read(&self.failed_requests),
            failed_ns: read(&self.failed_ns),
        }
    }

    /// Batch sizes that ran, smallest first.
    #[must_use]
    pub fn batch_sizes(&self) -> Vec<BatchSize> {
        let sizes = self
            .sizes
            .iter()
            .enumerate()
            .map(|(index, size)| BatchSize {
                rows: rows_of(index as u64),
                runs: size.runs.load(Ordering::Relaxed),
                inference_ns: size.inference_ns.load(Ordering::Relaxed),
            });
        sizes.filter(|size| size.runs > 0).collect()
    }
}

fn size_index(rows: u64) -> usize {
    let rows = rows.max(1);
    let index = if rows <= EXACT_ROWS {
        rows - 1
    } else {
        let power = rows.next_power_of_two() / EXACT_ROWS;
        (EXACT_ROWS - 1 + u64::from(power.ilog2())).min(EXACT_ROWS + POWERS - 1)
    };
    index as usize
}

const fn rows_of(index: u64) -> u64 {
    if index < EXACT_ROWS {
        index + 1
    } else {
        EXACT_ROWS << (index + 1 - EXACT_ROWS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_counted_under_its_size_or_the_next_power_of_two() {
        for (rows, wanted) in [
            (1, 1),
            (2, 2),
            (255, 255),
            (256, 256),
            (257, 512),
            (512, 512),
            (513, 1_024),
            (65_536, 65_536),
            (1 << 40, 1 << 24),
        ] {
            let totals = ModelTotals::default();
            totals.count_run(rows, Duration::from_nanos(7));
            totals.count_run(rows, Duration::from_nanos(5));
            let counted = BatchSize {
                rows: wanted,
                runs: 2,
                inference_ns: 12,
            };
            assert_eq!(totals.batch_sizes(), [counted], "{rows} rows");
        }
    }
}
