//! The running data plane: its runtime, its ports, and how it starts and stops.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{
    bars::pipeline::Pipeline,
    data_port::Foundations,
    error::ServeError,
    journal::writer::JournalError,
    keeping::{JOURNAL, Records},
    memory::give_back,
    models::{loaded::Workshop, registry::Registry, store_watch},
    scoring::{arrivals::Arrivals, engine::EngineLoader, gate::Gate},
    settings::Settings,
    telemetry::{
        exporter,
        metrics::Metrics,
        traces::{Traces, TracesError},
    },
    transport::{
        access::{Access, tokens::TokensError},
        connections::{Connections, Door},
        credential_watch,
        tls::{Tls, TlsError, TlsFiles},
    },
};

/// Services that health speaks of, besides "" (all) and one a model.
const SERVICES: [&str; 4] = [
    "inference.GRPCInferenceService",
    "candlewire.v1.ScoringService",
    "candlewire.v1.BarService",
    "candlewire.v1.SignalService",
];

/// Connections that may wait to be accepted, as far as the system allows (`net.core.somaxconn`).
const BACKLOG: i32 = 4_096;

/// How long health answers after the stop began.
const HEALTH_LINGER: Duration = Duration::from_millis(300);

/// Why the data plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port could not be taken.
    #[error("{port} address {address}: {reason}; choose another port or stop what uses it")]
    Bind {
        /// "data" or "metrics".
        port: &'static str,
        /// Address asked for.
        address: SocketAddr,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The store holds nothing that can serve.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The system gave no threads.
    #[error("the runtime did not start: {0}")]
    Runtime(std::io::Error),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The certificates or keys cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The file of tokens cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// Traces cannot be sent.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The descriptors of the contract are broken.
    #[error("reflection: {0}")]
    Reflection(String),
}

/// A data plane that serves.
pub struct DataPlane {
    registry: Arc<Registry>,
    pipeline: Arc<Pipeline>,
    records: Records,
    health: HealthReporter,
    access: Arc<Access>,
    traces: Option<Arc<Traces>>,
    data_address: SocketAddr,
    metrics_address: SocketAddr,
    draining: CancellationToken,
    stopped: CancellationToken,
    tracker: TaskTracker,
    drain_timeout: Duration,
    runtime: Mutex<Option<Runtime>>,
}

impl DataPlane {
    /// Takes the ports, loads the store's models, and serves.
    ///
    /// # Errors
    /// A port is taken, or no model can serve. Nothing is left running then.
    pub fn start(settings: &Settings, engines: Arc<dyn EngineLoader>) -> Result<Self, StartError> {
        let data = bind("data", settings.listen)?;
        let metrics_listener = bind("metrics", settings.metrics_listen)?;
        let address = |listener: &StdListener| listener.local_addr().map_err(StartError::Runtime);
        let (data_address, metrics_address) = (address(&data)?, address(&metrics_listener)?);
        let access = Arc::new(Access::new(settings)?);
        let tls = TlsFiles::of(settings)
            .map(Tls::new)
            .transpose()?
            .map(Arc::new);
        let metrics = Arc::new(Metrics::new());
        let arrivals = Arc::new(Arrivals::default());
        let workshop = Workshop {
            engines,
            arrivals: Arc::clone(&arrivals),
            metrics: Arc::clone(&metrics),
            settings: settings.clone(),
        };
        let seen = store_watch::look(&settings.store);
        let registry = Arc::new(Registry::open(&settings.store, workshop)?);
        let pipeline = Arc::new(Pipeline::new(
            Arc::clone(&registry),
            settings.clone(),
            metrics.server(),
        ));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(settings.worker_threads())
            .thread_name("candlewire")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let (draining, stopped, tracker) = (
            CancellationToken::new(),
            CancellationToken::new(),
            TaskTracker::new(),
        );
        let (health, health_service) = tonic_health::server::health_reporter();
        let records = Records::open(&runtime, &pipeline, &health, settings.journal(), &metrics)?;
        let gate = gate(settings, &metrics);
        let foundations = Foundations {
            settings,
            registry: &registry,
            pipeline: &pipeline,
            metrics: &metrics,
            draining: &draining,
            health: &health,
            runtime: runtime.handle(),
            gate: Arc::clone(&gate),
            shadows: records.shadows.clone(),
            score_log: records.score_log.clone(),
        };
        let on_change = foundations.on_change();
        let services = foundations
            .services(&health_service)
            .map_err(|error| StartError::Reflection(error.to_string()))?;
        let traces = {
            let _runtime = runtime.enter();
            Traces::new(settings)?.map(Arc::new)
        };
        let watched = (Arc::clone(&access), tls.clone());
        let door = Door {
            access: Arc::clone(&access),
            tls,
            traces: traces.clone(),
        };
        let (cut, tracked) = (draining.clone(), tracker.clone());
        let connections =
            Connections::new(settings, door, (arrivals, gate), &metrics, cut, tracked);
        {
            let _runtime = runtime.enter();
            let data = TcpListener::from_std(data).map_err(StartError::Runtime)?;
            let scrapes = TcpListener::from_std(metrics_listener).map_err(StartError::Runtime)?;
            let (access, tls) = watched;
            tokio::spawn(credential_watch::watch(access, tls, stopped.clone()));
            tokio::spawn(connections.accept(data, services));
            tokio::spawn(exporter::serve(scrapes, metrics, stopped.clone()));
        }
        if let Some(interval) = settings.store_watch() {
            let registry = Arc::clone(&registry);
            let watch = store_watch::watch(registry, seen, interval, stopped.clone(), on_change);
            runtime.spawn(watch);
        }
        let plane = Self {
            registry,
            pipeline,
            records,
            health,
            access,
            traces,
            data_address,
            metrics_address,
            draining,
            stopped,
            tracker,
            drain_timeout: settings.drain_timeout(),
            runtime: Mutex::new(Some(runtime)),
        };
        plane.report_health(ServingStatus::Serving);
        give_back();
        Ok(plane)
    }

