"""Settings of the server: defaults, environment (``CANDLEWIRE_SERVER_…``), then command-line flags."""

import ipaddress
import json
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Port = Annotated[int, Field(ge=0, le=65_535)]
Count = Annotated[int, Field(ge=1)]


class ServerSettings(BaseSettings):
    """What the server can be told. Ports of zero let the system choose."""

    model_config = SettingsConfigDict(env_prefix="CANDLEWIRE_SERVER_", extra="forbid", frozen=True)

    store: Path = Path("store")
    """Folder of model bundles."""
    host: str = "127.0.0.1"
    """Address of the data and metrics ports."""
    port: Port = 50_051
    """Data port: scoring, bars, signals, health, reflection."""
    admin_host: str = "127.0.0.1"
    """Address of the admin port."""
    admin_port: Port = 50_052
    """Admin port: models, outcomes, health."""
    metrics_port: Port = 9_090
    """Metrics port: Prometheus scrapes ``/metrics``."""
    ready_file: Path | None = None
    """Written once all ports are served: JSON with ``data``, ``admin``, ``metrics``, each ``host:port``."""
    insecure_any_host: bool = False
    """Serve without encryption on addresses that other machines reach."""
    worker_threads: Annotated[int, Field(ge=0)] = 0
    """Threads that serve the network and run models; zero means one a core."""
    executors: Annotated[int, Field(ge=0)] = 0
    """Engines a model, so runs at the same time; zero means one a core."""
    tree_kernel: bool = True
    """Run tree ensembles on the tree kernel where it gives the same bits as ONNX Runtime."""
    max_batch_rows: Count = 256
    """Most rows that run together."""
    queue_rows: Count = 8_192
    """Most rows that wait for one model before requests are refused."""
    max_request_rows: Count = 65_536
    """Most rows in one ``ScoreBatch``."""
    max_message_bytes: Count = 16 * 2**20
    """Most bytes in one message."""
    max_window_bars: Count = 10_000
    """Most bars in one window to score."""
    max_connections: Count = 16_384
    """Most connections at the same time."""
    max_streams_per_connection: Count = 1_024
    """Most requests in flight on one connection."""
    keepalive_ms: Count = 30_000
    """Interval of keepalive pings."""
    drain_timeout_ms: Annotated[int, Field(ge=0)] = 10_000
    """Longest wait for running requests when the server stops."""
    late_window_bars: Annotated[int, Field(ge=0)] = 8
    """Bars that may arrive out of order and still be applied in their place."""
    max_series: Count = 20_000
    """Most series (symbol and timeframe) held."""
    future_tolerance_ms: Annotated[int, Field(ge=0)] = 60_000
    """How far in the future a bar may open."""
    accept_unknown_symbols: bool = False
    """Accept bars of symbols that no model was trained on."""
    journal: Path | None = None
    """Folder of the journal of bars and decisions; none without one."""
    journal_fsync: Literal["never", "interval", "always"] = "interval"
    """When a bar counts as journaled: once queued, or once it is on the disk (``always``)."""
    journal_fsync_interval_ms: Count = 100
    """Longest time without a wait for the disk under ``interval``."""
    journal_segment_bytes: Count = 64 * 2**20
    """Bytes after which a segment of the journal is closed."""
    journal_decision_segments: Annotated[int, Field(ge=0)] = 0
    """Closed segments of decisions kept; zero keeps all. Bars are all kept: a restart replays them."""
    hub_ring_signals: Count = 16_384
    """Signals kept for subscribers that resume or lag."""
    outcomes_kept: Count = 10_000
    """Realised outcomes kept for ``ListOutcomes``."""
    log_level: Literal["error", "warn", "info", "debug"] = "info"
    """Least level that is logged."""
    log_format: Literal["pretty", "json"] = "pretty"
    """How log lines look."""

    @model_validator(mode="after")
    def _only_loopback_without_encryption(self) -> Self:
        for field, host in (("host", self.host), ("admin_host", self.admin_host)):
            try:
                address = ipaddress.ip_address(host)
            except ValueError:
                raise ValueError(f"{field}: {host!r} is no IP address; use for example 127.0.0.1") from None
            if not address.is_loopback and not self.insecure_any_host:
                raise ValueError(
                    f"{field}: {host} is reachable from other machines and the port is not encrypted; "
                    "stay on 127.0.0.1 or say --insecure-any-host"
                )
        return self

    def data_plane_json(self) -> str:
        """The part that the data plane reads."""
        control_only = {
            "host",
            "port",
            "admin_host",
            "admin_port",
            "metrics_port",
            "ready_file",
            "insecure_any_host",
            "log_level",
            "log_format",
        }
        values = self.model_dump(mode="json", exclude=control_only)
        values["listen"] = socket_address(self.host, self.port)
        values["metrics_listen"] = socket_address(self.host, self.metrics_port)
        return json.dumps(values)


def socket_address(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
