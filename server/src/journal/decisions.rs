//! The log of decisions: enough to compute each of them again.

use arrow_schema::DataType;

use super::{
    record::{Record, Value},
    writer::signal_name,
};
use crate::scoring::decision::Decision;

/// One decision with everything it was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionRecord {
    /// Identifier: the sequence of the bar that caused it.
    pub decision_id: u64,
    /// Symbol.
    pub symbol: String,
    /// Timeframe.
    pub timeframe: String,
    /// Open time of the bar scored.
    pub bar_open_time_ns: i64,
    /// Its close.
    pub reference_price: f64,
    /// Role in which the version scored: production, canary, shadow, or none when it was asked for by number.
    pub role: String,
    /// Model.
    pub model: String,
    /// Its version.
    pub version: u64,
    /// SHA-256 of its model.onnx.
    pub onnx_sha256: String,
    /// SHA-256 of its feature spec.
    pub feature_spec_hash: String,
    /// Features, float32 little-endian.
    pub features: Vec<u8>,
    /// The graph's outputs, float32 little-endian.
    pub scores: Vec<u8>,
    /// Multiplier on the graph's half-widths.
    pub width_multiplier: f64,
    /// Return band as issued: low, mid and high, float32 little-endian.
    pub band: Vec<u8>,
    /// Outcomes of the band pool then.
    pub outcomes: u64,
    /// Share of the newest of them inside the band.
    pub recent_coverage: f64,
    /// BUY, SELL or HOLD.
    pub signal: String,
    /// Confidence of the policy.
    pub confidence: f64,
    /// Whether it was trusted.
    pub trusted: bool,
}

impl DecisionRecord {
    /// The record of `decision`, which was made of `features`.
    #[must_use]
    pub fn of(symbol: &str, timeframe: &str, features: &[f32], decision: &Decision) -> Self {
        let manifest = &decision.model.manifest;
        let band = decision.band;
        Self {
            decision_id: decision.id,
            symbol: symbol.to_owned(),
            timeframe: timeframe.to_owned(),
            bar_open_time_ns: decision.bar_open_time_ns,
            reference_price: decision.reference_price,
            role: decision.role.name().to_owned(),
            model: manifest.model.clone(),
            version: manifest.version,
            onnx_sha256: manifest.onnx.sha256.clone(),
            feature_spec_hash: manifest.feature_spec_hash.clone(),
            features: pack(features),
            scores: pack(&decision.values),
            width_multiplier: decision.width_multiplier,
            band: pack(&[band.low, band.mid, band.high]),
            outcomes: decision.coverage.outcomes,
            recent_coverage: decision.coverage.recent,
            signal: signal_name(decision.verdict.signal).to_owned(),
            confidence: f64::from(decision.verdict.confidence),
            trusted: decision.distrust.is_empty(),
        }
    }
}

impl Record for DecisionRecord {
    const NAME: &'static str = "decisions";
    // A bar whose features warm up has no decision.
    const WITHOUT_GAPS: bool = false;

    const COLUMNS: &'static [(&'static str, DataType)] = &[
        ("decision_id", DataType::UInt64),
        ("symbol", DataType::Utf8),
        ("timeframe", DataType::Utf8),
        ("bar_open_time_ns", DataType::Int64),
        ("reference_price", DataType::Float64),
        ("role", DataType::Utf8),
        ("model", DataType::Utf8),
        ("model_version", DataType::UInt64),
        ("onnx_sha256", DataType::Utf8),
        ("feature_spec_hash", DataType::Utf8),
        ("features", DataType::Binary),
        ("scores", DataType::Binary),
        ("width_multiplier", DataType::Float64),
        ("band", DataType::Binary),
        ("outcomes", DataType::UInt64),
        ("recent_coverage", DataType::Float64),
        ("signal", DataType::Utf8),
        ("confidence", DataType::Float64),
        ("trusted", DataType::Boolean),
    ];

    fn sequence(&self) -> u64 {
        self.decision_id
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            Value::Unsigned(self.decision_id),
            Value::Text(&self.symbol),
            Value::Text(&self.timeframe),
            Value::Signed(self.bar_open_time_ns),
            Value::Float(self.reference_price),
            Value::Text(&self.role),
            Value::Text(&self.model),
            Value::Unsigned(self.version),
            Value::Text(&self.onnx_sha256),
            Value::Text(&self.feature_spec_hash),
            Value::Bytes(&self.features),
            Value::Bytes(&self.scores),
            Value::Float(self.width_multiplier),
            Value::Bytes(&self.band),
            Value::Unsigned(self.outcomes),
            Value::Float(self.recent_coverage),
            Value::Text(&self.signal),
            Value::Float(self.confidence),
            Value::Bool(self.trusted),
        ]
    }

    fn from_values(values: &[Value<'_>]) -> Option<Self> {
        let &[
            Value::Unsigned(decision_id),
            Value::Text(symbol),
            Value::Text(timeframe),
            Value::Signed(bar_open_time_ns),
            Value::Float(reference_price),
            Value::Text(role),
            Value::Text(model),
            Value::Unsigned(version),
            Value::Text(onnx_sha256),
            Value::Text(feature_spec_hash),
            Value::Bytes(features),
            Value::Bytes(scores),
            Value::Float(width_multiplier),
            Value::Bytes(band),
            Value::Unsigned(outcomes),
            Value::Float(recent_coverage),
            Value::Text(signal),
            Value::Float(confidence),
            Value::Bool(trusted),
        ] = values
        else {
            return None;
        };
        Some(Self {
            decision_id,
            symbol: symbol.to_owned(),
            timeframe: timeframe.to_owned(),
            bar_open_time_ns,
            reference_price,
            role: role.to_owned(),
            model: model.to_owned(),
            version,
            onnx_sha256: onnx_sha256.to_owned(),
            feature_spec_hash: feature_spec_hash.to_owned(),
            features: features.to_vec(),
            scores: scores.to_vec(),
            width_multiplier,
            band: band.to_vec(),
            outcomes,
            recent_coverage,
            signal: signal.to_owned(),
            confidence,
            trusted,
        })
    }
}

/// Packs float32 values.
#[must_use]
pub fn pack(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}
