"""`candlewire health`: does the server serve?"""

from __future__ import annotations

from typing import Annotated

import typer

from candlewire.commands import connecting
from candlewire.connection import DEFAULT_TARGET, DEFAULT_TIMEOUT_MS
from candlewire.types import HealthStatus


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("health")(health)


def health(
    service: Annotated[str, typer.Argument(help="A service or model; by default the whole server.")] = "",
    wait_ms: Annotated[float, typer.Option(min=0.0, help="Wait so long for the server to be ready.")] = 0.0,
    as_json: connecting.AsJson = False,
    target: connecting.Target = DEFAULT_TARGET,
    timeout_ms: connecting.TimeoutMs = DEFAULT_TIMEOUT_MS,
    token: connecting.Token = None,
    tls_ca: connecting.RootCertificates = None,
    tls_cert: connecting.Certificate = None,
    tls_key: connecting.Key = None,
) -> None:
    """Ask whether the server serves; exits with 0 only when it does."""
    from candlewire.commands.presentation import to_json

    with connecting.connect(target, timeout_ms, token, tls_ca, tls_cert, tls_key) as client:
        if wait_ms > 0:
            client.wait_ready(wait_ms, service=service)
        status = client.health(service)
    if as_json:
        typer.echo(to_json({"target": target, "service": service, "status": status}))
    else:
        typer.echo(f"{service or target}: {status.name.lower().replace('_', ' ')}")
    if status is not HealthStatus.SERVING:
        raise typer.Exit(1)
