"""The flags of a run, from a file."""

from pathlib import Path

import pytest
import typer
from candlewire_training.command import register
from candlewire_training.errors import SettingsError
from candlewire_training.training_file import read_training_file
from typer.testing import CliRunner

NAMES = {"test_share", "members", "trees", "horizon"}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "train.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_tables_group_and_lists_join(tmp_path: Path) -> None:
    path = write(
        tmp_path, 'trees = 20\n[model]\nmembers = ["xgboost", "logistic"]\n[split]\ntest-share = 0.3\n'
    )
    assert read_training_file(path, NAMES) == {"trees": 20, "members": "xgboost,logistic", "test_share": 0.3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tree = 3", "did you mean trees"),
        ("xyz = 3", "--help"),
        ("test-share = 1\ntest_share = 2", "comes twice"),
        ("trees =", "no TOML"),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_training_file(write(tmp_path, text), NAMES)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_training_file(tmp_path / "none.toml", NAMES)


def test_the_command_reads_it_and_flags_go_first(tmp_path: Path) -> None:
    app = typer.Typer()
    register(app)
    store = tmp_path / "store"
    path = write(
        tmp_path, f'sample = true\nout = "{store}"\nmodel = "filed"\ntrees = 5\nuntil = "2009-01-01"\n'
    )
    result = CliRunner().invoke(app, ["train", "--config", str(path), "--model", "flagged", "--quiet"])
    assert result.exit_code == 0, result.stderr
    assert [folder.name for folder in store.iterdir() if folder.is_dir()] == ["flagged"]
    wrong = write(tmp_path, "treez = 5\n")
    result = CliRunner().invoke(app, ["train", "--config", str(wrong)])
    assert result.exit_code == 2
    assert "trees" in result.stderr
