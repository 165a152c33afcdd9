"""Folds of a walk forward, and trials of a search, over processes or Ray, from rows laid down once."""

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from candlewire_training.data.samples import PER_ROW, Samples
from candlewire_training.errors import StoreError, TrainingError
from candlewire_training.groups.fan_out import Outcome, Task, Work, in_processes, on_ray
from candlewire_training.members.contract import MemberSettings
from candlewire_training.one_blas_thread import one_blas_thread
from candlewire_training.search.trial import Trial, TrialScore, score_trial
from candlewire_training.validation.fold_memory import FoldMemory
from candlewire_training.validation.folds import Fold
from candlewire_training.validation.member_scoring import MemberScoring
from candlewire_training.validation.walk_forward import FitRules, fitted_fold

ROWS = "rows.arrays"
# Trials of a round on a cluster, where nobody says how many.
ROUND_ON_RAY = 8
TELLING = ("classes", "symbols", "feature_names", "dropped_rows", "balance_classes")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldWork:
    """What a worker needs to fit one fold.

    Attributes:
        rows: File of all rows and of the folds' parts.
        number: Of the fold.
        members: What to fit.
        rules: What is decided inside the fold.
        scoring: What scores the members.
        seed: Of the baselines.
        memory: Where its predictions go.
    """

    rows: Path
    number: int
    members: tuple[MemberSettings, ...]
    rules: FitRules
    scoring: str
    seed: int
    memory: FoldMemory


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialWork:
    """What a worker needs for one trial: a file of all rows and folds, and what is tried."""

    rows: Path
    trial: Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldFanOut:
    """Fits the folds of a walk forward, or walks the trials of a search, beside one another.

    Attributes:
        jobs: Processes at once.
        ray: Address of a Ray cluster in place of local processes.
    """

    jobs: int
    ray: str | None

    def fit(
        self,
        samples: Samples,
        folds: tuple[Fold, ...],
        members: tuple[MemberSettings, ...],
        *,
        rules: FitRules,
        scoring: str,
        seed: int,
        memory: FoldMemory,
        advance: Callable[[], None] = lambda: None,
    ) -> None:
        """Fits every fold that `memory` does not hold, and keeps it there.

        Args:
            samples: All rows.
            folds: In order of time.
            members: What to fit; a thread each, as folds run beside one another.
            rules: What is decided inside each fold.
            scoring: See `MemberScoring`.
            seed: Of the baselines.
            memory: Where predictions go; every worker must reach it.
            advance: Called for each member of each fold that is done.

        Raises:
            TrainingError: A fold could not be fitted.
            StoreError: The rows cannot be written.
        """
        memory = FoldMemory(folder=memory.folder.resolve())
        left = [number for number in range(len(folds)) if memory.recall(number) is None]
        path = memory.folder / ROWS
        alone = tuple(replace(each, threads=1) for each in members)
        tasks = [
            Task(
                key=folds[number].name,
                payload=FoldWork(
                    rows=path,
                    number=number,
                    members=alone,
                    rules=rules,
                    scoring=scoring,
                    seed=seed,
                    memory=memory,
                ),
            )
            for number in left
        ]
        try:
            _write_rows(path, samples, folds)
            with closing(self._outcomes(fit_fold, tasks)) as outcomes:
                for outcome in outcomes:
                    if outcome.result is None:
                        raise TrainingError(f"fold {outcome.key}: {outcome.reason}")
                    for _ in members:
                        advance()
        except OSError as error:
            raise StoreError(f"run {memory.folder}: it cannot be written ({error.strerror})") from error
        finally:
            path.unlink(missing_ok=True)

    @property
    def trials_at_once(self) -> int:
        """Trials of a round of a search."""
        return ROUND_ON_RAY if self.ray is not None and self.jobs == 1 else self.jobs

    @contextmanager
    def scoring_trials(
        self, samples: Samples, folds: tuple[Fold, ...], folder: Path
    ) -> Iterator[Callable[[Sequence[Trial]], list[TrialScore]]]:
        """Lays rows down in `folder`, which every worker must reach, for as long as trials are scored.

        Args:
            samples: All rows.
            folds: In order of time.
            folder: Where the rows lie meanwhile.

        Raises:
            TrainingError: A trial could not be scored.
            StoreError: The rows cannot be written.
        """
        path = folder.resolve() / f"trials.{ROWS}"

        def score(trials: Sequence[Trial]) -> list[TrialScore]:
            tasks = [
                Task(
                    key=str(number),
                    payload=TrialWork(
                        rows=path,
                        trial=replace(
                            trial,
                            members=tuple(replace(each, threads=1) for each in trial.members),
                            threads=1,
                        ),
                    ),
                )
                for number, trial in enumerate(trials)
            ]
            said: dict[str, TrialScore] = {}
            with closing(self._outcomes(walk_trial, tasks)) as outcomes:
                for outcome in outcomes:
                    if outcome.result is None:
                        raise TrainingError(f"a trial of the search: {outcome.reason}")
                    said[outcome.key] = TrialScore(**outcome.result)
            return [said[task.key] for task in tasks]

        try:
            _write_rows(path, samples, folds)
            yield score
        except OSError as error:
            raise StoreError(f"search {folder}: it cannot be written ({error.strerror})") from error
        finally:
            path.unlink(missing_ok=True)

    def _outcomes(self, work: Work, tasks: list[Task]) -> Generator[Outcome]:
        if self.ray is None:
            yield from in_processes(work, tasks, jobs=self.jobs)
        else:
            yield from on_ray(work, tasks, address=self.ray)


@one_blas_thread
def fit_fold(work: FoldWork) -> dict[str, Any]:
    """Fits one fold and keeps what it says. Runs in a worker."""
    samples, folds = _read_rows(work.rows)
    fold = folds[work.number]
    said = fitted_fold(
        samples,
        fold,
        work.members,
        (None,) * len(work.members),
        rules=work.rules,
        scoring=MemberScoring(work.scoring),
        advance=lambda: None,
        seed=work.seed,
    )
    work.memory.keep(work.number, said)
    return {"rows": int(fold.test.size)}


@one_blas_thread
def walk_trial(work: TrialWork) -> dict[str, Any]:
    """Walks one trial forward. Runs in a worker."""
    samples, folds = _read_rows(work.rows)
    said = score_trial(samples, folds, work.trial)
    return {"values": said.values, "pruned": said.pruned}


def _write_rows(path: Path, samples: Samples, folds: tuple[Fold, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = {
        f"{part}_{number}": getattr(fold, part)
        for number, fold in enumerate(folds)
        for part in ("train", "calibration", "test")
    }
    told = {name: getattr(samples, name) for name in TELLING} | {
        "folds": [[fold.name, fold.purged_rows] for fold in folds]
    }
    columns = {name: getattr(samples, name) for name in PER_ROW}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, told=np.array(json.dumps(told)), **columns, **parts)


def _read_rows(path: Path) -> tuple[Samples, tuple[Fold, ...]]:
    with np.load(path, allow_pickle=False) as kept:
        told = json.loads(str(kept["told"]))
        folds = tuple(
            Fold(
                name=name,
                purged_rows=purged_rows,
                **{part: kept[f"{part}_{number}"] for part in ("train", "calibration", "test")},
            )
            for number, (name, purged_rows) in enumerate(told.pop("folds"))
        )
        fields: dict[str, Any] = {key: kept[key] for key in PER_ROW}
        for key, value in told.items():
            fields[key] = tuple(value) if isinstance(value, list) else value
    return Samples(**fields), folds


__all__ = ["FoldFanOut", "FoldWork", "TrialWork", "fit_fold", "walk_trial"]
