//! The input file in pieces of bounded size.

use std::{fs::File, ops::Range, path::Path};

use parquet::arrow::{
    ProjectionMask,
    arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
        ParquetRecordBatchReaderBuilder,
    },
};

use super::score_file::OfflineError;

/// Most rows of a piece: what a worker takes at a time, and a row group of the output.
const PIECE_ROWS: usize = 1 << 18;

/// Some rows of one row group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    row_group: usize,
    rows: Range<usize>,
}

/// An opened Parquet file.
pub(super) struct Input {
    path: String,
    file: File,
    metadata: ArrowReaderMetadata,
}

impl Input {
    /// Opens the file and reads its footer.
    pub(super) fn open(path: &Path) -> Result<Self, OfflineError> {
        let shown = path.display().to_string();
        let file = File::open(path).map_err(|error| OfflineError(format!("{shown}: {error}")))?;
        let metadata =
            ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|error| {
                OfflineError(format!(
                    "{shown}: no whole Parquet file ({error}); was it cut off while it was written?"
                ))
            })?;
        Ok(Self {
            path: shown,
            file,
            metadata,
        })
    }

    pub(super) fn schema(&self) -> &arrow_schema::Schema {
        self.metadata.schema()
    }

    /// Rows of the file.
    pub(super) fn rows(&self) -> usize {
        self.row_groups().sum()
    }

    /// All pieces, in the order of the file.
    pub(super) fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (row_group, rows) in self.row_groups().enumerate() {
            let count = rows.div_ceil(PIECE_ROWS);
            // Pieces of nearly one size: a short last one would leave a core idle at the end.
            let piece = |at: usize| rows * at / count..rows * (at + 1) / count;
            pieces.extend((0..count).map(|at| Piece {
                row_group,
                rows: piece(at),
            }));
        }
        pieces
    }

    fn row_groups(&self) -> impl Iterator<Item = usize> {
        let groups = self.metadata.metadata().row_groups();
        groups
            .iter()
            .map(|group| usize::try_from(group.num_rows()).unwrap_or_default())
    }

    /// Reads the columns at `places` of a piece, in batches. `file` is a handle of the caller's own: handles that are
    /// copies of each other share a position.
    pub(super) fn read(
        &self,
        file: File,
        piece: &Piece,
        places: &[usize],
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader, OfflineError> {
        let mask = ProjectionMask::roots(self.metadata.parquet_schema(), places.iter().copied());
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_row_groups(vec![piece.row_group])
            .with_projection(mask)
            .with_offset(piece.rows.start)
            .with_limit(piece.rows.len())
            .with_batch_size(batch_rows)
            .build()
            .map_err(|error| self.unreadable(piece, &error))
    }

    /// Another handle on the very file that was opened, with a position of its own where the system offers that.
    pub(super) fn handle(&self, path: &Path) -> Result<File, OfflineError> {
        let problem = |error: std::io::Error| OfflineError(format!("{}: {error}", self.path));
        let handle = File::open(path).map_err(problem)?;
        let (one, other) = (
            self.file.metadata().map_err(problem)?,
            handle.metadata().map_err(problem)?,
        );
        if one.len() != other.len() || one.modified().ok() != other.modified().ok() {
            return Err(OfflineError(format!(
                "{}: the file changed while it was opened",
                self.path
            )));
        }
        Ok(handle)
    }

    /// Says where the file cannot be read.
    pub(super) fn unreadable(&self, piece: &Piece, error: &dyn std::fmt::Display) -> OfflineError {
        OfflineError(format!(
            "{}: row group {}, rows {} to {}: {error}",
            self.path, piece.row_group, piece.rows.start, piece.rows.end
        ))
    }
}

impl Piece {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}
