//! The models of a store: what is there, what is loaded, what is deployed. Swapping is one pointer flip; requests in
//! flight end on the version they began with.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::{
    deployment::{DeployedVersions, DeploymentFile, RouteKey, in_canary},
    ledger::Entry,
    loaded::{LoadedModel, Workshop},
    routing::asset_classes,
};
use crate::error::ServeError;

/// Role in which a version serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Asked for by version.
    None,
    /// Answers by default.
    Production,
    /// Answers for a share of the symbols.
    Canary,
    /// Scores beside production.
    Shadow,
}

impl Role {
    /// Its name in the decision log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Production => "production",
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }
}

/// Whether a version can score.
#[derive(Clone)]
pub enum VersionState {
    /// In the store, not loaded.
    Available,
    /// Loaded and checked.
    Ready(Arc<LoadedModel>),
    /// Failed a check, and why.
    Failed(String),
}

/// What serves at one moment.
#[derive(Clone)]
pub struct Deployment {
    pub(super) file: DeploymentFile,
    pub(super) models: BTreeMap<String, BTreeMap<u64, VersionState>>,
    /// Production and canary by model, so that a request takes one look-up.
    pub(super) serving: BTreeMap<String, Serving>,
    /// Most deployments have none, and then no request looks for one.
    has_shadows: bool,
    /// Whether any route asks for a regime.
    pub(super) has_regimes: bool,
    /// Asset classes of the symbols that models were trained on; empty when no route asks for one.
    pub(super) asset_classes: BTreeMap<String, String>,
}

#[derive(Clone)]
pub(super) struct Serving {
    pub(super) production: Arc<LoadedModel>,
    canary: Option<(Arc<LoadedModel>, f64)>,
    shadows: Vec<Arc<LoadedModel>>,
}

/// The store's models and the deployment in force.
pub struct Registry {
    store: PathBuf,
    workshop: Workshop,
    pub(super) deployment: ArcSwap<Deployment>,
    /// One change at a time.
    pub(super) changing: Mutex<()>,
    /// Models that an operator unloaded: they stay so until loaded again.
    pub(super) unloaded: Mutex<BTreeSet<String>>,
}

impl Registry {
    /// Reads the store and loads what it deploys. Versions that fail are kept as failed, with the reason.
    ///
    /// # Errors
    /// The store cannot be read, or holds no model that can serve.
    pub fn open(store: &Path, workshop: Workshop) -> Result<Self, ServeError> {
        let deployment = read_store(store, &workshop, None, &BTreeSet::new())?;
        if deployment.serving.is_empty() {
            return Err(ServeError::Store(format!(
                "{} holds no model that can serve{}",
                store.display(),
                deployment.failures()
            )));
        }
        Ok(Self {
            store: store.to_owned(),
            workshop,
            deployment: ArcSwap::from_pointee(deployment),
            changing: Mutex::new(()),
            unloaded: Mutex::default(),
        })
    }

    /// Folder of the store.
    #[must_use]
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// What serves now.
    #[must_use]
    pub fn deployment(&self) -> arc_swap::Guard<Arc<Deployment>> {
        self.deployment.load()
    }

    /// Reads the store again, loads what is newly deployed and swaps.
    ///
    /// # Errors
    /// The store cannot be read, or nothing in it could serve; what served goes on.
    pub fn reload(&self) -> Result<(), ServeError> {
        let _changing = self.changing.lock();
        self.reload_locked()
    }

    /// Makes `version` production. It is loaded and checked first; what served goes on until the swap.
    ///
    /// # Errors
    /// No such version, it fails a check, or the store cannot be written.
    pub fn promote(&self, model: &str, version: u64, reason: &str) -> Result<u64, ServeError> {
        let _changing = self.changing.lock();
        let current = self.deployment.load_full();
        let mut file = current.file.clone();
        if !self.folder(model, version).join("manifest.json").is_file() {
            return Err(match current.version(model, version) {
                Err(error) => error,
                Ok(_) => ServeError::VersionNotFound {
                    model: model.into(),
                    version,
                },
            });
        }
        // A copy on disk that has changed since it was loaded is looked at anew.
        if let VersionState::Failed(failure) =
            load_version(&self.store, model, version, &self.workshop, Some(&current))
        {
            return Err(ServeError::VersionNotReady {
                model: model.into(),
                version,
                failure,
            });
        }
        let versions = file.models.entry(model.to_owned()).or_default();
        let previous = versions.production;
        if previous == version {
            return Ok(previous);
        }
        if previous != 0 {
            versions.previous.push(previous);
        }
        versions.production = version;
        self.commit(&file, model, previous, version, "promote", reason)?;
        Ok(previous)
    }

