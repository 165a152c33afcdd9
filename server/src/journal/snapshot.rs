//! Snapshots: the state after one bar of the journal, so that a restart replays only what came after.
//!
//! A file holds a magic, the sequence of the bar, the length of the content, the content, and the SHA-256 of all of it.
//! It is written beside its name, made durable and then renamed: what has the name is whole, and what is not whole is
//! refused. The newest two are kept: should the newest be damaged, the one before it and the journal are enough.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::bars::image::{SeriesImage, StateImage};

const MAGIC: &[u8; 8] = b"CWSTATE1";
const HEADER_BYTES: u64 = 8 + 8 + 8;
const HASH_BYTES: u64 = 32;
const PREFIX: &str = "snapshot-";
const EXTENSION: &str = "state";
/// Snapshots kept.
const KEPT: usize = 2;
/// What stands before each series in the content: field 1 of [`StateImage`], with a length.
const SERIES_KEY: u8 = 1 << 3 | 2;
/// The wire type of what has a length.
const DELIMITED: u64 = 2;
/// Bytes of a file in memory at once.
const TOGETHER: usize = 1 << 20;

/// A snapshot that is whole. Its series are read as they are asked for: thousands take several times their file.
pub struct Snapshot<Source = File> {
    /// The last bar that took effect before it.
    pub sequence: u64,
    /// The state without its series.
    pub image: StateImage,
    fields: Fields<Source>,
}

/// Writes the state after bar `sequence`, and removes what is older than the one before. Returns the sequence that the
/// oldest snapshot kept stands at: bars up to it are not needed any more.
///
/// Series go to the file one by one, and are forgotten as they go: the state of thousands is in memory once, not twice.
///
/// # Errors
/// The folder cannot be written; what was there stays.
pub fn write(folder: &Path, sequence: u64, mut image: StateImage) -> io::Result<u64> {
    let content_bytes = image.encoded_len();
    let path = folder.join(format!("{PREFIX}{sequence:020}.{EXTENSION}"));
    let beside = path.with_extension("new");
    let mut file = Hashed {
        file: BufWriter::with_capacity(TOGETHER, File::create(&beside)?),
        hasher: Sha256::new(),
    };
    file.append(MAGIC)?;
    file.append(&sequence.to_le_bytes())?;
    file.append(&(content_bytes as u64).to_le_bytes())?;
    let mut bytes = Vec::new();
    for series in std::mem::take(&mut image.series) {
        bytes.clear();
        bytes.push(SERIES_KEY);
        let encoded = series.encode_length_delimited(&mut bytes);
        encoded.map_err(io::Error::other)?;
        file.append(&bytes)?;
    }
    file.append(&image.encode_to_vec())?;
    file.finish()?.sync_all()?;
    fs::rename(&beside, &path)?;
    File::open(folder)?.sync_all()?;
    let found = list(folder)?;
    let (old, _) = found.split_at(found.len().saturating_sub(KEPT));
    for (_, path) in old {
        fs::remove_file(path)?;
    }
    done_until(folder)
}

/// A file that ends with the SHA-256 of all that is before.
struct Hashed {
    file: BufWriter<File>,
    hasher: Sha256,
}

impl Hashed {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)
    }

    fn finish(mut self) -> io::Result<File> {
        self.file.write_all(&self.hasher.finalize())?;
        Ok(self.file.into_inner()?)
    }
}

/// The sequence that the older of the two newest snapshots stands at: a restart needs no bar up to it. Zero while there
/// are fewer.
///
/// # Errors
/// The folder cannot be read.
pub fn done_until(folder: &Path) -> io::Result<u64> {
    let found = list(folder)?;
    let older = found.len().checked_sub(KEPT);
    Ok(older
        .and_then(|index| found.get(index))
        .map_or(0, |(sequence, _)| *sequence))
}

