//! One kernel over plain arrays from Python.

use numpy::{PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use super::arrays::view;
use super::errors::{CoreError, InputError, without_gil};
use super::spec::arguments;
use crate::Indicator;
use crate::frame::Column;

/// `numpy.empty`: what the core fills need not be zero before.
static EMPTY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Some outputs of a kernel over named columns of float64, as a tuple of arrays.
#[pyfunction]
#[allow(clippy::needless_pass_by_value, reason = "extracted from Python lists")]
pub(super) fn compute_indicator<'py>(
    py: Python<'py>,
    kernel: &str,
    parameters: &Bound<'py, PyDict>,
    columns: Vec<(String, Bound<'py, PyAny>)>,
    outputs: Vec<usize>,
) -> PyResult<Bound<'py, PyTuple>> {
    let parameters = arguments(parameters)?;
    let mut views = Vec::with_capacity(columns.len());
    for (name, values) in &columns {
        let column = Column::parse(name).ok_or_else(|| {
            InputError::new_err(format!(
                "unknown column \"{name}\"; known: {}",
                Column::NAMES.join(", ")
            ))
        })?;
        views.push((column, view::<f64>(name, "float64", values)?));
    }
    let slices = views
        .iter()
        .map(|(column, values)| Ok((*column, values.as_slice()?)))
        .collect::<PyResult<Vec<_>>>()?;
    let indicator = Indicator::new(kernel, parameters).map_err(CoreError::from)?;
    let bars = slices.first().map_or(0, |(_, values)| values.len());
    let empty = EMPTY.import(py, "numpy", "empty")?;
    let arrays = outputs
        .iter()
        .map(|_| Ok(empty.call1((bars,))?.cast_into::<PyArray1<f64>>()?))
        .collect::<PyResult<Vec<_>>>()?;
    {
        let mut writable = arrays
            .iter()
            .map(|array| Ok(array.try_readwrite()?))
            .collect::<PyResult<Vec<_>>>()?;
        let mut rows = writable
            .iter_mut()
            .zip(&outputs)
            .map(|(array, output)| Ok((*output, array.as_slice_mut()?)))
            .collect::<PyResult<Vec<_>>>()?;
        without_gil(py, || indicator.compute(&slices, &mut rows))?;
    }
    PyTuple::new(py, arrays)
}
