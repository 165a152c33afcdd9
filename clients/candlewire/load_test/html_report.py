"""The report of a load as one HTML file that needs nothing else."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from candlewire.load_test.charts import Axis, Series, line_chart
from candlewire.load_test.plan import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterable

    from candlewire.load_test.crew import LoadResult
    from candlewire.load_test.find_rate import FoundRate

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
svg { width: 100%; margin: 1rem 0; }
svg text { font-size: 12px; }
svg text:not([fill]) { fill: currentColor; }
svg .title { font-weight: 600; } svg .grid { stroke: #8884; }
.warning { border-left: 4px solid #d1495b; padding: .5rem 1rem; }
"""
# Steps of the percentile axis: each tick is ten times as rare as the one before.
CURVE = (0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.999)
ANSWERS = {
    Scenario.SCORING: "scores",
    Scenario.BARS_TO_SIGNAL: "signals",
    Scenario.FAN_OUT: "signals to all subscribers",
}
LATE = (
    "The generator itself was late, so the latencies say little of the server: lower the rate, use more "
    "processes, or run the load from another machine."
)

METHOD = (
    "Latency counts from the moment a request was due, so what delays the sending counts too (no coordinated "
    "omission). Percentiles come from a histogram with a relative error below 1 %."
)


def html_report(result: LoadResult, *, found: FoundRate | None = None) -> str:
    """The whole document.

    Args:
        result: The load to show; of a search, the best one.
        found: The search, when there was one.
    """
    plan, summary = result.plan, result.summary
    title = f"Load test: {plan.scenario.value}"
    facts = [
        ("arrivals", f"{plan.arrivals.value}, {plan.rate:,.0f}/s for {plan.duration_s:g} s"),
        ("sent", f"{summary.sent:,}"),
        (ANSWERS[plan.scenario], f"{summary.answered:,} in {summary.answering_s:,.1f} s"),
        ("goodput", f"{summary.answered_rate:,.0f}/s"),
        ("failed", ", ".join(f"{count:,} {code}" for code, count in summary.failed.items()) or "none"),
        ("mean latency", microseconds(summary.mean_us)),
        ("generator late, p99", microseconds(summary.late_p99_us)),
        ("processes", f"{plan.workers}"),
    ]
    body = [f"<h1>{escape(title)}</h1>"]
    if summary.generator_late:
        body.append(f'<p class="warning">{LATE}</p>')
    if found is not None:
        body.append(_search(found))
    body += [
        _table((), facts),
        "<h2>Latency from the due time</h2>",
        _table(
            ("percentile", "latency"),
            [(name, microseconds(value)) for name, value in summary.latency_us.items()],
        ),
        _percentile_chart(result),
        "<h2>Over time</h2>",
        *_time_charts(result),
        f"<p>{METHOD}</p>",
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n'
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def microseconds(value_us: float) -> str:
    """A latency for people."""
    return "–" if math.isnan(value_us) else f"{value_us:,.0f} µs"


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["<table>"]
    if header:
        lines.append("<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in header) + "</tr>")
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return "\n".join([*lines, "</table>"])


def _percentile_chart(result: LoadResult) -> str:
    latency = result.tally.latency
    # A percentile that fewer than one answer lies above says nothing.
    shown = [percent for percent in CURVE if latency.count * (100.0 - percent) >= 100.0]
    points = tuple((100.0 / (100.0 - percent), latency.percentile_us(percent)) for percent in shown)
    ticks = [
        (1.0, "0"),
        (2.0, "50"),
        (10.0, "90"),
        (100.0, "99"),
        (1e3, "99.9"),
        (1e4, "99.99"),
        (1e5, "99.999"),
    ]
    x_axis = Axis(
        label="percentile",
        logarithmic=True,
        ticks=tuple(tick for tick in ticks if points and tick[0] <= points[-1][0]),
    )
    return line_chart(
        "Latency by percentile",
        [Series(name="latency", points=points)],
        x_axis,
        Axis(label="µs", logarithmic=True),
    )


def _time_charts(result: LoadResult) -> list[str]:
    moments, time = result.moments, Axis(label="seconds into the load")
    rate = Series(name="answers", points=tuple((m.at_s, m.answered_rate) for m in moments))
    failed = Series(name="failures", points=tuple((m.at_s, float(m.failed)) for m in moments))
    latencies = [
        Series(name="p50", points=tuple((m.at_s, m.p50_us) for m in moments)),
        Series(name="p99", points=tuple((m.at_s, m.p99_us) for m in moments)),
        Series(name="generator late, p99", points=tuple((m.at_s, m.late_p99_us) for m in moments)),
    ]
    charts = [
        line_chart("Answers per second", [rate], time, Axis(label="answers/s")),
        line_chart("Latency", latencies, time, Axis(label="µs", logarithmic=True)),
    ]
    if result.summary.failed:
        charts.append(line_chart("Failures", [failed], time, Axis(label="failures an interval")))
    return charts


def _search(found: FoundRate) -> str:
    rows = [
        (
            f"{step.result.plan.rate:,.0f}",
            f"{step.result.summary.answered_rate:,.0f}",
            microseconds(step.result.summary.latency_us["p50"]),
            microseconds(step.result.summary.latency_us["p99"]),
            "yes" if step.kept else step.reason,
        )
        for step in found.steps
    ]
    # Of a rate that was tried twice the second try decided.
    decided = {step.result.plan.rate: step.result.summary.latency_us["p99"] for step in found.steps}
    chart = line_chart(
        "p99 by rate",
        [Series(name="p99", points=tuple(sorted(decided.items())))],
        Axis(label="asked rate, /s", logarithmic=True),
        Axis(label="µs", logarithmic=True),
    )
    header = ("asked /s", "answered /s", "p50", "p99", "target kept")
    return f"<p>{escape(describe_found(found))}</p>{_table(header, rows)}{chart}<h2>The best load</h2>"


def describe_found(found: FoundRate) -> str:
    """One sentence on what the search found."""
    target = f"p99 ≤ {found.p99_ms:g} ms"
    if not found.rate:
        text = f"no rate tried keeps {target}"
    else:
        text = f"{found.rate:,.0f}/s is the highest rate found that keeps {target}"
    if found.limited_by_generator:
        text += "; the generator was late itself above it, so the server may do more"
    return text
