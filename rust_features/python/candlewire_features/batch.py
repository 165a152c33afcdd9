"""Features of whole histories, from whatever holds their columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

import numpy as np

from candlewire_features._features import FeatureSpec, InputError, compute_columns, compute_panel_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    class _Frame(Protocol):
        """The part of a DataFrame or Arrow table that is read here."""

        def __getitem__(self, name: str, /) -> Any: ...  # noqa: ANN401

    _Bars: TypeAlias = Mapping[str, npt.NDArray[Any]] | _Frame

TIME_COLUMNS = ("open_time_ns", "open_time", "ts")
PRICE_COLUMNS = ("open", "high", "low", "close", "volume")


def compute(bars: _Bars, spec: FeatureSpec) -> npt.NDArray[np.float64]:
    """Features of every bar of one symbol.

    Args:
        bars: Columns of one symbol, oldest first, each of shape (bars,): a mapping of NumPy arrays, a polars
            or pandas DataFrame (a LazyFrame is collected), or an Arrow table or record batch. `open`, `high`,
            `low`, `close` and `volume` are float64; the time of each bar's open is `open_time_ns` (int64,
            nanoseconds since the epoch, UTC), or a datetime column `open_time` or `ts`.
            NumPy columns are read in place: another dtype or a stride is refused, never copied. Columns of a
            DataFrame are converted where their type differs, and a null becomes NaN.
        spec: The features.

    Returns:
        float64 of shape (bars, features), NaN before a feature's warm-up. A bar with a NaN, a price of zero
        or less, or prices that contradict each other has a row of NaN, and later rows are as if it had not
        come.

    Raises:
        InputError: A column is missing or does not fit, or the bars are not in order of time.
    """
    return compute_columns(spec, *_bar_columns(bars))


def compute_panel(bars: _Bars, spec: FeatureSpec) -> npt.NDArray[np.float64]:
    """Features of every bar of many symbols, those that compare symbols included.

    All bars of one time are taken together, oldest first, so the result equals a `Panel` that gets them in
    one call per time, bit for bit.

    Args:
        bars: Columns as for `compute`, and `symbol`: the name of each bar's symbol, shape (bars,). Rows
            may come in any order.
        spec: The features.

    Returns:
        float64 of shape (bars, features) in the order of the rows; NaN before a feature's warm-up, in the row
        of a bad bar, and in the second row of a symbol and time.

    Raises:
        InputError: A column is missing or does not fit.
    """
    bars = _collected(bars)
    names = _names(bars)
    if "symbol" not in names:
        raise InputError(f"bars have no column symbol: they have {', '.join(names) or 'none'}")
    symbols, index = _codes(bars["symbol"])
    return compute_panel_columns(spec, symbols, index, *_bar_columns(bars))


def _bar_columns(bars: _Bars) -> tuple[npt.NDArray[Any], ...]:
    """Open time and prices of some bars, as `compute` describes them."""
    bars = _collected(bars)
    names = _names(bars)
    time_name = next((name for name in TIME_COLUMNS if name in names), None)
    missing = [name for name in PRICE_COLUMNS if name not in names]
    if time_name is None:
        missing.append(" or ".join(TIME_COLUMNS))
    if missing:
        raise InputError(f"bars have no column {', '.join(missing)}: they have {', '.join(names) or 'none'}")
    time = _time_ns(bars[cast("str", time_name)], cast("str", time_name))
    return (time, *(_floats(bars[name], name) for name in PRICE_COLUMNS))


def _collected(bars: Any) -> Any:  # noqa: ANN401
    """The table itself; of a polars LazyFrame, the columns that are read here."""
    if not (hasattr(bars, "collect_schema") and hasattr(bars, "collect")):
        return bars
    known = bars.collect_schema().names()
    return bars.select(
        [name for name in ("symbol", *TIME_COLUMNS, *PRICE_COLUMNS) if name in known]
    ).collect()


def _names(bars: Any) -> list[str]:  # noqa: ANN401
    """Names of the columns; an Arrow table's `columns` are the columns themselves."""
    if not hasattr(bars, "__getitem__") or isinstance(bars, (str, bytes, list, tuple)):
        kind = type(bars).__name__
        raise InputError(f"bars are {kind}: pass a mapping of NumPy arrays, a DataFrame or an Arrow table")
    for attribute in ("column_names", "columns"):
        if hasattr(bars, attribute):
            return list(getattr(bars, attribute))
    if hasattr(bars, "schema"):
        return list(bars.schema.names)
    return list(bars)


def _array(column: Any) -> npt.NDArray[Any]:  # noqa: ANN401
    """The values of a Series or an Arrow array, a null as NaN."""
    if getattr(getattr(column, "dtype", None), "tz", None) is not None:
        # pandas would give an object for each moment.
        column = column.dt.tz_convert(None)
    try:
        return cast("npt.NDArray[Any]", column.to_numpy(zero_copy_only=False))
    except TypeError:
        return cast("npt.NDArray[Any]", column.to_numpy())


def _floats(column: Any, name: str) -> npt.NDArray[np.float64]:  # noqa: ANN401
    """The column itself when it is an array, else its values as float64."""
    if isinstance(column, np.ndarray) or not hasattr(column, "to_numpy"):
        return cast("npt.NDArray[np.float64]", column)
    try:
        return np.ascontiguousarray(_array(column), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} holds values that are no numbers ({error}): cast it to float64") from error


def _time_ns(column: Any, name: str) -> npt.NDArray[np.int64]:  # noqa: ANN401
    """Nanoseconds since the epoch; any NumPy datetime is exact in int64 between the years 1678 and 2262."""
    values = column if isinstance(column, np.ndarray) or not hasattr(column, "to_numpy") else _array(column)
    if not np.issubdtype(getattr(values, "dtype", None), np.datetime64):
        if name != "open_time_ns":
            # A bare number would not say its unit.
            given = getattr(values, "dtype", type(values).__name__)
            raise InputError(f"{name} holds {given}: give datetimes, or nanoseconds as open_time_ns (int64)")
        return cast("npt.NDArray[np.int64]", values)
    if np.isnat(values).any():
        raise InputError(f"{name} has missing times: drop those bars")
    return np.ascontiguousarray(values.astype("datetime64[ns]").view(np.int64))


def _codes(column: Any) -> tuple[list[str], npt.NDArray[np.int64]]:  # noqa: ANN401
    """Distinct symbols in order, and the place among them of each row's."""
    values = column if isinstance(column, np.ndarray) else column.to_numpy()
    code: dict[str, int] = {}
    index = np.fromiter((code.setdefault(name, len(code)) for name in values), np.int64, len(values))
    if not all(isinstance(name, str) for name in code):
        raise InputError("symbol has values that are no strings: give each bar the name of its symbol")
    return list(code), index
