//! The batcher of one model: work-conserving, late-binding, no timer.
//!
//! A row that arrives alone at an idle executor runs at once, on the thread that read it. Otherwise it queues, and an
//! executor that frees takes all that waits, up to what it can run within [`BATCH_BUDGET`]. Nothing ever waits for a
//! batch to fill. Deadlines and cancellation are looked at when a request comes, when it leaves the queue and, for
//! runs that move to another thread, right before they run.
//!
//! Each model has its own queue, bounded in rows and in the time that they would wait. A batch is short and then makes
//! room, so that models take turns by the time they use; a row that takes long runs on a thread of its own. What is more
//! urgent goes first, but one batch in [`TURNS`] begins with what is least urgent.

mod burst;
mod costs;
mod run;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::{costs::RowCosts, run::Claim};
use super::{
    arrivals::{self, Arrivals},
    engine::{Engine, RowShape},
};
use crate::{error::ServeError, telemetry::metrics::ModelMetrics};

/// Expected length of the longest run on a thread that also serves the network; longer runs go to other threads.
const INLINE_BUDGET: Duration = Duration::from_micros(500);
/// Expected length of the longest run right after a burst was looked at: the thread reads its other connections before a
/// longer one.
const BURST_BUDGET: Duration = Duration::from_micros(100);
/// Expected length of a batch: longer ones gain nothing and keep others waiting.
const BATCH_BUDGET: Duration = Duration::from_micros(500);

/// Of so many batches one begins with the least urgent rows.
const TURNS: u64 = 8;
/// Rows an executor that may wait whatever they cost.
const SLOW_ROWS: usize = 8;

/// Longest time after which a refused caller is told to try again.
const LONGEST_RETRY_MS: u64 = 1 << 20;

/// How urgent a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Priority {
    /// Bars: taken in already, so never refused for the time they would wait.
    High,
    /// Requests.
    #[default]
    Normal,
    /// Shadow versions, and callers who say so.
    Low,
}

/// Bounds of one batcher.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Most rows that run together.
    pub batch_rows: usize,
    /// Most rows that wait.
    pub queue_rows: usize,
    /// Longest time that rows shall wait; what would wait longer is refused.
    pub queue_delay: Duration,
}

/// Scores of one request and where its time went.
#[derive(Debug, Clone)]
pub struct Scored {
    /// Rows of scores, as `ScoreLayout` says.
    pub values: Vec<f32>,
    /// From admission until the run began.
    pub queued: Duration,
    /// The run of the whole batch.
    pub inference: Duration,
    /// Rows that ran together.
    pub batch_rows: usize,
}

/// Queue and executors of one model.
#[derive(Clone)]
pub struct Batcher {
    shared: Arc<Shared>,
}

struct Shared {
    model: String,
    shape: RowShape,
    limits: BatchLimits,
    arrivals: Arc<Arrivals>,
    executors: Box<[Mutex<Executor>]>,
    busy: AtomicUsize,
    /// Urgent first.
    queue: Mutex<[Lane; 3]>,
    batches: AtomicU64,
    waiting_rows: AtomicUsize,
    /// A drain is on its way; another would find nothing.
    drain_pending: AtomicBool,
    /// A caller was refused since the last batch was taken.
    refuses: AtomicBool,
    costs: RowCosts,
    /// A row seemed far dearer than that: the next run tells by the clock of the processor whether it is.
    in_doubt: AtomicBool,
    metrics: ModelMetrics,
}

struct Executor {
    engine: Box<dyn Engine>,
    features: Vec<f32>,
    scores: Vec<f32>,
}

/// Rows of one priority that wait.
#[derive(Default)]
struct Lane {
    jobs: VecDeque<Job>,
    rows: usize,
}

struct Job {
    features: Vec<f32>,
    rows: usize,
    admitted: Instant,
    deadline: Option<Instant>,
    reply: oneshot::Sender<Result<Scored, ServeError>>,
}

/// Whether somebody still waits for a job.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caller {
    Waits,
    Left,
    TooLate,
}

impl Job {
    fn caller(&self, now: Instant) -> Caller {
        if self.reply.is_closed() {
            Caller::Left
        } else if self.deadline.is_some_and(|deadline| deadline <= now) {
            Caller::TooLate
        } else {
            Caller::Waits
        }
    }
}

impl Batcher {
    /// A batcher over `engines`, one an executor.
    #[must_use]
    pub fn new(
        model: String,
        engines: Vec<Box<dyn Engine>>,
        shape: RowShape,
        limits: BatchLimits,
        arrivals: Arc<Arrivals>,
        metrics: ModelMetrics,
    ) -> Self {
        let executors = engines
            .into_iter()
            .map(|engine| {
                Mutex::new(Executor {
                    engine,
                    features: Vec::new(),
                    scores: Vec::new(),
                })
            })
            .collect();
        Self {
            shared: Arc::new(Shared {
                model,
                shape,
                limits,
                arrivals,
                executors,
                busy: AtomicUsize::new(0),
                queue: Mutex::default(),
                batches: AtomicU64::new(0),
                waiting_rows: AtomicUsize::new(0),
                drain_pending: AtomicBool::new(false),
                refuses: AtomicBool::new(false),
                costs: RowCosts::default(),
                in_doubt: AtomicBool::new(false),
                metrics,
            }),
        }
    }

