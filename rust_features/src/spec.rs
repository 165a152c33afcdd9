//! Which features, in which order: the spec, its canonical JSON and its hash.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::across::{self, Across};
use crate::arguments::{Argument, ArgumentError, Arguments};
use crate::kernels;
use crate::nearest::{nearest, nearest_kernel};
use crate::plan::Plan;
use crate::runner::Entry;
use crate::timeframe::{Resampler, Timeframe};

pub use crate::gap_policy::GapPolicy;
pub use crate::spec_error::SpecError;

/// Most features of one spec.
pub const MOST_FEATURES: usize = 4096;
/// Most memory that one series of a spec may take.
pub const MOST_SERIES_BYTES: usize = 16 << 20;

/// One feature as a user asks for it: unset parameters take their defaults, an unset output is the kernel's first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureRequest {
    /// Name of the feature's column.
    pub name: String,
    /// Name of the kernel; `1h:rsi` is short for kernel `rsi` and timeframe `1h`.
    pub kernel: String,
    /// Parameters by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, Argument>,
    /// Name of the kernel's output.
    #[serde(default)]
    pub output: Option<String>,
    /// Computes the feature on bars of a longer timeframe, each visible from its close on.
    #[serde(default)]
    pub timeframe: Option<String>,
}

/// What holds for all features of a spec.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecOptions {
    /// Timeframe of the bars, for example `5m`; needed for longer timeframes and for gaps.
    #[serde(default)]
    pub timeframe: Option<String>,
    /// What to do when bars are missing.
    #[serde(default)]
    pub gap: GapPolicy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecRequest {
    features: Vec<FeatureRequest>,
    #[serde(default)]
    timeframe: Option<String>,
    #[serde(default)]
    gap: GapPolicy,
}

/// One feature, complete. Fields in alphabetical order: their order is that of the canonical JSON.
#[derive(Debug, Clone, Serialize)]
pub struct Feature {
    kernel: &'static str,
    name: String,
    output: &'static str,
    parameters: Arguments,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeframe: Option<Timeframe>,
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

    /// The longer timeframe whose bars it is computed on.
    pub fn timeframe(&self) -> Option<Timeframe> {
        self.timeframe
    }

    /// Index of the first bar at which the feature is valid; on a longer timeframe, of the latest such bar in a
    /// stream without gaps.
    pub fn warmup_bars(&self) -> usize {
        self.warmup_bars
    }
}

#[derive(Serialize)]
struct Canonical<'a> {
    features: &'a [Feature],
    #[serde(skip_serializing_if = "GapPolicy::is_skip")]
    gap: GapPolicy,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeframe: Option<Timeframe>,
}

/// SHA-256 of a spec's canonical JSON; shows as lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FeatureSpecHash([u8; 32]);

impl FeatureSpecHash {
    /// The 32 bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn show(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
            text
        })
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
    memory_hash: [u8; 32],
    plan: Plan,
    higher: Vec<Higher>,
    timeframe: Option<Timeframe>,
    gap: GapPolicy,
}

/// The features of one longer timeframe.
#[derive(Debug)]
pub(crate) struct Higher {
    pub(crate) resampler: Resampler,
    pub(crate) timeframe: Timeframe,
    pub(crate) plan: Plan,
    /// Column of the spec for each feature of the plan.
    pub(crate) columns: Vec<usize>,
}

impl FeatureSpec {
    /// Builds a spec from its features.
    ///
    /// # Errors
    /// What is wrong with the first bad feature, with the nearest known name where one is near.
    pub fn new(requests: Vec<FeatureRequest>) -> Result<Self, SpecError> {
        Self::with_options(requests, &SpecOptions::default())
    }

