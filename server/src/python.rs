//! The `_data_plane` extension module: a thin wrapper, no decisions.

use std::{
    net::{IpAddr, Ipv4Addr},
    ops::ControlFlow,
    path::PathBuf,
    sync::Arc,
};

use prost::Message;
use pyo3::{create_exception, exceptions::PyException, prelude::*, types::PyBytes};

use crate::{
    admin,
    error::ServeError,
    journal::audit,
    offline::score_file::ScoreFile,
    plane::{DataPlane, StartError},
    scoring::{engine::EngineLoader, onnx::OnnxRuntime},
    settings::Settings,
    transport::{access::Role, proto},
};

create_exception!(
    _data_plane,
    StartFailedError,
    PyException,
    "The data plane did not start: one clear line."
);
create_exception!(
    _data_plane,
    AddressInUseError,
    StartFailedError,
    "A port could not be taken."
);
create_exception!(
    _data_plane,
    ScoreFileError,
    PyException,
    "A file was not scored: one clear line."
);
create_exception!(
    _data_plane,
    RefusedError,
    PyException,
    "A request was refused: (gRPC code, message, encoded google.rpc.Status)."
);

fn start_failed(error: &StartError) -> PyErr {
    match error {
        StartError::Bind { .. } => AddressInUseError::new_err(error.to_string()),
        StartError::Serve(_)
        | StartError::Runtime(_)
        | StartError::Journal(_)
        | StartError::Tls(_)
        | StartError::Tokens(_)
        | StartError::Traces(_)
        | StartError::Reflection(_) => StartFailedError::new_err(error.to_string()),
    }
}

fn refused(error: ServeError) -> PyErr {
    let status = tonic::Status::from(error);
    RefusedError::new_err((
        status.code() as i32,
        status.message().to_owned(),
        status.details().to_vec(),
    ))
}

/// Decodes a request, answers it without the GIL, encodes the response.
fn answer<'py, Request: Message + Default, Response: Message>(
    py: Python<'py>,
    request: &[u8],
    work: impl FnOnce(Request) -> Result<Response, ServeError> + Send,
) -> PyResult<Bound<'py, PyBytes>> {
    let answered = py.detach(|| {
        let request = Request::decode(request).map_err(|error| ServeError::InvalidField {
            field: "request",
            problem: error.to_string(),
        })?;
        work(request).map(|response| response.encode_to_vec())
    });
    answered
        .map(|bytes| PyBytes::new(py, &bytes))
        .map_err(refused)
}

/// A running data plane.
#[pyclass(frozen, name = "DataPlane", module = "candlewire_server._data_plane")]
struct PyDataPlane {
    plane: Arc<DataPlane>,
}

#[pymethods]
impl PyDataPlane {
    /// Starts serving. `settings_json` holds the fields of the data plane's settings.
    #[new]
    #[allow(
        clippy::needless_pass_by_value,
        reason = "Python's path objects convert to owned paths"
    )]
    fn start(py: Python<'_>, settings_json: &str, onnxruntime_library: PathBuf) -> PyResult<Self> {
        let settings: Settings = serde_json::from_str(settings_json)
            .map_err(|error| StartFailedError::new_err(format!("settings: {error}")))?;
        py.detach(|| {
            let runtime = OnnxRuntime::open(&onnxruntime_library)
                .map_err(|error| StartFailedError::new_err(error.to_string()))?;
            let runtime = runtime.with_tree_kernel(settings.tree_kernel);
            let plane = DataPlane::start(&settings, Arc::new(runtime))
                .map_err(|error| start_failed(&error))?;
            Ok(Self {
                plane: Arc::new(plane),
            })
        })
    }

    /// Address of the data port.
    #[getter]
    fn data_address(&self) -> String {
        self.plane.data_address().to_string()
    }

    /// Address of the metrics port.
    #[getter]
    fn metrics_address(&self) -> String {
        self.plane.metrics_address().to_string()
    }

    /// Drains and stops; true when all that was accepted was answered in time.
    fn stop(&self, py: Python<'_>) -> bool {
        py.detach(|| self.plane.stop())
    }

    /// Refuses a caller of the admin port whose authorization header does not allow it.
    #[pyo3(signature = (authorization, peer))]
    fn admit_admin(&self, authorization: Option<&[u8]>, peer: &str) -> PyResult<()> {
        let header = authorization
            .map(http::HeaderValue::from_bytes)
            .transpose()
            .map_err(|_| {
                refused(ServeError::Unauthenticated {
                    problem: "it is no text",
                })
            })?;
        let peer = peer.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let entrance = self.plane.access().enter(peer, None);
        // The admin port answers in one message: what is in flight there is not counted.
        entrance
            .admit_role(header.as_ref(), Role::Admin)
            .map(drop)
            .map_err(refused)
    }

    fn list_models<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        answer(py, request, |request: proto::ListModelsRequest| {
            admin::list_models(self.plane.registry(), &request)
        })
    }

    fn get_model<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        answer(py, request, |request: proto::GetModelRequest| {
            admin::get_model(self.plane.registry(), &request)
        })
    }

    fn promote_model<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        answer(py, request, |request: proto::PromoteModelRequest| {
            let response = admin::promote(self.plane.registry(), &request);
            self.plane.refresh_health();
            response
        })
    }

    fn rollback_model<'py>(
        &self,
        py: Python<'py>,
        request: &[u8],
    ) -> PyResult<Bound<'py, PyBytes>> {
        answer(py, request, |request: proto::RollbackModelRequest| {
            let response = admin::roll_back(self.plane.registry(), &request);
            self.plane.refresh_health();
            response
        })
    }

    fn reload_models<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        answer(py, request, |_: proto::ReloadModelsRequest| {
            let response = admin::reload(self.plane.registry());
            self.plane.refresh_health();
            response
        })
    }

    fn list_outcomes<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        answer(py, request, |request: proto::ListOutcomesRequest| {
            admin::list_outcomes(self.plane.pipeline(), &request)
        })
    }

    fn get_coverage<'py>(&self, py: Python<'py>, request: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        answer(py, request, |request: proto::GetCoverageRequest| {
            admin::get_coverage(self.plane.registry(), &request)
        })
    }
}

