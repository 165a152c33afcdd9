//! The histories of many symbols from Python.

use numpy::{PyArray2, PyArrayMethods};
use pyo3::prelude::*;

use super::arrays::{BarArrays, new_matrix, view};
use super::errors::without_gil;
use super::spec::PyFeatureSpec;

/// Features of the bars of many symbols, float64 of shape (bars, features).
#[pyfunction]
#[allow(
    clippy::too_many_arguments,
    reason = "one argument per column of a bar"
)]
pub(super) fn compute_panel_columns<'py>(
    py: Python<'py>,
    spec: &PyFeatureSpec,
    symbols: Vec<String>,
    symbol_index: &Bound<'py, PyAny>,
    open_time_ns: &Bound<'py, PyAny>,
    open: &Bound<'py, PyAny>,
    high: &Bound<'py, PyAny>,
    low: &Bound<'py, PyAny>,
    close: &Bound<'py, PyAny>,
    volume: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let symbol_index = view::<i64>("symbol_index", "int64", symbol_index)?;
    let symbol_index = symbol_index.as_slice()?;
    let arrays = BarArrays::view([open_time_ns, open, high, low, close, volume])?;
    let columns = arrays.columns()?;
    let out = new_matrix(py, [symbol_index.len(), spec.core().len()]);
    {
        let mut rows = out.try_readwrite()?;
        let rows = rows.as_slice_mut()?;
        without_gil(py, || {
            // A negative index lies past every panel.
            let lanes: Vec<usize> = symbol_index
                .iter()
                .map(|index| usize::try_from(*index).unwrap_or(usize::MAX))
                .collect();
            crate::compute_panel(spec.core(), symbols, &lanes, &columns, rows)
        })?;
    }
    Ok(out)
}
