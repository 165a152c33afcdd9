"""`candlewire top` over a metrics port that says what the test wants."""

from __future__ import annotations

import http.server
import json
import math
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import candlewire
import pytest
from candlewire.commands import main as main_command
from candlewire.top.coverage import PoolCoverage
from candlewire.top.figures import Figures, compare
from candlewire.top.scrape import parse, scrape
from candlewire.top.view import view
from rich.console import Console

MODEL = '{model="daily",version="7"}'
BOUNDS = ("0.0001", "0.001", "0.01", "+Inf")


def histogram(name: str, counts: tuple[int, ...], total: float, labels: str = "") -> str:
    """A histogram in the text format; `counts` are cumulative, one a bound."""
    inner = labels.strip("{}") + "," if labels else ""
    lines = [
        f'{name}_bucket{{{inner}le="{bound}"}} {count}' for bound, count in zip(BOUNDS, counts, strict=True)
    ]
    return "\n".join([*lines, f"{name}_sum{labels} {total}", f"{name}_count{labels} {counts[-1]}"])


def metrics(scale: int) -> str:
    seen = tuple(scale * count for count in (50, 90, 100, 100))
    return "\n".join(
        [
            "# HELP candlewire_connections Open connections.",
            "# TYPE candlewire_connections gauge",
            "candlewire_connections 3",
            "candlewire_subscribers 2 1395066363000",
            f'candlewire_bars_total{{fate="accepted"}} {40 * scale}',
            f'candlewire_bars_total{{fate="rejected"}} {2 * scale}',
            f"candlewire_signals_total {40 * scale}",
            f"candlewire_dropped_signals_total {scale}",
            f"candlewire_outcomes_total {7 * scale}",
            'candlewire_refused_requests_total{reason="FEATURE_COUNT"} 5',
            f"candlewire_scored_rows_total{MODEL} {200 * scale}",
            f'candlewire_rejected_total{{model="daily",version="7",reason="queue_full"}} {scale}',
            f"candlewire_model_failures_total{MODEL} 0",
            histogram("candlewire_request_seconds", seen, 0.1 * scale),
            histogram("candlewire_bar_to_signal_seconds", (0, 0, 0, 10 * scale), 1.0 * scale),
            histogram("candlewire_queue_seconds", seen, 0.5 * scale, MODEL),
            histogram("candlewire_inference_seconds", seen, 0.1 * scale, MODEL),
            f"candlewire_batch_rows_sum{MODEL} {200 * scale}",
            f"candlewire_batch_rows_count{MODEL} {100 * scale}",
            "not a sample at all",
        ]
    )


def figures(before: int = 1, after: int = 3, seconds: float = 2.0) -> Figures:
    return compare(parse(metrics(before), at_s=10.0), parse(metrics(after), at_s=10.0 + seconds))


def test_figures_are_those_of_the_interval() -> None:
    found = figures()
    assert (found.connections, found.subscribers, found.outcomes) == (3, 2, 21)
    assert found.bars_rate["accepted"] == 40.0
    assert found.requests.rate == 100.0
    assert found.requests.mean_us == pytest.approx(1_000.0)
    # Half lie below 100 µs, 90 % below 1 ms, all below 10 ms.
    assert found.requests.percentiles_us == pytest.approx((100.0, 1_000.0, 9_100.0))
    model = found.models[0]
    assert (model.model, model.version, model.rows_rate, model.batch_rows) == ("daily", "7", 200.0, 2.0)
    assert model.waiting == pytest.approx(0.5)
    assert model.rejected == {"queue_full": 3}


def test_beyond_the_last_bound_and_without_observations() -> None:
    assert figures().bar_to_signal.percentiles_us == pytest.approx((10_000.0,) * 3)
    idle = figures(2, 2)
    assert idle.requests.rate == 0.0
    assert all(math.isnan(value) for value in idle.requests.percentiles_us)


def test_a_server_that_restarted_counts_from_zero() -> None:
    assert figures(9, 2).requests.rate == 100.0


