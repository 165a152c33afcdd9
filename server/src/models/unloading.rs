//! Taking a model of the store out of service, and back.

use std::sync::Arc;

use super::registry::{Registry, VersionState};
use crate::error::ServeError;

impl Registry {
    /// Serves `model` as the store deploys it, also when it was unloaded before.
    ///
    /// # Errors
    /// The model is not in the store, fails a check, or the store cannot be read.
    pub fn load(&self, model: &str) -> Result<(), ServeError> {
        let _changing = self.changing.lock();
        let was_unloaded = self.unloaded.lock().remove(model);
        let loaded = self.reload_locked().and_then(|()| self.check_loaded(model));
        if loaded.is_err() && was_unloaded {
            self.unloaded.lock().insert(model.to_owned());
        }
        loaded
    }

    /// Stops serving every version of `model`; requests in flight end first, then its memory is given back.
    ///
    /// # Errors
    /// The model is not in the store, or nothing would serve without it.
    pub fn unload(&self, model: &str) -> Result<(), ServeError> {
        let _changing = self.changing.lock();
        let current = self.deployment.load_full();
        current.version(model, 0)?;
        if current.serving.keys().all(|serving| serving == model) {
            return Err(ServeError::Store(format!(
                "{model:?} is the only model that serves; load another first"
            )));
        }
        let mut next = (*current).clone();
        next.serving.remove(model);
        for state in next.models.get_mut(model).into_iter().flatten() {
            if matches!(state.1, VersionState::Ready(_)) {
                *state.1 = VersionState::Available;
            }
        }
        self.unloaded.lock().insert(model.to_owned());
        self.deployment.store(Arc::new(next));
        tracing::info!(model, "unloaded");
        Ok(())
    }

    fn check_loaded(&self, model: &str) -> Result<(), ServeError> {
        match self.deployment.load().version(model, 0)? {
            VersionState::Ready(_) => Ok(()),
            VersionState::Available => Err(not_serving(model, "the store does not deploy it")),
            VersionState::Failed(failure) => Err(not_serving(model, failure)),
        }
    }
}

fn not_serving(model: &str, why: &str) -> ServeError {
    ServeError::Store(format!("{model:?} does not serve: {why}"))
}
