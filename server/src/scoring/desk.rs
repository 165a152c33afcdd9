//! Answers score requests: admission, model, batcher, band, policy.

use std::{sync::Arc, time::Instant};

use candlewire_features::{Bar, Series};

use super::{
    batcher::{Priority, Scored},
    decision::{self, Decision, Standing, Timings},
    engine::RowScore,
    shadow::{ShadowRow, Shadows},
};
use crate::{
    bars::{
        admission::{RawBar, is_timeframe},
        regime,
    },
    error::ServeError,
    journal::scores::{LoggedRows, LoggedScore, ScoreLog},
    models::{
        deployment::RouteKey,
        loaded::LoadedModel,
        registry::{Registry, Role},
    },
    settings::Settings,
    telemetry::traces::record_score,
};

/// Which model is asked for, and for what.
#[derive(Debug, Clone, Copy, Default)]
pub struct Target<'a> {
    /// Model; empty asks for the route.
    pub model: &'a str,
    /// Version; zero means what the deployment says.
    pub version: u64,
    /// Symbol; may be empty.
    pub symbol: &'a str,
    /// Timeframe; empty means the model's own.
    pub timeframe: &'a str,
    /// Hash of the caller's feature spec; empty is not checked.
    pub feature_spec_hash: &'a str,
    /// Last close; zero means unknown.
    pub reference_price: f64,
    /// When the caller stops waiting.
    pub deadline: Option<Instant>,
    /// How urgent it is.
    pub priority: Priority,
}

/// Scores of many rows.
pub struct BatchDecision {
    /// The version that scored.
    pub model: Arc<LoadedModel>,
    /// Role in which it scored.
    pub role: Role,
    /// The rows and where the time went.
    pub scored: Scored,
    /// How the version's bands stood: all rows are read by it.
    pub standing: Standing,
    /// Where the first row stands in the log, the others follow; zero when they are not logged.
    pub first_id: u64,
    /// From admission to the end.
    pub total: std::time::Duration,
}

impl BatchDecision {
    /// Where the time went.
    #[must_use]
    pub const fn timings(&self) -> Timings {
        Timings {
            queued: self.scored.queued,
            inference: self.scored.inference,
            features: std::time::Duration::ZERO,
            total: self.total,
            batch_rows: self.scored.batch_rows,
        }
    }

    /// Adds the batch to the trace that runs, if one does.
    pub(crate) fn record(&self) {
        let manifest = &self.model.manifest;
        record_score(&manifest.model, manifest.version, self.timings());
    }
}

/// Answers score requests.
pub struct ScoringDesk {
    registry: Arc<Registry>,
    settings: Settings,
    shadows: Shadows,
    log: Option<Arc<ScoreLog>>,
}

impl ScoringDesk {
    /// A desk over the models of `registry`; what it decides goes to `log`, and to `shadows` to decide again.
    #[must_use]
    pub const fn new(
        registry: Arc<Registry>,
        settings: Settings,
        shadows: Shadows,
        log: Option<Arc<ScoreLog>>,
    ) -> Self {
        Self {
            registry,
            settings,
            shadows,
            log,
        }
    }

    /// Scores one row of features.
    ///
    /// # Errors
    /// The request is not sound, the model is not there, or it could not score in time.
    pub async fn score_row(
        &self,
        target: Target<'_>,
        features: Vec<f32>,
    ) -> Result<Decision, ServeError> {
        let started = Instant::now();
        let (model, role) = self.pick(target)?;
        check_row(&model, &features)?;
        let copy = self.copy_if_kept(&model, &features);
        let scored = model.batcher.score(features, 1, target.deadline).await?;
        let decision = decide(model, role, target, scored, 0, started, started);
        Ok(self.keep(decision, target, copy))
    }

