"""Rows to learn from: features and labels of every symbol, pooled, with their times."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import candlewire_features as cf
import numpy as np
import numpy.typing as npt

from candlewire_training.arrays import F32, F64, I32, I64, Bool
from candlewire_training.data.bars import BarTable
from candlewire_training.data.timeframes import timeframe_ns
from candlewire_training.errors import BarsError, SettingsError, TooFewBarsError
from candlewire_training.labels.catalogue import label_bars
from candlewire_training.labels.contract import LabelSettings
from candlewire_training.labels.weights import balanced_weights

MOMENTUM_BARS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """Labelled rows, pooled over symbols, ordered by decision time and then by symbol.

    Attributes:
        X: Features, shape (rows, features), as the server will feed them.
        target: Class index of what happened, shape (rows,), never unknown.
        classes: Names of the classes, most bearish (or loss) first.
        weight: Weight of each row where it is judged; `fit_weight` is what members learn with.
        r_multiple: What a trade of unit risk made; NaN where the label knows of no trade.
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
        balance_classes: Whether members learn with every class weighing the same in sum.
    """

    X: F32
    target: I32
    weight: F64
    r_multiple: F64
    forward_return: F64
    forward_variance: F64
    past_return: F64
    momentum: F64
    deviation: F64
    symbol_index: I32
    decision_time_ns: I64
    known_from_ns: I64
    classes: tuple[str, ...]
    symbols: tuple[str, ...]
    feature_names: tuple[str, ...]
    dropped_rows: int
    balance_classes: bool = False

    def __len__(self) -> int:
        return int(self.target.size)

    @property
    def up(self) -> I32:
        """1 where the last class (up, bull, win) happened, else 0, shape (rows,)."""
        up: I32 = (self.target == len(self.classes) - 1).astype(np.int32)
        return up

    @property
    def fit_weight(self) -> F64:
        """Weight of each row in a fit on these rows and no others, shape (rows,).

        Balanced classes are learnt from the rows at hand, so a fold balances its own train rows; what judges
        and calibrates keeps `weight`, so that probabilities stay those of the classes as they come.
        """
        if not self.balance_classes or len(self) == 0:
            return self.weight
        return balanced_weights(self.target, self.weight, classes=len(self.classes))

    def take(self, rows: I64 | Bool) -> "Samples":
        """The rows chosen, by index or mask."""
        per_row = {name: getattr(self, name)[rows] for name in PER_ROW}
        return replace(self, **per_row)


PER_ROW = (
    "X",
    "target",
    "weight",
    "r_multiple",
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
    """A feature spec by name, or from a JSON file.

    Raises:
        SettingsError: There is no such preset, or the file holds no spec.
    """
    try:
        if name.endswith(".json"):
            return cf.FeatureSpec.from_json(Path(name).read_text(encoding="utf-8"))
        return cf.FeatureSpec.preset(name)
    except cf.SpecError as error:
        raise SettingsError(f"preset: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"preset {name}: it cannot be read ({error})") from error


def build_samples(
    bars: BarTable,
    spec: cf.FeatureSpec,
    *,
    horizon: int,
    labels: LabelSettings | None = None,
    advance: Callable[[], None] = lambda: None,
) -> Samples:
    """Features and labels of every symbol.

    Args:
        bars: The bars.
        spec: The features.
        horizon: Bars ahead that the label looks.
        labels: Which label; up or down when absent.
        advance: Called after each symbol.

    Raises:
        TooFewBarsError: No symbol has a row that is warmed up and labelled.
    """
    bar_ns = timeframe_ns(bars.timeframe)
    labels = labels or LabelSettings()
    parts: list[dict[str, npt.NDArray[Any]]] = []
    dropped = 0
    for index, symbol in enumerate(bars.symbols):
        columns = bars.of_symbol(symbol)
        part, bad = _symbol_rows(columns, spec, labels, horizon=horizon, bar_ns=bar_ns)
        part["symbol_index"] = np.full(part["target"].size, index, dtype=np.int32)
        parts.append(part)
        dropped += bad
        advance()
    rows = {name: np.concatenate([part[name] for part in parts]) for name in PER_ROW}
    if rows["target"].size == 0:
        longest = int(bars.frame.group_by("symbol").len()["len"].max())  # type: ignore[arg-type]
        raise TooFewBarsError(
            f"too few bars: the longest symbol has {longest}, features need {spec.warmup_bars + 1} to warm "
            "up and "
            f"labels {horizon} more; give longer history, a lighter preset or a shorter horizon"
        )
    order = np.lexsort((rows["symbol_index"], rows["decision_time_ns"]))
    return Samples(
        **{name: np.ascontiguousarray(values[order]) for name, values in rows.items()},
        classes=labels.classes,
        symbols=bars.symbols,
        feature_names=tuple(spec.names),
        dropped_rows=dropped,
        balance_classes=labels.balance_classes,
    )


def _symbol_rows(
    columns: dict[str, F64 | I64],
    spec: cf.FeatureSpec,
    settings: LabelSettings,
    *,
    horizon: int,
    bar_ns: int,
) -> tuple[dict[str, npt.NDArray[Any]], int]:
    labels = label_bars(columns, settings, horizon=horizon, bar_ns=bar_ns)
    try:
        features = cf.compute(columns, spec)
    except cf.FeaturesError as error:
        raise BarsError(f"features cannot be computed: {error}") from error
    with np.errstate(over="ignore"):
        X = features.astype(np.float32)
    warm = np.arange(labels.target.size) >= spec.warmup_bars
    usable = warm & (labels.target >= 0)
    finite = np.isfinite(X).all(axis=1)
    rows = np.flatnonzero(usable & finite)
    log_close = np.log(np.asarray(columns["close"], dtype=np.float64))
    part = {
        "X": X[rows],
        "target": labels.target[rows],
        "weight": labels.weight[rows],
        "r_multiple": labels.r_multiple[rows],
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
