"""`candlewire top`: a live view of a running server."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from candlewire.commands import connecting
from candlewire.errors import CandlewireError

if TYPE_CHECKING:
    from candlewire.top.coverage import CoverageReader, PoolCoverage

DEFAULT_METRICS = "127.0.0.1:9090"
DEFAULT_ADMIN = "127.0.0.1:50052"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("top")(top)


def top(
    metrics: Annotated[
        str,
        typer.Option(
            "--metrics",
            "-m",
            envvar="CANDLEWIRE_METRICS",
            metavar="HOST:PORT",
            help="Metrics port of the server.",
        ),
    ] = DEFAULT_METRICS,
    admin: Annotated[
        str,
        typer.Option(envvar="CANDLEWIRE_ADMIN", metavar="HOST:PORT", help="Admin port, for coverage."),
    ] = DEFAULT_ADMIN,
    interval_s: Annotated[float, typer.Option(min=0.1, help="Time between two looks.")] = 1.0,
    count: Annotated[
        int | None, typer.Option("--count", "-n", min=1, help="Leave after so many looks.")
    ] = None,
    as_json: connecting.AsJson = False,
    token: connecting.Token = None,
    tls_ca: connecting.RootCertificates = None,
    tls_cert: connecting.Certificate = None,
    tls_key: connecting.Key = None,
) -> None:
    """Show rates, latencies, queues, fates of bars and coverage of a running server, until Ctrl-C.

    Figures are those of the time between two looks. "waiting" is the mean number of requests in the queue.
    """
    from rich.console import Console
    from rich.live import Live

    from candlewire.commands.presentation import to_json
    from candlewire.top.coverage import CoverageReader
    from candlewire.top.figures import compare
    from candlewire.top.scrape import scrape
    from candlewire.top.view import view

    console = Console(highlight=False)
    live = not as_json and sys.stdout.isatty()
    connection = connecting.connection(admin, 1_000.0, token, tls_ca, tls_cert, tls_key)
    earlier, looks, shown = scrape(metrics), 0, None
    with (
        CoverageReader(connection) as reader,
        Live(console=console, screen=live, auto_refresh=False, transient=True) as screen,
    ):
        while count is None or looks < count:
            time.sleep(interval_s)
            looks += 1
            trouble = ""
            try:
                later = scrape(metrics)
            except CandlewireError as error:
                if not live or shown is None:
                    raise
                trouble = str(error)
            else:
                shown, earlier = compare(earlier, later), later
            coverage = coverage_of(reader)
            if as_json:
                typer.echo(to_json({"figures": shown, "coverage": coverage}))
            elif live:
                screen.update(view(metrics, shown, coverage, trouble=trouble), refresh=True)
            else:
                console.print(view(metrics, shown, coverage))


def coverage_of(reader: CoverageReader) -> tuple[PoolCoverage, ...] | None:
    """The pools; None when the admin port does not answer."""
    try:
        return reader.read()
    except CandlewireError:
        return None
