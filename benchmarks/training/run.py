"""Measures `candlewire train`: time and memory of a universe, of one symbol, and of a million bars.

Every case runs the command as a user would, in a process of its own. With CANDLEWIRE_REAL_DATA the universe
is `us_stocks_1d.parquet` of that folder and the one symbol is of it; without it both are random walks, and
the report says so. The million bars are random walks either way, over a feature spec of 100.

    python benchmarks/training/run.py [--only universe,symbol,million] [--output benchmarks/reports]

Writes `training.md` and `training.json`; a case that was not run keeps its last figures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "serving"))
from machine import describe_machine, load_average  # noqa: E402

DAY_NS = 86_400 * 10**9
STOCKS = "us_stocks_1d.parquet"
SYMBOL = "AAPL"
STACK = ("--members", "xgboost,lightgbm,random_forest", "--folds", "5")
FEATURES = 100
POLL_S = 0.02
COLUMNS = (
    "case",
    "bars",
    "labelled rows",
    "seconds",
    "asked",
    "on the processors",
    "memory, GB",
    "asked",
    "load before",
)
HEADER = """# Training

`candlewire train` from bars to a bundle that has passed its parity gate, as a process of its own. Memory is
the greatest sum of resident memory over the process and its children, read every 20 ms. "Load before" counts
what else ran on the machine: above 0 it takes from the seconds. Made by `benchmarks/training/run.py`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One command and what is asked of it."""

    name: str
    data: str
    arguments: tuple[str, ...]
    most_seconds: float | None
    most_gigabytes: float


def random_walks(symbols: int, bars: int) -> pl.DataFrame:
    """Daily bars whose direction nobody can foretell; volatility comes in slow waves."""
    random = np.random.default_rng(5)
    frames = []
    for number in range(symbols):
        wave = 0.02 * np.exp(0.6 * np.sin(np.arange(bars) / 40.0 + number))
        close = 100.0 * np.exp(np.cumsum(wave * random.standard_normal(bars)))
        opened = np.concatenate(([100.0], close[:-1])) * np.exp(0.2 * wave * random.standard_normal(bars))
        spread = np.exp(np.abs(0.5 * wave * random.standard_normal(bars)))
        frames.append(
            pl.DataFrame(
                {
                    "symbol": [f"W{number:04d}"] * bars,
                    "open_time_ns": 946_684_800 * 10**9 + DAY_NS * np.arange(bars, dtype=np.int64),
                    "open": opened,
                    "high": np.maximum(opened, close) * spread,
                    "low": np.minimum(opened, close) / spread,
                    "close": close,
                    "volume": random.uniform(1e5, 1e6, bars).round(),
                }
            )
        )
    return pl.concat(frames)


def hundred_features() -> str:
    """A feature spec of FEATURES: the preset `full`, and past returns until there are enough."""
    import candlewire_features as cf  # noqa: PLC0415 - only one case needs it

    spec = json.loads(cf.FeatureSpec.preset("full").canonical_json)
    named = {feature["name"] for feature in spec["features"]}
    lags = (lag for lag in range(1, 10_000) if f"log_return_{lag}" not in named)
    while len(spec["features"]) < FEATURES:
        lag = next(lags)
        spec["features"].append(
            {"name": f"log_return_{lag}", "kernel": "log_return", "parameters": {"timeperiod": lag}}
        )
    return json.dumps(spec)


def cases(folder: Path, only: list[str]) -> list[Case]:
    """The cases asked for; their files are made in `folder`."""
    real = os.environ.get("CANDLEWIRE_REAL_DATA")
    stocks = Path(real) / STOCKS if real else folder / "walks.parquet"
    if not real and {"universe", "symbol"} & set(only):
        random_walks(440, 1_000).write_parquet(stocks)
    told = "daily US stocks" if real else "random walks, as CANDLEWIRE_REAL_DATA is not set"
    result = []
    if "symbol" in only:
        one = folder / "one.parquet"
        symbol = SYMBOL if real else "W0000"
        pl.scan_parquet(stocks).filter(pl.col("symbol") == symbol).collect().write_parquet(one)
        result += [
            Case(
                name=f"one symbol: {name}",
                data=_told(one, told),
                arguments=("--bars", str(one), *arguments),
                most_seconds=20.0,
                most_gigabytes=4.0,
            )
            for name, arguments in (
                ("as it comes", ()),
                ("full preset, three members stacked, 5 folds", ("--preset", "full", *STACK)),
            )
        ]
    if "universe" in only:
        result.append(
            Case(
                name="universe: full preset, three members stacked, 5 folds",
                data=_told(stocks, told),
                arguments=("--bars", str(stocks), "--preset", "full", *STACK),
                most_seconds=600.0,
                most_gigabytes=4.0,
            )
        )
    if "million" in only:
        million, spec = folder / "million.parquet", folder / "hundred.json"
        random_walks(800, 1_250).write_parquet(million)
        spec.write_text(hundred_features())
        result.append(
            Case(
                name=f"a million bars, {FEATURES} features, one member",
                data=_told(million, "random walks"),
                arguments=("--bars", str(million), "--preset", str(spec)),
                most_seconds=None,
                most_gigabytes=4.0,
            )
        )
    return result


def _told(path: Path, kind: str) -> str:
    bars, symbols = pl.scan_parquet(path).select(pl.len(), pl.col("symbol").n_unique()).collect().row(0)
    return f"{symbols} symbols, {bars:,} bars: {kind}"


def measure(case: Case, store: Path) -> dict[str, Any]:
    """Runs the command; gives its seconds on clock and processors and its largest memory.

    Raises:
        SystemExit: The command failed.
    """
    command = [str(Path(sys.executable).parent / "candlewire"), "train", "--out", str(store)]
    began, load = time.perf_counter(), load_average()
    process = subprocess.Popen(
        [*command, "--bad-bars", "drop", *case.arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    memory, processor_s = 0.0, 0.0
    while process.poll() is None:
        family = _family(process.pid)
        memory = max(memory, sum(_resident_bytes(pid) for pid in family))
        processor_s = max(processor_s, sum(_processor_s(pid) for pid in family))
        time.sleep(POLL_S)
    seconds = time.perf_counter() - began
    said = process.stdout.read() if process.stdout else ""
    if process.returncode != 0:
        raise SystemExit(f"{case.name}: the command ended with status {process.returncode}: {said}")
    (manifest,) = store.glob("*/*/manifest.json")
    training = json.loads(manifest.read_text(encoding="utf-8"))["training"]
    return {
        "data": case.data,
        "arguments": [Path(part).name if "/" in part else part for part in case.arguments],
        "seconds": round(seconds, 1),
        "processor_s": round(processor_s, 1),
        "gigabytes": round(memory / 1e9, 2),
        "most_seconds": case.most_seconds,
        "most_gigabytes": case.most_gigabytes,
        "rows": sum(part["rows"] for part in training["parts"].values()),
        "weights": training["weights"],
        "load_average": round(load, 1),
        "said": [line for line in said.splitlines() if not line.startswith("bundle:")],
    }


def _family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        try:
            tasks = list(Path(f"/proc/{one}/task").iterdir())
            waiting += [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def _resident_bytes(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


def _processor_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(fields[place]) for place in (11, 12)) / os.sysconf("SC_CLK_TCK")


def report(outcome: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    machine = outcome["machine"]
    lines = [
        HEADER,
        f"{machine['processor']}, {machine['cores']} cores.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---" * len(COLUMNS) + "|",
    ]
    for name, one in outcome["cases"].items():
        asked = "-" if one["most_seconds"] is None else f"< {one['most_seconds']:.0f}"
        lines.append(
            f"| {name} | {one['data']} | {one['rows']:,} | **{one['seconds']:.0f}** | {asked} | "
            f"{one['processor_s']:.0f} | **{one['gigabytes']:.2f}** | < {one['most_gigabytes']:.0f} | "
            f"{one['load_average']:.1f} |"
        )
    for name, one in outcome["cases"].items():
        lines += ["", f"## {name}", "", f"`candlewire train {' '.join(one['arguments'])}`", "", "```"]
        lines += [*(line.rstrip() for line in one["said"]), "```"]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measures and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="universe,symbol,million")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "reports")
    arguments = parser.parse_args()
    file = arguments.output / "training.json"
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"cases": {}}
    measured: dict[str, Any] = before["cases"]
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, case in enumerate(cases(folder, arguments.only.split(","))):
            measured[case.name] = measure(case, folder / f"store{number}")
            told = {key: value for key, value in measured[case.name].items() if key != "said"}
            print(case.name, json.dumps(told), flush=True)
            # What is measured is kept, whatever becomes of the next case.
            outcome = {"machine": describe_machine(), "cases": measured}
            file.write_text(json.dumps(outcome, indent=1) + "\n", encoding="utf-8")
            (arguments.output / "training.md").write_text(report(outcome), encoding="utf-8")
    print(f"wrote {arguments.output / 'training.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
