"""Traces: a collector of our own hears of every request within its caller's trace, or of none."""

import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import pytest
from candlewire_proto.v1 import scoring_pb2
from conftest import running_server, serve_command
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

ROW = [0.01, 0.02, -0.01, 0.005]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
WAIT_SECONDS = 20


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: list[trace_pb2.Span] = []
        self.headers: dict[str, str] = {}
        self.resources: set[str] = set()
        self.changed = threading.Condition()

    def Export(self, request: Any, context: Any) -> trace_service_pb2.ExportTraceServiceResponse:  # noqa: N802
        with self.changed:
            self.headers |= dict(context.invocation_metadata())
            for resource in request.resource_spans:
                self.resources |= {
                    pair.value.string_value
                    for pair in resource.resource.attributes
                    if pair.key == "service.name"
                }
                for scope in resource.scope_spans:
                    self.spans.extend(scope.spans)
            self.changed.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def named(self, name: str, count: int = 1) -> list[trace_pb2.Span]:
        """Spans of this name, once there are `count`."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self.changed:
            while len(found := [span for span in self.spans if span.name == name]) < count:
                left = deadline - time.monotonic()
                assert left > 0, (
                    f"{count} spans {name!r} did not come; there are {[s.name for s in self.spans]}"
                )
                self.changed.wait(left)
        return found


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    made = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(made, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield made, f"http://127.0.0.1:{port}"
    server.stop(None).wait()


def attributes(span: trace_pb2.Span) -> dict[str, object]:
    return {
        pair.key: pair.value.string_value or pair.value.int_value or pair.value.double_value
        for pair in span.attributes
    }


def test_a_request_is_traced_within_its_callers_trace(
    collector: tuple[Collector, str], tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, endpoint = collector
    monkeypatch.setenv("CANDLEWIRE_TELEMETRY_OTLP_HEADERS", "x-key=hush")
    score = "candlewire.v1.ScoringService/Score"
    with running_server(tiny_store, tmp_path, "--otlp-endpoint", endpoint, "--log-level", "debug") as running:
        sent = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
        running.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), metadata=sent)
        with pytest.raises(grpc.RpcError):
            running.scoring.Score(scoring_pb2.ScoreRequest(features=ROW, model="absent"), metadata=sent)
        unsampled = (("traceparent", f"00-{TRACE}-{PARENT}-00"),)
        running.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), metadata=unsampled)
        running.scoring.Score(scoring_pb2.ScoreRequest(features=ROW))
        served = heard.named(score, 3)
        # What waits is sent before the server ends.
        running.scoring.Score(scoring_pb2.ScoreRequest(features=ROW))
        assert running.stop() == 0
    served = heard.named(score, 4)
    assert len(served) == 4, "the caller that did not sample is not traced"
    within = [span for span in served if span.trace_id.hex() == TRACE]
    assert [span.parent_span_id.hex() for span in within] == [PARENT, PARENT]
    assert all(span.kind == trace_pb2.Span.SPAN_KIND_SERVER for span in served)
    good, bad = sorted(within, key=lambda span: span.status.code)
    assert attributes(good)["rpc.method"] == "Score"
    assert attributes(good)["candlewire.model"] == "daily"
    assert attributes(good)["candlewire.batch_rows"] == 1
    assert bad.status.code == trace_pb2.Status.STATUS_CODE_ERROR
    assert attributes(bad)["rpc.grpc.status_code"] == grpc.StatusCode.NOT_FOUND.value[0]
    for stage in ("queue", "inference", "features"):
        (span,) = [span for span in heard.named(stage) if span.parent_span_id == good.span_id]
        assert good.start_time_unix_nano - 1_000_000 <= span.start_time_unix_nano
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= good.end_time_unix_nano
    assert heard.headers["x-key"] == "hush"
    assert heard.resources == {"candlewire"}
    assert "hush" not in (tmp_path / "server.log").read_text(encoding="utf-8")


def test_no_share_of_requests_is_traced_without_a_caller_that_asks(
    collector: tuple[Collector, str], tiny_store: Path, tmp_path: Path
) -> None:
    heard, endpoint = collector
    flags = ("--otlp-endpoint", endpoint, "--set", "telemetry.trace_share=0")
    with running_server(tiny_store, tmp_path, *flags) as running:
        for _ in range(20):
            running.scoring.Score(scoring_pb2.ScoreRequest(features=ROW))
        sent = (("traceparent", f"00-{TRACE}-{PARENT}-01"),)
        running.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), metadata=sent)
        assert running.stop() == 0
    assert len(heard.named("candlewire.v1.ScoringService/Score")) == 1


def test_a_collector_that_is_away_costs_no_request(tiny_store: Path, tmp_path: Path) -> None:
    with running_server(tiny_store, tmp_path, "--otlp-endpoint", "http://127.0.0.1:9") as running:
        for _ in range(20):
            running.scoring.Score(scoring_pb2.ScoreRequest(features=ROW), timeout=5)
        assert running.stop() == 0


def test_an_endpoint_that_cannot_be_is_one_line(tiny_store: Path) -> None:
    for endpoint in ("https://collector:4317", "collector"):
        command = serve_command(tiny_store, "--otlp-endpoint", endpoint)
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert f'telemetry.otlp_endpoint: "{endpoint}" does not begin with http://' in done.stderr
