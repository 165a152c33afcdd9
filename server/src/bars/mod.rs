//! The path of a bar: admission, features, score, band, policy, subscribers; and, `horizon` bars later, its outcome.

pub mod admission;
mod freeze;
pub mod hub;
pub mod image;
pub mod outcomes;
pub mod pipeline;
pub mod regime;
mod routing;
pub mod series;
