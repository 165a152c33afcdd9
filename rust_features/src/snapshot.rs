//! Series and panels as bytes: explicit, little-endian, the same on every machine.
//!
//! | bytes | content |
//! |---|---|
//! | 8 | magic `CWFEATSN` |
//! | 4 | version of this layout, [`VERSION`] |
//! | 4 | what it holds: 1 series, 2 panel, 3 ordered series |
//! | 32 | hash of the feature spec |
//! | 32 | hash of what the spec's kernels remember, so that a changed kernel refuses old state |
//! | 8 | length of the content |
//! | … | content |
//! | 32 | SHA-256 of all bytes before |
//!
//! Every integer and float is little-endian; floats are IEEE 754 bits. The content of one series is: bars seen, open
//! time of the newest bar, the history of each column that kernels look back on and of the log returns (oldest first),
//! the words and then the windows of each kernel. A panel is the number of symbols and then name and series of each.

use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::bar::Bar;
use crate::spec::{FeatureSpec, FeatureSpecHash};

const MAGIC: &[u8; 8] = b"CWFEATSN";
const CHECKSUM_BYTES: usize = 32;

/// Layout that this version writes, and the only one it reads.
pub const VERSION: u32 = 1;

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Series = 1,
    Panel = 2,
    OrderedSeries = 3,
}

/// Why a snapshot is refused; nothing was restored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// Other bytes altogether.
    #[error("not a snapshot of candlewire-features: the first bytes are others")]
    NotASnapshot,
    /// Bytes are missing at the end, or there are more than were written.
    #[error("the snapshot has {given} bytes, {expected} were written: copy the whole file")]
    Length {
        /// Bytes given.
        given: usize,
        /// Bytes that its header announces.
        expected: usize,
    },
    /// A byte differs from what was written.
    #[error("the snapshot is damaged (checksum differs): use another one or replay the bars")]
    Checksum,
    /// Written in another layout.
    #[error(
        "the snapshot has layout {given}, this version reads {VERSION}: restore it with the version that wrote it, or replay the bars"
    )]
    Version {
        /// Layout of the snapshot.
        given: u32,
    },
    /// Holds something else, for example a panel where a series is restored.
    #[error("the snapshot holds {given}, not {expected}: restore it as what it is")]
    Kind {
        /// What it holds.
        given: &'static str,
        /// What was asked for.
        expected: &'static str,
    },
    /// Belongs to other features.
    #[error(
        "the snapshot belongs to spec {given}, not {expected}: pass the spec it was taken with"
    )]
    Spec {
        /// Spec of the snapshot.
        given: String,
        /// Spec passed.
        expected: String,
    },
    /// The same features, but their kernels remember other things since.
    #[error(
        "the snapshot was taken by another version of these kernels: replay the bars through this one"
    )]
    Kernels,
    /// The content contradicts itself although its checksum is right.
    #[error("the snapshot's content is inconsistent at {0}: it was not written by this library")]
    Content(&'static str),
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Series => "a series",
            Self::Panel => "a panel",
            Self::OrderedSeries => "a series with late bars",
        }
    }
}

