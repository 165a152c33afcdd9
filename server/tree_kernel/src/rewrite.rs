//! A model in memory whose tree nodes are left to this crate. The bytes on disk are not touched.

use std::fmt;
use std::sync::Arc;

use prost::Message;

use crate::model::{TreeNode, decode, tree_nodes};
use crate::onnx_proto::{NodeProto, OperatorSetIdProto};
use crate::wire::{fields, push_field};
use crate::{AnyEnsemble, Ensemble, Evaluator, Instructions, Scalar, Task, TreeError};

/// The private domain of the rewritten nodes.
pub const OPERATOR_DOMAIN: &str = "candlewire.trees";

/// Field numbers of `onnx.proto`.
const MODEL_GRAPH: u64 = 7;
const MODEL_OPSET_IMPORT: u64 = 8;
const GRAPH_NODE: u64 = 1;

/// How to rewrite.
#[derive(Debug, Clone, Copy, Default)]
pub struct RewriteOptions {
    /// The instruction set to use; `None` takes the fastest of this machine.
    pub instructions: Option<Instructions>,
    /// Leave ensembles to ONNX Runtime that are too small to gain: a call of a private operator costs more there than
    /// one of its own.
    pub leave_small: bool,
}

/// An evaluator of either element type.
#[derive(Debug, Clone)]
pub enum AnyEvaluator {
    /// Input, thresholds and leaves are `f32`.
    F32(Arc<Evaluator<f32>>),
    /// Input, thresholds and leaves are `f64`.
    F64(Arc<Evaluator<f64>>),
}

/// What stands behind one rewritten node.
#[derive(Debug, Clone)]
pub struct CompiledNode {
    /// Operator type of the rewritten node within [`OPERATOR_DOMAIN`].
    pub operator: String,
    /// The evaluator.
    pub evaluator: AnyEvaluator,
    /// The node gives a label before the scores.
    pub gives_labels: bool,
    /// The scores are `f64` (only `TreeEnsemble` of `ai.onnx.ml` 5 has such).
    pub scores_are_double: bool,
    /// Name of the node's input.
    pub input: String,
}

/// What became of a tree node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// This crate evaluates it.
    Rewritten {
        /// With these instructions.
        instructions: Instructions,
        /// Number of trees.
        trees: usize,
    },
    /// ONNX Runtime evaluates it as before.
    Kept {
        /// Why.
        reason: TreeError,
    },
}

/// One tree node of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    /// Its name, or that of its first output.
    pub name: String,
    /// Its operator in the file.
    pub operator: String,
    /// What became of it.
    pub outcome: Outcome,
}

impl fmt::Display for NodeReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Rewritten {
                instructions,
                trees,
            } => {
                write!(
                    formatter,
                    "{} `{}`: {trees} trees on the tree kernel ({instructions})",
                    self.operator, self.name
                )
            }
            Outcome::Kept { reason } => write!(
                formatter,
                "{} `{}`: left to ONNX Runtime: {reason}",
                self.operator, self.name
            ),
        }
    }
}

/// A model whose tree nodes are custom operators.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// The model; equal to the input when no node was rewritten.
    pub bytes: Vec<u8>,
    /// The operators that the model needs, one for each rewritten node.
    pub operators: Vec<CompiledNode>,
    /// All tree nodes of the model, in graph order.
    pub report: Vec<NodeReport>,
}

/// Gives a model in which each tree node that the fast path holds is an operator of this crate.
///
/// Everything else is copied byte for byte. A node that is not held stays as it is, and the report says why.
///
/// # Errors
///
/// [`TreeError::Decode`] when the bytes are no ONNX model.
pub fn rewrite_model(bytes: &[u8], options: RewriteOptions) -> Result<Rewritten, TreeError> {
    let graph = decode(bytes)?;
    let instructions = options.instructions.unwrap_or_else(Instructions::detect);
    let mut operators = Vec::new();
    let mut report = Vec::new();
    let mut replacements: Vec<(usize, Vec<u8>)> = Vec::new();
    for node in tree_nodes(&graph) {
        let (name, operator, index) = (node.name.clone(), node.operator.clone(), node.index);
        let held = if options.leave_small {
            refuse_small(node, instructions)
        } else {
            node
        };
        let outcome = match compile(held, operators.len(), instructions) {
            Err(reason) => Outcome::Kept { reason },
            Ok((compiled, encoded)) => {
                let (instructions, trees) = compiled.describe();
                replacements.push((index, encoded));
                operators.push(compiled);
                Outcome::Rewritten {
                    instructions,
                    trees,
                }
            }
        };
        report.push(NodeReport {
            name,
            operator,
            outcome,
        });
    }
    let bytes = if operators.is_empty() {
        bytes.to_vec()
    } else {
        splice(bytes, &replacements)?
    };
    Ok(Rewritten {
        bytes,
        operators,
        report,
    })
}

