//! Settings of the data plane, as the control plane hands them over in JSON.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::{
    journal::writer::{Fsync, JournalSettings},
    scoring::onnx::TreeKernel,
};

const DAY: Duration = Duration::from_hours(24);

/// Everything the data plane can be told. Unknown keys are refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own, named in the file"
)]
pub struct Settings {
    /// Folder of model bundles.
    pub store: PathBuf,
    /// Address of the data port; port 0 picks one.
    pub listen: SocketAddr,
    /// Address of the metrics port; port 0 picks one.
    pub metrics_listen: SocketAddr,
    /// Threads that serve the network and run models; zero means one a core.
    pub worker_threads: usize,
    /// How long a thread keeps looking at its sockets after a lone caller was served; zero lets it sleep at once.
    pub busy_poll_us: u64,
    /// Engines a model has, so runs at the same time; zero means one a core.
    pub executors: usize,
    /// How tree ensembles are evaluated.
    pub tree_kernel: TreeKernel,
    /// Most rows that run together.
    pub max_batch_rows: usize,
    /// Most rows that wait for one model before requests are refused.
    pub queue_rows: usize,
    /// Most rows in one `ScoreBatch`.
    pub max_request_rows: usize,
    /// Most bytes in one message.
    pub max_message_bytes: usize,
    /// Most bars in one window to score.
    pub max_window_bars: usize,
    /// Most connections at the same time.
    pub max_connections: usize,
    /// Most requests in flight on one connection.
    pub max_streams_per_connection: u32,
    /// Most requests in flight of one client over all its connections; zero is no limit.
    pub max_streams_per_client: u32,
    /// Requests that one client may send a second; zero is no limit.
    pub requests_per_second: u32,
    /// Requests that one client may send at once; zero means those of one second.
    pub request_burst: u32,
    /// Longest pause within the message of a unary request.
    pub body_timeout_ms: u64,
    /// Silence after which a client is pinged.
    pub keepalive_ms: u64,
    /// Longest wait for the answer to a ping.
    pub keepalive_timeout_ms: u64,
    /// PING, SETTINGS and PRIORITY frames a second after which a connection is told to go away.
    pub max_control_frames_per_second: u32,
    /// PEM file of the server's certificate chain; without one nothing is encrypted.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of the server's private key.
    pub tls_key: Option<PathBuf>,
    /// PEM file of the authorities that clients' certificates must come from.
    pub tls_client_ca: Option<PathBuf>,
    /// Longest wait for the handshake and the first bytes of HTTP/2.
    pub tls_handshake_timeout_ms: u64,
    /// TOML file of tokens; without one all may call.
    pub tokens: Option<PathBuf>,
    /// Answer health and readiness without a token.
    pub open_health: bool,
    /// Answer reflection without a token.
    pub open_reflection: bool,
    /// Where traces go, OTLP over gRPC; none without one.
    pub otlp_endpoint: Option<String>,
    /// Metadata for the collector: `name=value,name=value`. Never logged.
    pub otlp_headers: Option<Secret>,
    /// Share of requests traced when their caller did not decide.
    pub trace_share: f64,
    /// Longest wait for running requests when the server stops.
    pub drain_timeout_ms: u64,
    /// Time between looks at the store; zero looks only when asked.
    pub store_watch_ms: u64,
    /// Bars that may arrive out of order and still be applied in their place.
    pub late_window_bars: usize,
    /// Most series (symbol and timeframe) held.
    pub max_series: usize,
    /// How far in the future a bar may open.
    pub future_tolerance_ms: u64,
    /// Accept bars of symbols that no model was trained on.
    pub accept_unknown_symbols: bool,
    /// Let callers of the data port load and unload models.
    pub repository_control: bool,
    /// Folder of the journal of bars and decisions; none without one.
    pub journal: Option<PathBuf>,
    /// When a bar counts as journaled.
    pub journal_fsync: Fsync,
    /// Longest time without a wait for the disk under `interval`.
    pub journal_fsync_interval_ms: u64,
    /// Bytes after which a segment of the journal is closed.
    pub journal_segment_bytes: u64,
    /// Closed segments of decisions kept; zero keeps all.
    pub journal_decision_segments: usize,
    /// Segments of bars kept beside those that a restart needs; zero keeps all.
    pub journal_bar_segments: usize,
    /// Days that closed segments are kept at most; zero keeps them for ever.
    pub journal_keep_days: u64,
    /// Time between snapshots of the state, from which a restart goes on; zero takes none.
    pub journal_snapshot_interval_ms: u64,
    /// Signals kept for subscribers that resume or lag.
    pub hub_ring_signals: usize,
    /// Realised outcomes kept for `ListOutcomes`.
    pub outcomes_kept: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            store: PathBuf::from("store"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            metrics_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            worker_threads: 0,
            busy_poll_us: 0,
            executors: 0,
            tree_kernel: TreeKernel::Auto,
            max_batch_rows: 256,
            queue_rows: 8_192,
            max_request_rows: 65_536,
            max_message_bytes: 16 << 20,
            max_window_bars: 10_000,
            max_connections: 16_384,
            max_streams_per_connection: 128,
            max_streams_per_client: 0,
            requests_per_second: 0,
            request_burst: 0,
            body_timeout_ms: 10_000,
            keepalive_ms: 30_000,
            keepalive_timeout_ms: 20_000,
            max_control_frames_per_second: 1_000,
            tls_certificate: None,
            tls_key: None,
            tls_client_ca: None,
            tls_handshake_timeout_ms: 5_000,
            tokens: None,
            open_health: true,
            open_reflection: false,
            otlp_endpoint: None,
            otlp_headers: None,
            trace_share: 1.0,
            drain_timeout_ms: 10_000,
            store_watch_ms: 1_000,
            late_window_bars: 8,
            max_series: 20_000,
            future_tolerance_ms: 60_000,
            accept_unknown_symbols: false,
            repository_control: false,
            journal: None,
            journal_fsync: Fsync::Interval,
            journal_fsync_interval_ms: 100,
            journal_segment_bytes: 64 << 20,
            journal_decision_segments: 0,
            journal_bar_segments: 0,
            journal_keep_days: 0,
            journal_snapshot_interval_ms: 300_000,
            hub_ring_signals: 16_384,
            outcomes_kept: 10_000,
        }
    }
}

