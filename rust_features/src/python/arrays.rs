//! NumPy arrays in and out: the right dtype and layout, or a clear refusal, never a silent copy.

use numpy::{
    Element, PyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadwriteArray2,
    PyUntypedArrayMethods,
};
use pyo3::prelude::*;

use super::errors::InputError;
use crate::frame::Columns;

/// A contiguous one-dimensional view, or why the argument is none.
pub(super) fn view<'py, T: Element>(
    name: &str,
    dtype: &str,
    argument: &Bound<'py, PyAny>,
) -> PyResult<PyReadonlyArray1<'py, T>> {
    let refuse = || {
        refuse(
            name,
            argument,
            &format!("a contiguous one-dimensional NumPy array of {dtype}"),
        )
    };
    let array = argument.cast::<PyArray1<T>>().map_err(|_| refuse())?;
    if !array.is_c_contiguous() {
        return Err(refuse());
    }
    borrowed(name, array)
}

/// A view of an array that nobody writes to.
pub(super) fn borrowed<'py, T: Element>(
    name: &str,
    array: &Bound<'py, PyArray1<T>>,
) -> PyResult<PyReadonlyArray1<'py, T>> {
    array
        .try_readonly()
        .map_err(|error| InputError::new_err(format!("{name}: {error}: pass an array of its own")))
}

/// A writable row-major matrix, or why the argument is none.
pub(super) fn matrix<'py>(
    name: &str,
    argument: &Bound<'py, PyAny>,
    shape: [usize; 2],
) -> PyResult<PyReadwriteArray2<'py, f64>> {
    let [rows, columns] = shape;
    let refuse = || {
        refuse(
            name,
            argument,
            &format!("a writable row-major NumPy array of float64 with shape ({rows}, {columns})"),
        )
    };
    let array = argument.cast::<PyArray2<f64>>().map_err(|_| refuse())?;
    if !array.is_c_contiguous() || array.shape() != shape {
        return Err(refuse());
    }
    array.try_readwrite().map_err(|_| refuse())
}

pub(super) fn refuse(name: &str, argument: &Bound<'_, PyAny>, expected: &str) -> PyErr {
    let kind = argument
        .get_type()
        .name()
        .map_or_else(|_| "object".to_owned(), |name| name.to_string());
    let attribute = |attribute: &str| {
        argument
            .getattr(attribute)
            .and_then(|value| value.str())
            .ok()
    };
    let given = match (attribute("dtype"), attribute("shape")) {
        (Some(dtype), Some(shape)) => format!("{kind} of {dtype} with shape {shape}"),
        _ => kind,
    };
    InputError::new_err(format!(
        "{name} is {given}: pass {expected}, for example with numpy.ascontiguousarray"
    ))
}

/// Views of the columns of some bars.
pub(super) struct BarArrays<'py> {
    open_time_ns: PyReadonlyArray1<'py, i64>,
    prices: [PyReadonlyArray1<'py, f64>; 5],
}

impl<'py> BarArrays<'py> {
    /// Views arguments in the order open time, open, high, low, close, volume.
    pub(super) fn view(arguments: [&Bound<'py, PyAny>; 6]) -> PyResult<Self> {
        let [time, open, high, low, close, volume] = arguments;
        Ok(Self {
            open_time_ns: view("open_time_ns", "int64", time)?,
            prices: [
                view("open", "float64", open)?,
                view("high", "float64", high)?,
                view("low", "float64", low)?,
                view("close", "float64", close)?,
                view("volume", "float64", volume)?,
            ],
        })
    }

    /// The columns, not yet checked for equal lengths.
    pub(super) fn columns(&self) -> PyResult<Columns<'_>> {
        let [open, high, low, close, volume] = &self.prices;
        Ok(Columns {
            open_time_ns: self.open_time_ns.as_slice()?,
            open: open.as_slice()?,
            high: high.as_slice()?,
            low: low.as_slice()?,
            close: close.as_slice()?,
            volume: volume.as_slice()?,
        })
    }
}

/// An array of zeros that the core will fill.
pub(super) fn new_matrix(py: Python<'_>, shape: [usize; 2]) -> Bound<'_, PyArray2<f64>> {
    PyArray::zeros(py, shape, false)
}
