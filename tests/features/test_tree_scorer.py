"""`TreeScorer` from Python: what it takes, what it refuses, and that threads change nothing."""

import candlewire_features as cf
import numpy as np
import pytest

# A regressor of two stumps over `features`, written field by field: no ONNX library is needed here.


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def field(number: int, payload: bytes | str | int) -> bytes:
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    data = payload.encode() if isinstance(payload, str) else payload
    return varint(number << 3 | 2) + varint(len(data)) + data


def attribute(name: str, values: list[int] | list[float] | list[str]) -> bytes:
    kind, number = {int: (7, 8), float: (6, 7), str: (8, 9)}[type(values[0])]
    if number == 7:
        items = field(7, np.array(values, dtype="<f4").tobytes())
    else:
        items = b"".join(field(number, value) for value in values)  # type: ignore[arg-type]
    return field(5, field(1, name) + items + field(20, kind))


def stumps(*, reads: str = "features") -> bytes:
    """2 for x[0] <= 0.5 and 3 for x[2] <= -1, their sum otherwise smaller."""
    attributes = [
        attribute("nodes_treeids", [0, 0, 0, 1, 1, 1]),
        attribute("nodes_nodeids", [0, 1, 2, 0, 1, 2]),
        attribute("nodes_featureids", [0, 0, 0, 2, 0, 0]),
        attribute("nodes_modes", ["BRANCH_LEQ", "LEAF", "LEAF"] * 2),
        attribute("nodes_values", [0.5, 0.0, 0.0, -1.0, 0.0, 0.0]),
        attribute("nodes_truenodeids", [1, 0, 0, 1, 0, 0]),
        attribute("nodes_falsenodeids", [2, 0, 0, 2, 0, 0]),
        attribute("target_treeids", [0, 0, 1, 1]),
        attribute("target_nodeids", [1, 2, 1, 2]),
        attribute("target_ids", [0, 0, 0, 0]),
        attribute("target_weights", [2.0, 0.25, 3.0, 0.125]),
        field(5, field(1, "n_targets") + field(3, 1) + field(20, 2)),
    ]
    node = field(1, reads) + field(2, "margin") + field(4, "TreeEnsembleRegressor")
    node += b"".join(attributes) + field(7, "ai.onnx.ml")
    tensor = field(1, field(1, 1))
    inputs = [field(11, field(1, name) + field(2, tensor)) for name in {"features", reads}]
    graph = field(1, node) + b"".join(inputs)
    return field(1, 8) + field(7, graph)


def test_scores_follow_the_trees_on_any_number_of_threads() -> None:
    scorer = cf.TreeScorer(stumps())
    assert scorer.is_complete
    assert scorer.outputs == ["margin"]
    assert "2 trees on the tree kernel" in scorer.report[0]
    rows = np.random.default_rng(1).normal(size=(1_000, 3)).astype(np.float32)
    rows[:3, 0] = [0.5, np.nextafter(np.float32(0.5), np.float32(1.0)), np.nan]
    wanted = np.where(rows[:, 0] <= 0.5, 2.0, 0.25) + np.where(rows[:, 2] <= -1.0, 3.0, 0.125)
    for threads in (1, 2, 3, 64):
        assert np.array_equal(scorer.score(rows, threads=threads)["margin"], wanted[:, None])
    assert scorer.score(rows[:0])["margin"].shape == (0, 1)


def test_a_node_that_reads_something_else_is_left_out_and_named() -> None:
    scorer = cf.TreeScorer(stumps(reads="scaled"))
    assert not scorer.is_complete
    assert scorer.outputs == []
    assert "it reads `scaled`, not the rows `features`" in scorer.report[0]
    assert cf.TreeScorer(stumps(reads="scaled"), input="scaled").is_complete


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (np.zeros((2, 3)), "rows is ndarray of float64"),
        (np.zeros(3, dtype=np.float32), "pass a row-major NumPy array of float32"),
        (np.zeros((3, 2), dtype=np.float32).T, "pass a row-major"),
        ([[0.0]], "rows is list"),
        (np.zeros((2, 2), dtype=np.float32), "columns: 2 given, the ensemble reads 3"),
        (np.zeros((0, 0), dtype=np.float32), "columns: 0 given"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: object, says: str) -> None:
    with pytest.raises(cf.InputError, match=says):
        cf.TreeScorer(stumps()).score(rows)  # type: ignore[arg-type]


def test_bad_bytes_instructions_and_threads_are_refused() -> None:
    with pytest.raises(cf.ModelError, match="not an ONNX model"):
        cf.TreeScorer(b"\xff\xff\xff")
    with pytest.raises(cf.InputError, match="`neon` is not one of portable, avx2, avx512"):
        cf.TreeScorer(stumps(), instructions="neon")
    with pytest.raises(cf.InputError, match="threads is 0"):
        cf.TreeScorer(stumps()).score(np.zeros((1, 3), dtype=np.float32), threads=0)
