//! One kernel over plain arrays from Python.

use numpy::{Element, PyArray1, PyArrayMethods, PyReadonlyArray1, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use super::arrays::borrowed;
use super::errors::{CoreError, InputError, without_gil};
use super::spec::arguments;
use crate::frame::Column;
use crate::indicator::{Cell, Indicator};

/// `numpy.empty`: what the core fills need not be zero before.
static EMPTY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A kernel with its parameters, the columns it is given and the outputs it shows. Made once and called often: a
/// call looks up no name.
#[pyclass(frozen, name = "Indicator", module = "candlewire_features")]
pub(super) struct PyIndicator {
    indicator: Indicator,
    columns: Vec<Column>,
    outputs: Vec<usize>,
}

#[pymethods]
impl PyIndicator {
    #[new]
    #[allow(clippy::needless_pass_by_value, reason = "extracted from Python lists")]
    fn new(
        kernel: &str,
        parameters: &Bound<'_, PyDict>,
        columns: Vec<String>,
        outputs: Vec<usize>,
    ) -> PyResult<Self> {
        let column = |name: &String| {
            Column::parse(name).ok_or_else(|| {
                InputError::new_err(format!(
                    "unknown column \"{name}\"; known: {}",
                    Column::NAMES.join(", ")
                ))
            })
        };
        let columns: Vec<Column> = columns.iter().map(column).collect::<PyResult<_>>()?;
        if columns.is_empty() || columns.len() > Column::ALL.len() {
            return Err(InputError::new_err(format!(
                "{} columns were named: name 1 to {}",
                columns.len(),
                Column::ALL.len()
            )));
        }
        Ok(Self {
            indicator: Indicator::new(kernel, arguments(parameters)?).map_err(CoreError::from)?,
            columns,
            outputs,
        })
    }

    /// The outputs over an array for each column, or `None` when one of them is not a contiguous array of float64.
    fn compute<'py>(
        &self,
        py: Python<'py>,
        arrays: &Bound<'py, PyTuple>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.of_cells::<f64>(py, arrays)
    }

    /// As `compute`, in int32 with 0 for NaN: signals.
    fn compute_signals<'py>(
        &self,
        py: Python<'py>,
        arrays: &Bound<'py, PyTuple>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        self.of_cells::<i32>(py, arrays)
    }
}

impl PyIndicator {
    fn of_cells<'py, T: Cell + Element>(
        &self,
        py: Python<'py>,
        arrays: &Bound<'py, PyTuple>,
    ) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let (given, expected) = (arrays.len(), self.columns.len());
        if given != expected {
            return Err(InputError::new_err(format!(
                "{given} arrays were passed, expected {expected}: pass one for each column"
            )));
        }
        let mut views: [Option<PyReadonlyArray1<'py, f64>>; Column::ALL.len()] = Default::default();
        for ((cell, column), array) in views.iter_mut().zip(&self.columns).zip(arrays) {
            let Ok(array) = array.cast::<PyArray1<f64>>() else {
                return Ok(None);
            };
            if !array.is_c_contiguous() {
                return Ok(None);
            }
            *cell = Some(borrowed(Column::NAMES[*column as usize], array)?);
        }
        let mut slices: [(Column, &[f64]); Column::ALL.len()] =
            [(Column::Close, &[]); Column::ALL.len()];
        for ((slice, column), view) in slices.iter_mut().zip(&self.columns).zip(&views) {
            if let Some(view) = view {
                *slice = (*column, view.as_slice()?);
            }
        }
        let slices = &slices[..expected];
        let bars = slices.first().map_or(0, |(_, values)| values.len());
        let empty = EMPTY.import(py, "numpy", "empty")?;
        let arrays = (self.outputs.iter())
            .map(|_| {
                let array = empty.call1((bars, T::get_dtype(py)))?;
                Ok(array.cast_into::<PyArray1<T>>()?)
            })
            .collect::<PyResult<Vec<_>>>()?;
        {
            let mut writable = arrays
                .iter()
                .map(|array| Ok(array.try_readwrite()?))
                .collect::<PyResult<Vec<_>>>()?;
            let mut rows = writable
                .iter_mut()
                .zip(&self.outputs)
                .map(|(array, output)| Ok((*output, array.as_slice_mut()?)))
                .collect::<PyResult<Vec<_>>>()?;
            without_gil(py, || self.indicator.compute(slices, &mut rows))?;
        }
        PyTuple::new(py, arrays).map(Some)
    }
}
