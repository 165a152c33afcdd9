"""One kernel over plain arrays: what the functions of `candlewire_features.talib` are made of."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from candlewire_features._features import Indicator, InputError, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int32]

_FLOAT64 = np.dtype(np.float64)


def only(function: str, parameter: str, value: float, supported: float) -> None:
    """Refuses a value that the kernel behind a function does not offer.

    Raises:
        SpecError: The value is another one.
    """
    if value != supported:
        raise SpecError(f"{function}: {parameter} is {value}: only {supported} is offered")


def of_kinds(kernel: str, parameters: dict[str, Any], kinds: dict[str, int]) -> tuple[str, dict[str, Any]]:
    """The kernel over simple averages or, for other kinds, its sibling for averages of any kind."""
    return (f"{kernel}_ma", parameters | kinds) if any(kinds.values()) else (kernel, parameters)


def indicator(
    kernel: str,
    parameters: dict[str, Any],
    columns: tuple[str, ...],
    given: tuple[Any, ...],
    outputs: int,
) -> tuple[Any, ...]:
    """The first outputs of a kernel, each like the first column: an array, or a pandas or polars Series.

    Arrays of float64 that lie contiguously are read in place, others are converted.

    Args:
        kernel: Its name.
        parameters: Its parameters; what is left out takes its default.
        columns: Names of the columns.
        given: The columns, each of shape (bars,), oldest first.
        outputs: How many.

    Raises:
        SpecError: A parameter is unknown or out of range.
        InputError: The columns hold no numbers, or are of different lengths.
    """
    compute = _indicator(kernel, parameters, columns, outputs).compute
    results = compute(given)
    if results is not None:
        return results
    results = compute(_arrays(columns, given)) or ()
    return tuple(_like(given[0], result) for result in results)


def pattern(kernel: str, parameters: dict[str, Any], columns: tuple[str, ...], given: tuple[Any, ...]) -> Any:  # noqa: ANN401
    """A pattern's strength as int32, 0 before its warm-up, as TA-Lib gives it."""
    compute = _indicator(kernel, parameters, columns, 1).compute_signals
    results = compute(given)
    if results is not None:
        return results[0]
    (result,) = compute(_arrays(columns, given)) or (None,)
    return _like(given[0], cast("Integers", result))


def _indicator(kernel: str, parameters: dict[str, Any], columns: tuple[str, ...], outputs: int) -> Indicator:
    try:
        return _prepared(kernel, columns, outputs, **parameters)
    except TypeError:  # a value that has no hash is refused by name
        return Indicator(kernel, parameters, columns, range(outputs))


def _prepare(kernel: str, columns: tuple[str, ...], outputs: int, /, **parameters: Any) -> Indicator:  # noqa: ANN401
    return Indicator(kernel, parameters, columns, range(outputs))


# The same few calls come again and again. Typed: 14 and 14.0 are one key otherwise, and not one parameter.
_prepared: Callable[..., Indicator] = lru_cache(maxsize=256, typed=True)(_prepare)


def _arrays(columns: tuple[str, ...], given: tuple[Any, ...]) -> tuple[Floats, ...]:
    return tuple(_floats(name, values) for name, values in zip(columns, given, strict=True))


def _floats(name: str, values: Any) -> Floats:  # noqa: ANN401
    if (
        type(values) is np.ndarray
        and values.dtype is _FLOAT64
        and values.ndim == 1
        and values.flags.c_contiguous
    ):
        return values
    try:
        array = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} holds no numbers: pass an array of float64") from error
    if array.ndim != 1 or np.ndim(values) != 1:
        raise InputError(f"{name} has {np.ndim(values)} dimensions: pass a one-dimensional array")
    return array


def _like(given: Any, result: npt.NDArray[Any]) -> Any:  # noqa: ANN401
    """The result as what was given, when that is a Series of a library that is imported anyway."""
    for library in ("polars", "pandas"):
        series = getattr(sys.modules.get(library), "Series", None)
        if series is not None and isinstance(given, series):
            return series(result) if library == "polars" else series(result, index=cast("Any", given).index)
    return result
