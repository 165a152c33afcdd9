"""Clients of others against the Open Inference Protocol, unchanged; each where it is installed.

``CANDLEWIRE_KSERVE_PYTHON`` names an interpreter with `kserve`, ``CANDLEWIRE_PERF_ANALYZER`` the binary of
perf_analyzer (the wheel of tritonclient 2.41.0 for manylinux carries one, later ones do not).
"""

import csv
import json
import os
import subprocess
from pathlib import Path

import pytest
from candlewire_proto.v1 import scoring_pb2
from conftest import RunningServer

ROW = [0.01, 0.02, -0.01, 0.005]
KSERVE = """
import asyncio, json, sys
import grpc, numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest

async def main(address):
    client = InferenceGRPCClient(address)
    said = {"live": await client.is_server_live(), "ready": await client.is_server_ready(),
            "model": await client.is_model_ready("daily")}
    try:
        said["absent"] = await client.is_model_ready("absent")
    except grpc.RpcError as error:
        said["absent"] = error.code().name
    rows = np.float32([[0.01, 0.02, -0.01, 0.005]] * 3)
    for binary in (True, False):
        tensor = InferInput("features", [3, 4], "FP32")
        if binary:
            tensor.set_data_from_numpy(rows)
        else:
            tensor = InferInput("features", [3, 4], "FP32", data=rows.ravel().tolist())
        answer = await client.infer(InferRequest(model_name="daily", infer_inputs=[tensor], request_id="7"))
        (found,) = [output for output in answer.outputs if output.name == "probabilities"]
        said["raw" if binary else "typed"] = np.asarray(found.as_numpy(), np.float64).ravel().tolist()
        said["model_name"] = answer.model_name
    await client.close()
    print(json.dumps(said))

asyncio.run(main(sys.argv[1]))
"""


def installed(variable: str, what: str) -> str:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} names no {what}")
    return value


def test_the_client_of_kserve_works_unchanged(server: RunningServer) -> None:
    python = installed("CANDLEWIRE_KSERVE_PYTHON", "interpreter with kserve")
    done = subprocess.run(
        [python, "-c", KSERVE, server.addresses["data"]],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["live"], said["ready"], said["model"], said["absent"]) == (True, True, True, False)
    assert said["model_name"] == "daily"
    wanted = server.scoring.Score(scoring_pb2.ScoreRequest(features=ROW)).probabilities
    assert said["raw"] == said["typed"] == list(wanted) * 3


@pytest.mark.parametrize("way", [["--async"], ["--streaming", "--async"], ["--sync"]])
def test_perf_analyzer_measures_without_one_failed_request(
    server: RunningServer, tmp_path: Path, way: list[str]
) -> None:
    binary = installed("CANDLEWIRE_PERF_ANALYZER", "perf_analyzer")
    report = tmp_path / "report.csv"
    command = [binary, "-m", "daily", "-i", "grpc", "-u", server.addresses["data"], "-b", "4", *way]
    command += ["--concurrency-range", "4", "--measurement-mode", "count_windows"]
    command += [
        "--measurement-request-count",
        "200",
        "--stability-percentage",
        "999",
        "-f",
        str(report),
        "--verbose-csv",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = csv.DictReader(report.read_text(encoding="utf-8").splitlines())
    assert float(row["Inferences/Second"]) > 0
    assert float(row["Server Compute Infer"]) > 0, "it reads the server's own statistics"
