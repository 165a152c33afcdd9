//! What a restart needs: every bar that changed a series, and every decision, in append-only segments.
//!
//! Segments are Arrow IPC streams that any Arrow reader opens; each row carries a CRC-32 of its values. A segment is
//! never written to after its server ended: what a crash tore off its end was never acknowledged, and the next server
//! begins a new segment.

pub mod audit;
pub mod bars;
pub mod decisions;
pub mod record;
pub mod scores;
pub mod segments;
pub mod snapshot;
pub mod writer;
