"""`candlewire data import`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from candlewire_training.data.commands.markets import CALENDAR_HELP, UNIVERSE_HELP
from candlewire_training.one_line_errors import one_line_errors

if TYPE_CHECKING:
    from rich.table import Table

    from candlewire_training.data.importing import ImportedFile, ImportReport

OVERRIDES = "What the file does not say, or says wrongly"
DEFECTS = "Defects"
MOST_ROWS = 40


def import_files(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Files, folders, or hf://owner/dataset.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for the Parquet files, one a symbol.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what each file is understood to be; write nothing.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace files that are there.")] = False,
    skip_refused: Annotated[
        bool, typer.Option("--skip-refused", help="Report a file that cannot be read, and go on.")
    ] = False,
    universe: Annotated[str | None, typer.Option(help=UNIVERSE_HELP + " Only its symbols come in.")] = None,
    calendar: Annotated[str | None, typer.Option(help=CALENDAR_HELP)] = None,
    layout: Annotated[
        str | None,
        typer.Option(help="Layout; see `candlewire data list --layouts`.", rich_help_panel=OVERRIDES),
    ] = None,
    symbol: Annotated[str | None, typer.Option(help="Symbol of the bars.", rich_help_panel=OVERRIDES)] = None,
    timeframe: Annotated[
        str | None, typer.Option(help="Timeframe: 1m 5m 15m 1h 4h 1d 1w 1M.", rich_help_panel=OVERRIDES)
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            help=(
                "Clock of times without a zone: UTC, America/New_York, or America/New_York+7h for a clock 7"
                " hours ahead."
            ),
            rich_help_panel=OVERRIDES,
        ),
    ] = None,
    stamp: Annotated[
        str | None, typer.Option(help="A bar's time is its open or its close.", rich_help_panel=OVERRIDES)
    ] = None,
    date_format: Annotated[
        str | None, typer.Option(help="day-first or month-first, for 03/04/2020.", rich_help_panel=OVERRIDES)
    ] = None,
    member: Annotated[
        str | None, typer.Option(help="File inside a zip that holds several.", rich_help_panel=OVERRIDES)
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(help="Table of a database, or split of a dataset.", rich_help_panel=OVERRIDES),
    ] = None,
    side: Annotated[
        str | None, typer.Option(help="Of quotes: mid, bid or ask.", rich_help_panel=OVERRIDES)
    ] = None,
    price_scale: Annotated[
        float | None,
        typer.Option(help="Factor from the file's prices to real ones.", rich_help_panel=OVERRIDES),
    ] = None,
    adjusted: Annotated[
        bool,
        typer.Option("--adjusted", help="Scale prices to the adjusted close.", rich_help_panel=OVERRIDES),
    ] = False,
    unreadable: Annotated[
        str, typer.Option(help="Rows that cannot be read: fail or drop.", rich_help_panel=DEFECTS)
    ] = "fail",
    on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DEFECT=POLICY",
            help="What to do about a defect: keep, drop, flag or fail; `all=keep` for all. Repeatable.",
            rich_help_panel=DEFECTS,
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the folder.")] = False,
) -> None:
    """Bring bars in from the files people have, as one Parquet file a symbol.

    Layout, time zone, stamp, timeframe and symbol are told from the file and shown; where it leaves one open,
    the command asks. Defects that nothing could use (missing or impossible values, two bars of one time) are
    refused, suspect bars are flagged in a `defects` column; --on changes that. Nothing is repaired, nothing
    filled in.

    Examples:
    candlewire data import AAPL.csv --out bars

    candlewire data import EURUSD_M1.csv --layout mt5 --time-zone America/New_York+7h --out bars

    candlewire data import downloads --universe us-stocks --on ohlc-violation=drop --skip-refused --out bars
    """
    with one_line_errors():
        import time

        from candlewire_training.data.checks.policies import import_defaults, parse_policies
        from candlewire_training.data.commands.markets import market
        from candlewire_training.data.importing import count_files, examine, import_bars, universe_choices
        from candlewire_training.data.layouts.contract import Choices
        from candlewire_training.errors import SettingsError
        from candlewire_training.progress import StepProgress

        if dry_run == (out is not None):
            raise SettingsError("give either --out FOLDER or --dry-run")
        chosen, hours = market(universe, calendar)
        choices = Choices(
            layout=layout,
            symbol=symbol,
            timeframe=timeframe,
            time_zone=time_zone,
            stamp=stamp,
            date_format=date_format,
            member=member,
            table=table,
            side=side,
            price_scale=price_scale,
            adjusted=adjusted,
            unreadable=unreadable,
        )
        choices = universe_choices(choices, chosen)
        policies = parse_policies(on or (), base=import_defaults())
        if out is None:
            _print_files(examine(tuple(sources), choices))
            return
        names = tuple(sources)
        with StepProgress(quiet=quiet) as progress, progress.step("files", count_files(names)) as advance:
            report = import_bars(
                names,
                out,
                choices=choices,
                policies=policies,
                universe=chosen,
                calendar=hours,
                skip_refused=skip_refused,
                replace=replace,
                now_ns=time.time_ns(),
                advance=advance,
            )
        if not quiet:
            _print_files(report.files)
            _print_report(report, policies)
        typer.echo(str(out))


def _print_files(files: "tuple[ImportedFile, ...]") -> None:
    from rich.console import Console

    console = Console()
    if len(files) == 1 and files[0].loaded is not None:
        console.print(_one_file(files[0]))
        return
    console.print(_many_files(files))
    _print_remarks(files)


def _one_file(file: "ImportedFile") -> "Table":
    from rich.table import Table

    loaded = file.loaded
    table = Table(title=file.name, title_justify="left")
    for name in ("", "", "because"):
        table.add_column(name)
    if loaded is None:
        return table
    symbols = ", ".join(loaded.symbols[:8]) + (
        f" and {len(loaded.symbols) - 8} more" if len(loaded.symbols) > 8 else ""
    )
    table.add_row("layout", loaded.layout.value, loaded.layout.why)
    table.add_row("symbols", symbols, loaded.symbol.why)
    table.add_row("timeframe", loaded.timeframe.value, loaded.timeframe.why)
    table.add_row("time zone", loaded.time_zone.value, loaded.time_zone.why)
    table.add_row("stamp", loaded.stamp.value, loaded.stamp.why)
    table.add_row("bars", f"{file.bars:,}", "")
    for note in loaded.notes:
        table.add_row("note", note, "")
    return table


def _many_files(files: "tuple[ImportedFile, ...]") -> "Table":
    from rich.table import Table

    read = [file for file in files if file.loaded is not None]
    table = Table(title=f"{len(read)} of {len(files)} files", title_justify="left")
    for name in ("file", "layout", "symbols", "timeframe", "time zone", "stamp", "bars"):
        table.add_column(name, justify="right" if name == "bars" else "left", overflow="fold")
    for file in read[:MOST_ROWS]:
        if file.loaded is None:
            continue
        loaded = file.loaded
        symbols = ", ".join(loaded.symbols[:3]) + ("…" if len(loaded.symbols) > 3 else "")
        table.add_row(
            *(file.name, loaded.layout.value, symbols, loaded.timeframe.value, loaded.time_zone.value),
            *(loaded.stamp.value, f"{file.bars:,}"),
        )
    if len(read) > MOST_ROWS:
        table.add_row(f"… {len(read) - MOST_ROWS} more", *[""] * 6)
    return table


def _print_remarks(files: "tuple[ImportedFile, ...]") -> None:
    """What was done to files on the way in, and why others were refused, a line each."""
    noted = [(file.name, note) for file in files if file.loaded is not None for note in file.loaded.notes]
    for name, note in noted[:MOST_ROWS]:
        typer.echo(f"note: {name}: {note}", err=True)
    if len(noted) > MOST_ROWS:
        typer.echo(f"note: {len(noted) - MOST_ROWS} more notes", err=True)
    for file in files:
        if file.refusal is not None:
            typer.echo(f"refused: {file.name}: {file.refusal}", err=True)


def _print_report(report: "ImportReport", policies: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    defects: dict[str, tuple[int, int]] = {}
    for found in report.findings:
        bars, symbols = defects.get(found.defect, (0, 0))
        defects[found.defect] = (bars + found.count, symbols + 1)
    if defects:
        table = Table(title="defects", title_justify="left")
        for name in ("defect", "bars", "symbols", "policy", "dropped"):
            table.add_column(name, justify="left" if name in {"defect", "policy"} else "right")
        for defect, (bars, symbols) in defects.items():
            dropped = f"{report.dropped[defect]:,}" if defect in report.dropped else ""
            table.add_row(defect, f"{bars:,}", str(symbols), policies[defect], dropped)
        Console().print(table)
    if report.left_out:
        typer.echo(f"not in the universe, left out: {', '.join(report.left_out[:20])}", err=True)
    total = sum(report.written.values())
    typer.echo(f"{total:,} bars of {len(report.written)} symbols and timeframes", err=True)


__all__ = ["import_files"]
