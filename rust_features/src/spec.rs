//! Which features, in which order: the spec, its canonical JSON and its hash.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::across::{self, Across};
use crate::arguments::{Argument, ArgumentError, Arguments};
use crate::kernels;
use crate::nearest::nearest;
use crate::plan::Plan;
use crate::presets;
use crate::runner::Entry;

/// Most features of one spec.
pub const MOST_FEATURES: usize = 4096;
/// Most memory that one series of a spec may take.
pub const MOST_SERIES_BYTES: usize = 16 << 20;

/// Why a spec is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpecError {
    /// Not JSON, or not the shape of a spec.
    #[error(
        "the spec is not valid JSON of the form {{\"features\": [{{\"name\", \"kernel\", \"parameters\", \"output\"}}]}}: {0}"
    )]
    Syntax(String),
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

/// One feature as a user asks for it: unset parameters take their defaults, an unset output is the kernel's first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureRequest {
    /// Name of the feature's column.
    pub name: String,
    /// Name of the kernel.
    pub kernel: String,
    /// Parameters by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, Argument>,
    /// Name of the kernel's output.
    #[serde(default)]
    pub output: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecRequest {
    features: Vec<FeatureRequest>,
}

/// One feature, complete. Fields in alphabetical order: their order is that of the canonical JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Feature {
    kernel: &'static str,
    name: String,
    output: &'static str,
    parameters: Arguments,
    #[serde(skip)]
    entry: Entry,
    #[serde(skip)]
    warmup_bars: usize,
}

impl Feature {
    /// Name of the feature's column.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its kernel is.
    pub fn kernel(&self) -> &'static crate::kernel::Description {
        self.entry.description
    }

    /// Every parameter with its value.
    pub fn parameters(&self) -> &Arguments {
        &self.parameters
    }

    /// Name and formula of the kernel's output.
    pub fn output(&self) -> &'static str {
        self.output
    }

    /// Index of the first bar at which the feature is valid.
    pub fn warmup_bars(&self) -> usize {
        self.warmup_bars
    }
}

#[derive(Serialize)]
struct Canonical<'a> {
    features: &'a [Feature],
}

/// SHA-256 of a spec's canonical JSON; shows as lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FeatureSpecHash([u8; 32]);

impl FeatureSpecHash {
    /// The 32 bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for FeatureSpecHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for FeatureSpecHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FeatureSpecHash({self})")
    }
}

/// An ordered list of features, checked and complete. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FeatureSpec(Arc<Checked>);

#[derive(Debug)]
struct Checked {
    features: Vec<Feature>,
    canonical_json: String,
    hash: FeatureSpecHash,
    plan: Plan,
}

impl FeatureSpec {
    /// Builds a spec from its features.
    ///
    /// # Errors
    /// What is wrong with the first bad feature, with the nearest known name where one is near.
    pub fn new(requests: Vec<FeatureRequest>) -> Result<Self, SpecError> {
        if requests.is_empty() || requests.len() > MOST_FEATURES {
            return Err(SpecError::FeatureCount {
                given: requests.len(),
            });
        }
        let mut names = BTreeSet::new();
        let mut kernel_of: HashMap<String, usize> = HashMap::new();
        let mut plan = Plan::default();
        let mut features: Vec<Feature> = Vec::with_capacity(requests.len());
        for request in requests {
            check_name(&request.name)?;
            if !names.insert(request.name.clone()) {
                return Err(SpecError::DuplicateName(request.name));
            }
            let entry = find_kernel(&request)?;
            let output = find_output(&request, entry)?;
            let description = entry.description;
            let argument_error = |reason| SpecError::Argument {
                feature: request.name.clone(),
                kernel: description.name,
                reason,
            };
            let parameters = Arguments::complete(description.parameters, &request.parameters)
                .map_err(argument_error)?;
            // Features that differ only in their output share one kernel.
            let identity = format!("{} {parameters:?}", description.name);
            let kernel = if let Some(kernel) = kernel_of.get(&identity) {
                *kernel
            } else {
                let kernel = plan.add_kernel((entry.build)(&parameters).map_err(argument_error)?);
                if let Some(build) = entry.build_across {
                    let comparing = build(&parameters).map_err(argument_error)?;
                    let compared = comparing.compared_feature();
                    let column = compared
                        .map(|compared| find_compared(&features, compared))
                        .transpose()
                        .map_err(argument_error)?;
                    plan.kernels[kernel].across = Some(Across {
                        compared: column,
                        kernel: comparing,
                    });
                }
                kernel_of.insert(identity, kernel);
                kernel
            };
            plan.add_feature(kernel, output);
            let planned = &plan.kernels[kernel];
            let compared = planned.across.as_ref().and_then(|across| across.compared);
            let warmup_bars = compared.map_or_else(
                || planned.runner.warmup_bars(output),
                |column| features[column].warmup_bars,
            );
            features.push(Feature {
                warmup_bars,
                kernel: description.name,
                output: description.outputs[output].name,
                parameters,
                entry,
                name: request.name,
            });
        }
        if plan.series_bytes() > MOST_SERIES_BYTES {
            return Err(SpecError::TooLarge {
                bytes: plan.series_bytes(),
            });
        }
        let canonical_json = serde_json::to_string(&Canonical {
            features: &features,
        })
        .map_err(|error| SpecError::Syntax(error.to_string()))?;
        let hash = FeatureSpecHash(Sha256::digest(canonical_json.as_bytes()).into());
        Ok(Self(Arc::new(Checked {
            features,
            canonical_json,
            hash,
            plan,
        })))
    }

