"""`candlewire latest`: the newest signal of each series."""

from __future__ import annotations

from typing import Annotated

import typer

from candlewire.commands import connecting
from candlewire.connection import DEFAULT_TARGET, DEFAULT_TIMEOUT_MS


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("latest")(latest)


def latest(
    symbols: Annotated[list[str] | None, typer.Argument(metavar="[SYMBOL…]", help="By default all.")] = None,
    timeframe: Annotated[str, typer.Option(help="Only this one.")] = "",
    as_json: connecting.AsJson = False,
    target: connecting.Target = DEFAULT_TARGET,
    timeout_ms: connecting.TimeoutMs = DEFAULT_TIMEOUT_MS,
    token: connecting.Token = None,
    tls_ca: connecting.RootCertificates = None,
    tls_cert: connecting.Certificate = None,
    tls_key: connecting.Key = None,
) -> None:
    """Print the newest signal of each series; exits with 1 when a symbol asked for is unknown."""
    from rich.console import Console

    from candlewire.commands.presentation import SIGNAL_COLUMNS, signal_cells, signal_line, to_json

    with connecting.connect(target, timeout_ms, token, tls_ca, tls_cert, tls_key) as client:
        newest = client.latest(symbols or (), timeframe=timeframe)
    if as_json:
        for event in newest:
            typer.echo(to_json(event))
    elif newest.signals:
        console = Console(highlight=False)
        console.print(signal_line(SIGNAL_COLUMNS), style="bold", soft_wrap=True)
        for event in newest:
            console.print(signal_line(signal_cells(event)), soft_wrap=True)
    elif not symbols:
        typer.echo("no signal yet: publish bars first")
    if newest.unknown_symbols:
        typer.echo(f"no signal of {', '.join(newest.unknown_symbols)}", err=True)
        raise typer.Exit(1)
