//! Files of a journal: written by one server, rotated by size, read back up to where they are whole.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::{reader::StreamDecoder, writer::StreamWriter};
use arrow_schema::{ArrowError, SchemaRef};

use super::{
    record::{Record, from_batch, schema, to_batch},
    writer::JournalSettings,
};

const EXTENSION: &str = "arrows";
/// Bytes of a segment in memory at once.
const READ_TOGETHER: u64 = 1 << 20;
/// Segments that an age is spread over: none stays longer than it by more than this part.
const TURNS: u32 = 10;

type Writer = StreamWriter<BufWriter<File>>;

/// Appends records of one kind.
pub(super) struct Segments<R> {
    folder: PathBuf,
    /// Bytes after which a segment is closed.
    segment_bytes: u64,
    /// Closed segments kept; zero keeps all.
    kept: usize,
    /// Time after which a segment is closed, so that it can grow old.
    turn: Option<Duration>,
    began: Instant,
    schema: SchemaRef,
    open: Option<Writer>,
    kind: std::marker::PhantomData<fn(&R)>,
}

impl<R: Record> Segments<R> {
    pub(super) fn new(settings: &JournalSettings, kept: usize) -> Self {
        Self {
            folder: settings.folder.clone(),
            segment_bytes: settings.segment_bytes,
            kept,
            turn: settings.keep.map(|keep| keep / TURNS),
            began: Instant::now(),
            schema: schema::<R>(),
            open: None,
            kind: std::marker::PhantomData,
        }
    }

    /// Hands `records` to the system; [`Self::sync`] makes them durable.
    pub(super) fn append(&mut self, records: &[R]) -> Result<(), ArrowError> {
        let Some(first) = records.first() else {
            return Ok(());
        };
        let batch = to_batch(&self.schema, records)?;
        // A writer that failed is not used again: its segment ends where it is whole.
        let mut writer = if let Some(mut writer) = self.open.take() {
            writer.write(&batch)?;
            writer.flush()?;
            writer
        } else {
            self.began = Instant::now();
            self.begin(first.sequence(), &batch)?
        };
        if writer.get_ref().get_ref().metadata()?.len() >= self.segment_bytes
            || self.turn.is_some_and(|turn| self.began.elapsed() >= turn)
        {
            writer.finish()?;
            writer.get_ref().get_ref().sync_data()?;
            drop(writer);
            self.retire()?;
        } else {
            self.open = Some(writer);
        }
        Ok(())
    }

