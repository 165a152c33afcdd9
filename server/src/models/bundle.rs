//! Reads and checks one model bundle (`docs/bundle.md`).

use std::{
    fs,
    path::{Path, PathBuf},
};

use candlewire_features::FeatureSpec;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::embedded_manifest;
use crate::scoring::{engine::ScoreLayout, policy::Policy};

/// Beyond this the golden vectors would not tell one model from another.
const LARGEST_TOLERANCE: f32 = 1e-2;

/// Why a bundle is refused: what disagrees, and with what.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct BundleError(pub String);

/// manifest.json, the keys that serving needs.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    format: String,
    format_version: u32,
    /// Name of the model.
    pub model: String,
    /// UTC time of training, YYYYMMDDHHMMSS.
    pub version: u64,
    /// Timeframe of its bars.
    pub timeframe: String,
    /// Bars ahead that it speaks of.
    pub horizon_bars: u32,
    /// Asset class of its symbols.
    #[serde(default)]
    pub asset_class: String,
    /// Symbols it was trained on; empty means any.
    #[serde(default)]
    pub symbols: Vec<String>,
    /// Class names in the order of `probabilities`.
    pub classes: Vec<String>,
    feature_spec: serde_json::Value,
    /// SHA-256 of the feature spec's canonical JSON.
    pub feature_spec_hash: String,
    /// Order of the input columns.
    pub feature_names: Vec<String>,
    /// Order of `member_probabilities`.
    pub members: Vec<String>,
    /// The graph.
    pub onnx: FileEntry,
    /// The golden vectors.
    pub golden: GoldenEntry,
    /// The band's target and controller.
    pub band: BandEntry,
    /// Thresholds.
    #[serde(default)]
    pub policy: Policy,
}

/// A file of the bundle and its hash.
#[derive(Debug, Clone, Deserialize)]
pub struct FileEntry {
    file: String,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// The golden vectors' file, hash and tolerance.
#[derive(Debug, Clone, Deserialize)]
pub struct GoldenEntry {
    file: String,
    sha256: String,
    /// Largest difference allowed in any output.
    pub absolute_tolerance: f32,
}

/// The band's target and controller.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct BandEntry {
    /// Coverage aimed at.
    pub target_coverage: f64,
    /// Controller step.
    pub eta: f64,
    /// Multiplier at the start.
    #[serde(default = "one")]
    pub initial_multiplier: f64,
}

const fn one() -> f64 {
    1.0
}

/// A bundle whose parts agree with each other.
pub struct Bundle {
    /// What the graph is.
    pub manifest: Manifest,
    /// manifest.json as it stands in the file.
    pub manifest_json: String,
    /// The feature spec, with its recomputed hash.
    pub spec: FeatureSpec,
    /// Position of "UP" among the classes.
    pub up: usize,
    /// Position of "DOWN" among the classes.
    pub down: usize,
    /// Bytes of model.onnx.
    pub onnx: Vec<u8>,
    /// Bytes of golden.npz.
    pub golden: Vec<u8>,
}

impl Bundle {
    /// Reads the bundle in `folder`, which must be `<store>/<model>/<version>`.
    ///
    /// # Errors
    /// A file is missing, or anything in the bundle disagrees with anything else.
    pub fn read(folder: &Path, model: &str, version: u64) -> Result<Self, BundleError> {
        let path = folder.join("manifest.json");
        let manifest_json = String::from_utf8(read_file(&path)?)
            .map_err(|error| BundleError(format!("manifest.json is not UTF-8: {error}")))?;
        let manifest: Manifest = serde_json::from_str(&manifest_json)
            .map_err(|error| BundleError(format!("manifest.json: {error}")))?;
        manifest.check(model, version)?;
        let spec = FeatureSpec::from_json(&manifest.feature_spec.to_string())
            .map_err(|error| BundleError(format!("feature_spec: {error}")))?;
        check_spec(&manifest, &spec)?;
        let onnx = read_hashed(folder, &manifest.onnx.file, &manifest.onnx.sha256)?;
        embedded_manifest::check(&manifest_json, &onnx)?;
        let golden = read_hashed(folder, &manifest.golden.file, &manifest.golden.sha256)?;
        let class = |name: &str| {
            let found = manifest.classes.iter().position(|class| class == name);
            found
                .ok_or_else(|| BundleError(format!("classes {:?} lack {name:?}", manifest.classes)))
        };
        Ok(Self {
            up: class("UP")?,
            down: class("DOWN")?,
            manifest_json,
            spec,
            onnx,
            golden,
            manifest,
        })
    }

