"""A defect report as one HTML file that needs nothing beside it."""

import io
from html import escape

import numpy as np
import numpy.typing as npt

from candlewire_training.arrays import I64
from candlewire_training.data.bars import date_text
from candlewire_training.data.checks.catalogue import CHECKS
from candlewire_training.data.checks.report import Chart, DefectReport, SymbolReport
from candlewire_training.data.checks.table import worst_symbols

# Charts beyond these would make the file too heavy to open; the tables hold every symbol.
MOST_CHARTS = 40
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color:
#1b1f24; } table { border-collapse: collapse; width: 100%; margin: 1rem 0; font-variant-numeric: tabular-nums;
} th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #d8dee4; vertical-align: top; }
td.number, th.number { text-align: right; }
figure { margin: 1.5rem 0; } svg { max-width: 100%; height: auto; }
code { background: #f3f4f6; padding: 0 .2rem; white-space: nowrap; } .quiet { color: #57606a; }
"""
MARKS = {
    "misquote": ("#d1242f", "v"),
    "outlier": ("#bc4c00", "^"),
    "suspected-split": ("#8250df", "D"),
    "ohlc-violation": ("#bf8700", "s"),
    "conflicting-bar": ("#0969da", "x"),
    "volume-break": ("#1a7f37", "P"),
    "gap": ("#57606a", "|"),
}


def html_report(report: DefectReport) -> str:
    """The report as HTML: counts, charts of the worst symbols with defects marked, then every symbol."""
    worst = worst_symbols(report)
    charted = [symbol for symbol in worst if symbol.chart is not None][:MOST_CHARTS]
    left = sum(symbol.chart is not None for symbol in worst) - len(charted)
    more = f"<p class=quiet>{left} more symbols with defects have no chart here.</p>" if left else ""
    charts = "".join(_figure(symbol, symbol.chart) for symbol in charted if symbol.chart is not None)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(report.source)}: defects</title>"
        f"<style>{STYLE}</style><h1>{escape(report.source)}</h1>"
        f"<p>{report.bars:,} bars of {escape(report.timeframe)}, {len(report.symbols):,} symbols. "
        f"Gaps are held against {escape(report.gap_basis)}. Nothing was repaired or filled in.</p>"
        f"{_defects(report)}<h2>Charts</h2>{charts or '<p>No symbol has a defect.</p>'}{more}"
        f"<h2>Symbols</h2>{_symbols(worst)}</html>\n"
    )


def _defects(report: DefectReport) -> str:
    rows = []
    for check in CHECKS:
        found = [one for one in report.findings() if one.defect == check.defect]
        examples = "<br>".join(
            escape(f"{one.symbol} {example}") for one in found[:5] for example in one.examples[:2]
        )
        rows.append(
            f"<tr><td><code>{check.defect}</code><td>{escape(check.title)}<td"
            f" class=number>{sum(one.count for one in found):,}<td class=number>{len(found):,}<td>{examples}"
        )
    head = "<tr><th>defect<th>meaning<th class=number>bars<th class=number>symbols<th>for example"
    return f"<h2>Defects</h2><table>{head}{''.join(rows)}</table>"


def _symbols(symbols: list[SymbolReport]) -> str:
    rows = []
    for symbol in symbols:
        counts = ", ".join(f"{found.defect} {found.count:,}" for found in symbol.findings) or "–"
        tests = symbol.stationarity
        p_values = (
            f"<td class=number>{tests.adf_return:.3f}<td class=number>{tests.kpss_return:.3f}"
            f"<td class=number>{tests.adf_log_close:.3f}<td class=number>{tests.kpss_log_close:.3f}"
            if tests
            else "<td>–<td>–<td>–<td>–"
        )
        rows.append(
            f"<tr><td>{escape(symbol.symbol)}<td class=number>{symbol.bars:,}<td>{date_text(symbol.first_ns)}"
            f"<td>{date_text(symbol.last_ns)}<td>{counts}{p_values}"
        )
    head = (
        "<tr><th>symbol<th class=number>bars<th>first<th>last<th>defects<th class=number>ADF return"
        "<th class=number>KPSS return<th class=number>ADF close<th class=number>KPSS close"
    )
    return (
        "<p class=quiet>ADF and KPSS: p-values of log returns and log closes over the newest 2,000 bars at"
        " most. A unit root is ADF's null, stationarity KPSS's, whose p-values end at 0.01 and"
        f" 0.10.</p><table>{head}{''.join(rows)}</table>"
    )


def _figure(symbol: SymbolReport, chart: Chart) -> str:
    # Slow to import, and only charts need it.
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(_dates(chart.time), chart.close, color="#24292f", linewidth=0.8)
    if np.nanmin(chart.close) > 0:
        axes.set_yscale("log")
    for defect, (times, closes) in chart.marks.items():
        if defect in MARKS:
            colour, marker = MARKS[defect]
            axes.plot(
                _dates(times), closes, linestyle="", marker=marker, markersize=6, color=colour, label=defect
            )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    file = io.StringIO()
    # Names inside the drawing depend on the symbol only and there is no date: the same report is the same
    # file.
    with rc_context({"svg.hashsalt": symbol.symbol, "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    svg = file.getvalue()
    counts = ", ".join(f"{found.defect} {found.count:,}" for found in symbol.findings)
    return (
        f"<figure><figcaption><b>{escape(symbol.symbol)}</b>"
        f" {counts}</figcaption>{svg[svg.index('<svg') :]}</figure>"
    )


def _dates(open_time_ns: I64) -> npt.NDArray[np.datetime64]:
    return open_time_ns.astype("datetime64[ns]").astype("datetime64[s]")


__all__ = ["html_report"]
