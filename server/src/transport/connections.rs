//! Accepts connections and serves HTTP/2 on each, until told to drain.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::body::Body;

use super::dispatch::AnnouncingExecutor;
use crate::{scoring::arrivals::Arrivals, settings::Settings, telemetry::metrics::ServerMetrics};

/// What one stream may have in flight before the server reads it.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// What one connection may have in flight before the server reads it.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// What one stream may have ready that the peer has not taken: a slow reader costs no more.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// Largest header block.
const HEADER_BYTES: u32 = 16 << 10;
/// How long a peer may take to answer a keepalive ping.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause after the system refused a connection, so that a lack of file handles does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// Accepts on one listener.
pub struct Connections {
    builder: http2::Builder<AnnouncingExecutor>,
    open: Arc<AtomicUsize>,
    most: usize,
    metrics: ServerMetrics,
    draining: CancellationToken,
    tracker: TaskTracker,
}

impl Connections {
    /// Bounds from `settings`; `draining` stops accepting and lets the open connections end.
    #[must_use]
    pub fn new(
        settings: &Settings,
        arrivals: Arc<Arrivals>,
        metrics: ServerMetrics,
        draining: CancellationToken,
        tracker: TaskTracker,
    ) -> Self {
        let mut builder = http2::Builder::new(AnnouncingExecutor::new(arrivals));
        builder
            .timer(TokioTimer::new())
            .auto_date_header(false)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_concurrent_streams(settings.max_streams_per_connection)
            .max_header_list_size(HEADER_BYTES)
            .keep_alive_interval(settings.keepalive())
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        Self {
            builder,
            open: Arc::new(AtomicUsize::new(0)),
            most: settings.max_connections,
            metrics,
            draining,
            tracker,
        }
    }

    /// Serves `service` on every connection until draining begins.
    pub async fn accept<S>(self, listener: TcpListener, service: S)
    where
        S: hyper::service::Service<
                Request<Incoming>,
                Response = Response<Body>,
                Error = Infallible,
            > + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
    {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.draining.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) if self.open.load(Ordering::Relaxed) < self.most => {
                    self.serve(stream, service.clone());
                }
                Ok((_, peer)) => {
                    tracing::warn!(%peer, limit = self.most, "connection refused: too many are open");
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve<S>(&self, stream: TcpStream, service: S)
    where
        S: hyper::service::Service<
                Request<Incoming>,
                Response = Response<Body>,
                Error = Infallible,
            > + Send
            + 'static,
        S::Future: Send + 'static,
    {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection ended before it began");
            return;
        }
        let open = Open::new(&self.open, &self.metrics);
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let draining = self.draining.clone();
        self.tracker.spawn(async move {
            let _open = open;
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = draining.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "connection ended");
            }
        });
    }
}

/// Counts a connection while it is open.
struct Open {
    count: Arc<AtomicUsize>,
    metrics: ServerMetrics,
}

impl Open {
    fn new(count: &Arc<AtomicUsize>, metrics: &ServerMetrics) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        metrics.connections.increment(1.0);
        Self {
            count: Arc::clone(count),
            metrics: metrics.clone(),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.metrics.connections.decrement(1.0);
    }
}