    /// Returns production to the version before.
    ///
    /// # Errors
    /// There is none, it fails a check, or the store cannot be written.
    pub fn roll_back(&self, model: &str, reason: &str) -> Result<(u64, u64), ServeError> {
        let _changing = self.changing.lock();
        let current = self.deployment.load_full();
        let mut file = current.file.clone();
        let Some(versions) = file.models.get_mut(model) else {
            return Err(current.model_not_found(model));
        };
        let Some(target) = versions.previous.pop() else {
            return Err(ServeError::NothingToRollBack {
                model: model.into(),
            });
        };
        let previous = std::mem::replace(&mut versions.production, target);
        if let VersionState::Failed(failure) = current.version(model, target)? {
            return Err(ServeError::VersionNotReady {
                model: model.into(),
                version: target,
                failure: failure.clone(),
            });
        }
        self.commit(&file, model, previous, target, "rollback", reason)?;
        Ok((target, previous))
    }

    fn commit(
        &self,
        file: &DeploymentFile,
        model: &str,
        from: u64,
        to: u64,
        action: &str,
        reason: &str,
    ) -> Result<(), ServeError> {
        // The ledger comes first: no version serves whose promotion is not written down.
        let prepared = file.prepare(&self.store).map_err(ServeError::Store)?;
        let entry = Entry {
            action,
            model,
            from,
            to,
            reason,
        };
        let ledger = entry.append(&self.store).map_err(ServeError::Store)?;
        if let Err(problem) = prepared.put() {
            ledger.take_back();
            return Err(ServeError::Store(problem));
        }
        self.reload_locked()
    }

    pub(super) fn reload_locked(&self) -> Result<(), ServeError> {
        let unloaded = self.unloaded.lock().clone();
        let before = self.deployment.load();
        let next = read_store(&self.store, &self.workshop, Some(&before), &unloaded)?;
        if next.serving.is_empty() {
            return Err(ServeError::Store(format!(
                "no model could serve after a reload, nothing was changed{}",
                next.failures()
            )));
        }
        self.deployment.store(Arc::new(next));
        Ok(())
    }

    fn folder(&self, model: &str, version: u64) -> PathBuf {
        self.store.join(model).join(version.to_string())
    }
}

impl Deployment {
    /// The version that scores a row, and its role.
    ///
    /// # Errors
    /// The model or version does not exist or does not serve.
    pub fn pick(
        &self,
        model: &str,
        version: u64,
        key: RouteKey<'_>,
    ) -> Result<(&Arc<LoadedModel>, Role), ServeError> {
        let model = if model.is_empty() {
            self.route(key)?
        } else {
            model
        };
        if version != 0 {
            return self.pick_version(model, version);
        }
        let Some(serving) = self.serving.get(model) else {
            return Err(self.model_not_found(model));
        };
        if let Some((canary, share)) = &serving.canary
            && in_canary(key.symbol, *share)
        {
            return Ok((canary, Role::Canary));
        }
        Ok((&serving.production, Role::Production))
    }

    fn pick_version(
        &self,
        model: &str,
        version: u64,
    ) -> Result<(&Arc<LoadedModel>, Role), ServeError> {
        let failure = match self.version(model, version)? {
            VersionState::Ready(loaded) => return Ok((loaded, self.role(model, version))),
            VersionState::Failed(failure) => failure.clone(),
            VersionState::Available => {
                "it is in the store but not deployed; promote it or deploy it as canary or shadow"
                    .into()
            }
        };
        Err(ServeError::VersionNotReady {
            model: model.into(),
            version,
            failure,
        })
    }

