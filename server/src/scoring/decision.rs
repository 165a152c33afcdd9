//! One score with everything that a response or a signal says of it.

use std::{sync::Arc, time::Duration};

use super::{
    band::{BandPool, Coverage, IssuedBand},
    engine::RowScore,
    policy::{Distrust, Verdict},
};
use crate::models::{loaded::LoadedModel, registry::Role};

/// Recent coverage this far below its target is not trusted.
const COVERAGE_SHORTFALL: f64 = 0.15;
/// Recent outcomes needed before coverage can cost trust.
const COVERAGE_OUTCOMES: u64 = 200;

/// Where the server's time went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// In the queue.
    pub queued: Duration,
    /// In the model, for the whole batch.
    pub inference: Duration,
    /// Computing features.
    pub features: Duration,
    /// From decoded request to decision.
    pub total: Duration,
    /// Rows that ran together.
    pub batch_rows: usize,
}

/// One score.
#[derive(Clone)]
pub struct Decision {
    /// The version that scored.
    pub model: Arc<LoadedModel>,
    /// Role in which it scored.
    pub role: Role,
    /// The graph's outputs, one row.
    pub values: Vec<f32>,
    /// What the policy makes of them.
    pub verdict: Verdict,
    /// The return band as issued.
    pub band: IssuedBand,
    /// Multiplier on the graph's half-widths, in full precision.
    pub width_multiplier: f64,
    /// Where it stands in the decision log; zero when it is not logged.
    pub id: u64,
    /// How well the pool's bands did so far.
    pub coverage: Coverage,
    /// Why not to act on it; empty when it is trusted.
    pub distrust: Vec<Distrust>,
    /// Last close; zero when unknown.
    pub reference_price: f64,
    /// Open time of the bar scored; zero for a bare row.
    pub bar_open_time_ns: i64,
    /// Where the time went.
    pub timings: Timings,
}

impl Decision {
    /// The row by name.
    #[must_use]
    pub fn row(&self) -> RowScore<'_> {
        RowScore::new(self.model.layout, &self.values)
    }
}

/// What the policy and the band pool make of one row.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The policy's reading.
    pub verdict: Verdict,
    /// The band as issued.
    pub band: IssuedBand,
    /// Multiplier on the graph's half-widths, in full precision.
    pub width_multiplier: f64,
    /// How well the pool did so far.
    pub coverage: Coverage,
    /// Why not to act on it.
    pub distrust: Vec<Distrust>,
}

/// What a band pool says of one symbol at one moment: all rows of a request are read by the same.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Multiplier on the graph's half-widths, in full precision.
    pub width_multiplier: f64,
    /// How well the pool did so far.
    pub coverage: Coverage,
}

impl Standing {
    /// How `pool` stands for `symbol`.
    #[must_use]
    pub fn of(pool: &BandPool, symbol: &str) -> Self {
        Self {
            width_multiplier: pool.multiplier(symbol),
            coverage: pool.coverage(),
        }
    }
}

/// Reads one row of `model` as its band pool stands.
#[must_use]
pub fn read(model: &LoadedModel, row: RowScore<'_>, standing: Standing) -> Reading {
    let policy = model.manifest.policy;
    let probability = |class: usize| row.probabilities().get(class).copied().unwrap_or(f32::NAN);
    let verdict = policy.judge(probability(model.up), probability(model.down));
    let Standing {
        width_multiplier,
        coverage,
    } = standing;
    let band = IssuedBand::widen(
        row.band_low(),
        row.band_mid(),
        row.band_high(),
        width_multiplier,
    );
    let mut distrust = Vec::new();
    if policy.is_outlier(row.dissimilarity()) {
        distrust.push(Distrust::Outlier);
    }
    let shortfall = model.manifest.band.target_coverage - coverage.recent;
    if coverage.recent_outcomes >= COVERAGE_OUTCOMES && shortfall > COVERAGE_SHORTFALL {
        distrust.push(Distrust::Coverage);
    }
    Reading {
        verdict,
        band,
        width_multiplier,
        coverage,
        distrust,
    }
}
