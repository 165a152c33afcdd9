//! Model bundles, the store they live in, and moving between versions.

pub mod bundle;
pub mod deployment;
pub mod golden;
pub mod loaded;
pub mod registry;
mod unloading;
