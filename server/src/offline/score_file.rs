//! One file scored: the request, the workers, and what came of it.

use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use arrow_array::RecordBatch;
use parking_lot::Mutex;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use serde::{Deserialize, Serialize};

use super::{
    columns::{Columns, RowState},
    model::FileModel,
    output::{Output, refuse_existing},
    pieces::{Input, Piece},
    scored::ScoreTable,
};
use crate::scoring::{
    engine::{Engine, EngineLoader},
    onnx::TreeKernel,
};

/// How often the caller hears of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// Row groups a worker may be ahead of the file.
const AHEAD: usize = 2;

/// Why a file was not scored: one line for people.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct OfflineError(pub String);

/// How the output is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputCompression {
    /// Not at all.
    None,
    /// Quickly.
    #[default]
    Snappy,
    /// Well.
    Zstd,
}

/// What to score, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreFile {
    /// Folder of model bundles.
    pub store: PathBuf,
    /// Model.
    pub model: String,
    /// Version; none is the one in production.
    pub version: Option<u64>,
    /// Parquet file with a column for each feature.
    pub source: PathBuf,
    /// Parquet file to write.
    pub target: PathBuf,
    /// Replace the output if it is there.
    pub overwrite: bool,
    /// Columns that pass through; none keeps all that are no features.
    pub columns: Option<Vec<String>>,
    /// Write the members' probabilities too.
    pub members: bool,
    /// Rows that are scored together.
    pub batch_rows: NonZeroUsize,
    /// Workers; zero means one a core.
    pub threads: usize,
    /// How trees are evaluated.
    pub tree_kernel: TreeKernel,
    /// Compression of the output.
    pub compression: OutputCompression,
}

/// Rows done and rows in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Rows scored.
    pub done: usize,
    /// Rows of the file.
    pub total: usize,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Model that scored.
    pub model: String,
    /// Its version.
    pub version: u64,
    /// Rows of the file.
    pub rows: usize,
    /// Rows with a NaN or null feature, which have no score.
    pub rows_not_ready: usize,
    /// Rows with an infinite feature, which have no score.
    pub rows_not_finite: usize,
    /// What evaluates the graph's tree ensembles.
    pub tree_nodes: Vec<String>,
    /// Workers.
    pub threads: usize,
    /// Bytes of the output.
    pub output_bytes: u64,
    /// Time on the clock, loading the model included.
    pub elapsed_s: f64,
    /// Time to load and check the model.
    pub load_s: f64,
    /// Time of all workers in decoding columns and turning them into rows.
    pub read_s: f64,
    /// Time of all workers in the model.
    pub score_s: f64,
    /// Time of all workers in encoding and writing.
    pub write_s: f64,
}

impl ScoreFile {
    /// Scores the file. `progress` hears how far it is about ten times a second and may end it.
    ///
    /// # Errors
    /// The model does not load, the input lacks a feature or cannot be read, or the output cannot be written. Nothing
    /// is left of the output then.
    pub fn run(
        &self,
        loader: &dyn EngineLoader,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Summary, OfflineError> {
        let started = Instant::now();
        refuse_existing(&self.target, self.overwrite)?;
        let input = Input::open(&self.source)?;
        let threads = match self.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let pieces = input.pieces();
        let threads = threads.min(pieces.len()).max(1);
        let (model, engines) =
            FileModel::load(&self.store, &self.model, self.version, loader, threads)?;
        let columns = Columns::find(
            input.schema(),
            &model.manifest.feature_names,
            self.columns.as_deref(),
        )
        .map_err(|error| OfflineError(format!("{}: {error}", self.source.display())))?;
        let tree_nodes = engines
            .first()
            .map_or(&[][..], |engine| engine.tree_nodes())
            .iter()
            .map(ToString::to_string)
            .collect();
        let table = ScoreTable::new(&model, &columns, self.members)?;
        let output = Output::create(
            &self.target,
            self.overwrite,
            table.schema(),
            self.compression,
            notes(&model),
        )?;
        let load_s = started.elapsed().as_secs_f64();
        let job = Job {
            path: &self.source,
            input: &input,
            pieces: &pieces,
            columns: &columns,
            table: &table,
            output: &output,
            batch_rows: self.batch_rows.get(),
            ahead: AHEAD * threads,
            claimed: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            failure: Mutex::new(None),
        };
        let total = input.rows();
        let times = job.run(engines, || {
            progress(Progress {
                done: job.done.load(Ordering::Relaxed),
                total,
            })
        });
        if let Some(error) = job.failure.into_inner() {
            return Err(error);
        }
        let output_bytes = output.persist()?;
        Ok(Summary {
            model: model.manifest.model.clone(),
            version: model.manifest.version,
            rows: total,
            rows_not_ready: times.not_ready,
            rows_not_finite: times.not_finite,
            tree_nodes,
            threads,
            output_bytes,
            elapsed_s: started.elapsed().as_secs_f64(),
            load_s,
            read_s: times.read.as_secs_f64(),
            score_s: times.score.as_secs_f64(),
            write_s: times.write.as_secs_f64(),
        })
    }
}

/// Where the scores come from, for the output's metadata.
fn notes(model: &FileModel) -> Vec<(String, String)> {
    let manifest = &model.manifest;
    let note = |key: &str, value: &str| (format!("candlewire.{key}"), value.to_owned());
    vec![
        note("model", &manifest.model),
        note("version", &manifest.version.to_string()),
        note("feature_spec_hash", &manifest.feature_spec_hash),
        note("onnx_sha256", &manifest.onnx.sha256),
        note(
            "band_multiplier",
            &manifest.band.initial_multiplier.to_string(),
        ),
    ]
}

/// What the workers share.
struct Job<'a> {
    path: &'a Path,
    input: &'a Input,
    pieces: &'a [Piece],
    columns: &'a Columns,
    table: &'a ScoreTable,
    output: &'a Output,
    batch_rows: usize,
    ahead: usize,
    /// The next piece that nobody has taken.
    claimed: AtomicUsize,
    /// Rows scored.
    done: AtomicUsize,
    /// The first failure.
    failure: Mutex<Option<OfflineError>>,
}