/// The snapshots of `folder`, newest first; damaged ones are told and left out.
///
/// # Errors
/// The folder cannot be read.
pub fn read(folder: &Path) -> io::Result<impl Iterator<Item = Snapshot>> {
    let found = list(folder)?.into_iter().rev();
    Ok(found.filter_map(|(_, path)| match open(&path) {
        Ok(snapshot) => Some(snapshot),
        Err(problem) => {
            tracing::error!(snapshot = %path.display(), problem, "the snapshot is not used; the one before it, or the whole journal, is");
            // Out of the way: it must not count as one of those that are kept.
            if let Err(error) = fs::rename(&path, path.with_extension("damaged")) {
                tracing::error!(%error, "the damaged snapshot stays where it is");
            }
            None
        }
    }))
}

fn open(path: &Path) -> Result<Snapshot, String> {
    decode(File::open(path).map_err(|error| error.to_string())?)
}

/// Reads one snapshot but for its series.
///
/// # Errors
/// It cannot be read, is cut, damaged, or in another layout.
pub fn decode<Source: Read + Seek>(mut source: Source) -> Result<Snapshot<Source>, String> {
    let failed = |error: io::Error| error.to_string();
    let bytes = source.seek(SeekFrom::End(0)).map_err(failed)?;
    let hashed = bytes.checked_sub(HASH_BYTES).ok_or("it is cut")?;
    source.rewind().map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut piece = Vec::new();
    let mut left = hashed;
    while left > 0 {
        piece.clear();
        let wanted = left.min(TOGETHER as u64);
        let read = (&mut source).take(wanted).read_to_end(&mut piece);
        if read.map_err(failed)? == 0 {
            return Err("it is cut".into());
        }
        hasher.update(&piece);
        left -= piece.len() as u64;
    }
    piece.clear();
    source.read_to_end(&mut piece).map_err(failed)?;
    if hasher.finalize().as_slice() != piece {
        return Err("its checksum differs".into());
    }
    source.rewind().map_err(failed)?;
    let mut fields = Fields {
        source: BufReader::with_capacity(TOGETHER, source),
        left: hashed.checked_sub(HEADER_BYTES).ok_or("it has no header")?,
        content: hashed - HEADER_BYTES,
    };
    let mut header = [0; HEADER_BYTES as usize];
    fields.source.read_exact(&mut header).map_err(failed)?;
    let (words, _) = header.as_chunks::<8>();
    let &[magic, sequence, length] = words else {
        return Err("it has no header".into());
    };
    if &magic != MAGIC || u64::from_le_bytes(length) != fields.content {
        return Err("it is in another layout".into());
    }
    let image = fields.all_but_series()?;
    Ok(Snapshot {
        sequence: u64::from_le_bytes(sequence),
        image,
        fields,
    })
}

impl<Source: Read + Seek> Snapshot<Source> {
    /// The state without its series, and its series, one by one.
    pub fn into_parts(
        self,
    ) -> (
        StateImage,
        impl Iterator<Item = Result<SeriesImage, String>>,
    ) {
        let mut fields = self.fields;
        let mut begun = fields.restart();
        let series = std::iter::from_fn(move || match std::mem::replace(&mut begun, Ok(())) {
            Ok(()) => fields.next_series().transpose(),
            Err(problem) => Some(Err(problem)),
        });
        (self.image, series)
    }
}

/// The fields of a [`StateImage`] in a file.
struct Fields<Source> {
    source: BufReader<Source>,
    /// Bytes that are not read yet.
    left: u64,
    /// Bytes of all fields.
    content: u64,
}

impl<Source: Read + Seek> Fields<Source> {
    /// Back to the first field.
    fn restart(&mut self) -> Result<(), String> {
        let sought = self.source.seek(SeekFrom::Start(HEADER_BYTES));
        sought.map_err(|error| error.to_string())?;
        self.left = self.content;
        Ok(())
    }

