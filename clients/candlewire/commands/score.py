"""`candlewire score`: one score, of a feature vector or of the last bar of a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from candlewire.commands import connecting
from candlewire.commands.bar_files import SeriesDefaults, read_bars
from candlewire.connection import DEFAULT_TARGET, DEFAULT_TIMEOUT_MS
from candlewire.errors import InvalidInputError

if TYPE_CHECKING:
    from candlewire.types import Bar


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("score")(score)


def parse_features(text: str) -> list[float]:
    """Features from the command line.

    Args:
        text: Numbers with commas, `@file` or `-`; what those two hold may be a JSON list or plain numbers.

    Raises:
        InvalidInputError: Not a list of numbers.
    """
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except OSError as error:
            raise InvalidInputError(f"--features: cannot read {text[1:]}: {error.strerror}") from None
    stripped = text.strip()
    try:
        values = json.loads(stripped) if stripped.startswith("[") else stripped.replace(",", " ").split()
        return [float(value) for value in values]
    except (ValueError, TypeError) as error:
        raise InvalidInputError(f"--features must be numbers: {error}") from None


def score(
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            "-f",
            help="Numbers with commas, @FILE (JSON list or plain numbers), or - for stdin.",
        ),
    ] = None,
    bars: Annotated[
        str | None,
        typer.Option(
            "--bars", "-b", metavar="FILE", help="Score the last bar of this CSV, JSONL or Parquet file."
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Model; by default the one that the deployment routes to.")] = "",
    model_version: Annotated[int, typer.Option(help="Version; 0 means the deployment's.")] = 0,
    symbol: Annotated[
        str, typer.Option(help="Symbol of the row; picks one where the bars hold several.")
    ] = "",
    timeframe: Annotated[str, typer.Option(help="Timeframe of the row.")] = "",
    reference_price: Annotated[float, typer.Option(help="Last close; asks for a price band.")] = 0.0,
    members: Annotated[bool, typer.Option("--members", help="Show each member of the ensemble.")] = False,
    as_json: connecting.AsJson = False,
    target: connecting.Target = DEFAULT_TARGET,
    timeout_ms: connecting.TimeoutMs = DEFAULT_TIMEOUT_MS,
    token: connecting.Token = None,
    tls_ca: connecting.RootCertificates = None,
    tls_cert: connecting.Certificate = None,
    tls_key: connecting.Key = None,
) -> None:
    """Score one feature vector, or the last bar of a file."""
    from candlewire.commands.presentation import score_rows, to_json

    if (features is None) == (bars is None):
        raise InvalidInputError("pass exactly one of --features and --bars")
    window: list[Bar] | None = None
    if bars is not None:
        window = one_series(
            list(read_bars([bars], SeriesDefaults(symbol=symbol, timeframe=timeframe))), symbol
        )
    with connecting.connect(target, timeout_ms, token, tls_ca, tls_cert, tls_key) as client:
        scored = client.score(
            None if features is None else parse_features(features),
            bars=window,
            model=model,
            model_version=model_version,
            symbol=symbol,
            timeframe=timeframe,
            reference_price=reference_price,
            include_members=members,
        )
    if as_json:
        typer.echo(to_json(scored))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for label, text in score_rows(scored):
        table.add_row(label, text)
    Console().print(table)


def one_series(bars: list[Bar], symbol: str) -> list[Bar]:
    """The bars of one symbol.

    Raises:
        InvalidInputError: The file holds other symbols, and none or an absent one was asked for.
    """
    held = sorted({bar.symbol for bar in bars})
    if symbol and symbol not in held:
        raise InvalidInputError(f"--symbol is {symbol}; the file holds {', '.join(held[:10])}")
    if not symbol and len(held) > 1:
        raise InvalidInputError(
            f"the file holds {len(held)} symbols; pick one with --symbol: {', '.join(held[:10])}"
        )
    return [bar for bar in bars if not symbol or bar.symbol == symbol]
