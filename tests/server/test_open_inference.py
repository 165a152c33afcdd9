"""The Open Inference Protocol through the stock client, unchanged."""

import json
import queue
from collections.abc import Iterator
from pathlib import Path

import bundles
import grpc
import ml_dtypes
import numpy as np
import pytest
from candlewire_proto.v1 import scoring_pb2
from conftest import RunningServer, running_server
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_tools import protoc
from tritonclient import grpc as triton
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

PROTO_ROOT = Path(__file__).resolve().parents[2] / "proto"
ROWS = np.float32([[0.01, 0.02, -0.01, 0.005], [0.0, -0.03, 0.02, 0.01], [0.5, 0.5, 0.5, 0.5]])
VERSION = "20260101000000"
WAIT_SECONDS = 10


@pytest.fixture(scope="module")
def two_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    store = tmp_path_factory.mktemp("store")
    bundles.write_bundle(store)
    bundles.write_bundle(store, model="hourly", timeframe="1h", seed=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANDLEWIRE_SERVER_REPOSITORY_CONTROL", "true")
        with running_server(store, tmp_path_factory.mktemp("server")) as running:
            yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.addresses["data"]) as connected:
        yield connected


def features(rows: np.ndarray = ROWS, datatype: str = "FP32") -> triton.InferInput:
    tensor = triton.InferInput("features", list(rows.shape), datatype)
    tensor.set_data_from_numpy(rows)
    return tensor


def expected(rows: np.ndarray) -> dict[str, np.ndarray]:
    return bundles.run_graph(bundles.graph(len(bundles.LAGS)).SerializeToString(), rows.astype(np.float32))


def test_live_ready_and_what_serves(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("daily")
    assert client.is_model_ready("daily", VERSION)
    assert not client.is_model_ready("absent")
    assert not client.is_model_ready("daily", "7")
    server = client.get_server_metadata()
    assert server.name == "candlewire"
    assert set(server.extensions) == {"model_configuration", "model_repository", "statistics"}


def test_metadata_and_configuration_agree_with_an_answer(client: triton.InferenceServerClient) -> None:
    metadata = client.get_model_metadata("daily")
    assert (metadata.name, list(metadata.versions)) == ("daily", [VERSION])
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.inputs] == [("features", "FP32", [-1, 4])]
    config = client.get_model_config("daily").config
    assert (config.name, config.backend, config.max_batch_size) == ("daily", "candlewire", 65_536)
    assert config.HasField("dynamic_batching")
    assert not config.model_transaction_policy.decoupled
    assert config.parameters["timeframe"].string_value == "1d"
    assert list(config.input[0].dims) == [4]
    answer = client.infer("daily", [features()])
    for described, configured in zip(metadata.outputs, config.output, strict=True):
        array = answer.as_numpy(described.name)
        assert array.shape == (3, *described.shape[1:]), described.name
        assert list(configured.dims) == list(described.shape[1:])
        kind = {"FP32": np.float32, "UINT8": np.uint8, "BOOL": np.bool_}[described.datatype]
        assert array.dtype == kind, described.name
        assert model_config_pb2.DataType.Name(configured.data_type) == f"TYPE_{described.datatype}"


def test_an_answer_is_what_onnx_runtime_says(
    client: triton.InferenceServerClient, server: RunningServer
) -> None:
    answer = client.infer("daily", [features()], request_id="mine")
    wanted = expected(ROWS)
    for name in ("probabilities", "member_probabilities"):
        assert np.array_equal(answer.as_numpy(name), wanted[name]), name
    for name in ("probability_low", "probability_high", "band_mid", "dissimilarity"):
        assert np.array_equal(answer.as_numpy(name)[:, 0], wanted[name]), name
    response = answer.get_response()
    assert (response.model_name, response.model_version, response.id) == ("daily", VERSION, "mine")
    assert response.parameters["feature_spec_hash"].string_param == bundles.feature_spec().hash
    batch = server.scoring.ScoreBatch(scoring_pb2.ScoreBatchRequest(features=ROWS.tobytes(), rows=3))
    for name, column in (("band_low", batch.band_low), ("band_high", batch.band_high)):
        assert answer.as_numpy(name).tobytes() == column, name
    assert answer.as_numpy("signal").tobytes() == batch.signals
    assert answer.as_numpy("trusted").tobytes() == batch.trusted


