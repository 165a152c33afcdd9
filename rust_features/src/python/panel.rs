//! Many symbols from Python.

use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::PyArray1;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arrays::{BarArrays, matrix, view};
use super::errors::{CoreError, InputError, without_gil};
use super::spec::PyFeatureSpec;
use crate::frame::Columns;
use crate::{Bar, BarStatus, Panel, PanelError};

/// Features of many symbols, one bar each per call.
#[pyclass(frozen, name = "Panel", module = "candlewire_features")]
pub(super) struct PyPanel {
    spec: PyFeatureSpec,
    state: Mutex<State>,
}

struct State {
    panel: Panel,
    /// Reused from call to call.
    lanes: Vec<usize>,
    bars: Vec<Bar>,
    statuses: Vec<BarStatus>,
}

impl State {
    fn gather(&mut self, symbol_index: &[i64], columns: &Columns<'_>) -> Result<(), PanelError> {
        let expected = symbol_index.len();
        let lengths = [
            ("open_time_ns", columns.open_time_ns.len()),
            ("open", columns.open.len()),
            ("high", columns.high.len()),
            ("low", columns.low.len()),
            ("close", columns.close.len()),
            ("volume", columns.volume.len()),
        ];
        for (name, given) in lengths {
            if given != expected {
                return Err(PanelError::Length {
                    name,
                    given,
                    expected,
                });
            }
        }
        self.lanes.clear();
        // A negative index lies past every panel.
        self.lanes.extend(
            symbol_index
                .iter()
                .map(|index| usize::try_from(*index).unwrap_or(usize::MAX)),
        );
        self.bars.clear();
        self.bars.extend((0..expected).map(|bar| columns.bar(bar)));
        self.statuses.clear();
        self.statuses.resize(expected, BarStatus::Applied);
        Ok(())
    }
}

#[pymethods]
impl PyPanel {
    #[new]
    #[pyo3(signature = (spec, symbols, *, threads = 1))]
    fn new(
        py: Python<'_>,
        spec: &PyFeatureSpec,
        symbols: Vec<String>,
        threads: usize,
    ) -> PyResult<Self> {
        let panel = without_gil(py, || Panel::with_threads(spec.core(), symbols, threads))?;
        Ok(Self::of(spec, panel))
    }

    /// The panel of a snapshot.
    #[staticmethod]
    #[pyo3(signature = (spec, snapshot, *, threads = 1))]
    fn restore(
        py: Python<'_>,
        spec: &PyFeatureSpec,
        snapshot: &[u8],
        threads: usize,
    ) -> PyResult<Self> {
        let restored = || Panel::restore_with_threads(spec.core(), snapshot, threads);
        let panel = without_gil(py, restored)?;
        Ok(Self::of(spec, panel))
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &py.detach(|| self.lock().panel.snapshot()))
    }

    #[getter]
    fn spec(&self) -> PyFeatureSpec {
        self.spec.clone()
    }

    #[getter]
    fn threads(&self, py: Python<'_>) -> usize {
        py.detach(|| self.lock().panel.threads())
    }

    #[getter]
    fn symbols(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| self.lock().panel.symbols().to_vec())
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        py.detach(|| self.lock().panel.symbols().len())
    }

    fn symbol_index(&self, py: Python<'_>, symbol: &str) -> PyResult<usize> {
        py.detach(|| self.lock().panel.symbol_index(symbol))
            .ok_or_else(|| {
                InputError::new_err(format!(
                    "symbol \"{symbol}\" is not in the panel: add it with add_symbol"
                ))
            })
    }

    fn add_symbol(&self, py: Python<'_>, symbol: &str) -> PyResult<usize> {
        without_gil(py, || self.lock().panel.add_symbol(symbol))
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one argument per column of a bar"
    )]
    fn update<'py>(
        &self,
        py: Python<'py>,
        symbol_index: &Bound<'py, PyAny>,
        open_time_ns: &Bound<'py, PyAny>,
        open: &Bound<'py, PyAny>,
        high: &Bound<'py, PyAny>,
        low: &Bound<'py, PyAny>,
        close: &Bound<'py, PyAny>,
        volume: &Bound<'py, PyAny>,
        out: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray1<u8>>> {
        self.step(
            py,
            Panel::update,
            symbol_index,
            [open_time_ns, open, high, low, close, volume],
            out,
        )
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one argument per column of a bar"
    )]
    fn peek<'py>(
        &self,
        py: Python<'py>,
        symbol_index: &Bound<'py, PyAny>,
        open_time_ns: &Bound<'py, PyAny>,
        open: &Bound<'py, PyAny>,
        high: &Bound<'py, PyAny>,
        low: &Bound<'py, PyAny>,
        close: &Bound<'py, PyAny>,
        volume: &Bound<'py, PyAny>,
        out: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray1<u8>>> {
        self.step(
            py,
            Panel::peek,
            symbol_index,
            [open_time_ns, open, high, low, close, volume],
            out,
        )
    }

    fn reset(&self, py: Python<'_>) {
        py.detach(|| self.lock().panel.reset());
    }
}

type Step =
    fn(&mut Panel, &[usize], &[Bar], &mut [f64], &mut [BarStatus]) -> Result<(), PanelError>;

impl PyPanel {
    fn of(spec: &PyFeatureSpec, panel: Panel) -> Self {
        let state = State {
            panel,
            lanes: Vec::new(),
            bars: Vec::new(),
            statuses: Vec::new(),
        };
        Self {
            spec: spec.clone(),
            state: Mutex::new(state),
        }
    }

    /// Locks the state; call it with the GIL released, so that no two threads wait for each other.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step<'py>(
        &self,
        py: Python<'py>,
        step: Step,
        symbol_index: &Bound<'py, PyAny>,
        bars: [&Bound<'py, PyAny>; 6],
        out: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray1<u8>>> {
        let symbol_index = view::<i64>("symbol_index", "int64", symbol_index)?;
        let symbol_index = symbol_index.as_slice()?;
        let arrays = BarArrays::view(bars)?;
        let columns = arrays.columns()?;
        let mut out = matrix("out", out, [symbol_index.len(), self.spec.core().len()])?;
        let out = out.as_slice_mut()?;
        let statuses = without_gil(py, || {
            let state = &mut *self.lock();
            state.gather(symbol_index, &columns)?;
            step(
                &mut state.panel,
                &state.lanes,
                &state.bars,
                out,
                &mut state.statuses,
            )?;
            Ok::<_, CoreError>(
                state
                    .statuses
                    .iter()
                    .map(|status| *status as u8)
                    .collect::<Vec<_>>(),
            )
        })?;
        Ok(PyArray1::from_vec(py, statuses))
    }
}
