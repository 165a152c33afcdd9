"""The report of the feature benchmark as Markdown."""

from __future__ import annotations

import importlib.util
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; every column but the first is aligned to the right."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "|".join(["---"] + ["---:"] * (len(heads) - 1)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def markdown(results: dict[str, Any]) -> str:
    """All results, and how to read them."""
    machine = results["machine"]
    libraries = list(dict.fromkeys(side for row in results["batch"] for side in row["ns_per_bar"]))
    batch_rows = []
    for row in results["batch"]:
        times = row["ns_per_bar"]
        cells = [f"{times[side]:.2f}" if side in times else "–" for side in libraries]
        batch_rows.append([row["function"], *cells, f"{row['ratio_to_candlewire']['TA-Lib']:.2f}"])
    panel_rows = [
        [
            f"{row['preset']} ({row['features']})",
            f"{row['symbols']:,}",
            f"{row['threads']}",
            f"{row['ns_per_symbol_feature']:.2f}",
            f"{row['bytes_per_symbol']:,}",
        ]
        for row in results["panel"]
    ]
    special_rows = [[row["series"], f"{row['ratio_to_normal']:.2f}"] for row in results["special_series"]]
    history = results["whole_histories"]
    processor = f"{machine['processor']}, {machine['cores']} cores"
    load = f"load average {machine['load_average_at_start']:.1f} at the start"
    versions = f"Python {machine['python']}, NumPy {machine['numpy']}, TA-Lib {machine['talib']}"
    size = f"{history['symbols']} symbols × {history['bars']:,} bars × {history['features']} features"
    panel_heads = ["preset (features)", "symbols", "threads", "ns per symbol and feature", "bytes per symbol"]
    parts = [
        "# Features: measured speed\n",
        f"{processor}, {load}; {versions}.",
        f"Processor time of the thread, medians of {results['rounds']} rounds in turn.\n",
        f"## Batch, ns per bar ({results['bars']:,} bars, default parameters)\n",
        table(["function", *libraries, "TA-Lib / candlewire"], batch_rows),
        "Other library's time over ours, median of the functions that both have: " + summary(results) + ".\n",
        "## Streaming panel, one bar for every symbol, from Python\n",
        table(panel_heads, panel_rows),
        "Several threads: wall clock instead.\n",
        f"One call for one symbol and one cheap feature: {results['call_overhead_us']:.2f} µs.\n",
        "## `full` preset in batch on special series, time relative to the normal one\n",
        table(["series", "ratio"], special_rows),
        "## Single functions on special series, time relative to the normal one\n",
        special_table(results["special_series_alone"]),
        "## Whole histories\n",
        f"{size} on two threads: {history['seconds']:.2f} s of wall clock.\n",
    ]
    return "\n".join(parts)


def summary(results: dict[str, Any]) -> str:
    """One ratio per library."""
    ratios: dict[str, list[float]] = {}
    for row in results["batch"]:
        for side, ratio in row["ratio_to_candlewire"].items():
            ratios.setdefault(side, []).append(ratio)
    ratios.pop("candlewire", None)
    return ", ".join(f"{side} {statistics.median(own):.2f} (of {len(own)})" for side, own in ratios.items())


def special_table(rows: list[dict[str, Any]]) -> str:
    """Functions by series, ours beside TA-Lib's."""
    series = list(rows[0]["ratio_to_normal"])
    cells = [
        [f"{row['function']}, {row['library']}", *(f"{row['ratio_to_normal'][name]:.2f}" for name in series)]
        for row in rows
    ]
    return table(["function", *series], cells)


def plot(results: dict[str, Any], path: Path) -> None:
    """Each library's nanoseconds per bar, as a picture; nothing where matplotlib is not installed."""
    if not importlib.util.find_spec("matplotlib"):
        return
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "candlewire"
    from matplotlib import pyplot as plt  # noqa: PLC0415

    rows = results["batch"]
    libraries = list(dict.fromkeys(side for row in rows for side in row["ns_per_bar"]))
    figure, axes = plt.subplots(figsize=(11, 5), layout="constrained")
    for library in libraries:
        own = [
            (at, row["ns_per_bar"][library]) for at, row in enumerate(rows) if library in row["ns_per_bar"]
        ]
        axes.plot(*zip(*own, strict=True), "o", label=library, markersize=8 if library == "candlewire" else 5)
    axes.set_yscale("log")
    axes.set_ylabel("ns per bar, log scale")
    axes.set_xticks(range(len(rows)), [row["function"] for row in rows], rotation=60)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(ncols=len(libraries), loc="upper center", bbox_to_anchor=(0.5, 1.12), frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
