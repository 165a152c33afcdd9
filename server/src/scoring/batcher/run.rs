//! Runs of a model: one request on the thread that read it, or a batch of what waits.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};

use super::{Executor, Job, Scored, Shared};
use crate::{
    error::ServeError,
    scoring::{engine::Engine, processor_time::processor_time},
};

/// How long one thread runs batches on end while callers are refused: what it had in hand besides waits for that.
const STORM_BUDGET: Duration = Duration::from_millis(2);

/// An executor taken for a while; giving it back looks for what came meanwhile.
pub(super) struct Claim<'a> {
    shared: &'a Arc<Shared>,
    executor: Option<MutexGuard<'a, Executor>>,
}

impl<'a> Claim<'a> {
    /// Takes an executor that is free.
    pub(super) fn take(shared: &'a Arc<Shared>) -> Option<Self> {
        let executor = shared.executors.iter().find_map(Mutex::try_lock)?;
        shared.busy.fetch_add(1, Ordering::SeqCst);
        Some(Self {
            shared,
            executor: Some(executor),
        })
    }

    /// Runs one request on this thread.
    pub(super) fn run_one(
        mut self,
        features: &[f32],
        rows: usize,
        admitted: Instant,
    ) -> Result<Scored, ServeError> {
        let shared = self.shared;
        let Some(executor) = self.executor.as_mut() else {
            return Err(shared.engine_failed());
        };
        let mut values = vec![0.0; rows * shared.shape.scores];
        let in_doubt = shared.in_doubt.swap(false, Ordering::Relaxed);
        let (started, processor) = (Instant::now(), in_doubt.then(processor_time));
        run(shared, &mut *executor.engine, features, rows, &mut values)?;
        let inference = started.elapsed();
        shared.record_run(rows, inference, shared.cost(rows, inference, processor));
        let queued = started - admitted;
        shared
            .metrics
            .count_requests(std::iter::once(queued), inference);
        Ok(Scored {
            values,
            queued,
            inference,
            batch_rows: rows,
        })
    }

    /// Runs what waits, as much as runs together.
    ///
    /// While callers are refused one thread runs batch after batch: to read and refuse takes as long as the callers ask,
    /// and whoever was taken in would wait for that before each batch.
    pub(super) fn run_batches(mut self) {
        let shared = self.shared;
        self.run_batch();
        if !shared.refuses.load(Ordering::Relaxed) {
            return;
        }
        let Some(_kept) = shared.arrivals.keep_thread() else {
            return;
        };
        let began = Instant::now();
        while shared.refuses.load(Ordering::Relaxed) && began.elapsed() < STORM_BUDGET {
            self.run_batch();
        }
    }

    fn run_batch(&mut self) {
        let shared = self.shared;
        shared.refuses.store(false, Ordering::Relaxed);
        self.run_jobs(shared.take_batch());
    }

    /// Runs `batch` and answers it.
    pub(super) fn run_jobs(&mut self, mut batch: Vec<Job>) {
        let shared = self.shared;
        let taken = Instant::now();
        let Some(executor) = self.executor.as_mut() else {
            return;
        };
        if batch.is_empty() {
            return;
        }
        let rows: usize = batch.iter().map(|job| job.rows).sum();
        let Executor {
            engine,
            features,
            scores,
        } = &mut **executor;
        features.clear();
        for job in &mut batch {
            features.append(&mut job.features);
        }
        scores.resize(rows * shared.shape.scores, 0.0);
        let (started, processor) = (Instant::now(), processor_time());
        let outcome = run(shared, &mut **engine, features, rows, scores);
        let inference = started.elapsed();
        let spent = processor_time().saturating_sub(processor);
        shared.record_run(rows, inference, Some(spent));
        let batch_wait = (started - taken).as_secs_f64();
        shared.metrics.batch_wait_seconds.record(batch_wait);
        let queued = batch.iter().map(|job| started - job.admitted);
        shared.metrics.count_requests(queued, inference);
        let mut first = 0;
        for job in batch {
            let last = first + job.rows * shared.shape.scores;
            let reply = outcome.clone().map(|()| Scored {
                values: scores.get(first..last).unwrap_or_default().to_vec(),
                queued: started - job.admitted,
                inference,
                batch_rows: rows,
            });
            first = last;
            // The caller may have left while the model ran.
            let _ = job.reply.send(reply);
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.executor = None;
        self.shared.busy.fetch_sub(1, Ordering::SeqCst);
        self.shared.call_for_drain();
    }
}

impl Shared {
    /// What a run on the thread of the network cost, if that is known. The clock of the processor takes a hundredth of
    /// what one caller waits, so it is asked only where the time on the wall is in doubt.
    fn cost(
        &self,
        rows: usize,
        inference: Duration,
        processor: Option<Duration>,
    ) -> Option<Duration> {
        let seems_dear =
            inference.as_nanos() as u64 > self.costs.expected_ns(rows).saturating_mul(2);
        if seems_dear {
            self.in_doubt.store(true, Ordering::Relaxed);
        }
        match processor {
            Some(from) => Some(processor_time().saturating_sub(from)),
            None if seems_dear => None,
            None => Some(inference),
        }
    }

    /// Keeps that a run of `rows` rows took `inference`, and what it cost where that is known.
    ///
    /// The cost is processor time: did it count the time that others took meanwhile, batches would become smaller on a
    /// busy machine, rows dearer by it, and batches smaller still.
    fn record_run(&self, rows: usize, inference: Duration, spent: Option<Duration>) {
        if let Some(spent) = spent {
            self.costs.record(rows, spent);
        }
        self.metrics.scored_rows.increment(rows as u64);
        self.metrics.count_run(rows, inference);
        self.metrics
            .inference_seconds
            .record(inference.as_secs_f64());
        self.metrics.batch_rows.record(rows as f64);
    }
}

/// Runs the engine; a panic in it is an error of this run, not the end of the server.
fn run(
    shared: &Shared,
    engine: &mut dyn Engine,
    features: &[f32],
    rows: usize,
    scores: &mut [f32],
) -> Result<(), ServeError> {
    debug_assert_eq!(features.len(), rows * shared.shape.features);
    match catch_unwind(AssertUnwindSafe(|| engine.score(features, rows, scores))) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => {
            tracing::error!(model = %shared.model, %error, rows, "the model failed to score");
        }
        Err(_) => tracing::error!(model = %shared.model, rows, "the engine panicked while scoring"),
    }
    shared.metrics.failed.increment(1);
    Err(shared.engine_failed())
}