    /// Layout of the graph's scores.
    #[must_use]
    pub fn layout(&self) -> ScoreLayout {
        ScoreLayout {
            classes: self.manifest.classes.len(),
            members: self.manifest.members.len(),
        }
    }
}

impl Manifest {
    fn check(&self, model: &str, version: u64) -> Result<(), BundleError> {
        let refuse = |text: String| Err(BundleError(text));
        if self.format != "candlewire-bundle" || self.format_version != 1 {
            return refuse(format!(
                "format is {:?} version {}, this server reads \"candlewire-bundle\" version 1",
                self.format, self.format_version
            ));
        }
        if self.model != model || self.version != version {
            return refuse(format!(
                "manifest names {}/{}, the folder {model}/{version}",
                self.model, self.version
            ));
        }
        if self.horizon_bars == 0 {
            return refuse("horizon_bars is 0".into());
        }
        if !crate::bars::admission::is_timeframe(&self.timeframe) {
            return refuse(format!("timeframe {:?} does not exist", self.timeframe));
        }
        let band = self.band;
        let inside = |value: f64, low: f64, high: f64| low < value && value < high;
        if !inside(band.target_coverage, 0.0, 1.0)
            || !inside(band.eta, 0.0, 1.0)
            || !inside(band.initial_multiplier, 0.0, 1e3)
        {
            return refuse(format!("band {band:?} is out of range"));
        }
        let tolerance = self.golden.absolute_tolerance;
        if !(0.0..=LARGEST_TOLERANCE).contains(&tolerance) {
            return refuse(format!(
                "golden.absolute_tolerance is {tolerance}: 0 to {LARGEST_TOLERANCE} is expected, or golden vectors say nothing"
            ));
        }
        Ok(())
    }
}

fn check_spec(manifest: &Manifest, spec: &FeatureSpec) -> Result<(), BundleError> {
    if spec.needs_panel() {
        return Err(BundleError(
            "feature_spec compares symbols with each other, which this server does not compute from a bar stream: \
             train without cross-sectional and reference features"
                .into(),
        ));
    }
    let hash = spec.hash().to_string();
    if hash != manifest.feature_spec_hash {
        return Err(BundleError(format!(
            "feature_spec hashes to {hash}, manifest says {}",
            manifest.feature_spec_hash
        )));
    }
    if !spec
        .names()
        .eq(manifest.feature_names.iter().map(String::as_str))
    {
        return Err(BundleError(
            "feature_names differ from the names in feature_spec".into(),
        ));
    }
    Ok(())
}

fn read_hashed(folder: &Path, file: &str, expected: &str) -> Result<Vec<u8>, BundleError> {
    if PathBuf::from(file).components().count() != 1 || file == ".." {
        return Err(BundleError(format!("file {file:?} is outside the bundle")));
    }
    let bytes = read_file(&folder.join(file))?;
    let hash = hex(&Sha256::digest(&bytes));
    if hash != expected {
        return Err(BundleError(format!(
            "{file} hashes to {hash}, manifest says {expected}; the file is corrupt"
        )));
    }
    Ok(bytes)
}

fn read_file(path: &Path) -> Result<Vec<u8>, BundleError> {
    fs::read(path).map_err(|error| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        BundleError(format!("{name}: {error}"))
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            use std::fmt::Write;
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
