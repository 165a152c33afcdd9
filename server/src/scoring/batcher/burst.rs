//! Requests that a thread looks at together while nothing waits for their model: they run as one batch on that thread.
//!
//! In the queue, which all threads share, another thread would take a part of them into its own batch; who looked at them
//! would find no answer yet, and each would become a task that has to be woken. Their answers would leave in parts, and
//! what a caller then asks would come in parts. A few rows of a model that gains by larger runs are better off there.

use std::{
    cell::RefCell,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{BURST_BUDGET, Claim, Job, Priority, Shared};
use crate::scoring::arrivals;

/// Rows from which on a burst runs alone whatever they cost.
const ALONE_ROWS: usize = 16;
/// What it costs a request to queue: fewer rows run alone where each would save no more in a larger run.
const QUEUE_COST: Duration = Duration::from_micros(5);

thread_local! {
    /// What this thread has in hand, by the batcher that it is for.
    static BURSTS: RefCell<Vec<Burst>> = const { RefCell::new(Vec::new()) };
}

struct Burst {
    key: usize,
    rows: usize,
    jobs: Vec<Job>,
}

impl Shared {
    /// Whether this thread has rows in hand that will run together.
    pub(super) fn has_burst(&self) -> bool {
        let key = self.burst_key();
        BURSTS.with_borrow(|bursts| bursts.iter().any(|burst| burst.key == key))
    }

    /// What the queue puts off goes by the address itself.
    fn burst_key(&self) -> usize {
        std::ptr::from_ref(self).addr() | 1
    }

    /// Adds `job` to what this thread looks at together; gives it back when it looks at nothing, or when it must queue.
    pub(super) fn join_burst(self: &Arc<Self>, priority: Priority, job: Job) -> Option<Job> {
        if priority != Priority::Normal || self.waiting_rows.load(Ordering::Acquire) > 0 {
            return Some(job);
        }
        let key = self.burst_key();
        BURSTS.with_borrow_mut(|bursts| {
            let joined = bursts.iter_mut().find(|burst| burst.key == key);
            let rows = joined.as_ref().map_or(0, |burst| burst.rows) + job.rows;
            if rows > self.limits.batch_rows || !self.costs.fit(rows, BURST_BUDGET) {
                return Some(job);
            }
            if let Some(burst) = joined {
                burst.rows = rows;
                burst.jobs.push(job);
                return None;
            }
            let run = || {
                let shared = Arc::clone(self);
                move || shared.run_burst(key)
            };
            if !arrivals::put_off(key, run) {
                return Some(job);
            }
            let jobs = vec![job];
            bursts.push(Burst { key, rows, jobs });
            None
        })
    }

    fn run_burst(self: Arc<Self>, key: usize) {
        let burst = BURSTS.with_borrow_mut(|bursts| {
            let place = bursts.iter().position(|burst| burst.key == key)?;
            Some(bursts.swap_remove(place))
        });
        let Some(Burst { rows, jobs, .. }) = burst else {
            return;
        };
        if self.runs_alone(rows)
            && let Some(mut claim) = Claim::take(&self)
        {
            claim.run_jobs(self.those_waited_for(jobs));
            return;
        }
        for job in jobs {
            self.enqueue(Priority::Normal, job);
        }
        self.call_for_drain();
    }

    /// Whether `rows` rows are better off without those of other threads.
    fn runs_alone(&self, rows: usize) -> bool {
        rows >= ALONE_ROWS || self.costs.saved_in_a_larger_run(rows) <= QUEUE_COST
    }

    /// Those of `jobs` that shall run; answers those whose deadline passed.
    fn those_waited_for(&self, jobs: Vec<Job>) -> Vec<Job> {
        let now = Instant::now();
        let (mut batch, mut expired) = (Vec::with_capacity(jobs.len()), Vec::new());
        for job in jobs {
            let caller = job.caller(now);
            batch.extend(self.keep_if_waited_for(job, caller, &mut expired));
        }
        self.answer_expired(expired);
        batch
    }
}
