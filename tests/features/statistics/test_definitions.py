"""Rolling statistics equal their definitions, computed in extended precision."""

from __future__ import annotations

from typing import Any

import candlewire_features as cf
import numpy as np
import pytest
import talib

from tests.features.adversarial import (
    ADVERSARIAL,
    Bars,
    Exact,
    after_first,
    assert_agree,
    log_ratio,
    over_windows,
)
from tests.features.conftest import load

PERIODS = (5, 20, 66)
SOURCES = ("close", "volume", "log_return")


def series(bars: Bars, source: str) -> Exact:
    """The values that a statistic describes, in extended precision."""
    if source == "log_return":
        return after_first(log_ratio(bars["close"][1:], bars["close"][:-1]))
    return np.asarray(bars[source], np.longdouble)


def centred(windows: Exact) -> Exact:
    from_first = windows - windows[:, :1]  # exact: even extended precision rounds a mean of 1e9
    return from_first - from_first.mean(axis=1, keepdims=True)


def or_zero(numerator: Exact, denominator: Exact, flat: Exact) -> Exact:
    return np.where(flat, 0, numerator / np.where(flat, 1, denominator))


def flat(windows: Exact) -> Any:
    return (windows == windows[:, :1]).all(axis=1)


def zscore(windows: Exact) -> Exact:
    d = centred(windows)
    return or_zero(d[:, -1], np.sqrt((d**2).mean(axis=1)), flat(windows))


def skew(windows: Exact) -> Exact:
    d = centred(windows)
    return or_zero((d**3).mean(axis=1), (d**2).mean(axis=1) ** 1.5, flat(windows))


def kurtosis(windows: Exact) -> Exact:
    d = centred(windows)
    still = flat(windows)
    return or_zero((d**4).mean(axis=1), (d**2).mean(axis=1) ** 2, still) - np.where(still, 0, 3)


def autocorrelation(windows: Exact, lag: int) -> Exact:
    d = centred(windows)
    return or_zero((d[:, lag:] * d[:, :-lag]).sum(axis=1), (d**2).sum(axis=1), flat(windows))


def rank(windows: Exact) -> Exact:
    last, others = windows[:, -1:], windows[:, :-1]
    return np.asarray((others < last).mean(axis=1) / 2 + (others <= last).mean(axis=1) / 2, np.longdouble)


def percentile(windows: Exact) -> Exact:
    """The average rank of ties, as a share of the window: pandas' `rolling().rank(pct=True)`."""
    last = windows[:, -1:]
    equal = (windows == last).sum(axis=1)
    return np.asarray(((windows < last).sum(axis=1) + (equal + 1) / 2) / windows.shape[1], np.longdouble)


def check(bars: Bars) -> None:
    requests: list[Any] = []
    truths = []
    for source in SOURCES:
        values = series(bars, source)
        for period in PERIODS:
            shape = [over_windows(statistic, period, values) for statistic in (skew, kurtosis)]
            still = over_windows(flat, period, values) == 1
            n = np.longdouble(period)
            adjusted = [
                shape[0] * np.sqrt(n * (n - 1)) / (n - 2),
                np.where(still, 0, ((n + 1) * shape[1] + 6) * (n - 1) / ((n - 2) * (n - 3))),
            ]
            truth = {
                ("zscore", "zscore"): over_windows(zscore, period, values),
                ("rank", "rank"): over_windows(rank, period, values),
                ("rank", "percentile"): over_windows(percentile, period, values),
                ("moments", "skew"): shape[0],
                ("moments", "kurtosis"): shape[1],
                ("moments", "skew_adjusted"): adjusted[0],
                ("moments", "kurtosis_adjusted"): adjusted[1],
            }
            parameters = {"timeperiod": period, "source": source}
            for (kernel, output), expected in truth.items():
                requests.append((f"{kernel}.{output}-{source}-{period}", kernel, parameters, output))
                truths.append(expected)
            for lag in (1, 3):
                name = f"autocorrelation-{source}-{period}-lag-{lag}"
                requests.append((name, "autocorrelation", parameters | {"lag": lag}))
                truths.append(over_windows(lambda w, lag=lag: autocorrelation(w, lag), period, values))
    ours = cf.compute(bars, cf.FeatureSpec(requests))
    for column, (name, *_) in enumerate(requests):
        assert_agree(name, ours[:, column], truths[column], floor=1.0)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_on_adversarial_bars(name: str) -> None:
    check(ADVERSARIAL[name])


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("file", "symbol"),
    [
        ("us_stocks_1d.parquet", "AAPL"),
        ("indices_1d.parquet", "SPX_1950"),
        ("crypto_1h.parquet", "BTCUSD-COINBASE"),
    ],
)
def test_on_real_bars(file: str, symbol: str) -> None:
    frame = load(file, symbol).head(5000)
    check({name: np.ascontiguousarray(frame[name].to_numpy()) for name in frame.columns if name != "symbol"})


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_variance_keeps_its_digits(name: str) -> None:
    bars = ADVERSARIAL[name]
    for period in (1, 2, 5, 20, 66):
        ours = cf.compute(bars, cf.FeatureSpec([("var", "var", {"timeperiod": period})]))[:, 0]
        values = np.asarray(bars["close"], np.longdouble)
        truth = over_windows(lambda w: (centred(w) ** 2).mean(axis=1), period, values)
        assert_agree(f"var {period}", ours, truth, floor=np.finfo(np.float64).tiny)
        if name == "after an outlier":
            # The outlier has left the window: ours no longer knows of it.
            theirs = talib.VAR(bars["close"], timeperiod=period)
            assert np.array_equal(np.isnan(ours), np.isnan(theirs))


@pytest.mark.parametrize("bars", [1, 4, 19, 20, 21])
def test_few_bars(bars: int) -> None:
    few = {name: column[:bars] for name, column in ADVERSARIAL["zero volume"].items()}
    spec = cf.FeatureSpec([("z", "zscore"), ("s", "moments"), ("a", "autocorrelation"), ("r", "rank")])
    valid = np.isfinite(cf.compute(few, spec))
    np.testing.assert_array_equal(valid.sum(axis=0), [max(0, bars - first) for first in (19, 20, 20, 19)])


def test_simple_and_log_returns_and_their_lags() -> None:
    for name, bars in ADVERSARIAL.items():
        close = np.asarray(bars["close"], np.longdouble)
        for period, lag in ((1, 0), (1, 3), (5, 0), (20, 2)):
            parameters = {"timeperiod": period, "lag": lag}
            spec = cf.FeatureSpec(
                [("simple", "simple_return", parameters), ("log", "log_return", parameters)]
            )
            ours = cf.compute(bars, spec)
            truth = np.full((len(close), 2), np.nan, np.longdouble)
            end, start = close[period : len(close) - lag], close[: len(close) - lag - period]
            truth[period + lag :, 0] = (end - start) / start
            truth[period + lag :, 1] = log_ratio(end, start)
            for column, kind in enumerate(("simple", "log")):
                assert_agree(f"{kind} {name} {parameters}", ours[:, column], truth[:, column])


def test_a_lag_without_pairs_is_refused() -> None:
    with pytest.raises(cf.SpecError, match="lag 20 leaves no pair in a window of timeperiod 20"):
        cf.FeatureSpec([("a", "autocorrelation", {"lag": 20})])
