"""The `candlewire` command over a server that can be made to fail: output, exit codes, no traceback."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import candlewire
import grpc
import pytest
import typer
from candlewire.commands import connecting
from candlewire.commands import main as main_command
from candlewire.commands.publish import paced

Run = Callable[..., SimpleNamespace]

CSV = "symbol,timeframe,ts,open,high,low,close,volume\n"
ROWS = ["AAPL,1d,2024-01-02,10,12,9,11,1000", "AAPL,1d,2024-01-03T00:00:00Z,11,13,10,12,1100"]


@pytest.fixture
def run(server: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command against the fake server with the client's own commands only."""
    monkeypatch.setenv("CANDLEWIRE_TARGET", server.target)
    monkeypatch.setattr(main_command, "entry_points", lambda **_: [])

    def run_command(*arguments: str) -> SimpleNamespace:
        with pytest.raises(SystemExit) as left:
            main_command.main(list(arguments))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return SimpleNamespace(code=left.value.code, out=captured.out, err=captured.err)

    return run_command


@pytest.fixture
def bars_csv(tmp_path: Path) -> Path:
    path = tmp_path / "bars.csv"
    path.write_text(CSV + "\n".join(ROWS) + "\n", encoding="utf-8")
    return path


def test_score_prints_a_score_for_people(run: Run) -> None:
    done = run("score", "--features", "0.5,0.75,0.25,1.0", "--reference-price", "200", "--members")
    assert done.code == 0
    for part in ("BUY", "0.625 [0.525, 0.725]", "target 90%, no outcome yet", "196.00 … 204.00", "xgboost"):
        assert part in done.out


def test_score_prints_json_for_programs(run: Run) -> None:
    done = run("score", "--json", "-f", "0.5 0.75 0.25 1.0")
    score = json.loads(done.out)
    assert (score["signal"], score["probability_up"], score["return_band"]["low"]) == ("BUY", 0.625, -0.02)


