//! Requests that one thread looks at together, with an engine made for the test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops where something is wrong"
)]

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use candlewire_server::{
    error::ServeError,
    scoring::{
        arrivals::{self, Arrivals},
        batcher::{BatchLimits, Batcher, Priority, Scored},
        engine::{Engine, EngineError, RowShape},
    },
    telemetry::metrics::Metrics,
};
use tokio::runtime::{Builder, Runtime};

const BATCH_ROWS: usize = 18;
const QUEUE_ROWS: usize = 10;
/// Rows from which on a burst runs alone whatever they cost.
const ALONE_ROWS: u8 = 16;
/// A row that keeps its engine until the test lets it go.
const HELD: f32 = -1.0;

type Answer = Result<Scored, ServeError>;
type Asked = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Doubles, and writes down how many rows ran together.
struct Doubling {
    /// What a run takes, however many its rows are.
    run_cost: Duration,
    runs: Arc<Mutex<Vec<usize>>>,
    release: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl Engine for Doubling {
    fn score(&mut self, rows: &[f32], count: usize, scores: &mut [f32]) -> Result<(), EngineError> {
        self.runs.lock().unwrap().push(count);
        if rows[0] == HELD {
            self.release.lock().unwrap().recv().unwrap();
        }
        let began = Instant::now();
        while began.elapsed() < self.run_cost {
            std::hint::spin_loop();
        }
        for (row, score) in rows.iter().zip(scores) {
            *score = 2.0 * row;
        }
        Ok(())
    }
}

struct Bench {
    runtime: Runtime,
    arrivals: Arc<Arrivals>,
    batcher: Batcher,
    runs: Arc<Mutex<Vec<usize>>>,
    release: mpsc::Sender<()>,
}

impl Bench {
    fn new() -> Self {
        Self::of_cost(Duration::ZERO, Runtime::new().unwrap())
    }

    fn of_cost(run_cost: Duration, runtime: Runtime) -> Self {
        let runs = Arc::new(Mutex::new(Vec::new()));
        let (release, released) = mpsc::channel();
        let arrivals = Arc::new(Arrivals::default());
        let engine = Doubling {
            run_cost,
            runs: Arc::clone(&runs),
            release: Arc::new(Mutex::new(released)),
        };
        let batcher = Batcher::new(
            "test".into(),
            vec![Box::new(engine)],
            RowShape {
                features: 1,
                scores: 1,
            },
            BatchLimits {
                batch_rows: BATCH_ROWS,
                queue_rows: QUEUE_ROWS,
                queue_delay: Duration::from_mins(1),
            },
            Arc::clone(&arrivals),
            Metrics::new().model("test", 1),
        );
        let bench = Self {
            runtime,
            arrivals,
            batcher,
            runs,
            release,
        };
        // A row is thought to take long before the first ones have run.
        for _ in 0..100 {
            bench.wait(bench.ask(0.0, None)).unwrap();
        }
        bench.runs();
        bench
    }

    fn ask(&self, row: f32, deadline: Option<Instant>) -> Asked {
        self.ask_as(Priority::Normal, row, deadline)
    }

    fn ask_as(&self, priority: Priority, row: f32, deadline: Option<Instant>) -> Asked {
        let batcher = self.batcher.clone();
        Box::pin(async move { batcher.score_as(priority, vec![row], 1, deadline).await })
    }

    fn runs(&self) -> Vec<usize> {
        std::mem::take(&mut *self.runs.lock().unwrap())
    }

    fn wait(&self, asked: Asked) -> Answer {
        self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(20), asked)
                .await
                .expect("no request waits for ever")
        })
    }
}

