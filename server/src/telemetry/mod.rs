//! What the server tells of itself.

pub mod exporter;
pub mod metrics;
pub mod totals;
pub mod traces;
