"""A defect report as tables for the terminal."""

from rich.table import Table

from candlewire_training.data.bars import date_text
from candlewire_training.data.checks.catalogue import CHECKS
from candlewire_training.data.checks.report import DefectReport, SymbolReport

MOST_EXAMPLES = 3


def defect_table(report: DefectReport) -> Table:
    """One row a defect: how many bars, in how many symbols, the first examples."""
    table = Table(title=f"{report.source}: {report.bars:,} bars of {report.timeframe}", title_justify="left")
    table.add_column("defect", no_wrap=True)
    table.add_column("bars", justify="right")
    table.add_column("symbols", justify="right")
    table.add_column("for example")
    for check in CHECKS:
        found = [one for one in report.findings() if one.defect == check.defect]
        if not found:
            continue
        examples = [f"{one.symbol} {one.examples[0]}" for one in found[:MOST_EXAMPLES] if one.examples]
        table.add_row(
            check.defect, f"{sum(one.count for one in found):,}", f"{len(found):,}", "\n".join(examples)
        )
    return table


def symbol_table(report: DefectReport, *, most: int = 25) -> Table:
    """One row a symbol that has defects, those with the most first."""
    table = Table(title="by symbol", title_justify="left")
    for name in ("symbol", "bars", "first", "last", "defects"):
        table.add_column(name, justify="right" if name == "bars" else "left", no_wrap=name != "defects")
    worst = [symbol for symbol in worst_symbols(report) if symbol.findings]
    for symbol in worst[:most]:
        counts = ", ".join(f"{found.defect} {found.count:,}" for found in symbol.findings)
        table.add_row(
            symbol.symbol, f"{symbol.bars:,}", date_text(symbol.first_ns), date_text(symbol.last_ns), counts
        )
    if len(worst) > most:
        table.add_row("…", "", "", "", f"{len(worst) - most} more symbols with defects: --html shows all")
    if len(worst) < len(report.symbols):
        table.add_row("", "", "", "", f"{len(report.symbols) - len(worst)} symbols without any")
    return table


def stationarity_table(report: DefectReport) -> Table | None:
    """How many symbols' closes and returns pass ADF and KPSS; None when the tests were not run."""
    tested = [
        (symbol.symbol, symbol.stationarity) for symbol in report.symbols if symbol.stationarity is not None
    ]
    if not tested:
        return None
    table = Table(title="stationarity (ADF and KPSS at 5 %)", title_justify="left")
    table.add_column("series")
    table.add_column("stationary", justify="right")
    table.add_column("the others")
    for name, passes in (
        ("log returns", [(symbol, tests.returns_stationary) for symbol, tests in tested]),
        ("log closes", [(symbol, tests.close_stationary) for symbol, tests in tested]),
    ):
        good = sum(passed for _, passed in passes)
        # Closes are expected to have a unit root: the exceptions are what is worth naming.
        odd = [symbol for symbol, passed in passes if passed == (name == "log closes")]
        text = ", ".join(odd[:8]) + (f" and {len(odd) - 8} more" if len(odd) > 8 else "")
        label = "stationary: " if name == "log closes" else "not: "
        table.add_row(name, f"{good} of {len(passes)}", label + text if odd else "–")
    return table


def worst_symbols(report: DefectReport) -> list[SymbolReport]:
    """Symbols by the number of defects and then of bars that have them, worst first."""
    return sorted(
        report.symbols,
        key=lambda symbol: (
            -len(symbol.findings),
            -sum(found.count for found in symbol.findings),
            symbol.symbol,
        ),
    )


__all__ = ["defect_table", "stationarity_table", "symbol_table", "worst_symbols"]