    /// Computes the features of the last bar of a window, and scores them.
    ///
    /// # Errors
    /// As [`Self::score_row`]; also when a bar makes no sense or the window does not cover the warm-up.
    pub async fn score_window(
        &self,
        target: Target<'_>,
        bars: &[RawBar<'_>],
    ) -> Result<Decision, ServeError> {
        let started = Instant::now();
        let (Some(first), Some(last)) = (bars.first(), bars.last()) else {
            return Err(ServeError::RowInput { got: "neither" });
        };
        if bars.len() > self.settings.max_window_bars {
            return Err(ServeError::WindowTooLong {
                got: bars.len(),
                limit: self.settings.max_window_bars,
            });
        }
        let target = Target {
            symbol: first.symbol,
            timeframe: first.timeframe,
            reference_price: if target.reference_price > 0.0 {
                target.reference_price
            } else {
                last.bar.close
            },
            ..target
        };
        check_window(bars)?;
        let by_regime = self.registry.deployment().routes_by_regime(key_of(target));
        let regime = if by_regime {
            regime::of_window(bars)
        } else {
            ""
        };
        let (model, role) = self.pick_in(target, regime)?;
        let features = window_features(&model, bars)?;
        let computed = Instant::now();
        let copy = self.copy_if_kept(&model, &features);
        let scored = model.batcher.score(features, 1, target.deadline).await?;
        let decision = decide(
            model,
            role,
            target,
            scored,
            last.bar.open_time_ns,
            started,
            computed,
        );
        Ok(self.keep(decision, target, copy))
    }

    /// Scores `rows` rows of row-major `features` in one run.
    ///
    /// # Errors
    /// As [`Self::score_row`].
    pub async fn score_rows(
        &self,
        target: Target<'_>,
        features: &[u8],
        rows: usize,
    ) -> Result<BatchDecision, ServeError> {
        let started = Instant::now();
        let (model, role) = self.pick(target)?;
        let limit = self.settings.max_request_rows;
        if rows == 0 || rows > limit {
            return Err(ServeError::RowCount { rows, limit });
        }
        let columns = model.spec.len();
        let expected = rows * columns * size_of::<f32>();
        if features.len() != expected {
            return Err(ServeError::BatchBytes {
                rows,
                columns,
                expected,
                got: features.len(),
            });
        }
        let (words, _) = features.as_chunks::<4>();
        let features = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        self.run_rows((model, role), target, features, rows, started)
            .await
    }

    /// Scores `rows` rows of row-major `features`, already numbers, in one run.
    ///
    /// # Errors
    /// As [`Self::score_row`].
    pub async fn score_values(
        &self,
        target: Target<'_>,
        features: Vec<f32>,
        rows: usize,
    ) -> Result<BatchDecision, ServeError> {
        let started = Instant::now();
        let (model, role) = self.pick(target)?;
        let limit = self.settings.max_request_rows;
        if rows == 0 || rows > limit {
            return Err(ServeError::RowCount { rows, limit });
        }
        let expected = model.spec.len();
        if features.len() != rows * expected {
            return Err(ServeError::FeatureCount {
                model: model.manifest.model.clone(),
                got: features.len() / rows,
                expected,
            });
        }
        self.run_rows((model, role), target, features, rows, started)
            .await
    }

    /// The models behind the desk.
    #[must_use]
    pub const fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Most rows in one request.
    #[must_use]
    pub const fn max_request_rows(&self) -> usize {
        self.settings.max_request_rows
    }

    /// The features, when a log or a shadow version will ask for them.
    fn copy_if_kept(&self, model: &LoadedModel, features: &[f32]) -> Option<Vec<f32>> {
        let has_shadow = || self.registry.deployment().shadows(model).next().is_some();
        (self.log.is_some() || has_shadow()).then(|| features.to_vec())
    }

    /// Hands a decision to the log and its row to the shadow versions.
    fn keep(
        &self,
        mut decision: Decision,
        target: Target<'_>,
        features: Option<Vec<f32>>,
    ) -> Decision {
        let Some(features) = features else {
            return decision;
        };
        for shadow in self.registry.deployment().shadows(&decision.model) {
            self.shadows.offer(ShadowRow {
                model: Arc::clone(shadow),
                symbol: target.symbol.to_owned(),
                timeframe: target.timeframe.to_owned(),
                features: features.clone(),
                reference_price: decision.reference_price,
                bar_open_time_ns: decision.bar_open_time_ns,
                probability_up: decision.verdict.probability_up,
                signal: decision.verdict.signal,
            });
        }
        if let Some(log) = &self.log {
            decision.id = log.push(LoggedScore {
                symbol: target.symbol.to_owned(),
                timeframe: target.timeframe.to_owned(),
                features,
                decision: decision.clone(),
            });
        }
        decision
    }

    /// Scores rows in one run, and hands them to the log as they were answered.
    async fn run_rows(
        &self,
        (model, role): (Arc<LoadedModel>, Role),
        target: Target<'_>,
        features: Vec<f32>,
        rows: usize,
        started: Instant,
    ) -> Result<BatchDecision, ServeError> {
        check_finite(&model, &features)?;
        let copy = self.log.is_some().then(|| features.clone());
        let scored = model
            .batcher
            .score_as(target.priority, features, rows, target.deadline)
            .await?;
        let standing = Standing::of(&model.band.lock(), target.symbol);
        let mut batch = BatchDecision {
            standing,
            model,
            role,
            scored,
            first_id: 0,
            total: started.elapsed(),
        };
        if let (Some(log), Some(features)) = (&self.log, copy) {
            batch.first_id = log.push_rows(LoggedRows {
                symbol: target.symbol.to_owned(),
                timeframe: target.timeframe.to_owned(),
                features,
                values: batch.scored.values.clone(),
                model: Arc::clone(&batch.model),
                role,
                standing: batch.standing,
                timings: batch.timings(),
            });
        }
        Ok(batch)
    }

    fn pick(&self, target: Target<'_>) -> Result<(Arc<LoadedModel>, Role), ServeError> {
        self.pick_in(target, "")
    }

    /// The version that scores `target` in a market's `regime`; empty when it is not known.
    fn pick_in(
        &self,
        target: Target<'_>,
        regime: &str,
    ) -> Result<(Arc<LoadedModel>, Role), ServeError> {
        let price = target.reference_price;
        // NaN must not pass either.
        if !(price >= 0.0 && price.is_finite()) {
            return Err(ServeError::ReferencePrice { price });
        }
        let key = RouteKey {
            regime,
            ..key_of(target)
        };
        let deployment = self.registry.deployment();
        let (model, role) = deployment.pick(target.model, target.version, key)?;
        check_target(model, target)?;
        Ok((Arc::clone(model), role))
    }
}

fn key_of(target: Target<'_>) -> RouteKey<'_> {
    RouteKey {
        symbol: target.symbol,
        timeframe: target.timeframe,
        ..RouteKey::default()
    }
}

fn check_target(model: &LoadedModel, target: Target<'_>) -> Result<(), ServeError> {
    let manifest = &model.manifest;
    if !target.timeframe.is_empty() && target.timeframe != manifest.timeframe {
        return Err(if is_timeframe(target.timeframe) {
            ServeError::WrongTimeframe {
                model: manifest.model.clone(),
                expected: manifest.timeframe.clone(),
                got: target.timeframe.to_owned(),
            }
        } else {
            ServeError::InvalidField {
                field: "timeframe",
                problem: format!("{:?} is none of 1m 5m 15m 1h 4h 1d 1w 1M", target.timeframe),
            }
        });
    }
    if !target.feature_spec_hash.is_empty()
        && target.feature_spec_hash != manifest.feature_spec_hash
    {
        return Err(ServeError::FeatureSpecMismatch {
            model: manifest.model.clone(),
            expected: manifest.feature_spec_hash.clone(),
            got: target.feature_spec_hash.to_owned(),
        });
    }
    Ok(())
}

fn check_row(model: &LoadedModel, features: &[f32]) -> Result<(), ServeError> {
    let expected = model.spec.len();
    if features.len() != expected {
        return Err(ServeError::FeatureCount {
            model: model.manifest.model.clone(),
            got: features.len(),
            expected,
        });
    }
    check_finite(model, features)
}

fn check_finite(model: &LoadedModel, features: &[f32]) -> Result<(), ServeError> {
    // One pass without branches decides the usual case.
    if features
        .iter()
        .fold(true, |finite, value| finite & value.is_finite())
    {
        return Ok(());
    }
    let found = features
        .iter()
        .enumerate()
        .find(|(_, value)| !value.is_finite());
    let (index, value) = found.map_or((0, f32::NAN), |(index, value)| (index, *value));
    let name = model
        .manifest
        .feature_names
        .get(index % model.spec.len())
        .cloned()
        .unwrap_or_default();
    Err(ServeError::NonFiniteFeature { index, name, value })
}

fn check_window(bars: &[RawBar<'_>]) -> Result<(), ServeError> {
    let Some(first) = bars.first() else {
        return Ok(());
    };
    let mut previous: Option<i64> = None;
    for (index, raw) in bars.iter().enumerate() {
        raw.admit(i64::MAX)
            .map_err(|problem| ServeError::InvalidBar { index, problem })?;
        for (field, got, expected) in [
            ("symbol", raw.symbol, first.symbol),
            ("timeframe", raw.timeframe, first.timeframe),
        ] {
            if got != expected {
                return Err(ServeError::MixedBars {
                    index,
                    field,
                    got: got.to_owned(),
                    expected: expected.to_owned(),
                });
            }
        }
        let got = raw.bar.open_time_ns;
        if let Some(previous) = previous.filter(|previous| *previous >= got) {
            return Err(ServeError::BarOrder {
                index,
                previous,
                got,
            });
        }
        previous = Some(got);
    }
    Ok(())
}

fn window_features(model: &LoadedModel, bars: &[RawBar<'_>]) -> Result<Vec<f32>, ServeError> {
    let mut series = Series::new(&model.spec);
    let mut row = vec![f64::NAN; model.spec.len()];
    for (index, raw) in bars.iter().enumerate() {
        let bar: &Bar = &raw.bar;
        series
            .update(bar, &mut row)
            .map_err(|error| ServeError::InvalidField {
                field: "bars",
                problem: format!("[{index}] {error}"),
            })?;
    }
    if bars.len() <= model.spec.warmup_bars() || row.iter().any(|value| value.is_nan()) {
        return Err(ServeError::WindowTooShort {
            model: model.manifest.model.clone(),
            got: bars.len(),
            needed: model.spec.warmup_bars() + 1,
        });
    }
    // The model's input is float32, as in training.
    let features: Vec<f32> = row.into_iter().map(|value| value as f32).collect();
    check_finite(model, &features)?;
    Ok(features)
}

fn decide(
    model: Arc<LoadedModel>,
    role: Role,
    target: Target<'_>,
    scored: Scored,
    bar_open_time_ns: i64,
    started: Instant,
    computed: Instant,
) -> Decision {
    let reading = decision::read(
        &model,
        RowScore::new(model.layout, &scored.values),
        Standing::of(&model.band.lock(), target.symbol),
    );
    Decision {
        model,
        role,
        values: scored.values,
        verdict: reading.verdict,
        band: reading.band,
        width_multiplier: reading.width_multiplier,
        id: 0,
        coverage: reading.coverage,
        distrust: reading.distrust,
        reference_price: target.reference_price,
        bar_open_time_ns,
        timings: Timings {
            queued: scored.queued,
            inference: scored.inference,
            features: computed - started,
            total: started.elapsed(),
            batch_rows: scored.batch_rows,
        },
    }
}