    /// Waits until what was appended is on the disk.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(writer) = self.open.take() else {
            return Ok(());
        };
        writer.get_ref().get_ref().sync_data()?;
        self.open = Some(writer);
        Ok(())
    }

    /// Gives up the open segment; the next record begins another.
    pub(super) fn abandon(&mut self) {
        self.open = None;
    }

    /// Ends the open segment.
    pub(super) fn close(&mut self) -> Result<(), ArrowError> {
        if let Some(mut writer) = self.open.take() {
            writer.finish()?;
            writer.get_ref().get_ref().sync_data()?;
        }
        Ok(())
    }

    /// A new segment that holds `batch`; none is left behind when that fails.
    fn begin(&self, first: u64, batch: &RecordBatch) -> Result<Writer, ArrowError> {
        let (path, file) = self.create(first)?;
        let write = || -> Result<Writer, ArrowError> {
            let mut writer = StreamWriter::try_new(BufWriter::new(file), &self.schema)?;
            writer.write(batch)?;
            writer.flush()?;
            Ok(writer)
        };
        write().inspect_err(|_| {
            // The first failure is the one to tell.
            let _ = fs::remove_file(&path);
        })
    }

    fn create(&self, first: u64) -> io::Result<(PathBuf, File)> {
        for attempt in 0..1_000 {
            let name = format!("{}-{first:020}-{attempt:03}.{EXTENSION}", R::NAME);
            let path = self.folder.join(name);
            match File::create_new(&path) {
                Ok(file) => {
                    // The name is as durable as the content.
                    File::open(&self.folder)?.sync_all()?;
                    return Ok((path, file));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("too many segments of one name"))
    }

    fn retire(&self) -> io::Result<()> {
        if self.kept > 0 {
            let segments = list(&self.folder, R::NAME)?;
            for old in segments.iter().rev().skip(self.kept) {
                remove(old)?;
            }
        }
        Ok(())
    }
}

/// What reading a journal found.
#[derive(Debug)]
pub struct Read<R> {
    /// Whole records, each sequence once, in order.
    pub records: Vec<R>,
    /// Segments that end in the middle of a record, hold one whose checksum disagrees, or follow on a gap.
    pub torn: Vec<PathBuf>,
}

/// Reads all records of one kind in `folder`.
///
/// # Errors
/// The folder or a file cannot be read.
pub fn read<R: Record>(folder: &Path) -> io::Result<Read<R>> {
    let mut records = Vec::new();
    let torn = visit_after(folder, 0, |mut found| records.append(&mut found))?;
    Ok(Read { records, torn })
}

/// Hands the whole records of one kind behind number `after` to `visit`, each sequence once, in order, some at a time: a
/// journal may be larger than memory. Segments without any are not opened. Returns the segments that are torn.
///
/// # Errors
/// The folder or a file cannot be read.
pub fn visit_after<R: Record>(
    folder: &Path,
    after: u64,
    mut visit: impl FnMut(Vec<R>),
) -> io::Result<Vec<PathBuf>> {
    let (mut newest, mut torn) = (after, Vec::new());
    let segments = list(folder, R::NAME)?;
    let needed = segments.get(done_with::<R>(&segments, after)..);
    for path in needed.unwrap_or_default() {
        let mut file = File::open(path)?;
        let next = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::with_capacity(READ_TOGETHER as usize);
            (&mut file).take(READ_TOGETHER).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let mut follows = true;
        let is_whole = decode_pieces(next, |mut found: Vec<R>| {
            found.retain(|record| {
                // A record that was written again after a failure is there twice.
                let is_new = record.sequence() > newest;
                if is_new {
                    follows &= !R::WITHOUT_GAPS || record.sequence() == newest + 1;
                    newest = record.sequence();
                }
                is_new
            });
            visit(found);
        })?;
        if !(is_whole && follows) {
            torn.push(path.clone());
        }
    }
    Ok(torn)
}

/// Removes segments that hold nothing behind number `after`; the newest `kept` stay whatever they hold.
///
/// # Errors
/// The folder cannot be read, or a file not be removed.
pub fn retire_until<R: Record>(folder: &Path, after: u64, kept: usize) -> io::Result<usize> {
    let segments = list(folder, R::NAME)?;
    let done = done_with::<R>(&segments, after).min(segments.len().saturating_sub(kept));
    for path in segments.iter().take(done) {
        remove(path)?;
    }
    Ok(done)
}

/// Removes segments that were last written longer than `keep` ago and hold nothing behind number `after`. The newest
/// stays: it may be open.
///
/// # Errors
/// The folder cannot be read, or a file not be removed.
pub fn retire_aged<R: Record>(folder: &Path, keep: Duration, after: u64) -> io::Result<usize> {
    let segments = list(folder, R::NAME)?;
    let done = done_with::<R>(&segments, after).min(segments.len().saturating_sub(1));
    let (now, mut removed) = (SystemTime::now(), 0);
    for path in segments.iter().take(done) {
        let written = fs::metadata(path)?.modified()?;
        // A clock that went back makes nothing older.
        if now.duration_since(written).unwrap_or_default() <= keep {
            break;
        }
        remove(path)?;
        removed += 1;
    }
    Ok(removed)
}

/// A number above those of all records in `folder`: a record takes more than one byte.
pub(super) fn above_all<R: Record>(folder: &Path) -> io::Result<u64> {
    let segments = list(folder, R::NAME)?;
    let Some(newest) = segments.last() else {
        return Ok(0);
    };
    let bytes = fs::metadata(newest)?.len();
    Ok(first_of::<R>(newest).unwrap_or(0).saturating_add(bytes))
}

/// Removes a file that another thread may have removed already.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Number of the first record of a segment, as its name says.
fn first_of<R: Record>(path: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_str()?;
    let (first, _) = stem
        .strip_prefix(R::NAME)?
        .strip_prefix('-')?
        .split_once('-')?;
    first.parse().ok()
}

/// How many of the oldest segments hold nothing behind number `after`: those before the last that begins at or before
/// the number that follows.
fn done_with<R: Record>(segments: &[PathBuf], after: u64) -> usize {
    segments
        .iter()
        .rposition(|path| first_of::<R>(path).is_some_and(|first| first <= after.saturating_add(1)))
        .unwrap_or(0)
}

/// Reads the bytes of one segment into `records`; returns whether it was whole.
pub fn decode<R: Record>(bytes: Vec<u8>, records: &mut Vec<R>) -> bool {
    let mut bytes = Some(bytes);
    let next = || Ok(bytes.take().unwrap_or_default());
    decode_pieces(next, |mut found| records.append(&mut found)).unwrap_or(false)
}

/// Reads a segment whose bytes `next` gives piece by piece, none at its end, and hands the records of each batch to
/// `visit`; returns whether the segment was whole.
fn decode_pieces<R: Record>(
    mut next: impl FnMut() -> io::Result<Vec<u8>>,
    mut visit: impl FnMut(Vec<R>),
) -> io::Result<bool> {
    let mut decoder = StreamDecoder::new();
    loop {
        let bytes = next()?;
        if bytes.is_empty() {
            return Ok(decoder.finish().is_ok());
        }
        let mut buffer = Buffer::from(bytes);
        loop {
            // The decoder panics on some broken offsets; a broken segment must not keep the server from starting.
            let decoded = catch_unwind(AssertUnwindSafe(|| decoder.decode(&mut buffer)));
            match decoded.unwrap_or_else(|_| Err(ArrowError::ParseError("broken offsets".into()))) {
                Ok(Some(batch)) => {
                    let mut found = Vec::new();
                    let is_whole = from_batch(&batch, &mut found);
                    visit(found);
                    if !is_whole {
                        return Ok(false);
                    }
                }
                Ok(None) => break,
                Err(_) => return Ok(false),
            }
        }
    }
}

fn list(folder: &Path, name: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let is_segment = path.extension().is_some_and(|ending| ending == EXTENSION)
            && stem.is_some_and(|stem| {
                stem.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('-'))
            });
        if is_segment {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use candlewire_features::Bar;

    use super::*;
    use crate::{
        bars::admission::Timeframe,
        journal::{bars::BarRecord, decisions::DecisionRecord, writer::Fsync},
    };

    fn record(sequence: u64) -> BarRecord {
        BarRecord {
            sequence,
            received_time_ns: 7,
            symbol: format!("S{sequence}"),
            timeframe: Timeframe::parse("1d").unwrap(),
            bar: Bar {
                open_time_ns: sequence as i64,
                open: 0.1,
                high: 0.3,
                low: 0.05,
                close: 0.2,
                volume: 1.0,
            },
            model: "daily".into(),
            version: 3,
            scored: sequence.is_multiple_of(2),
        }
    }

    fn settings(folder: &Path, segment_bytes: u64) -> JournalSettings {
        JournalSettings {
            folder: folder.to_owned(),
            fsync: Fsync::Never,
            fsync_interval: Duration::ZERO,
            segment_bytes,
            decision_segments: 0,
            bar_segments: 0,
            keep: None,
            snapshot_interval: Duration::ZERO,
        }
    }

    fn write(folder: &Path, segment_bytes: u64, range: std::ops::RangeInclusive<u64>) {
        let mut segments = Segments::new(&settings(folder, segment_bytes), 0);
        for sequence in range {
            segments.append(&[record(sequence)]).unwrap();
        }
        segments.sync().unwrap();
    }

    fn read_behind(folder: &Path, after: u64) -> Read<BarRecord> {
        let mut records = Vec::new();
        let torn = visit_after(folder, after, |mut found| records.append(&mut found)).unwrap();
        Read { records, torn }
    }

    #[test]
    fn a_segment_larger_than_what_is_read_at_once_comes_piece_by_piece() {
        let folder = tempfile::tempdir().unwrap();
        let mut segments = Segments::new(&settings(folder.path(), u64::MAX), 0);
        let wanted: Vec<BarRecord> = (1..=20_000).map(record).collect();
        for some in wanted.chunks(700) {
            segments.append(some).unwrap();
        }
        segments.close().unwrap();
        let path = list(folder.path(), "bars").unwrap().remove(0);
        assert!(fs::metadata(path).unwrap().len() > READ_TOGETHER);
        let (mut found, mut most) = (Vec::new(), 0);
        let torn = visit_after::<BarRecord>(folder.path(), 0, |mut records| {
            most = most.max(records.len());
            found.append(&mut records);
        });
        assert!(torn.unwrap().is_empty());
        assert_eq!((found, most), (wanted, 700));
    }

    #[test]
    fn what_was_written_is_read_over_segments_and_servers() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 4_096, 1..=40);
        write(folder.path(), 4_096, 35..=50);
        assert!(list(folder.path(), "bars").unwrap().len() > 4);
        let read = read::<BarRecord>(folder.path()).unwrap();
        assert!(read.torn.is_empty());
        let wanted: Vec<BarRecord> = (1..=50).map(record).collect();
        assert_eq!(read.records, wanted);
    }

    #[test]
    fn what_a_snapshot_covers_is_neither_read_nor_kept() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 4_096, 1..=40);
        let all = list(folder.path(), "bars").unwrap().len();
        for after in 0..=40 {
            let read = read_behind(folder.path(), after);
            let wanted: Vec<BarRecord> = (after + 1..=40).map(record).collect();
            assert_eq!(read.records, wanted);
            assert!(read.torn.is_empty());
        }
        assert_eq!(
            retire_until::<BarRecord>(folder.path(), 30, usize::MAX).unwrap(),
            0
        );
        assert!(retire_until::<BarRecord>(folder.path(), 30, 1).unwrap() > 0);
        assert!(list(folder.path(), "bars").unwrap().len() < all);
        for after in 30..=40 {
            let read = read_behind(folder.path(), after);
            let wanted: Vec<BarRecord> = (after + 1..=40).map(record).collect();
            assert_eq!(read.records, wanted);
            assert!(read.torn.is_empty());
        }
    }

    #[test]
    fn a_segment_cut_anywhere_gives_what_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), u64::MAX, 1..=5);
        let path = list(folder.path(), "bars").unwrap().remove(0);
        let whole = fs::read(&path).unwrap();
        let mut counts = Vec::new();
        for length in 0..=whole.len() {
            let mut records = Vec::<BarRecord>::new();
            decode(whole.get(..length).unwrap().to_vec(), &mut records);
            let wanted: Vec<BarRecord> = (1..=records.len() as u64).map(record).collect();
            assert_eq!(records, wanted);
            counts.push(records.len());
        }
        assert!(counts.is_sorted() && counts.last() == Some(&5));
    }

    #[test]
    fn a_flipped_bit_never_gives_another_record() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), u64::MAX, 1..=3);
        let path = list(folder.path(), "bars").unwrap().remove(0);
        let whole = fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[position] ^= 0x10;
            fs::write(&path, bytes).unwrap();
            let read = read::<BarRecord>(folder.path()).unwrap();
            // A batch may be gone, but what is there is as it was written, and a gap is told.
            for found in &read.records {
                assert_eq!(*found, record(found.sequence), "bit at {position}");
            }
            let newest = read.records.last().map_or(0, |last| last.sequence);
            let has_gap = newest != read.records.len() as u64;
            assert!(!has_gap || !read.torn.is_empty(), "bit at {position}");
        }
    }

    #[test]
    fn what_grew_old_goes_unless_a_restart_needs_it_or_it_may_be_open() {
        let folder = tempfile::tempdir().unwrap();
        let day = Duration::from_hours(24);
        write(folder.path(), 1, 1..=6);
        let segments = list(folder.path(), "bars").unwrap();
        assert_eq!(segments.len(), 6);
        let age = |path: &Path, days: u32| {
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - day * days).unwrap();
        };
        for path in segments.iter().take(4) {
            age(path, 9);
        }
        let retire = |after| retire_aged::<BarRecord>(folder.path(), day * 7, after).unwrap();
        assert_eq!(retire(0), 0, "no snapshot: a restart needs all");
        assert_eq!(retire(2), 2);
        assert_eq!(retire(6), 2, "the fifth is young");
        age(&segments[4], 9);
        age(&segments[5], 9);
        assert_eq!(retire(u64::MAX), 1, "the newest may be open");
        let decisions = retire_aged::<DecisionRecord>(folder.path(), day, u64::MAX).unwrap();
        assert_eq!(decisions, 0);
        assert_eq!(list(folder.path(), "bars").unwrap(), &segments[5..]);
    }

    #[test]
    fn a_segment_is_closed_when_it_has_been_open_for_a_tenth_of_what_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        for (keep, wanted) in [(Some(Duration::ZERO), 3), (None, 1)] {
            let mut segments = Segments::new(
                &JournalSettings {
                    keep,
                    ..settings(folder.path(), u64::MAX)
                },
                0,
            );
            for sequence in 1..=3 {
                segments.append(&[record(sequence)]).unwrap();
            }
            let found = list(folder.path(), "bars").unwrap();
            assert_eq!(found.len(), wanted);
            for path in &found {
                remove(path).unwrap();
            }
        }
    }

    #[test]
    fn a_number_above_all_is_above_all() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(above_all::<BarRecord>(folder.path()).unwrap(), 0);
        write(folder.path(), u64::MAX, 1_000..=1_400);
        assert!(above_all::<BarRecord>(folder.path()).unwrap() > 1_400);
    }

    #[test]
    fn retention_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let mut segments = Segments::new(&settings(folder.path(), 1), 2);
        for sequence in 1..=6 {
            segments.append(&[record(sequence)]).unwrap();
        }
        let read = read::<BarRecord>(folder.path()).unwrap();
        assert_eq!(read.torn.len(), 1, "what retention took is a gap");
        assert_eq!(read.records, [record(5), record(6)]);
    }
}
