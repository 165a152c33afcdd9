//! What a snapshot holds of the bar path: messages of its own, not part of the public contract.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use candlewire_features::Bar;

use super::{
    admission::Timeframe,
    hub::{Signal, SignalCause},
    outcomes::Outcome,
};
use crate::{
    models::{
        loaded::LoadedModel,
        registry::{Registry, Role},
    },
    scoring::{
        band::{Coverage, IssuedBand, PoolImage},
        decision::{Decision, Timings},
        engine::RowScore,
        policy::Distrust,
    },
};

/// State of the bar path after one bar took effect.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StateImage {
    /// Every series.
    #[prost(message, repeated, tag = "1")]
    pub series: Vec<SeriesImage>,
    /// The band pool of each loaded version.
    #[prost(message, repeated, tag = "2")]
    pub pools: Vec<VersionPool>,
    /// Realised outcomes, oldest first.
    #[prost(message, repeated, tag = "3")]
    pub outcomes: Vec<OutcomeImage>,
    /// Signals of the ring and newest signals of the series, by sequence.
    #[prost(message, repeated, tag = "4")]
    pub signals: Vec<SignalImage>,
    /// Sequence of the newest signal.
    #[prost(uint64, tag = "5")]
    pub head: u64,
    /// Signals in the ring: the newest so many.
    #[prost(uint64, tag = "6")]
    pub ring: u64,
}

/// A version of a model.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct VersionImage {
    /// Model.
    #[prost(string, tag = "1")]
    pub model: String,
    /// Version.
    #[prost(uint64, tag = "2")]
    pub version: u64,
    /// SHA-256 of its graph: the same version with other bytes is another.
    #[prost(string, tag = "3")]
    pub onnx_sha256: String,
}

/// The pool of a version.
#[derive(Clone, PartialEq, prost::Message)]
pub struct VersionPool {
    /// The version.
    #[prost(message, optional, tag = "1")]
    pub version: Option<VersionImage>,
    /// Its pool.
    #[prost(message, optional, tag = "2")]
    pub pool: Option<PoolImage>,
}

/// One series.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SeriesImage {
    /// Symbol.
    #[prost(string, tag = "1")]
    pub symbol: String,
    /// Timeframe.
    #[prost(string, tag = "2")]
    pub timeframe: String,
    /// Its features, a snapshot a spec.
    #[prost(message, repeated, tag = "3")]
    pub features: Vec<FeaturesImage>,
    /// Times of the newest closes.
    #[prost(sint64, repeated, tag = "4")]
    pub close_times_ns: Vec<i64>,
    /// The newest closes.
    #[prost(double, repeated, tag = "5")]
    pub closes: Vec<f64>,
    /// Scores whose outcome is not known.
    #[prost(message, repeated, tag = "6")]
    pub pending: Vec<PendingImage>,
    /// Sequence of its newest signal; zero without one.
    #[prost(uint64, tag = "7")]
    pub latest: u64,
}

/// Features of a series for one spec.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FeaturesImage {
    /// Hash of the spec, hexadecimal.
    #[prost(string, tag = "1")]
    pub spec_hash: String,
    /// The snapshot of the features' own format.
    #[prost(bytes = "bytes", tag = "2")]
    pub snapshot: Bytes,
}

/// A band as issued.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct BandImage {
    /// Lower end.
    #[prost(float, tag = "1")]
    pub low: f32,
    /// Centre.
    #[prost(float, tag = "2")]
    pub mid: f32,
    /// Upper end.
    #[prost(float, tag = "3")]
    pub high: f32,
    /// Multiplier.
    #[prost(float, tag = "4")]
    pub multiplier: f32,
}

/// A score whose outcome is not known.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PendingImage {
    /// Open time of the bar scored.
    #[prost(sint64, tag = "1")]
    pub bar_open_time_ns: i64,
    /// The version that scored.
    #[prost(message, optional, tag = "2")]
    pub version: Option<VersionImage>,
    /// Its band.
    #[prost(message, optional, tag = "3")]
    pub band: Option<BandImage>,
    /// P(up).
    #[prost(float, tag = "4")]
    pub probability_up: f32,
}

/// A realised outcome.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OutcomeImage {
    /// Symbol.
    #[prost(string, tag = "1")]
    pub symbol: String,
    /// Timeframe.
    #[prost(string, tag = "2")]
    pub timeframe: String,
    /// The score.
    #[prost(message, optional, tag = "3")]
    pub score: Option<PendingImage>,
    /// Open time of the bar that realised it.
    #[prost(sint64, tag = "4")]
    pub realised_open_time_ns: i64,
    /// Log return.
    #[prost(double, tag = "5")]
    pub realised_return: f64,
    /// Whether the band held it.
    #[prost(bool, tag = "6")]
    pub covered: bool,
}

