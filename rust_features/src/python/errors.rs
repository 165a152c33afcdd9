//! Python exceptions, and the one place where the GIL is released and errors are mapped.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use crate::{ComputeError, IndicatorError, PanelError};

pyo3::create_exception!(
    _features,
    FeaturesError,
    PyException,
    "Base of every error of candlewire_features."
);
pyo3::create_exception!(
    _features,
    SpecError,
    FeaturesError,
    "A feature spec is refused."
);
pyo3::create_exception!(
    _features,
    InputError,
    FeaturesError,
    "Bars, arrays or symbols do not fit."
);
pyo3::create_exception!(
    _features,
    SnapshotError,
    FeaturesError,
    "A snapshot is damaged, or belongs to something else."
);

pyo3::create_exception!(
    _features,
    ModelError,
    FeaturesError,
    "The bytes of a model cannot be read."
);

/// Any error of the core on its way to Python.
#[derive(Debug, thiserror::Error)]
pub(super) enum CoreError {
    #[error(transparent)]
    Spec(#[from] crate::SpecError),
    #[error(transparent)]
    Panel(#[from] PanelError),
    #[error(transparent)]
    Compute(#[from] ComputeError),
    #[error(transparent)]
    Indicator(#[from] IndicatorError),
    #[error(transparent)]
    Snapshot(#[from] crate::SnapshotError),
    #[error(transparent)]
    Trees(#[from] candlewire_trees::TreeError),
}

impl From<CoreError> for PyErr {
    fn from(error: CoreError) -> Self {
        match error {
            CoreError::Spec(error) => SpecError::new_err(error.to_string()),
            CoreError::Panel(error) => InputError::new_err(error.to_string()),
            CoreError::Snapshot(error) => SnapshotError::new_err(error.to_string()),
            CoreError::Indicator(error) => InputError::new_err(error.to_string()),
            CoreError::Trees(error) => InputError::new_err(error.to_string()),
            CoreError::Compute(error) => InputError::new_err(error.to_string()),
        }
    }
}

/// Runs the core with the GIL released.
pub(super) fn without_gil<T: Send, E: Into<CoreError> + Send>(
    py: Python<'_>,
    run: impl FnOnce() -> Result<T, E> + Send,
) -> PyResult<T> {
    py.detach(run).map_err(|error| error.into().into())
}
