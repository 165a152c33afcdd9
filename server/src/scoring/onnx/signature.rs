//! What a graph must take and give.

use ort::{
    session::Session,
    value::{TensorElementType, ValueType},
};

use crate::scoring::engine::{EngineError, ScoreLayout};

/// Name of the graph's input.
pub(super) const INPUT: &str = "features";
/// Names of the graph's outputs, in the order of [`ScoreLayout`].
pub(super) const OUTPUTS: [&str; 8] = [
    "probabilities",
    "probability_low",
    "probability_high",
    "band_low",
    "band_mid",
    "band_high",
    "dissimilarity",
    "member_probabilities",
];

pub(super) fn check_input(session: &Session, features: usize) -> Result<(), EngineError> {
    let [input] = session.inputs() else {
        return Err(EngineError(format!(
            "the graph has {} inputs, one named {INPUT:?} is needed",
            session.inputs().len()
        )));
    };
    if input.name() != INPUT {
        return Err(EngineError(format!(
            "the graph's input is {:?}, {INPUT:?} is needed",
            input.name()
        )));
    }
    check_tensor(INPUT, input.dtype(), &[features as i64])
}

/// Checks that all of [`OUTPUTS`] are there, as `layout` says.
pub(super) fn check_outputs(session: &Session, layout: ScoreLayout) -> Result<(), EngineError> {
    for (name, shape) in OUTPUTS.into_iter().zip(shapes(layout)) {
        let mut outputs = session.outputs().iter();
        let Some(output) = outputs.find(|output| output.name() == name) else {
            return Err(EngineError(format!("the graph has no output {name:?}")));
        };
        let columns: Vec<i64> = shape.iter().map(|&size| size as i64).collect();
        check_tensor(name, output.dtype(), &columns)?;
    }
    Ok(())
}

/// The dimensions of a row of each of [`OUTPUTS`].
pub(super) fn shapes(layout: ScoreLayout) -> [Vec<usize>; OUTPUTS.len()] {
    let (classes, members) = (layout.classes, layout.members);
    let scalar = Vec::new;
    [
        vec![classes],
        scalar(),
        scalar(),
        scalar(),
        scalar(),
        scalar(),
        scalar(),
        vec![members, classes],
    ]
}

/// Checks for float32 of shape `[N, columns...]`; an unknown dimension (-1) agrees with anything.
fn check_tensor(name: &str, dtype: &ValueType, columns: &[i64]) -> Result<(), EngineError> {
    let ValueType::Tensor { ty, shape, .. } = dtype else {
        return Err(EngineError(format!(
            "{name:?} is {dtype}, a tensor is needed"
        )));
    };
    if *ty != TensorElementType::Float32 {
        return Err(EngineError(format!("{name:?} is {ty}, float32 is needed")));
    }
    let agrees = shape.len() == columns.len() + 1
        && shape.first().is_some_and(|&rows| rows < 0)
        && shape
            .iter()
            .skip(1)
            .zip(columns)
            .all(|(&got, &wanted)| got < 0 || got == wanted);
    if agrees {
        return Ok(());
    }
    Err(EngineError(format!(
        "{name:?} has shape {shape}, [N{}] is needed",
        columns
            .iter()
            .fold(String::new(), |text, n| text + ", " + &n.to_string())
    )))
}
