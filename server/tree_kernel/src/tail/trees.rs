//! Models of which only trees are left.

use std::sync::Arc;

use super::CutModel;
use crate::model::decode;
use crate::rewrite::{AnyEvaluator, CompiledNode, OPERATOR_DOMAIN};
use crate::{Evaluator, Scratch, TreeError};

/// The values where a model was cut, when trees give all of them: no session is needed any more.
#[derive(Debug)]
pub struct BareTrees {
    ensembles: Vec<Ensemble>,
}

#[derive(Debug)]
struct Ensemble {
    evaluator: Arc<Evaluator<f32>>,
    scratch: Scratch<f32>,
    scores: Vec<f32>,
}

impl BareTrees {
    /// The trees behind the values of `cut`, a rewritten model with these operators; `input` is the name of its rows.
    ///
    /// `None` when a value comes from anything but trees over the rows.
    ///
    /// # Errors
    ///
    /// [`TreeError::Decode`] when the bytes are no ONNX model.
    pub fn of(
        cut: &CutModel,
        operators: &[CompiledNode],
        input: &str,
    ) -> Result<Option<Self>, TreeError> {
        let graph = decode(&cut.bytes)?;
        let evaluator = |value: &String| {
            let mut nodes = graph.node.iter();
            let node = nodes.find(|node| node.output.contains(value))?;
            let mut compiled = operators.iter();
            let compiled = compiled.find(|compiled| compiled.operator == node.op_type())?;
            let scores = node.output.get(usize::from(compiled.gives_labels))?;
            let is_ours = node.domain() == OPERATOR_DOMAIN && scores == value;
            match &compiled.evaluator {
                AnyEvaluator::F32(evaluator) if is_ours && compiled.input == input => {
                    Some(Arc::clone(evaluator))
                }
                _ => None,
            }
        };
        let ensemble = |value: &String| {
            Some(Ensemble {
                evaluator: evaluator(value)?,
                scratch: Scratch::default(),
                scores: Vec::new(),
            })
        };
        let ensembles: Option<Vec<_>> = cut.values.iter().map(ensemble).collect();
        Ok(ensembles.map(|ensembles| Self { ensembles }))
    }

    /// The dimensions of a row of each value.
    #[must_use]
    pub fn shapes(&self) -> Vec<Vec<usize>> {
        let targets = |ensemble: &Ensemble| vec![ensemble.evaluator.ensemble().targets];
        self.ensembles.iter().map(targets).collect()
    }

    /// Evaluates `rows`, row-major with `columns` features each.
    ///
    /// # Errors
    ///
    /// [`TreeError::Shape`] when the lengths do not fit.
    pub fn run(&mut self, rows: &[f32], columns: usize) -> Result<(), TreeError> {
        let count = rows.len().checked_div(columns).unwrap_or(0);
        for Ensemble {
            evaluator,
            scratch,
            scores,
        } in &mut self.ensembles
        {
            scores.resize(count * evaluator.ensemble().targets, 0.0);
            evaluator.run(rows, columns, scratch, scores, None)?;
        }
        Ok(())
    }

    /// What the last run gave: each value's numbers, row-major.
    pub fn values(&self) -> impl Iterator<Item = &[f32]> {
        self.ensembles
            .iter()
            .map(|ensemble| ensemble.scores.as_slice())
    }
}
