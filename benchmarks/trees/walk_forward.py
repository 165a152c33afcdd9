"""Measures what the tree kernel saves behind a walk forward: folds x members over real rows.

Each member is fitted once on each fold; then its own library and the kernel score the fold's test rows and
the train rows that the overfit gap needs, as `candlewire train` does. Times are of the processor, and the
kernel's include the export of the member and the building of its trees.

    python benchmarks/trees/walk_forward.py BARS.parquet [--rows 60000]
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from candlewire_training.data.parquet import read_bars
from candlewire_training.data.samples import Samples, build_samples, preset_spec
from candlewire_training.export.runtime import one_thread_session
from candlewire_training.labels.contract import LabelSettings
from candlewire_training.members.contract import KINDS, FitRows, MemberSettings
from candlewire_training.members.registry import make_member
from candlewire_training.validation.folds import RowTimes, walk_forward_folds
from candlewire_training.validation.member_scoring import FEATURES, MemberScoring, exported_member
from candlewire_training.validation.walk_forward import GAP_ROWS

HORIZON = 5
FOLDS = 5


@dataclass(kw_only=True)
class Sums:
    """Processor seconds and rows of one kind of member over the folds."""

    fit_s: float = 0.0
    native_s: float = 0.0
    kernel_s: float = 0.0
    rows: int = 0
    equal: int = 0

    def add(self, kind: str, train: Samples, test: Samples) -> None:
        """Fits on one fold and scores it both ways."""
        rows = FitRows(X=train.X, target=train.target, weight=train.weight, classes=train.classes)
        features, classes = train.X.shape[1], len(train.classes)
        start = time.process_time()
        member = make_member(MemberSettings(kind=kind)).fit(rows)
        fitted = time.process_time()
        X = np.concatenate((test.X, train.X[:: max(1, len(train) // GAP_ROWS)]))
        begun = time.process_time()
        member.probabilities(X)
        half = time.process_time()
        said = MemberScoring("kernel").of(member, features=features, classes=classes)(X)
        end = time.process_time()
        self.fit_s += fitted - start
        self.native_s += half - begun
        self.kernel_s += end - half
        graph = exported_member(member, features=features, classes=classes)
        (wanted,) = one_thread_session(graph.SerializeToString()).run(None, {FEATURES: X})
        self.rows += len(X)
        self.equal += int((wanted == said.astype(np.float32)).all(axis=1).sum())


def main() -> None:
    """Prints a table of processor seconds by member, summed over the folds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bars", type=Path)
    parser.add_argument("--rows", type=int, default=60_000)
    arguments = parser.parse_args()
    samples = build_samples(
        read_bars(arguments.bars), preset_spec("core"), horizon=HORIZON, labels=LabelSettings(kind="up_down")
    )
    samples = samples.take(np.arange(min(arguments.rows, len(samples))))
    times = RowTimes(decision_time_ns=samples.decision_time_ns, known_from_ns=samples.known_from_ns)
    folds = walk_forward_folds(times, folds=FOLDS, embargo_bars=HORIZON)
    print(f"{len(samples)} rows of {samples.X.shape[1]} features, {len(folds)} folds, 300 trees of depth 3")
    print("| member | fit s | own library s | kernel s | rows scored | rows bit-equal to ONNX Runtime |")
    print("|---|---|---|---|---|---|")
    for kind in (kind for kind in KINDS if kind != "logistic"):
        sums = Sums()
        for fold in folds:
            sums.add(kind, samples.take(fold.train), samples.take(fold.test))
        times_s = f"{sums.fit_s:.2f} | {sums.native_s:.2f} | {sums.kernel_s:.2f}"
        print(f"| {kind} | {times_s} | {sums.rows} | {sums.equal} |", flush=True)


if __name__ == "__main__":
    main()