fn look_at(asked: &mut Asked) -> Poll<Answer> {
    asked.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Looks at requests together: none is answered before all have been seen.
fn look_together(bench: &Bench, asked: &mut [Asked]) {
    let _runtime = bench.runtime.enter();
    let _another = bench.arrivals.announce();
    arrivals::together(|| {
        for asked in asked {
            assert!(look_at(asked).is_pending());
        }
    });
}

fn answered(asked: &mut Asked) -> Answer {
    let Poll::Ready(answer) = look_at(asked) else {
        panic!("the burst has run");
    };
    answer
}

#[test]
fn what_is_looked_at_together_runs_together_on_the_same_thread() {
    let bench = Bench::new();
    for rows in [2, 5, ALONE_ROWS, 17, 18] {
        let mut asked: Vec<Asked> = (0..rows).map(|row| bench.ask(row.into(), None)).collect();
        look_together(&bench, &mut asked);
        for (row, asked) in asked.iter_mut().enumerate() {
            let scored = answered(asked).unwrap();
            assert_eq!(scored.values, [2.0 * row as f32]);
            assert_eq!(scored.batch_rows, usize::from(rows));
        }
        assert_eq!(bench.runs(), [usize::from(rows)]);
        assert_eq!(bench.batcher.waiting_rows(), 0);
    }
}

#[test]
fn more_than_runs_together_queues_and_so_does_what_is_not_as_urgent() {
    let bench = Bench::new();
    let mut asked: Vec<Asked> = (0_u8..22).map(|row| bench.ask(row.into(), None)).collect();
    look_together(&bench, &mut asked);
    for (row, asked) in asked.into_iter().enumerate() {
        assert_eq!(bench.wait(asked).unwrap().values, [2.0 * row as f32]);
    }
    assert_eq!(bench.runs().iter().sum::<usize>(), 22);
    let low = bench.ask_as(Priority::Low, 1.0, None);
    let mut asked = [bench.ask(0.0, None), low, bench.ask(2.0, None)];
    look_together(&bench, &mut asked);
    for (row, asked) in asked.into_iter().enumerate() {
        assert_eq!(bench.wait(asked).unwrap().values, [2.0 * row as f32]);
    }
}

#[test]
fn who_left_or_is_late_costs_no_run() {
    let bench = Bench::new();
    let soon = Instant::now() + Duration::from_millis(20);
    let mut asked: Vec<Asked> = (0..ALONE_ROWS + 2)
        .map(|row| bench.ask(row.into(), (row == 1).then_some(soon)))
        .collect();
    let another = bench.arrivals.announce();
    arrivals::together(|| {
        for asked in &mut asked {
            assert!(look_at(asked).is_pending());
        }
        drop(asked.pop());
        thread::sleep(Duration::from_millis(25));
    });
    drop(another);
    assert_eq!(answered(&mut asked[0]).unwrap().values, [0.0]);
    assert!(matches!(
        answered(&mut asked[1]),
        Err(ServeError::DeadlinePassed {
            stage: "in the queue"
        })
    ));
    assert_eq!(bench.runs(), [usize::from(ALONE_ROWS)]);
}

#[test]
fn a_few_rows_queue_where_they_would_cost_less_among_others() {
    // Nothing runs on this runtime before somebody waits on it.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let bench = Bench::of_cost(Duration::from_micros(20), runtime);
    let mut asked: Vec<Asked> = (0_u8..4).map(|row| bench.ask(row.into(), None)).collect();
    look_together(&bench, &mut asked);
    assert_eq!(bench.batcher.waiting_rows(), 4);
    for (row, asked) in asked.into_iter().enumerate() {
        assert_eq!(bench.wait(asked).unwrap().values, [2.0 * row as f32]);
    }
    assert_eq!(bench.runs(), [4]);
}

#[test]
fn a_burst_that_finds_no_engine_free_queues_within_the_bounds_of_the_queue() {
    let bench = Bench::new();
    let held = bench.runtime.spawn(bench.ask(HELD, None));
    while bench.runs.lock().unwrap().is_empty() {
        thread::yield_now();
    }
    let mut asked: Vec<Asked> = (0_u8..17).map(|row| bench.ask(row.into(), None)).collect();
    look_together(&bench, &mut asked);
    assert_eq!(bench.batcher.waiting_rows(), QUEUE_ROWS);
    for asked in asked.drain(QUEUE_ROWS..) {
        assert!(matches!(
            bench.wait(asked),
            Err(ServeError::QueueFull { .. })
        ));
    }
    bench.release.send(()).unwrap();
    assert_eq!(
        bench.runtime.block_on(held).unwrap().unwrap().values,
        [-2.0]
    );
    for (row, asked) in asked.into_iter().enumerate() {
        assert_eq!(bench.wait(asked).unwrap().values, [2.0 * row as f32]);
    }
    assert_eq!(bench.runs(), [1, QUEUE_ROWS]);
}
