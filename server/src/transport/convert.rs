//! Between the domain's types and the wire's messages.

use std::time::Duration;

use candlewire_features::Bar;

use super::proto;
use crate::{
    bars::{
        admission::{InvalidBar, RawBar, Rejection},
        hub::{Signal, SignalCause},
        outcomes::Outcome,
        pipeline::Fate,
    },
    models::registry::Role,
    scoring::{
        band::IssuedBand,
        decision::{Decision, Timings},
        desk::BatchDecision,
        policy::{ConfidenceLevel, Distrust, Signal as Advice},
    },
};

/// A bar of the wire, not yet admitted.
#[must_use]
pub fn raw_bar(bar: &proto::Bar) -> RawBar<'_> {
    RawBar {
        symbol: &bar.symbol,
        timeframe: &bar.timeframe,
        bar: Bar {
            open_time_ns: bar.open_time_ns,
            open: bar.open,
            high: bar.high,
            low: bar.low,
            close: bar.close,
            volume: bar.volume,
        },
        is_final: bar.is_final,
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

fn timings(timings: Timings) -> proto::ServerTimings {
    proto::ServerTimings {
        queue_ns: nanos(timings.queued),
        inference_ns: nanos(timings.inference),
        features_ns: nanos(timings.features),
        total_ns: nanos(timings.total),
        batch_rows: timings.batch_rows as u32,
    }
}

pub(crate) const fn advice(signal: Advice) -> proto::Signal {
    match signal {
        Advice::Buy => proto::Signal::Buy,
        Advice::Sell => proto::Signal::Sell,
        Advice::Hold => proto::Signal::Hold,
        Advice::NotReady => proto::Signal::NotReady,
    }
}

const fn level(level: ConfidenceLevel) -> proto::ConfidenceLevel {
    match level {
        ConfidenceLevel::Low => proto::ConfidenceLevel::Low,
        ConfidenceLevel::Medium => proto::ConfidenceLevel::Medium,
        ConfidenceLevel::High => proto::ConfidenceLevel::High,
    }
}

const fn distrust(reason: Distrust) -> proto::DistrustReason {
    match reason {
        Distrust::Outlier => proto::DistrustReason::Outlier,
        Distrust::NotReady => proto::DistrustReason::NotReady,
        Distrust::Coverage => proto::DistrustReason::Coverage,
    }
}

pub(crate) const fn role(role: Role) -> proto::DeploymentRole {
    match role {
        Role::None => proto::DeploymentRole::Unspecified,
        Role::Production => proto::DeploymentRole::Production,
        Role::Canary => proto::DeploymentRole::Canary,
        Role::Shadow => proto::DeploymentRole::Shadow,
    }
}

fn price_band(band: IssuedBand, reference_price: f64) -> Option<proto::PriceBand> {
    let price = |log_return: f32| reference_price * f64::from(log_return).exp();
    let band = proto::PriceBand {
        low: price(band.low),
        mid: price(band.mid),
        high: price(band.high),
    };
    // A price at the end of what numbers hold has no band above it.
    (reference_price > 0.0 && band.high.is_finite()).then_some(band)
}

/// A decision as the response to a request.
#[must_use]
pub fn score_response(decision: &Decision, include_members: bool) -> proto::ScoreResponse {
    let (row, manifest, verdict, band) = (
        decision.row(),
        &decision.model.manifest,
        decision.verdict,
        decision.band,
    );
    let members = if include_members {
        let classes = decision.model.layout.classes.max(1);
        let probabilities = row.members().chunks_exact(classes).map(<[f32]>::to_vec);
        let named = manifest.members.iter().zip(probabilities);
        named
            .map(|(name, probabilities)| proto::MemberScore {
                name: name.clone(),
                probabilities,
            })
            .collect()
    } else {
        Vec::new()
    };
    proto::ScoreResponse {
        probabilities: row.probabilities().to_vec(),
        probability_up: verdict.probability_up,
        probability_low: row.probability_low(),
        probability_high: row.probability_high(),
        signal: advice(verdict.signal).into(),
        confidence_level: level(verdict.level).into(),
        confidence: verdict.confidence,
        return_band: Some(proto::ReturnBand {
            low: band.low,
            mid: band.mid,
            high: band.high,
            target_coverage: manifest.band.target_coverage as f32,
            achieved_coverage: decision.coverage.recent as f32,
            outcomes: decision.coverage.recent_outcomes,
            width_multiplier: band.multiplier,
        }),
        price_band: price_band(band, decision.reference_price),
        dissimilarity: row.dissimilarity(),
        trusted: decision.distrust.is_empty(),
        distrust_reasons: decision
            .distrust
            .iter()
            .map(|reason| distrust(*reason).into())
            .collect(),
        model: manifest.model.clone(),
        model_version: manifest.version,
        feature_spec_hash: manifest.feature_spec_hash.clone(),
        bar_open_time_ns: decision.bar_open_time_ns,
        horizon_bars: manifest.horizon_bars,
        members,
        timings: Some(timings(decision.timings)),
        role: role(decision.role).into(),
        decision_id: decision_id(decision.id),
    }
}

/// An identifier in the decision log as text; empty for what is not logged.
#[must_use]
pub fn decision_id(id: u64) -> String {
    match id {
        0 => String::new(),
        id => id.to_string(),
    }
}

/// Many rows as packed columns.
#[must_use]
pub fn batch_response(batch: &BatchDecision) -> proto::ScoreBatchResponse {
    let (model, scored) = (&batch.model, &batch.scored);
    let (layout, manifest) = (model.layout, &model.manifest);
    let width = layout.width().max(1);
    let rows = scored.values.len() / width;
    let mut columns: [Vec<u8>; 7] =
        std::array::from_fn(|_| Vec::with_capacity(rows * size_of::<f32>()));
    let (mut signals, mut trusted) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    for values in scored.values.chunks_exact(width) {
        let row = crate::scoring::engine::RowScore::new(layout, values);
        let reading = crate::scoring::decision::read(model, row, batch.standing);
        let band = reading.band;
        let [probabilities, scalars @ ..] = &mut columns;
        probabilities.extend(
            row.probabilities()
                .iter()
                .flat_map(|value| value.to_le_bytes()),
        );
        let values = [
            row.probability_low(),
            row.probability_high(),
            band.low,
            band.mid,
            band.high,
            row.dissimilarity(),
        ];
        for (column, value) in scalars.iter_mut().zip(values) {
            column.extend(value.to_le_bytes());
        }
        signals.push(advice(reading.verdict.signal) as u8);
        trusted.push(u8::from(reading.distrust.is_empty()));
    }
    let [
        probabilities,
        probability_low,
        probability_high,
        band_low,
        band_mid,
        band_high,
        dissimilarity,
    ] = columns;
    proto::ScoreBatchResponse {
        rows: rows as u32,
        classes: layout.classes as u32,
        probabilities: probabilities.into(),
        probability_low: probability_low.into(),
        probability_high: probability_high.into(),
        band_low: band_low.into(),
        band_mid: band_mid.into(),
        band_high: band_high.into(),
        dissimilarity: dissimilarity.into(),
        signals: signals.into(),
        trusted: trusted.into(),
        model: manifest.model.clone(),
        model_version: manifest.version,
        feature_spec_hash: manifest.feature_spec_hash.clone(),
        target_coverage: manifest.band.target_coverage as f32,
        timings: Some(timings(batch.timings())),
        first_decision_id: decision_id(batch.first_id),
    }
}

/// The score of a bar whose features are still warming up.
fn not_ready(signal: &Signal) -> proto::ScoreResponse {
    let manifest = &signal.model.manifest;
    proto::ScoreResponse {
        signal: proto::Signal::NotReady.into(),
        distrust_reasons: vec![proto::DistrustReason::NotReady.into()],
        model: manifest.model.clone(),
        model_version: manifest.version,
        feature_spec_hash: manifest.feature_spec_hash.clone(),
        bar_open_time_ns: signal.bar.open_time_ns,
        horizon_bars: manifest.horizon_bars,
        ..proto::ScoreResponse::default()
    }
}

pub(crate) fn signal_event(signal: &Signal) -> proto::SignalEvent {
    let bar = signal.bar;
    proto::SignalEvent {
        sequence: signal.sequence,
        bar: Some(proto::Bar {
            symbol: signal.symbol.clone(),
            timeframe: signal.timeframe.as_str().to_owned(),
            open_time_ns: bar.open_time_ns,
            open: bar.open,
            high: bar.high,
            low: bar.low,
            close: bar.close,
            volume: bar.volume,
            is_final: true,
        }),
        score: Some(signal.decision.as_ref().map_or_else(
            || not_ready(signal),
            |decision| score_response(decision, false),
        )),
        received_time_ns: signal.received_time_ns,
        bar_to_signal_ns: signal.bar_to_signal_ns,
        fate: match signal.cause {
            SignalCause::Accepted => proto::BarFate::Accepted,
            SignalCause::Replaced => proto::BarFate::Replaced,
            SignalCause::LateApplied => proto::BarFate::LateApplied,
        }
        .into(),
    }
}

const fn rejection(rejection: &Rejection) -> proto::BarRejection {
    use candlewire_features::InvalidBar as Values;
    match rejection {
        Rejection::Missing => proto::BarRejection::Missing,
        Rejection::NotFinal => proto::BarRejection::NotFinal,
        Rejection::TooLate { .. } => proto::BarRejection::TooLate,
        Rejection::TooManySeries { .. } => proto::BarRejection::TooManySeries,
        Rejection::Draining => proto::BarRejection::Draining,
        Rejection::UnknownSymbol { .. } => proto::BarRejection::UnknownSymbol,
        Rejection::Invalid(InvalidBar::Symbol(_)) => proto::BarRejection::InvalidSymbol,
        Rejection::Invalid(InvalidBar::Timeframe(_)) => proto::BarRejection::InvalidTimeframe,
        Rejection::Invalid(InvalidBar::Time(_) | InvalidBar::FutureTime { .. }) => {
            proto::BarRejection::InvalidTime
        }
        Rejection::Invalid(InvalidBar::Values(problem)) => match problem {
            Values::NotFinite { field, .. } if is_volume(field) => {
                proto::BarRejection::InvalidVolume
            }
            Values::NotFinite { .. } | Values::PriceNotAboveZero { .. } => {
                proto::BarRejection::InvalidPrice
            }
            Values::InconsistentPrices { .. } => proto::BarRejection::InconsistentPrices,
            Values::NegativeVolume { .. } => proto::BarRejection::InvalidVolume,
            Values::OutOfOrder { .. } => proto::BarRejection::TooLate,
        },
    }
}

const fn is_volume(field: &str) -> bool {
    matches!(field.as_bytes(), b"volume")
}

pub(crate) fn publish_response(
    request: &proto::PublishRequest,
    fate: &Fate,
    journaled: bool,
) -> proto::PublishResponse {
    let (symbol, timeframe, open_time_ns) = match &request.bar {
        Some(bar) => (bar.symbol.clone(), bar.timeframe.clone(), bar.open_time_ns),
        None => (String::new(), String::new(), 0),
    };
    let (kind, refused, gap_bars) = match fate {
        Fate::Accepted { gap_bars } => (proto::BarFate::Accepted, None, *gap_bars),
        Fate::Duplicate => (proto::BarFate::Duplicate, None, 0),
        Fate::Replaced => (proto::BarFate::Replaced, None, 0),
        Fate::LateApplied => (proto::BarFate::LateApplied, None, 0),
        Fate::Rejected(reason) => (proto::BarFate::Rejected, Some(reason), 0),
    };
    proto::PublishResponse {
        client_sequence: request.client_sequence,
        symbol,
        timeframe,
        open_time_ns,
        fate: kind.into(),
        rejection: refused
            .map_or(proto::BarRejection::Unspecified, rejection)
            .into(),
        message: refused.map(ToString::to_string).unwrap_or_default(),
        gap_bars: u32::try_from(gap_bars).unwrap_or(u32::MAX),
        journaled: journaled && refused.is_none(),
    }
}

pub(crate) fn outcome(outcome: &Outcome) -> proto::Outcome {
    proto::Outcome {
        symbol: outcome.symbol.clone(),
        timeframe: outcome.timeframe.as_str().to_owned(),
        model: outcome.model.manifest.model.clone(),
        model_version: outcome.model.manifest.version,
        bar_open_time_ns: outcome.bar_open_time_ns,
        realised_open_time_ns: outcome.realised_open_time_ns,
        probability_up: outcome.probability_up,
        band_low: outcome.band.low,
        band_high: outcome.band.high,
        width_multiplier: outcome.band.multiplier,
        realised_return: outcome.realised_return as f32,
        covered: outcome.covered,
    }
}
