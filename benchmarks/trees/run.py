"""Measures the tree kernel beside ONNX Runtime, XGBoost, LightGBM and tl2cgen, taking turns in one run.

Times are the thread's own on the processor. Every side takes its turn in each round, so that a busy moment
of the machine hits all of them; a figure is the median of the rounds' ratios. Rows differ at every call, and
are of two kinds: independent normal ones, which no branch predictor learns, and consecutive bars' features,
where a branching kernel is at its best.

    python benchmarks/trees/run.py [--rounds 41] [--quick] [--output benchmarks/reports]

Writes `trees.md` and `trees.json`. Consecutive rows come from the folder that CANDLEWIRE_REAL_DATA names;
without it they are a slow random walk, and the report says so. LightGBM and tl2cgen take part where they are
installed (dependency group `bench`, which `make bench-trees` brings).
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
import report
import row_sets
from models import (
    F32,
    labels_of,
    lightgbm_onnx,
    many_trees,
    save,
    synthetic,
    train_lightgbm,
    train_xgboost,
    xgboost_onnx,
)

ROOT = Path(__file__).resolve().parents[2]
FEATURES = 64
BATCHES = (1, 8, 64, 1024)
MANY_TREES = 3_000
INSTRUCTIONS = ("portable", "avx2", "avx512")
# One turn should take about this long: more, and the scheduler takes the processor away in the middle.
TURN_NS = 1_500_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One model on one kind of rows."""

    name: str
    classes: int
    library: str
    row_kind: str


CASES = (
    Case(name="X2", classes=2, library="xgboost", row_kind="independent"),
    Case(name="X3", classes=3, library="xgboost", row_kind="independent"),
    Case(name="L3", classes=3, library="lightgbm", row_kind="independent"),
    Case(name="X2", classes=2, library="xgboost", row_kind="consecutive"),
    Case(name="X3", classes=3, library="xgboost", row_kind="consecutive"),
    Case(name="L3", classes=3, library="lightgbm", row_kind="consecutive"),
)

Timer = Callable[[int, int], float]
"""(batch, calls) -> nanoseconds."""


