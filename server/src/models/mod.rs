//! Model bundles, the store they live in, and moving between versions.

pub mod bundle;
pub mod deployment;
mod embedded_manifest;
pub mod golden;
mod ledger;
pub mod loaded;
pub mod registry;
mod routing;
pub mod store_watch;
mod unloading;
