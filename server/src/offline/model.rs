//! The version of a model that scores a file, checked as the server checks it before it serves.

use std::{fs, path::Path};

use crate::{
    models::{
        bundle::{Bundle, Manifest},
        deployment::DeploymentFile,
        golden,
    },
    scoring::{
        engine::{Engine, EngineLoader, ModelFile, ScoreLayout},
        policy::Policy,
    },
};

use super::score_file::OfflineError;

/// What scoring needs of a bundle.
#[derive(Debug, Clone)]
pub(super) struct FileModel {
    pub(super) manifest: Manifest,
    pub(super) layout: ScoreLayout,
    pub(super) up: usize,
    pub(super) down: usize,
}

impl FileModel {
    /// Loads `engines` engines of a version and holds each against the golden vectors.
    pub(super) fn load(
        store: &Path,
        model: &str,
        version: Option<u64>,
        loader: &dyn EngineLoader,
        engines: usize,
    ) -> Result<(Self, Vec<Box<dyn Engine>>), OfflineError> {
        let version = match version {
            Some(version) => version,
            None => production(store, model)?,
        };
        let folder = store.join(model).join(version.to_string());
        let refused = |problem: String| OfflineError(format!("{model} {version}: {problem}"));
        let bundle = Bundle::read(&folder, model, version).map_err(|e| refused(e.to_string()))?;
        let golden = golden::read(&bundle).map_err(|e| refused(e.to_string()))?;
        let file = ModelFile {
            bytes: &bundle.onnx,
            features: bundle.spec.len(),
            layout: bundle.layout(),
            sample: &golden.features,
        };
        let mut engines = loader
            .load(file, engines)
            .map_err(|error| refused(format!("model.onnx: {error}")))?;
        for engine in &mut engines {
            golden::check(&bundle, &golden, &mut **engine).map_err(|e| refused(e.to_string()))?;
        }
        let model = Self {
            layout: bundle.layout(),
            up: bundle.up,
            down: bundle.down,
            manifest: bundle.manifest,
        };
        Ok((model, engines))
    }

    pub(super) fn policy(&self) -> Policy {
        self.manifest.policy
    }
}

/// The version in production; the newest where the store has no deployment file.
fn production(store: &Path, model: &str) -> Result<u64, OfflineError> {
    if let Some(file) = DeploymentFile::read(store).map_err(OfflineError)? {
        let deployed = file.models.get(model).map(|versions| versions.production);
        if let Some(version) = deployed {
            return Ok(version);
        }
    }
    let folder = store.join(model);
    let entries = fs::read_dir(&folder).map_err(|error| {
        OfflineError(format!(
            "model {model:?}: {}: {error}; the store holds {}",
            folder.display(),
            models_of(store)
        ))
    })?;
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .max()
        .ok_or_else(|| {
            OfflineError(format!(
                "model {model:?}: {} holds no version",
                folder.display()
            ))
        })
}

fn models_of(store: &Path) -> String {
    let mut names: Vec<String> = fs::read_dir(store)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let folder = entry.file_type().ok()?.is_dir();
            folder.then(|| entry.file_name().to_string_lossy().into_owned())
        })
        .collect();
    names.sort();
    if names.is_empty() {
        "no model".to_owned()
    } else {
        names.join(", ")
    }
}
