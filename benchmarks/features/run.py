"""Measures the indicators beside TA-Lib, kand, polars-talib and pandas-ta-classic, taking turns in one run.

Times are the thread's own on the processor. Every side takes its turn in each round, so that a busy moment of
the machine hits all of them. Each round begins with another side, and each turn with a call that does not
count, so that nobody pays for the caches as the one before left them. A figure is the median over the rounds,
a ratio that of the rounds' ratios.

    python benchmarks/features/run.py [--rounds 31] [--quick] [--output benchmarks/reports]

Writes `features.md`, `features.json` and the plot `features.svg`. A library takes part where it is installed;
`make bench-features` installs the group `bench`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import candlewire_features as cf
import candlewire_features.talib as ours
import numpy as np
import talib
from other_libraries import calls
from report import markdown, plot

if TYPE_CHECKING:
    from collections.abc import Callable

BARS = 20_000
# Symbols of a panel, and threads that work on it.
PANELS = ((512, 1), (2_000, 1), (5_000, 1), (5_000, 2))
HISTORIES, HISTORY_BARS = 439, 1_008
CALLS: dict[str, tuple[str, ...]] = {
    "RSI": ("close",),
    "MACD": ("close",),
    "BBANDS": ("close",),
    "ATR": ("high", "low", "close"),
    "ADX": ("high", "low", "close"),
    "EMA": ("close",),
    "STOCH": ("high", "low", "close"),
    "CCI": ("high", "low", "close"),
    "MFI": ("high", "low", "close", "volume"),
    "SMA": ("close",),
    "ROC": ("close",),
    "OBV": ("close", "volume"),
    "STDDEV": ("close",),
    "WILLR": ("high", "low", "close"),
    "NATR": ("high", "low", "close"),
    "TRANGE": ("high", "low", "close"),
    "WMA": ("close",),
    "DEMA": ("close",),
    "TEMA": ("close",),
    "MOM": ("close",),
    "AROON": ("high", "low"),
    "AD": ("high", "low", "close", "volume"),
    "ADOSC": ("high", "low", "close", "volume"),
    "BOP": ("open", "high", "low", "close"),
    "LINEARREG": ("close",),
    "SAR": ("high", "low"),
}
# On these the special series are measured one by one too: a recursion, a window of extremes, one of moments.
ALONE = ("RSI", "MACD", "BBANDS", "ATR", "ADX", "EMA", "STOCH", "CCI", "MFI")


def random_walk(bars: int, seed: int) -> dict[str, Any]:
    """Bars of one symbol, a minute apart."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.01, bars)))
    opening = close * np.exp(random.normal(0, 0.003, bars))
    spread = np.abs(random.normal(0, 0.003, (2, bars)))
    return {
        "open_time_ns": np.arange(bars, dtype=np.int64) * 60_000_000_000,
        "open": opening,
        "high": np.maximum(opening, close) * np.exp(spread[0]),
        "low": np.minimum(opening, close) * np.exp(-spread[1]),
        "close": close,
        "volume": random.lognormal(10, 1, bars),
    }


