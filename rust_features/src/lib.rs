//! Streaming technical indicators: one step per bar, the same bits online and offline.

#[cfg(feature = "python")]
mod python;
