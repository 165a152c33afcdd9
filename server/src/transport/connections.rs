//! Accepts connections, makes their handshakes, and serves HTTP/2 on each, until told to drain.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use http::{Request, Response};
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::body::Body;

use super::{
    access::Access,
    busy_poll::BusyPoll,
    frame_watch::Watched,
    guard::{Answer, GuardRules, Guarded},
    request_body::RequestBody,
    tls::Tls,
    together::TogetherExecutor,
};
use crate::{
    scoring::{arrivals::Arrivals, gate::Gate},
    settings::Settings,
    telemetry::{
        metrics::{Metrics, ServerMetrics},
        traces::Traces,
    },
};

/// What one stream may have in flight before the server reads it.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// What one connection may have in flight before the server reads it.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// What one stream may have ready that the peer has not taken: a slow reader costs no more.
const SEND_BUFFER_BYTES: usize = 64 << 10;
/// Largest header block.
const HEADER_BYTES: u32 = 16 << 10;
/// Pause after the system refused a connection, so that a lack of file handles does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// Requests in hand that are worth a rest before a connection writes: fewer are read together, and answered together.
const CROWD: usize = 32;
/// How long a peer that was told to go away may take to read it.
const FAREWELL: Duration = Duration::from_millis(500);

/// What the connections of one listener share.
pub struct Door {
    /// Who may call what.
    pub access: Arc<Access>,
    /// Handshakes; without them nothing is encrypted.
    pub tls: Option<Arc<Tls>>,
    /// Where traces go, when they are on.
    pub traces: Option<Arc<Traces>>,
}

impl Door {
    /// Lets all in, unencrypted.
    #[must_use]
    pub fn open() -> Self {
        Self {
            access: Arc::new(Access::open()),
            tls: None,
            traces: None,
        }
    }
}

/// Accepts on one listener.
pub struct Connections {
    shared: Arc<Shared>,
    most: usize,
    tracker: TaskTracker,
}

/// What every connection's task needs.
struct Shared {
    builder: http2::Builder<TogetherExecutor>,
    door: Door,
    rules: GuardRules,
    open: Arc<AtomicUsize>,
    metrics: ServerMetrics,
    draining: CancellationToken,
    gate: Arc<Gate>,
    busy_poll: Option<Arc<BusyPoll>>,
    handshake_timeout: Duration,
    most_control_frames_per_second: u32,
}

impl Connections {
    /// Bounds from `settings`; `arrivals` and `gate` know what is on its way; `draining` stops accepting and lets the open
    /// connections end.
    #[must_use]
    pub fn new(
        settings: &Settings,
        door: Door,
        (arrivals, gate): (Arc<Arrivals>, Arc<Gate>),
        metrics: &Arc<Metrics>,
        draining: CancellationToken,
        tracker: TaskTracker,
    ) -> Self {
        let mut builder = http2::Builder::new(TogetherExecutor::new(arrivals));
        builder
            .timer(TokioTimer::new())
            .auto_date_header(false)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_concurrent_streams(settings.max_streams_per_connection)
            .max_header_list_size(HEADER_BYTES)
            .keep_alive_interval(settings.keepalive())
            .keep_alive_timeout(Duration::from_millis(settings.keepalive_timeout_ms));
        let rules = GuardRules {
            body_timeout: Duration::from_millis(settings.body_timeout_ms),
            metrics: Arc::clone(metrics),
            traces: door.traces.clone(),
        };
        let shared = Shared {
            builder,
            door,
            rules,
            open: Arc::new(AtomicUsize::new(0)),
            metrics: metrics.server(),
            draining,
            gate,
            busy_poll: BusyPoll::new(Duration::from_micros(settings.busy_poll_us)),
            handshake_timeout: Duration::from_millis(settings.tls_handshake_timeout_ms),
            most_control_frames_per_second: settings.max_control_frames_per_second,
        };
        Self {
            shared: Arc::new(shared),
            most: settings.max_connections,
            tracker,
        }
    }

