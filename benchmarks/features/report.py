"""The report of the feature benchmark as Markdown."""

from __future__ import annotations

from typing import Any


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
    panel_heads = ["preset (features)", "symbols", "ns per symbol and feature", "bytes per symbol"]
    parts = [
        "# Features: measured speed\n",
        f"{processor}, {load}; {versions}.",
        f"Processor time of the thread, medians of {results['rounds']} rounds in turn.\n",
        f"## Batch, ns per bar ({results['bars']:,} bars, default parameters)\n",
        table(["function", *libraries, "TA-Lib / candlewire"], batch_rows),
        "## Streaming panel, one bar for every symbol, from Python\n",
        table(panel_heads, panel_rows),
        f"One call for one symbol and one cheap feature: {results['call_overhead_us']:.2f} µs.\n",
        "## `full` preset in batch on special series, time relative to the normal one\n",
        table(["series", "ratio"], special_rows),
        "## Whole histories\n",
        f"{size} on two threads: {history['seconds']:.2f} s of wall clock.\n",
    ]
    return "\n".join(parts)
