//! Feature specs from Python.

use std::collections::BTreeMap;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple};

use super::errors::{SpecError, without_gil};
use crate::{Argument, FeatureRequest, FeatureSpec, GapPolicy, Preset, SpecOptions};

/// An ordered list of features, checked and complete.
#[pyclass(frozen, eq, hash, name = "FeatureSpec", module = "candlewire_features")]
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PyFeatureSpec(FeatureSpec);

impl std::hash::Hash for PyFeatureSpec {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash().hash(state);
    }
}

impl PyFeatureSpec {
    pub(super) fn core(&self) -> &FeatureSpec {
        &self.0
    }
}

#[pymethods]
impl PyFeatureSpec {
    #[new]
    #[allow(
        clippy::needless_pass_by_value,
        reason = "extracted from a Python list"
    )]
    #[pyo3(signature = (features, *, timeframe = None, gap = None))]
    fn new(
        py: Python<'_>,
        features: Vec<Bound<'_, PyTuple>>,
        timeframe: Option<String>,
        gap: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let requests = features.iter().map(request).collect::<PyResult<Vec<_>>>()?;
        let gap = gap
            .as_ref()
            .map(gap_policy)
            .transpose()?
            .unwrap_or_default();
        let options = SpecOptions { timeframe, gap };
        without_gil(py, || FeatureSpec::with_options(requests, &options)).map(Self)
    }

    /// Reads a spec from YAML.
    #[staticmethod]
    fn from_yaml(py: Python<'_>, text: &str) -> PyResult<Self> {
        without_gil(py, || FeatureSpec::from_yaml(text)).map(Self)
    }

    /// Reads a spec from JSON.
    #[staticmethod]
    fn from_json(py: Python<'_>, text: &str) -> PyResult<Self> {
        without_gil(py, || FeatureSpec::from_json(text)).map(Self)
    }

    /// A spec that ships with the package.
    #[staticmethod]
    fn preset(py: Python<'_>, name: &str) -> PyResult<Self> {
        without_gil(py, || FeatureSpec::preset(name)).map(Self)
    }

    #[getter]
    fn known_as(&self) -> Option<PyPreset> {
        self.0.known_as().copied().map(PyPreset)
    }

    #[getter]
    fn names(&self) -> Vec<&str> {
        self.0.names().collect()
    }

    #[getter]
    fn hash(&self) -> String {
        self.0.hash().to_string()
    }

    #[getter]
    fn canonical_json(&self) -> &str {
        self.0.canonical_json()
    }

    #[getter]
    fn warmup_bars(&self) -> usize {
        self.0.warmup_bars()
    }

    #[getter]
    fn feature_warmup_bars(&self) -> Vec<usize> {
        self.0
            .features()
            .iter()
            .map(crate::Feature::warmup_bars)
            .collect()
    }

    #[getter]
    fn needs_panel(&self) -> bool {
        self.0.needs_panel()
    }

    #[getter]
    fn series_bytes(&self) -> usize {
        self.0.series_bytes()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __repr__(&self) -> String {
        let name = self
            .0
            .known_as()
            .map_or_else(String::new, |preset| format!("{preset}, "));
        format!(
            "FeatureSpec({name}{} features, hash {})",
            self.0.len(),
            self.0.hash()
        )
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        let from_json = slf.get_type().getattr("from_json")?;
        Ok((from_json, (slf.get().0.canonical_json().to_owned(),)))
    }
}

/// Reads `"skip"`, `"flag"` or `{"reset_after": bars}`.
fn gap_policy(given: &Bound<'_, PyAny>) -> PyResult<GapPolicy> {
    let refuse = || {
        let shown = given
            .repr()
            .map_or_else(|_| "?".to_owned(), |text| text.to_string());
        SpecError::new_err(format!(
            "gap is {shown}: give \"skip\", \"flag\" or {{\"reset_after\": bars}}"
        ))
    };
    if let Ok(word) = given.extract::<String>() {
        return GapPolicy::try_from(&word[..]).map_err(|_| refuse());
    }
    let policy = given.cast::<PyDict>().map_err(|_| refuse())?;
    match (policy.len(), policy.get_item("reset_after")?) {
        (1, Some(bars)) if !bars.is_instance_of::<PyBool>() => bars
            .extract::<u64>()
            .map(GapPolicy::ResetAfter)
            .map_err(|_| refuse()),
        _ => Err(refuse()),
    }
}

