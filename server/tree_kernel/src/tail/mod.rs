//! What follows the heavy nodes of a model: its last few exact operators, row by row, without ONNX Runtime.
//!
//! Behind its trees a model adds, scales and clips a handful of numbers a row. ONNX Runtime takes longer to call such an
//! operator than the operator takes, and every further output costs as much again. [`cut_tail`] gives a model that ends
//! where the last operator of another kind does; the [`RowProgram`] computes the rest.
//!
//! Operators are taken whose result the IEEE standard fixes to the last bit, those that move numbers and, on request, the
//! logistic function as ONNX Runtime computes it, so the scores keep their bits. Whoever uses it compares them at load.

mod constants;
mod cut;
mod logistic;
mod program;
mod trace;
mod trees;

pub use cut::{CutModel, TailOperators, cut_tail};
pub(crate) use logistic::logistic;
pub use program::RowProgram;
pub use trees::BareTrees;
