"""Options that every command of the client shares: where the server is and how to reach it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from candlewire.client import Client
from candlewire.connection import DEFAULT_TARGET, DEFAULT_TIMEOUT_MS, Connection, Tls

PANEL = "Connection"

Target = Annotated[
    str,
    typer.Option(
        "--target",
        "-t",
        envvar="CANDLEWIRE_TARGET",
        metavar="HOST:PORT",
        help="Data port of the server.",
        rich_help_panel=PANEL,
    ),
]
TimeoutMs = Annotated[
    float, typer.Option("--timeout-ms", min=0.001, help="Deadline of each call.", rich_help_panel=PANEL)
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="CANDLEWIRE_TOKEN",
        help="Bearer token; better in the environment.",
        rich_help_panel=PANEL,
    ),
]
RootCertificates = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca", metavar="PEM", help="Speak TLS and trust this authority.", rich_help_panel=PANEL
    ),
]
Certificate = Annotated[
    Path | None,
    typer.Option(
        "--tls-cert", metavar="PEM", help="Client certificate, for mutual TLS.", rich_help_panel=PANEL
    ),
]
Key = Annotated[
    Path | None,
    typer.Option("--tls-key", metavar="PEM", help="Key of the client certificate.", rich_help_panel=PANEL),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def connection(
    target: str = DEFAULT_TARGET,
    timeout_ms: float = DEFAULT_TIMEOUT_MS,
    token: str | None = None,
    tls_ca: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> Connection:
    """A connection as the options ask for it."""
    tls = None
    if tls_ca is not None or tls_cert is not None or tls_key is not None:
        tls = Tls(root_certificates=tls_ca, certificate=tls_cert, key=tls_key)
    return Connection(target=target, timeout_ms=timeout_ms, token=token, tls=tls)


def connect(
    target: str = DEFAULT_TARGET,
    timeout_ms: float = DEFAULT_TIMEOUT_MS,
    token: str | None = None,
    tls_ca: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> Client:
    """A client as the options ask for it."""
    asked = connection(target, timeout_ms, token, tls_ca, tls_cert, tls_key)
    return Client(asked.target, timeout_ms=asked.timeout_ms, token=asked.token, tls=asked.tls)
