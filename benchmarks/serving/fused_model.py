"""A real bundle to measure speed on: three members, calibration, interval, band, as training writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from candlewire_training.data.sample import sample_bars
from candlewire_training.export.bundle import write_bundle
from candlewire_training.pipeline import train_model
from candlewire_training.progress import StepProgress
from candlewire_training.settings import TrainingSettings
from speed_model import DEPTH, TREES, VERSION

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

NAME = "fused"
MEMBERS = ("xgboost", "lightgbm", "random_forest")


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedModel:
    """What was written.

    Attributes:
        onnx: The graph.
        rows: Golden rows without NaN, float32, of shape (rows, features).
    """

    onnx: Path
    rows: npt.NDArray[np.float32]


def make_fused_model(store: Path) -> FusedModel:
    """Trains on the sample bars and writes the bundle into `store`.

    The weights are fixed, not learned: stacking might drop a member, and then its cost would not be measured.
    """
    settings = TrainingSettings(
        model=NAME,
        members=MEMBERS,
        ensemble="fixed",
        ensemble_weights=(1 / 3, 1 / 3, 1 / 3),
        preset="full",
        trees=TREES,
        depth=DEPTH,
        learning_rate=0.05,
        version=VERSION,
        threads=2,
    )
    quiet = StepProgress(quiet=True)
    bundle = write_bundle(train_model(sample_bars(), settings, quiet), store, quiet)
    golden = np.load(bundle.folder / "golden.npz")["features"].astype(np.float32)
    return FusedModel(onnx=bundle.folder / "model.onnx", rows=golden[np.isfinite(golden).all(axis=1)])
