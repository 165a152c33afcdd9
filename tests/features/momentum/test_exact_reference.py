"""Momentum kernels equal exact references where floating point is hard."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.features.exact_references import (
    SERIES,
    Columns,
    Exact,
    Values,
    after,
    assert_exact,
    ema,
    mean,
    pairwise,
    quotient,
    wilder,
    windows,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def close(prices: Any) -> Any:
    return prices["close"]


def one(_: Any) -> float:
    return 1.0


def changes(values: Sequence[Decimal]) -> list[Decimal]:
    return [new - old for old, new in itertools.pairwise(values)]


def gains_and_losses(values: Sequence[Decimal], length: int) -> tuple[Values, Values]:
    gains = [max(change, Decimal(0)) for change in changes(values)]
    losses = [max(-change, Decimal(0)) for change in changes(values)]
    return [None, *wilder(gains, length)], [None, *wilder(losses, length)]


def cmo(columns: Columns, timeperiod: int) -> Values:
    averages = gains_and_losses(columns["close"], timeperiod)
    return pairwise(lambda gain, loss: 100 * quotient(gain - loss, gain + loss), *averages)


def rsi(values: Sequence[Decimal], length: int) -> Values:
    averages = gains_and_losses(values, length)
    return pairwise(lambda gain, loss: 100 * quotient(gain, gain + loss), *averages)


def fastk(columns: Columns, timeperiod: int, fastk_period: int) -> Values:
    """Ranges below 1e-10 points are a decay's rounding in floating point and count as none."""

    def place(window: Sequence[Decimal]) -> Decimal:
        width = max(window) - min(window)
        return 100 * (window[-1] - min(window)) / width if width > Decimal("1e-10") else Decimal(0)

    indices = rsi(columns["close"], timeperiod)
    places = after(indices, lambda valid: windows(valid, fastk_period, place))
    smoothed = after(places, lambda valid: windows(valid, 3, mean))
    return pairwise(lambda raw, _: raw, places, smoothed)


def mom(columns: Columns, timeperiod: int) -> Values:
    return windows(columns["close"], timeperiod + 1, lambda window: window[-1] - window[0])


def trix(columns: Columns, timeperiod: int) -> Values:
    average: Values = columns["close"]
    for _ in range(3):
        average = after(average, lambda valid: ema(valid, timeperiod))
    return after(
        average, lambda valid: windows(valid, 2, lambda pair: 100 * quotient(pair[1] - pair[0], pair[0]))
    )


def apo(columns: Columns, fastperiod: int, slowperiod: int) -> Values:
    averages = ema(columns["close"], fastperiod), ema(columns["close"], slowperiod)
    return pairwise(lambda fast, slow: fast - slow, *averages)


def ppo(columns: Columns, fastperiod: int, slowperiod: int) -> Values:
    averages = ema(columns["close"], fastperiod), ema(columns["close"], slowperiod)
    return pairwise(lambda fast, slow: 100 * (fast - slow) / slow, *averages)


def ultosc(columns: Columns, timeperiod1: int, timeperiod2: int, timeperiod3: int) -> Values:
    bars = list(
        zip(columns["high"][1:], columns["low"][1:], columns["close"][1:], columns["close"][:-1], strict=True)
    )
    pressures = [price - min(low, before) for _, low, price, before in bars]
    ranges = [max(high, before) - min(low, before) for high, low, _, before in bars]

    def share(length: int) -> Values:
        sums = windows(pressures, length, sum), windows(ranges, length, sum)  # type: ignore[arg-type]
        return [None, *pairwise(quotient, *sums)]

    shares = [share(length) for length in sorted([timeperiod1, timeperiod2, timeperiod3])]
    return pairwise(lambda short, middle, long: 100 * (4 * short + 2 * middle + long) / 7, *shares)


def willr(columns: Columns, timeperiod: int) -> Values:
    high = windows(columns["high"], timeperiod, max)
    low = windows(columns["low"], timeperiod, min)
    return pairwise(
        lambda top, bottom, price: -100 * quotient(top - price, top - bottom), high, low, columns["close"]
    )


def cci(columns: Columns, timeperiod: int) -> Values:
    bars = zip(columns["high"], columns["low"], columns["close"], strict=True)

    def index(window: Sequence[Decimal]) -> Decimal:
        centre = mean(window)
        deviation = mean([abs(value - centre) for value in window])
        distance = window[-1] - centre
        # A typical price itself is rounded: what is left of a flat market in sixty digits is not a move.
        flat = deviation < Decimal("1e-15") * window[-1]
        return Decimal(0) if flat else distance / (Decimal("0.015") * deviation)

    return windows([sum(bar) / Decimal(3) for bar in bars], timeperiod, index)


def aroon(columns: Columns, timeperiod: int, *, up: bool) -> Values:
    def age(window: Sequence[Decimal]) -> Decimal:
        extreme = max(window) if up else min(window)
        return Decimal(list(reversed(window)).index(extreme))

    ages = windows(columns["high"] if up else columns["low"], timeperiod + 1, age)
    return pairwise(lambda bars: 100 * (timeperiod - bars) / timeperiod, ages)


def aroon_up(columns: Columns, timeperiod: int) -> Values:
    return aroon(columns, timeperiod, up=True)


def aroon_down(columns: Columns, timeperiod: int) -> Values:
    return aroon(columns, timeperiod, up=False)


def bop(columns: Columns) -> Values:
    prices = (columns[name] for name in ("open", "high", "low", "close"))
    return pairwise(lambda start, high, low, end: quotient(end - start, high - low), *prices)


PAIR = {"fastperiod": 3, "slowperiod": 8}
TRIPLE = {"timeperiod1": 3, "timeperiod2": 11, "timeperiod3": 7}
CASES = [
    Exact(kernel="cmo", output="cmo", reference=cmo, parameters={"timeperiod": 5}, floor=one),
    Exact(kernel="mom", output="mom", reference=mom, parameters={"timeperiod": 3}),
    Exact(kernel="trix", output="trix", reference=trix, parameters={"timeperiod": 4}, floor=one),
    Exact(kernel="apo", output="apo", reference=apo, parameters=PAIR, floor=close),
    Exact(kernel="ppo", output="ppo", reference=ppo, parameters=PAIR, floor=one),
    Exact(kernel="ultosc", output="ultosc", reference=ultosc, parameters=TRIPLE, floor=one),
    Exact(kernel="willr", output="willr", reference=willr, parameters={"timeperiod": 6}, floor=one),
    *(
        Exact(kernel="cci", output="cci", reference=cci, parameters={"timeperiod": length})
        for length in (2, 9)
    ),
    Exact(kernel="aroon", output="up", reference=aroon_up, parameters={"timeperiod": 7}, floor=one),
    Exact(kernel="aroon", output="down", reference=aroon_down, parameters={"timeperiod": 7}, floor=one),
    Exact(kernel="bop", output="bop", reference=bop),
    Exact(
        kernel="stochrsi",
        output="fastk",
        reference=fastk,
        parameters={"timeperiod": 5, "fastk_period": 4},
        floor=one,
        # The range of an index that hardly moves any more beside the outlier's decaying gain and loss.
        ill_conditioned=["after an outlier"],
    ),
]


@pytest.mark.parametrize("name", sorted(SERIES))
def test_momentum_equals_the_exact_reference(name: str) -> None:
    assert_exact(name, CASES)