def test_labels_may_hold_anything() -> None:
    text = 'x_total{a="1,b=\\"2\\"}",c="\\\\n\\n"} 4\nx_total{a="nan"} NaN\nx_total{bad} 1e3\ny -Inf'
    snapshot = parse(text, at_s=0.0)
    assert next(snapshot.of("x_total", a='1,b="2"}')) == ({"a": '1,b="2"}', "c": "\\n\n"}, 4.0)
    assert snapshot.total("y") == -math.inf
    assert snapshot.total("nowhere") == 0.0


POOL = PoolCoverage(
    model="daily",
    model_version=7,
    asset_class="stock",
    timeframe="1d",
    horizon_bars=5,
    target_coverage=0.9,
    achieved_coverage=0.91,
    outcomes=1_234,
    recent_coverage=0.7,
    recent_outcomes=100,
    width_multiplier=1.1,
    hit_rate=0.53,
)


def test_the_view_says_everything() -> None:
    def shown(*arguments: Any, **options: Any) -> str:
        console = Console(width=140, record=True, file=None, quiet=False, force_terminal=False)
        with console.capture() as captured:
            console.print(view("here:9090", *arguments, **options))
        return captured.get()

    text = shown(figures(), (POOL,), trouble="no metrics from here")
    for part in (
        "subscribers 2",
        "9,100",
        "3 queue_full",
        "5 FEATURE_COUNT",
        "70.0%",
        "no metrics from here",
    ):
        assert part in text, part
    assert "admin port does not answer" in shown(figures(), None)
    assert "no outcome yet" in shown(figures(), ())


def test_a_terminal_of_80_columns_shows_every_heading_and_number_whole() -> None:
    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        console.print(view("127.0.0.1:9090", figures(1, 9_000), (POOL,)))
    text = captured.get()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    words = set(text.split())
    for heading in (
        "accepted",
        "duplicate",
        "replaced",
        "rejected",
        "signals",
        "dropped",
        "waiting",
        "failed",
    ):
        assert heading in words, heading
    for number in ("179,980", "9,100", "899,900", "1,234"):
        assert number in words, f"{number}\n{text}"


@pytest.fixture
def port() -> Iterator[SimpleNamespace]:
    """A metrics port whose counters grow with every scrape."""
    state = SimpleNamespace(scrapes=0, status=200)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.scrapes += 1
            body = metrics(state.scrapes).encode()
            self.send_response(state.status if self.path == "/metrics" else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    state.target = f"127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    server.server_close()


Run = Callable[..., SimpleNamespace]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(main_command, "entry_points", lambda **_: [])

    def top(*arguments: str) -> SimpleNamespace:
        with pytest.raises(SystemExit) as left:
            main_command.main(["top", "--admin", "127.0.0.1:1", "--interval-s", "0.1", *arguments])
        captured = capsys.readouterr()
        return SimpleNamespace(code=left.value.code, out=captured.out, err=captured.err)

    return top


def test_the_command_looks_as_often_as_asked(run: Run, port: SimpleNamespace) -> None:
    done = run("--metrics", port.target, "--json", "-n", "2")
    assert done.code == 0
    looks = [json.loads(line) for line in done.out.splitlines()]
    assert [look["figures"]["outcomes"] for look in looks] == [14, 21]
    assert looks[0]["coverage"] is None
    assert "bar to signal" in run("--metrics", port.target, "-n", "1").out


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("127.0.0.1:1", 1, "no metrics from 127.0.0.1:1"),
        ("nonsense", 2, "write host:port"),
    ],
)
def test_no_metrics_is_one_line(run: Run, target: str, code: int, message: str) -> None:
    done = run("--metrics", target)
    assert (done.code, done.err.count("\n")) == (code, 1)
    assert message in done.err


def test_another_service_on_that_port_is_told(port: SimpleNamespace) -> None:
    port.status = 403
    with pytest.raises(candlewire.ServerError, match="answered 403"):
        scrape(port.target)
