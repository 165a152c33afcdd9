"""Measures `candlewire score-file` on a large Parquet file: time, memory, and where the time goes.

Makes a model of 300 trees of depth 6 over 64 features and a file of as many rows as asked for in a temporary
folder, scores it with the command as a user would, and removes both. The rows are features of consecutive
bars from the folder that CANDLEWIRE_REAL_DATA names, repeated with small changes; without it a random walk.

    python benchmarks/trees/score_file.py [--rows 24000000] [--threads 2] [--output benchmarks/reports]

Writes `score_file.md` and `score_file.json`.
"""

import argparse
import importlib.metadata
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import report
import row_sets
from models import F32

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "serving"))
from speed_model import FEATURES, NAME, make_speed_model  # noqa: E402

ROWS_PER_GROUP = 1 << 20
MINUTE_NS = 60_000_000_000
SUMMARY = re.compile(
    r"(?P<rows>\d+) rows .* in (?P<elapsed_s>[\d.]+) s .*; (?P<threads>\d+) threads spent "
    r"(?P<read_s>[\d.]+) s reading, (?P<score_s>[\d.]+) s scoring, (?P<write_s>[\d.]+) s writing"
)


def write_rows(path: Path, rows: int, base: F32) -> None:
    """Writes a file of `rows` rows: those of `base` over and over, each time a little changed."""
    import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415 - takes long
    import pyarrow.parquet as pq  # type: ignore[import-untyped]  # noqa: PLC0415 - takes long

    names = [f"log_return_{lag}" for lag in range(1, FEATURES + 1)]
    schema = pa.schema([("open_time_ns", pa.int64()), *((name, pa.float32()) for name in names)])
    random = np.random.default_rng(11)
    with pq.ParquetWriter(path, schema, compression="snappy") as writer:
        for start in range(0, rows, ROWS_PER_GROUP):
            count = min(ROWS_PER_GROUP, rows - start)
            part = base[(start + np.arange(count)) % len(base)]
            part *= 1 + np.float32(0.01) * random.standard_normal((count, 1), dtype=np.float32)
            columns = [pa.array(np.arange(start, start + count) * MINUTE_NS)]
            columns += [pa.array(np.ascontiguousarray(part[:, at])) for at in range(FEATURES)]
            writer.write_table(pa.table(columns, schema=schema), row_group_size=ROWS_PER_GROUP)


def run_command(arguments: list[str]) -> dict[str, float]:
    """Runs the command; gives its summary, its seconds on clock and processors, its largest memory in MiB."""
    command = [str(Path(sys.executable).parent / "candlewire"), "score-file", *arguments]
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    memory_mib = 0.0
    while process.poll() is None:
        memory_mib = max(memory_mib, _peak_memory_mib(process.pid))
        time.sleep(0.02)
    elapsed_s = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    errors = process.stderr.read() if process.stderr else ""
    found = SUMMARY.search(" ".join(errors.split()))
    if process.returncode != 0 or found is None:
        raise SystemExit(f"score-file ended with status {process.returncode}: {errors}")
    return {
        **{name: float(value) for name, value in found.groupdict().items()},
        "command_s": elapsed_s,
        "processor_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "memory_mib": memory_mib,
    }


def _peak_memory_mib(pid: int) -> float:
    """The process's own peak: `ru_maxrss` would also count what its parent held when it was forked."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return float(peaks[0]) / 1024 if peaks else 0.0


def measure(rows: int, threads: int, repeats: int) -> dict[str, Any]:
    """Makes model and file, scores with the kernel and without, gives the figures."""
    kind = row_sets.consecutive(FEATURES, 20_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = make_speed_model(folder / "store")
        # The model was trained on standard normal rows: the same spread here, so all of its nodes matter.
        base = (kind.test_rows - kind.test_rows.mean(axis=0)) / (kind.test_rows.std(axis=0) + 1e-9)
        source, target = folder / "rows.parquet", folder / "scores.parquet"
        write_rows(source, rows, np.ascontiguousarray(base, dtype=np.float32))
        runs = []
        common = ["--store", str(model.store), "--model", NAME, "--in", str(source), "--out", str(target)]
        for _ in range(repeats):
            for kernel in ("auto", "off"):
                limits = ["--threads", str(threads), "--tree-kernel", kernel, "--overwrite"]
                run = run_command([*common, *limits])
                runs.append({"tree_kernel": kernel, **run})
                told = ", ".join(
                    f"{name} {run[name]:.1f}" for name in ("command_s", "processor_s", "memory_mib")
                )
                print(f"tree_kernel {kernel}: {told}", flush=True)
        scored = pl.scan_parquet(target).select(pl.len()).collect().item()
        if scored != rows:
            raise SystemExit(f"{scored} rows were scored, {rows} are in the file")
        return {
            "rows": rows,
            "threads": threads,
            "row_kind": kind.description,
            "input_bytes": source.stat().st_size,
            "output_bytes": target.stat().st_size,
            "runs": runs,
        }


def markdown(outcome: dict[str, Any]) -> str:
    """The whole report."""
    machine = outcome["machine"]
    load = ", ".join(f"{value:.1f}" for value in outcome["load_average"])
    features = f"{outcome['rows'] / 1e6:g} million rows of {FEATURES} float32 features"
    sizes = [f"{outcome[name] / 1e9:.2f} GB" for name in ("input_bytes", "output_bytes")]
    lines = [
        "# Scoring a file",
        "",
        f"{machine['processor']}, {machine['cores']} cores, load average {load}.",
        "",
        f"`candlewire score-file`: {features}, 300 trees of depth 6, {outcome['threads']} threads.",
        f"Rows: {outcome['row_kind']}, each repeat a little changed.",
        f"Input {sizes[0]} of Parquet, output {sizes[1]}, both snappy.",
        "Seconds are of the whole command; reading, scoring and writing are shares of the threads' time.",
        "",
        "| trees on | seconds | on the processors | M rows/s | reading | scoring | writing | memory, MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    names = {"auto": "the tree kernel", "off": "ONNX Runtime"}
    for run in outcome["runs"]:
        busy = run["read_s"] + run["score_s"] + run["write_s"]
        shares = " | ".join(f"{100 * run[part] / busy:.0f} %" for part in ("read_s", "score_s", "write_s"))
        speed = run["rows"] / run["command_s"] / 1e6
        seconds = [f"{run[name]:.1f}" for name in ("command_s", "processor_s")]
        cells = [names[run["tree_kernel"]], *seconds, f"{speed:.2f}", shares]
        lines.append("| " + " | ".join([*cells, f"{run['memory_mib']:.0f}"]) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measures and writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=24_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "reports")
    arguments = parser.parse_args()
    outcome = {
        "machine": {"processor": report.processor(), "cores": os.cpu_count()},
        "versions": {"onnxruntime": importlib.metadata.version("onnxruntime")},
        "load_average": os.getloadavg(),
        **measure(arguments.rows, arguments.threads, arguments.repeats),
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "score_file.json").write_text(json.dumps(outcome, indent=1) + "\n")
    (arguments.output / "score_file.md").write_text(markdown(outcome))
    print(f"wrote {arguments.output / 'score_file.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