    /// Versions that score beside `model`, those whose rows are made like its own.
    pub fn shadows<'a>(
        &'a self,
        model: &'a LoadedModel,
    ) -> impl Iterator<Item = &'a Arc<LoadedModel>> {
        let serving = if self.has_shadows {
            self.serving.get(&model.manifest.model)
        } else {
            None
        };
        let shadows = serving.map_or(&[][..], |serving| &serving.shadows);
        shadows.iter().filter(|shadow| {
            shadow.spec.hash() == model.spec.hash()
                && shadow.manifest.version != model.manifest.version
        })
    }

    /// Role of a version.
    #[must_use]
    pub fn role(&self, model: &str, version: u64) -> Role {
        match self.file.models.get(model) {
            Some(versions) if versions.production == version => Role::Production,
            Some(versions)
                if versions
                    .canary
                    .is_some_and(|canary| canary.version == version) =>
            {
                Role::Canary
            }
            Some(versions) if versions.shadow.contains(&version) => Role::Shadow,
            _ => Role::None,
        }
    }

    /// Model, version and state of every version, newest first within a model.
    pub fn versions(&self) -> impl Iterator<Item = (&str, u64, &VersionState)> {
        self.models.iter().flat_map(|(model, versions)| {
            versions
                .iter()
                .rev()
                .map(move |(version, state)| (model.as_str(), *version, state))
        })
    }

    /// Every loaded version.
    pub fn loaded(&self) -> impl Iterator<Item = &Arc<LoadedModel>> {
        self.versions().filter_map(|(_, _, state)| {
            if let VersionState::Ready(loaded) = state {
                Some(loaded)
            } else {
                None
            }
        })
    }

    /// Models and their production version.
    pub fn production(&self) -> impl Iterator<Item = (&str, &Arc<LoadedModel>)> {
        self.serving
            .iter()
            .map(|(model, serving)| (model.as_str(), &serving.production))
    }

    /// State of one version; zero means production.
    ///
    /// # Errors
    /// The model or the version does not exist.
    pub fn version(&self, model: &str, version: u64) -> Result<&VersionState, ServeError> {
        let Some(versions) = self.models.get(model) else {
            return Err(self.model_not_found(model));
        };
        let version = if version == 0 {
            self.production_version(model)
        } else {
            version
        };
        versions
            .get(&version)
            .ok_or_else(|| ServeError::VersionNotFound {
                model: model.into(),
                version,
            })
    }

    /// The production version of a model; zero when there is none.
    #[must_use]
    pub fn production_version(&self, model: &str) -> u64 {
        self.file
            .models
            .get(model)
            .map_or(0, |versions| versions.production)
    }

    fn model_not_found(&self, model: &str) -> ServeError {
        let known: Vec<&str> = self.models.keys().map(String::as_str).collect();
        ServeError::ModelNotFound {
            model: model.into(),
            known: known.join(", "),
        }
    }

    fn failures(&self) -> String {
        let failed = self
            .versions()
            .filter_map(|(model, version, state)| match state {
                VersionState::Failed(failure) => Some(format!("; {model}/{version}: {failure}")),
                _ => None,
            });
        failed.collect()
    }
}

