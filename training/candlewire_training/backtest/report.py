"""The backtest as JSON and as one HTML page that loads nothing."""

from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np

from candlewire_training.arrays import F64, I64
from candlewire_training.backtest.statistics import YEAR_NS, Performance
from candlewire_training.card.card_data import Curve
from candlewire_training.card.charts import curve_chart
from candlewire_training.card.html import html_facts, html_figure, html_table, page

MOST_POINTS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestReport:
    """What a backtest found.

    Attributes:
        title: Model, version and span.
        warnings: What makes the figures worth less.
        facts: (name, value).
        strategies: Performance by (strategy, multiple of the costs).
        times_ns: Times of the curves, shape (times,).
        wealth: Wealth after costs of each strategy at 1x, starting at 1.
    """

    title: str
    warnings: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    strategies: dict[tuple[str, int], Performance]
    times_ns: I64
    wealth: dict[str, F64]


def report_json(report: BacktestReport) -> dict[str, Any]:
    """Everything but the curves."""
    return {
        "title": report.title,
        "warnings": list(report.warnings),
        "facts": dict(report.facts),
        "strategies": [
            {"strategy": name, "cost_multiple": multiple} | asdict(result)
            for (name, multiple), result in report.strategies.items()
        ],
    }


def report_html(report: BacktestReport) -> str:
    """The page."""
    header = (
        "strategy",
        "costs",
        "total return",
        "a year",
        "Sharpe",
        "deflated Sharpe",
        "VaR 95 a bar",
        "greatest fall",
        "trades",
        "won",
        "profit factor",
    )
    rows = [
        (
            name,
            f"{multiple}x",
            f"{one.total_return:+.1%}",
            f"{one.annual_return:+.1%}",
            _sharpe(one),
            _number(one.deflated_sharpe),
            f"{one.value_at_risk_95:.2%}",
            f"{one.maximum_drawdown:.1%}",
            f"{one.trades:,}",
            "–" if one.win_rate is None else f"{one.win_rate:.1%}",
            _number(one.profit_factor),
        )
        for (name, multiple), one in report.strategies.items()
    ]
    resampled = [
        (
            name,
            f"{multiple}x",
            f"{one.total_return_5_95[0]:+.1%} to {one.total_return_5_95[1]:+.1%}",
            f"{one.drawdown_95:.1%}",
        )
        for (name, multiple), one in report.strategies.items()
    ]
    warnings = "".join(f'<p class="verdict">{escape(warning)}</p>' for warning in report.warnings)
    body = (
        f"{warnings}<h2>Result</h2>{html_table(header, rows, ours='model')}"
        f"<h2>Wealth after costs at 1x</h2>{_curves(report)}"
        "<h2>Resampled histories</h2><p class=quiet>Blocks of consecutive bars drawn with replacement: what "
        "the same edge could have brought with other luck.</p>"
        + html_table(
            ("strategy", "costs", "total return, 5th to 95th percentile", "fall that 5 % exceed"),
            resampled,
            ours="model",
        )
        + f"<h2>How</h2>{html_facts(report.facts)}"
    )
    return page(report.title, body)


def _sharpe(one: Performance) -> str:
    if one.sharpe is None:
        return "–"
    return f"{one.sharpe:.2f} [{one.sharpe_low:.2f}, {one.sharpe_high:.2f}]"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _curves(report: BacktestReport) -> str:
    chosen = np.unique(np.linspace(0, report.times_ns.size - 1, MOST_POINTS).astype(int))
    years = 1970.0 + report.times_ns[chosen] / YEAR_NS
    curves = [
        Curve(name=name, points=tuple(zip(years.tolist(), wealth[chosen].tolist(), strict=True)))
        for name, wealth in report.wealth.items()
    ]
    return html_figure(
        curve_chart(curves, x_name="year", y_name="wealth"), "Starts at 1; each fill at the next bar's open."
    )


__all__ = ["BacktestReport", "report_html", "report_json"]