def test_score_reads_features_from_file_and_standard_input(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "row.json"
    file.write_text("[0.5, 0.75, 0.25, 1.0]", encoding="utf-8")
    assert json.loads(run("score", "--json", "-f", f"@{file}").out)["probability_up"] == 0.625
    monkeypatch.setattr(sys, "stdin", io.StringIO("0.5\n0.75\n0.25\n1.0\n"))
    assert json.loads(run("score", "--json", "-f", "-").out)["probability_up"] == 0.625


def test_score_takes_the_last_bar_of_a_file(run: Run, bars_csv: Path) -> None:
    score = json.loads(run("score", "--json", "--bars", str(bars_csv)).out)
    assert score["price_band"]["mid"] == 12.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score"], "exactly one of --features and --bars"),
        (["score", "-f", "1,x"], "--features must be numbers: could not convert string to float: 'x'"),
        (["score", "-f", "@nowhere"], "--features: cannot read nowhere: No such file"),
        (["score", "--bars", "nowhere.csv"], "nowhere.csv: no such file or folder"),
        (["publish", "nowhere.csv"], "nowhere.csv: no such file or folder"),
        (["publish", "a", "--rate", "1", "--speed", "1"], "--rate or --speed, not both"),
        (["publish", "-", "a.csv"], "cannot be mixed with files"),
        (["health", "--target", "nonsense"], "target is 'nonsense'; write host:port"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(run: Run, arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert message in done.err
    assert done.err.count("\n") == 1


def test_wrong_usage_is_exit_code_2(run: Run) -> None:
    assert run("score", "--no-such-option").code == 2
    assert run("no-such-command").code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "-f", "1"], "features has 1 values; the model takes 4"),
        (["score", "-f", "1,1,1,1", "--model", "none"], "this server has 'daily'"),
        (["latest", "--target", "127.0.0.1:1"], "no answer from 127.0.0.1:1"),
        (["load-test", "--feature-count", "3"], "features has 3 values; the model takes 4"),
    ],
)
def test_a_refused_call_is_one_line_and_exit_code_1(run: Run, arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.code == 1
    assert message in done.err
    assert done.err.count("\n") == 1


def test_publish_reports_what_became_of_the_bars(run: Run, bars_csv: Path, server: Any) -> None:
    done = run("publish", str(bars_csv))
    assert (done.code, done.out) == (0, "2 bars: 2 accepted\n")
    assert [event.bar.open_time_ns for event in server.history] == [1704153600 * 10**9, 1704240000 * 10**9]


def test_publish_tells_of_rejected_bars(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bars.jsonl"
    bar = {"open_time_ns": 1, "open": 10, "high": 1, "low": 9, "close": 10, "volume": 0}
    path.write_text(json.dumps(bar) + "\n", encoding="utf-8")
    done = run("publish", str(path), "--symbol", "AAPL", "--timeframe", "1d")
    assert done.code == 1
    assert "rejected bar 1 (AAPL 1d): high is 1.0 and low is 9.0" in done.err
    assert done.out == "1 bars: 1 rejected\n"


def test_publish_merges_files_by_time_and_speaks_json(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV + ROWS[1] + "\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text(CSV + ROWS[0].replace("AAPL", "MSFT") + "\n", encoding="utf-8")
    done = run("publish", "--json", str(tmp_path))
    assert [json.loads(line)["symbol"] for line in done.out.splitlines()] == ["MSFT", "AAPL"]


def test_publish_reads_standard_input_and_parquet(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    polars = pytest.importorskip("polars")
    rows = polars.read_csv(io.StringIO(CSV + "\n".join(ROWS)))
    rows = rows.with_columns(polars.col("ts").str.slice(0, 10).str.to_datetime("%Y-%m-%d", time_zone="UTC"))
    rows.write_parquet(tmp_path / "bars.parquet")
    assert run("publish", str(tmp_path / "bars.parquet")).out == "2 bars: 2 accepted\n"
    bar = {
        "symbol": "MSFT",
        "timeframe": "1d",
        "open_time_ns": 5,
        "open": 1,
        "high": 1,
        "low": 1,
        "close": 1,
        "volume": 0,
    }
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(bar) + "\n\n"))
    assert run("publish", "-").out == "1 bars: 1 accepted\n"


def test_parquet_without_polars_says_what_to_do(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bars.parquet").touch()
    monkeypatch.setitem(sys.modules, "polars", None)
    done = run("publish", str(tmp_path / "bars.parquet"))
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "`pip install polars`, or convert the file to CSV" in done.err


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv: the file is empty"),
        ("a.csv", CSV, "no bars in there"),
        ("a.csv", CSV.replace("close", "shut") + ROWS[0], "a.csv, bar 1: no close; a bar needs open, high"),
        (
            "a.csv",
            CSV + ROWS[0] + "\n" + ROWS[1].replace(",13,", ",x,"),
            "a.csv, bar 2: high is 'x'; it must be",
        ),
        ("a.csv", CSV + ROWS[0].replace("2024-01-02", "soon"), "ts is 'soon'; write ISO 8601"),
        ("a.csv", CSV.replace("ts", "when") + ROWS[0], "no open time; a bar needs open_time_ns or one of ts"),
        ("a.csv", CSV.replace("symbol", "name") + ROWS[0], "no symbol: add the column or pass --symbol"),
        ("a.jsonl", "{", "a.jsonl, line 1: not JSON"),
        ("a.jsonl", "[1]", "a.jsonl, line 1: a bar is a JSON object"),
        ("a.txt", "x", "a.txt: cannot read .txt; use .csv"),
        ("a.parquet", "PAR1", "a.parquet: not readable as Parquet"),
        ("a.csv", b"\xff\xfe\x00", "a.csv: cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    run: Run, tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    done = run("publish", str(tmp_path / name))
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert message in done.err


def test_an_empty_folder_is_said(run: Run, tmp_path: Path) -> None:
    assert "no .csv, .jsonl, .ndjson, .parquet file in this folder" in run("publish", str(tmp_path)).err


def test_bars_are_paced_by_rate_and_by_market_time(make_bars: Any) -> None:
    bars = make_bars(5)
    started = time.monotonic()
    assert list(paced(bars, rate=50.0, speed=None)) == bars
    assert 0.08 <= time.monotonic() - started < 1.0
    started = time.monotonic()
    assert list(paced(bars, rate=None, speed=86_400.0 * 50)) == bars
    assert 0.08 <= time.monotonic() - started < 1.0


def test_subscribe_prints_signals(run: Run, server: Any, bars_csv: Path) -> None:
    run("publish", str(bars_csv))
    done = run("subscribe", "--after", "0", "--count", "2", "--json")
    assert [json.loads(line)["sequence"] for line in done.out.splitlines()] == [1, 2]
    shown = run("subscribe", "AAPL", "--after", "0", "-n", "1")
    assert shown.code == 0
    assert "2024-01-02" in shown.out
    assert "AAPL 1d" in shown.out
    assert run("subscribe", "--duration-ms", "50").code == 0
    server.oldest_held = 10
    assert "subscribe again without" in run("subscribe", "--after", "3").err


def test_latest_prints_a_table_and_tells_of_unknown_symbols(run: Run, bars_csv: Path) -> None:
    assert "no signal yet" in run("latest").out
    run("publish", str(bars_csv))
    assert "0.500 [0.400, 0.600]" in run("latest").out
    unknown = run("latest", "AAPL", "MSFT", "--json")
    assert (unknown.code, unknown.err) == (1, "no signal of MSFT\n")
    assert json.loads(unknown.out)["bar"]["symbol"] == "AAPL"


def test_health_exits_by_status(run: Run, server: Any) -> None:
    assert run("health").code == 0
    server.health = 2
    done = run("health", "--json")
    assert (done.code, json.loads(done.out)["status"]) == (1, "NOT_SERVING")
    assert run("health", "--wait-ms", "50").code == 1


def test_load_test_sends_all_that_is_due(run: Run) -> None:
    done = run(
        "load-test", "--json", "-r", "200", "-d", "0.5", "--feature-count", "4", "--arrivals", "constant"
    )
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    assert summary["sent"] == summary["answered"] == 100
    assert summary["latency_us"]["p50"] <= summary["latency_us"]["p99"] <= summary["latency_us"]["p100"]


def test_load_test_asks_the_server_for_the_feature_count(run: Run, server: Any) -> None:
    done = run("load-test", "--json", "-r", "100", "-d", "0.1")
    assert done.code == 0, done.err
    assert {len(request.features) for request in server.scored[1:]} == {4}


def test_load_test_without_a_feature_count_to_be_had_says_what_to_pass(
    run: Run, server: Any, refusal: Any
) -> None:
    server.refusals = [refusal(grpc.StatusCode.INVALID_ARGUMENT, "wrong row", reason="FEATURE_COUNT")]
    done = run("load-test")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "pass --feature-count" in done.err


def test_load_test_rates_answers_over_the_time_they_took(run: Run, server: Any) -> None:
    server.delay_s = 0.5
    done = run(
        "load-test", "--json", "-r", "200", "-d", "0.1", "--timeout-ms", "5000", "--feature-count", "4"
    )
    summary = json.loads(done.out)
    assert summary["answered"] == summary["sent"] >= 5
    assert summary["answering_s"] >= 0.5
    assert summary["answered_rate"] == pytest.approx(summary["answered"] / summary["answering_s"], rel=1e-6)


def test_load_test_counts_failures_by_code(run: Run, server: Any, refusal: Any) -> None:
    server.refusals = [refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")] * 7
    done = run("load-test", "-r", "100", "-d", "0.3", "--feature-count", "4", "--connections", "1")
    assert done.code == 1
    assert "failed 6 RESOURCE_EXHAUSTED" in done.out, "the first refusal met the probe"


def test_version(run: Run) -> None:
    assert run("--version").out == f"candlewire {candlewire.__version__}\n"


def test_an_unforeseen_error_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("something\nodd")

    monkeypatch.setattr(connecting, "connect", broken)
    done = run("health")
    assert done.code == 70
    assert (
        done.err
        == "candlewire: internal error: RuntimeError: something odd (set CANDLEWIRE_DEBUG=1 to see where)\n"
    )


class Plugin:
    """An entry point that needs no distribution."""

    def __init__(self, name: str, register: Callable[[typer.Typer], None]) -> None:
        self.name, self.value, self.dist, self.register = name, f"{name}:register", None, register

    def load(self) -> Callable[[typer.Typer], None]:
        return self.register


def add_extra(app: typer.Typer) -> None:
    app.command("extra")(lambda: typer.echo("extra"))


def break_halfway(app: typer.Typer) -> None:
    app.command("half")(lambda: None)
    raise ImportError("no module named\n'heavy'")


def redefine(app: typer.Typer) -> None:
    app.command("score")(lambda: None)


def test_a_broken_plug_in_costs_a_warning_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = [Plugin("broken", break_halfway), Plugin("extra", add_extra), Plugin("thief", redefine)]
    missing = EntryPoint(name="gone", value="no_such_module:register", group=main_command.PLUGINS)
    monkeypatch.setattr(main_command, "entry_points", lambda **_: [*plugins, missing])
    done = run("extra")
    assert (done.code, done.out) == (0, "extra\n")
    missing_line = "candlewire: warning: the commands of {} are missing: {}"
    assert done.err.splitlines() == [
        missing_line.format("broken:register", "ImportError: no module named 'heavy'"),
        missing_line.format(
            "no_such_module:register", "ModuleNotFoundError: No module named 'no_such_module'"
        ),
        missing_line.format("thief:register", "it redefines score"),
    ]
    assert run("half").code == 2
    assert run("health").code == 0


def test_the_installed_command_runs() -> None:
    command = Path(sys.executable).with_name("candlewire")
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
    for name in ("score", "publish", "subscribe", "latest", "health", "load-test", "top"):
        assert name in done.stdout
