"""Compares kernels with TA-Lib on one series: the same first valid bar, the same values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import candlewire_features as cf
import numpy as np
import numpy.typing as npt

from .conftest import PRICES

if TYPE_CHECKING:
    import polars as pl

Bars = Mapping[str, npt.NDArray[np.float64]]
TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Case:
    """One kernel, the parameters to try, and the oracle that gives its outputs in order.

    The error is relative to the oracle's value or to `floor` of the bars, whichever is larger: a difference
    of prices that nearly cancel has the digits of the prices, not its own.
    """

    kernel: str
    outputs: Sequence[str]
    parameters: Sequence[dict[str, Any]]
    oracle: Callable[[Bars, dict[str, Any]], Any]
    floor: Callable[[Bars], Any] = lambda _: np.finfo(np.float64).tiny


def assert_parity(frame: pl.DataFrame, cases: Sequence[Case]) -> None:
    """Every output of every case, valid from the oracle's first bar on and equal to it from there."""
    bars = {name: np.ascontiguousarray(frame[name].to_numpy()) for name in PRICES}
    requests, expected = [], []
    for case in cases:
        for number, parameters in enumerate(case.parameters):
            values = case.oracle(bars, parameters)
            columns = values if len(case.outputs) > 1 else [values]
            for output, column in zip(case.outputs, columns, strict=True):
                name = f"{case.kernel}.{output}.{number}"
                requests.append((name, case.kernel, parameters, output))
                expected.append((f"{name} {parameters}", column, case.floor(bars)))
    ours = cf.compute(frame, cf.FeatureSpec(requests))
    for column, (name, theirs, floor) in enumerate(expected):
        mine = ours[:, column]
        assert np.array_equal(np.isnan(mine), np.isnan(theirs)), f"{name}: first valid bar"
        error = np.nan_to_num(np.abs(mine - theirs) / np.maximum(np.abs(theirs), floor))
        worst = int(np.argmax(error))
        assert error[worst] <= TOLERANCE, f"{name} bar {worst}: {mine[worst]!r}, TA-Lib {theirs[worst]!r}"
