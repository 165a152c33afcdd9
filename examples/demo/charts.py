"""The report's charts, as inline SVG."""

import io
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from examples.demo.evaluation import ReliabilityBin

Floats = NDArray[np.float64]

INK, MUTED, ACCENT, BAND, GRID = "#1f2933", "#7b8794", "#0b6e99", "#9fd3e8", "#e4e7eb"
mpl.rcParams.update(
    {
        "axes.edgecolor": MUTED,
        "axes.grid": True,
        "axes.labelcolor": INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "font.family": "sans-serif",
        "font.size": 9.5,
        "grid.color": GRID,
        "legend.frameon": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "candlewire",
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
    }
)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def price_with_band(
    symbol: str, times: NDArray[np.datetime64], close: Floats, low: Floats, high: Floats
) -> str:
    """Closes, and for each the band that was issued `horizon` bars before (NaN where there was none)."""
    figure = Figure(figsize=(9.4, 3.2))
    axes = figure.subplots()
    axes.fill_between(
        times, low, high, color=BAND, alpha=0.55, linewidth=0, label="band, issued a horizon before"
    )
    axes.plot(times, close, color=INK, linewidth=1.0, label="close")
    outside = (close < low) | (close > high)
    axes.plot(times[outside], close[outside], ".", color="#c0392b", markersize=4, label="outside")
    axes.set_ylabel(f"{symbol}, USD")
    axes.margins(x=0)
    axes.legend(loc="upper left", ncols=3, fontsize=8.5)
    return _svg(figure)


def reliability(bins: Sequence[ReliabilityBin], base_rate: float) -> str:
    """What P(up) said against how often the price rose, with binomial 95 % ranges."""
    figure = Figure(figsize=(4.6, 3.4))
    axes = figure.subplots()
    said = np.array([item.predicted for item in bins])
    happened = np.array([item.observed for item in bins])
    error = 1.96 * np.sqrt(happened * (1 - happened) / np.array([item.rows for item in bins]))
    lowest = float(min(said.min(), (happened - error).min())) - 0.02
    highest = float(max(said.max(), (happened + error).max())) + 0.02
    axes.plot([lowest, highest], [lowest, highest], "--", color=MUTED, linewidth=1, label="perfect")
    axes.axhline(base_rate, color=MUTED, linewidth=0.8, linestyle=":", label="training base rate")
    axes.errorbar(
        said, happened, yerr=error, fmt="o", color=ACCENT, markersize=5, capsize=2, label="observed"
    )
    axes.set_xlabel("P(up) as scored")
    axes.set_ylabel("share that rose")
    axes.set_ylim(lowest, highest)
    axes.legend(fontsize=8.5)
    return _svg(figure)


def rolling_coverage(times: NDArray[np.datetime64], covered: Floats, target: float, window: int) -> str:
    """Coverage by day, smoothed over a window, against the long-run target."""
    figure = Figure(figsize=(4.6, 3.4))
    axes = figure.subplots()
    days, inverse = np.unique(times, return_inverse=True)
    daily = np.bincount(inverse, weights=covered) / np.bincount(inverse)
    running = np.cumsum(daily) / np.arange(1, daily.size + 1)
    if daily.size > window:
        smooth = np.convolve(daily, np.ones(window) / window, mode="valid")
        axes.plot(days[window - 1 :], smooth, color=ACCENT, linewidth=1.2, label=f"{window}-day mean")
    axes.plot(days, running, color=INK, linewidth=1.2, label="so far")
    axes.axhline(target, color="#c0392b", linewidth=1, linestyle="--", label="target")
    axes.set_ylabel("share inside the band")
    axes.set_ylim(min(0.6, float(daily.mean()) - 0.2), 1.01)
    axes.tick_params(axis="x", rotation=30)
    axes.legend(fontsize=8.5, loc="lower left")
    return _svg(figure)


def latency(milliseconds: dict[str, Floats]) -> str:
    """Cumulative share of calls by latency, log scale."""
    figure = Figure(figsize=(9.4, 2.8))
    axes = figure.subplots()
    for (name, values), color in zip(milliseconds.items(), (ACCENT, INK, MUTED), strict=False):
        ordered = np.sort(values)
        axes.plot(ordered, np.linspace(0, 100, ordered.size), color=color, linewidth=1.4, label=name)
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds, log scale")
    axes.set_ylabel("% of calls")
    axes.legend(fontsize=8.5, loc="lower right")
    return _svg(figure)
