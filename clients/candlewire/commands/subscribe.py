"""`candlewire subscribe`: signals as bars close."""

from __future__ import annotations

from typing import Annotated

import typer

from candlewire.commands import connecting
from candlewire.connection import DEFAULT_TARGET, DEFAULT_TIMEOUT_MS
from candlewire.types import SlowSubscriberPolicy


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("subscribe")(subscribe)


def subscribe(
    symbols: Annotated[list[str] | None, typer.Argument(metavar="[SYMBOL…]", help="By default all.")] = None,
    timeframe: Annotated[list[str] | None, typer.Option(help="Only these; may be given again.")] = None,
    minimum_confidence: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Least confidence to show.")
    ] = 0.0,
    after: Annotated[
        int | None, typer.Option(min=0, help="Resume after this sequence number; by default only what comes.")
    ] = None,
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="Leave after so many.")] = None,
    duration_ms: Annotated[float | None, typer.Option(min=1.0, help="Leave after this time.")] = None,
    not_ready: Annotated[
        bool, typer.Option("--not-ready", help="Show bars whose features warm up, too.")
    ] = False,
    buffer_signals: Annotated[
        int, typer.Option(min=0, help="Signals the server buffers; 0 is its default.")
    ] = 0,
    disconnect_when_slow: Annotated[
        bool, typer.Option("--disconnect-when-slow", help="Rather fail than miss signals.")
    ] = False,
    as_json: connecting.AsJson = False,
    target: connecting.Target = DEFAULT_TARGET,
    timeout_ms: connecting.TimeoutMs = DEFAULT_TIMEOUT_MS,
    token: connecting.Token = None,
    tls_ca: connecting.RootCertificates = None,
    tls_cert: connecting.Certificate = None,
    tls_key: connecting.Key = None,
) -> None:
    """Print signals as bars close, until Ctrl-C; a broken connection is resumed."""
    from rich.console import Console

    from candlewire.commands.presentation import SIGNAL_COLUMNS, signal_cells, signal_line, to_json

    console = Console(highlight=False)

    policy = SlowSubscriberPolicy.DISCONNECT if disconnect_when_slow else SlowSubscriberPolicy.DROP_OLDEST
    with (
        connecting.connect(target, timeout_ms, token, tls_ca, tls_cert, tls_key) as client,
        client.subscribe(
            symbols or (),
            timeframes=timeframe or (),
            minimum_confidence=minimum_confidence,
            after_sequence=after,
            slow_policy=policy,
            buffer_signals=buffer_signals,
            include_not_ready=not_ready,
            duration_ms=duration_ms,
        ) as subscription,
    ):
        if not as_json:
            console.print(signal_line(SIGNAL_COLUMNS), style="bold", soft_wrap=True)
        for number, event in enumerate(subscription, start=1):
            if as_json:
                typer.echo(to_json(event))
            else:
                if event.dropped_signals:
                    console.print(
                        f"… {event.dropped_signals} signals dropped: this reader is too slow", style="yellow"
                    )
                console.print(signal_line(signal_cells(event)), soft_wrap=True)
            if number == count:
                return
