"""`candlewire score-file`: every row as the server scores it, every problem told, nothing half written."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from bundles import LAGS, write_bundle
from candlewire_proto.v1 import scoring_pb2
from candlewire_server.errors import FileScoringError
from candlewire_server.file_scoring import FileScoring, ScoredFile
from conftest import RunningServer

ROWS = 700
NAMES = [f"log_return_{lag}" for lag in LAGS]


def table(rows: int = ROWS, seed: int = 3) -> pl.DataFrame:
    """Features between other columns, in another order than the model's, as a user's file may have them."""
    values = np.random.default_rng(seed).normal(scale=0.02, size=(rows, len(LAGS))).astype(np.float32)
    features = {name: values[:, at] for at, name in enumerate(NAMES)}
    return pl.DataFrame(
        {
            "symbol": ["BTCUSDT" if row % 2 else "ETHUSDT" for row in range(rows)],
            **dict(reversed(features.items())),
            "open_time_ns": np.arange(rows) * 60_000_000_000,
            "note": [f"row {row}" for row in range(rows)],
        }
    )


def score(store: Path, source: Path, target: Path, **options: object) -> ScoredFile:
    return FileScoring(store=store, model="daily", source=source, target=target, **options).run()  # type: ignore[arg-type]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    table().write_parquet(path, row_group_size=97)
    return path


def test_every_row_has_the_servers_bits(
    tiny_store: Path, server: RunningServer, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "scores.parquet"
    summary = score(tiny_store, source, target, members=True, batch_rows=64)
    assert (summary.rows, summary.rows_not_ready, summary.rows_not_finite) == (ROWS, 0, 0)
    scored, rows = pl.read_parquet(target), table()
    assert scored["note"].to_list() == rows["note"].to_list(), "rows keep their order"
    assert scored["open_time_ns"].to_list() == rows["open_time_ns"].to_list()
    for row in range(0, ROWS, 53):
        features = [rows[name][row] for name in NAMES]
        answer = server.scoring.Score(scoring_pb2.ScoreRequest(features=features, symbol="AAPL"))
        assert [scored[name][row] for name in ("probability_down", "probability_up")] == list(
            answer.probabilities
        )
        assert scored["signal"][row] == signal_name(answer)
        assert scored["confidence"][row] == answer.confidence


def signal_name(answer: scoring_pb2.ScoreResponse) -> str:
    return scoring_pb2.Signal.Name(answer.signal).removeprefix("SIGNAL_")


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 1},
        {"threads": 3, "batch_rows": 1},
        {"batch_rows": 10_000},
        {"compression": "zstd"},
        {"compression": "none"},
        {"tree_kernel": "off"},
        {"tree_kernel": "portable"},
        {"tree_kernel": "avx2"},
    ],
    ids=str,
)
def test_no_option_changes_a_bit(
    tiny_store: Path, source: Path, tmp_path: Path, options: dict[str, object]
) -> None:
    score(tiny_store, source, tmp_path / "plain.parquet")
    score(tiny_store, source, tmp_path / "other.parquet", **options)
    plain, other = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("plain", "other"))
    assert plain.equals(other, null_equal=True)


def test_doubles_score_as_their_nearest_floats(tiny_store: Path, source: Path, tmp_path: Path) -> None:
    doubles = tmp_path / "doubles.parquet"
    pl.read_parquet(source).with_columns(pl.col(NAMES).cast(pl.Float64)).write_parquet(doubles)
    score(tiny_store, source, tmp_path / "one.parquet")
    score(tiny_store, doubles, tmp_path / "other.parquet")
    assert pl.read_parquet(tmp_path / "one.parquet").equals(pl.read_parquet(tmp_path / "other.parquet"))


def test_rows_without_a_score_say_why(tiny_store: Path, tmp_path: Path) -> None:
    rows = table(40).with_row_index("at")
    first = pl.when(pl.col("at") == 3).then(float("nan")).when(pl.col("at") == 5).then(float("-inf"))
    rows = rows.with_columns(
        first.otherwise(pl.col(NAMES[0])).cast(pl.Float32).alias(NAMES[0]),
        pl.when(pl.col("at") == 9).then(None).otherwise(pl.col(NAMES[2])).alias(NAMES[2]),
    )
    rows.write_parquet(tmp_path / "rows.parquet")
    summary = score(tiny_store, tmp_path / "rows.parquet", tmp_path / "scores.parquet")
    assert (summary.rows_not_ready, summary.rows_not_finite) == (2, 1)
    scored = pl.read_parquet(tmp_path / "scores.parquet")
    unscored = {row: scored["status"][row] for row in range(40) if scored["status"][row] != "OK"}
    assert unscored == {3: "NOT_READY", 5: "NOT_FINITE", 9: "NOT_READY"}
    for row in unscored:
        assert scored["signal"][row] == "NOT_READY"
        assert not scored["trusted"][row]
        assert scored["probability_up"][row] is None
        assert scored["band_low"][row] is None
    assert scored["probability_up"].null_count() == len(unscored)


def test_columns_pass_through_as_asked(tiny_store: Path, source: Path, tmp_path: Path) -> None:
    score(tiny_store, source, tmp_path / "two.parquet", columns=("note", NAMES[1]))
    assert pl.read_parquet(tmp_path / "two.parquet").columns[:3] == ["note", NAMES[1], "status"]
    score(tiny_store, source, tmp_path / "none.parquet", columns=())
    assert pl.read_parquet(tmp_path / "none.parquet").columns[0] == "status"
    with pytest.raises(FileScoringError, match=r"column \"notes\" is missing; the nearest .* \"note\""):
        score(tiny_store, source, tmp_path / "x.parquet", columns=("notes",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: rows.rename({"log_return_3": "log_retrun_3"}),
            r'feature column "log_return_3" is missing; the nearest that it has is "log_ret',
        ),
        (
            lambda rows: rows.with_columns(pl.col("log_return_2").cast(pl.String)),
            r'feature column "log_return_2" is .*; write it as float32 or float64',
        ),
        (lambda rows: rows.rename({"note": "signal"}), r'two columns .* would be called "signal"'),
    ],
    ids=["missing", "text", "twice"],
)
def test_a_file_that_does_not_fit_is_refused(
    tiny_store: Path, tmp_path: Path, change: object, message: str
) -> None:
    change(table(10)).write_parquet(tmp_path / "rows.parquet")  # type: ignore[operator]
    with pytest.raises(FileScoringError, match=message):
        score(tiny_store, tmp_path / "rows.parquet", tmp_path / "scores.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.parquet"], "nothing is left behind"


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(tiny_store: Path, source: Path, tmp_path: Path, kept: float) -> None:
    content = source.read_bytes()
    source.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(FileScoringError, match=r"rows\.parquet: no whole Parquet file .* cut off"):
        score(tiny_store, source, tmp_path / "scores.parquet")


def test_damage_within_a_file_leaves_no_output(tiny_store: Path, source: Path, tmp_path: Path) -> None:
    content = bytearray(source.read_bytes())
    middle = len(content) // 3
    content[middle : middle + 400] = bytes(400)
    source.write_bytes(content)
    with pytest.raises(FileScoringError, match=r"rows\.parquet: row group \d+, rows 0 to 97"):
        score(tiny_store, source, tmp_path / "scores.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.parquet"]


def test_an_output_that_is_there_is_kept(tiny_store: Path, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "scores.parquet"
    target.write_text("mine", encoding="utf-8")
    with pytest.raises(FileScoringError, match=r"exists; name another file or say --overwrite"):
        score(tiny_store, source, target)
    assert target.read_text(encoding="utf-8") == "mine"
    score(tiny_store, source, target, overwrite=True)
    assert len(pl.read_parquet(target)) == ROWS


def test_what_progress_raises_ends_the_work(tiny_store: Path, source: Path, tmp_path: Path) -> None:
    class EnoughError(Exception):
        pass

    def enough(_done: int, _total: int) -> None:
        raise EnoughError

    request = FileScoring(store=tiny_store, model="daily", source=source, target=tmp_path / "out.parquet")
    with pytest.raises(EnoughError):
        request.run(enough)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.parquet"]


def test_an_empty_file_gives_an_empty_file(tiny_store: Path, tmp_path: Path) -> None:
    table(0).write_parquet(tmp_path / "rows.parquet")
    assert score(tiny_store, tmp_path / "rows.parquet", tmp_path / "scores.parquet").rows == 0
    assert pl.read_parquet(tmp_path / "scores.parquet").is_empty()


def test_versions_and_models_are_checked_before_they_score(
    tiny_store: Path, source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "scores.parquet"
    with pytest.raises(FileScoringError, match=r'model "huge": .*; the store holds .*daily'):
        FileScoring(store=tiny_store, model="huge", source=source, target=target).run()
    with pytest.raises(FileScoringError, match=r"daily 20010101000000: manifest\.json"):
        score(tiny_store, source, target, version=20_010_101_000_000)
    folder = write_bundle(tmp_path / "store")
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    with pytest.raises(FileScoringError, match=r"model\.onnx hashes to"):
        score(tmp_path / "store", source, target)
    assert not target.exists()


def test_the_command_scores_and_says_so(tiny_store: Path, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "scores.parquet"
    command = [str(Path(sys.executable).parent / "candlewire"), "score-file", "--store", str(tiny_store)]
    command += ["--model", "daily", "--in", str(source), "--out", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert f"{ROWS} rows with daily" in done.stderr
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stderr.count("\n")) == (1, 1), "one line, no traceback"
    assert "candlewire score-file: " in again.stderr
    assert target.stat().st_mtime <= time.time()
