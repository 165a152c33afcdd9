//! The output file: row groups come from any worker in any order and are written in theirs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use arrow_schema::SchemaRef;
use parking_lot::{Condvar, Mutex};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{
            ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions,
        },
    },
    basic::{Compression, ZstdLevel},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
        writer::SerializedFileWriter,
    },
};
use tempfile::NamedTempFile;

use super::score_file::{OfflineError, OutputCompression};

/// A file being written beside its place.
pub(super) struct Output {
    path: PathBuf,
    overwrite: bool,
    columns: ArrowRowGroupWriterFactory,
    state: Mutex<State>,
    moved: Condvar,
}

struct State {
    file: SerializedFileWriter<NamedTempFile>,
    /// The row group that the file waits for.
    next: usize,
    /// Row groups that came before their turn.
    parked: BTreeMap<usize, Vec<ArrowColumnChunk>>,
    /// Set when a worker failed: nobody waits any longer.
    ended: bool,
}

impl Output {
    /// Starts a file for `path`, in its folder, under another name.
    pub(super) fn create(
        path: &Path,
        overwrite: bool,
        schema: &SchemaRef,
        compression: OutputCompression,
        notes: Vec<(String, String)>,
    ) -> Result<Self, OfflineError> {
        let problem =
            |error: &dyn std::fmt::Display| OfflineError(format!("{}: {error}", path.display()));
        refuse_existing(path, overwrite)?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".score-file-").suffix(".partial");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // What a new file gets; the process's mask takes away what it must not have.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder
            .tempfile_in(folder)
            .map_err(|error| problem(&error))?;
        let notes = notes
            .into_iter()
            .map(|(key, value)| KeyValue::new(key, value));
        let properties = properties(schema, compression)
            .set_key_value_metadata(Some(notes.collect()))
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties);
        let (file, columns) = ArrowWriter::try_new_with_options(file, schema.clone(), options)
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(|error| problem(&error))?;
        Ok(Self {
            path: path.to_owned(),
            overwrite,
            columns,
            state: Mutex::new(State {
                file,
                next: 0,
                parked: BTreeMap::new(),
                ended: false,
            }),
            moved: Condvar::new(),
        })
    }

    /// Writers for the columns of row group `number`.
    pub(super) fn row_group(&self, number: usize) -> Result<Vec<ArrowColumnWriter>, OfflineError> {
        let made = self.columns.create_column_writers(number);
        made.map_err(|error| self.problem(&error))
    }

    /// Waits until fewer than `ahead` row groups stand between `number` and the file; false when the work has ended.
    pub(super) fn wait_for_turn(&self, number: usize, ahead: usize) -> bool {
        let mut state = self.state.lock();
        self.moved.wait_while(&mut state, |state| {
            !state.ended && number >= state.next + ahead
        });
        !state.ended
    }

    /// Takes a finished row group and writes all whose turn it is.
    pub(super) fn finish_row_group(
        &self,
        number: usize,
        chunks: Vec<ArrowColumnChunk>,
    ) -> Result<(), OfflineError> {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.parked.insert(number, chunks);
        while let Some(chunks) = state.parked.remove(&state.next) {
            let write = || -> parquet::errors::Result<()> {
                let mut group = state.file.next_row_group()?;
                for chunk in chunks {
                    chunk.append_to_row_group(&mut group)?;
                }
                group.close()?;
                Ok(())
            };
            write().map_err(|error| self.problem(&error))?;
            state.next += 1;
        }
        self.moved.notify_all();
        Ok(())
    }

    /// Wakes everyone who waits: no more row groups will be written.
    pub(super) fn end(&self) {
        self.state.lock().ended = true;
        self.moved.notify_all();
    }

    /// Whether the work has ended early.
    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().ended
    }

    /// Ends the file and moves it to its place: readers see all of it or nothing. Gives its size in bytes.
    pub(super) fn persist(self) -> Result<u64, OfflineError> {
        let problem = |error: &dyn std::fmt::Display| {
            OfflineError(format!("{}: {error}", self.path.display()))
        };
        let state = self.state.into_inner();
        let file = state.file.into_inner().map_err(|error| problem(&error))?;
        let bytes = file
            .as_file()
            .metadata()
            .map_err(|error| problem(&error))?
            .len();
        if self.overwrite {
            file.persist(&self.path)
                .map_err(|error| problem(&error.error))?;
        } else {
            file.persist_noclobber(&self.path)
                .map_err(|error| problem(&error.error))?;
        }
        Ok(bytes)
    }

    fn problem(&self, error: &dyn std::fmt::Display) -> OfflineError {
        OfflineError(format!("{}: {error}", self.path.display()))
    }
}

/// Refuses a file that is there, unless it may be replaced.
pub(super) fn refuse_existing(path: &Path, overwrite: bool) -> Result<(), OfflineError> {
    if path.is_dir() {
        return Err(OfflineError(format!(
            "{}: is a folder; name a file",
            path.display()
        )));
    }
    if path.exists() && !overwrite {
        return Err(OfflineError(format!(
            "{}: exists; name another file or say --overwrite",
            path.display()
        )));
    }
    Ok(())
}

fn properties(
    schema: &SchemaRef,
    compression: OutputCompression,
) -> parquet::file::properties::WriterPropertiesBuilder {
    let compression = match compression {
        OutputCompression::None => Compression::UNCOMPRESSED,
        OutputCompression::Snappy => Compression::SNAPPY,
        OutputCompression::Zstd => Compression::ZSTD(ZstdLevel::default()),
    };
    let mut properties = WriterProperties::builder()
        .set_compression(compression)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for field in schema.fields() {
        if field.data_type().is_floating() {
            // Scores hardly repeat: a dictionary would be built and thrown away.
            properties =
                properties.set_column_dictionary_enabled(vec![field.name().clone()].into(), false);
        }
    }
    properties
}