def test_only_the_outputs_asked_for_come_in_their_order(client: triton.InferenceServerClient) -> None:
    names = ["dissimilarity", "probabilities"]
    answer = client.infer(
        "daily", [features()], outputs=[triton.InferRequestedOutput(name) for name in names]
    )
    assert [output.name for output in answer.get_response().outputs] == names
    assert answer.as_numpy("band_low") is None


@pytest.mark.parametrize(
    ("datatype", "kind"),
    [
        ("BOOL", np.bool_),
        ("UINT8", np.uint8),
        ("UINT16", np.uint16),
        ("UINT32", np.uint32),
        ("UINT64", np.uint64),
        ("INT8", np.int8),
        ("INT16", np.int16),
        ("INT32", np.int32),
        ("INT64", np.int64),
        ("FP16", np.float16),
        ("BF16", ml_dtypes.bfloat16),
        ("FP64", np.float64),
    ],
)
def test_every_numeric_type_scores_as_float32(
    client: triton.InferenceServerClient, datatype: str, kind: type[np.generic]
) -> None:
    rows = np.array([[0, 1, 1, 0], [1, 0, 1, 1]]).astype(kind)
    answer = client.infer("daily", [features(rows, datatype)])
    assert np.array_equal(answer.as_numpy("probabilities"), expected(rows)["probabilities"])


def test_typed_contents_are_answered_typed(server: RunningServer) -> None:
    stub = service_pb2_grpc.GRPCInferenceServiceStub(server.channel("data"))
    tensor = service_pb2.ModelInferRequest.InferInputTensor(name="features", datatype="FP64", shape=[3, 4])
    tensor.contents.fp64_contents.extend(float(value) for value in ROWS.ravel())
    answer = stub.ModelInfer(service_pb2.ModelInferRequest(model_name="daily", inputs=[tensor]))
    assert not answer.raw_output_contents
    outputs = {output.name: output.contents for output in answer.outputs}
    assert np.array_equal(
        np.float32(outputs["probabilities"].fp32_contents).reshape(3, 2), expected(ROWS)["probabilities"]
    )
    assert len(outputs["signal"].uint_contents) == len(outputs["trusted"].bool_contents) == 3


@pytest.mark.parametrize(
    ("request_changes", "status", "expected_words"),
    [
        ({"model_name": "absent"}, "NOT_FOUND", "known models: daily"),
        ({"model_version": "7"}, "NOT_FOUND", "no version 7"),
        ({"model_version": "newest"}, "INVALID_ARGUMENT", "'newest'|\"newest\""),
        ({"inputs": [features(ROWS[:, :3].copy())]}, "INVALID_ARGUMENT", "takes 4 values, got 3"),
        (
            {"inputs": [features(np.full((1, 4), 2**24 + 1), "INT64")]},
            "INVALID_ARGUMENT",
            "16777217 cannot be held by float32",
        ),
        ({"inputs": [features(np.float32([[0, np.nan, 0, 0]]))]}, "INVALID_ARGUMENT", "log_return_2"),
        ({"inputs": []}, "INVALID_ARGUMENT", "0 tensors were sent"),
        ({"inputs": [features(np.array([[b"a"]], np.object_), "BYTES")]}, "INVALID_ARGUMENT", "BYTES"),
        ({"outputs": [triton.InferRequestedOutput("price")]}, "INVALID_ARGUMENT", "its outputs are"),
        (
            {"outputs": [triton.InferRequestedOutput("probabilities", class_count=1)]},
            "INVALID_ARGUMENT",
            "classification",
        ),
        ({"sequence_id": 3}, "INVALID_ARGUMENT", "no state"),
        ({"parameters": {"feature_spec_hash": "0" * 64}}, "FAILED_PRECONDITION", "was trained on"),
        ({"parameters": {"symbol": 3}}, "INVALID_ARGUMENT", "text"),
    ],
)
def test_what_is_refused_says_why(
    client: triton.InferenceServerClient,
    request_changes: dict[str, object],
    status: str,
    expected_words: str,
) -> None:
    request = {"model_name": "daily", "inputs": [features()]} | request_changes
    with pytest.raises(InferenceServerException, match=expected_words) as raised:
        client.infer(**request)
    assert raised.value.status() == f"StatusCode.{status}"


