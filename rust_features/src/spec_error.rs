//! Why a spec is refused.

use thiserror::Error;

use crate::arguments::ArgumentError;
use crate::spec::{MOST_FEATURES, MOST_SERIES_BYTES};

/// Why a spec is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    /// Not JSON, or not the shape of a spec.
    #[error(
        "the spec is not valid JSON of the form {{\"features\": [{{\"name\", \"kernel\", \"parameters\", \"output\"}}]}}: {0}"
    )]
    Syntax(String),
    /// Not YAML, or not the shape of a spec.
    #[error(
        "the spec is not valid YAML with a list `features` of name, kernel, parameters and output, and optional timeframe and gap: {0}"
    )]
    Yaml(String),
    /// No such preset.
    #[error("unknown preset \"{name}\"; known: {known}")]
    UnknownPreset {
        /// Name as given.
        name: String,
        /// All names, for people.
        known: String,
    },
    /// No feature, or too many.
    #[error("the spec has {given} features: give 1 to {MOST_FEATURES}")]
    FeatureCount {
        /// Number given.
        given: usize,
    },
    /// A feature name is empty, too long or holds other characters.
    #[error("feature name \"{0}\": use 1 to 64 characters of a-z A-Z 0-9 and . _ - / : ^")]
    InvalidName(String),
    /// Two features have the same name.
    #[error("feature name \"{0}\" appears twice: rename one")]
    DuplicateName(String),
    /// No such kernel.
    #[error("feature \"{feature}\": unknown kernel \"{kernel}\"{}", suggest(*suggestion))]
    UnknownKernel {
        /// Name of the feature.
        feature: String,
        /// Kernel as given.
        kernel: String,
        /// The nearest known name.
        suggestion: Option<&'static str>,
    },
    /// The kernel has no such output.
    #[error("feature \"{feature}\": kernel \"{kernel}\" has no output \"{output}\"{}; known: {known}", suggest(*suggestion))]
    UnknownOutput {
        /// Name of the feature.
        feature: String,
        /// Name of the kernel.
        kernel: &'static str,
        /// Output as given.
        output: String,
        /// The nearest known name.
        suggestion: Option<&'static str>,
        /// All names, for people.
        known: String,
    },
    /// A parameter is unknown or has a refused value.
    #[error("feature \"{feature}\": kernel \"{kernel}\": {reason}")]
    Argument {
        /// Name of the feature.
        feature: String,
        /// Name of the kernel.
        kernel: &'static str,
        /// What is wrong.
        #[source]
        reason: ArgumentError,
    },
    /// A timeframe or the gap policy does not fit.
    #[error("{0}")]
    Timeframe(String),
    /// One series would take too much memory.
    #[error(
        "one series of this spec takes {bytes} bytes, at most {MOST_SERIES_BYTES} are allowed: shorten the periods"
    )]
    TooLarge {
        /// Memory of one series.
        bytes: usize,
    },
}

fn suggest(near: Option<&str>) -> String {
    near.map(|near| format!(", did you mean \"{near}\"?"))
        .unwrap_or_default()
}
