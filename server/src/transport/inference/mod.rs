//! The Open Inference Protocol, version 2, over the same desk as `ScoringService`: stock clients work unchanged.

mod describe;
pub mod outputs;
mod service;
pub mod tensors;

pub use service::Inference;

/// The messages and services of `inference`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "generated from proto/, which documents every field"
)]
pub mod oip {
    tonic::include_proto!("inference");
}
