"""Volume kernels equal their definitions, computed in extended precision."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import candlewire_features as cf
import numpy as np
import pytest

from tests.features.adversarial import ADVERSARIAL, Bars, Exact, after_first, assert_agree, over_windows
from tests.features.conftest import PRICES, load

REAL = [
    ("us_stocks_1d.parquet", "AAPL"),
    ("crypto_1m.parquet", "BTCUSDT"),
    ("fx_1h.parquet", "EURUSD"),
    ("us_equities_5m.parquet", "SPY"),
]


def money_flow(bars: Bars) -> Exact:
    high, low, close, volume = (np.asarray(bars[name], np.longdouble) for name in PRICES[1:])
    still = high == low
    place = ((close - low) - (high - close)) / np.where(still, 1, high - low)
    return np.where(still, 0, place) * volume


def or_else(numerator: Any, denominator: Any, otherwise: float) -> Exact:
    empty = denominator == 0
    return np.where(empty, otherwise, numerator / np.where(empty, 1, denominator))


def check(bars: Bars) -> None:
    flow, volume, close = (
        money_flow(bars),
        *(np.asarray(bars[name], np.longdouble) for name in ("volume", "close")),
    )
    change = np.abs((close[1:] - close[:-1]) / close[:-1])
    impact = after_first(
        np.where(volume[1:] > 0, change / np.where(volume > 0, close * volume, 1)[1:] * 10**6, -1)
    )
    requests: list[Any] = []
    truths: list[tuple[Any, float]] = []

    def expect(kernel: str, period: int, output: str, truth: Any, floor: float = 0.0) -> None:
        requests.append((f"{kernel}-{output}-{period}", kernel, {"timeperiod": period}, output))
        truths.append((truth, floor))

    for period in (1, 5, 20):
        total = over_windows(lambda w: w.sum(axis=1), period, volume)
        flows = over_windows(lambda w: w.sum(axis=1), period, flow)
        expect("chaikin_money_flow", period, "money_flow", or_else(flows, total, 0.0), 1.0)
        before = after_first(total[:-1]) / period
        expect("volume_ratio", period, "ratio", or_else(volume, before, 1.0) + before * 0)
        expect("volume_ratio", period, "surprise", or_else(volume - before, volume + before, 0.0), 1.0)
        illiquidity = over_windows(
            lambda w: or_else(np.where(w >= 0, w, 0).sum(axis=1), (w >= 0).sum(axis=1), 0.0), period, impact
        )
        expect("amihud", period, "illiquidity", illiquidity)
        expect("amihud", period, "log_illiquidity", np.log(np.maximum(illiquidity, 1e-12)), 1.0)
    ours = cf.compute(bars, cf.FeatureSpec(requests))
    for column, (name, *_) in enumerate(requests):
        truth, floor = truths[column]
        assert_agree(name, ours[:, column], truth, floor=floor)


@pytest.mark.parametrize("name", [name for name in ADVERSARIAL if name != "tiny"])
def test_on_adversarial_bars(name: str) -> None:
    check(ADVERSARIAL[name])


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "symbol"), REAL)
def test_on_real_bars(file: str, symbol: str) -> None:
    frame = load(file, symbol).head(5000)
    check({name: np.ascontiguousarray(frame[name].to_numpy()) for name in ("ts", *PRICES)})


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_the_line_and_its_oscillator_keep_their_digits(name: str) -> None:
    """The line is the exact sum of its steps, also after an outlier of volume has come and gone."""
    bars = {key: column[:200] for key, column in ADVERSARIAL[name].items()}
    steps = cf.compute(bars, cf.FeatureSpec([("flow", "chaikin_money_flow", {"timeperiod": 1})]))[:, 0]
    ours = cf.compute(bars, cf.FeatureSpec([("ad", "ad"), ("osc", "adosc")]))
    flows = [float(value) for value in money_flow(bars)]
    line = [math.fsum(flows[: bar + 1]) for bar in range(len(flows))]
    # Errors are relative to a thousandth of the largest step or line so far.
    floor = np.maximum.accumulate(np.abs(flows) + np.abs(line)) * 1e-3
    assert_agree("ad", ours[:, 0], line, floor=floor)
    fast = slow = exact = Fraction(flows[0])
    truth = [math.nan] * len(flows)
    for bar, flow in enumerate(flows[1:], start=1):
        exact += Fraction(flow)
        fast += (exact - fast) * Fraction(2, 4)
        slow += (exact - slow) * Fraction(2, 11)
        if bar >= 9:
            truth[bar] = float(fast - slow)
    assert_agree("adosc", ours[:, 1], truth, floor=floor)
    assert np.isfinite(steps).all()