    /// Serves `services` on every connection until draining begins.
    pub async fn accept<S>(self, listener: TcpListener, services: S)
    where
        S: hyper::service::Service<
                Request<RequestBody>,
                Response = Response<Body>,
                Error = Infallible,
                Future = Answer,
            > + Clone
            + Send
            + 'static,
    {
        let shared = &self.shared;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shared.draining.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) if shared.open.load(Ordering::Relaxed) < self.most => {
                    let open = Open::new(&shared.open, &shared.metrics);
                    let (shared, services) = (Arc::clone(shared), services.clone());
                    self.tracker.spawn(async move {
                        let _open = open;
                        shared.converse(stream, peer, services).await;
                    });
                }
                Ok((_, peer)) => {
                    tracing::warn!(%peer, limit = self.most, "connection refused: too many are open");
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Shared {
    async fn converse<S>(&self, stream: TcpStream, peer: SocketAddr, services: S)
    where
        S: hyper::service::Service<
                Request<RequestBody>,
                Response = Response<Body>,
                Error = Infallible,
                Future = Answer,
            > + Send
            + 'static,
    {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "the connection ended before it began");
            return;
        }
        let Some(tls) = &self.door.tls else {
            let entrance = self.door.access.enter(peer.ip(), None);
            let guarded = Guarded::new(services, entrance, self.rules.clone());
            return self.serve(stream, guarded).await;
        };
        let handshake = timeout(self.handshake_timeout, tls.acceptor().accept(stream));
        let encrypted = tokio::select! {
            encrypted = handshake => encrypted,
            () = self.draining.cancelled() => return,
        };
        match encrypted {
            Ok(Ok(encrypted)) => {
                let shown = encrypted.get_ref().1.peer_certificates();
                let certificate = shown.and_then(|chain| chain.first());
                let entrance = self
                    .door
                    .access
                    .enter(peer.ip(), certificate.map(AsRef::as_ref));
                let guarded = Guarded::new(services, entrance, self.rules.clone());
                self.serve(encrypted, guarded).await;
            }
            Ok(Err(error)) => tracing::debug!(%peer, %error, "no handshake"),
            Err(_) => tracing::debug!(%peer, "the handshake took too long"),
        }
    }

    async fn serve<S>(&self, io: impl AsyncRead + AsyncWrite + Unpin + Send, guarded: Guarded<S>)
    where
        S: hyper::service::Service<
                Request<RequestBody>,
                Response = Response<Body>,
                Error = Infallible,
                Future = Answer,
            > + Send
            + 'static,
    {
        let (io, sightings) = Watched::new(io, self.most_control_frames_per_second);
        let connection = self.builder.serve_connection(TokioIo::new(io), guarded);
        tokio::pin!(connection);
        let mut beginning = std::pin::pin!(sleep(self.handshake_timeout));
        let watched =
            (self.busy_poll.as_ref()).map(|busy_poll| (busy_poll, busy_poll.connection()));
        let mut began = false;
        let mut rested = false;
        loop {
            let step = tokio::select! {
                step = poll_fn(|context| {
                    // Who is answered together is told together, by one write: in a crowd what else is ready to run goes
                    // first, and often has something to say on this connection.
                    rested = !rested && self.gate.in_flight() > CROWD;
                    if rested {
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    if let Some((busy_poll, number)) = &watched {
                        busy_poll.saw(*number);
                    }
                    match connection.as_mut().poll(context) {
                        Poll::Ready(ended) => Poll::Ready(Step::Ended(ended)),
                        Poll::Pending if sightings.flooded() => Poll::Ready(Step::Flooded),
                        Poll::Pending => Poll::Pending,
                    }
                }) => step,
                () = self.draining.cancelled() => Step::Drain,
                () = beginning.as_mut(), if !began => Step::Late,
            };
            match step {
                Step::Late if sightings.began() => began = true,
                Step::Late => {
                    tracing::debug!("HTTP/2 did not begin in time");
                    return;
                }
                Step::Flooded => {
                    tracing::warn!(
                        limit = self.most_control_frames_per_second,
                        "a connection sent more control frames a second than it may; it is told to go away"
                    );
                    connection.as_mut().graceful_shutdown();
                    // It reads no answer any more if it does not want to.
                    let _ = timeout(FAREWELL, connection).await;
                    return;
                }
                Step::Drain => {
                    connection.as_mut().graceful_shutdown();
                    if sightings.began() {
                        log_end(connection.await);
                    }
                    return;
                }
                Step::Ended(ended) => return log_end(ended),
            }
        }
    }
}

/// What happened to a connection.
enum Step {
    Ended(hyper::Result<()>),
    /// The peer sent too many control frames.
    Flooded,
    /// The server stops.
    Drain,
    /// The time to begin is over.
    Late,
}

fn log_end(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
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
