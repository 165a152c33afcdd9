//! The tree nodes of a model, evaluated without an ONNX Runtime session.

use std::num::NonZeroUsize;

use crate::model::TreeNode;
use crate::plan::LANES;
use crate::rewrite::{NodeReport, Outcome};
use crate::{AnyEnsemble, Evaluator, Instructions, Scratch, Task, TreeError, read_model};

/// Every tree node of a model that reads the model's own float32 rows and that the kernel holds.
#[derive(Debug)]
pub struct ModelScorer {
    nodes: Vec<ScoredNode>,
    report: Vec<NodeReport>,
}

#[derive(Debug)]
struct ScoredNode {
    evaluator: Evaluator<f32>,
    scores: String,
    labels: Option<String>,
}

/// What one node says of some rows.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeScores {
    /// Name of the node's output in the graph.
    pub name: String,
    /// Scores of each row.
    pub targets: usize,
    /// Rows x targets, row-major.
    pub scores: Vec<f32>,
    /// A classifier's label output: its name, and a label for each row.
    pub labels: Option<(String, Vec<i64>)>,
}

impl ModelScorer {
    /// Reads the model's tree nodes; `input` is the name of the rows in the graph.
    ///
    /// A node that is not held is no error: [`ModelScorer::report`] says why.
    ///
    /// # Errors
    ///
    /// [`TreeError::Decode`] when the bytes are no ONNX model.
    pub fn new(
        bytes: &[u8],
        input: &str,
        instructions: Option<Instructions>,
    ) -> Result<Self, TreeError> {
        let instructions = instructions.unwrap_or_else(Instructions::detect);
        let (mut nodes, mut report) = (Vec::new(), Vec::new());
        for node in read_model(bytes)? {
            let (name, operator) = (node.name.clone(), node.operator.clone());
            let outcome = match ScoredNode::new(node, input, instructions) {
                Err(reason) => Outcome::Kept { reason },
                Ok(node) => {
                    let outcome = Outcome::Rewritten {
                        instructions: node.evaluator.instructions(),
                        trees: node.evaluator.ensemble().roots.len(),
                    };
                    nodes.push(node);
                    outcome
                }
            };
            report.push(NodeReport {
                name,
                operator,
                outcome,
            });
        }
        Ok(Self { nodes, report })
    }

    /// What becomes of each tree node of the model, in graph order.
    pub fn report(&self) -> &[NodeReport] {
        &self.report
    }

    /// Whether the model has tree nodes, and all of them are evaluated here.
    pub fn is_complete(&self) -> bool {
        !self.nodes.is_empty() && self.nodes.len() == self.report.len()
    }

    /// Names of the graph's values that [`ModelScorer::score`] gives: for each node its scores, then its labels.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.nodes
            .iter()
            .flat_map(|node| std::iter::once(node.scores.as_str()).chain(node.labels.as_deref()))
    }

    /// Evaluates `rows`, row-major with `columns` features each, on up to `threads` threads. A row's bits depend neither
    /// on the rows beside it nor on the threads.
    ///
    /// # Errors
    ///
    /// [`TreeError::Shape`] when the lengths do not fit.
    pub fn score(
        &self,
        rows: &[f32],
        columns: usize,
        threads: NonZeroUsize,
    ) -> Result<Vec<NodeScores>, TreeError> {
        self.nodes
            .iter()
            .map(|node| node.score(rows, columns, threads))
            .collect()
    }
}

impl ScoredNode {
    fn new(node: TreeNode, input: &str, instructions: Instructions) -> Result<Self, TreeError> {
        let unsupported = |reason: String| TreeError::Unsupported {
            node: node.name.clone(),
            reason,
        };
        if node.inputs.first().map(String::as_str) != Some(input) {
            let read = node.inputs.first().map_or("nothing", String::as_str);
            let reason = format!("it reads `{read}`, not the rows `{input}`");
            return Err(unsupported(reason));
        }
        let AnyEnsemble::F32(ensemble) = node.ensemble? else {
            return Err(unsupported("its rows are float64, not float32".to_owned()));
        };
        let evaluator = Evaluator::with_instructions(ensemble, instructions)?;
        let mut outputs = node.outputs.into_iter();
        let labels = match evaluator.ensemble().task {
            Task::Classification { .. } => outputs.next().filter(|name| !name.is_empty()),
            Task::Regression => None,
        };
        Ok(Self {
            evaluator,
            scores: outputs.next().unwrap_or_default(),
            labels,
        })
    }

    fn score(
        &self,
        rows: &[f32],
        columns: usize,
        threads: NonZeroUsize,
    ) -> Result<NodeScores, TreeError> {
        let targets = self.evaluator.ensemble().targets;
        let count = rows.len().checked_div(columns).unwrap_or(0);
        let mut scores = vec![0.0; count * targets];
        let mut labels = self.labels.as_ref().map(|_| vec![0; count]);
        // Whole vectors of rows for each thread.
        let part = count.div_ceil(threads.get()).next_multiple_of(LANES);
        if part >= count {
            let scratch = &mut Scratch::default();
            self.evaluator
                .run(rows, columns, scratch, &mut scores, labels.as_deref_mut())?;
        } else {
            let mut parts_of_labels = labels.as_mut().map(|labels| labels.chunks_mut(part));
            std::thread::scope(|scope| {
                let running: Vec<_> = rows
                    .chunks(part * columns)
                    .zip(scores.chunks_mut(part * targets))
                    .map(|(rows, scores)| {
                        let labels = parts_of_labels.as_mut().and_then(Iterator::next);
                        scope.spawn(move || {
                            let scratch = &mut Scratch::default();
                            self.evaluator.run(rows, columns, scratch, scores, labels)
                        })
                    })
                    .collect();
                running.into_iter().try_for_each(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
            })?;
        }
        Ok(NodeScores {
            name: self.scores.clone(),
            targets,
            scores,
            labels: self.labels.clone().zip(labels),
        })
    }
}
