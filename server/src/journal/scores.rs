//! The log of decisions that answered requests, and of shadow versions: written in batches, off the path of requests.
//!
//! A restart does not need them, so nothing waits for them: what cannot be queued or written is lost, and counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use arrow_schema::DataType;
use metrics::Counter;
use parking_lot::{Condvar, Mutex};

use super::{
    decisions::DecisionRecord,
    record::{Record, Value},
    segments::{Segments, above_all},
    writer::JournalSettings,
};
use crate::{
    models::{loaded::LoadedModel, registry::Role},
    scoring::{
        decision::{self, Decision, Standing, Timings},
        engine::RowScore,
    },
};

/// Scores that may wait for the writer.
const QUEUED: usize = 65_536;
/// Scores gather this long before they are written together.
const GATHER: Duration = Duration::from_millis(20);
/// Most scores in one batch of a segment.
const BATCH_RECORDS: usize = 4_096;

/// One decision outside the bar path.
pub struct LoggedScore {
    /// Symbol; empty when the caller named none.
    pub symbol: String,
    /// Timeframe; empty when the caller named none.
    pub timeframe: String,
    /// The features scored.
    pub features: Vec<f32>,
    /// What was decided.
    pub decision: Decision,
}

/// Rows that were scored together and answered together.
pub struct LoggedRows {
    /// Symbol; empty when the caller named none.
    pub symbol: String,
    /// Timeframe; empty when the caller named none.
    pub timeframe: String,
    /// The features scored, row after row.
    pub features: Vec<f32>,
    /// The graph's outputs, row after row.
    pub values: Vec<f32>,
    /// The version that scored.
    pub model: Arc<LoadedModel>,
    /// Role in which it scored.
    pub role: Role,
    /// How its bands stood.
    pub standing: Standing,
    /// Where the time went.
    pub timings: Timings,
}

impl LoggedRows {
    fn rows(&self) -> usize {
        self.values.len() / self.model.layout.width().max(1)
    }

    /// The decisions as they were answered, the first under `first_id`.
    fn records(&self, first_id: u64) -> impl Iterator<Item = ScoreRecord> {
        let model = &self.model;
        let rows = self.values.chunks_exact(model.layout.width().max(1));
        let features = self.features.chunks_exact(model.spec.len().max(1));
        (first_id..)
            .zip(rows.zip(features))
            .map(|(id, (values, features))| {
                let reading =
                    decision::read(model, RowScore::new(model.layout, values), self.standing);
                let decision = Decision {
                    model: Arc::clone(model),
                    role: self.role,
                    values: values.to_vec(),
                    verdict: reading.verdict,
                    band: reading.band,
                    width_multiplier: reading.width_multiplier,
                    id,
                    coverage: reading.coverage,
                    distrust: reading.distrust,
                    reference_price: 0.0,
                    bar_open_time_ns: 0,
                    timings: self.timings,
                };
                let record = DecisionRecord::of(&self.symbol, &self.timeframe, features, &decision);
                ScoreRecord(record)
            })
    }
}

/// What waits for the writer.
enum Logged {
    One(Box<LoggedScore>),
    Rows(Box<LoggedRows>),
}

/// A row of the log: a decision under a name of its own, so that bars keep their numbers without gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRecord(pub DecisionRecord);

impl Record for ScoreRecord {
    const NAME: &'static str = "scores";
    const WITHOUT_GAPS: bool = false;
    const COLUMNS: &'static [(&'static str, DataType)] = DecisionRecord::COLUMNS;

    fn sequence(&self) -> u64 {
        self.0.sequence()
    }

    fn values(&self) -> Vec<Value<'_>> {
        self.0.values()
    }

    fn from_values(values: &[Value<'_>]) -> Option<Self> {
        DecisionRecord::from_values(values).map(Self)
    }
}

/// Counters of the log.
#[derive(Clone)]
pub struct ScoreLogMetrics {
    pub(crate) written: Counter,
    pub(crate) lost: Counter,
}

struct Queue {
    scores: Vec<(u64, Logged)>,
    rows: usize,
    closed: bool,
}