def special_walks(bars: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Walks on which careless arithmetic slows down."""
    names = ("open", "high", "low", "close")
    flat = {name: np.full(BARS, 100.0) for name in names} | {"volume": np.zeros(BARS)}
    tail = {name: np.where(np.arange(BARS) < 200, bars[name], 100.0) for name in names}
    tiny = {name: bars[name] * 1e-310 for name in names} | {"volume": bars["volume"] * 1e-310}
    outlier = {name: np.where(np.arange(BARS) == 500, 1e8, bars[name]) for name in names}
    times = {"open_time_ns": bars["open_time_ns"]}
    return {
        "normal": bars,
        "flat": bars | flat,
        "flat after 200 bars": bars | tail,
        "denormal": bars | tiny | times,
        "outlier": bars | outlier,
    }


def turns(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each side in each round, after one round that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            side = sides[name]
            repeat = 1 if name == "pandas-ta-classic" else 3
            side()
            start = time.thread_time_ns()
            for _ in range(repeat):
                side()
            spent = (time.thread_time_ns() - start) / repeat / 1e9
            if number:
                seconds[name].append(spent)
    return seconds


def batch(rounds: int) -> list[dict[str, Any]]:
    """Nanoseconds per bar of each function in each library."""
    bars = random_walk(BARS, 7)
    rows = []
    for name, columns in CALLS.items():
        arrays = [bars[column] for column in columns]
        sides = {
            "candlewire": partial(getattr(ours, name), *arrays),
            "TA-Lib": partial(getattr(talib, name), *arrays),
        } | calls(name, bars)
        seconds = turns(sides, rounds)
        rows.append(
            {
                "function": name,
                "ns_per_bar": {
                    side: statistics.median(spent) / BARS * 1e9 for side, spent in seconds.items()
                },
                "ratio_to_candlewire": {
                    side: statistics.median(
                        their / our for their, our in zip(spent, seconds["candlewire"], strict=True)
                    )
                    for side, spent in seconds.items()
                },
            }
        )
    return rows


def special(rounds: int) -> list[dict[str, Any]]:
    """Time of the whole `full` preset on special series, relative to the normal one."""
    spec = cf.FeatureSpec.preset("full")
    walks = special_walks(random_walk(BARS, 7))
    sides = {name: partial(cf.compute, bars, spec) for name, bars in walks.items()}
    seconds = turns(sides, max(3, rounds // 4))
    return [
        {
            "series": name,
            "ratio_to_normal": statistics.median(
                own / normal for own, normal in zip(spent, seconds["normal"], strict=True)
            ),
        }
        for name, spent in seconds.items()
    ]


def special_alone(rounds: int) -> list[dict[str, Any]]:
    """Time of single functions on special series, relative to the normal one, ours and TA-Lib's."""
    walks = special_walks(random_walk(BARS, 7))
    rows = []
    for name in ALONE:
        for library, module in (("candlewire", ours), ("TA-Lib", talib)):
            function = getattr(module, name)
            sides: dict[str, Callable[[], object]] = {
                series: partial(function, *(bars[column] for column in CALLS[name]))
                for series, bars in walks.items()
            }
            seconds = turns(sides, max(3, rounds // 2))
            ratios = {
                series: statistics.median(
                    own / normal for own, normal in zip(spent, seconds["normal"], strict=True)
                )
                for series, spent in seconds.items()
            }
            rows.append({"function": name, "library": library, "ratio_to_normal": ratios})
    return rows


def panel(updates: int) -> list[dict[str, Any]]:
    """Nanoseconds per symbol and feature of one bar for every symbol; wall clock where threads share it."""
    rows = []
    bars = random_walk(BARS, 8)
    for preset in ("core", "full"):
        spec = cf.FeatureSpec.preset(preset)
        for symbols, threads in PANELS:
            clock = time.thread_time_ns if threads == 1 else time.perf_counter_ns
            streams = cf.Panel(spec, [f"S{symbol}" for symbol in range(symbols)], threads=threads)
            index = np.arange(symbols, dtype=np.int64)
            starts = np.random.default_rng(9).integers(0, BARS - updates - 1, symbols)
            out = np.empty((symbols, len(spec)))
            spent = []
            for update in range(updates):
                columns = [
                    np.ascontiguousarray(bars[name][starts + update])
                    for name in ("open", "high", "low", "close", "volume")
                ]
                times = np.full(symbols, update * 60_000_000_000, dtype=np.int64)
                start = clock()
                streams.update(index, times, *columns, out)
                spent.append(clock() - start)
            warm = spent[updates // 2 :]
            rows.append(
                {
                    "preset": preset,
                    "symbols": symbols,
                    "threads": threads,
                    "features": len(spec),
                    "ns_per_symbol_feature": statistics.median(warm) / symbols / len(spec),
                    "bytes_per_symbol": spec.series_bytes,
                }
            )
    return rows


def call_overhead(rounds: int) -> float:
    """Microseconds of a panel update of one symbol with the cheapest spec: what a call costs."""
    panel_of_one = cf.Panel(cf.FeatureSpec([("bop", "bop")]), ["A"])
    bars = random_walk(rounds * 100, 3)
    index, out = np.zeros(1, dtype=np.int64), np.empty((1, 1))
    spent = []
    names = ("open_time_ns", "open", "high", "low", "close", "volume")
    for bar in range(rounds * 100):
        columns = [bars[name][bar : bar + 1] for name in names]
        start = time.perf_counter_ns()
        panel_of_one.update(index, *columns, out)
        spent.append(time.perf_counter_ns() - start)
    return statistics.median(spent) / 1e3


def whole_histories() -> dict[str, Any]:
    """Seconds of wall clock for many histories on two threads."""
    spec = cf.FeatureSpec.preset("full")
    histories = [random_walk(HISTORY_BARS, seed) for seed in range(HISTORIES)]
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            for _features in pool.map(lambda bars: cf.compute(bars, spec), histories):
                pass
        best = min(best, time.perf_counter() - start)
    return {"symbols": HISTORIES, "bars": HISTORY_BARS, "features": len(spec), "seconds": best}


def main() -> None:
    """Runs everything and writes both reports."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--quick", action="store_true", help="few rounds: does it run at all?")
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--output", type=Path, default=root / "benchmarks" / "reports")
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else arguments.rounds
    results = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "load_average_at_start": os.getloadavg()[0],
            "python": platform.python_version(),
            "numpy": np.__version__,
            "talib": talib.__version__,
        },
        "bars": BARS,
        "rounds": rounds,
        "batch": batch(rounds),
        "special_series": special(rounds),
        "special_series_alone": special_alone(rounds),
        "panel": panel(20 if arguments.quick else 200),
        "call_overhead_us": call_overhead(rounds),
        "whole_histories": whole_histories(),
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "features.json").write_text(json.dumps(results, indent=1) + "\n")
    text = markdown(results)
    (arguments.output / "features.md").write_text(text)
    plot(results, arguments.output / "features.svg")
    print(text)


if __name__ == "__main__":
    main()
