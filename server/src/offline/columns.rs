//! The columns of an input file: which are features, which pass through, and how columns become rows.

use arrow_array::{
    Array, ArrayRef, RecordBatch,
    cast::AsArray,
    types::{Float32Type, Float64Type},
};
use arrow_schema::{DataType, FieldRef, Schema};

use super::score_file::OfflineError;

/// Rows that are transposed together: a block of them stays in the first cache.
const BLOCK_ROWS: usize = 64;
/// Least likeness of a name that is offered for a missing one.
const LIKE: f64 = 0.6;

/// Where the features and the columns that pass through stand in the file.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    /// Positions in the file's schema to read, ascending.
    pub(super) read: Vec<usize>,
    /// For each feature its place within a batch of the columns read.
    features: Vec<usize>,
    /// For each column that passes through its place within a batch.
    passed: Vec<usize>,
    /// The columns that pass through.
    pub(super) passed_fields: Vec<FieldRef>,
}

impl Columns {
    /// Finds `features` in `schema`. `keep` names the columns that pass through; `None` keeps all that are no features.
    pub(super) fn find(
        schema: &Schema,
        features: &[String],
        keep: Option<&[String]>,
    ) -> Result<Self, OfflineError> {
        let places = features
            .iter()
            .map(|name| feature_place(schema, name))
            .collect::<Result<Vec<_>, _>>()?;
        let kept = match keep {
            Some(names) => names
                .iter()
                .map(|name| place(schema, name).ok_or_else(|| missing(schema, "column", name)))
                .collect::<Result<Vec<_>, _>>()?,
            None => (0..schema.fields().len())
                .filter(|place| !places.contains(place))
                .collect(),
        };
        let mut read: Vec<usize> = places.iter().chain(&kept).copied().collect();
        read.sort_unstable();
        read.dedup();
        let within = |place: &usize| read.binary_search(place).unwrap_or_default();
        Ok(Self {
            features: places.iter().map(within).collect(),
            passed: kept.iter().map(within).collect(),
            passed_fields: kept
                .iter()
                .map(|&place| schema.fields()[place].clone())
                .collect(),
            read,
        })
    }

    /// The columns of `batch` that pass through.
    pub(super) fn passed(&self, batch: &RecordBatch) -> Vec<ArrayRef> {
        let column = |&place: &usize| batch.column(place).clone();
        self.passed.iter().map(column).collect()
    }

    /// Writes the features of `batch` row by row into `rows` (rows x features) and into `states` what each row is.
    pub(super) fn rows(
        &self,
        batch: &RecordBatch,
        rows: &mut Vec<f32>,
        states: &mut Vec<RowState>,
    ) -> Result<(), OfflineError> {
        let (count, width) = (batch.num_rows(), self.features.len());
        rows.resize(count * width, 0.0);
        states.clear();
        states.resize(count, RowState::Ready);
        let sources = self
            .features
            .iter()
            .map(|&place| Source::of(batch.column(place)))
            .collect::<Result<Vec<_>, _>>()?;
        for (block, out) in rows.chunks_mut(BLOCK_ROWS * width).enumerate() {
            for (feature, source) in sources.iter().enumerate() {
                source.spread(block * BLOCK_ROWS, &mut out[feature..], width);
            }
        }
        for source in &sources {
            source.judge(states);
        }
        Ok(())
    }
}

/// What a row's features are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowState {
    /// All finite.
    Ready,
    /// One is NaN or null, as before the end of a warm-up.
    NotReady,
    /// One is infinite.
    NotFinite,
}

/// One feature column of a batch.
enum Source<'a> {
    Single(&'a [f32], &'a dyn Array),
    Double(&'a [f64], &'a dyn Array),
}

impl<'a> Source<'a> {
    fn of(column: &'a ArrayRef) -> Result<Self, OfflineError> {
        if let Some(array) = column.as_primitive_opt::<Float32Type>() {
            return Ok(Self::Single(array.values(), array));
        }
        if let Some(array) = column.as_primitive_opt::<Float64Type>() {
            return Ok(Self::Double(array.values(), array));
        }
        // The schema was checked; a file that breaks its own schema ends here.
        Err(OfflineError(format!(
            "a feature column came as {}",
            column.data_type()
        )))
    }

    /// Writes values from `start` on to every `width`-th place of `out`.
    fn spread(&self, start: usize, out: &mut [f32], width: usize) {
        let places = out.iter_mut().step_by(width);
        match self {
            Self::Single(values, _) => places
                .zip(values.get(start..).unwrap_or_default())
                .for_each(|(place, value)| *place = *value),
            Self::Double(values, _) => places
                .zip(values.get(start..).unwrap_or_default())
                .for_each(|(place, value)| *place = *value as f32),
        }
    }

    fn judge(&self, states: &mut [RowState]) {
        let worst = |state: &mut RowState, value: f32| {
            if value.is_nan() {
                *state = RowState::NotReady;
            } else if value.is_infinite() && *state == RowState::Ready {
                *state = RowState::NotFinite;
            }
        };
        let array = match self {
            Self::Single(values, array) => {
                // One pass without branches decides the usual case.
                if !values
                    .iter()
                    .fold(true, |all, value| all & value.is_finite())
                {
                    let pairs = states.iter_mut().zip(*values);
                    pairs.for_each(|(state, value)| worst(state, *value));
                }
                array
            }
            Self::Double(values, array) => {
                // What is too large for float32 is infinite to the model.
                let finite = |value: &f64| (*value as f32).is_finite();
                if !values.iter().fold(true, |all, value| all & finite(value)) {
                    let pairs = states.iter_mut().zip(*values);
                    pairs.for_each(|(state, value)| worst(state, *value as f32));
                }
                array
            }
        };
        if array.null_count() > 0 {
            for (row, state) in states.iter_mut().enumerate() {
                if array.is_null(row) {
                    *state = RowState::NotReady;
                }
            }
        }
    }
}

fn place(schema: &Schema, name: &str) -> Option<usize> {
    schema
        .fields()
        .iter()
        .position(|field| field.name() == name)
}

fn feature_place(schema: &Schema, name: &str) -> Result<usize, OfflineError> {
    let place = place(schema, name).ok_or_else(|| missing(schema, "feature column", name))?;
    match schema.field(place).data_type() {
        DataType::Float32 | DataType::Float64 => Ok(place),
        other => Err(OfflineError(format!(
            "feature column {name:?} is {other}; write it as float32 or float64"
        ))),
    }
}

fn missing(schema: &Schema, what: &str, name: &str) -> OfflineError {
    let nearest = schema
        .fields()
        .iter()
        .map(|field| (strsim::jaro_winkler(name, field.name()), field.name()))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    let hint = nearest.map_or_else(
        || format!("the file has {} other columns", schema.fields().len()),
        |(_, name)| format!("the nearest that it has is {name:?}"),
    );
    OfflineError(format!("{what} {name:?} is missing; {hint}"))
}
