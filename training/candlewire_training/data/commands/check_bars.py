"""`candlewire data check`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from candlewire_training.data.commands.markets import CALENDAR_HELP, UNIVERSE_HELP
from candlewire_training.one_line_errors import one_line_errors

if TYPE_CHECKING:
    from candlewire_training.data.checks.contract import Finding, SymbolBars
    from candlewire_training.data.checks.report import DefectReport


def check(
    bars: Annotated[Path, typer.Argument(help="Parquet file of bars, or a folder of them.")],
    timeframe: Annotated[str | None, typer.Option(help="Which of several timeframes.")] = None,
    symbol: Annotated[list[str] | None, typer.Option(help="Only this symbol. Repeatable.")] = None,
    universe: Annotated[str | None, typer.Option(help=UNIVERSE_HELP)] = None,
    calendar: Annotated[str | None, typer.Option(help=CALENDAR_HELP)] = None,
    html: Annotated[Path | None, typer.Option(help="Write the report with charts to this file.")] = None,
    stationarity: Annotated[
        bool, typer.Option("--stationarity/--no-stationarity", help="Run ADF and KPSS, the slow part.")
    ] = True,
    on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DEFECT=POLICY",
            help="What to do about a defect: keep, drop, flag or fail; `all=keep` for all. Repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the bars, after the policies, to this folder.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace files that are there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no tables.")] = False,
) -> None:
    """Report the defects of bars: what is wrong, what is suspect, what is missing.

    A check only looks: every defect is kept unless --on says drop, flag or fail, and even then only the files
    below --out differ from those read. Nothing is repaired, nothing filled in. Dropping outliers is the noise
    filter.

    Examples:
    candlewire data check bars --universe us-stocks --html report.html

    candlewire data check bars --on misquote=drop --on outlier=drop --on gap=flag --out clean

    candlewire data check bars --on ohlc-violation=fail --no-stationarity
    """
    with one_line_errors():
        from candlewire_training.data.bar_files import whole_folder, write_symbol
        from candlewire_training.data.checks.contract import DROP, FLAG
        from candlewire_training.data.checks.policies import (
            apply_policies,
            keep_all,
            parse_policies,
            refusal,
            refused,
        )
        from candlewire_training.data.checks.report import check_stream
        from candlewire_training.data.commands.markets import market
        from candlewire_training.data.symbol_stream import open_stream
        from candlewire_training.errors import BarsError, SettingsError
        from candlewire_training.progress import StepProgress

        policies = parse_policies(on or (), base=keep_all())
        changes = {policy for policy in policies.values() if policy in {DROP, FLAG}}
        if changes and out is None:
            raise SettingsError(
                f"policy {min(changes)} changes the bars: say where to write them with --out FOLDER"
            )
        chosen, hours = market(universe, calendar)
        stream = open_stream(bars, timeframe=timeframe, symbols=tuple(symbol or ()))
        stream = stream.within(chosen) if chosen else stream
        dropped: dict[str, int] = {}
        with StepProgress(quiet=quiet) as progress, progress.step("symbols", len(stream.symbols)) as advance:

            def checked(_: "SymbolBars", __: "tuple[Finding, ...]") -> None:
                advance()

            report = check_stream(
                stream, calendar=hours, stationarity=stationarity, charts=html is not None, each=checked
            )
        if html is not None:
            _write_html(report, html)
        if not quiet:
            _print(report)
        unwanted = refused(report.findings(), policies)
        if unwanted:
            raise refusal(unwanted, stream.source)
        if out is None:
            return
        with whole_folder(out, replace=replace) as target:

            def write(found_in: "SymbolBars", findings: "tuple[Finding, ...]") -> None:
                kept, counts = apply_policies(found_in.frame, findings, policies)
                for defect, count in counts.items():
                    dropped[defect] = dropped.get(defect, 0) + count
                if kept.is_empty():
                    raise BarsError(
                        f"{found_in.symbol}: every bar has a defect that is dropped; nothing was written"
                    )
                write_symbol(kept, target, timeframe=stream.timeframe, symbol=found_in.symbol)

            # A second pass, so that a refusal leaves nothing behind and no symbol waits in memory.
            check_stream(stream, calendar=hours, stationarity=False, each=write)
        counts = ", ".join(f"{count:,} with {defect}" for defect, count in dropped.items())
        typer.echo(f"dropped {counts or 'no bars'}", err=True)
        typer.echo(str(out))


def _print(report: "DefectReport") -> None:
    from rich.console import Console

    from candlewire_training.data.checks.table import defect_table, stationarity_table, symbol_table

    console = Console()
    if any(symbol.findings for symbol in report.symbols):
        console.print(defect_table(report))
        console.print(symbol_table(report))
    else:
        console.print(f"{report.source}: {report.bars:,} bars of {report.timeframe}, no defect found")
    tests = stationarity_table(report)
    if tests is not None:
        console.print(tests)
    console.print(f"gaps are held against {report.gap_basis}")


def _write_html(report: "DefectReport", path: Path) -> None:
    from candlewire_training.data.checks.html import html_report
    from candlewire_training.errors import BarsError

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html_report(report), encoding="utf-8")
    except OSError as error:
        raise BarsError(f"html {path}: cannot be written ({error.strerror})") from error


__all__ = ["check"]