impl Settings {
    /// Threads of the runtime.
    #[must_use]
    pub fn worker_threads(&self) -> usize {
        cores_if_zero(self.worker_threads)
    }

    /// Engines a model.
    #[must_use]
    pub fn executors(&self) -> usize {
        cores_if_zero(self.executors)
    }

    /// Keepalive interval.
    #[must_use]
    pub fn keepalive(&self) -> Duration {
        Duration::from_millis(self.keepalive_ms.max(1))
    }

    /// Where and how to write the journal.
    #[must_use]
    pub fn journal(&self) -> Option<JournalSettings> {
        Some(JournalSettings {
            folder: self.journal.clone()?,
            fsync: self.journal_fsync,
            fsync_interval: Duration::from_millis(self.journal_fsync_interval_ms),
            segment_bytes: self.journal_segment_bytes,
            decision_segments: self.journal_decision_segments,
            bar_segments: self.journal_bar_segments,
            keep: (self.journal_keep_days > 0).then(|| {
                DAY.saturating_mul(u32::try_from(self.journal_keep_days).unwrap_or(u32::MAX))
            }),
            snapshot_interval: Duration::from_millis(self.journal_snapshot_interval_ms),
        })
    }

    /// Time between looks at the store, if it is looked at.
    #[must_use]
    pub fn store_watch(&self) -> Option<Duration> {
        (self.store_watch_ms > 0).then(|| Duration::from_millis(self.store_watch_ms))
    }

    /// Longest drain.
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_millis(self.drain_timeout_ms)
    }
}

/// A text that is never shown.
#[derive(Clone, Deserialize)]
pub struct Secret(String);

impl Secret {
    /// The text, for the one who sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("********")
    }
}

fn cores_if_zero(count: usize) -> usize {
    if count > 0 {
        return count;
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}
