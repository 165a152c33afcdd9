"""Writes a store with one bundle of each kind, of two and of three classes, and one of all kinds together.

python -m tests.training.members.write_bundles STORE
"""

import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
from candlewire_training.data.sample import sample_bars
from candlewire_training.export.bundle import Bundle, write_bundle
from candlewire_training.labels.contract import LabelSettings
from candlewire_training.members.contract import KINDS
from candlewire_training.pipeline import train_model
from candlewire_training.progress import StepProgress
from candlewire_training.settings import TrainingSettings

VERSION = 20261121000000
LABELS = {2: "up_down", 3: "up_down_sideways"}


def write_kind(store: Path, members: tuple[str, ...], classes: int, *, trees: int = 40) -> Bundle:
    """A bundle of two real stocks, named after its members and classes."""
    bars = sample_bars()
    bars = replace(bars, frame=bars.frame.filter(pl.col("symbol").is_in(["IBM", "MSFT"])))
    settings = TrainingSettings(
        model=f"{'_'.join(members) if len(members) == 1 else 'all_kinds'}_{classes}",
        members=members,
        ensemble="vote",
        label=LabelSettings(kind=LABELS[classes]),
        trees=trees,
        early_stopping=0.0,
        learning_rate=0.1,
        # What is written hangs on no timing.
        budget_us=1e6,
        version=VERSION,
    )
    quiet = StepProgress(quiet=True)
    return write_bundle(train_model(bars, settings, quiet), store, quiet)


def write_all(store: Path) -> list[Bundle]:
    """Every kind alone and all together, of two and of three classes."""
    chosen = [*((kind,) for kind in KINDS), KINDS]
    return [write_kind(store, members, classes) for members in chosen for classes in LABELS]


if __name__ == "__main__":
    for written in write_all(Path(sys.argv[1])):
        sys.stdout.write(f"{written.folder}\n")
