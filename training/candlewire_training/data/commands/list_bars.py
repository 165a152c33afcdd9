"""`candlewire data list`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from candlewire_training.data.commands.markets import UNIVERSE_HELP
from candlewire_training.one_line_errors import one_line_errors

if TYPE_CHECKING:
    from candlewire_training.data.universe import Universe

MOST_ROWS = 60


def list_bars(
    bars: Annotated[Path | None, typer.Argument(help="Parquet file of bars, or a folder of them.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Only this timeframe.")] = None,
    universe: Annotated[str | None, typer.Option(help=UNIVERSE_HELP + " Only its symbols.")] = None,
    every: Annotated[bool, typer.Option("--all", help="A row for every symbol, however many.")] = False,
    universes: Annotated[bool, typer.Option("--universes", help="List the universes that ship.")] = False,
    layouts: Annotated[bool, typer.Option("--layouts", help="List the layouts an import knows.")] = False,
) -> None:
    """List the bars of a file or folder: symbols, timeframes, spans, fingerprints.

    Examples:
    candlewire data list bars

    candlewire data list --universes
    """
    with one_line_errors():
        from candlewire_training.data.universe import read_universe
        from candlewire_training.errors import SettingsError

        if sum((bars is not None, universes, layouts)) != 1:
            raise SettingsError("give a file or folder of bars, or --universes, or --layouts")
        if universes:
            _print_universes()
        elif layouts:
            from candlewire_training.data.layouts.catalogue import layout_names

            typer.echo("\n".join(layout_names()))
        elif bars is not None:
            _print_bars(bars, timeframe, read_universe(universe) if universe else None, every=every)


def _print_universes() -> None:
    from rich.console import Console
    from rich.table import Table

    from candlewire_training.data.universe import read_universe, shipped_universes

    table = Table()
    for name in ("universe", "asset class", "calendar", "time zone", "symbols", "note"):
        table.add_column(name, justify="right" if name == "symbols" else "left")
    for name in shipped_universes():
        one = read_universe(name)
        table.add_row(
            one.name, one.asset_class, one.calendar.name, one.time_zone, str(len(one.symbols)), one.note
        )
    Console().print(table)


def _print_bars(path: Path, timeframe: str | None, universe: "Universe | None", *, every: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from candlewire_training.data.bar_files import stream_fingerprint
    from candlewire_training.data.bars import date_text
    from candlewire_training.data.symbol_stream import open_stream, timeframes_of

    console = Console()
    for name in [timeframe] if timeframe else timeframes_of(path):
        stream = open_stream(path, timeframe=name)
        stream = stream.within(universe) if universe else stream
        table = Table(title=f"{stream.source}, {stream.timeframe}", title_justify="left")
        for heading in ("symbol", "bars", "first", "last"):
            table.add_column(heading, justify="right" if heading == "bars" else "left")
        for row, (symbol, (count, first, last)) in enumerate(stream.spans().items()):
            if not every and row >= MOST_ROWS:
                table.add_row(f"… {len(stream.symbols) - row} more (--all)", "", "", "")
                break
            table.add_row(symbol, f"{count:,}", date_text(first), date_text(last))
        console.print(table)
        typer.echo(
            f"{sum(stream.bars.values()):,} bars of {len(stream.symbols)} symbols, fingerprint"
            f" {stream_fingerprint(stream)}"
        )


__all__ = ["list_bars"]
