//! The table of scores: which columns it has, and how rows of scores become columns.

use std::{collections::BTreeSet, sync::Arc};

use arrow_array::{ArrayRef, BooleanArray, Float32Array, RecordBatch, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};

use super::{
    columns::{Columns, RowState},
    model::FileModel,
    score_file::OfflineError,
};
use crate::scoring::{
    band::IssuedBand,
    engine::RowScore,
    policy::{ConfidenceLevel, Signal},
};

/// Names of the columns between the class probabilities and the members'.
const SCALARS: [&str; 6] = [
    "probability_low",
    "probability_high",
    "band_low",
    "band_mid",
    "band_high",
    "dissimilarity",
];
/// Where the band starts among [`SCALARS`].
const BAND: usize = 2;

/// Turns rows of scores into batches of the output file.
#[derive(Debug, Clone)]
pub(super) struct ScoreTable {
    schema: SchemaRef,
    /// For each column of floats its place in a row of scores.
    floats: Vec<usize>,
    model: FileModel,
}

impl ScoreTable {
    /// The table for `model` behind the columns that pass through; `members` adds the members' probabilities.
    pub(super) fn new(
        model: &FileModel,
        columns: &Columns,
        members: bool,
    ) -> Result<Self, OfflineError> {
        let classes = model
            .manifest
            .classes
            .iter()
            .map(|class| class.to_lowercase());
        let classes: Vec<String> = classes.collect();
        let mut names: Vec<String> = classes
            .iter()
            .map(|class| format!("probability_{class}"))
            .collect();
        names.extend(SCALARS.map(str::to_owned));
        if members {
            for member in &model.manifest.members {
                names.extend(
                    classes
                        .iter()
                        .map(|class| format!("{member}_probability_{class}")),
                );
            }
        }
        let mut fields = columns.passed_fields.clone();
        let mut add = |name: &str, kind: DataType, nullable: bool| {
            fields.push(FieldRef::from(Field::new(name, kind, nullable)));
        };
        add("status", DataType::Utf8, false);
        add("signal", DataType::Utf8, false);
        add("confidence", DataType::Float32, true);
        add("confidence_level", DataType::Utf8, true);
        add("trusted", DataType::Boolean, false);
        for name in &names {
            add(name, DataType::Float32, true);
        }
        let mut seen = BTreeSet::new();
        for field in &fields {
            if !seen.insert(field.name()) {
                return Err(OfflineError(format!(
                    "two columns of the output would be called {:?}; leave it out of --columns or rename it",
                    field.name()
                )));
            }
        }
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            floats: (0..names.len()).collect(),
            model: model.clone(),
        })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Values in a row of scores.
    pub(super) fn width(&self) -> usize {
        self.model.layout.width()
    }

    /// A batch of `passed` and what `scores` (rows x layout) says; rows that are not ready have no scores.
    pub(super) fn batch(
        &self,
        passed: Vec<ArrayRef>,
        scores: &mut [f32],
        states: &[RowState],
    ) -> Result<RecordBatch, OfflineError> {
        let layout = self.model.layout;
        let width = layout.width();
        let band = layout.classes + BAND;
        let multiplier = self.model.manifest.band.initial_multiplier;
        for row in scores.chunks_exact_mut(width) {
            if let [low, mid, high] = &mut row[band..band + 3] {
                let issued = IssuedBand::widen(*low, *mid, *high, multiplier);
                (*low, *high) = (issued.low, issued.high);
            }
        }
        let nulls = states
            .iter()
            .any(|state| *state != RowState::Ready)
            .then(|| {
                states
                    .iter()
                    .map(|state| *state == RowState::Ready)
                    .collect::<NullBuffer>()
            });
        let mut columns = passed;
        self.push_verdicts(&mut columns, scores, states, nulls.as_ref());
        for &place in &self.floats {
            let values = scores.chunks_exact(width).map(|row| row[place]);
            let array = Float32Array::new(values.collect(), nulls.clone());
            columns.push(Arc::new(array));
        }
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| OfflineError(error.to_string()))
    }

    fn push_verdicts(
        &self,
        columns: &mut Vec<ArrayRef>,
        scores: &[f32],
        states: &[RowState],
        nulls: Option<&NullBuffer>,
    ) {
        let (layout, policy) = (self.model.layout, self.model.policy());
        let mut signals = Vec::with_capacity(states.len());
        let mut confidences = Vec::with_capacity(states.len());
        let mut levels = Vec::with_capacity(states.len());
        let mut trusted = Vec::with_capacity(states.len());
        for (row, state) in scores.chunks_exact(layout.width()).zip(states) {
            let row = RowScore::new(layout, row);
            let probability =
                |class: usize| row.probabilities().get(class).copied().unwrap_or(f32::NAN);
            let verdict = policy.judge(probability(self.model.up), probability(self.model.down));
            let ready = *state == RowState::Ready;
            signals.push(if ready {
                signal_name(verdict.signal)
            } else {
                "NOT_READY"
            });
            confidences.push(verdict.confidence);
            levels.push(ready.then(|| level_name(verdict.level)));
            trusted.push(ready && !policy.is_outlier(row.dissimilarity()));
        }
        let statuses = states.iter().map(|state| match state {
            RowState::Ready => "OK",
            RowState::NotReady => "NOT_READY",
            RowState::NotFinite => "NOT_FINITE",
        });
        columns.push(Arc::new(StringArray::from_iter_values(statuses)));
        columns.push(Arc::new(StringArray::from_iter_values(signals)));
        columns.push(Arc::new(Float32Array::new(
            confidences.into(),
            nulls.cloned(),
        )));
        columns.push(Arc::new(StringArray::from(levels)));
        columns.push(Arc::new(BooleanArray::from(trusted)));
    }
}

const fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::Buy => "BUY",
        Signal::Sell => "SELL",
        Signal::Hold => "HOLD",
        Signal::NotReady => "NOT_READY",
    }
}

const fn level_name(level: ConfidenceLevel) -> &'static str {
    match level {
        ConfidenceLevel::Low => "LOW",
        ConfidenceLevel::Medium => "MEDIUM",
        ConfidenceLevel::High => "HIGH",
    }
}