    /// Reads a spec from JSON; canonical or not, the same features give the same spec.
    ///
    /// # Errors
    /// Text that is not JSON or not a spec.
    pub fn from_json(text: &str) -> Result<Self, SpecError> {
        let request: SpecRequest =
            serde_json::from_str(text).map_err(|error| SpecError::Syntax(error.to_string()))?;
        Self::new(request.features)
    }

    /// A spec that ships with the crate; see [`preset_names`].
    ///
    /// # Errors
    /// No preset of that name.
    pub fn preset(name: &str) -> Result<Self, SpecError> {
        match presets::json(name) {
            Some(text) => Self::from_json(text),
            None => Err(SpecError::UnknownPreset {
                name: name.to_owned(),
                known: preset_names().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// SHA-256 of the canonical JSON.
    pub fn hash(&self) -> &FeatureSpecHash {
        &self.0.hash
    }

    /// The spec with every default filled in: sorted keys, no white space.
    pub fn canonical_json(&self) -> &str {
        &self.0.canonical_json
    }

    /// The features in order.
    pub fn features(&self) -> &[Feature] {
        &self.0.features
    }

    /// Names of the features in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.features.iter().map(|feature| feature.name.as_str())
    }

    /// Number of features, at least one.
    #[allow(clippy::len_without_is_empty, reason = "a spec is never empty")]
    pub fn len(&self) -> usize {
        self.0.features.len()
    }

    /// Index of the first bar at which every feature is valid.
    pub fn warmup_bars(&self) -> usize {
        self.0.plan.warmup_bars
    }

    /// Whether a feature compares symbols: its values need a panel, and are NaN in a series of one symbol.
    pub fn needs_panel(&self) -> bool {
        self.comparing_feature().is_some()
    }

    /// The first feature that compares symbols.
    pub(crate) fn comparing_feature(&self) -> Option<&Feature> {
        self.0
            .features
            .iter()
            .find(|feature| feature.entry.build_across.is_some())
    }

    /// Memory that one series of this spec takes.
    pub fn series_bytes(&self) -> usize {
        self.0.plan.series_bytes()
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.0.plan
    }
}

impl PartialEq for FeatureSpec {
    fn eq(&self, other: &Self) -> bool {
        self.hash() == other.hash()
    }
}

impl Eq for FeatureSpec {}

/// Names of the specs that ship with the crate.
pub fn preset_names() -> impl Iterator<Item = &'static str> {
    presets::PRESETS.iter().map(|(name, _)| *name)
}

fn check_name(name: &str) -> Result<(), SpecError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:^".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(SpecError::InvalidName(name.chars().take(80).collect()))
    }
}

fn find_kernel(request: &FeatureRequest) -> Result<Entry, SpecError> {
    let known = || kernels::all().chain(across::KERNELS);
    known()
        .find(|entry| entry.description.name == request.kernel)
        .copied()
        .ok_or_else(|| SpecError::UnknownKernel {
            feature: request.name.clone(),
            kernel: request.kernel.chars().take(80).collect(),
            suggestion: nearest(&request.kernel, known().map(|entry| entry.description.name)),
        })
}

/// Column of the feature that another one compares.
fn find_compared(features: &[Feature], name: &str) -> Result<usize, ArgumentError> {
    features
        .iter()
        .position(|feature| feature.name == name)
        .ok_or_else(|| {
            ArgumentError::Contradiction(format!(
                "of is \"{}\": name a feature that stands before this one in the spec",
                name.chars().take(80).collect::<String>()
            ))
        })
}

fn find_output(request: &FeatureRequest, entry: Entry) -> Result<usize, SpecError> {
    let Some(wanted) = &request.output else {
        return Ok(0);
    };
    let names = || entry.description.outputs.iter().map(|output| output.name);
    names()
        .position(|name| name == wanted)
        .ok_or_else(|| SpecError::UnknownOutput {
            feature: request.name.clone(),
            kernel: entry.description.name,
            output: wanted.chars().take(80).collect(),
            suggestion: nearest(wanted, names()),
            known: names().collect::<Vec<_>>().join(", "),
        })
}
