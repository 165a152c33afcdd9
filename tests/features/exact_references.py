"""Series that break careless arithmetic, and the comparison of kernels with exact references on them.

A reference takes the columns as decimals of sixty digits and returns one value per bar, None before warm-up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, localcontext
from typing import Any

import candlewire_features as cf
import numpy as np
import numpy.typing as npt

Columns = Mapping[str, list[Decimal]]
Values = Sequence[Decimal | None]
Reference = Callable[..., Values]
DIGITS = Context(prec=60)
DAY_NS = 86_400_000_000_000


def bars_around(
    close: npt.NDArray[np.float64], spread: npt.NDArray[np.float64], volume: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """Sound bars with these closes; each opens where the last one closed."""
    opening = np.concatenate([close[:1], close[:-1]])
    return {
        "open_time_ns": np.arange(len(close), dtype=np.int64) * DAY_NS,
        "open": opening,
        "high": np.maximum(opening, close) + spread,
        "low": np.minimum(opening, close) - spread,
        "close": close,
        "volume": volume,
    }


def series() -> dict[str, dict[str, Any]]:
    """Name and bars of every adversarial series."""
    random = np.random.default_rng(11)
    count = 110
    walk = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, count)))
    spread = np.abs(random.normal(0.0, 0.2, count))
    volume = random.uniform(1e5, 1e6, count)
    outlier, flat_tail, quiet = walk.copy(), walk.copy(), volume.copy()
    outlier[40] = 1e8
    flat_tail[50:] = flat_tail[49]
    flat_spread = spread.copy()
    flat_spread[50:] = 0.0
    quiet[30:70] = 0.0
    return {
        "walk": bars_around(walk, spread, volume),
        "constant": bars_around(np.full(count, 0.1 + 0.2), np.zeros(count), volume),
        "a billion and a cent": bars_around(
            1e9 + random.choice([-0.01, 0.0, 0.01], count), np.full(count, 0.005), volume
        ),
        "after an outlier": bars_around(outlier, spread, volume),
        "flat tail": bars_around(flat_tail, flat_spread, volume),
        "tiny": bars_around(walk * 1e-290, spread * 1e-290, volume),
        "no volume": bars_around(walk, spread, np.zeros(count)),
        "no volume for a while": bars_around(walk, spread, quiet),
        "one bar": bars_around(walk[:1], spread[:1], volume[:1]),
        "few bars": bars_around(walk[:6], spread[:6], volume[:6]),
    }


SERIES = series()


@dataclass(frozen=True, kw_only=True)
class Exact:
    """A kernel's output, its parameters and its reference; `floor` as in `parity.Case`.

    `ill_conditioned` names series on which the definition itself turns the last bit of a price into more than
    the tolerance.
    """

    kernel: str
    output: str
    reference: Reference
    parameters: dict[str, Any] = field(default_factory=dict)
    floor: Callable[[Mapping[str, npt.NDArray[np.float64]]], Any] = lambda _: 0.0
    ill_conditioned: Sequence[str] = ()


def assert_exact(name: str, cases: Sequence[Exact]) -> None:
    """Every case equals its reference on the series of that name."""
    bars = SERIES[name]
    cases = [case for case in cases if name not in case.ill_conditioned]
    prices = {key: values for key, values in bars.items() if key != "open_time_ns"}
    requests = [
        (f"{case.kernel}.{case.output}.{number}", case.kernel, case.parameters, case.output)
        for number, case in enumerate(cases)
    ]
    ours = cf.compute(bars, cf.FeatureSpec(requests))
    for column, case in enumerate(cases):
        with localcontext(DIGITS):
            exact = case.reference(
                {key: [Decimal(float(value)) for value in values] for key, values in prices.items()},
                **case.parameters,
            )
        expected = np.array([np.nan if value is None else float(value) for value in exact])
        label = f"{case.kernel}.{case.output} {case.parameters} on {name}"
        mine = ours[:, column]
        assert np.array_equal(np.isnan(mine), np.isnan(expected)), f"{label}: first valid bar"
        scale = np.maximum(np.abs(expected), case.floor(prices))
        wrong = np.abs(mine - expected) > 1e-9 * scale
        assert not wrong.any(), (
            f"{label}: bar {np.argmax(wrong)} is {mine[wrong][0]!r}, exactly {expected[wrong][0]!r}"
        )


def windows(
    values: Sequence[Decimal], length: int, function: Callable[[Sequence[Decimal]], Decimal]
) -> Values:
    """The function of each full window, oldest value first."""
    return [
        function(values[end - length + 1 : end + 1]) if end >= length - 1 else None
        for end in range(len(values))
    ]


def after(values: Values, function: Callable[[Sequence[Decimal]], Values]) -> Values:
    """A function of the valid part of a series."""
    valid = [value for value in values if value is not None]
    return [None] * (len(values) - len(valid)) + list(function(valid))


def pairwise(function: Callable[..., Decimal], *series: Values) -> Values:
    """The function of each bar's values, where all of them are valid."""
    return [
        None if any(value is None for value in values) else function(*values)
        for values in zip(*series, strict=True)
    ]


def ema(values: Sequence[Decimal], length: int, factor: Decimal | None = None) -> Values:
    """Exponential average seeded with the first values' mean."""
    factor = Decimal(2) / (length + 1) if factor is None else factor
    result: list[Decimal | None] = [None] * min(length - 1, len(values))
    if len(values) >= length:
        average = sum(values[:length]) / Decimal(length)
        result.append(average)
        for value in values[length:]:
            average += (value - average) * factor
            result.append(average)
    return result


def wilder(values: Sequence[Decimal], length: int) -> Values:
    """Exponential average with a factor of 1 / length."""
    return ema(values, length, Decimal(1) / length)


def mean(values: Sequence[Decimal]) -> Decimal:
    return sum(values, Decimal(0)) / len(values)


def quotient(numerator: Decimal, denominator: Decimal) -> Decimal:
    """Zero where there is nothing to divide by."""
    return numerator / denominator if denominator else Decimal(0)
