"""Everything the server can be told, section by section; the docstring under a field is its documentation."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Port = Annotated[int, Field(ge=0, le=65_535)]
# What the data plane can hold: the first fits into a file of TOML too, the second into 32 bits.
MOST, MOST_SMALL = 2**63 - 1, 2**32 - 1
# A hundred years, which counted in nanoseconds still fit into 64 bits.
LONGEST_MS = 36_525 * 86_400_000
# Far more than any machine has cores; a million would take the machine down.
MOST_THREADS = 1_024
Count = Annotated[int, Field(ge=1, le=MOST)]
CountOrZero = Annotated[int, Field(ge=0, le=MOST)]
SmallCount = Annotated[int, Field(ge=1, le=MOST_SMALL)]
SmallCountOrZero = Annotated[int, Field(ge=0, le=MOST_SMALL)]
Threads = Annotated[int, Field(ge=0, le=MOST_THREADS)]
Milliseconds = Annotated[int, Field(ge=1, le=LONGEST_MS)]
MillisecondsOrZero = Annotated[int, Field(ge=0, le=LONGEST_MS)]
# Longer is a processor that never sleeps; what a window of a second cannot catch is no conversation.
BusyPoll = Annotated[int, Field(ge=0, le=1_000_000)]
TreeKernel = Literal["auto", "off", "portable", "avx2", "avx512"]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Server(_Section):
    """Where it serves and what."""

    store: Path = Path("store")
    """Folder of model bundles."""
    host: str = "127.0.0.1"
    """Address of the data port."""
    port: Port = 50_051
    """Data port: scoring, bars, signals, Open Inference Protocol, health, reflection; 0 picks one."""
    admin_host: str = "127.0.0.1"
    """Address of the admin port."""
    admin_port: Port = 50_052
    """Admin port: models, outcomes, health; 0 picks one."""
    metrics_host: str = "127.0.0.1"
    """Address of the metrics port, which is never encrypted."""
    metrics_port: Port = 9_090
    """Metrics port: Prometheus scrapes ``/metrics``; 0 picks one."""
    ready_file: Path | None = None
    """Written once all ports are served: JSON with ``data``, ``admin``, ``metrics``, each ``host:port``."""
    insecure_any_host: bool = False
    """Serve without encryption on addresses that other machines reach."""
    worker_threads: Threads = 0
    """Threads that serve the network and run models; zero means one a core."""
    busy_poll_us: BusyPoll = 0
    """How long a thread looks at its sockets on, not asleep, after a lone caller was served; zero: not."""
    store_watch_ms: MillisecondsOrZero = 1_000
    """Time between looks at the store for new versions and deployments; zero looks only when asked."""
    drain_timeout_ms: MillisecondsOrZero = 10_000
    """Longest wait for running requests when the server stops."""
    repository_control: bool = False
    """Let callers of the data port load and unload models; with tokens the role ``admin`` is enough."""


class Tls(_Section):
    """Encryption of the data and admin ports; the files are read again when they change."""

    certificate: Path | None = None
    """PEM file of the server's certificate chain."""
    key: Path | None = None
    """PEM file of the server's private key."""
    client_ca: Path | None = None
    """PEM file of the authorities that clients' certificates must come from (mutual TLS)."""
    handshake_timeout_ms: Milliseconds = 5_000
    """Longest wait for the handshake and the first bytes of HTTP/2."""


class Auth(_Section):
    """Who may call what."""

    tokens: Path | None = None
    """TOML file of tokens (``candlewire tokens``), read again when it changes; without one all may call."""
    open_health: bool = True
    """Answer health and readiness without a token."""
    open_reflection: bool = False
    """Answer reflection without a token."""


class Engine(_Section):
    """What runs the models."""

    executors: Threads = 0
    """Engines a model, so runs at the same time; zero means one a core."""
    tree_kernel: TreeKernel = "auto"
    """``auto`` runs tree ensembles, and the arithmetic behind them, on the tree kernel where it gives the
    bits of ONNX Runtime and is faster, ``off`` all on ONNX Runtime's own operators; the others force the
    kernel, with no faster instructions."""


class Batcher(_Section):
    """How rows run together."""

    max_batch_rows: Count = 256
    """Most rows that run together."""
    queue_rows: Count = 8_192
    """Most rows that wait for one model before requests are refused."""


