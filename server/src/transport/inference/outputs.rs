//! Scores as output tensors of the Open Inference Protocol.

use std::collections::HashMap;

use bytes::Bytes;

use super::oip::{
    self, InferTensorContents, infer_parameter::ParameterChoice,
    model_infer_response::InferOutputTensor,
};
use crate::{
    error::ServeError,
    scoring::{
        decision,
        desk::BatchDecision,
        engine::{RowScore, ScoreLayout},
    },
    transport::convert,
};

/// One output of every model. All have the rows in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Calibrated class probabilities.
    Probabilities,
    /// Lower end of the interval of P(up).
    ProbabilityLow,
    /// Upper end of the interval of P(up).
    ProbabilityHigh,
    /// Lower end of the return band as issued.
    BandLow,
    /// Centre of the return band.
    BandMid,
    /// Upper end of the return band as issued.
    BandHigh,
    /// Distance from the training data.
    Dissimilarity,
    /// What the policy makes of the probabilities, numbered as `candlewire.v1.Signal`.
    Signal,
    /// Whether the score may be acted on.
    Trusted,
    /// Members' own class probabilities.
    MemberProbabilities,
}

/// Type of an output's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputType {
    /// float32.
    Fp32,
    /// One byte.
    Uint8,
    /// One byte, 0 or 1.
    Bool,
}

impl OutputType {
    /// The protocol's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "FP32",
            Self::Uint8 => "UINT8",
            Self::Bool => "BOOL",
        }
    }
}

impl Output {
    /// All, in the order of an answer that was asked for none in particular.
    pub const ALL: [Self; 10] = [
        Self::Probabilities,
        Self::ProbabilityLow,
        Self::ProbabilityHigh,
        Self::BandLow,
        Self::BandMid,
        Self::BandHigh,
        Self::Dissimilarity,
        Self::Signal,
        Self::Trusted,
        Self::MemberProbabilities,
    ];

    /// Name of the tensor.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Probabilities => "probabilities",
            Self::ProbabilityLow => "probability_low",
            Self::ProbabilityHigh => "probability_high",
            Self::BandLow => "band_low",
            Self::BandMid => "band_mid",
            Self::BandHigh => "band_high",
            Self::Dissimilarity => "dissimilarity",
            Self::Signal => "signal",
            Self::Trusted => "trusted",
            Self::MemberProbabilities => "member_probabilities",
        }
    }

    /// Type of its elements.
    #[must_use]
    pub const fn element(self) -> OutputType {
        match self {
            Self::Signal => OutputType::Uint8,
            Self::Trusted => OutputType::Bool,
            _ => OutputType::Fp32,
        }
    }

    /// Shape of one row.
    #[must_use]
    pub fn row_shape(self, layout: ScoreLayout) -> Vec<i64> {
        match self {
            Self::Probabilities => vec![layout.classes as i64],
            Self::MemberProbabilities => vec![layout.members as i64, layout.classes as i64],
            _ => vec![1],
        }
    }
}

/// The outputs that `request` asks for, in its order; all when it names none.
///
/// # Errors
/// A name that no model gives, or something that is not offered.
pub fn wanted(request: &oip::ModelInferRequest) -> Result<Vec<Output>, ServeError> {
    if request.outputs.is_empty() {
        return Ok(Output::ALL.to_vec());
    }
    let refused = |problem: String| ServeError::InvalidField {
        field: "outputs",
        problem,
    };
    let mut wanted = Vec::with_capacity(request.outputs.len());
    for asked in &request.outputs {
        for key in ["shared_memory_region", "classification"] {
            if asked.parameters.contains_key(key) {
                return Err(refused(format!(
                    "{:?}: {key} is not offered; ask for the tensor itself",
                    asked.name
                )));
            }
        }
        let found = Output::ALL
            .iter()
            .find(|output| output.name() == asked.name);
        let Some(output) = found else {
            let known = Output::ALL.map(Output::name).join(" ");
            return Err(refused(format!(
                "{:?} is no output of the model; its outputs are {known}",
                asked.name
            )));
        };
        if wanted.contains(output) {
            return Err(refused(format!(
                "{:?} is asked for twice; name every output once",
                asked.name
            )));
        }
        wanted.push(*output);
    }
    Ok(wanted)
}

