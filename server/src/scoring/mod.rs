//! From a row of features to a score that says how far to trust it.

pub mod arrivals;
pub mod band;
pub mod batcher;
pub mod decision;
pub mod desk;
pub mod engine;
pub mod gate;
pub mod onnx;
pub mod policy;
mod processor_time;
pub mod shadow;
