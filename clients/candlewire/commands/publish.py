"""`candlewire publish`: sends the bars of files, as fast as they go or at a pace."""

from __future__ import annotations

import sys
import time
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from candlewire.commands import connecting
from candlewire.commands.bar_files import SeriesDefaults, read_bars
from candlewire.connection import DEFAULT_TARGET, DEFAULT_TIMEOUT_MS
from candlewire.errors import InvalidInputError
from candlewire.types import BarFate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from candlewire.types import Bar

SHOWN_REJECTIONS = 5


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("publish")(publish)


def paced(bars: Iterable[Bar], *, rate: float | None, speed: float | None) -> Iterator[Bar]:
    """Hands out bars at `rate` bars per second, or `speed` times as fast as their market ran.

    Each bar has its own due time, so that a slow moment is caught up and not added.
    """
    started_s = time.monotonic()
    first_ns: int | None = None
    for number, bar in enumerate(bars):
        first_ns = bar.open_time_ns if first_ns is None else first_ns
        due_s = started_s
        if rate is not None:
            due_s += number / rate
        if speed is not None:
            due_s += (bar.open_time_ns - first_ns) / 1e9 / speed
        wait_s = due_s - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        yield bar


def publish(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE…", help="CSV, JSONL or Parquet files or folders; - reads JSON lines."),
    ],
    rate: Annotated[
        float | None, typer.Option(min=1e-6, help="Bars per second; by default as fast as they go.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(min=1e-6, help="Times as fast as the market ran; 86400 makes a day a second."),
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol, where the file has no such column.")] = None,
    timeframe: Annotated[
        str | None, typer.Option(help="Timeframe, where the file has no such column.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Publish at most so many bars.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
    as_json: connecting.AsJson = False,
    target: connecting.Target = DEFAULT_TARGET,
    timeout_ms: connecting.TimeoutMs = DEFAULT_TIMEOUT_MS,
    token: connecting.Token = None,
    tls_ca: connecting.RootCertificates = None,
    tls_cert: connecting.Certificate = None,
    tls_key: connecting.Key = None,
) -> None:
    """Publish the bars of files; exits with 1 when any is rejected.

    With --json, prints what became of each bar, one object a line.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from candlewire.commands.presentation import to_json

    if rate is not None and speed is not None:
        raise InvalidInputError("pass --rate or --speed, not both")
    bars = read_bars(files, SeriesDefaults(symbol=symbol, timeframe=timeframe))
    if limit is not None:
        bars = list(islice(bars, limit))
    total = len(bars) if isinstance(bars, list) else None
    fates: Counter[BarFate] = Counter()
    errors = Console(stderr=True)
    columns = (TextColumn("publishing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = quiet or as_json or not sys.stderr.isatty()
    with (
        connecting.connect(target, timeout_ms, token, tls_ca, tls_cert, tls_key) as client,
        Progress(*columns, console=errors, transient=True, disable=hidden) as progress,
    ):
        task = progress.add_task("publishing", total=total)
        client.wait_ready(timeout_ms)
        for ack in client.publish(paced(bars, rate=rate, speed=speed)):
            fates[ack.fate] += 1
            progress.advance(task)
            if as_json:
                typer.echo(to_json(ack))
            elif ack.fate is BarFate.REJECTED and fates[BarFate.REJECTED] <= SHOWN_REJECTIONS:
                at = f"bar {ack.client_sequence + 1} ({ack.symbol} {ack.timeframe})"
                errors.print(f"rejected {at}: {ack.message}", markup=False, highlight=False)
    if not as_json:
        told = ", ".join(
            f"{count} {fate.name.lower().replace('_', ' ')}" for fate, count in sorted(fates.items())
        )
        typer.echo(f"{fates.total()} bars: {told}")
    if fates[BarFate.REJECTED]:
        raise typer.Exit(1)
