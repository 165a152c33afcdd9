"""Features that the volatility scale reads: which to add to a spec, and where they stand in it."""

import json
from dataclasses import dataclass
from typing import Any

import candlewire_features as cf
import numpy as np

from candlewire_training.arrays import I32
from candlewire_training.data.timeframes import timeframe_ns

DAY_NS = 86_400 * 10**9
LOGARITHMS = (
    "current_ratio",
    "short_ratio",
    "long_ratio",
    "ewma_ratio",
    "close_ratio",
    "current_fall",
    "short_fall",
)
CLOCK = ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos")
# Hours of a day and of a week in place of days of a week and of a quarter.
INTRADAY_PERIODS = {"current_period": 1, "short_period": 6, "medium_period": 24, "long_period": 168}
CALENDARS = {"crypto": "24/7", "fx": "FX"}
# Kernels whose outputs measure volatility in units of return, whatever the symbol's price.
VOLATILITY_OUTPUTS: dict[str, frozenset[str]] = {
    "atr": frozenset({"ratio"}),
    "bbands": frozenset({"width"}),
    "high_low_range": frozenset({"ratio"}),
    "natr": frozenset({"natr"}),
    "realised_volatility": frozenset({"volatility"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VolatilityColumns:
    """Columns of X that foretell volatility.

    Attributes:
        variances: Columns whose logarithm counts.
        linear: Columns that count as they are.
        pairs: Index pairs into `linear` whose products count too, shape (pairs, 2): the second harmonic of
            the hour.
        deviation: Columns of `band_scale.medium` and `.close_ratio`, which make the 20-bar standard
            deviation; None where the spec lacks them.
    """

    variances: I32
    linear: I32
    pairs: I32
    deviation: tuple[int, int] | None


def with_band_inputs(spec: cf.FeatureSpec, *, timeframe: str, asset_class: str) -> cf.FeatureSpec:
    """The spec with what the volatility scale reads; a feature that it has already is not added twice.

    Args:
        spec: The features of the members.
        timeframe: Of the bars; intraday bars get windows of a day and a week, and the clock.
        asset_class: Chooses the calendar of the clock.
    """
    document = json.loads(spec.canonical_json)
    intraday = timeframe_ns(timeframe) < DAY_NS
    periods = INTRADAY_PERIODS if intraday else {}
    wanted: list[dict[str, Any]] = [
        {"kernel": "band_scale", "output": output, "parameters": periods}
        for output in ("medium", *LOGARITHMS)
    ]
    if intraday:
        calendar = CALENDARS.get(asset_class, "XNYS")
        wanted += [
            {"kernel": "local_time", "output": output, "parameters": {"calendar": calendar}}
            for output in CLOCK
        ]
    present = {_identity(feature) for feature in document["features"]}
    for feature in wanted:
        named = {**feature, "name": f"{feature['kernel']}_{feature['output']}"}
        complete = json.loads(cf.FeatureSpec.from_json(json.dumps({"features": [named]})).canonical_json)
        if _identity(complete["features"][0]) not in present:
            document["features"].append(named)
    return cf.FeatureSpec.from_json(json.dumps(document))


def _identity(feature: dict[str, Any]) -> str:
    return json.dumps([feature["kernel"], feature["output"], feature["parameters"]], sort_keys=True)


def volatility_columns(spec_json: str) -> VolatilityColumns:
    """Columns of a feature spec that foretell volatility.

    Those of `with_band_inputs` where it has them all; else whatever measures volatility in units of return.

    Args:
        spec_json: The spec's canonical JSON.
    """
    features = json.loads(spec_json)["features"]
    groups: dict[tuple[str, str], dict[str, int]] = {}
    for column, feature in enumerate(features):
        if feature["kernel"] in {"band_scale", "local_time"}:
            key = (feature["kernel"], json.dumps(feature["parameters"], sort_keys=True))
            groups.setdefault(key, {}).setdefault(feature["output"], column)
    scales = [group for (kernel, _), group in groups.items() if kernel == "band_scale"]
    whole = [group for group in scales if {"medium", *LOGARITHMS} <= set(group)]
    if not whole:
        variances = [
            column
            for column, feature in enumerate(features)
            if feature["output"] in VOLATILITY_OUTPUTS.get(feature["kernel"], frozenset())
        ]
        return _columns(variances, [], [])
    scale = whole[-1]
    linear = [scale[output] for output in LOGARITHMS]
    clocks = [group for (kernel, _), group in groups.items() if kernel == "local_time"]
    pairs = []
    if clocks and set(CLOCK) <= set(clocks[-1]):
        sine, cosine = len(linear), len(linear) + 1
        pairs = [(sine, cosine), (cosine, cosine)]
        linear += [clocks[-1][output] for output in CLOCK]
    return _columns([scale["medium"]], linear, pairs, deviation=(scale["medium"], scale["close_ratio"]))


def _columns(
    variances: list[int],
    linear: list[int],
    pairs: list[tuple[int, int]],
    *,
    deviation: tuple[int, int] | None = None,
) -> VolatilityColumns:
    return VolatilityColumns(
        variances=np.array(variances, dtype=np.int32),
        linear=np.array(linear, dtype=np.int32),
        pairs=np.array(pairs, dtype=np.int32).reshape(-1, 2),
        deviation=deviation,
    )


__all__ = ["VolatilityColumns", "volatility_columns", "with_band_inputs"]