def test_a_stream_answers_in_order_and_outlives_a_bad_request(client: triton.InferenceServerClient) -> None:
    answers: queue.SimpleQueue[tuple[triton.InferResult, InferenceServerException | None]] = (
        queue.SimpleQueue()
    )
    client.start_stream(lambda result, error: answers.put((result, error)))
    wanted = expected(ROWS)["probabilities"]
    for index in range(50):
        row = ROWS[index % 3 : index % 3 + 1]
        client.async_stream_infer(
            "absent" if index == 20 else "daily", [features(row)], request_id=str(index)
        )
    for index in range(50):
        result, error = answers.get(timeout=WAIT_SECONDS)
        if index == 20:
            assert "absent" in str(error)
            continue
        assert error is None
        assert result.get_response().id == str(index)
        assert np.array_equal(result.as_numpy("probabilities")[0], wanted[index % 3])
    client.stop_stream()


def test_statistics_count_requests_rows_and_runs(two_models: RunningServer) -> None:
    with triton.InferenceServerClient(two_models.addresses["data"]) as client:
        before = client.get_inference_statistics("hourly").model_stats[0]
        for _ in range(4):
            client.infer("hourly", [features()])
        after = client.get_inference_statistics("hourly").model_stats[0]
        assert after.inference_count - before.inference_count == 12
        assert after.execution_count - before.execution_count == 4
        spent, earlier = after.inference_stats, before.inference_stats
        assert spent.success.count - earlier.success.count == 4
        assert spent.compute_infer.ns > earlier.compute_infer.ns
        assert spent.success.ns == spent.queue.ns + spent.compute_infer.ns
        assert after.last_inference > 1_700_000_000_000
        every = client.get_inference_statistics().model_stats
        assert {stats.name for stats in every} == {"daily", "hourly"}


def test_statistics_count_failures_and_batch_sizes_of_each_version(tmp_path: Path) -> None:
    store = tmp_path / "store"
    bundles.write_bundle(store, version=1)
    bundles.write_bundle(store, version=2, seed=2)
    deployment = {
        "format_version": 1,
        "models": {"daily": {"production": 2, "canary": {"version": 1, "share": 0.0}}},
    }
    (store / "deployment.json").write_text(json.dumps(deployment), encoding="utf-8")
    with (
        running_server(store, tmp_path) as server,
        triton.InferenceServerClient(server.addresses["data"]) as client,
    ):
        for rows in (1, 1, 1, 3, 3):
            client.infer("daily", [features(np.repeat(ROWS[:1], rows, axis=0))], model_version="2")
        client.infer("daily", [features()], model_version="1")
        # So many rows that a microsecond is over before they are read: the batcher refuses them at its door.
        many = [features(np.repeat(ROWS[:1], 4096, axis=0))]
        with pytest.raises(InferenceServerException) as raised:
            client.infer("daily", many, model_version="2", timeout=1)
        assert raised.value.status() == "StatusCode.DEADLINE_EXCEEDED"
        stats = {entry.version: entry for entry in client.get_inference_statistics("").model_stats}
        sizes = {
            version: {size.batch_size: size.compute_infer.count for size in entry.batch_stats}
            for version, entry in stats.items()
        }
        assert sizes == {"1": {3: 1}, "2": {1: 3, 3: 2}}
        for version, failed in (("1", 0), ("2", 1)):
            fail = stats[version].inference_stats.fail
            assert (fail.count, fail.ns > 0) == (failed, failed > 0), version
            spent = sum(size.compute_infer.ns for size in stats[version].batch_stats)
            assert spent == stats[version].inference_stats.compute_infer.ns
        (of_one,) = client.get_inference_statistics("daily", "1").model_stats
        assert (of_one.version, of_one.inference_count, of_one.execution_count) == ("1", 3, 1)


