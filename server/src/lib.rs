//! Candlewire's data plane: bars and requests in, calibrated scores with bands out.
//!
//! A request goes `transport` → [`scoring::desk`] → [`scoring::batcher`] → engine → band → policy and back. A bar goes
//! `transport` → [`bars::pipeline`] (admission, features, the same batcher, band, policy) → [`bars::hub`] →
//! subscribers. [`models::registry`] says which version serves, and swaps versions without stopping either.

/// A request makes some thirty small allocations: those of the system's allocator cost an eighth of a refused one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod admin;
pub mod bars;
mod data_port;
pub mod error;
pub mod journal;
mod keeping;
mod memory;
pub mod models;
pub mod offline;
pub mod plane;
#[cfg(feature = "python")]
mod python;
pub mod scoring;
pub mod settings;
pub mod telemetry;
pub mod transport;
