//! The journal's own thread: it writes, makes durable, and says honestly how it stands.
//!
//! Bars are numbered and queued under one lock, which the bar path holds from the moment a bar's outcomes are realised
//! until its signal is published: the order in the journal is the order in which bars took effect. Writing is never
//! on that path. What cannot be written is kept and tried again; scoring goes on meanwhile.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use arrow_schema::ArrowError;
use candlewire_features::Bar;
use parking_lot::{Condvar, Mutex, MutexGuard};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::{bars::BarRecord, decisions::DecisionRecord, segments::Segments};
use crate::{bars::hub::Signal, scoring::policy, telemetry::metrics::JournalMetrics};

/// Without a wait for the disk, entries gather this long before they are written together.
const GATHER: Duration = Duration::from_millis(2);
/// Pause before a failed write is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Entries kept while the journal cannot be written; later ones are lost, and counted.
const KEPT_ENTRIES: usize = 262_144;
/// Most records in one batch of a segment.
const BATCH_RECORDS: usize = 4_096;

/// When a bar counts as kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fsync {
    /// Once it is queued; the system writes when it likes.
    Never,
    /// Once it is queued; the disk is waited for at intervals.
    Interval,
    /// Once it is on the disk.
    Always,
}

/// Where and how to write.
#[derive(Debug, Clone)]
pub struct JournalSettings {
    /// Folder of the segments.
    pub folder: PathBuf,
    /// When a bar counts as kept.
    pub fsync: Fsync,
    /// Longest time without a wait for the disk under [`Fsync::Interval`].
    pub fsync_interval: Duration,
    /// Bytes after which a segment is closed.
    pub segment_bytes: u64,
    /// Closed segments of decisions kept; zero keeps all.
    pub decision_segments: usize,
    /// Segments of bars kept beside those that a restart needs; zero keeps all.
    pub bar_segments: usize,
    /// Longest time that a closed segment stays, unless a restart needs it; for ever without one.
    pub keep: Option<Duration>,
    /// Time between snapshots; zero takes none.
    pub snapshot_interval: Duration,
}

/// A bar that took effect.
pub struct Entry {
    /// The bar as published.
    pub published: Bar,
    /// The signal it caused.
    pub signal: Arc<Signal>,
    /// The features scored.
    pub features: Option<Vec<f32>>,
}

/// Why a journal does not open.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another server writes there.
    #[error("journal: {0}: another server writes there; stop it or name another folder")]
    InUse(PathBuf),
    /// The system refused.
    #[error("journal: {0}: {1}; name a folder that can be written")]
    Io(PathBuf, std::io::Error),
}

