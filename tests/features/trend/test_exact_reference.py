"""Trend kernels equal exact references where floating point is hard."""

from __future__ import annotations

import itertools
import math
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


def weighted(values: Sequence[Decimal], weights: Sequence[int]) -> Decimal:
    return sum((v * w for v, w in zip(values, weights, strict=True)), Decimal(0)) / sum(weights)


def wma_of(values: Sequence[Decimal], length: int) -> Values:
    return windows(values, length, lambda window: weighted(window, range(1, length + 1)))


def wma(columns: Columns, timeperiod: int) -> Values:
    return wma_of(columns["close"], timeperiod)


def trima(columns: Columns, timeperiod: int) -> Values:
    weights = [min(place, timeperiod + 1 - place) for place in range(1, timeperiod + 1)]
    return windows(columns["close"], timeperiod, lambda window: weighted(window, weights))


def hma(columns: Columns, timeperiod: int) -> Values:
    half, full = wma_of(columns["close"], timeperiod // 2), wma_of(columns["close"], timeperiod)
    ahead = pairwise(lambda fast, slow: 2 * fast - slow, half, full)
    return after(ahead, lambda valid: wma_of(valid, math.isqrt(timeperiod)))


def chain(values: Sequence[Decimal], length: int, links: int) -> list[Values]:
    """Averages of averages."""
    averages: list[Values] = [list(values)]
    for _ in range(links):
        averages.append(after(averages[-1], lambda valid: ema(valid, length)))
    return averages[1:]


def dema(columns: Columns, timeperiod: int) -> Values:
    return pairwise(lambda one, two: 2 * one - two, *chain(columns["close"], timeperiod, 2))


def tema(columns: Columns, timeperiod: int) -> Values:
    links = chain(columns["close"], timeperiod, 3)
    return pairwise(lambda one, two, three: 3 * one - 3 * two + three, *links)


def t3(columns: Columns, timeperiod: int, vfactor: float) -> Values:
    """The cube of (1 + factor) * average - factor * average of average, over one chain of averages."""
    factor = Decimal(vfactor)
    weights = [math.comb(3, power) * (1 + factor) ** (3 - power) * (-factor) ** power for power in range(4)]
    return pairwise(
        lambda *averages: sum((w * a for w, a in zip(weights, averages, strict=True)), Decimal(0)),
        *chain(columns["close"], timeperiod, 6)[2:],
    )


def zlema(columns: Columns, timeperiod: int) -> Values:
    lag = (timeperiod - 1) // 2
    ahead = windows(columns["close"], lag + 1, lambda window: 2 * window[-1] - window[0])
    return after(ahead, lambda valid: ema(valid, timeperiod))


def rma(columns: Columns, timeperiod: int) -> Values:
    return wilder(columns["close"], timeperiod)


def kama(columns: Columns, timeperiod: int) -> Values:
    values, result = columns["close"], []
    average: Decimal | None = None
    fast, slow = Decimal(2) / 3, Decimal(2) / 31
    for end, value in enumerate(values):
        if end < timeperiod:
            result.append(None)
            continue
        window = values[end - timeperiod : end + 1]
        path = sum(abs(new - old) for old, new in itertools.pairwise(window))
        efficiency = abs(window[-1] - window[0]) / path if path else Decimal(1)
        previous = window[-2] if average is None else average
        average = previous + (value - previous) * (efficiency * (fast - slow) + slow) ** 2
        result.append(average)
    return result


def vwma(columns: Columns, timeperiod: int) -> Values:
    pairs = list(zip(columns["close"], columns["volume"], strict=True))

    def average(window: Any) -> Decimal:
        volume = sum(volume for _, volume in window)
        traded = sum(price * volume for price, volume in window)
        return traded / volume if volume else mean([price for price, _ in window])

    return windows(pairs, timeperiod, average)  # type: ignore[arg-type]


def fitted(columns: Columns, timeperiod: int, show: Any) -> Values:
    """A function of the values, their mean and the slope of the line fitted to them."""
    middle = Decimal(timeperiod - 1) / 2
    squares = sum((place - middle) ** 2 for place in range(timeperiod))

    def line(window: Sequence[Decimal]) -> Decimal:
        slope = sum(((place - middle) * value for place, value in enumerate(window)), Decimal(0)) / squares
        shown: Decimal = show(window, mean(window), slope, middle, squares)
        return shown

    return windows(columns["close"], timeperiod, line)


def linearreg(columns: Columns, timeperiod: int) -> Values:
    return fitted(columns, timeperiod, lambda _, centre, slope, middle, __: centre + slope * middle)


def linearreg_intercept(columns: Columns, timeperiod: int) -> Values:
    return fitted(columns, timeperiod, lambda _, centre, slope, middle, __: centre - slope * middle)


def linearreg_slope(columns: Columns, timeperiod: int) -> Values:
    return fitted(columns, timeperiod, lambda _, __, slope, *___: slope)


def linearreg_angle(columns: Columns, timeperiod: int) -> Values:
    return fitted(
        columns, timeperiod, lambda _, __, slope, *___: Decimal(math.degrees(math.atan(float(slope))))
    )


def tsf(columns: Columns, timeperiod: int) -> Values:
    return fitted(columns, timeperiod, lambda _, centre, slope, middle, __: centre + slope * (middle + 1))


def linearreg_r2(columns: Columns, timeperiod: int) -> Values:
    def share(
        window: Sequence[Decimal], centre: Decimal, slope: Decimal, _: Any, squares: Decimal
    ) -> Decimal:
        return quotient(slope * slope * squares, sum(((v - centre) ** 2 for v in window), Decimal(0)))

    return fitted(columns, timeperiod, share)


def middle_of_range(columns: Columns, length: int) -> Values:
    high = windows(columns["high"], length, max)
    return pairwise(lambda top, bottom: (top + bottom) / 2, high, windows(columns["low"], length, min))


def midprice(columns: Columns, timeperiod: int) -> Values:
    return middle_of_range(columns, timeperiod)


def midpoint(columns: Columns, timeperiod: int) -> Values:
    return windows(columns["close"], timeperiod, lambda window: (max(window) + min(window)) / 2)


def drawn(line: Values, displacement: int) -> Values:
    """A line as charts draw it, some bars later than it was known."""
    return ([None] * displacement + list(line))[: len(line)]


def senkou_a(columns: Columns, conversion: int, base: int, span_b: int, displacement: int) -> Values:
    del span_b
    lines = middle_of_range(columns, conversion), middle_of_range(columns, base)
    return drawn(pairwise(lambda tenkan, kijun: (tenkan + kijun) / 2, *lines), displacement)


def senkou_b(columns: Columns, conversion: int, base: int, span_b: int, displacement: int) -> Values:
    del conversion, base
    return drawn(middle_of_range(columns, span_b), displacement)


def chikou(columns: Columns, conversion: int, base: int, span_b: int, displacement: int) -> Values:
    del conversion, base, span_b
    return drawn(columns["close"], displacement)


def cloud_distance(columns: Columns, **parameters: int) -> Values:
    def distance(price: Decimal, first: Decimal, second: Decimal) -> Decimal:
        top, bottom = max(first, second), min(first, second)
        return (max(price - top, Decimal(0)) + min(price - bottom, Decimal(0))) / price

    edges = senkou_a(columns, **parameters), senkou_b(columns, **parameters)
    return pairwise(distance, columns["close"], *edges)


def true_ranges(columns: Columns) -> list[Decimal]:
    bars = zip(columns["high"][1:], columns["low"][1:], columns["close"][:-1], strict=True)
    return [max(high, before) - min(low, before) for high, low, before in bars]


def supertrend(columns: Columns, timeperiod: int, multiplier: float) -> Values:
    result: list[Decimal | None] = []
    upper = lower = before = Decimal(0)
    rising = True
    ranges: Values = [None, *wilder(true_ranges(columns), timeperiod)]
    for high, low, price, average in zip(
        columns["high"], columns["low"], columns["close"], ranges, strict=True
    ):
        if average is not None:
            first = not any(value is not None for value in result)
            width = Decimal(multiplier) * average
            new_upper, new_lower = (high + low) / 2 + width, (high + low) / 2 - width
            upper = new_upper if first or new_upper < upper or before > upper else upper
            lower = new_lower if first or new_lower > lower or before < lower else lower
            rising = first or (price >= lower if rising else price > upper)
        result.append(None if average is None else lower if rising else upper)
        before = price
    return result


def moved(columns: Columns, *, up: bool) -> list[Decimal]:
    """Directional movement of each bar after the first."""
    rises = [new - old for old, new in zip(columns["high"], columns["high"][1:], strict=False)]
    falls = [old - new for old, new in zip(columns["low"], columns["low"][1:], strict=False)]
    own, other = (rises, falls) if up else (falls, rises)
    return [mine if mine > 0 and mine > its else Decimal(0) for mine, its in zip(own, other, strict=True)]


def plus_dm(columns: Columns, timeperiod: int) -> Values:
    result: list[Decimal | None] = [None]
    total = Decimal(0)
    for bar, movement in enumerate(moved(columns, up=True), start=1):
        total = total + movement if bar < timeperiod else total - total / timeperiod + movement
        result.append(total if bar >= timeperiod - 1 else None)
    return result


def ratio(reference: Any) -> Any:
    """Distance of the close from a reference, as a fraction of the reference."""
    return lambda columns, **parameters: pairwise(
        lambda price, average: price / average - 1, columns["close"], reference(columns, **parameters)
    )


ICHIMOKU = {"conversion": 3, "base": 7, "span_b": 11, "displacement": 5}
CASES = [
    *(
        Exact(
            kernel=reference.__name__,
            output=reference.__name__,
            reference=reference,
            parameters={"timeperiod": length},
        )
        for reference in (wma, trima, rma, kama, vwma, midprice, midpoint, linearreg)
        for length in (4, 13)
    ),
    # These overshoot: near zero, after an outlier, they keep the digits of what they are made of.
    *(
        Exact(
            kernel=reference.__name__,
            output=reference.__name__,
            reference=reference,
            parameters={"timeperiod": length},
            floor=close,
        )
        for reference in (hma, dema, tema, zlema, tsf)
        for length in (4, 13)
    ),
    *(
        Exact(
            kernel=reference.__name__,
            output="ratio",
            reference=ratio(reference),
            parameters={"timeperiod": 13},
            floor=lambda _: 1.0,
        )
        for reference in (wma, trima, kama, vwma, linearreg)
    ),
    Exact(kernel="t3", output="t3", reference=t3, parameters={"timeperiod": 4, "vfactor": 0.5}, floor=close),
    Exact(
        kernel="linearreg_intercept",
        output="intercept",
        reference=linearreg_intercept,
        parameters={"timeperiod": 14},
        floor=close,
    ),
    Exact(
        kernel="linearreg_slope",
        output="slope",
        reference=linearreg_slope,
        parameters={"timeperiod": 14},
        floor=lambda prices: 1e-13 * prices["close"],
    ),
    Exact(
        kernel="linearreg_angle",
        output="angle",
        reference=linearreg_angle,
        parameters={"timeperiod": 14},
        floor=lambda prices: 1e-11 * prices["close"],
    ),
    Exact(
        kernel="linearreg_r2",
        output="r2",
        reference=linearreg_r2,
        parameters={"timeperiod": 14},
        floor=lambda _: 1.0,
    ),
    *(
        Exact(kernel="ichimoku", output=reference.__name__, reference=reference, parameters=ICHIMOKU)
        for reference in (senkou_a, senkou_b, chikou)
    ),
    Exact(
        kernel="ichimoku",
        output="cloud_distance",
        reference=cloud_distance,
        parameters=ICHIMOKU,
        floor=lambda _: 1.0,
    ),
    Exact(
        kernel="supertrend",
        output="supertrend",
        reference=supertrend,
        parameters={"timeperiod": 5, "multiplier": 1.5},
        floor=close,
    ),
    Exact(kernel="plus_dm", output="plus_dm", reference=plus_dm, parameters={"timeperiod": 6}),
]


@pytest.mark.parametrize("name", sorted(SERIES))
def test_trend_equals_the_exact_reference(name: str) -> None:
    assert_exact(name, CASES)
