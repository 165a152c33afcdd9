"""What a kind of label is. A new kind computes `Labels` from one symbol's bars and nothing else."""

from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F64, I32, I64
from candlewire_training.errors import SettingsError

UNKNOWN = -1
NEVER_NS = int(np.iinfo(np.int64).max)
UP_DOWN = ("DOWN", "UP")
UP_DOWN_SIDEWAYS = ("DOWN", "SIDEWAYS", "UP")
BULL_NEUTRAL_BEAR = ("BEAR", "NEUTRAL", "BULL")
LOSS_WIN = ("LOSS", "WIN")
# Every kind with its classes, most bearish (or loss) first.
CLASSES_OF_KIND: dict[str, tuple[str, ...]] = {
    "up_down": UP_DOWN,
    "up_down_sideways": UP_DOWN_SIDEWAYS,
    "bull_neutral_bear": BULL_NEUTRAL_BEAR,
    "triple_barrier": UP_DOWN_SIDEWAYS,
    "pattern_success": LOSS_WIN,
    "entry_quality": LOSS_WIN,
}
# Patterns whose sign says where the price should go; a doji has a name but no direction.
DIRECTIONAL_PATTERNS = (
    "cdl3blackcrows",
    "cdl3inside",
    "cdl3outside",
    "cdl3whitesoldiers",
    "cdlabandonedbaby",
    "cdlbelthold",
    "cdlcounterattack",
    "cdldarkcloudcover",
    "cdlengulfing",
    "cdleveningdojistar",
    "cdleveningstar",
    "cdlhammer",
    "cdlhangingman",
    "cdlharami",
    "cdlharamicross",
    "cdlinvertedhammer",
    "cdlkicking",
    "cdlmarubozu",
    "cdlmorningdojistar",
    "cdlmorningstar",
    "cdlpiercing",
    "cdlshootingstar",
    "cdltasukigap",
)
SIDES = ("long", "short")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSettings:
    """Which label, whatever the horizon.

    Attributes:
        kind: One of `CLASSES_OF_KIND`.
        neutral_width: Half-width of the neutral zone, in units of past volatility over the horizon; 0.43
            leaves about a third of a normal distribution inside.
        volatility_bars: Bars of the exponentially weighted volatility that scales zone and barriers.
        profit_multiple: Distance of the profit barrier, in units of past volatility over the horizon.
        stop_multiple: Distance of the stop barrier, in the same units.
        patterns: Candlestick kernels that `pattern_success` judges.
        side: Trade that `entry_quality` judges: `long` or `short`.
        balance_classes: Whether every class weighs the same in sum.
        unique_rows: Whether a row weighs less the more labels overlap with its own.
    """

    kind: str = "up_down"
    neutral_width: float = 0.43
    volatility_bars: int = 20
    profit_multiple: float = 1.0
    stop_multiple: float = 1.0
    patterns: tuple[str, ...] = DIRECTIONAL_PATTERNS
    side: str = "long"
    balance_classes: bool = False
    unique_rows: bool = False

    def __post_init__(self) -> None:
        if self.kind not in CLASSES_OF_KIND:
            raise SettingsError(f"label {self.kind!r} is unknown; use one of {', '.join(CLASSES_OF_KIND)}")
        if self.side not in SIDES:
            raise SettingsError(f"side {self.side!r} is unknown; use {' or '.join(SIDES)}")
        if not self.patterns or any(not name.startswith("cdl") for name in self.patterns):
            raise SettingsError(
                f"patterns {', '.join(self.patterns) or '(none)'}: no candlestick kernels; use names such "
                "as cdlengulfing"
            )
        if not 2 <= self.volatility_bars <= 10_000:
            raise SettingsError(f"volatility-bars {self.volatility_bars} is out of range; use 2 to 10000")
        for name in ("neutral_width", "profit_multiple", "stop_multiple"):
            if not 0.01 <= (value := getattr(self, name)) <= 100.0:
                raise SettingsError(f"{name.replace('_', '-')} {value} is out of range; use 0.01 to 100")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, most bearish (or loss) first."""
        return CLASSES_OF_KIND[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """Labels of one symbol; arrays have shape (bars,).

    Attributes:
        kind: One of `CLASSES_OF_KIND`.
        classes: Names of the classes, most bearish (or loss) first.
        target: Class index; `UNKNOWN` where it is not known, or where nothing is asked.
        forward_return: Natural log return over the horizon; NaN where unknown.
        forward_variance: Mean variance a bar over the horizon, half from squared returns and half from
            ranges; NaN where unknown.
        r_multiple: What a trade of unit risk made: its log return by the distance of its stop; NaN where
            there is no trade.
        decision_time_ns: Close of the bar: a decision on it cannot be made before.
        known_from_ns: Close of the last bar that target, forward return and variance need; `NEVER_NS` where
            unknown.
        settled_from_ns: Close of the bar that settled the target alone (the touch of a barrier), at or before
            `known_from_ns`.
        weight: Weight of the row in a fit, above 0, before classes are balanced.
    """

    kind: str
    classes: tuple[str, ...]
    target: I32
    forward_return: F64
    forward_variance: F64
    r_multiple: F64
    decision_time_ns: I64
    known_from_ns: I64
    settled_from_ns: I64
    weight: F64

    @property
    def up(self) -> I32:
        """1 where the target is the last class, 0 where another, `UNKNOWN` where unknown."""
        return np.where(self.target < 0, UNKNOWN, self.target == len(self.classes) - 1).astype(np.int32)


__all__ = [
    "BULL_NEUTRAL_BEAR",
    "CLASSES_OF_KIND",
    "DIRECTIONAL_PATTERNS",
    "LOSS_WIN",
    "NEVER_NS",
    "SIDES",
    "UNKNOWN",
    "UP_DOWN",
    "UP_DOWN_SIDEWAYS",
    "LabelSettings",
    "Labels",
]
