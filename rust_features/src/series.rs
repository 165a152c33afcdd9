//! Every feature of one spec for one symbol, bar by bar.

use thiserror::Error;

use crate::bar::{Bar, InvalidBar};
use crate::lanes::Mode;
use crate::snapshot::{Kind, Reader, SnapshotError, Writer};
use crate::spec::FeatureSpec;
use crate::streams::{Report, Streams};

/// Why a series did not take a bar; nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum UpdateError {
    /// The bar makes no sense or is not newer than the last one.
    #[error(transparent)]
    InvalidBar(#[from] InvalidBar),
    /// The output has the wrong length.
    #[error(
        "out holds {given} values, the spec has {expected} features: pass one value per feature"
    )]
    OutputLength {
        /// Length of the slice passed.
        given: usize,
        /// Features of the spec.
        expected: usize,
    },
}

/// One symbol's features as a stream.
#[derive(Debug, Clone)]
pub struct Series {
    spec: FeatureSpec,
    streams: Streams,
}

impl Series {
    /// A series that has seen no bar.
    pub fn new(spec: &FeatureSpec) -> Self {
        Self {
            spec: spec.clone(),
            streams: Streams::new(spec, 1),
        }
    }

    /// The features it computes.
    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// Bars applied since the start or the last reset.
    pub fn bars_seen(&self) -> u64 {
        self.streams.bars_seen(0)
    }

    /// Applies a closed bar and writes its features, NaN where they are not warm yet.
    ///
    /// # Errors
    /// A bad bar or a wrong output length; the series is as before. For a bad bar `out` is NaN.
    pub fn update(&mut self, bar: &Bar, out: &mut [f64]) -> Result<(), UpdateError> {
        self.step(Mode::Update, bar, out)
    }

    /// The features that `update` would write, without applying the bar.
    ///
    /// Copies the series; a panel peeks without that.
    ///
    /// # Errors
    /// As `update`.
    pub fn peek(&self, bar: &Bar, out: &mut [f64]) -> Result<(), UpdateError> {
        self.clone().step(Mode::Peek, bar, out)
    }

    /// Forgets every bar.
    pub fn reset(&mut self) {
        self.streams.reset(&self.spec, 0);
    }

    /// The series as bytes; the layout is documented in the module `snapshot`.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut writer = Writer::new(Kind::Series, &self.spec);
        self.save(&mut writer);
        writer.finish()
    }

    /// The series of a snapshot: it continues with the bits of one that never stopped.
    ///
    /// # Errors
    /// Bytes that are damaged, or belong to something else; each error says what to do.
    pub fn restore(spec: &FeatureSpec, snapshot: &[u8]) -> Result<Self, SnapshotError> {
        let mut reader = Reader::open(snapshot, Kind::Series, spec)?;
        let mut series = Self::new(spec);
        series.load(&mut reader)?;
        reader.finish()?;
        Ok(series)
    }

    pub(crate) fn save(&self, writer: &mut Writer) {
        self.streams.save(&self.spec, 0, writer);
    }

    pub(crate) fn load(&mut self, reader: &mut Reader<'_>) -> Result<(), SnapshotError> {
        self.streams.load(&self.spec, 0, reader)
    }

    fn step(&mut self, mode: Mode, bar: &Bar, out: &mut [f64]) -> Result<(), UpdateError> {
        let expected = self.spec.len();
        if out.len() != expected {
            return Err(UpdateError::OutputLength {
                given: out.len(),
                expected,
            });
        }
        let mut refused = None;
        let batch = (&[0][..], std::slice::from_ref(bar));
        self.streams
            .step(&self.spec, mode, batch, out, &mut |_, report| {
                if let Report::Refused(reason) = report {
                    refused = Some(reason);
                }
            });
        refused.map_or(Ok(()), |reason| Err(reason.into()))
    }
}
