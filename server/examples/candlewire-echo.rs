//! Serves `ScoringService` without a model, on the same transport as the server: the limit for benchmarks.
//!
//! `candlewire-echo [ADDRESS]` prints the address it listens on and serves until it is killed.

use std::{env, error::Error, net::SocketAddr, sync::Arc};

use candlewire_server::{
    scoring::{arrivals::Arrivals, gate::Gate},
    settings::Settings,
    telemetry::metrics::Metrics,
    transport::{
        connections::{Connections, Door},
        dispatch::{Compressible, Dispatch, ScoringCalls},
        echo::Echo,
        proto::scoring_service_server::ScoringServiceServer,
    },
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;

fn twice<S: Clone>(service: S) -> Compressible<S> {
    Compressible {
        plain: service.clone(),
        compressed: service,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = env::args()
        .nth(1)
        .as_deref()
        .unwrap_or("127.0.0.1:0")
        .parse()?;
    let settings = Settings::default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.worker_threads())
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("{}", listener.local_addr()?);
        let arrivals = Arc::new(Arrivals::default());
        let scoring = ScoringCalls::new(Echo::default(), settings.max_message_bytes, &[]);
        let echo = ScoringServiceServer::new(Echo::default());
        let metrics = Arc::new(Metrics::new());
        let (refused, admission_limit) = metrics.gate();
        // The echo takes part in everything that the transport does, but refuses nothing.
        let gate = Gate::new(1, usize::MAX, refused, admission_limit);
        let dispatch = Dispatch::new(
            scoring,
            twice(echo.clone()),
            twice(Routes::new(echo)),
            Arc::clone(&gate),
        );
        let connections = Connections::new(
            &settings,
            Door::open(),
            (arrivals, gate),
            &metrics,
            CancellationToken::new(),
            TaskTracker::new(),
        );
        connections.accept(listener, dispatch).await;
        Ok(())
    })
}