/// A signal.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SignalImage {
    /// Sequence.
    #[prost(uint64, tag = "1")]
    pub sequence: u64,
    /// Symbol.
    #[prost(string, tag = "2")]
    pub symbol: String,
    /// Timeframe.
    #[prost(string, tag = "3")]
    pub timeframe: String,
    /// Open time of the bar.
    #[prost(sint64, tag = "4")]
    pub open_time_ns: i64,
    /// Open, high, low, close and volume.
    #[prost(double, repeated, tag = "5")]
    pub values: Vec<f64>,
    /// The version that serves the series.
    #[prost(message, optional, tag = "6")]
    pub version: Option<VersionImage>,
    /// The score, if there was one.
    #[prost(message, optional, tag = "7")]
    pub decision: Option<DecisionImage>,
    /// When the bar was received.
    #[prost(sint64, tag = "8")]
    pub received_time_ns: i64,
    /// How long it took.
    #[prost(uint64, tag = "9")]
    pub bar_to_signal_ns: u64,
    /// 0 accepted, 1 replaced, 2 late.
    #[prost(uint32, tag = "10")]
    pub cause: u32,
}

/// A decision on a bar.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DecisionImage {
    /// Whether a canary decided.
    #[prost(bool, tag = "1")]
    pub canary: bool,
    /// The graph's outputs.
    #[prost(float, repeated, tag = "2")]
    pub values: Vec<f32>,
    /// The band.
    #[prost(message, optional, tag = "3")]
    pub band: Option<BandImage>,
    /// Multiplier in full precision.
    #[prost(double, tag = "4")]
    pub width_multiplier: f64,
    /// Where the decision log holds it.
    #[prost(uint64, tag = "5")]
    pub id: u64,
    /// Coverage then: outcomes, and newest outcomes.
    #[prost(uint64, repeated, tag = "6")]
    pub counts: Vec<u64>,
    /// Coverage then: achieved, recent, hit rate, Brier score.
    #[prost(double, repeated, tag = "7")]
    pub shares: Vec<f64>,
    /// 0 outlier, 1 not ready, 2 coverage.
    #[prost(uint32, repeated, tag = "8")]
    pub distrust: Vec<u32>,
}

impl VersionImage {
    /// The name of `model`.
    #[must_use]
    pub fn of(model: &LoadedModel) -> Self {
        Self {
            model: model.manifest.model.clone(),
            version: model.manifest.version,
            onnx_sha256: model.manifest.onnx.sha256.clone(),
        }
    }
}

/// The loaded versions that images name.
pub struct Versions(HashMap<VersionImage, Arc<LoadedModel>>);

impl Versions {
    /// What `registry` has loaded.
    #[must_use]
    pub fn of(registry: &Registry) -> Self {
        let deployment = registry.deployment();
        let loaded = deployment
            .loaded()
            .map(|model| (VersionImage::of(model), Arc::clone(model)));
        Self(loaded.collect())
    }

    /// The version that `image` names.
    ///
    /// # Errors
    /// It is not loaded.
    pub fn find(&self, image: Option<&VersionImage>) -> Result<&Arc<LoadedModel>, String> {
        let image = image.ok_or("a version is missing")?;
        self.0
            .get(image)
            .ok_or_else(|| format!("{} {} is not loaded", image.model, image.version))
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&VersionImage, &Arc<LoadedModel>)> {
        self.0.iter()
    }
}

impl From<IssuedBand> for BandImage {
    fn from(band: IssuedBand) -> Self {
        Self {
            low: band.low,
            mid: band.mid,
            high: band.high,
            multiplier: band.multiplier,
        }
    }
}

impl From<BandImage> for IssuedBand {
    fn from(band: BandImage) -> Self {
        Self {
            low: band.low,
            mid: band.mid,
            high: band.high,
            multiplier: band.multiplier,
        }
    }
}

/// Reads a timeframe's name.
///
/// # Errors
/// It is none.
pub fn timeframe(name: &str) -> Result<Timeframe, String> {
    Timeframe::parse(name).ok_or_else(|| format!("{name:?} is no timeframe"))
}

impl OutcomeImage {
    /// The image of `outcome`.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Self {
        Self {
            symbol: outcome.symbol.clone(),
            timeframe: outcome.timeframe.as_str().to_owned(),
            score: Some(PendingImage {
                bar_open_time_ns: outcome.bar_open_time_ns,
                version: Some(VersionImage::of(&outcome.model)),
                band: Some(outcome.band.into()),
                probability_up: outcome.probability_up,
            }),
            realised_open_time_ns: outcome.realised_open_time_ns,
            realised_return: outcome.realised_return,
            covered: outcome.covered,
        }
    }

    /// The outcome again.
    ///
    /// # Errors
    /// Its version is not loaded, or a part is missing.
    pub fn restore(self, versions: &Versions) -> Result<Outcome, String> {
        let score = self.score.ok_or("an outcome without its score")?;
        Ok(Outcome {
            timeframe: timeframe(&self.timeframe)?,
            symbol: self.symbol,
            model: Arc::clone(versions.find(score.version.as_ref())?),
            bar_open_time_ns: score.bar_open_time_ns,
            realised_open_time_ns: self.realised_open_time_ns,
            probability_up: score.probability_up,
            band: score.band.ok_or("an outcome without its band")?.into(),
            realised_return: self.realised_return,
            covered: self.covered,
        })
    }
}

