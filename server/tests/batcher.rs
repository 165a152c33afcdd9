//! The batcher with engines made for the test: no model, no network.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use candlewire_server::{
    error::ServeError,
    scoring::{
        arrivals::Arrivals,
        batcher::{BatchLimits, Batcher, Priority},
        engine::{Engine, EngineError, RowShape},
    },
    telemetry::metrics::Metrics,
};
use proptest::prelude::*;
use tokio::{runtime::Runtime, task::JoinHandle};

const FEATURES: usize = 3;
const SCORES: usize = 2;
const BATCH_ROWS: usize = 16;
type Answer = Result<Vec<f32>, ServeError>;

/// What a row scores: a function of the row alone.
fn formula(row: &[f32]) -> [f32; SCORES] {
    [row.iter().sum::<f32>().sin(), row[0] * row[2]]
}

#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    runs: AtomicUsize,
    rows: AtomicUsize,
    largest: AtomicUsize,
}

impl Gate {
    fn set(&self, open: bool) {
        *self.open.lock().unwrap() = open;
        self.opened.notify_all();
    }

    async fn wait_for_runs(&self, runs: usize) {
        while self.runs.load(Ordering::SeqCst) < runs {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Scores by the formula, once its gate is open. A first feature of -1 panics, one of -2 fails.
struct Gated(Arc<Gate>);

impl Engine for Gated {
    fn score(
        &mut self,
        features: &[f32],
        rows: usize,
        scores: &mut [f32],
    ) -> Result<(), EngineError> {
        let gate = &self.0;
        gate.runs.fetch_add(1, Ordering::SeqCst);
        gate.rows.fetch_add(rows, Ordering::SeqCst);
        gate.largest.fetch_max(rows, Ordering::SeqCst);
        drop(
            gate.opened
                .wait_while(gate.open.lock().unwrap(), |open| !*open)
                .unwrap(),
        );
        for (row, scores) in features
            .chunks_exact(FEATURES)
            .zip(scores.chunks_exact_mut(SCORES))
        {
            assert!(row[0] != -1.0, "the engine was asked to panic");
            if row[0] == -2.0 {
                return Err(EngineError("the engine was asked to fail".into()));
            }
            scores.copy_from_slice(&formula(row));
        }
        Ok(())
    }
}

struct Bench {
    runtime: Runtime,
    batcher: Batcher,
    arrivals: Arc<Arrivals>,
    gate: Arc<Gate>,
}

impl Bench {
    fn new(executors: usize, queue_rows: usize, open: bool) -> Self {
        Self::with_delay(executors, queue_rows, open, Duration::from_mins(1))
    }

    fn with_delay(executors: usize, queue_rows: usize, open: bool, queue_delay: Duration) -> Self {
        let bench = Self::with_engines(executors, queue_rows, queue_delay, |gate| {
            Box::new(Gated(gate))
        });
        bench.gate.set(open);
        bench
    }

    /// A batcher whose engines wait at a closed gate.
    fn with_engines(
        executors: usize,
        queue_rows: usize,
        queue_delay: Duration,
        engine: impl Fn(Arc<Gate>) -> Box<dyn Engine>,
    ) -> Self {
        let gate = Arc::new(Gate::default());
        let arrivals = Arc::new(Arrivals::default());
        let batcher = Batcher::new(
            "test".into(),
            (0..executors).map(|_| engine(Arc::clone(&gate))).collect(),
            RowShape {
                features: FEATURES,
                scores: SCORES,
            },
            BatchLimits {
                batch_rows: BATCH_ROWS,
                queue_rows,
                queue_delay,
            },
            Arc::clone(&arrivals),
            Metrics::new().model("test", 1),
        );
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .build()
            .unwrap();
        Self {
            runtime,
            batcher,
            arrivals,
            gate,
        }
    }

    /// Starts a request on the runtime.
    fn request(&self, row: [f32; FEATURES], deadline: Option<Instant>) -> JoinHandle<Answer> {
        let batcher = self.batcher.clone();
        self.runtime.spawn(async move {
            batcher
                .score(row.to_vec(), 1, deadline)
                .await
                .map(|scored| scored.values)
        })
    }

    fn request_as(&self, priority: Priority, row: [f32; FEATURES]) -> JoinHandle<Answer> {
        let batcher = self.batcher.clone();
        self.runtime.spawn(async move {
            batcher
                .score_as(priority, row.to_vec(), 1, None)
                .await
                .map(|scored| scored.values)
        })
    }

    fn wait(&self, handle: JoinHandle<Answer>) -> Answer {
        let limited = async { tokio::time::timeout(Duration::from_secs(10), handle).await };
        self.runtime.block_on(limited).unwrap().unwrap()
    }

    /// Occupies the only executor with a request that waits at the gate.
    fn occupy(&self) -> JoinHandle<Answer> {
        let handle = self.request([0.5; FEATURES], None);
        self.runtime.block_on(self.gate.wait_for_runs(1));
        handle
    }

    fn wait_for_waiting(&self, rows: usize) {
        self.runtime.block_on(async {
            while self.batcher.waiting_rows() != rows {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
    }
}

impl Drop for Bench {
    /// A test that fails must not leave the runtime waiting for its gate.
    fn drop(&mut self) {
        self.gate.set(true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_row_scores_the_same_bits_in_any_company(
        rows in prop::collection::vec(prop::array::uniform3(-0.9f32..10.0), 1..200),
        executors in 1..4usize,
        announced in any::<bool>(),
    ) {
        let bench = Bench::new(executors, 10_000, true);
        // An announced request makes all others queue.
        let _announced = announced.then(|| bench.arrivals.announce());
        let handles: Vec<_> = rows.iter().map(|row| bench.request(*row, None)).collect();
        for (row, handle) in rows.iter().zip(handles) {
            let bits: Vec<u32> = bench.wait(handle).unwrap().into_iter().map(f32::to_bits).collect();
            prop_assert_eq!(bits, formula(row).map(f32::to_bits).to_vec());
        }
    }
}

#[test]
fn what_waits_runs_together_once_an_executor_frees() {
    let bench = Bench::new(1, 100, false);
    let occupied = bench.occupy();
    let waiting: Vec<_> = (0..10u8)
        .map(|i| bench.request([f32::from(i); FEATURES], None))
        .collect();
    bench.wait_for_waiting(10);
    bench.gate.set(true);
    for handle in waiting.into_iter().chain([occupied]) {
        bench.wait(handle).unwrap();
    }
    assert_eq!(bench.gate.rows.load(Ordering::SeqCst), 11);
    assert!(
        bench.gate.runs.load(Ordering::SeqCst) < 11,
        "what waited ran together"
    );
}

#[test]
fn a_full_queue_refuses_and_says_when_to_come_back() {
    let bench = Bench::new(1, 5, false);
    let occupied = bench.occupy();
    let waiting: Vec<_> = (0..5)
        .map(|_| bench.request([1.0; FEATURES], None))
        .collect();
    bench.wait_for_waiting(5);
    let refused = bench
        .wait(bench.request([1.0; FEATURES], None))
        .unwrap_err();
    let ServeError::QueueFull {
        waiting: rows,
        limit,
        retry_after,
        ..
    } = refused
    else {
        panic!("{refused}")
    };
    assert_eq!((rows, limit), (5, 5));
    assert!(retry_after >= Duration::from_millis(1));
    bench.gate.set(true);
    for handle in waiting.into_iter().chain([occupied]) {
        bench.wait(handle).unwrap();
    }
}

#[test]
fn a_passed_deadline_is_refused_at_admission() {
    let bench = Bench::new(1, 5, true);
    let refused = bench
        .wait(bench.request([1.0; FEATURES], Some(Instant::now())))
        .unwrap_err();
    assert!(matches!(
        refused,
        ServeError::DeadlinePassed {
            stage: "at admission"
        }
    ));
    assert_eq!(bench.gate.runs.load(Ordering::SeqCst), 0);
}

#[test]
fn a_deadline_that_passes_in_the_queue_costs_no_run() {
    let bench = Bench::new(1, 5, false);
    let occupied = bench.occupy();
    let deadline = Instant::now() + Duration::from_millis(20);
    let late = bench.request([1.0; FEATURES], Some(deadline));
    bench.wait_for_waiting(1);
    let passed = (deadline + Duration::from_millis(1)).into();
    bench
        .runtime
        .block_on(async { tokio::time::sleep_until(passed).await });
    bench.gate.set(true);
    assert!(matches!(
        bench.wait(late).unwrap_err(),
        ServeError::DeadlinePassed {
            stage: "in the queue"
        }
    ));
    bench.wait(occupied).unwrap();
    assert_eq!(bench.gate.rows.load(Ordering::SeqCst), 1);
}

#[test]
fn callers_that_left_cost_no_run() {
    let bench = Bench::new(1, 10_000, false);
    let occupied = bench.occupy();
    let vanishing: Vec<_> = (0..1_000)
        .map(|_| bench.request([1.0; FEATURES], None))
        .collect();
    bench.wait_for_waiting(1_000);
    for handle in &vanishing {
        handle.abort();
    }
    for handle in vanishing {
        assert!(bench.runtime.block_on(handle).unwrap_err().is_cancelled());
    }
    let stays = bench.request([2.0; FEATURES], None);
    bench.wait_for_waiting(1_001);
    bench.gate.set(true);
    assert_eq!(bench.wait(stays).unwrap(), formula(&[2.0; FEATURES]));
    bench.wait(occupied).unwrap();
    assert_eq!(
        bench.gate.rows.load(Ordering::SeqCst),
        2,
        "the first and the one that stayed"
    );
    bench.wait_for_waiting(0);
}

#[test]
fn a_panic_or_a_failure_ends_one_run_and_nothing_else() {
    let bench = Bench::new(2, 100, true);
    let mut announced = Some(bench.arrivals.announce());
    // First from the queue, then, once nothing is announced, inline.
    for _ in 0..2 {
        for bad in [-1.0, -2.0, -1.0] {
            let failed = bench
                .wait(bench.request([bad, 0.0, 0.0], None))
                .unwrap_err();
            assert!(matches!(failed, ServeError::Engine { .. }));
            let good = bench.wait(bench.request([1.0; FEATURES], None)).unwrap();
            assert_eq!(good, formula(&[1.0; FEATURES]));
        }
        announced = None;
    }
    assert!(announced.is_none() && bench.arrivals.none());
}

#[test]
fn a_request_larger_than_a_batch_runs_whole() {
    let bench = Bench::new(1, 5, true);
    let rows = 1_000;
    let features: Vec<f32> = (0..rows * FEATURES).map(|i| i as f32 * 0.01).collect();
    let scored = bench
        .runtime
        .block_on(bench.batcher.score(features.clone(), rows, None))
        .unwrap();
    let expected: Vec<f32> = features.chunks_exact(FEATURES).flat_map(formula).collect();
    assert_eq!(scored.values, expected);
}

#[test]
fn what_would_wait_too_long_is_refused_but_bars_are_not() {
    let bench = Bench::with_delay(1, 100_000, false, Duration::from_secs(1));
    let occupied = bench.occupy();
    // A row is thought to cost 20 microseconds before the first run ends: so many of them wait longer than a second.
    let rows = 51_000;
    let batcher = bench.batcher.clone();
    let features = vec![1.0; rows * FEATURES];
    let waiting = bench
        .runtime
        .spawn(async move { batcher.score(features, rows, None).await });
    bench.wait_for_waiting(rows);
    let refused = bench
        .wait(bench.request([1.0; FEATURES], None))
        .unwrap_err();
    assert!(
        matches!(refused, ServeError::QueueFull { waiting, .. } if waiting == rows),
        "{refused}"
    );
    let bar = bench.request_as(Priority::High, [1.0; FEATURES]);
    bench.wait_for_waiting(rows + 1);
    bench.gate.set(true);
    for handle in [occupied, bar] {
        bench.wait(handle).unwrap();
    }
    let scored = bench.runtime.block_on(waiting).unwrap().unwrap();
    assert_eq!(scored.values.len(), rows * SCORES);
}

#[test]
fn rows_are_refused_while_the_oldest_has_waited_too_long_whatever_they_are_thought_to_cost() {
    let delay = Duration::from_millis(50);
    let bench = Bench::with_delay(1, 10_000, false, delay);
    let occupied = bench.occupy();
    // One more than the next run takes.
    let rows = BATCH_ROWS + 1;
    let waiting: Vec<_> = (0..rows)
        .map(|_| bench.request([1.0; FEATURES], None))
        .collect();
    bench.wait_for_waiting(rows);
    std::thread::sleep(delay * 2);
    let late = bench.wait(bench.request([2.0; FEATURES], None));
    assert!(
        matches!(late, Err(ServeError::QueueFull { waiting, .. }) if waiting == rows),
        "{late:?}"
    );
    let bar = bench.request_as(Priority::High, [3.0; FEATURES]);
    bench.wait_for_waiting(rows + 1);
    bench.gate.set(true);
    for handle in waiting.into_iter().chain([occupied, bar]) {
        bench.wait(handle).unwrap();
    }
}

#[test]
fn a_stall_refuses_nobody_while_the_next_run_takes_all_that_wait() {
    let delay = Duration::from_millis(50);
    let bench = Bench::with_delay(1, 10_000, false, delay);
    let occupied = bench.occupy();
    let oldest = bench.request([1.0; FEATURES], None);
    bench.wait_for_waiting(1);
    // The machine stands still: the row is old, though next to nothing waits.
    std::thread::sleep(delay * 2);
    let mut handles = vec![occupied, oldest];
    for waiting in 2..=BATCH_ROWS {
        let handle = bench.request([2.0; FEATURES], None);
        while bench.batcher.waiting_rows() != waiting {
            assert!(!handle.is_finished(), "refused behind {} rows", waiting - 1);
            std::thread::sleep(Duration::from_millis(1));
        }
        handles.push(handle);
    }
    bench.gate.set(true);
    for handle in handles {
        bench.wait(handle).unwrap();
    }
}

#[test]
fn what_is_less_urgent_fills_the_queue_for_nobody_else() {
    let bench = Bench::with_delay(1, 100_000, false, Duration::from_millis(200));
    let occupied = bench.occupy();
    // A row is thought to cost 20 microseconds before the first run ends: so many take longer than 200 ms.
    let (batcher, rows) = (bench.batcher.clone(), 10_001);
    let least_urgent = bench.runtime.spawn(async move {
        let features = vec![1.0; rows * FEATURES];
        let scored = batcher
            .score_as(Priority::Low, features, rows, None)
            .await?;
        Ok(scored.values)
    });
    bench.wait_for_waiting(rows);
    let refused = bench
        .wait(bench.request_as(Priority::Low, [1.0; FEATURES]))
        .unwrap_err();
    assert!(matches!(refused, ServeError::QueueFull { .. }), "{refused}");
    let usual = bench.request([2.0; FEATURES], None);
    while bench.batcher.waiting_rows() != rows + 1 {
        assert!(!usual.is_finished(), "refused for what waits behind it");
        std::thread::sleep(Duration::from_millis(1));
    }
    bench.gate.set(true);
    assert_eq!(bench.wait(usual).unwrap(), formula(&[2.0; FEATURES]));
    for handle in [least_urgent, occupied] {
        bench.wait(handle).unwrap();
    }
}

#[test]
fn urgent_rows_run_before_those_that_came_earlier() {
    let bench = Bench::new(1, 10_000, false);
    let occupied = bench.occupy();
    let finished = Arc::new(Mutex::new(Vec::new()));
    let mut handles = Vec::new();
    // So many urgent ones fill the next batch.
    for (priority, rows) in [
        (Priority::Low, BATCH_ROWS),
        (Priority::Normal, BATCH_ROWS),
        (Priority::High, BATCH_ROWS),
    ] {
        for _ in 0..rows {
            let before = bench.batcher.waiting_rows();
            let (batcher, finished) = (bench.batcher.clone(), Arc::clone(&finished));
            handles.push(bench.runtime.spawn(async move {
                let scored = batcher
                    .score_as(priority, vec![1.0; FEATURES], 1, None)
                    .await;
                finished
                    .lock()
                    .unwrap()
                    .push((scored.unwrap().queued, priority));
            }));
            bench.wait_for_waiting(before + 1);
        }
    }
    bench.gate.set(true);
    bench.wait(occupied).unwrap();
    for handle in handles {
        bench.runtime.block_on(handle).unwrap();
    }
    let finished = finished.lock().unwrap();
    let waited = |wanted: Priority| {
        finished
            .iter()
            .filter(move |(_, priority)| *priority == wanted)
            .map(|(queued, _)| *queued)
    };
    // Later in the queue and sooner in the model: urgent rows waited less than any other.
    assert!(waited(Priority::High).max() < waited(Priority::Normal).min());
    assert!(waited(Priority::Normal).max() < waited(Priority::Low).min());
}

/// Takes long and costs nothing: what a run looks like while others have the processor.
struct Waiting(Arc<Gate>);

impl Engine for Waiting {
    fn score(
        &mut self,
        features: &[f32],
        rows: usize,
        scores: &mut [f32],
    ) -> Result<(), EngineError> {
        std::thread::sleep(Duration::from_millis(2));
        Gated(Arc::clone(&self.0)).score(features, rows, scores)
    }
}

#[test]
fn batches_stay_as_large_while_others_take_the_processor() {
    let bench = Bench::with_engines(1, 10_000, Duration::from_mins(1), |gate| {
        Box::new(Waiting(gate))
    });
    bench.gate.set(true);
    // An announced request makes all others queue.
    let _announced = bench.arrivals.announce();
    let rows = 40 * BATCH_ROWS;
    let handles: Vec<_> = (0..rows)
        .map(|_| bench.request([1.0; FEATURES], None))
        .collect();
    for handle in handles {
        bench.wait(handle).unwrap();
    }
    let runs = bench.gate.runs.load(Ordering::SeqCst);
    assert!(runs <= 80, "{rows} rows took {runs} runs");
}

#[test]
fn single_rows_that_others_held_up_make_no_row_dear() {
    let bench = Bench::with_engines(1, 10_000, Duration::from_secs(1), |gate| {
        Box::new(Waiting(gate))
    });
    bench.gate.set(true);
    for _ in 0..100 {
        bench.wait(bench.request([1.0; FEATURES], None)).unwrap();
    }
    bench.gate.set(false);
    // At the two milliseconds that each took, a thousand would wait for longer than a second.
    let handles: Vec<_> = (0..1_000)
        .map(|_| bench.request([1.0; FEATURES], None))
        .collect();
    while bench.batcher.waiting_rows() < 999 {
        let refused = handles.iter().any(JoinHandle::is_finished);
        assert!(!refused, "refused behind {}", bench.batcher.waiting_rows());
        std::thread::sleep(Duration::from_millis(1));
    }
    bench.gate.set(true);
    for handle in handles {
        bench.wait(handle).unwrap();
    }
}

#[test]
fn a_slow_model_does_not_hold_up_a_fast_one() {
    let slow = Bench::new(2, 10_000, false);
    let fast = Bench::new(2, 10_000, true);
    // Both on one runtime; the slow model is known to be slow from its first run.
    let stuck: Vec<_> = (0..8)
        .map(|_| {
            let batcher = slow.batcher.clone();
            fast.runtime.spawn(async move {
                batcher
                    .score(vec![1.0; 1_000 * FEATURES], 1_000, None)
                    .await
            })
        })
        .collect();
    fast.runtime.block_on(slow.gate.wait_for_runs(1));
    for _ in 0..100 {
        let scored = fast.wait(fast.request([1.0; FEATURES], None)).unwrap();
        assert_eq!(scored, formula(&[1.0; FEATURES]));
    }
    assert!(stuck.iter().all(|handle| !handle.is_finished()));
    slow.gate.set(true);
    for handle in stuck {
        fast.runtime.block_on(handle).unwrap().unwrap();
    }
}
