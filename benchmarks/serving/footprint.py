"""`make bench-footprint`: how soon a server is ready, and the memory of many series."""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import candlewire_features as cf
import grpc
from candlewire_proto.v1 import bars_pb2, bars_pb2_grpc, signals_pb2, signals_pb2_grpc
from machine import describe_machine, load_average
from processes import ROOT, BenchmarkError, build, candlewire_server, resident_mb
from report import Report, Target
from speed_model import VERSION, make_speed_model

if TYPE_CHECKING:
    from collections.abc import Iterator

SYMBOLS = 5_000
HOUR_NS = 3_600 * 10**9
TIMEFRAMES_NS = {"1h": HOUR_NS, "1d": 24 * HOUR_NS}
STARTS = 5
ASKED_TOGETHER = 500


def main() -> int:
    """Measures, prints and writes the report; returns the exit code."""
    try:
        build()
        with tempfile.TemporaryDirectory() as folder:
            report = measure(Path(folder))
    except BenchmarkError as error:
        sys.stderr.write(f"bench-footprint: {error}\n")
        return 1
    report.write(ROOT / "benchmarks" / "reports", "footprint", plotted=False)
    sys.stdout.write(report.markdown())
    return 0


def measure(folder: Path) -> Report:
    """Starts servers, fills one, and starts that again."""
    report = Report(
        machine=describe_machine(),
        model="300 trees of depth 6 on 64 features; for many series the preset `full` on 1h and on 1d",
        rounds=STARTS,
        load_average=load_average(),
        title="Serving: start and memory",
    )
    make_speed_model(folder / "one")
    ready_s = []
    for _ in range(STARTS):
        began_s = time.perf_counter()
        with candlewire_server(folder / "one", folder / "started"):
            ready_s.append(time.perf_counter() - began_s)
    report.targets.append(Target(name="start with one model", measured=median(ready_s), limit=1, unit="s"))
    store = make_stores(folder)
    journal = ("--accept-unknown-symbols", "--journal", str(folder / "journal"), "--journal-fsync", "never")
    with candlewire_server(store, folder / "many", *journal) as (server, addresses):
        empty_mb = resident_mb(server.pid)
        publish(addresses["data"])
        filled_mb = resident_mb(server.pid)
        if latest(addresses["data"]) != SYMBOLS * len(TIMEFRAMES_NS):
            raise BenchmarkError("not every series has a score")
    began_s = time.perf_counter()
    with candlewire_server(store, folder / "many", *journal) as (server, addresses):
        restored_s = time.perf_counter() - began_s
        restored_mb = resident_mb(server.pid)
        if latest(addresses["data"]) != SYMBOLS * len(TIMEFRAMES_NS):
            raise BenchmarkError("not every series was restored")
    series = f"{SYMBOLS:,} symbols on {len(TIMEFRAMES_NS)} timeframes"
    report.targets += [
        Target(name=f"{series}: resident memory", measured=filled_mb, limit=300, unit="MB"),
        Target(name=f"{series}: resident memory after a restart", measured=restored_mb, limit=300, unit="MB"),
        Target(name=f"{series}: start from their snapshot", measured=restored_s, limit=3, unit="s"),
    ]
    starts = ", ".join(f"{seconds:.2f}" for seconds in ready_s)
    report.notes.append(f"Resident before the first bar: {empty_mb:.0f} MB. Starts, seconds: {starts}.")
    return report


def make_stores(folder: Path) -> Path:
    """A model for each timeframe, with the preset `full`."""
    store = folder / "store"
    spec = cf.FeatureSpec.preset("full")
    for timeframe in TIMEFRAMES_NS:
        make_speed_model(store, name=f"full_{timeframe}", timeframe=timeframe, spec=spec)
    deployment = {
        "format_version": 1,
        "default_model": "full_1d",
        "models": {f"full_{timeframe}": {"production": VERSION} for timeframe in TIMEFRAMES_NS},
        "routes": [{"model": f"full_{timeframe}", "timeframe": timeframe} for timeframe in TIMEFRAMES_NS],
    }
    (store / "deployment.json").write_text(json.dumps(deployment), encoding="utf-8")
    return store


def publish(target: str) -> None:
    """As many bars of every series as make every feature warm, and some.

    Raises:
        BenchmarkError: A bar was not taken in.
    """
    bars = cf.FeatureSpec.preset("full").warmup_bars + 3
    symbols = [f"S{symbol}" for symbol in range(SYMBOLS)]

    def history() -> Iterator[bars_pb2.PublishRequest]:
        for number in range(1, bars + 1):
            for timeframe, length_ns in TIMEFRAMES_NS.items():
                for index, symbol in enumerate(symbols):
                    price = 100 + 3 * math.sin(number * 0.7 + index)
                    yield bars_pb2.PublishRequest(
                        bar=bars_pb2.Bar(
                            symbol=symbol,
                            timeframe=timeframe,
                            open_time_ns=number * length_ns,
                            open=price - 0.5,
                            high=price + 1,
                            low=price - 1,
                            close=price,
                            volume=1_000 + number,
                            is_final=True,
                        )
                    )

    with grpc.insecure_channel(target) as channel:
        for answer in bars_pb2_grpc.BarServiceStub(channel).Publish(history()):
            if answer.fate != bars_pb2.BAR_FATE_ACCEPTED:
                raise BenchmarkError(f"a bar was not taken in: {answer}")


def latest(target: str) -> int:
    """How many series have a score."""
    scored = 0
    with grpc.insecure_channel(target) as channel:
        stub = signals_pb2_grpc.SignalServiceStub(channel)
        for first in range(0, SYMBOLS, ASKED_TOGETHER):
            symbols = [f"S{symbol}" for symbol in range(first, first + ASKED_TOGETHER)]
            signals = stub.GetLatest(signals_pb2.GetLatestRequest(symbols=symbols)).signals
            scored += sum(bool(signal.score.probabilities) for signal in signals)
    return scored


if __name__ == "__main__":
    sys.exit(main())