impl SignalImage {
    /// The image of `signal`.
    #[must_use]
    pub fn of(signal: &Signal) -> Self {
        let bar = &signal.bar;
        Self {
            sequence: signal.sequence,
            symbol: signal.symbol.clone(),
            timeframe: signal.timeframe.as_str().to_owned(),
            open_time_ns: bar.open_time_ns,
            values: vec![bar.open, bar.high, bar.low, bar.close, bar.volume],
            version: Some(VersionImage::of(&signal.model)),
            decision: signal.decision.as_ref().map(DecisionImage::of),
            received_time_ns: signal.received_time_ns,
            bar_to_signal_ns: signal.bar_to_signal_ns,
            cause: match signal.cause {
                SignalCause::Accepted => 0,
                SignalCause::Replaced => 1,
                SignalCause::LateApplied => 2,
            },
        }
    }

    /// The signal again.
    ///
    /// # Errors
    /// Its version is not loaded, or a part is missing.
    pub fn restore(self, versions: &Versions) -> Result<Signal, String> {
        let &[open, high, low, close, volume] = self.values.as_slice() else {
            return Err("a signal without its bar".into());
        };
        let model = versions.find(self.version.as_ref())?;
        let bar = Bar {
            open_time_ns: self.open_time_ns,
            open,
            high,
            low,
            close,
            volume,
        };
        let decision = self
            .decision
            .map(|decision| decision.restore(model, &bar))
            .transpose()?;
        Ok(Signal {
            sequence: self.sequence,
            timeframe: timeframe(&self.timeframe)?,
            symbol: self.symbol,
            bar,
            model: Arc::clone(model),
            decision,
            received_time_ns: self.received_time_ns,
            bar_to_signal_ns: self.bar_to_signal_ns,
            cause: match self.cause {
                0 => SignalCause::Accepted,
                1 => SignalCause::Replaced,
                _ => SignalCause::LateApplied,
            },
        })
    }
}

impl DecisionImage {
    fn of(decision: &Decision) -> Self {
        let coverage = decision.coverage;
        Self {
            canary: decision.role == Role::Canary,
            values: decision.values.clone(),
            band: Some(decision.band.into()),
            width_multiplier: decision.width_multiplier,
            id: decision.id,
            counts: vec![coverage.outcomes, coverage.recent_outcomes],
            shares: vec![
                coverage.achieved,
                coverage.recent,
                coverage.hit_rate,
                coverage.brier_score,
            ],
            distrust: decision
                .distrust
                .iter()
                .map(|reason| match reason {
                    Distrust::Outlier => 0,
                    Distrust::NotReady => 1,
                    Distrust::Coverage => 2,
                })
                .collect(),
        }
    }

    fn restore(self, model: &Arc<LoadedModel>, bar: &Bar) -> Result<Decision, String> {
        let (&[outcomes, recent_outcomes], &[achieved, recent, hit_rate, brier_score]) =
            (self.counts.as_slice(), self.shares.as_slice())
        else {
            return Err("a decision without its coverage".into());
        };
        let row = RowScore::new(model.layout, &self.values);
        let probability =
            |class: usize| row.probabilities().get(class).copied().unwrap_or(f32::NAN);
        let verdict = model
            .manifest
            .policy
            .judge(probability(model.up), probability(model.down));
        Ok(Decision {
            model: Arc::clone(model),
            role: if self.canary {
                Role::Canary
            } else {
                Role::Production
            },
            values: self.values,
            verdict,
            band: self.band.ok_or("a decision without its band")?.into(),
            width_multiplier: self.width_multiplier,
            id: self.id,
            coverage: Coverage {
                outcomes,
                achieved,
                recent_outcomes,
                recent,
                hit_rate,
                brier_score,
            },
            distrust: self
                .distrust
                .iter()
                .map(|reason| match reason {
                    0 => Distrust::Outlier,
                    1 => Distrust::NotReady,
                    _ => Distrust::Coverage,
                })
                .collect(),
            reference_price: bar.close,
            bar_open_time_ns: bar.open_time_ns,
            // How long it took was said when it was new.
            timings: Timings::default(),
        })
    }
}