def test_priorities_are_levels_of_the_queue(client: triton.InferenceServerClient) -> None:
    batching = client.get_model_config("daily").config.dynamic_batching
    assert (batching.priority_levels, batching.default_priority_level) == (2, 1)
    wanted = expected(ROWS)["probabilities"]
    for level in (0, 1, 2):
        answer = client.infer("daily", [features()], priority=level)
        assert np.array_equal(answer.as_numpy("probabilities"), wanted)
    for level in (3, 2**63, 2**64 - 1):
        with pytest.raises(InferenceServerException, match="is no level; use 1"):
            client.infer("daily", [features()], priority=level)


def test_a_model_is_unloaded_and_loaded_again(two_models: RunningServer) -> None:
    with triton.InferenceServerClient(two_models.addresses["data"]) as client:
        client.unload_model("hourly")
        assert not client.is_model_ready("hourly")
        with pytest.raises(InferenceServerException, match="hourly"):
            client.infer("hourly", [features()])
        states = {entry.name: entry.state for entry in client.get_model_repository_index().models}
        assert states == {"daily": "READY", "hourly": "UNAVAILABLE"}
        with pytest.raises(InferenceServerException, match="only model that serves"):
            client.unload_model("daily")
        client.infer("daily", [features()])
        client.load_model("hourly")
        assert client.is_model_ready("hourly")
        client.infer("hourly", [features()])
        with pytest.raises(InferenceServerException, match="absent"):
            client.load_model("absent")
        with pytest.raises(InferenceServerException, match="config"):
            client.load_model("hourly", config="{}")


def test_the_repository_is_not_controlled_unless_allowed(client: triton.InferenceServerClient) -> None:
    for change in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match="repository_control") as raised:
            change("daily")
        assert raised.value.status() == "StatusCode.PERMISSION_DENIED"
    assert client.is_model_ready("daily")


def test_what_is_not_offered_is_unimplemented(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException) as raised:
        client.get_system_shared_memory_status()
    assert raised.value.status() == f"StatusCode.{grpc.StatusCode.UNIMPLEMENTED.name}"


def _fields(message: Descriptor) -> dict[str, tuple[int, int, bool]]:
    def kind(field: FieldDescriptor) -> tuple[int, int, bool]:
        return field.number, field.type, field.is_repeated

    return {field.name: kind(field) for field in message.fields}


def test_every_name_and_number_is_that_of_the_stock_client(tmp_path: Path) -> None:
    output = tmp_path / "descriptors"
    names = ["inference/model_config.proto", "inference/grpc_service.proto"]
    assert (
        protoc.main(["protoc", f"--proto_path={PROTO_ROOT}", f"--descriptor_set_out={output}", *names]) == 0
    )
    pool = DescriptorPool()
    compared = 0
    for file in descriptor_pb2.FileDescriptorSet.FromString(output.read_bytes()).file:
        ours = pool.AddSerializedFile(file.SerializeToString()) or pool.FindFileByName(file.name)
        for name, message in ours.message_types_by_name.items():
            theirs = service_pb2.DESCRIPTOR.message_types_by_name.get(name)
            theirs = theirs or model_config_pb2.DESCRIPTOR.message_types_by_name[name]
            stock = _fields(theirs)
            for field, shape in _fields(message).items():
                assert stock[field] == shape, f"{name}.{field}"
                compared += 1
        for service in ours.services_by_name.values():
            stock_service = service_pb2.DESCRIPTOR.services_by_name[service.name]
            for method in service.methods:
                stock_method = stock_service.methods_by_name[method.name]
                assert method.input_type.full_name == stock_method.input_type.full_name
                assert method.output_type.full_name == stock_method.output_type.full_name
                assert method.client_streaming == stock_method.client_streaming
                compared += 1
    assert compared > 100
