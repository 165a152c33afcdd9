"""The members that models of single symbols start from, fitted on all symbols in one task."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from candlewire_training.data.parquet import read_bars
from candlewire_training.data.samples import Samples
from candlewire_training.errors import SettingsError
from candlewire_training.members.contract import FitRows, Member
from candlewire_training.members.pooled_start import CONTINUED, PooledStart, write_start
from candlewire_training.members.registry import make_member
from candlewire_training.one_blas_thread import one_blas_thread
from candlewire_training.pipeline import prepare, walk_folds
from candlewire_training.progress import StepProgress
from candlewire_training.settings import TrainingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledWork:
    """What the task needs: paths travel, not bars.

    Attributes:
        settings: Of the models that will start here.
        bars: Parquet files of every symbol.
        timeframe: Of the bars.
        folder: Where the members go.
    """

    settings: TrainingSettings
    bars: tuple[Path, ...]
    timeframe: str
    folder: Path


@one_blas_thread
def fit_pooled_start(work: PooledWork) -> dict[str, Any]:
    """Fits members on every fold's train rows and on the train part, and writes them. Runs in a worker.

    Raises:
        SettingsError: There are no folds, or no member of a kind that can go on.
        TooFewBarsError: The history is too short.
    """
    check_transfer(work.settings)
    tables = [read_bars(path, timeframe=work.timeframe) for path in work.bars]
    bars = replace(tables[0], frame=pl.concat([table.frame for table in tables]))
    ready = prepare(bars, work.settings, StepProgress(quiet=True))
    before = ready.before
    _, folds = walk_folds(before, ready.settings)
    times = before.decision_time_ns
    start = PooledStart(
        boundaries_ns=ready.split.boundaries_ns,
        folds=tuple((int(times[fold.test].min()), int(times[fold.test].max())) for fold in folds),
        by_fold=tuple(_fitted(before.take(fold.train), ready.settings) for fold in folds),
        final=_fitted(ready.samples.take(ready.split.train), ready.settings),
    )
    write_start(start, ready.settings.member_settings, work.folder)
    return {"folds": len(folds), "rows": len(ready.samples)}


def check_transfer(settings: TrainingSettings) -> None:
    """Refuses settings that nothing could be transferred under.

    Raises:
        SettingsError: There are no folds, or no member of a kind that can go on.
    """
    if settings.folds < 1:
        raise SettingsError("transfer is admitted by out-of-fold scores; use --folds 1 or more")
    if settings.select_features:
        raise SettingsError(
            "transfer goes on from members of all features; use select-features 0, or no transfer"
        )
    if not CONTINUED & set(settings.members):
        raise SettingsError(
            f"transfer needs a member that can go on from another: {', '.join(sorted(CONTINUED))}; members "
            f"are {', '.join(settings.members)}"
        )


def _fitted(rows: Samples, settings: TrainingSettings) -> tuple[Member | None, ...]:
    fit = FitRows(X=rows.X, target=rows.target, weight=rows.fit_weight, classes=rows.classes)
    return tuple(
        make_member(each).fit(fit) if each.kind in CONTINUED else None for each in settings.member_settings
    )


__all__ = ["PooledWork", "check_transfer", "fit_pooled_start"]