    /// The models.
    #[must_use]
    pub const fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The bar path.
    #[must_use]
    pub const fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// Who may call what, on this port and on the admin port.
    #[must_use]
    pub const fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Address of the data port.
    #[must_use]
    pub const fn data_address(&self) -> SocketAddr {
        self.data_address
    }

    /// Address of the metrics port.
    #[must_use]
    pub const fn metrics_address(&self) -> SocketAddr {
        self.metrics_address
    }

    /// Tells health which models serve, after the deployment changed.
    pub fn refresh_health(&self) {
        self.report_health(ServingStatus::Serving);
    }

    /// Stops accepting, answers what was accepted, ends the streams, then stops. Returns whether all of it ended within
    /// the drain timeout. A second call does nothing.
    pub fn stop(&self) -> bool {
        let Some(runtime) = self.runtime.lock().take() else {
            return true;
        };
        runtime.block_on(report(
            &self.health,
            &self.registry,
            ServingStatus::NotServing,
        ));
        self.pipeline.drain();
        self.draining.cancel();
        self.pipeline.hub().close();
        self.tracker.close();
        runtime.spawn(end_health_watches(
            self.health.clone(),
            Arc::clone(&self.registry),
        ));
        let drained = runtime.block_on(async {
            tokio::time::timeout(self.drain_timeout, self.tracker.wait())
                .await
                .is_ok()
        });
        self.records.close(&runtime, &self.pipeline);
        self.stopped.cancel();
        if let Some(traces) = &self.traces {
            traces.close(Duration::from_secs(1));
        }
        runtime.shutdown_timeout(Duration::from_secs(1));
        drained
    }

    fn report_health(&self, status: ServingStatus) {
        if let Some(runtime) = self.runtime.lock().as_ref() {
            runtime.block_on(report(&self.health, &self.registry, status));
        }
    }
}

fn gate(settings: &Settings, metrics: &Metrics) -> Arc<Gate> {
    let (refused, limit) = metrics.gate();
    let threads = settings.worker_threads();
    Gate::new(threads, settings.queue_rows, refused, limit)
}

/// Ends the streams of those who watch the health, once they could read that nothing serves: they would hold their
/// connections, and the drain, for ever.
async fn end_health_watches(mut health: HealthReporter, registry: Arc<Registry>) {
    tokio::time::sleep(HEALTH_LINGER).await;
    for service in reported(&registry) {
        health.clear_service_status(&service).await;
    }
    health.clear_service_status(JOURNAL).await;
}

/// Tells health that what is deployed serves.
pub(crate) async fn report_serving(health: &HealthReporter, registry: &Registry) {
    report(health, registry, ServingStatus::Serving).await;
}

async fn report(health: &HealthReporter, registry: &Registry, status: ServingStatus) {
    for service in reported(registry) {
        health.set_service_status(service, status).await;
    }
}

/// What health speaks of.
fn reported(registry: &Registry) -> Vec<String> {
    let models: Vec<String> = registry
        .deployment()
        .production()
        .map(|(model, _)| model.to_owned())
        .collect();
    [""].into_iter()
        .chain(SERVICES)
        .map(ToOwned::to_owned)
        .chain(models)
        .collect()
}

fn bind(port: &'static str, address: SocketAddr) -> Result<StdListener, StartError> {
    listen(address).map_err(|reason| StartError::Bind {
        port,
        address,
        reason,
    })
}

/// The standard library lets 128 connections wait: of a fleet of bots that connects at once the rest would be left to the
/// system's retries, a second and more each.
fn listen(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