    /// Rows that wait.
    #[must_use]
    pub fn waiting_rows(&self) -> usize {
        self.shared.waiting_rows.load(Ordering::Relaxed)
    }

    /// Scores `rows` rows of row-major `features`.
    ///
    /// Dropping the future before it ends takes the rows out of the queue.
    ///
    /// # Errors
    /// The queue is full, the deadline passed, or the model failed.
    pub async fn score(
        &self,
        features: Vec<f32>,
        rows: usize,
        deadline: Option<Instant>,
    ) -> Result<Scored, ServeError> {
        self.score_as(Priority::Normal, features, rows, deadline)
            .await
    }

    /// Scores with a priority.
    ///
    /// # Errors
    /// As [`Self::score`].
    pub async fn score_as(
        &self,
        priority: Priority,
        features: Vec<f32>,
        rows: usize,
        deadline: Option<Instant>,
    ) -> Result<Scored, ServeError> {
        let admitted = Instant::now();
        let outcome = self
            .run_or_queue(priority, features, rows, (admitted, deadline))
            .await;
        if outcome.is_err() {
            self.shared.metrics.count_failure(admitted.elapsed());
        }
        outcome
    }

    async fn run_or_queue(
        &self,
        priority: Priority,
        features: Vec<f32>,
        rows: usize,
        (admitted, deadline): (Instant, Option<Instant>),
    ) -> Result<Scored, ServeError> {
        let shared = &self.shared;
        if deadline.is_some_and(|deadline| deadline <= admitted) {
            return Err(ServeError::DeadlinePassed {
                stage: "at admission",
            });
        }
        if shared.may_run_inline(rows)
            && !shared.has_burst()
            && let Some(claim) = Claim::take(shared)
        {
            return claim.run_one(&features, rows, admitted);
        }
        let (reply, receiver) = oneshot::channel();
        let job = Job {
            features,
            rows,
            admitted,
            deadline,
            reply,
        };
        if let Some(job) = shared.join_burst(priority, job) {
            shared.enqueue(priority, job);
            shared.call_for_drain();
        }
        receiver
            .await
            .unwrap_or_else(|_| Err(shared.engine_failed()))
    }
}

impl Shared {
    fn may_run_inline(&self, rows: usize) -> bool {
        self.arrivals.none()
            && self.waiting_rows.load(Ordering::Acquire) == 0
            && self.costs.fit(rows, INLINE_BUDGET)
    }

    /// Takes `job` in, or answers it with what there is no room for.
    fn enqueue(&self, priority: Priority, job: Job) {
        let mut queue = self.queue.lock();
        let waiting = self.waiting_rows.load(Ordering::Relaxed);
        // What is less urgent waits for this request, and not the other way round.
        let ahead = queue.get(..=priority as usize).unwrap_or_default();
        let is_full = waiting + job.rows > self.limits.queue_rows
            || (priority != Priority::High && self.waits_too_long(ahead));
        // A request larger than the whole queue may still come when nothing waits.
        if waiting > 0 && is_full {
            drop(queue);
            self.refuses.store(true, Ordering::Relaxed);
            self.metrics.rejected_queue_full.increment(1);
            let _ = job.reply.send(Err(ServeError::QueueFull {
                model: self.model.clone(),
                waiting,
                limit: self.limits.queue_rows,
                retry_after: self.time_to_drain(waiting),
            }));
            return;
        }
        self.set_waiting(waiting + job.rows);
        if let Some(lane) = queue.get_mut(priority as usize) {
            lane.rows += job.rows;
            lane.jobs.push_back(job);
        }
    }

    /// Whether one that comes now behind `ahead` would wait too long: by what rows cost, or because the oldest has waited
    /// so long already. What rows cost does not know of the processor time that others take. But what the next runs take
    /// whole is no reason to refuse, however old: the machine stood still, and goes on.
    fn waits_too_long(&self, ahead: &[Lane]) -> bool {
        let waiting: usize = ahead.iter().map(|lane| lane.rows).sum();
        let executors = self.executors.len().max(1);
        let slow_ns = self.costs.expected_ns(SLOW_ROWS);
        let longest_ns = (self.limits.queue_delay.as_nanos() as u64).max(slow_ns);
        if self.costs.expected_ns(waiting) / executors as u64 > longest_ns {
            return true;
        }
        let oldest = ahead.iter().filter_map(|lane| lane.jobs.front());
        let oldest = oldest.map(|job| job.admitted).min();
        waiting > executors * self.rows_of_a_run().max(SLOW_ROWS)
            && oldest.is_some_and(|admitted| admitted.elapsed().as_nanos() as u64 > longest_ns)
    }