/// A log that is being written.
pub struct ScoreLog {
    queue: Arc<(Mutex<Queue>, Condvar)>,
    next_id: AtomicU64,
    metrics: ScoreLogMetrics,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl ScoreLog {
    /// Starts the thread that writes into the folder of the journal, which the caller has to itself.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(settings: &JournalSettings, metrics: ScoreLogMetrics) -> std::io::Result<Self> {
        let queue = Arc::new((
            Mutex::new(Queue {
                scores: Vec::new(),
                rows: 0,
                closed: false,
            }),
            Condvar::new(),
        ));
        let segments = Segments::new(settings, settings.decision_segments);
        let (taken, counters) = (Arc::clone(&queue), metrics.clone());
        let thread = std::thread::Builder::new()
            .name("scores".into())
            .spawn(move || write_all(&taken, segments, &counters))?;
        // Numbers go on from the clock: a restart need not read what was written. Should the clock have gone back, they
        // go on behind what is there.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let taken = above_all::<ScoreRecord>(&settings.folder)?;
        Ok(Self {
            queue,
            next_id: AtomicU64::new(
                now.map_or(1, |elapsed| elapsed.as_nanos() as u64)
                    .max(taken),
            ),
            metrics,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Queues one decision; its identifier, or zero when it is lost.
    pub fn push(&self, score: LoggedScore) -> u64 {
        self.push_any(1, Logged::One(Box::new(score)))
    }

    /// Queues rows that were answered together; the identifier of the first, or zero when they are lost.
    pub fn push_rows(&self, rows: LoggedRows) -> u64 {
        self.push_any(rows.rows(), Logged::Rows(Box::new(rows)))
    }

    fn push_any(&self, rows: usize, mut logged: Logged) -> u64 {
        let (queue, work) = &*self.queue;
        let mut queue = queue.lock();
        // More rows than the whole queue holds may still come when nothing waits.
        if queue.closed || (queue.rows > 0 && queue.rows + rows > QUEUED) {
            drop(queue);
            self.metrics.lost.increment(rows as u64);
            return 0;
        }
        let id = self.next_id.fetch_add(rows as u64, Ordering::Relaxed);
        if let Logged::One(score) = &mut logged {
            score.decision.id = id;
        }
        queue.rows += rows;
        queue.scores.push((id, logged));
        if queue.scores.len() == 1 {
            work.notify_one();
        }
        id
    }

    /// Writes what is queued and ends the thread.
    pub fn close(&self) {
        self.queue.0.lock().closed = true;
        self.queue.1.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // A thread that panicked wrote what it could.
            let _ = thread.join();
        }
    }
}

fn write_all(
    shared: &(Mutex<Queue>, Condvar),
    mut segments: Segments<ScoreRecord>,
    metrics: &ScoreLogMetrics,
) {
    let (queue, work) = shared;
    let mut healthy = true;
    loop {
        let (scores, closed) = {
            let mut queue = queue.lock();
            while queue.scores.is_empty() && !queue.closed {
                work.wait(&mut queue);
            }
            if !queue.closed {
                parking_lot::MutexGuard::unlocked(&mut queue, || std::thread::sleep(GATHER));
            }
            queue.rows = 0;
            (std::mem::take(&mut queue.scores), queue.closed)
        };
        let mut records = scores.iter().flat_map(|(id, logged)| records(*id, logged));
        loop {
            let batch: Vec<ScoreRecord> = records.by_ref().take(BATCH_RECORDS).collect();
            if batch.is_empty() {
                break;
            }
            let outcome = segments.append(&batch);
            let counter = if outcome.is_ok() {
                &metrics.written
            } else {
                &metrics.lost
            };
            counter.increment(batch.len() as u64);
            if let Err(error) = &outcome {
                segments.abandon();
                if healthy {
                    tracing::error!(%error, "the log of scores cannot be written; scoring goes on, decisions are lost");
                }
            }
            healthy = outcome.is_ok();
        }
        if closed {
            if let Err(error) = segments.close() {
                tracing::error!(%error, "the last segment of the log of scores was not ended");
            }
            return;
        }
    }
}

fn records(id: u64, logged: &Logged) -> Box<dyn Iterator<Item = ScoreRecord> + '_> {
    match logged {
        Logged::Rows(rows) => Box::new(rows.records(id)),
        Logged::One(score) => Box::new(std::iter::once(ScoreRecord(DecisionRecord::of(
            &score.symbol,
            &score.timeframe,
            &score.features,
            &score.decision,
        )))),
    }
}
