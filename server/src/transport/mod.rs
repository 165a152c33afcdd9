//! gRPC: translates, and decides nothing.

pub mod access;
pub mod bar_service;
mod busy_poll;
pub mod connections;
pub mod convert;
pub mod credential_watch;
mod deadline;
pub mod dispatch;
pub mod echo;
pub mod frame_watch;
pub mod guard;
pub mod inference;
mod one_row;
pub mod request_body;
pub mod scoring_service;
pub mod signal_service;
pub mod status;
pub mod tls;
mod together;

/// The messages and services of `candlewire.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    reason = "generated from proto/, which documents every field"
)]
pub mod proto {
    tonic::include_proto!("candlewire.v1");
}

/// The encoded descriptors of `candlewire.v1`, for reflection.
pub const DESCRIPTORS: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/candlewire_descriptors.bin"));