    fn all_but_series(&mut self) -> Result<StateImage, String> {
        let mut rest = Vec::new();
        while self.left > 0 {
            let key = self.varint()?;
            if key == u64::from(SERIES_KEY) {
                let length = self.length()?;
                self.left -= length;
                let length = i64::try_from(length).map_err(|error| error.to_string())?;
                let passed = self.source.seek_relative(length);
                passed.map_err(|error| error.to_string())?;
                continue;
            }
            prost::encoding::encode_varint(key, &mut rest);
            if key & 7 == DELIMITED {
                let length = self.length()?;
                prost::encoding::encode_varint(length, &mut rest);
                rest.append(&mut self.bytes(length)?);
            } else {
                prost::encoding::encode_varint(self.varint()?, &mut rest);
            }
        }
        StateImage::decode(rest.as_slice()).map_err(|error| error.to_string())
    }

    fn next_series(&mut self) -> Result<Option<SeriesImage>, String> {
        while self.left > 0 {
            let key = self.varint()?;
            if key & 7 != DELIMITED {
                self.varint()?;
                continue;
            }
            let length = self.length()?;
            let bytes = self.bytes(length)?;
            if key == u64::from(SERIES_KEY) {
                let series = SeriesImage::decode(Bytes::from(bytes));
                return series.map(Some).map_err(|error| error.to_string());
            }
        }
        Ok(None)
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.bytes(1)?.first().copied().unwrap_or_default();
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("a number is too long".into())
    }

    /// The length of what follows, all of which is there.
    fn length(&mut self) -> Result<u64, String> {
        let length = self.varint()?;
        if length > self.left {
            return Err("a field is cut".into());
        }
        Ok(length)
    }

    fn bytes(&mut self, length: u64) -> Result<Vec<u8>, String> {
        self.left = self.left.checked_sub(length).ok_or("a field is cut")?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|error| error.to_string())?];
        let read = self.source.read_exact(&mut bytes);
        read.map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}

/// Sequences and paths, oldest first.
fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_snapshot = path.extension().is_some_and(|ending| ending == EXTENSION);
        let sequence = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.strip_prefix(PREFIX)?.parse::<u64>().ok());
        if let Some(sequence) = sequence.filter(|_| is_snapshot) {
            found.push((sequence, path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Cursor;

    use super::*;

    fn image(head: u64) -> StateImage {
        StateImage {
            head,
            ..StateImage::default()
        }
    }

    #[test]
    fn the_newest_two_are_kept_and_read_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(write(folder.path(), 5, image(5)).unwrap(), 0);
        assert_eq!(write(folder.path(), 9, image(9)).unwrap(), 5);
        assert_eq!(write(folder.path(), 12, image(12)).unwrap(), 9);
        let found: Vec<u64> = read(folder.path())
            .unwrap()
            .map(|found| found.sequence)
            .collect();
        assert_eq!(found, [12, 9]);
    }

    #[test]
    fn the_content_is_the_message_whole() {
        let folder = tempfile::tempdir().unwrap();
        let series = |symbol: &str| SeriesImage {
            symbol: symbol.to_owned(),
            closes: vec![0.5; 400],
            ..SeriesImage::default()
        };
        let written = StateImage {
            series: vec![series("A"), SeriesImage::default(), series("C")],
            ..image(7)
        };
        write(folder.path(), 5, written.clone()).unwrap();
        let (_, path) = list(folder.path()).unwrap().remove(0);
        let bytes = fs::read(path).unwrap();
        let content = &bytes[HEADER_BYTES as usize..bytes.len() - HASH_BYTES as usize];
        assert_eq!(content, written.encode_to_vec());
        let (mut read, series) = decode(Cursor::new(bytes)).unwrap().into_parts();
        assert!(read.series.is_empty());
        read.series = series.collect::<Result<_, _>>().unwrap();
        assert_eq!(read, written);
    }

    #[test]
    fn a_snapshot_that_is_cut_or_changed_anywhere_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 5, image(77)).unwrap();
        let (_, path) = list(folder.path()).unwrap().remove(0);
        let whole = fs::read(&path).unwrap();
        let decode = |bytes: &[u8]| decode(Cursor::new(bytes.to_vec()));
        assert_eq!(decode(&whole).unwrap().image.head, 77);
        for position in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[position] ^= 0x10;
            assert!(decode(&bytes).is_err(), "bit at {position}");
            assert!(decode(&whole[..position]).is_err());
        }
    }
}
