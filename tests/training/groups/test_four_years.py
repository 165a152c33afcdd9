"""Four years of daily bars of one symbol are enough for a model of its own."""

import json
from pathlib import Path

import polars as pl
import pytest
from candlewire_training.data.bars import canonical_bars
from candlewire_training.data.parquet import write_bars

from tests.training.conftest import random_walk
from tests.training.test_command import run

# As many as us_stocks_1d.parquet has of most symbols.
BARS = 1_007


def trained_parts(store: Path, model: str) -> dict[str, int]:
    (file,) = (store / model).glob("*/manifest.json")
    parts = json.loads(file.read_text(encoding="utf-8"))["training"]["parts"]
    return {name: part["rows"] for name, part in parts.items()}


def test_a_model_each_of_four_years(tmp_path: Path) -> None:
    walks = [random_walk(symbol, bars=BARS, seed=seed) for seed, symbol in enumerate(("AAA", "BBB"))]
    write_bars(canonical_bars(pl.concat(walks), source="walks"), tmp_path / "bars.parquet")
    code, out, err = run(
        "train", "--bars", tmp_path / "bars.parquet", "--out", tmp_path / "store", "--model", "m",
        "--per", "symbol", "--preset", "full", "--members", "xgboost,logistic", "--trees", 20,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "2 models written" in out
    parts = trained_parts(tmp_path / "store", "m-AAA")
    # 930 warm rows, five parts of which are lost to each purge and embargo: fewer than 200, and enough.
    assert 100 < parts["calibration"] < 200
    (card,) = (tmp_path / "store" / "m-AAA").glob("*/card.md")
    assert "Calibration rests on few rows" in card.read_text(encoding="utf-8")


@pytest.mark.real_data
def test_a_real_symbol_stacks_members(real_data: Path, tmp_path: Path) -> None:
    """Its pool is so narrow that a curve over it once magnified rounding beyond the parity gate."""
    stocks = pl.read_parquet(real_data / "us_stocks_1d.parquet").filter(pl.col("symbol") == "AAPL")
    stocks.write_parquet(tmp_path / "aapl.parquet")
    code, _, err = run(
        "train", "--bars", tmp_path / "aapl.parquet", "--out", tmp_path / "store", "--preset", "full",
        "--members", "xgboost,lightgbm,random_forest", "--folds", 5, "--bad-bars", "drop",
    )  # fmt: skip
    assert (code, err) == (0, "")


@pytest.mark.real_data
def test_a_real_symbol(real_data: Path, tmp_path: Path) -> None:
    stocks = pl.read_parquet(real_data / "us_stocks_1d.parquet").filter(pl.col("symbol") == "AAPL")
    stocks.write_parquet(tmp_path / "aapl.parquet")
    code, _, err = run(
        "train", "--bars", tmp_path / "aapl.parquet", "--out", tmp_path / "store", "--model", "m",
        "--per", "symbol", "--preset", "full", "--bad-bars", "drop",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert trained_parts(tmp_path / "store", "m-AAPL")["calibration"] > 100