/// Reads the store; versions that `before` has loaded are taken over, unless their bundle changed.
fn read_store(
    store: &Path,
    workshop: &Workshop,
    before: Option<&Deployment>,
    unloaded: &BTreeSet<String>,
) -> Result<Deployment, ServeError> {
    let mut models =
        scan(store).map_err(|error| ServeError::Store(format!("{}: {error}", store.display())))?;
    let file = DeploymentFile::read(store).map_err(ServeError::Store)?;
    let file_was_read = file.is_some();
    let mut file = file.unwrap_or_else(|| newest_of_each(&models));
    let mut load = |model: &str, version: u64| -> Option<Arc<LoadedModel>> {
        let state = models.get_mut(model)?.get_mut(&version)?;
        if matches!(state, VersionState::Available) {
            *state = load_version(store, model, version, workshop, before);
        }
        if let VersionState::Ready(loaded) = state {
            Some(Arc::clone(loaded))
        } else {
            None
        }
    };
    let mut serving = BTreeMap::new();
    let names: Vec<String> = file.models.keys().cloned().collect();
    for model in names.into_iter().filter(|name| !unloaded.contains(name)) {
        let Some(versions) = file.models.get_mut(&model) else {
            continue;
        };
        let mut production = load(&model, versions.production);
        // Without a deployment file the newest version that can serve is production.
        while production.is_none() && !file_was_read {
            let Some(older) = versions.previous.pop() else {
                break;
            };
            versions.production = older;
            production = load(&model, older);
        }
        if !file_was_read {
            versions.previous.clear();
        }
        let canary = versions
            .canary
            .and_then(|canary| Some((load(&model, canary.version)?, canary.share)));
        let shadows: Vec<_> = versions
            .shadow
            .iter()
            .filter_map(|&shadow| load(&model, shadow))
            .collect();
        // A production version that fails at a reload leaves the one that served in place.
        let production =
            production.or_else(|| Some(Arc::clone(&before?.serving.get(&model)?.production)));
        if let Some(production) = production {
            for shadow in &shadows {
                if shadow.spec.hash() != production.spec.hash() {
                    tracing::warn!(%model, version = shadow.manifest.version, "the shadow version has another feature spec than production: it scores nothing");
                }
            }
            let serving_now = Serving {
                production,
                canary,
                shadows,
            };
            serving.insert(model, serving_now);
        }
    }
    if file.default_model.is_empty() && serving.len() == 1 {
        file.default_model = serving.keys().next().cloned().unwrap_or_default();
    }
    Ok(Deployment {
        has_shadows: serving.values().any(|serving| !serving.shadows.is_empty()),
        has_regimes: file.routes.iter().any(|route| route.regime.is_some()),
        asset_classes: asset_classes(&file, &serving),
        file,
        models,
        serving,
    })
}

fn load_version(
    store: &Path,
    model: &str,
    version: u64,
    workshop: &Workshop,
    before: Option<&Deployment>,
) -> VersionState {
    let folder = store.join(model).join(version.to_string());
    if let Some(VersionState::Ready(loaded)) =
        before.and_then(|before| before.models.get(model)?.get(&version))
        && fs::read_to_string(folder.join("manifest.json"))
            .is_ok_and(|text| text == loaded.manifest_json)
    {
        return VersionState::Ready(Arc::clone(loaded));
    }
    match LoadedModel::load(&folder, model, version, workshop) {
        Ok(loaded) => {
            tracing::info!(model, version, "loaded, golden vectors agree");
            VersionState::Ready(loaded)
        }
        Err(error) => {
            tracing::error!(model, version, %error, "the version does not serve");
            VersionState::Failed(error.0)
        }
    }
}

/// Folders `<model>/<version>` that hold a manifest.
fn scan(store: &Path) -> std::io::Result<BTreeMap<String, BTreeMap<u64, VersionState>>> {
    let mut models = BTreeMap::new();
    for entry in fs::read_dir(store)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(model) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let mut versions = BTreeMap::new();
        for version in fs::read_dir(entry.path())?.flatten() {
            let number = version
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<u64>().ok());
            if let Some(number) = number.filter(|_| version.path().join("manifest.json").is_file())
            {
                versions.insert(number, VersionState::Available);
            }
        }
        if !versions.is_empty() {
            models.insert(model.to_owned(), versions);
        }
    }
    Ok(models)
}

fn newest_of_each(models: &BTreeMap<String, BTreeMap<u64, VersionState>>) -> DeploymentFile {
    let deployed = models.iter().filter_map(|(model, versions)| {
        let mut older: Vec<u64> = versions.keys().copied().collect();
        let production = older.pop()?;
        // For the search of the newest that can serve; cleared afterwards.
        Some((
            model.clone(),
            DeployedVersions {
                production,
                previous: older,
                ..DeployedVersions::default()
            },
        ))
    });
    DeploymentFile {
        format_version: 1,
        default_model: String::new(),
        models: deployed.collect(),
        routes: Vec::new(),
    }
}
