//! Keeps the bar path over restarts: takes up the newest snapshot, replays what came after, writes what comes.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::{Handle, Runtime};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    bars::pipeline::Pipeline,
    journal::{
        bars::BarRecord,
        decisions::DecisionRecord,
        scores::{ScoreLog, ScoreRecord},
        segments::{retire_aged, retire_until, visit_after},
        snapshot,
        writer::{FolderLock, Journal, JournalError, JournalSettings},
    },
    memory::give_back,
    scoring::shadow::Shadows,
    telemetry::metrics::Metrics,
};

/// Time between looks for segments that grew old.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);

/// Bars of the journal that are taken in together at a start.
const REPLAYED_TOGETHER: usize = 4_096;

/// What health calls the journal.
pub(crate) const JOURNAL: &str = "journal";

/// Everything that is written down, and the shadow versions whose decisions are.
pub(crate) struct Records {
    keeper: Option<Arc<Keeper>>,
    /// Decisions outside the bar path.
    pub(crate) score_log: Option<Arc<ScoreLog>>,
    /// Shadow versions.
    pub(crate) shadows: Shadows,
}

impl Records {
    /// Takes in what the journal holds, when there is one, and writes from now on.
    pub(crate) fn open(
        runtime: &Runtime,
        pipeline: &Arc<Pipeline>,
        health: &HealthReporter,
        journal: Option<JournalSettings>,
        metrics: &Metrics,
    ) -> Result<Self, JournalError> {
        let (mut keeper, mut score_log) = (None, None);
        if let Some(settings) = journal {
            if let Some(keep) = settings.keep {
                runtime.spawn(sweep(settings.folder.clone(), keep));
            }
            let kept = keep_journal(runtime, pipeline, health, settings.clone(), metrics)?;
            keeper = Some(kept);
            let log = ScoreLog::start(&settings, metrics.score_log())
                .map_err(|error| JournalError::Io(settings.folder, error))?;
            score_log = Some(Arc::new(log));
        }
        let shadows = {
            let _runtime = runtime.enter();
            Shadows::start(score_log.clone())
        };
        pipeline.shadow_with(shadows.clone());
        Ok(Self {
            keeper,
            score_log,
            shadows,
        })
    }

    /// Takes a last snapshot and ends what is written.
    pub(crate) fn close(&self, runtime: &Runtime, pipeline: &Arc<Pipeline>) {
        if let Some(keeper) = &self.keeper {
            runtime.block_on(keeper.take(pipeline));
        }
        if let Some(journal) = pipeline.journal() {
            journal.close();
        }
        if let Some(log) = &self.score_log {
            log.close();
        }
    }
}

/// Removes segments that are older than `keep`, now and from time to time.
async fn sweep(folder: PathBuf, keep: Duration) {
    loop {
        let swept = folder.clone();
        let outcome = tokio::task::spawn_blocking(move || {
            let done = snapshot::done_until(&swept)?;
            Ok(retire_aged::<BarRecord>(&swept, keep, done)?
                + retire_aged::<DecisionRecord>(&swept, keep, u64::MAX)?
                + retire_aged::<ScoreRecord>(&swept, keep, u64::MAX)?)
        });
        match outcome.await {
            Ok(Ok(0)) => {}
            Ok(Ok(segments)) => tracing::info!(segments, "segments grew old and were removed"),
            Ok(Err::<_, io::Error>(error)) => {
                tracing::warn!(%error, "old segments stay: the journal's folder cannot be swept");
            }
            Err(_) => return,
        }
        tokio::time::sleep(SWEEP_INTERVAL).await;
    }
}

/// Takes snapshots of a bar path beside its journal.
struct Keeper {
    folder: PathBuf,
    bar_segments: usize,
    interval: Duration,
    taken_at: tokio::sync::Mutex<u64>,
}