/// The exclusive right to a folder.
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes `folder`, which is made if it is not there. The system gives it back however the process ends.
    ///
    /// # Errors
    /// The folder cannot be written, or another server has it.
    pub fn take(folder: &Path) -> Result<Self, JournalError> {
        let failed = |error| JournalError::Io(folder.to_owned(), error);
        fs::create_dir_all(folder).map_err(failed)?;
        let file = File::create(folder.join("lock")).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(JournalError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// What happens, in order. Hold it while a bar takes effect.
pub struct Order {
    next_sequence: u64,
    entries: Vec<(u64, Entry)>,
    commits: Vec<oneshot::Sender<bool>>,
    /// Whoever waits also wants the disk to have it.
    sync: bool,
    healthy: bool,
    closed: bool,
}

impl Order {
    /// The number of the bar that takes effect now.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Queues the bar that took effect.
    pub fn push(&mut self, entry: Entry) {
        self.entries.push((self.next_sequence, entry));
        self.next_sequence += 1;
    }
}

struct Shared {
    order: Mutex<Order>,
    work: Condvar,
}

/// A journal that is being written.
pub struct Journal {
    shared: Arc<Shared>,
    fsync: Fsync,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Starts the thread. `next_sequence` follows the last bar that was read back; `report` hears when the health
    /// changes.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        settings: JournalSettings,
        lock: FolderLock,
        next_sequence: u64,
        metrics: JournalMetrics,
        report: impl Fn(bool) + Send + 'static,
    ) -> std::io::Result<Self> {
        let order = Order {
            next_sequence,
            entries: Vec::new(),
            commits: Vec::new(),
            sync: false,
            healthy: true,
            closed: false,
        };
        let shared = Arc::new(Shared {
            order: Mutex::new(order),
            work: Condvar::new(),
        });
        let fsync = settings.fsync;
        metrics.healthy.set(1.0);
        report(true);
        let mut writer = Writer {
            bars: Segments::new(&settings, 0),
            decisions: Segments::new(&settings, settings.decision_segments),
            settings,
            shared: Arc::clone(&shared),
            pending: Vec::new(),
            failed_at: None,
            unsynced_since: None,
            healthy: true,
            metrics,
            report: Box::new(report),
            _lock: lock,
        };
        let thread = std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || writer.run())?;
        Ok(Self {
            shared,
            fsync,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The order of bars; whoever holds it says what happens next.
    pub fn order(&self) -> MutexGuard<'_, Order> {
        self.shared.order.lock()
    }

    /// Waits until everything queued so far is kept as the policy says; false when it is not.
    pub async fn commit(&self) -> bool {
        let receiver = {
            let mut order = self.shared.order.lock();
            self.shared.work.notify_one();
            if self.fsync != Fsync::Always {
                return order.healthy && !order.closed;
            }
            if order.closed {
                return false;
            }
            let (sender, receiver) = oneshot::channel();
            order.commits.push(sender);
            receiver
        };
        receiver.await.unwrap_or(false)
    }

    /// Waits until everything queued so far is on the disk, whatever the policy; false when it is not.
    pub async fn flush(&self) -> bool {
        let (sender, receiver) = oneshot::channel();
        {
            let mut order = self.shared.order.lock();
            if order.closed {
                return false;
            }
            order.commits.push(sender);
            order.sync = true;
            self.shared.work.notify_one();
        }
        receiver.await.unwrap_or(false)
    }

    /// Writes what is queued, ends the segments and the thread.
    pub fn close(&self) {
        self.shared.order.lock().closed = true;
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // A thread that panicked wrote what it could.
            let _ = thread.join();
        }
    }
}

struct Writer {
    settings: JournalSettings,
    shared: Arc<Shared>,
    bars: Segments<BarRecord>,
    decisions: Segments<DecisionRecord>,
    /// What is not written yet.
    pending: Vec<(u64, Entry)>,
    unsynced_since: Option<Instant>,
    failed_at: Option<Instant>,
    healthy: bool,
    metrics: JournalMetrics,
    report: Box<dyn Fn(bool) + Send>,
    _lock: FolderLock,
}

impl Writer {
    fn run(&mut self) {
        loop {
            let (commits, closed, sync) = self.gather();
            let started = Instant::now();
            let had_pending = !self.pending.is_empty();
            let too_early = self
                .failed_at
                .is_some_and(|failed_at| failed_at.elapsed() < RETRY);
            if closed || !too_early {
                let outcome = self.write(closed || sync);
                self.judge(outcome);
            }
            if had_pending {
                self.metrics
                    .write_seconds
                    .record(started.elapsed().as_secs_f64());
            }
            let kept = self.healthy && self.pending.is_empty();
            for commit in commits {
                // The publisher may have left.
                let _ = commit.send(kept);
            }
            if closed {
                if let Err(error) = self.bars.close().and_then(|()| self.decisions.close()) {
                    tracing::error!(%error, "the journal's last segment was not ended");
                }
                return;
            }
        }
    }

    /// Waits for something to do and takes it.
    fn gather(&mut self) -> (Vec<oneshot::Sender<bool>>, bool, bool) {
        let mut order = self.shared.order.lock();
        let until = if self.pending.is_empty() {
            self.unsynced_since
                .map(|since| since + self.settings.fsync_interval)
        } else {
            Some(Instant::now() + RETRY)
        };
        while order.entries.is_empty() && order.commits.is_empty() && !order.closed {
            match until {
                None => self.shared.work.wait(&mut order),
                Some(until) if self.shared.work.wait_until(&mut order, until).timed_out() => break,
                Some(_) => {}
            }
        }
        if self.settings.fsync != Fsync::Always && !order.closed {
            MutexGuard::unlocked(&mut order, || std::thread::sleep(GATHER));
        }
        self.pending.append(&mut order.entries);
        let sync = std::mem::take(&mut order.sync);
        (std::mem::take(&mut order.commits), order.closed, sync)
    }

    fn write(&mut self, sync: bool) -> Result<(), ArrowError> {
        while !self.pending.is_empty() {
            let batch = self
                .pending
                .get(..self.pending.len().min(BATCH_RECORDS))
                .unwrap_or_default();
            let bars: Vec<BarRecord> = batch.iter().map(bar_record).collect();
            let decisions: Vec<DecisionRecord> = batch.iter().filter_map(decision_record).collect();
            // Decisions first: a bar that is there has its decision.
            self.decisions.append(&decisions)?;
            self.bars.append(&bars)?;
            self.unsynced_since.get_or_insert_with(Instant::now);
            if self.settings.fsync == Fsync::Always {
                self.sync()?;
            }
            self.metrics.records.increment(bars.len() as u64);
            self.pending.drain(..bars.len());
        }
        let due = match self.settings.fsync {
            Fsync::Never => sync,
            Fsync::Interval => {
                sync || self
                    .unsynced_since
                    .is_some_and(|since| since.elapsed() >= self.settings.fsync_interval)
            }
            Fsync::Always => false,
        };
        if due {
            self.sync()?;
        } else if self.settings.fsync == Fsync::Never {
            self.unsynced_since = None;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), ArrowError> {
        self.decisions.sync()?;
        self.bars.sync()?;
        self.unsynced_since = None;
        Ok(())
    }

    fn judge(&mut self, outcome: Result<(), ArrowError>) {
        let healthy = outcome.is_ok();
        if let Err(error) = outcome {
            self.metrics.failures.increment(1);
            self.failed_at = Some(Instant::now());
            self.bars.abandon();
            self.decisions.abandon();
            self.unsynced_since = None;
            if self.healthy {
                tracing::error!(%error, folder = %self.settings.folder.display(), "the journal cannot be written; scoring goes on, bars are acknowledged as not journaled");
            }
            let lost = self.pending.len().saturating_sub(KEPT_ENTRIES);
            if lost > 0 {
                self.metrics.lost.increment(lost as u64);
                self.pending.truncate(KEPT_ENTRIES);
                tracing::error!(lost, "bars are missing from the journal for good");
            }
        } else if !self.healthy {
            self.failed_at = None;
            tracing::info!("the journal is written again");
        }
        if healthy != self.healthy {
            self.healthy = healthy;
            self.shared.order.lock().healthy = healthy;
            self.metrics.healthy.set(f64::from(u8::from(healthy)));
            (self.report)(healthy);
        }
    }
}

fn bar_record((sequence, entry): &(u64, Entry)) -> BarRecord {
    let signal = &entry.signal;
    BarRecord {
        sequence: *sequence,
        received_time_ns: signal.received_time_ns,
        symbol: signal.symbol.clone(),
        timeframe: signal.timeframe,
        bar: entry.published,
        model: signal.model.manifest.model.clone(),
        version: signal.model.manifest.version,
        scored: signal.decision.is_some(),
    }
}

fn decision_record((_, entry): &(u64, Entry)) -> Option<DecisionRecord> {
    let signal = &entry.signal;
    let decision = signal.decision.as_ref()?;
    let features = entry.features.as_deref().unwrap_or_default();
    Some(DecisionRecord::of(
        &signal.symbol,
        signal.timeframe.as_str(),
        features,
        decision,
    ))
}

/// The name of a signal in the log.
#[must_use]
pub const fn signal_name(signal: policy::Signal) -> &'static str {
    match signal {
        policy::Signal::Buy => "BUY",
        policy::Signal::Sell => "SELL",
        policy::Signal::Hold => "HOLD",
        policy::Signal::NotReady => "NOT_READY",
    }
}