impl CompiledNode {
    fn describe(&self) -> (Instructions, usize) {
        match &self.evaluator {
            AnyEvaluator::F32(evaluator) => {
                (evaluator.instructions(), evaluator.ensemble().roots.len())
            }
            AnyEvaluator::F64(evaluator) => {
                (evaluator.instructions(), evaluator.ensemble().roots.len())
            }
        }
    }
}

/// Takes the ensemble from a node whose trees are fewer than the kernel gains with.
fn refuse_small(mut node: TreeNode, instructions: Instructions) -> TreeNode {
    let trees = match &node.ensemble {
        Ok(AnyEnsemble::F32(ensemble)) => ensemble.roots.len(),
        Ok(AnyEnsemble::F64(ensemble)) => ensemble.roots.len(),
        Err(_) => return node,
    };
    let least = instructions.least_trees();
    if trees < least {
        node.ensemble = Err(TreeError::Unsupported {
            node: node.name.clone(),
            reason: format!(
                "{trees} trees are no slower there; the kernel ({instructions}) gains from {least} on"
            ),
        });
    }
    node
}

/// Builds the evaluator and the node that calls it.
fn compile(
    node: TreeNode,
    number: usize,
    instructions: Instructions,
) -> Result<(CompiledNode, Vec<u8>), TreeError> {
    fn evaluator<T: Scalar>(
        ensemble: Ensemble<T>,
        instructions: Instructions,
    ) -> Result<(Arc<Evaluator<T>>, bool), TreeError> {
        let gives_labels = matches!(ensemble.task, Task::Classification { .. });
        Ok((
            Arc::new(Evaluator::with_instructions(ensemble, instructions)?),
            gives_labels,
        ))
    }
    let (evaluator, gives_labels) = match node.ensemble? {
        AnyEnsemble::F32(ensemble) => {
            let (evaluator, gives_labels) = evaluator(ensemble, instructions)?;
            (AnyEvaluator::F32(evaluator), gives_labels)
        }
        AnyEnsemble::F64(ensemble) => {
            let (evaluator, gives_labels) = evaluator(ensemble, instructions)?;
            (AnyEvaluator::F64(evaluator), gives_labels)
        }
    };
    let scores_are_double =
        matches!(evaluator, AnyEvaluator::F64(_)) && node.operator == "TreeEnsemble";
    let operator = format!("TreeEnsemble{number}");
    let replacement = NodeProto {
        input: node.inputs.clone(),
        output: node.outputs,
        name: Some(node.name),
        op_type: Some(operator.clone()),
        attribute: Vec::new(),
        domain: Some(OPERATOR_DOMAIN.to_owned()),
    };
    let input = node.inputs.into_iter().next().unwrap_or_default();
    let compiled = CompiledNode {
        operator,
        evaluator,
        gives_labels,
        scores_are_double,
        input,
    };
    Ok((compiled, replacement.encode_to_vec()))
}

/// Copies the model with some of its graph's nodes replaced, and the private domain imported.
fn splice(bytes: &[u8], replacements: &[(usize, Vec<u8>)]) -> Result<Vec<u8>, TreeError> {
    let mut out = Vec::with_capacity(bytes.len());
    for field in fields(bytes)? {
        if field.number == MODEL_GRAPH {
            push_field(
                &mut out,
                MODEL_GRAPH,
                &splice_graph(&bytes[field.payload], replacements)?,
            );
        } else {
            out.extend_from_slice(&bytes[field.whole]);
        }
    }
    let import = OperatorSetIdProto {
        domain: Some(OPERATOR_DOMAIN.to_owned()),
        version: Some(1),
    };
    push_field(&mut out, MODEL_OPSET_IMPORT, &import.encode_to_vec());
    Ok(out)
}

fn splice_graph(bytes: &[u8], replacements: &[(usize, Vec<u8>)]) -> Result<Vec<u8>, TreeError> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    for field in fields(bytes)? {
        if field.number != GRAPH_NODE {
            out.extend_from_slice(&bytes[field.whole]);
            continue;
        }
        match replacements.iter().find(|(replaced, _)| *replaced == index) {
            Some((_, node)) => push_field(&mut out, GRAPH_NODE, node),
            None => out.extend_from_slice(&bytes[field.whole]),
        }
        index += 1;
    }
    Ok(out)
}
