"""Rows to learn from: features and labels of every symbol, pooled, with their times."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import candlewire_features as cf
import numpy as np
import numpy.typing as npt

from candlewire_training.arrays import F32, F64, I32, I64, Bool
from candlewire_training.data.bars import BarTable
from candlewire_training.data.timeframes import timeframe_ns
from candlewire_training.errors import BarsError, SettingsError, TooFewBarsError
from candlewire_training.labels.direction import direction_labels

MOMENTUM_BARS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Labelled rows, pooled over symbols, ordered by decision time and then by symbol.

    Attributes:
        X: Features, shape (rows, features), as the server will feed them.
        up: 1 when the price was higher after the horizon, shape (rows,).
        forward_return: Natural log return over the horizon.
        forward_variance: Mean variance a bar over the horizon.
        past_return: Natural log return over the horizon just passed; 0 where there is no such history.
        momentum: Natural log return over the past MOMENTUM_BARS bars; 0 where there is no such history.
        deviation: Standard deviation of the past MOMENTUM_BARS one-bar returns, times the root of the
            horizon.
        symbol_index: Index into `symbols`.
        decision_time_ns: Close of the row's bar.
        known_from_ns: When the label became known.
        dropped_rows: Rows after warm-up that were left out because a feature was not finite.
    """

    X: F32
    up: I32
    forward_return: F64
    forward_variance: F64
    past_return: F64
    momentum: F64
    deviation: F64
    symbol_index: I32
    decision_time_ns: I64
    known_from_ns: I64
    symbols: tuple[str, ...]
    feature_names: tuple[str, ...]
    dropped_rows: int

    def __len__(self) -> int:
        return int(self.up.size)

    def take(self, rows: I64 | Bool) -> "Samples":
        """The rows chosen, by index or mask."""
        per_row = {name: getattr(self, name)[rows] for name in PER_ROW}
        return Samples(
            **per_row, symbols=self.symbols, feature_names=self.feature_names, dropped_rows=self.dropped_rows
        )


PER_ROW = (
    "X",
    "up",
    "forward_return",
    "forward_variance",
    "past_return",
    "momentum",
    "deviation",
    "symbol_index",
    "decision_time_ns",
    "known_from_ns",
)


def preset_spec(name: str) -> cf.FeatureSpec:
    """A feature spec by name.

    Raises:
        SettingsError: There is no such preset.
    """
    try:
        return cf.FeatureSpec.preset(name)
    except cf.SpecError as error:
        raise SettingsError(f"preset: {error}") from error


def build_samples(
    bars: BarTable, spec: cf.FeatureSpec, *, horizon: int, advance: Callable[[], None] = lambda: None
) -> Samples:
    """Features and labels of every symbol.

    Args:
        bars: The bars.
        spec: The features.
        horizon: Bars ahead that the label looks.
        advance: Called after each symbol.

    Raises:
        TooFewBarsError: No symbol has a row that is warmed up and labelled.
    """
    bar_ns = timeframe_ns(bars.timeframe)
    parts: list[dict[str, npt.NDArray[Any]]] = []
    dropped = 0
    for index, symbol in enumerate(bars.symbols):
        columns = bars.of_symbol(symbol)
        part, bad = _symbol_rows(columns, spec, horizon=horizon, bar_ns=bar_ns)
        part["symbol_index"] = np.full(part["up"].size, index, dtype=np.int32)
        parts.append(part)
        dropped += bad
        advance()
    rows = {name: np.concatenate([part[name] for part in parts]) for name in PER_ROW}
    if rows["up"].size == 0:
        longest = int(bars.frame.group_by("symbol").len()["len"].max())  # type: ignore[arg-type]
        raise TooFewBarsError(
            f"too few bars: the longest symbol has {longest}, features need {spec.warmup_bars + 1} to warm "
            "up and "
            f"labels {horizon} more; give longer history, a lighter preset or a shorter horizon"
        )
    order = np.lexsort((rows["symbol_index"], rows["decision_time_ns"]))
    return Samples(
        **{name: np.ascontiguousarray(values[order]) for name, values in rows.items()},
        symbols=bars.symbols,
        feature_names=tuple(spec.names),
        dropped_rows=dropped,
    )


def _symbol_rows(
    columns: dict[str, F64 | I64], spec: cf.FeatureSpec, *, horizon: int, bar_ns: int
) -> tuple[dict[str, npt.NDArray[Any]], int]:
    labels = direction_labels(columns, horizon=horizon, bar_ns=bar_ns)
    try:
        features = cf.compute(columns, spec)
    except cf.FeaturesError as error:
        raise BarsError(f"features cannot be computed: {error}") from error
    with np.errstate(over="ignore"):
        X = features.astype(np.float32)
    warm = np.arange(labels.up.size) >= spec.warmup_bars
    usable = warm & (labels.up >= 0)
    finite = np.isfinite(X).all(axis=1)
    rows = np.flatnonzero(usable & finite)
    log_close = np.log(np.asarray(columns["close"], dtype=np.float64))
    part = {
        "X": X[rows],
        "up": labels.up[rows],
        "forward_return": labels.forward_return[rows],
        "forward_variance": labels.forward_variance[rows],
        "past_return": _past_return(log_close, horizon)[rows],
        "momentum": _past_return(log_close, MOMENTUM_BARS)[rows],
        "deviation": _past_deviation(log_close, MOMENTUM_BARS)[rows] * np.sqrt(horizon),
        "decision_time_ns": labels.decision_time_ns[rows],
        "known_from_ns": labels.known_from_ns[rows],
    }
    return part, int(np.sum(usable & ~finite))


def _past_return(log_close: F64, bars: int) -> F64:
    result = np.zeros_like(log_close)
    result[bars:] = log_close[bars:] - log_close[:-bars]
    return result


def _past_deviation(log_close: F64, bars: int) -> F64:
    steps = np.diff(log_close, prepend=log_close[:1])
    if steps.size < bars:
        return np.full(steps.size, np.std(steps) if steps.size else 0.0)
    windows = np.lib.stride_tricks.sliding_window_view(steps, bars).std(axis=1, ddof=1)
    return np.concatenate((np.full(bars - 1, windows[0]), windows))


__all__ = ["MOMENTUM_BARS", "Samples", "build_samples", "preset_spec"]
