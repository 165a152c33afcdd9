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

use arrow_schema::{ArrowError, DataType};
use metrics::Counter;
use parking_lot::{Condvar, Mutex};

use super::{
    decisions::DecisionRecord,
    record::{Record, Value},
    segments::Segments,
    writer::JournalSettings,
};
use crate::scoring::decision::Decision;

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
    scores: Vec<(u64, LoggedScore)>,
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
                closed: false,
            }),
            Condvar::new(),
        ));
        let segments = Segments::new(
            &settings.folder,
            settings.segment_bytes,
            settings.decision_segments,
        );
        let (taken, counters) = (Arc::clone(&queue), metrics.clone());
        let thread = std::thread::Builder::new()
            .name("scores".into())
            .spawn(move || write_all(&taken, segments, &counters))?;
        // Numbers go on from the clock: a restart need not read what was written.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Ok(Self {
            queue,
            next_id: AtomicU64::new(now.map_or(1, |elapsed| elapsed.as_nanos() as u64)),
            metrics,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Queues one decision; its identifier, or zero when it is lost.
    pub fn push(&self, mut score: LoggedScore) -> u64 {
        let (queue, work) = &*self.queue;
        let mut queue = queue.lock();
        if queue.closed || queue.scores.len() >= QUEUED {
            drop(queue);
            self.metrics.lost.increment(1);
            return 0;
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        score.decision.id = id;
        queue.scores.push((id, score));
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
            (std::mem::take(&mut queue.scores), queue.closed)
        };
        for batch in scores.chunks(BATCH_RECORDS) {
            let outcome = write(&mut segments, batch);
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

fn write(
    segments: &mut Segments<ScoreRecord>,
    batch: &[(u64, LoggedScore)],
) -> Result<(), ArrowError> {
    let records: Vec<ScoreRecord> = batch
        .iter()
        .map(|(_, score)| {
            ScoreRecord(DecisionRecord::of(
                &score.symbol,
                &score.timeframe,
                &score.features,
                &score.decision,
            ))
        })
        .collect();
    segments.append(&records)
}
