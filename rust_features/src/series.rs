//! Every feature of one spec for one symbol, bar by bar.

use thiserror::Error;

use crate::bar::{Bar, InvalidBar};
use crate::lanes::{Lanes, Mode};
use crate::spec::FeatureSpec;

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
    lanes: Lanes,
}

impl Series {
    /// A series that has seen no bar.
    pub fn new(spec: &FeatureSpec) -> Self {
        Self {
            spec: spec.clone(),
            lanes: Lanes::new(spec.plan(), 1),
        }
    }

    /// The features it computes.
    pub fn spec(&self) -> &FeatureSpec {
        &self.spec
    }

    /// Bars applied since the start or the last reset.
    pub fn bars_seen(&self) -> u64 {
        self.lanes.bars_seen(0)
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
        self.lanes.reset(self.spec.plan(), 0);
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
        self.lanes.step(
            self.spec.plan(),
            mode,
            (&[0], std::slice::from_ref(bar)),
            out,
            |_, reason| {
                refused = Some(reason);
            },
        );
        refused.map_or(Ok(()), |reason| Err(reason.into()))
    }
}