class RustSide:
    """The Rust program that times ONNX Runtime and the kernel."""

    def __init__(self, model: Path, rows: Path) -> None:
        library = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
        program = ROOT / "target" / "release" / "examples" / "measure_trees"
        self._process = subprocess.Popen(
            [program, model, rows, str(FEATURES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "ORT_DYLIB_PATH": str(library)},
        )
        self.info: dict[str, Any] = json.loads(self._read())

    def _read(self) -> str:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SystemExit(f"measure_trees ended with code {self._process.wait()}: see its message above")
        return line

    def timer(self, side: str) -> Timer:
        """A timer of one side of the program."""

        def time_calls(batch: int, calls: int) -> float:
            if self._process.stdin is None:
                raise SystemExit("measure_trees has no input")
            self._process.stdin.write(f"{side} {batch} {batch * calls}\n")
            self._process.stdin.flush()
            return float(self._read())

        return time_calls

    def close(self) -> None:
        """Ends the program."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def python_timer(rows: F32, predict: Callable[[F32], object]) -> Timer:
    """Times a Python call; the overhead of the call is part of it."""
    place = 0

    def time_calls(batch: int, calls: int) -> float:
        nonlocal place
        total = 0
        for _ in range(calls):
            place = 0 if place + batch > len(rows) else place
            part = rows[place : place + batch]
            place += batch
            start = time.thread_time_ns()
            predict(part)
            total += time.thread_time_ns() - start
        return float(total)

    return time_calls


def native_timers(case: Case, booster: Any, rows: F32, folder: Path) -> Iterable[tuple[str, Timer]]:  # noqa: ANN401
    """The library's own prediction, and tl2cgen's compiled trees for XGBoost, where they are installed."""
    if case.library == "lightgbm":
        yield (
            "lightgbm",
            python_timer(rows, lambda part: booster.predict(part, raw_score=True, num_threads=1)),
        )
        return
    booster.set_param({"nthread": 1})
    yield "xgboost", python_timer(rows, lambda part: booster.inplace_predict(part, predict_type="margin"))
    if case.classes > 2:
        return  # a C compiler takes minutes for 900 trees
    try:
        import tl2cgen  # noqa: PLC0415 - optional
        import treelite  # noqa: PLC0415 - optional
    except ImportError:
        return
    library = folder / f"{case.name}_{case.row_kind}.so"
    model = treelite.frontend.from_xgboost(booster)
    tl2cgen.export_lib(model, toolchain="gcc", libpath=library, params={"parallel_comp": 2}, nthread=1)
    predictor = tl2cgen.Predictor(library, nthread=1)
    yield (
        "tl2cgen",
        python_timer(rows, lambda part: predictor.predict(tl2cgen.DMatrix(part), pred_margin=True)),
    )


def calls_of_turn(timer: Timer, batch: int) -> int:
    """Calls that fill a turn, at least one."""
    timer(batch, 1)
    calls = 1
    while True:
        elapsed = timer(batch, calls)
        if elapsed >= TURN_NS / 4 or calls >= 100_000:
            return max(1, round(calls * TURN_NS / max(elapsed, 1.0)))
        calls *= 2


def measure(timers: dict[str, Timer], batch: int, rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds a row of each side, and how many times faster than ONNX Runtime: medians of the rounds."""
    calls = {side: calls_of_turn(timer, batch) for side, timer in timers.items()}
    per_row: dict[str, list[float]] = {side: [] for side in timers}
    for _ in range(rounds):
        for side, timer in timers.items():
            per_row[side].append(timer(batch, calls[side]) / (calls[side] * batch) / 1000)
    base = per_row["onnxruntime"]
    return {
        side: {
            "us_per_row": statistics.median(values),
            "times_onnxruntime": statistics.median(a / b for a, b in zip(base, values, strict=True)),
        }
        for side, values in per_row.items()
    }


def train(case: Case, rows: F32, score: F32) -> tuple[Any, Any]:
    """The case's booster and its ONNX model."""
    labels = labels_of(score, case.classes)
    if case.library == "lightgbm":
        booster = train_lightgbm(rows, labels, case.classes)
        return booster, lightgbm_onnx(booster, case.classes)
    booster = train_xgboost(rows, labels, case.classes)
    return booster, xgboost_onnx(booster, case.classes)


def run_case(case: Case, kind: row_sets.RowSet, rounds: int, folder: Path) -> dict[str, Any] | None:
    """Trains, checks and measures one case; None where its library is not installed."""
    try:
        booster, model = train(case, kind.train_rows, kind.train_score)
    except ImportError as error:
        print(f"{case.name}, {case.row_kind} rows: left out, {error}")
        return None
    path, rows_path = folder / f"{case.name}.onnx", folder / "rows.f32"
    save(model, path)
    kind.test_rows.tofile(rows_path)
    rust = RustSide(path, rows_path)
    sides = ["onnxruntime", *(f"{kind}-{name}" for kind in ("session", "kernel") for name in INSTRUCTIONS)]
    timers = {side: rust.timer(side) for side in sides}
    timers |= dict(native_timers(case, booster, kind.test_rows, folder))
    results = {}
    for batch in BATCHES:
        results[str(batch)] = measure(timers, batch, rounds)
        best = results[str(batch)]["session-avx512"]
        line = (
            f"{best['us_per_row']:8.3f} us/row in a session, {best['times_onnxruntime']:5.1f} x ONNX Runtime"
        )
        print(f"{case.name}, {case.row_kind} rows, batch {batch}: {line}", flush=True)
    rust.close()
    return {
        "case": case.name,
        "rows": kind.description,
        "row_kind": case.row_kind,
        **rust.info,
        "results": results,
    }


def measure_build(rows: F32, folder: Path) -> dict[str, float]:
    """Milliseconds to read a model of 3,000 trees and build its kernel."""
    path, rows_path = folder / "many.onnx", folder / "rows.f32"
    save(many_trees(FEATURES, MANY_TREES, 6, 255), path)
    rows.tofile(rows_path)
    rust = RustSide(path, rows_path)
    rust.close()
    print(f"{MANY_TREES} trees read and built in {rust.info['build_ms']:.1f} ms", flush=True)
    return {"trees": MANY_TREES, "build_ms": rust.info["build_ms"]}


def row_sets_of(quick: bool) -> dict[str, row_sets.RowSet]:  # noqa: FBT001
    """The two kinds of rows."""
    count = 4_000 if quick else 20_000
    train_rows, train_score = synthetic(count, FEATURES, seed=1)
    test_rows, _ = synthetic(32_768, FEATURES, seed=2)
    independent = row_sets.RowSet(
        train_rows=train_rows,
        train_score=train_score,
        test_rows=test_rows,
        description="independent standard normal rows",
    )
    return {"independent": independent, "consecutive": row_sets.consecutive(FEATURES, count)}


def main() -> int:
    """Builds the program, runs all cases and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=41)
    parser.add_argument(
        "--quick", action="store_true", help="small training sets: a check of the benchmark itself"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "reports")
    arguments = parser.parse_args()
    build = (
        "cargo build --release --quiet -p candlewire-trees --features ort-operator --example measure_trees"
    )
    subprocess.run(build.split(), check=True, cwd=ROOT)
    kinds = row_sets_of(arguments.quick)
    with tempfile.TemporaryDirectory() as folder:
        build_cost = measure_build(kinds["independent"].test_rows, Path(folder))
        cases = [run_case(case, kinds[case.row_kind], arguments.rounds, Path(folder)) for case in CASES]
    outcome = {
        "machine": {"processor": report.processor(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("onnxruntime", "xgboost-cpu", "lightgbm", "tl2cgen", "numpy")
            if importlib.util.find_spec(name.removesuffix("-cpu")) is not None
        },
        "load_average": os.getloadavg(),
        "rounds": arguments.rounds,
        "quick": arguments.quick,
        "build": build_cost,
        "cases": [case for case in cases if case is not None],
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "trees.json").write_text(json.dumps(outcome, indent=1) + "\n")
    (arguments.output / "trees.md").write_text(report.markdown(outcome))
    print(f"wrote {arguments.output / 'trees.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