/// Collects a snapshot.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(kind: Kind, spec: &FeatureSpec) -> Self {
        let mut writer = Self(Vec::new());
        writer.0.extend_from_slice(MAGIC);
        writer.0.extend_from_slice(&VERSION.to_le_bytes());
        writer.0.extend_from_slice(&(kind as u32).to_le_bytes());
        writer.0.extend_from_slice(spec.hash().as_bytes());
        writer.0.extend_from_slice(spec.memory_hash());
        // The length of the content, known at the end.
        writer.u64(0);
        writer
    }

    /// Collects content alone, for this process: it is neither described nor checked.
    pub(crate) fn bare(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// What a bare writer collected.
    pub(crate) fn into_content(self) -> Box<[u8]> {
        self.0.into_boxed_slice()
    }

    /// Content that a bare writer collected.
    pub(crate) fn content(&mut self, content: &[u8]) {
        self.0.extend_from_slice(content);
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn words(&mut self, words: &[u64]) {
        for word in words {
            self.u64(*word);
        }
    }

    pub(crate) fn floats(&mut self, values: &[f64]) {
        for value in values {
            self.u64(value.to_bits());
        }
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.u64(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn bar(&mut self, bar: &Bar) {
        self.i64(bar.open_time_ns);
        self.floats(&[bar.open, bar.high, bar.low, bar.close, bar.volume]);
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        let content = (self.0.len() - HEADER_BYTES) as u64;
        self.0[HEADER_BYTES - 8..HEADER_BYTES].copy_from_slice(&content.to_le_bytes());
        let checksum = Sha256::digest(&self.0);
        self.0.extend_from_slice(&checksum);
        self.0
    }
}

const HEADER_BYTES: usize = 8 + 4 + 4 + 32 + 32 + 8;

/// Reads the content of a snapshot that was checked.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Checks everything but the content itself.
    pub(crate) fn open(
        bytes: &'a [u8],
        expected: Kind,
        spec: &FeatureSpec,
    ) -> Result<Self, SnapshotError> {
        if !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())]) || bytes.is_empty() {
            return Err(SnapshotError::NotASnapshot);
        }
        let least = HEADER_BYTES + CHECKSUM_BYTES;
        let mut header = Reader(bytes.get(MAGIC.len()..).unwrap_or_default());
        let version = header.u32().ok();
        if let Some(given) = version.filter(|version| *version != VERSION) {
            return Err(SnapshotError::Version { given });
        }
        if bytes.len() < least {
            return Err(SnapshotError::Length {
                given: bytes.len(),
                expected: least,
            });
        }
        let kind = header.u32()?;
        let hash = header.take(32)?;
        let memory_hash = header.take(32)?;
        let announced = usize::try_from(header.u64()?).unwrap_or(usize::MAX);
        let written = announced.saturating_add(least);
        if bytes.len() != written {
            return Err(SnapshotError::Length {
                given: bytes.len(),
                expected: written,
            });
        }
        let (signed, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        if Sha256::digest(signed).as_slice() != checksum {
            return Err(SnapshotError::Checksum);
        }
        if kind != expected as u32 {
            let given = [Kind::Series, Kind::Panel, Kind::OrderedSeries]
                .into_iter()
                .find(|known| *known as u32 == kind)
                .map_or("content of a later version", Kind::name);
            return Err(SnapshotError::Kind {
                given,
                expected: expected.name(),
            });
        }
        if hash != spec.hash().as_bytes() {
            return Err(SnapshotError::Spec {
                given: FeatureSpecHash::show(hash),
                expected: spec.hash().to_string(),
            });
        }
        if memory_hash != spec.memory_hash() {
            return Err(SnapshotError::Kernels);
        }
        Ok(Self(&signed[HEADER_BYTES..]))
    }

    /// Reads what a bare writer collected.
    pub(crate) const fn bare(content: &'a [u8]) -> Self {
        Self(content)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], SnapshotError> {
        let (taken, rest) = self
            .0
            .split_at_checked(bytes)
            .ok_or(SnapshotError::Content("its end"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (taken, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(SnapshotError::Content("its end"))?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, SnapshotError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, SnapshotError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, SnapshotError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// A count of things that take at least `bytes` each, so that it cannot ask for more memory than the snapshot has.
    pub(crate) fn count(
        &mut self,
        bytes: usize,
        what: &'static str,
    ) -> Result<usize, SnapshotError> {
        let count = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        if count > self.0.len() / bytes {
            return Err(SnapshotError::Content(what));
        }
        Ok(count)
    }

    pub(crate) fn words(&mut self, words: &mut [u64]) -> Result<(), SnapshotError> {
        for word in words {
            *word = self.u64()?;
        }
        Ok(())
    }

    pub(crate) fn floats(&mut self, values: &mut [f64]) -> Result<(), SnapshotError> {
        for value in values {
            *value = f64::from_bits(self.u64()?);
        }
        Ok(())
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, SnapshotError> {
        let length = self.count(1, "a name's length")?;
        std::str::from_utf8(self.take(length)?).map_err(|_| SnapshotError::Content("a name"))
    }

    /// A bar that makes sense.
    pub(crate) fn bar(&mut self) -> Result<Bar, SnapshotError> {
        let open_time_ns = self.i64()?;
        let mut values = [0.0; 5];
        self.floats(&mut values)?;
        let [open, high, low, close, volume] = values;
        let bar = Bar {
            open_time_ns,
            open,
            high,
            low,
            close,
            volume,
        };
        bar.check().map_err(|_| SnapshotError::Content("a bar"))?;
        Ok(bar)
    }

    /// The content must end here.
    pub(crate) fn finish(self) -> Result<(), SnapshotError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(SnapshotError::Content("its end"))
        }
    }
}
