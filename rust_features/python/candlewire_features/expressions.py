"""TA-Lib's functions as polars expressions: importing this module adds the namespace `cw`.

Example:
    >>> import polars as pl
    >>> import candlewire_features.expressions
    >>> bars = pl.DataFrame({"close": [1.0, 2.0, 3.0, 5.0]})
    >>> bars.select(pl.col("close").cw.sma(timeperiod=2))["close"].to_list()
    [nan, 1.5, 2.5, 4.0]

The expression is the function's first input; others follow as names or expressions, then the parameters:
`pl.col("high").cw.atr("low", "close", timeperiod=14)`. A function of several outputs gives a struct. Per
symbol: `.over("symbol")`. A null is a missing bar: NaN there, and what follows is as if it had not come.
"""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from candlewire_features import talib
from candlewire_features._features import kernel_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_OUTPUTS = {
    kernel["name"]: [output["name"] for output in kernel["outputs"]]
    for kernel in json.loads(kernel_registry())
}


@pl.api.register_expr_namespace("cw")
class FeatureExpressions:
    """Every function of `candlewire_features.talib`, in lower case, as a method."""

    def __init__(self, expression: pl.Expr) -> None:
        """Takes the expression that is a function's first input."""
        self._expression = expression

    def __dir__(self) -> list[str]:
        """The names of the functions."""
        return sorted(name for name in talib.__all__ if name.islower())

    def __getattr__(self, name: str) -> Callable[..., pl.Expr]:
        """The function of that name.

        Raises:
            AttributeError: There is none.
        """
        if name not in talib.__all__ or not name.islower():
            raise AttributeError(f"no function {name}: dir(pl.col('close').cw) lists them")
        function = getattr(talib, name)
        signature = inspect.signature(function)
        inputs = [given.name for given in signature.parameters.values() if given.default is given.empty]

        def call(*arguments: Any, **parameters: Any) -> pl.Expr:  # noqa: ANN401
            bound = signature.bind(self._expression, *arguments, **parameters).arguments
            columns = [bound.pop(column) for column in inputs]
            expressions = [pl.col(column) if isinstance(column, str) else column for column in columns]
            return pl.map_batches(
                expressions,
                lambda series: _apply(function, series, bound),
                return_dtype=_dtype(name, signature.return_annotation),
            )

        return call


def _dtype(name: str, annotation: str) -> pl.DataType:
    """What a function gives: integers of a pattern, floats, or a struct of floats."""
    if annotation == "Integers":
        return pl.Int32()
    outputs = annotation.count("Floats")
    if outputs == 1:
        return pl.Float64()
    return pl.Struct(dict.fromkeys(_OUTPUTS[name][:outputs], pl.Float64()))


def _apply(
    function: Callable[..., Any], series: Sequence[pl.Series], parameters: dict[str, Any]
) -> pl.Series:
    """The function of columns, named as the first one."""
    columns = [np.asarray(column.cast(pl.Float64).fill_null(float("nan"))) for column in series]
    result = function(*columns, **parameters)
    name = series[0].name
    if not isinstance(result, tuple):
        return pl.Series(name, result)
    outputs = _OUTPUTS[function.__name__][: len(result)]
    return pl.DataFrame(dict(zip(outputs, result, strict=True))).to_struct(name)