/// Starts logging to standard error: `line_format` is "json" or "pretty", `level` as `RUST_LOG` reads it. Once a process.
#[pyfunction]
fn start_logging(level: &str, line_format: &str) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(false)
        // A log that cannot be written (its disk is full) must not end the thread that had something to say.
        .log_internal_errors(false);
    // A second call in one process finds logging started: that is what it asks for.
    let _ = if line_format == "json" {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}

/// Replays the decisions of a journal with the versions of a store; returns what it found as JSON.
#[pyfunction]
#[allow(
    clippy::needless_pass_by_value,
    reason = "Python's path objects convert to owned paths"
)]
fn replay_decisions(
    py: Python<'_>,
    store: PathBuf,
    journal: PathBuf,
    onnxruntime_library: PathBuf,
) -> PyResult<String> {
    py.detach(|| {
        let failed = |message: String| StartFailedError::new_err(message);
        let runtime =
            OnnxRuntime::open(&onnxruntime_library).map_err(|error| failed(error.to_string()))?;
        let engines: Arc<dyn EngineLoader> = Arc::new(runtime);
        let audit = audit::replay_decisions(&store, &journal, &engines).map_err(failed)?;
        serde_json::to_string(&audit).map_err(|error| failed(error.to_string()))
    })
}

/// Scores a Parquet file; returns a summary as JSON. `progress` gets rows done and rows in all, about ten times a second;
/// what it raises ends the work, and nothing is written.
#[pyfunction]
#[allow(
    clippy::needless_pass_by_value,
    reason = "Python's path objects convert to owned paths"
)]
fn score_file(
    py: Python<'_>,
    request_json: &str,
    onnxruntime_library: PathBuf,
    progress: Py<PyAny>,
) -> PyResult<String> {
    let failed = |message: String| ScoreFileError::new_err(message);
    let request: ScoreFile =
        serde_json::from_str(request_json).map_err(|error| failed(format!("request: {error}")))?;
    py.detach(|| {
        let runtime =
            OnnxRuntime::open(&onnxruntime_library).map_err(|error| failed(error.to_string()))?;
        let runtime = runtime.with_tree_kernel(request.tree_kernel);
        let mut raised = None;
        let scored = request.run(&runtime, |rows| {
            let told = Python::attach(|py| {
                py.check_signals()?;
                progress.call1(py, (rows.done, rows.total)).map(drop)
            });
            match told {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    raised.get_or_insert(error);
                    ControlFlow::Break(())
                }
            }
        });
        match (raised, scored) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(failed(error.to_string())),
            (None, Ok(summary)) => {
                serde_json::to_string(&summary).map_err(|error| failed(error.to_string()))
            }
        }
    })
}

#[pymodule(gil_used = false)]
fn _data_plane(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add(
        "StartFailedError",
        module.py().get_type::<StartFailedError>(),
    )?;
    module.add(
        "AddressInUseError",
        module.py().get_type::<AddressInUseError>(),
    )?;
    module.add("ScoreFileError", module.py().get_type::<ScoreFileError>())?;
    module.add("RefusedError", module.py().get_type::<RefusedError>())?;
    module.add_function(wrap_pyfunction!(start_logging, module)?)?;
    module.add_function(wrap_pyfunction!(replay_decisions, module)?)?;
    module.add_function(wrap_pyfunction!(score_file, module)?)?;
    module.add_class::<PyDataPlane>()
}
