//! Snapshots: the state after one bar of the journal, so that a restart replays only what came after.
//!
//! A file holds a magic, the sequence of the bar, the length of the content, the content, and the SHA-256 of all of it.
//! It is written beside its name, made durable and then renamed: what has the name is whole, and what is not whole is
//! refused. The newest two are kept: should the newest be damaged, the one before it and the journal are enough.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::bars::image::StateImage;

const MAGIC: &[u8; 8] = b"CWSTATE1";
const HEADER_BYTES: usize = 8 + 8 + 8;
const HASH_BYTES: usize = 32;
const PREFIX: &str = "snapshot-";
const EXTENSION: &str = "state";
/// Snapshots kept.
const KEPT: usize = 2;
/// What stands before each series in the content: field 1 of [`StateImage`], with a length.
const SERIES_KEY: u8 = 1 << 3 | 2;
/// Bytes handed to the system at once.
const WRITTEN_TOGETHER: usize = 1 << 20;

/// A snapshot that was read.
pub struct Snapshot {
    /// The last bar that took effect before it.
    pub sequence: u64,
    /// The state.
    pub image: StateImage,
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
        file: BufWriter::with_capacity(WRITTEN_TOGETHER, File::create(&beside)?),
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
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    decode(&bytes.into())
}

/// Reads the bytes of one snapshot. The image's series share them: thousands are not held twice.
///
/// # Errors
/// It is cut, damaged, or in another layout.
pub fn decode(bytes: &Bytes) -> Result<Snapshot, String> {
    let content_bytes = bytes.len().checked_sub(HASH_BYTES).ok_or("it is cut")?;
    let (body, hash) = bytes.split_at(content_bytes);
    if Sha256::digest(body).as_slice() != hash {
        return Err("its checksum differs".into());
    }
    let (header, content) = body
        .split_at_checked(HEADER_BYTES)
        .ok_or("it has no header")?;
    let (words, _) = header.as_chunks::<8>();
    let &[magic, sequence, length] = words else {
        return Err("it has no header".into());
    };
    if &magic != MAGIC || u64::from_le_bytes(length) != content.len() as u64 {
        return Err("it is in another layout".into());
    }
    let image = StateImage::decode(bytes.slice_ref(content)).map_err(|error| error.to_string())?;
    Ok(Snapshot {
        sequence: u64::from_le_bytes(sequence),
        image,
    })
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
    use super::*;
    use crate::bars::image::SeriesImage;

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
        let content = &bytes[HEADER_BYTES..bytes.len() - HASH_BYTES];
        assert_eq!(content, written.encode_to_vec());
        assert_eq!(decode(&bytes.into()).unwrap().image, written);
    }

    #[test]
    fn a_snapshot_that_is_cut_or_changed_anywhere_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 5, image(77)).unwrap();
        let (_, path) = list(folder.path()).unwrap().remove(0);
        let whole = Bytes::from(fs::read(&path).unwrap());
        assert_eq!(decode(&whole).unwrap().image.head, 77);
        for position in 0..whole.len() {
            let mut bytes = whole.to_vec();
            bytes[position] ^= 0x10;
            assert!(decode(&bytes.into()).is_err(), "bit at {position}");
            assert!(decode(&whole.slice(..position)).is_err());
        }
    }
}
