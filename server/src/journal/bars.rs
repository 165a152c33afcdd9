//! The journal of bars: what is replayed at start.

use arrow_schema::DataType;
use candlewire_features::Bar;

use super::record::{Record, Value};
use crate::bars::admission::Timeframe;

/// A bar that changed its series, as it was published.
#[derive(Debug, Clone, PartialEq)]
pub struct BarRecord {
    /// Position among all bars, from 1: the order in which bars took effect.
    pub sequence: u64,
    /// When it was received, nanoseconds since the epoch.
    pub received_time_ns: i64,
    /// Symbol.
    pub symbol: String,
    /// Timeframe.
    pub timeframe: Timeframe,
    /// Times, prices and volume.
    pub bar: Bar,
    /// Model that served the series then.
    pub model: String,
    /// Its version.
    pub version: u64,
    /// Whether there was a score; none while features warm up.
    pub scored: bool,
}

impl Record for BarRecord {
    const NAME: &'static str = "bars";
    const WITHOUT_GAPS: bool = true;

    const COLUMNS: &'static [(&'static str, DataType)] = &[
        ("sequence", DataType::UInt64),
        ("received_time_ns", DataType::Int64),
        ("symbol", DataType::Utf8),
        ("timeframe", DataType::Utf8),
        ("open_time_ns", DataType::Int64),
        ("open", DataType::Float64),
        ("high", DataType::Float64),
        ("low", DataType::Float64),
        ("close", DataType::Float64),
        ("volume", DataType::Float64),
        ("model", DataType::Utf8),
        ("model_version", DataType::UInt64),
        ("scored", DataType::Boolean),
    ];

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn values(&self) -> Vec<Value<'_>> {
        let bar = &self.bar;
        vec![
            Value::Unsigned(self.sequence),
            Value::Signed(self.received_time_ns),
            Value::Text(&self.symbol),
            Value::Text(self.timeframe.as_str()),
            Value::Signed(bar.open_time_ns),
            Value::Float(bar.open),
            Value::Float(bar.high),
            Value::Float(bar.low),
            Value::Float(bar.close),
            Value::Float(bar.volume),
            Value::Text(&self.model),
            Value::Unsigned(self.version),
            Value::Bool(self.scored),
        ]
    }

    fn from_values(values: &[Value<'_>]) -> Option<Self> {
        let &[
            Value::Unsigned(sequence),
            Value::Signed(received_time_ns),
            Value::Text(symbol),
            Value::Text(timeframe),
            Value::Signed(open_time_ns),
            Value::Float(open),
            Value::Float(high),
            Value::Float(low),
            Value::Float(close),
            Value::Float(volume),
            Value::Text(model),
            Value::Unsigned(version),
            Value::Bool(scored),
        ] = values
        else {
            return None;
        };
        Some(Self {
            sequence,
            received_time_ns,
            symbol: symbol.to_owned(),
            timeframe: Timeframe::parse(timeframe)?,
            bar: Bar {
                open_time_ns,
                open,
                high,
                low,
                close,
                volume,
            },
            model: model.to_owned(),
            version,
            scored,
        })
    }
}
