"""Policies for gaps, over the minutes and sessions that real markets leave out."""

from __future__ import annotations

import itertools
import json
from typing import Any

import candlewire_features as cf
import numpy as np
import numpy.typing as npt
import pytest

from tests.features.conftest import PRICES, load

# Minutes without a tick, sessions with and without their early hours, hours that are missing.
SERIES = [
    ("fx_1m.parquet", "EURUSD", "1m"),
    ("us_equities_5m.parquet", "TSLL", "5m"),
    ("cfd_1h.parquet", "XAUUSD", "1h"),
    ("crypto_1m.parquet", "BTCUSDT", "1m"),
]
SECONDS = {"1m": 60, "5m": 300, "1h": 3600}
PLAIN = json.loads(cf.FeatureSpec.preset("full").canonical_json)["features"]


def spec_with(gap: Any, timeframe: str) -> cf.FeatureSpec:
    return cf.FeatureSpec.from_json(json.dumps({"timeframe": timeframe, "gap": gap, "features": PLAIN}))


def real_bars(file: str, symbol: str) -> dict[str, npt.NDArray[Any]]:
    frame = load(file, symbol).head(4000)
    times = np.ascontiguousarray(frame["ts"].dt.epoch("ns").to_numpy())
    return {"open_time_ns": times} | {name: np.ascontiguousarray(frame[name].to_numpy()) for name in PRICES}


def streamed(bars: dict[str, npt.NDArray[Any]], spec: cf.FeatureSpec) -> tuple[Any, Any]:
    """Statuses and features of a panel that is restored from its snapshot in the middle."""
    panel = cf.Panel(spec, ["A"])
    count = len(bars["close"])
    out = np.zeros((count, len(spec)))
    statuses = []
    for start, stop in ((0, count // 2), (count // 2, count)):
        part = [np.ascontiguousarray(bars[name][start:stop]) for name in ("open_time_ns", *PRICES)]
        statuses.append(panel.update(np.zeros(stop - start, dtype=np.int64), *part, out[start:stop]))
        panel = cf.Panel.restore(spec, panel.snapshot())
    return np.concatenate(statuses), out


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol", "timeframe"), SERIES)
@pytest.mark.parametrize("most", [1, 5, 60])
def test_each_policy_does_what_it_says(file: str, symbol: str, timeframe: str, most: int) -> None:
    bars = real_bars(file, symbol)
    missing = np.diff(bars["open_time_ns"]) // (SECONDS[timeframe] * 1_000_000_000) - 1
    missing = np.concatenate([[0], missing])
    if file.startswith("crypto"):
        assert (missing == 0).all(), "the coins' grid is whole"
    else:
        assert (missing > 0).sum() > 10, "too few gaps to tell"

    skip, as_if_none = streamed(bars, spec_with("skip", timeframe))
    assert (skip == cf.BarStatus.APPLIED).all()
    flag, flagged = streamed(bars, spec_with("flag", timeframe))
    assert np.array_equal(flag == cf.BarStatus.APPLIED_AFTER_GAP, missing > 0)
    assert (flag[missing == 0] == cf.BarStatus.APPLIED).all()
    np.testing.assert_array_equal(flagged.view(np.uint64), as_if_none.view(np.uint64))

    spec = spec_with({"reset_after": most}, timeframe)
    reset, anew = streamed(bars, spec)
    begins = missing > most
    assert np.array_equal(reset == cf.BarStatus.RESET_AFTER_GAP, begins)
    np.testing.assert_array_equal(anew.view(np.uint64), cf.compute(bars, spec).view(np.uint64))
    # Each stretch between two resets is a history of its own.
    edges = [0, *np.flatnonzero(begins).tolist(), len(missing)]
    plain = spec_with("skip", timeframe)
    for start, stop in itertools.pairwise(edges):
        alone = cf.compute(
            {name: np.ascontiguousarray(values[start:stop]) for name, values in bars.items()}, plain
        )
        np.testing.assert_array_equal(
            anew[start:stop].view(np.uint64), alone.view(np.uint64), f"from {start}"
        )