/// Takes in what the journal holds, then writes to it.
fn keep_journal(
    runtime: &Runtime,
    pipeline: &Arc<Pipeline>,
    health: &HealthReporter,
    settings: JournalSettings,
    metrics: &Metrics,
) -> Result<Arc<Keeper>, JournalError> {
    let started = Instant::now();
    let folder = settings.folder.clone();
    let failed = |error| JournalError::Io(folder.clone(), error);
    let lock = FolderLock::take(&folder)?;
    let restored = take_up(&folder, pipeline).map_err(failed)?;
    let mut replayed = Replayed {
        waiting: Vec::new(),
        newest: restored,
        bars: 0,
        unscored: 0,
    };
    let torn = visit_after::<BarRecord>(&folder, restored, |records| {
        replayed.take(records, REPLAYED_TOGETHER, runtime, pipeline);
    });
    for torn in torn.map_err(failed)? {
        tracing::warn!(segment = %torn.display(), "the segment is torn or follows on a gap; what is whole is used");
    }
    replayed.take(Vec::new(), 1, runtime, pipeline);
    let Replayed {
        newest,
        bars,
        unscored,
        ..
    } = replayed;
    tracing::info!(
        snapshot = restored,
        bars,
        unscored,
        milliseconds = started.elapsed().as_millis() as u64,
        "journal replayed"
    );
    let (handle, health) = (runtime.handle().clone(), health.clone());
    let report = move |healthy| {
        let (status, health) = (
            if healthy {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            },
            health.clone(),
        );
        handle.spawn(async move { health.set_service_status(JOURNAL, status).await });
    };
    let keeper = Arc::new(Keeper {
        folder: folder.clone(),
        bar_segments: settings.bar_segments,
        interval: settings.snapshot_interval,
        taken_at: tokio::sync::Mutex::new(restored),
    });
    let journal =
        Journal::start(settings, lock, newest + 1, metrics.journal(), report).map_err(failed)?;
    pipeline.keep_in(journal);
    if !keeper.interval.is_zero() {
        let (keeper, pipeline) = (Arc::clone(&keeper), Arc::clone(pipeline));
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(keeper.interval).await;
                keeper.take(&pipeline).await;
            }
        });
    }
    Ok(keeper)
}

/// What was taken in of a journal.
struct Replayed {
    waiting: Vec<BarRecord>,
    newest: u64,
    bars: usize,
    unscored: usize,
}

impl Replayed {
    /// Takes in `records` with those before, once there are `enough` of them.
    fn take(
        &mut self,
        mut records: Vec<BarRecord>,
        enough: usize,
        runtime: &Runtime,
        pipeline: &Pipeline,
    ) {
        self.waiting.append(&mut records);
        if self.waiting.len() < enough {
            return;
        }
        let newest = self.waiting.last().map(|record| record.sequence);
        self.newest = newest.unwrap_or(self.newest);
        self.bars += self.waiting.len();
        self.unscored += runtime.block_on(pipeline.replay(&self.waiting));
        self.waiting.clear();
    }
}

/// Takes up the newest snapshot that is whole and fits the store; the bar it stands at, zero without one.
fn take_up(folder: &Path, pipeline: &Pipeline) -> io::Result<u64> {
    for found in snapshot::read(folder)? {
        let sequence = found.sequence;
        let (image, series) = found.into_parts();
        match pipeline.restore(image, series) {
            Ok(()) => return Ok(sequence),
            Err(problem) => tracing::error!(
                sequence,
                problem,
                "the snapshot does not fit the store; the one before it, or the whole journal, is used"
            ),
        }
    }
    Ok(0)
}

impl Keeper {
    /// Takes a snapshot, unless nothing happened since the last. A failure is told; the journal is enough without.
    async fn take(&self, pipeline: &Arc<Pipeline>) {
        if self.interval.is_zero() {
            return;
        }
        let mut taken_at = self.taken_at.lock().await;
        let Some(journal) = pipeline.journal() else {
            return;
        };
        if journal.order().sequence() - 1 == *taken_at {
            return;
        }
        let started = Instant::now();
        let (folder, bar_segments) = (self.folder.clone(), self.bar_segments);
        let (pipeline, runtime) = (Arc::clone(pipeline), Handle::current());
        // The state of thousands of series takes long to copy: no thread that serves the network does it.
        let written = tokio::task::spawn_blocking(move || {
            let (sequence, image) = runtime.block_on(pipeline.image());
            let paused = started.elapsed();
            // A snapshot never stands behind a bar that the journal could still lose.
            let flushed = match pipeline.journal() {
                Some(journal) => runtime.block_on(journal.flush()),
                None => false,
            };
            if !flushed {
                return Err(io::Error::other("the journal cannot be written"));
            }
            let oldest = snapshot::write(&folder, sequence, image)?;
            give_back();
            if bar_segments > 0 {
                retire_until::<BarRecord>(&folder, oldest, bar_segments)?;
            }
            Ok((sequence, paused))
        })
        .await;
        match written {
            Ok(Ok((sequence, paused))) => {
                *taken_at = sequence;
                tracing::info!(
                    sequence,
                    paused_ms = paused.as_millis() as u64,
                    milliseconds = started.elapsed().as_millis() as u64,
                    "snapshot taken"
                );
            }
            Ok(Err(error)) => tracing::error!(%error, "no snapshot was taken"),
            Err(error) => tracing::error!(%error, "no snapshot was taken"),
        }
    }
}
