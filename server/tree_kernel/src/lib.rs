//! Branch-free evaluation of ONNX tree ensembles, bit-equal to one-thread ONNX Runtime.
//!
//! [`read_model`] finds and checks the tree nodes of a model, an [`Evaluator`] computes one of them,
//! [`rewrite_model`] gives a model in memory whose tree nodes are left to such evaluators inside an ONNX Runtime session
//! (feature `ort-operator`). The file on disk stays plain ONNX. A [`ModelScorer`] evaluates the tree nodes without a session.
//!
//! What a model does behind its trees, [`cut_tail`] can take off it and a [`RowProgram`] compute.
//!
//! A node that the fast path does not hold stays with ONNX Runtime, and the report says why. See `docs/tree_kernel.md`
//! for the design and what it is measured against.

mod attributes;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod compact;
mod ensemble;
mod error;
mod evaluator;
mod finish;
mod instructions;
mod join;
mod kernels;
mod lanes;
mod model;
mod model_scorer;
mod onnx_proto;
#[cfg(feature = "ort-operator")]
mod operator;
mod plan;
mod rank;
mod reader;
mod reader_v5;
mod rewrite;
mod scalar;
mod tail;
#[cfg(feature = "ort-operator")]
mod tensor_access;
mod vector_trees;
#[cfg(feature = "ort-operator")]
mod verify;
mod walk;
mod wire;

pub use ensemble::{
    Aggregate, AnyEnsemble, Comparison, Ensemble, Node, PostTransform, Task, Weight,
};
pub use error::TreeError;
pub use evaluator::{Evaluator, Scratch};
pub use instructions::{Instructions, UnknownInstructions};
pub use model::{TreeNode, read_model};
pub use model_scorer::{ModelScorer, NodeScores};
#[cfg(feature = "ort-operator")]
pub use operator::operator_domain;
pub use rewrite::{
    AnyEvaluator, CompiledNode, NodeReport, OPERATOR_DOMAIN, Outcome, RewriteOptions, Rewritten,
    rewrite_model,
};
pub use scalar::{Output, Scalar};
pub use tail::{BareTrees, CutModel, RowProgram, TailOperators, cut_tail};
#[cfg(feature = "ort-operator")]
pub use verify::{Disagreement, batches, edge_rows, verify};
