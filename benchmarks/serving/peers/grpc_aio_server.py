"""The usual Python shape of a scoring server, written well: grpc.aio in front of ONNX Runtime.

Answers Candlewire's own contract. Batches bind late: while the model runs, requests gather; when it is free,
all of them run together. The model runs on a thread, where ONNX Runtime has released the interpreter.

Usage: grpc_aio_server.py MODEL.onnx; prints its address.
"""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import onnxruntime as ort
from candlewire_proto.v1.scoring_pb2 import SIGNAL_BUY, SIGNAL_SELL, ScoreRequest, ScoreResponse

MOST_ROWS = 256
OUTPUTS = ("probabilities", "probability_low", "probability_high", "band_low", "band_mid", "band_high")


class Scorer:
    """The model, and the requests that wait for it."""

    def __init__(self, path: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._waiting: list[tuple[ScoreRequest, asyncio.Future[ScoreResponse]]] = []
        self._thread = ThreadPoolExecutor(1)
        self._running = False
        self._run_task: asyncio.Task[None] | None = None

    async def score(self, request: ScoreRequest, _context: grpc.aio.ServicerContext) -> ScoreResponse:
        """One call."""
        answer: asyncio.Future[ScoreResponse] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if not self._running:
            self._running = True
            # On its own: the caller whose request began the run must not wait for everybody's.
            self._run_task = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_ROWS], self._waiting[MOST_ROWS:]
                requests = [request for request, _ in batch]
                responses = await loop.run_in_executor(self._thread, self._infer, requests)
                for (_, answer), response in zip(batch, responses, strict=True):
                    if not answer.done():
                        answer.set_result(response)
        finally:
            self._running = False

    def _infer(self, requests: list[ScoreRequest]) -> list[ScoreResponse]:
        rows = np.array([request.features for request in requests], np.float32)
        columns = [column.tolist() for column in self._session.run(OUTPUTS, {"features": rows})]
        return [_response(*row) for row in zip(*columns, strict=True)]


def _response(
    probabilities: list[float], low: float, high: float, band_low: float, band_mid: float, band_high: float
) -> ScoreResponse:
    up = probabilities[1]
    response = ScoreResponse(
        probabilities=probabilities,
        probability_up=up,
        probability_low=low,
        probability_high=high,
        signal=SIGNAL_BUY if up >= 0.5 else SIGNAL_SELL,
        confidence=max(up, 1.0 - up),
    )
    band = response.return_band
    band.low, band.mid, band.high = band_low, band_mid, band_high
    return response


async def main() -> None:
    """Serves until the process is ended."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        Scorer(sys.argv[1]).score,
        request_deserializer=ScoreRequest.FromString,
        response_serializer=ScoreResponse.SerializeToString,
    )
    service = grpc.method_handlers_generic_handler("candlewire.v1.ScoringService", {"Score": handler})
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
