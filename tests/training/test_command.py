"""The commands as a user types them."""

import json
from pathlib import Path

import onnxruntime as ort
import polars as pl
import pytest
import typer
from candlewire_training.command import register
from candlewire_training.data.bars import BarTable
from candlewire_training.data.parquet import read_bars, write_bars
from candlewire_training.errors import ParityError
from candlewire_training.export import bundle as bundle_module
from typer.testing import CliRunner

app = typer.Typer()
register(app)
RUNNER = CliRunner()


def run(*arguments: object) -> tuple[int, str, str]:
    result = RUNNER.invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def parquet(walk_bars: BarTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bars") / "walks.parquet"
    write_bars(walk_bars, path)
    return path


def test_train_from_parquet(parquet: Path, tmp_path: Path) -> None:
    code, out, err = run(
        "train", "--bars", parquet, "--out", tmp_path, "--trees", 20, "--horizon", 3, "--target-coverage", 0.8
    )
    assert (code, err) == (0, "")
    assert "band coverage" in out
    assert "long-run target 0.80" in out
    (folder,) = (tmp_path / "direction-1d").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["horizon_bars"] == 3
    assert manifest["band"]["target_coverage"] == 0.8
    assert manifest["symbols"] == ["AAA", "BBB", "CCC"]
    assert manifest["training"]["settings"]["trees"] == 20


def test_quiet_prints_the_folder_and_until_hides_the_end(parquet: Path, tmp_path: Path) -> None:
    code, out, err = run(
        "train", "--bars", parquet, "--out", tmp_path, "--trees", 5, "--quiet", "--until", "2002-03-01",
        "--model", "walk", "--version-stamp", 20260101000000,
    )  # fmt: skip
    assert (code, err) == (0, "")
    folder = Path(out.strip())
    assert folder == tmp_path / "walk" / "20260101000000"
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["training"]["parts"]["test"]["last_decision"] < "2002-03-01"
    assert manifest["training"]["data"]["bars"] == 3 * 790


def test_chosen_features_balance_and_diagnosis_reach_bundle_and_card(parquet: Path, tmp_path: Path) -> None:
    code, _, err = run(
        "train", "--bars", parquet, "--out", tmp_path, "--trees", 15, "--members", "xgboost,logistic",
        "--folds", 2, "--select-features", 5, "--cpcv", "4,2", "--balance-classes",
        "--label", "entry_quality",
    )  # fmt: skip
    assert (code, err) == (0, "")
    (folder,) = (tmp_path / "direction-1d").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    features = manifest["feature_spec"]["features"]
    assert 8 <= len(features) <= 13
    session = ort.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[1] == len(features)
    assert manifest["training"]["settings"]["label"]["balance_classes"] is True
    assert manifest["training"]["combinatorial"]["folds"] == 6
    loss, win = manifest["training"]["r_multiple_by_class"]
    assert loss < 0.0 < win
    for page in (folder / "card.html", folder / "card.md"):
        card = page.read_text(encoding="utf-8")
        for said in ("Features chosen", "Probability of overfitting (PBO)", "Balanced classes"):
            assert said in card
    assert "Expected R-multiple" in (folder / "card.html").read_text(encoding="utf-8")


def test_every_trial_of_a_search_is_counted(parquet: Path, tmp_path: Path) -> None:
    arguments = ("train", "--bars", parquet, "--out", tmp_path, "--trees", 20, "--folds", 2, "--quiet")
    for trials, counted in ((2, 2), (3, 3)):
        code, out, _ = run(*arguments, "--search", trials, "--version-stamp", 20260101000000 + trials)
        assert code == 0
        folder = Path(out.strip())
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        # The study goes on: the trials of the first run deflate the second, too.
        assert manifest["training"]["walk_forward"]["sharpe"]["trials"] == counted
        assert f"after {counted} trials" in (folder / "card.html").read_text(encoding="utf-8")


BAD = {
    "neither source": ((), "either --bars FILE_OR_FOLDER or --sample"),
    "both sources": (("--sample", "--bars", "x.parquet"), "either --bars"),
    "missing file": (("--bars", "none.parquet"), "no such file"),
    "unknown preset": (("--sample", "--preset", "nope"), "unknown preset"),
    "unknown policy": (("--bars", "BARS", "--bad-bars", "fix"), "'fix' is unknown"),
    "no date": (("--sample", "--until", "soon"), "'soon' is no date"),
    "too few bars": (("--sample", "--until", "2000-06-01"), "too few bars"),
    "before all bars": (("--sample", "--until", "1990-01-01"), "no bar lies between"),
    "model name": (("--sample", "--model", "../up"), "is no name"),
    "horizon": (("--sample", "--horizon", 0), "horizon 0 is out of range"),
    "coverage": (("--sample", "--target-coverage", 1.0), "target-coverage 1.0 is out of range"),
    "version": (("--sample", "--version-stamp", 12), "version-stamp 12 is no time"),
    "ranking": (("--sample", "--select-by", "luck"), "select-by 'luck' is unknown"),
    "one group": (("--sample", "--cpcv", "6"), "cpcv '6': give two numbers"),
    "no groups": (("--sample", "--cpcv", "6,x"), "cpcv '6,x': give numbers"),
    "groups": (("--sample", "--cpcv", "2,6"), "cpcv 2,6 does not fit"),
    "timeframe": (("--bars", "BARS", "--timeframe", "1h"), "no bars of timeframe 1h"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_code_2(case: str, parquet: Path, tmp_path: Path) -> None:
    arguments, expected = BAD[case]
    code, out, err = run("train", "--out", tmp_path, *[parquet if a == "BARS" else a for a in arguments])
    assert (code, out) == (2, "")
    assert expected in err
    assert err.startswith("candlewire: ")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_bad_bars_from_a_file(parquet: Path, tmp_path: Path) -> None:
    frame = pl.read_parquet(parquet)
    frame.drop("close").write_parquet(tmp_path / "missing.parquet")
    (tmp_path / "cut.parquet").write_bytes(parquet.read_bytes()[:1000])
    for name, expected in (("missing", "column close is missing"), ("cut", "truncated")):
        code, _, err = run("train", "--out", tmp_path / "store", "--bars", tmp_path / f"{name}.parquet")
        assert code == 2
        assert expected in err
        assert err.count("\n") == 1


def test_a_failing_gate_has_its_own_exit_code(
    parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ParityError("parity: probabilities differs by 1; nothing was written")

    monkeypatch.setattr(bundle_module, "check_parity", fails)
    code, _, err = run("train", "--bars", parquet, "--out", tmp_path, "--trees", 5)
    assert code == 3
    assert "nothing was written" in err
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_option() -> None:
    code, out, _ = run("train", "--help")
    assert code == 0
    for option in ("--bars", "--sample", "--until", "--target-coverage", "--version-stamp", "--seed"):
        assert option in out


def test_sample_bars_as_parquet(tmp_path: Path) -> None:
    code, out, err = run("data", "sample", "--out", tmp_path, "--from", "2012-03-01", "--until", "2012-04-01")
    assert code == 0
    assert "adjusted for splits" in err
    table = read_bars(tmp_path / "sample.parquet")
    assert f"{table.frame.height} bars" in out
    assert table.symbols == ("AAPL", "GOOG", "IBM", "MSFT")
    assert table.frame.height == 4 * 22
    assert run("data", "sample", "--out", tmp_path, "--from", "2030-01-01")[0] == 2


def test_the_replay_bars_are_those_that_training_leaves_out(tmp_path: Path) -> None:
    run("data", "sample", "--out", tmp_path / "all")
    run("data", "sample", "--out", tmp_path / "old", "--until", "2010-01-01")
    run("data", "sample", "--out", tmp_path / "new", "--from", "2010-01-01")
    whole, old, new = (read_bars(tmp_path / name).frame for name in ("all", "old", "new"))
    assert pl.concat([old, new]).sort("symbol", "open_time_ns").equals(whole)


def test_a_70_30_split_judges_the_newest_30_percent(parquet: Path, tmp_path: Path) -> None:
    code, out, err = run(
        "train", "--bars", parquet, "--out", tmp_path, "--trees", 5, "--quiet", "--split", "70/30"
    )
    assert (code, err) == (0, "")
    manifest = json.loads((Path(out.strip()) / "manifest.json").read_text(encoding="utf-8"))
    rows = {name: part["rows"] for name, part in manifest["training"]["parts"].items()}
    total = 3 * (900 - 66 - 5)
    assert rows["test"] == pytest.approx(0.3 * total, abs=60)
    assert rows["train"] == pytest.approx(0.56 * total, abs=60)
    assert sum(rows.values()) <= total
    code, _, err = run("train", "--bars", parquet, "--out", tmp_path, "--split", "70/30", "--test-share", 0.1)
    assert code == 2
    assert "leave out calibration-share and test-share" in err


def test_a_split_by_dates_begins_there(parquet: Path, tmp_path: Path) -> None:
    code, out, err = run(
        "train", "--bars", parquet, "--out", tmp_path, "--trees", 5, "--quiet",
        "--split", "2001-07-01/2002-01-01",
    )  # fmt: skip
    assert (code, err) == (0, "")
    training = json.loads((Path(out.strip()) / "manifest.json").read_text(encoding="utf-8"))["training"]
    parts = training["parts"]
    assert parts["train"]["last_decision"] < "2001-07-01" <= parts["calibration"]["first_decision"]
    assert parts["calibration"]["last_decision"] < "2002-01-01" <= parts["test"]["first_decision"]
    assert training["settings"]["split_at"] == ["2001-07-01T00:00:00+00:00", "2002-01-01T00:00:00+00:00"]


def test_jobs_fit_the_folds_of_one_model_to_the_same_bytes(parquet: Path, tmp_path: Path) -> None:
    graphs = []
    for jobs in (1, 2):
        code, out, err = run(
            "train", "--bars", parquet, "--out", tmp_path / str(jobs), "--trees", 5, "--quiet", "--folds", 2,
            "--jobs", jobs, "--version-stamp", 20260101000000,
        )  # fmt: skip
        assert (code, err) == (0, "")
        graphs.append((Path(out.strip()) / "model.onnx").read_bytes())
    assert graphs[0] == graphs[1]
