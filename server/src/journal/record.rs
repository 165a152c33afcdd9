//! One row of a journal, and its checksum.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    UInt32Array, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

/// Name of the column of checksums.
const CHECKSUM: &str = "crc32";

/// A kind of row.
pub trait Record: Sized {
    /// What segments of such rows are called.
    const NAME: &'static str;

    /// Names and types of the columns, in order.
    const COLUMNS: &'static [(&'static str, DataType)];

    /// Whether every number is used, so that a missing one is a loss.
    const WITHOUT_GAPS: bool;

    /// Position in the journal.
    fn sequence(&self) -> u64;

    /// The row's values, one a column.
    fn values(&self) -> Vec<Value<'_>>;

    /// The row back from its values; `None` when they make no row.
    fn from_values(values: &[Value<'_>]) -> Option<Self>;
}

/// One value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Whole number.
    Unsigned(u64),
    /// Time.
    Signed(i64),
    /// Real number.
    Float(f64),
    /// Truth.
    Bool(bool),
    /// Text.
    Text(&'a str),
    /// Packed numbers.
    Bytes(&'a [u8]),
}

/// CRC-32 over all values with their lengths.
fn checksum(values: &[Value<'_>]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for value in values {
        match value {
            Value::Unsigned(value) => hasher.update(&value.to_le_bytes()),
            Value::Signed(value) => hasher.update(&value.to_le_bytes()),
            Value::Float(value) => hasher.update(&value.to_bits().to_le_bytes()),
            Value::Bool(value) => hasher.update(&[u8::from(*value)]),
            Value::Text(value) => {
                hasher.update(&(value.len() as u64).to_le_bytes());
                hasher.update(value.as_bytes());
            }
            Value::Bytes(value) => {
                hasher.update(&(value.len() as u64).to_le_bytes());
                hasher.update(value);
            }
        }
    }
    hasher.finalize()
}

/// The schema of a segment.
pub(super) fn schema<R: Record>() -> SchemaRef {
    let columns = R::COLUMNS
        .iter()
        .map(|(name, kind)| Field::new(*name, kind.clone(), false));
    let checksum = Field::new(CHECKSUM, DataType::UInt32, false);
    Arc::new(Schema::new(columns.chain([checksum]).collect::<Vec<_>>()))
}

/// Rows as a batch.
///
/// # Errors
/// A record gives other values than its columns say.
pub(super) fn to_batch<R: Record>(
    schema: &SchemaRef,
    records: &[R],
) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<Vec<Value<'_>>> = records.iter().map(R::values).collect();
    let mut columns = (0..R::COLUMNS.len())
        .map(|index| column(&rows, index))
        .collect::<Result<Vec<_>, _>>()?;
    columns.push(Arc::new(UInt32Array::from_iter_values(
        rows.iter().map(|row| checksum(row)),
    )));
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn column(rows: &[Vec<Value<'_>>], index: usize) -> Result<ArrayRef, ArrowError> {
    macro_rules! gather {
        ($array:ty, $variant:ident) => {
            Arc::new(<$array>::from_iter_values(rows.iter().filter_map(
                |row| match row.get(index) {
                    Some(Value::$variant(value)) => Some(*value),
                    _ => None,
                },
            )))
        };
    }
    let array: ArrayRef = match rows.first().and_then(|row| row.get(index)) {
        Some(Value::Unsigned(_)) => gather!(UInt64Array, Unsigned),
        Some(Value::Signed(_)) => gather!(Int64Array, Signed),
        Some(Value::Float(_)) => gather!(Float64Array, Float),
        Some(Value::Text(_)) => gather!(StringArray, Text),
        Some(Value::Bytes(_)) => gather!(BinaryArray, Bytes),
        Some(Value::Bool(_)) => {
            let values = rows.iter().map(|row| match row.get(index) {
                Some(Value::Bool(value)) => Some(*value),
                _ => None,
            });
            Arc::new(values.collect::<BooleanArray>())
        }
        None => return Err(ArrowError::InvalidArgumentError("no rows".into())),
    };
    Ok(array)
}

/// Reads a batch row by row up to the first row whose checksum disagrees; returns whether all of them agreed.
pub(super) fn from_batch<R: Record>(batch: &RecordBatch, records: &mut Vec<R>) -> bool {
    let sums = batch
        .column_by_name(CHECKSUM)
        .and_then(|column| column.as_any().downcast_ref::<UInt32Array>());
    let columns: Option<Vec<&ArrayRef>> = R::COLUMNS
        .iter()
        .map(|(name, _)| batch.column_by_name(name))
        .collect();
    let (Some(sums), Some(columns)) = (sums, columns) else {
        return false;
    };
    for row in 0..batch.num_rows() {
        let values: Option<Vec<Value<'_>>> = columns
            .iter()
            .map(|column| value(column.as_ref(), row))
            .collect();
        let record = values
            .filter(|values| checksum(values) == sums.value(row))
            .and_then(|values| R::from_values(&values));
        match record {
            Some(record) => records.push(record),
            None => return false,
        }
    }
    true
}

fn value(column: &dyn Array, row: usize) -> Option<Value<'_>> {
    if column.is_null(row) {
        return None;
    }
    let any = column.as_any();
    if let Some(array) = any.downcast_ref::<UInt64Array>() {
        return Some(Value::Unsigned(array.value(row)));
    }
    if let Some(array) = any.downcast_ref::<Int64Array>() {
        return Some(Value::Signed(array.value(row)));
    }
    if let Some(array) = any.downcast_ref::<Float64Array>() {
        return Some(Value::Float(array.value(row)));
    }
    if let Some(array) = any.downcast_ref::<StringArray>() {
        return Some(Value::Text(array.value(row)));
    }
    if let Some(array) = any.downcast_ref::<BinaryArray>() {
        return Some(Value::Bytes(array.value(row)));
    }
    let array = any.downcast_ref::<BooleanArray>()?;
    Some(Value::Bool(array.value(row)))
}