/// What a worker spent, and on what rows.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    read: Duration,
    score: Duration,
    write: Duration,
    not_ready: usize,
    not_finite: usize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.read += other.read;
        self.score += other.score;
        self.write += other.write;
        self.not_ready += other.not_ready;
        self.not_finite += other.not_finite;
    }
}

impl Job<'_> {
    fn run(
        &self,
        engines: Vec<Box<dyn Engine>>,
        mut progress: impl FnMut() -> ControlFlow<()>,
    ) -> Tally {
        thread::scope(|scope| {
            let (finished, all_finished) = mpsc::channel::<()>();
            let workers: Vec<_> = engines
                .into_iter()
                .map(|mut engine| {
                    let finished = finished.clone();
                    scope.spawn(move || {
                        let mut tally = Tally::default();
                        if let Err(error) = self.work(&mut *engine, &mut tally) {
                            self.fail(error);
                        }
                        // The last sender that goes away ends the wait below.
                        drop(finished);
                        tally
                    })
                })
                .collect();
            drop(finished);
            while all_finished.recv_timeout(PROGRESS_INTERVAL)
                == Err(mpsc::RecvTimeoutError::Timeout)
            {
                if progress().is_break() {
                    self.fail(OfflineError("interrupted; nothing was written".to_owned()));
                }
            }
            let mut all = Tally::default();
            for worker in workers {
                match worker.join() {
                    Ok(tally) => all.add(tally),
                    Err(_) => self.fail(OfflineError("a worker ended unexpectedly".to_owned())),
                }
            }
            if progress().is_break() {
                self.fail(OfflineError("interrupted; nothing was written".to_owned()));
            }
            all
        })
    }

    fn fail(&self, error: OfflineError) {
        self.failure.lock().get_or_insert(error);
        self.output.end();
    }

    fn work(&self, engine: &mut dyn Engine, tally: &mut Tally) -> Result<(), OfflineError> {
        let mut buffers = Buffers::default();
        loop {
            let number = self.claimed.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = self.pieces.get(number) else {
                return Ok(());
            };
            if !self.output.wait_for_turn(number, self.ahead) {
                return Ok(());
            }
            let chunks = self.score(number, piece, engine, &mut buffers, tally)?;
            let started = Instant::now();
            self.output.finish_row_group(number, chunks)?;
            tally.write += started.elapsed();
        }
    }

    fn score(
        &self,
        number: usize,
        piece: &Piece,
        engine: &mut dyn Engine,
        buffers: &mut Buffers,
        tally: &mut Tally,
    ) -> Result<Vec<ArrowColumnChunk>, OfflineError> {
        let mut started = Instant::now();
        // Adds the time since the last call to one account.
        let mut lap = |account: &mut Duration| {
            let now = Instant::now();
            *account += now - started;
            started = now;
        };
        let handle = self.input.handle(self.path)?;
        let batches = self
            .input
            .read(handle, piece, &self.columns.read, self.batch_rows)?;
        let mut writers = self.output.row_group(number)?;
        let width = self.table.width();
        let mut rows = 0;
        for batch in batches {
            let batch = batch.map_err(|error| self.input.unreadable(piece, &error))?;
            self.columns
                .rows(&batch, &mut buffers.rows, &mut buffers.states)?;
            lap(&mut tally.read);
            let count = batch.num_rows();
            buffers.scores.resize(count * width, 0.0);
            engine
                .score(&buffers.rows, count, &mut buffers.scores)
                .map_err(|error| self.input.unreadable(piece, &error))?;
            lap(&mut tally.score);
            let passed = self.columns.passed(&batch);
            let scored = self
                .table
                .batch(passed, &mut buffers.scores, &buffers.states)?;
            write(&mut writers, &scored)?;
            lap(&mut tally.write);
            let counted = |wanted: RowState| {
                buffers
                    .states
                    .iter()
                    .filter(|state| **state == wanted)
                    .count()
            };
            tally.not_ready += counted(RowState::NotReady);
            tally.not_finite += counted(RowState::NotFinite);
            rows += count;
            self.done.fetch_add(count, Ordering::Relaxed);
            if self.output.has_ended() {
                return Ok(Vec::new());
            }
        }
        if rows != piece.len() {
            let problem = format!("{rows} rows came, the footer promises {}", piece.len());
            return Err(self.input.unreadable(piece, &problem));
        }
        let chunks = writers.into_iter().map(ArrowColumnWriter::close);
        let chunks = chunks.collect::<Result<_, _>>().map_err(encode_error)?;
        lap(&mut tally.write);
        Ok(chunks)
    }
}

/// Memory of a worker that its batches reuse.
#[derive(Default)]
struct Buffers {
    rows: Vec<f32>,
    states: Vec<RowState>,
    scores: Vec<f32>,
}

fn write(writers: &mut [ArrowColumnWriter], batch: &RecordBatch) -> Result<(), OfflineError> {
    let mut writers = writers.iter_mut();
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        for leaf in compute_leaves(field, column).map_err(encode_error)? {
            if let Some(writer) = writers.next() {
                writer.write(&leaf).map_err(encode_error)?;
            }
        }
    }
    Ok(())
}

fn encode_error(error: impl std::fmt::Display) -> OfflineError {
    OfflineError(format!("output: {error}"))
}