/// Reads `(name, kernel)`, `(name, kernel, parameters)` or `(name, kernel, parameters, output)`.
fn request(feature: &Bound<'_, PyTuple>) -> PyResult<FeatureRequest> {
    let refuse = || {
        let shown = feature
            .repr()
            .map_or_else(|_| "a feature".to_owned(), |text| text.to_string());
        SpecError::new_err(format!(
            "{shown}: give (name, kernel), (name, kernel, parameters) or (name, kernel, parameters, output)"
        ))
    };
    if !(2..=4).contains(&feature.len()) {
        return Err(refuse());
    }
    let text = |index: usize| {
        feature
            .get_item(index)?
            .extract::<String>()
            .map_err(|_| refuse())
    };
    let (name, kernel) = (text(0)?, text(1)?);
    let parameters = if feature.len() > 2 {
        let given = feature.get_item(2)?;
        arguments(given.cast::<PyDict>().map_err(|_| refuse())?)?
    } else {
        BTreeMap::new()
    };
    let output = if feature.len() > 3 {
        Some(text(3)?)
    } else {
        None
    };
    Ok(FeatureRequest {
        name,
        kernel,
        parameters,
        output,
        timeframe: None,
    })
}

/// Parameters of a kernel by name.
pub(super) fn arguments(given: &Bound<'_, PyDict>) -> PyResult<BTreeMap<String, Argument>> {
    given
        .iter()
        .map(|(name, value)| argument(&name, &value))
        .collect()
}

fn argument(name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<(String, Argument)> {
    let refuse = || {
        let shown = |object: &Bound<'_, PyAny>| {
            object
                .repr()
                .map_or_else(|_| "?".to_owned(), |text| text.to_string())
        };
        SpecError::new_err(format!(
            "parameter {} is {}: give a number or a string",
            shown(name),
            shown(value)
        ))
    };
    let name: String = name.extract().map_err(|_| refuse())?;
    if value.is_instance_of::<PyBool>() {
        return Err(refuse());
    }
    let argument = if let Ok(integer) = value.extract::<i64>() {
        Argument::Integer(integer)
    } else if let Ok(number) = value.extract::<f64>() {
        Argument::Number(number)
    } else {
        Argument::Text(value.extract().map_err(|_| refuse())?)
    };
    Ok((name, argument))
}

/// Formula, parameters, warm-up and source of every feature, as text.
#[pyfunction]
pub(super) fn describe(spec: &PyFeatureSpec) -> String {
    crate::describe(spec.core())
}

/// A spec that ships with the package, by name and version.
#[pyclass(frozen, eq, hash, name = "Preset", module = "candlewire_features")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct PyPreset(Preset);

#[pymethods]
impl PyPreset {
    #[getter]
    fn name(&self) -> &str {
        self.0.name
    }

    #[getter]
    fn version(&self) -> u32 {
        self.0.version
    }

    #[getter]
    fn hash(&self) -> &str {
        self.0.hash
    }

    fn __repr__(&self) -> String {
        let Preset {
            name,
            version,
            hash,
            ..
        } = &self.0;
        format!("Preset(name={name:?}, version={version}, hash={hash:?})")
    }
}

/// Every preset, older versions of a name before newer ones.
#[pyfunction]
pub(super) fn presets() -> Vec<PyPreset> {
    crate::presets().copied().map(PyPreset).collect()
}

/// Names of the specs that ship with the package.
#[pyfunction]
pub(super) fn preset_names() -> Vec<&'static str> {
    crate::preset_names().collect()
}

/// Every kernel with its parameters and outputs, as JSON.
#[pyfunction]
pub(super) fn kernel_registry() -> String {
    crate::kernel_registry()
}
