//! A whole history from Python.

use numpy::{PyArray2, PyArrayMethods};
use pyo3::prelude::*;

use super::arrays::{BarArrays, new_matrix};
use super::errors::without_gil;
use super::spec::PyFeatureSpec;

/// Features of every bar of one symbol, float64 of shape (bars, features).
#[pyfunction]
#[allow(
    clippy::too_many_arguments,
    reason = "one argument per column of a bar"
)]
pub(super) fn compute_columns<'py>(
    py: Python<'py>,
    spec: &PyFeatureSpec,
    open_time_ns: &Bound<'py, PyAny>,
    open: &Bound<'py, PyAny>,
    high: &Bound<'py, PyAny>,
    low: &Bound<'py, PyAny>,
    close: &Bound<'py, PyAny>,
    volume: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let arrays = BarArrays::view([open_time_ns, open, high, low, close, volume])?;
    let columns = arrays.columns()?;
    let out = new_matrix(py, [columns.open_time_ns.len(), spec.core().len()]);
    {
        let mut rows = out.try_readwrite()?;
        let rows = rows.as_slice_mut()?;
        without_gil(py, || crate::compute_columns(spec.core(), &columns, rows))?;
    }
    Ok(out)
}