    /// As [`FeatureSpec::new`], for bars of a timeframe.
    ///
    /// # Errors
    /// As [`FeatureSpec::new`], and a timeframe or gap policy that does not fit.
    #[allow(
        clippy::too_many_lines,
        reason = "one pass over the requests, whose steps share nearly every local"
    )]
    pub fn with_options(
        requests: Vec<FeatureRequest>,
        options: &SpecOptions,
    ) -> Result<Self, SpecError> {
        let timeframe = options.timeframe.as_deref().map(timeframe).transpose()?;
        if timeframe.is_none() && !options.gap.is_skip() {
            return Err(SpecError::Timeframe(
                "gap is set and timeframe is not: say the timeframe of the bars".to_owned(),
            ));
        }
        let mut higher: Vec<Higher> = Vec::new();
        if requests.is_empty() || requests.len() > MOST_FEATURES {
            return Err(SpecError::FeatureCount {
                given: requests.len(),
            });
        }
        let mut names = BTreeSet::new();
        let mut kernel_of: HashMap<String, usize> = HashMap::new();
        let mut plan = Plan::default();
        let mut features: Vec<Feature> = Vec::with_capacity(requests.len());
        for mut request in requests {
            if let (None, Some((prefix, kernel))) =
                (&request.timeframe, request.kernel.split_once(':'))
            {
                (request.timeframe, request.kernel) = (Some(prefix.to_owned()), kernel.to_owned());
            }
            let place = match &request.timeframe {
                Some(name) => Some(place_of(&mut higher, timeframe, name, &request.name)?),
                None => None,
            };
            check_name(&request.name)?;
            if !names.insert(request.name.clone()) {
                return Err(SpecError::DuplicateName(request.name));
            }
            let entry = find_kernel(&request)?;
            if entry.build_across.is_none() {
                check_named_timeframe(&request, timeframe)?;
            }
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
            let identity = format!("{place:?} {} {parameters:?}", description.name);
            let here = match place {
                Some(place) => &mut higher[place].plan,
                None => &mut plan,
            };
            let kernel = if let Some(kernel) = kernel_of.get(&identity) {
                *kernel
            } else {
                let kernel = here.add_kernel((entry.build)(&parameters).map_err(argument_error)?);
                if let Some(build) = entry.build_across {
                    check_comparing(&request, options)?;
                    let comparing = build(&parameters).map_err(argument_error)?;
                    let compared = comparing.compared_feature();
                    let column = compared
                        .map(|compared| find_compared(&features, compared))
                        .transpose()
                        .map_err(argument_error)?;
                    here.kernels[kernel].across = Some(Across {
                        compared: column,
                        kernel: comparing,
                    });
                }
                kernel_of.insert(identity, kernel);
                kernel
            };
            here.add_feature(kernel, output);
            let planned = &here.kernels[kernel];
            let compared = planned.across.as_ref().and_then(|across| across.compared);
            let mut warmup_bars = compared.map_or_else(
                || planned.runner.warmup_bars(output),
                |column| features[column].warmup_bars,
            );
            if let Some(place) = place {
                let longer = &mut higher[place];
                longer.columns.push(features.len());
                // The first longer bar may begin anywhere in the stream's first `ratio` bars.
                let ratio = longer.resampler.ratio();
                warmup_bars = (warmup_bars + 1)
                    .saturating_mul(ratio)
                    .saturating_add(ratio - 2);
                plan.add_foreign_feature(warmup_bars);
            }
            features.push(Feature {
                warmup_bars,
                timeframe: place.map(|place| higher[place].timeframe),
                kernel: description.name,
                output: description.outputs[output].name,
                parameters,
                entry,
                name: request.name,
            });
        }
        let bytes = series_bytes(&plan, &higher);
        if bytes > MOST_SERIES_BYTES {
            return Err(SpecError::TooLarge { bytes });
        }
        let canonical_json = serde_json::to_string(&Canonical {
            features: &features,
            gap: options.gap,
            timeframe,
        })
        .map_err(|error| SpecError::Syntax(error.to_string()))?;
        let hash = FeatureSpecHash(Sha256::digest(canonical_json.as_bytes()).into());
        let mut memory = Sha256::new();
        plan.describe_memory(&mut memory);
        for longer in &higher {
            longer.plan.describe_memory(&mut memory);
        }
        Ok(Self(Arc::new(Checked {
            features,
            canonical_json,
            hash,
            memory_hash: memory.finalize().into(),
            plan,
            higher,
            timeframe,
            gap: options.gap,
        })))
    }

    /// Reads a spec from JSON; canonical or not, the same features give the same spec.
    ///
    /// # Errors
    /// Text that is not JSON or not a spec.
    pub fn from_json(text: &str) -> Result<Self, SpecError> {
        let request: SpecRequest =
            serde_json::from_str(text).map_err(|error| SpecError::Syntax(error.to_string()))?;
        Self::of_request(request)
    }

    /// Reads a spec from YAML, of the same form as the JSON.
    ///
    /// # Errors
    /// Text that is not YAML or not a spec.
    pub fn from_yaml(text: &str) -> Result<Self, SpecError> {
        let request: SpecRequest =
            serde_yaml_ng::from_str(text).map_err(|error| SpecError::Yaml(error.to_string()))?;
        Self::of_request(request)
    }

    fn of_request(request: SpecRequest) -> Result<Self, SpecError> {
        let options = SpecOptions {
            timeframe: request.timeframe,
            gap: request.gap,
        };
        Self::with_options(request.features, &options)
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

    /// Memory that one series of this spec takes in a panel of many.
    pub fn series_bytes(&self) -> usize {
        series_bytes(&self.0.plan, &self.0.higher)
    }

    /// Timeframe of the bars, where the spec says it.
    pub fn timeframe(&self) -> Option<Timeframe> {
        self.0.timeframe
    }

    /// What happens when bars are missing.
    pub fn gap(&self) -> GapPolicy {
        self.0.gap
    }

    pub(crate) fn higher(&self) -> &[Higher] {
        &self.0.higher
    }

    pub(crate) fn memory_hash(&self) -> &[u8; 32] {
        &self.0.memory_hash
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

/// Symbols are compared bar by bar on the bars' own timeframe, and a series that starts anew has no match elsewhere.
fn check_comparing(request: &FeatureRequest, options: &SpecOptions) -> Result<(), SpecError> {
    let refuse = |what: &str| {
        Err(SpecError::Timeframe(format!(
            "feature \"{}\" compares symbols, which is not offered {what}",
            request.name
        )))
    };
    if request.timeframe.is_some() {
        return refuse("on a longer timeframe: leave timeframe out");
    }
    if matches!(options.gap, GapPolicy::ResetAfter(_)) {
        return refuse("with gap reset_after: use skip or flag");
    }
    Ok(())
}

fn series_bytes(plan: &Plan, higher: &[Higher]) -> usize {
    let of = |higher: &Higher| {
        8 * higher.columns.len() + size_of::<Resampler>() + higher.plan.series_bytes()
    };
    // Longer bars close one by one, never a tile of them.
    plan.series_bytes() + plan.tile_bytes() + higher.iter().map(of).sum::<usize>()
}

fn timeframe(name: &str) -> Result<Timeframe, SpecError> {
    Timeframe::parse(name).ok_or_else(|| {
        let shown: String = name.chars().take(20).collect();
        SpecError::Timeframe(format!(
            "timeframe \"{shown}\" is unknown: give for example 1m, 5m, 15m, 1h, 4h, 1d or 1w"
        ))
    })
}

/// The longer timeframe of a feature, added when it is new.
fn place_of(
    higher: &mut Vec<Higher>,
    base: Option<Timeframe>,
    name: &str,
    feature: &str,
) -> Result<usize, SpecError> {
    let longer = timeframe(name)?;
    let Some(base) = base else {
        return Err(SpecError::Timeframe(format!(
            "feature \"{feature}\" is on {longer} bars and the spec has no timeframe: say the timeframe of the bars"
        )));
    };
    if let Some(place) = higher.iter().position(|known| known.timeframe == longer) {
        return Ok(place);
    }
    let resampler = Resampler::new(base, longer).ok_or_else(|| {
        SpecError::Timeframe(format!(
            "feature \"{feature}\": {longer} bars cannot be made from {base} bars: give a longer multiple"
        ))
    })?;
    higher.push(Higher {
        resampler,
        timeframe: longer,
        plan: Plan::default(),
        columns: Vec::new(),
    });
    Ok(higher.len() - 1)
}

fn check_name(name: &str) -> Result<(), SpecError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:^".contains(&byte);
    if (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(SpecError::InvalidName(name.chars().take(80).collect()))
    }
}

/// A name that tells a timeframe, as `1h:rsi_14` does, must tell that of its bars.
fn check_named_timeframe(
    request: &FeatureRequest,
    base: Option<Timeframe>,
) -> Result<(), SpecError> {
    let named = request.name.split_once(':');
    let Some(named) = named.and_then(|(prefix, _)| Timeframe::parse(prefix)) else {
        return Ok(());
    };
    let own = request.timeframe.as_deref().and_then(Timeframe::parse);
    if own.or(base) == Some(named) {
        return Ok(());
    }
    Err(SpecError::Timeframe(format!(
        "feature \"{}\" is named after bars of {named} and is over others: write its kernel as \"{named}:{}\", or rename it",
        request.name, request.kernel
    )))
}

pub(crate) fn find_kernel(request: &FeatureRequest) -> Result<Entry, SpecError> {
    let known = || kernels::all().chain(across::KERNELS);
    known()
        .find(|entry| entry.description.name == request.kernel)
        .copied()
        .ok_or_else(|| SpecError::UnknownKernel {
            feature: request.name.clone(),
            kernel: request.kernel.chars().take(80).collect(),
            suggestion: nearest_kernel(
                &request.kernel,
                known().map(|entry| entry.description.name),
            ),
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