enum Column {
    Numbers(Vec<f32>),
    Bytes(Vec<u8>),
}

/// The answer to a request for `wanted`: raw tensors, or typed ones for a caller that sent such.
#[must_use]
pub fn response(batch: &BatchDecision, wanted: &[Output], raw: bool) -> oip::ModelInferResponse {
    let model = &batch.model;
    let width = model.layout.width().max(1);
    let rows = batch.scored.values.len() / width;
    let columns = columns(batch, wanted);
    let (mut outputs, mut raw_contents) = (Vec::with_capacity(wanted.len()), Vec::new());
    for (output, column) in wanted.iter().zip(columns) {
        let mut shape = vec![rows as i64];
        shape.extend(output.row_shape(model.layout));
        let contents = if raw {
            raw_contents.push(raw_bytes(column));
            None
        } else {
            Some(typed_contents(*output, column))
        };
        outputs.push(InferOutputTensor {
            name: output.name().to_owned(),
            datatype: output.element().name().to_owned(),
            shape,
            parameters: HashMap::new(),
            contents,
        });
    }
    let manifest = &model.manifest;
    let text = |text: String| oip::InferParameter {
        parameter_choice: Some(ParameterChoice::StringParam(text)),
    };
    let mut parameters = HashMap::from([(
        "feature_spec_hash".to_owned(),
        text(manifest.feature_spec_hash.clone()),
    )]);
    if batch.first_id != 0 {
        let first = text(convert::decision_id(batch.first_id));
        parameters.insert("first_decision_id".to_owned(), first);
    }
    oip::ModelInferResponse {
        model_name: manifest.model.clone(),
        model_version: manifest.version.to_string(),
        id: String::new(),
        parameters,
        outputs,
        raw_output_contents: raw_contents,
    }
}

fn columns(batch: &BatchDecision, wanted: &[Output]) -> Vec<Column> {
    let (model, values) = (&batch.model, &batch.scored.values);
    let layout = model.layout;
    let rows = values.len() / layout.width().max(1);
    let mut columns: Vec<Column> = wanted
        .iter()
        .map(|output| match output.element() {
            OutputType::Fp32 => Column::Numbers(Vec::with_capacity(rows)),
            OutputType::Uint8 | OutputType::Bool => Column::Bytes(Vec::with_capacity(rows)),
        })
        .collect();
    for values in values.chunks_exact(layout.width().max(1)) {
        let row = RowScore::new(layout, values);
        let reading = decision::read(model, row, batch.standing);
        for (output, column) in wanted.iter().zip(&mut columns) {
            match column {
                Column::Numbers(numbers) => match output {
                    Output::Probabilities => numbers.extend(row.probabilities()),
                    Output::MemberProbabilities => numbers.extend(row.members()),
                    Output::ProbabilityLow => numbers.push(row.probability_low()),
                    Output::ProbabilityHigh => numbers.push(row.probability_high()),
                    Output::BandLow => numbers.push(reading.band.low),
                    Output::BandMid => numbers.push(reading.band.mid),
                    Output::BandHigh => numbers.push(reading.band.high),
                    Output::Dissimilarity => numbers.push(row.dissimilarity()),
                    Output::Signal | Output::Trusted => {}
                },
                Column::Bytes(bytes) => bytes.push(if *output == Output::Signal {
                    convert::advice(reading.verdict.signal) as u8
                } else {
                    u8::from(reading.distrust.is_empty())
                }),
            }
        }
    }
    columns
}

fn raw_bytes(column: Column) -> Bytes {
    match column {
        Column::Bytes(bytes) => bytes.into(),
        Column::Numbers(numbers) => {
            let encoded = numbers.iter().flat_map(|number| number.to_le_bytes());
            encoded.collect::<Vec<u8>>().into()
        }
    }
}

fn typed_contents(output: Output, column: Column) -> InferTensorContents {
    let mut contents = InferTensorContents::default();
    match column {
        Column::Numbers(numbers) => contents.fp32_contents = numbers,
        Column::Bytes(bytes) if output.element() == OutputType::Bool => {
            contents.bool_contents = bytes.iter().map(|byte| *byte == 1).collect();
        }
        Column::Bytes(bytes) => {
            contents.uint_contents = bytes.into_iter().map(u32::from).collect();
        }
    }
    contents
}