    /// Rows that run together at most.
    fn rows_of_a_run(&self) -> usize {
        let budget_rows = (BATCH_BUDGET.as_nanos() as u64 / self.costs.row_ns()).max(1);
        self.limits.batch_rows.min(budget_rows as usize)
    }

    /// Call it with the queue locked.
    fn set_waiting(&self, rows: usize) {
        self.waiting_rows.store(rows, Ordering::SeqCst);
        self.metrics.waiting_rows.set(rows as f64);
    }

    /// In milliseconds, a power of two: refusals in a row are then the same message, which costs the network less.
    fn time_to_drain(&self, waiting: usize) -> Duration {
        let ns = self.costs.expected_ns(waiting) / self.executors.len().max(1) as u64;
        let ms = ns.div_ceil(1_000_000).clamp(1, LONGEST_RETRY_MS);
        Duration::from_millis(ms.next_power_of_two())
    }

    /// Starts a drain when rows wait and an executor is free: after the burst that this thread looks at, or as a task.
    fn call_for_drain(self: &Arc<Self>) {
        if !self.may_drain() {
            return;
        }
        let drain = || {
            let shared = Arc::clone(self);
            || shared.drain_after_burst()
        };
        if !arrivals::put_off(Arc::as_ptr(self).addr(), drain) {
            self.spawn_drain();
        }
    }

    fn may_drain(&self) -> bool {
        self.waiting_rows.load(Ordering::SeqCst) > 0
            && self.busy.load(Ordering::SeqCst) < self.executors.len()
    }

    fn drain_after_burst(self: Arc<Self>) {
        let waiting = self.waiting_rows.load(Ordering::Relaxed);
        if self.costs.fit(waiting, BURST_BUDGET) {
            self.drain();
        } else if self.may_drain() {
            // Who is to be refused has a right to hear of it first.
            self.spawn_drain();
        }
    }

    /// Starts a drain, unless one is on its way that no thread holds back.
    fn spawn_drain(self: &Arc<Self>) {
        if self.drain_pending.swap(true, Ordering::SeqCst) {
            return;
        }
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            // Whatever was read from the network together gets into the queue first.
            tokio::task::yield_now().await;
            shared.drain();
        });
    }

    fn drain(self: Arc<Self>) {
        let next_rows = {
            let queue = self.queue.lock();
            let heads = queue.iter().filter_map(|lane| lane.jobs.front());
            heads.map(|job| job.rows).max().unwrap_or(0)
        };
        let quick = self.costs.fit(next_rows, INLINE_BUDGET);
        let run = move || {
            self.drain_pending.store(false, Ordering::SeqCst);
            // Without a free executor the one that frees first looks at the queue again.
            if let Some(claim) = Claim::take(&self) {
                claim.run_batches();
            }
        };
        if quick {
            run();
        } else {
            tokio::task::spawn_blocking(run);
        }
    }

    /// Takes the jobs that run together; answers those whose caller left or whose deadline passed.
    fn take_batch(&self) -> Vec<Job> {
        let most_rows = self.rows_of_a_run();
        let now = Instant::now();
        let (mut batch, mut expired, mut rows) = (Vec::new(), Vec::new(), 0);
        let turn = self.batches.fetch_add(1, Ordering::Relaxed) % TURNS;
        {
            let mut queue = self.queue.lock();
            let mut left = 0;
            let lanes = if turn == TURNS - 1 {
                [2, 1, 0]
            } else {
                [0, 1, 2]
            };
            for lane in lanes {
                let Some(lane) = queue.get_mut(lane) else {
                    continue;
                };
                while let Some(job) = lane.jobs.front() {
                    let caller = job.caller(now);
                    if caller == Caller::Waits && rows > 0 && rows + job.rows > most_rows {
                        break;
                    }
                    let Some(job) = lane.jobs.pop_front() else {
                        break;
                    };
                    left += job.rows;
                    lane.rows -= job.rows;
                    if let Some(job) = self.keep_if_waited_for(job, caller, &mut expired) {
                        rows += job.rows;
                        batch.push(job);
                    }
                }
            }
            let waiting = self.waiting_rows.load(Ordering::Relaxed);
            self.set_waiting(waiting - left);
        }
        self.answer_expired(expired);
        batch
    }

    /// Gives `job` back if it shall run, and puts it into `expired` if its caller is to hear that it came too late.
    fn keep_if_waited_for(&self, job: Job, caller: Caller, expired: &mut Vec<Job>) -> Option<Job> {
        match caller {
            Caller::Waits => return Some(job),
            Caller::Left => self.metrics.cancelled.increment(1),
            Caller::TooLate => expired.push(job),
        }
        None
    }

    fn answer_expired(&self, expired: Vec<Job>) {
        for job in expired {
            self.metrics.expired.increment(1);
            let _ = job.reply.send(Err(ServeError::DeadlinePassed {
                stage: "in the queue",
            }));
        }
    }

    fn engine_failed(&self) -> ServeError {
        ServeError::Engine {
            model: self.model.clone(),
        }
    }
}
