"""The shipped bars: unchanged, attributed, and adjusted from an explicit table."""

import hashlib
from datetime import date
from importlib import resources

import numpy as np
import polars as pl
import pytest
from candlewire_training.data.bars import to_ns
from candlewire_training.data.sample import FILE, sample_bars
from candlewire_training.data.split_events import SAMPLE_SPLITS

FOLDER = resources.files("candlewire_training.data") / "sample_bars"


def close_to_close(symbol: str, day: date, *, adjusted: bool) -> float:
    frame = sample_bars(adjusted=adjusted).frame.filter(pl.col("symbol") == symbol)
    steps = frame.with_columns(step=pl.col("close") / pl.col("close").shift(1))
    return float(steps.filter(pl.col("open_time_ns") == to_ns(day))["step"][0])


def test_the_file_is_the_one_that_its_source_note_describes() -> None:
    digest, name = (FOLDER / "SHA256SUMS").read_text(encoding="utf-8").split()
    assert name == FILE
    assert hashlib.sha256((FOLDER / FILE).read_bytes()).hexdigest() == digest
    note = (FOLDER / "SOURCE.md").read_text(encoding="utf-8")
    assert "bokeh_sampledata 2026.1" in note
    assert "public domain" in note


@pytest.mark.parametrize("event", SAMPLE_SPLITS, ids=str)
def test_a_split_no_longer_moves_the_price(event) -> None:  # noqa: ANN001 - a SplitEvent
    assert close_to_close(event.symbol, event.ex_date, adjusted=False) < 0.6
    assert 0.9 < close_to_close(event.symbol, event.ex_date, adjusted=True) < 1.12


def test_the_genuine_fall_stays() -> None:
    assert close_to_close("AAPL", date(2000, 9, 29), adjusted=True) == pytest.approx(0.481, abs=0.001)


def test_nothing_else_falls_by_half() -> None:
    frame = sample_bars().frame.with_columns(step=(pl.col("close") / pl.col("close").shift(1)).over("symbol"))
    assert frame.filter(pl.col("step") < 0.6).height == 1


def test_turnover_is_untouched() -> None:
    raw, adjusted = sample_bars(adjusted=False).frame, sample_bars().frame
    turnover = [(frame["close"] * frame["volume"]).to_numpy() for frame in (raw, adjusted)]
    np.testing.assert_allclose(turnover[1], turnover[0], rtol=1e-12)


def test_adjustment_is_told() -> None:
    (note,) = sample_bars().notes
    assert "AAPL 2005-02-28 2:1" in note
    assert "dividends are not adjusted" in note


def test_split_factors_agree_with_the_source_package() -> None:
    stocks = pytest.importorskip("bokeh_sampledata.stocks", reason="bokeh_sampledata is optional")
    for symbol in ("AAPL", "MSFT"):
        columns = getattr(stocks, symbol)
        ratio = np.asarray(columns["adj_close"]) / np.asarray(columns["close"])
        frame = sample_bars().frame.filter(pl.col("symbol") == symbol)
        raw = sample_bars(adjusted=False).frame.filter(pl.col("symbol") == symbol)
        ours = (frame["close"] / raw["close"]).to_numpy()
        # Dividends move the source's ratio slowly; at a split both jump by the same factor.
        jumps = np.flatnonzero(np.abs(np.diff(np.log(ours))) > 0.1)
        assert jumps.size == sum(event.symbol == symbol for event in SAMPLE_SPLITS)
        np.testing.assert_allclose(np.diff(np.log(ratio))[jumps], np.diff(np.log(ours))[jumps], atol=0.02)