class Limits(_Section):
    """What a client may ask for."""

    max_request_rows: Count = 65_536
    """Most rows in one request."""
    max_message_bytes: Count = 16 * 2**20
    """Most bytes in one message, decompressed."""
    max_window_bars: Count = 10_000
    """Most bars in one window to score."""
    max_connections: Count = 16_384
    """Most connections at the same time."""
    max_streams_per_connection: SmallCount = 128
    """Most requests in flight on one connection."""
    max_streams_per_client: SmallCountOrZero = 0
    """Most requests in flight of one client over all its connections; zero is no limit."""
    requests_per_second: SmallCountOrZero = 0
    """Requests that one client may send a second; zero is no limit. A stream is one request."""
    request_burst: SmallCountOrZero = 0
    """Requests that one client may send at once; zero means those of one second."""
    body_timeout_ms: Milliseconds = 10_000
    """Longest pause within the message of a unary request; after it, less than 1 kB a second ends it too."""
    keepalive_ms: Milliseconds = 30_000
    """Silence after which a client is pinged."""
    keepalive_timeout_ms: Milliseconds = 20_000
    """Longest wait for the answer to a ping; ends half-sent headers and lost clients."""
    max_control_frames_per_second: SmallCount = 1_000
    """PING, SETTINGS and PRIORITY frames a second after which a connection is told to go away."""


class Bars(_Section):
    """The bar path."""

    late_window_bars: CountOrZero = 8
    """Bars that may arrive out of order and still be applied in their place."""
    max_series: Count = 20_000
    """Most series (symbol and timeframe) held."""
    future_tolerance_ms: MillisecondsOrZero = 60_000
    """How far in the future a bar may open."""
    accept_unknown_symbols: bool = False
    """Accept bars of symbols that no model was trained on."""
    hub_ring_signals: Count = 16_384
    """Signals kept for subscribers that resume or lag."""
    outcomes_kept: Count = 10_000
    """Realised outcomes kept for ``ListOutcomes``."""


class Journal(_Section):
    """Bars and decisions on disk."""

    folder: Path | None = None
    """Folder of the journal of bars and decisions; none without one."""
    fsync: Literal["never", "interval", "always"] = "interval"
    """When a bar counts as journaled: once queued, or once it is on the disk (``always``)."""
    fsync_interval_ms: Milliseconds = 100
    """Longest time without a wait for the disk under ``interval``."""
    segment_bytes: Count = 64 * 2**20
    """Bytes after which a segment of the journal is closed."""
    decision_segments: CountOrZero = 0
    """Closed segments of decisions kept; zero keeps all."""
    bar_segments: CountOrZero = 0
    """Segments of bars kept beside those that a restart needs; zero keeps all."""
    keep_days: CountOrZero = 0
    """Days after which a closed segment goes unless a restart needs it; zero keeps them for ever."""
    snapshot_interval_ms: MillisecondsOrZero = 300_000
    """Time between snapshots of the state, from which a restart goes on; zero takes none."""


class Telemetry(_Section):
    """Logs and traces."""

    log_level: Literal["error", "warn", "info", "debug"] = "info"
    """Least level that is logged."""
    log_format: Literal["pretty", "json"] = "pretty"
    """How log lines look."""
    otlp_endpoint: str | None = None
    """Where traces go, OTLP over gRPC, for example ``http://127.0.0.1:4317``; none without one."""
    otlp_headers: SecretStr | None = None
    """Metadata for the collector: ``name=value,name=value``."""
    trace_share: Share = 1.0
    """Share of requests traced when their caller did not decide, 0 to 1."""


class ServerSettings(BaseModel):
    """Everything the server can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    server: Server = Server()
    tls: Tls = Tls()
    auth: Auth = Auth()
    engine: Engine = Engine()
    batcher: Batcher = Batcher()
    limits: Limits = Limits()
    bars: Bars = Bars()
    journal: Journal = Journal()
    telemetry: Telemetry = Telemetry()

    @model_validator(mode="after")
    def _encryption_is_whole(self) -> Self:
        if (self.tls.certificate is None) != (self.tls.key is None):
            raise ValueError("tls.certificate and tls.key belong together; set both or none")
        if self.tls.client_ca is not None and self.tls.certificate is None:
            raise ValueError("tls.client_ca needs tls.certificate and tls.key: set them too")
        return self

    @model_validator(mode="after")
    def _only_loopback_without_encryption(self) -> Self:
        encrypted = self.tls.certificate is not None
        for field, host, open_to_all in (
            ("server.host", self.server.host, encrypted),
            ("server.admin_host", self.server.admin_host, encrypted),
            ("server.metrics_host", self.server.metrics_host, False),
        ):
            try:
                address = ipaddress.ip_address(host)
            except ValueError:
                raise ValueError(f"{field}: {host!r} is no IP address; use for example 127.0.0.1") from None
            if not (address.is_loopback or open_to_all or self.server.insecure_any_host):
                raise ValueError(
                    f"{field}: {host} is reachable from other machines and the port is not encrypted; "
                    "stay on 127.0.0.1, set tls.certificate and tls.key, or say --insecure-any-host"
                )
        return self
