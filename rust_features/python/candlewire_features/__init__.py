"""Streaming technical indicators: one step per bar, the same bits online and offline.

A `FeatureSpec` names features, `compute` gives them for the whole history of one symbol, a `Panel` for many
symbols bar by bar. Both run the same Rust kernels over the same values in the same order, so their results
agree bit for bit.

Example:
    >>> import numpy as np
    >>> import candlewire_features as cf
    >>> spec = cf.FeatureSpec([("rsi_3", "rsi", {"timeperiod": 3})])
    >>> close = np.array([100.0, 101.0, 100.5, 102.0])
    >>> minutes = np.arange(4, dtype=np.int64) * 60_000_000_000
    >>> bars = {"open_time_ns": minutes, "open": close, "high": close, "low": close, "close": close,
    ...         "volume": np.full(4, 10.0)}
    >>> cf.compute(bars, spec).round(4).ravel().tolist()
    [nan, nan, nan, 83.3333]

Errors:
    FeaturesError
        SpecError: an unknown kernel, parameter, output or preset, or a value out of range.
        ModelError: bytes that are no ONNX model.
        SnapshotError: bytes that are damaged, or belong to something else.
        InputError: bars, arrays or symbols that do not fit.
"""

from candlewire_features._features import (
    FeaturesError,
    FeatureSpec,
    InputError,
    ModelError,
    Panel,
    Preset,
    SnapshotError,
    SpecError,
    TreeScorer,
    __version__,
    describe,
    preset_names,
    presets,
)
from candlewire_features.bar_status import BarStatus
from candlewire_features.batch import compute, compute_panel

__all__ = [
    "BarStatus",
    "FeatureSpec",
    "FeaturesError",
    "InputError",
    "ModelError",
    "Panel",
    "Preset",
    "SnapshotError",
    "SpecError",
    "TreeScorer",
    "__version__",
    "compute",
    "compute_panel",
    "describe",
    "preset_names",
    "presets",
]
