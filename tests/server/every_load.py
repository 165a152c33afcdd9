"""Load of every kind at once: every answer is looked at, and what goes wrong is kept for the test to tell."""

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Self

import grpc
import numpy as np
from candlewire_proto.v1 import scoring_pb2
from conftest import RunningServer
from test_bars import bar, fates, publish
from tritonclient.grpc import service_pb2, service_pb2_grpc

ROW = [0.01, 0.02, -0.01, 0.005]
PACKED = np.float32(ROW).tobytes()
BATCH_ROWS = 16
# Longer than any answer takes.
PATIENCE_NS = 20 * 10**9


class EveryLoad:
    """Unary calls, a stream, batches, the Open Inference Protocol and bars, each as fast as it is answered.

    Attributes:
        counts: Answers by kind.
        values: Probabilities of the one row that is scored, by version.
        problems: What went wrong.
    """

    def __init__(self, server: RunningServer, *, bars: bool = True) -> None:
        self.server = server
        self.counts: dict[str, int] = {}
        self.values: dict[int, set[bytes]] = defaultdict(set)
        self.problems: list[str] = []
        self._done = threading.Event()
        works = [self._unary, self._stream, self._batch, self._open_inference]
        works += [self._bars] if bars else []
        for work in works:
            self.counts[work.__name__.strip("_")] = 0
        self._threads = [threading.Thread(target=self._told, args=(work,)) for work in [*works, self._unary]]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def goes_on(self) -> None:
        """Waits until every kind has had one more answer."""
        before, deadline = dict(self.counts), time.monotonic() + PATIENCE_NS / 1e9
        while any(self.counts[kind] <= before[kind] for kind in before):
            assert not self.problems, self.problems[:3]
            assert time.monotonic() < deadline, f"a kind of load stands still: {before} {self.counts}"
            time.sleep(0.005)

    def _told(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (grpc.RpcError, AssertionError) as error:
            self.problems.append(f"{work.__name__}: {error!r}")

    def _note(self, kind: str, version: int, probabilities: bytes) -> None:
        self.counts[kind] += 1
        self.values[version].add(probabilities)

    def _note_score(self, kind: str, score: scoring_pb2.ScoreResponse) -> None:
        assert max(score.timings.total_ns, score.timings.queue_ns) < PATIENCE_NS, score.timings
        self._note(kind, score.model_version, np.float32(score.probabilities).tobytes())

    def _unary(self) -> None:
        while not self._done.is_set():
            request = scoring_pb2.ScoreRequest(features=ROW)
            self._note_score("unary", self.server.scoring.Score(request, timeout=10))

    def _stream(self) -> None:
        def requests() -> Iterator[scoring_pb2.ScoreStreamRequest]:
            while not self._done.is_set():
                yield scoring_pb2.ScoreStreamRequest(request=scoring_pb2.ScoreRequest(features=ROW))

        for answer in self.server.scoring.ScoreStream(requests(), timeout=600):
            assert answer.HasField("score"), answer.error
            self._note_score("stream", answer.score)

    def _batch(self) -> None:
        request = scoring_pb2.ScoreBatchRequest(features=PACKED * BATCH_ROWS, rows=BATCH_ROWS)
        while not self._done.is_set():
            answer = self.server.scoring.ScoreBatch(request, timeout=10)
            size = len(answer.probabilities) // BATCH_ROWS
            for first in range(0, len(answer.probabilities), size):
                self._note("batch", answer.model_version, answer.probabilities[first : first + size])

    def _open_inference(self) -> None:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(self.server.channel("data"))
        request = service_pb2.ModelInferRequest(model_name="daily", raw_input_contents=[PACKED])
        request.inputs.add(name="features", datatype="FP32", shape=[1, len(ROW)])
        request.outputs.add(name="probabilities")
        while not self._done.is_set():
            answer = stub.ModelInfer(request, timeout=10)
            self._note("open_inference", int(answer.model_version), answer.raw_output_contents[0])

    def _bars(self) -> None:
        for day in itertools.count(1):
            if self._done.is_set():
                return
            assert fates(publish(self.server, bar(day))) == ["ACCEPTED"]
            self.counts["bars"] += 1
