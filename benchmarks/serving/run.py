"""`make bench-serving`: Candlewire beside its own echo and other servers, in turn, in one run."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import bars
import deliveries
import loads
import overload
import python_client
from fused_model import MEMBERS
from loads import Load
from machine import describe_machine, load_average
from peer_servers import GRPC_AIO, MLSERVER, TRITON, start_peers
from prepared import BATCH_ROWS, LARGE_TREES, Requests, prepare
from processes import (
    ROOT,
    SERVER_CORE,
    BenchmarkError,
    Peer,
    build,
    candlewire_server,
    echo_server,
    resident_mb,
)
from report import Report, Target
from speed_model import DEPTH, FEATURES, TREES

SCORE = "/candlewire.v1.ScoringService/Score"
SCORE_BATCH = "/candlewire.v1.ScoringService/ScoreBatch"
SCORE_STREAM = "/candlewire.v1.ScoringService/ScoreStream"
ONE, SOME, MANY = "one client", "4 x 8", overload.SATURATING
PYTHON = "Python client, one caller"
CANDLEWIRE, ECHO, CANDLEWIRE_LARGE = "Candlewire", "own echo (no model)", f"Candlewire, {LARGE_TREES:,} trees"
BEFORE = "Candlewire, tree kernel off"
BEFORE_LARGE = f"{CANDLEWIRE_LARGE}, tree kernel off"
AWAKE = "Candlewire, busy polling"
CANDLEWIRE_FUSED, BEFORE_FUSED = "Candlewire, fused", "Candlewire, fused, tree kernel off"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds to take the median of")
    parser.add_argument("--duration-ms", type=int, default=1_000, help="measured time of each load and round")
    parser.add_argument("--calls", type=int, default=3_000, help="calls of the Python client in a round")
    parser.add_argument("--without-peers", action="store_true", help="leave the other servers out")
    parser.add_argument(
        "--reports", type=Path, default=ROOT / "benchmarks" / "reports", help="folder of the report"
    )
    return parser.parse_args()


def main() -> int:
    """Measures, prints and writes the report; returns the exit code."""
    arguments = parse_arguments()
    try:
        build()
        with tempfile.TemporaryDirectory() as folder:
            report = measure(Path(folder), arguments)
    except BenchmarkError as error:
        sys.stderr.write(f"bench-serving: {error}\n")
        return 1
    report.write(arguments.reports, "serving")
    sys.stdout.write(report.markdown())
    return 0


def measure(folder: Path, arguments: argparse.Namespace) -> Report:
    """Runs every load on every server, round by round in turn."""
    rounds, duration_ms, calls = arguments.rounds, arguments.duration_ms, arguments.calls
    prepared = prepare(folder)
    model, body = prepared.small, prepared.requests.one
    row = model.rows[0]
    closed_loads = [
        loads.closed(ONE, 1, 1, duration_ms),
        loads.closed(SOME, 4, 8, duration_ms),
        loads.closed(MANY, 8, 32, duration_ms),
    ]
    # The echo has none of these.
    own_loads = [
        loads.stream(
            "bidirectional streams, 8 x 32",
            8,
            32,
            duration_ms,
            method=SCORE_STREAM,
            bodies=(prepared.streamed,),
        ),
        batches(prepared.requests, duration_ms),
        *bars.bar_loads(folder, duration_ms),
    ]
    fused_loads = [*closed_loads, batches(prepared.fused, duration_ms)]
    report = Report(
        machine=describe_machine(),
        model=(
            f"{TREES} trees of depth {DEPTH} on {FEATURES} features, {model.nodes:,} nodes, random rows; "
            f"fused: {', '.join(MEMBERS)} of {TREES} trees each, with band and interval, on sample bars"
        ),
        rounds=rounds,
        load_average=load_average(),
    )
    delivered = deliveries.prepare(folder, duration_ms)
    options = ("--accept-unknown-symbols",)
    with (
        candlewire_server(model.store, folder, *options) as (server, addresses),
        candlewire_server(model.store, folder / "before", *options, "--tree-kernel", "off") as (
            before,
            before_addresses,
        ),
        candlewire_server(model.store, folder / "awake", "--set", "server.busy_poll_us=20") as (
            awake,
            awake_addresses,
        ),
        echo_server() as (echo, echo_address),
        contextlib.ExitStack() as stack,
    ):
        ours = Peer(name=CANDLEWIRE, target=addresses["data"], method=SCORE, body=body, process_id=server.pid)
        limit = Peer(name=ECHO, target=echo_address, method=SCORE, body=body, process_id=echo.pid)
        large = replace(ours, name=CANDLEWIRE_LARGE, body=prepared.large.one)
        bars.warm_panel(ours.target)
        without_kernel = Peer(
            name=BEFORE,
            target=before_addresses["data"],
            method=SCORE,
            body=body,
            process_id=before.pid,
        )
        bars.warm_panel(without_kernel.target)
        on_watch = replace(ours, name=AWAKE, target=awake_addresses["data"], process_id=awake.pid)
        large_without = replace(without_kernel, name=BEFORE_LARGE, body=prepared.large.one)
        fused_ours = replace(ours, name=CANDLEWIRE_FUSED, body=prepared.fused.one)
        fused_without = replace(without_kernel, name=BEFORE_FUSED, body=prepared.fused.one)
        compared = [ours, limit, without_kernel]
        if not arguments.without_peers:
            peers, missing = start_peers(stack, model.onnx, folder, row, body)
            compared += peers
            report.notes += missing
            for peer in peers:
                loads.warm_up(peer)
        idle_mb = resident_mb(server.pid)
        for number in range(rounds):
            for load in closed_loads:
                # Whoever goes second finds a warmer machine: take turns.
                first = number % len(compared)
                record(report, load, *compared[first:], *compared[:first])
            record(report, closed_loads[0], on_watch)
            record(report, closed_loads[-1], large, large_without)
            for load in own_loads:
                record(report, load, ours, without_kernel)
            for load in fused_loads:
                record(report, load, fused_ours, fused_without)
            for peer in (ours, limit, without_kernel, on_watch):
                found = python_client.measure(peer.target, row.tolist(), calls)
                overload.keep(report, PYTHON, peer, found)
            deliveries.measure(report, delivered, ours)
            sys.stderr.write(f"round {number + 1} of {rounds} done\n")
        # From the network's limit to the model's: the last one is what a heavy model does.
        overloaded = (ours, fused_ours, large_without)
        overload.open_loops(report, overloaded, limit, rounds, duration_ms)
        loaded_mb = resident_mb(server.pid)
    with (
        candlewire_server(model.store, folder / "apart", *options, core=SERVER_CORE) as (server, addresses),
        candlewire_server(
            model.store, folder / "apart-before", *options, "--tree-kernel", "off", core=SERVER_CORE
        ) as (before, before_addresses),
        echo_server(core=SERVER_CORE) as (echo, echo_address),
    ):
        there = {ours.target: addresses["data"], without_kernel.target: before_addresses["data"]}
        one_core = [replace(peer, target=there[peer.target]) for peer in overloaded]
        overload.apart(report, one_core, replace(limit, target=echo_address), rounds, duration_ms)
    report.notes.append(
        f"Resident memory of the server: {idle_mb:.0f} MB idle, {loaded_mb:.0f} MB after the loads."
    )
    add_targets(report)
    return report


def batches(requests: Requests, duration_ms: int) -> Load:
    """Requests of many rows."""
    name = f"batches of {BATCH_ROWS} rows, 2 x 2"
    return loads.closed(name, 2, 2, duration_ms, method=SCORE_BATCH, bodies=(requests.batch,))


def record(report: Report, load: Load, *peers: Peer) -> None:
    """Runs one load once on each of the peers and keeps the results."""
    for peer in peers:
        overload.keep(report, load.name, peer, loads.run(peer, load))


def add_targets(report: Report) -> None:
    """What was promised, against what was measured; a peer that was not there promises nothing."""

    def figure(load: str, peer: str, *path: str) -> float:
        return report.results[load][peer].median(*path)

    def ratio(load: str) -> float:
        return figure(load, CANDLEWIRE, "rate") / figure(load, ECHO, "rate")

    half = overload.share(50)
    one_bar, many_bars = "bars, one in flight", "bars, one stream x 256"
    report.targets += [
        Target(
            name=f"{ONE}: mean",
            measured=figure(ONE, CANDLEWIRE, "latency_us", "mean"),
            limit=30,
            unit="µs",
            echo=figure(ONE, ECHO, "latency_us", "mean"),
        ),
        Target(
            name=f"{ONE}: p99",
            measured=figure(ONE, CANDLEWIRE, "latency_us", "p99"),
            limit=150,
            unit="µs",
            echo=figure(ONE, ECHO, "latency_us", "p99"),
        ),
        Target(name=f"{SOME}: of own echo", measured=ratio(SOME), limit=0.75, unit="x", at_least=True),
        Target(name=f"{MANY}: of own echo", measured=ratio(MANY), limit=0.75, unit="x", at_least=True),
        Target(
            name=f"{PYTHON}: p50",
            measured=figure(PYTHON, CANDLEWIRE, "latency_us", "p50"),
            limit=180,
            unit="µs",
            echo=figure(PYTHON, ECHO, "latency_us", "p50"),
        ),
        Target(
            name=f"{half}: p99",
            measured=figure(half, CANDLEWIRE, "latency_us", "p99"),
            limit=1_000,
            unit="µs",
            echo=figure(half, ECHO, "latency_us", "p99"),
        ),
        Target(
            name=f"{one_bar}: p50 to the acknowledgement, which follows the signal",
            measured=figure(one_bar, CANDLEWIRE, "latency_us", "p50"),
            limit=150,
            unit="µs",
        ),
        Target(
            name=f"{one_bar}: p99 to the acknowledgement",
            measured=figure(one_bar, CANDLEWIRE, "latency_us", "p99"),
            limit=1_000,
            unit="µs",
        ),
        Target(
            name=f"{many_bars}: scored bars a second",
            measured=figure(many_bars, CANDLEWIRE, "rate"),
            limit=30_000,
            unit="/s",
            at_least=True,
        ),
    ]
    report.targets += deliveries.targets(report, CANDLEWIRE)
    names = (CANDLEWIRE, CANDLEWIRE_FUSED, BEFORE_LARGE)
    report.targets += overload.targets(report, names, ECHO)
    report.targets += overload.targets(report, names, ECHO, overload.APART)
    for what, now, before in (
        ("The tree kernel", CANDLEWIRE, BEFORE),
        ("With the fused ensemble it", CANDLEWIRE_FUSED, BEFORE_FUSED),
    ):
        gain = figure(MANY, now, "rate") / figure(MANY, before, "rate")
        report.notes.append(f"{what} gives {gain:.1f} times the rate of ONNX Runtime's trees at {MANY}.")
    for peer, times in ((TRITON, 5), (GRPC_AIO, 18), (MLSERVER, 40)):
        if peer in report.results[MANY]:
            of_peer = figure(MANY, peer, "rate")
            report.targets.append(
                Target(
                    name=f"{MANY}: of {peer}",
                    measured=figure(MANY, CANDLEWIRE, "rate") / of_peer,
                    limit=times,
                    unit="x",
                    at_least=True,
                    echo=figure(MANY, ECHO, "rate") / of_peer,
                )
            )


if __name__ == "__main__":
    sys.exit(main())
