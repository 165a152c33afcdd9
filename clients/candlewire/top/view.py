"""How `candlewire top` looks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from candlewire.top.figures import FATES

if TYPE_CHECKING:
    from candlewire.top.coverage import PoolCoverage
    from candlewire.top.figures import Figures, Latency

# Recent coverage this far below its target deserves a look.
POOR_BY = 0.05


def view(
    target: str, figures: Figures, coverage: tuple[PoolCoverage, ...] | None, *, trouble: str = ""
) -> Group:
    """Everything on one screen.

    Args:
        target: Address of the metrics port.
        figures: What to show.
        coverage: Pools; None when the admin port does not answer.
        trouble: Why the figures are old; empty when they are fresh.
    """
    head = Text.assemble(
        (target, "bold"),
        f"   connections {figures.connections:,}   subscribers {figures.subscribers:,}"
        f"   outcomes {figures.outcomes:,}   over {figures.interval_s:.1f} s",
    )
    parts: list[Text | Table] = [head]
    if trouble:
        parts.append(Text(trouble, style="bold red"))
    blank = Text()
    parts += [blank, _latencies(figures), blank, _bars(figures), blank, _models(figures), blank]
    for entry in figures.models:
        rejected = ", ".join(f"{count:,} {reason}" for reason, count in entry.rejected.items())
        if rejected:
            parts.append(
                Text(f"rejected by {entry.model} {entry.version} since the start: {rejected}", style="yellow")
            )
    if figures.refused:
        refused = ", ".join(f"{count:,} {reason}" for reason, count in figures.refused.items())
        parts.append(Text(f"refused since the start: {refused}", style="yellow"))
    if coverage is None:
        parts.append(Text("coverage: the admin port does not answer; pass --admin HOST:PORT", style="dim"))
    elif coverage:
        parts.append(_coverage(coverage))
    else:
        parts.append(Text("coverage: no outcome yet", style="dim"))
    return Group(*parts)


def microseconds(value_us: float) -> str:
    """A duration, µs."""
    if math.isnan(value_us):
        return "–"
    return f"{value_us:,.1f}" if value_us < 100 else f"{value_us:,.0f}"


def _table(*columns: str) -> Table:
    """A table whose headings, and never its numbers, take a second line where the terminal is narrow."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", vertical="bottom")
    return table


def _latency_cells(latency: Latency) -> list[str]:
    return [microseconds(latency.mean_us), *map(microseconds, latency.percentiles_us)]


def _latencies(figures: Figures) -> Table:
    table = _table("", "per second", "mean µs", "p50", "p90", "p99")
    for name, latency in (("scores", figures.requests), ("bar to signal", figures.bar_to_signal)):
        table.add_row(name, f"{latency.rate:,.0f}", *_latency_cells(latency))
    return table


def _bars(figures: Figures) -> Table:
    table = _table("per second", *(fate.replace("_", " ") for fate in FATES), "signals", "dropped")
    rates = [*figures.bars_rate.values(), figures.signals_rate, figures.dropped_rate]
    table.add_row("bars", *(f"{rate:,.0f}" for rate in rates))
    return table


def _models(figures: Figures) -> Table:
    table = _table(
        "model",
        "rows/s",
        "batch",
        "waiting",
        "queue µs p50",
        "p99",
        "model µs p50",
        "p99",
        "rejected",
        "failed",
    )
    for entry in figures.models:
        rejected = sum(entry.rejected.values())
        table.add_row(
            f"{entry.model} {entry.version}",
            f"{entry.rows_rate:,.0f}",
            "–" if math.isnan(entry.batch_rows) else f"{entry.batch_rows:.1f}",
            f"{entry.waiting:.2f}",
            *(microseconds(entry.queue.percentiles_us[number]) for number in (0, 2)),
            *(microseconds(entry.inference.percentiles_us[number]) for number in (0, 2)),
            Text(f"{rejected:,}", style="yellow" if rejected else ""),
            Text(f"{entry.failures:,}", style="bold red" if entry.failures else ""),
        )
    return table


def _coverage(pools: tuple[PoolCoverage, ...]) -> Table:
    table = _table("band", "target", "achieved", "recent", "outcomes", "width ×", "hit rate")
    for pool in pools:
        poor = pool.recent_coverage < pool.target_coverage - POOR_BY
        table.add_row(
            f"{pool.model} {pool.asset_class} {pool.timeframe} +{pool.horizon_bars}",
            f"{pool.target_coverage:.0%}",
            f"{pool.achieved_coverage:.1%}",
            Text(f"{pool.recent_coverage:.1%}", style="yellow" if poor else ""),
            f"{pool.outcomes:,}",
            f"{pool.width_multiplier:.2f}",
            f"{pool.hit_rate:.1%}",
        )
    return table
