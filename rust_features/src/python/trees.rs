//! Tree ensembles of an ONNX model, scored by the server's tree kernel.

use std::num::NonZeroUsize;

use candlewire_trees::{Instructions, ModelScorer, NodeScores};
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::arrays::refuse;
use super::errors::{InputError, ModelError, without_gil};

#[pyclass(name = "TreeScorer", module = "candlewire_features", frozen)]
pub(super) struct PyTreeScorer(ModelScorer);

#[pymethods]
impl PyTreeScorer {
    #[new]
    #[pyo3(signature = (model, *, input = "features", instructions = None))]
    fn new(
        py: Python<'_>,
        model: &[u8],
        input: &str,
        instructions: Option<&str>,
    ) -> PyResult<Self> {
        let instructions: Option<Instructions> = instructions.map(str::parse).transpose().map_err(
            |error: candlewire_trees::UnknownInstructions| InputError::new_err(error.to_string()),
        )?;
        py.detach(|| ModelScorer::new(model, input, instructions))
            .map(Self)
            .map_err(|error| ModelError::new_err(error.to_string()))
    }

    /// Names of the graph's values that `score` gives.
    #[getter]
    fn outputs(&self) -> Vec<&str> {
        self.0.outputs().collect()
    }

    /// A line for each tree node of the model: what evaluates it, or why nothing here does.
    #[getter]
    fn report(&self) -> Vec<String> {
        self.0.report().iter().map(ToString::to_string).collect()
    }

    /// Whether the model has tree nodes, and all of them are evaluated here.
    #[getter]
    fn is_complete(&self) -> bool {
        self.0.is_complete()
    }

    /// The values of `outputs` for each row.
    #[pyo3(signature = (rows, *, threads = 1))]
    fn score<'py>(
        &self,
        py: Python<'py>,
        rows: &Bound<'py, PyAny>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyDict>> {
        let expected = "a row-major NumPy array of float32 with shape (rows, features)";
        let array = rows
            .cast::<PyArray2<f32>>()
            .map_err(|_| refuse("rows", rows, expected))?;
        if !array.is_c_contiguous() {
            return Err(refuse("rows", rows, expected));
        }
        let [count, columns] = *array.shape() else {
            return Err(refuse("rows", rows, expected));
        };
        let threads = NonZeroUsize::new(threads)
            .ok_or_else(|| InputError::new_err("threads is 0: give at least 1"))?;
        let view = array.try_readonly().map_err(|error| {
            InputError::new_err(format!("rows: {error}: pass an array of its own"))
        })?;
        let values = view.as_slice()?;
        let found = without_gil(py, || self.0.score(values, columns, threads))?;
        let scored = PyDict::new(py);
        for NodeScores {
            name,
            targets,
            scores,
            labels,
        } in found
        {
            let scores = PyArray1::from_vec(py, scores).reshape([count, targets])?;
            scored.set_item(name, scores)?;
            if let Some((name, labels)) = labels {
                scored.set_item(name, PyArray1::from_vec(py, labels))?;
            }
        }
        Ok(scored)
    }
}
