"""Folds that are done, kept in a folder, so that an interrupted walk forward goes on where it stopped.

A folder belongs to one set of bars and settings: its name is their digest. What is kept is what was computed,
to the bit, so that the model of a resumed run is the model of an uninterrupted one.
"""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from candlewire_training.arrays import F64
from candlewire_training.errors import InterruptedRunError, StoreError
from candlewire_training.members.contract import MemberSettings
from candlewire_training.settings import TrainingSettings

BASELINE = "baseline_"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldPredictions:
    """What the members of one fold say.

    Attributes:
        unseen: Probabilities of the test rows, shape (rows, members, classes).
        seen: Those of train rows that the overfit gap is measured on.
        baselines: P(last class) of the test rows by baseline.
    """

    unseen: F64
    seen: F64
    baselines: dict[str, F64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldMemory:
    """A folder with a file for each fold that is done."""

    folder: Path

    def recall(self, fold: int) -> FoldPredictions | None:
        """What was kept of a fold; None when nothing was, or half of it."""
        try:
            with np.load(self.folder / f"{fold}.npz", allow_pickle=False) as kept:
                return FoldPredictions(
                    unseen=kept["unseen"],
                    seen=kept["seen"],
                    baselines={
                        name.removeprefix(BASELINE): kept[name]
                        for name in kept.files
                        if name.startswith(BASELINE)
                    },
                )
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
            return None

    def keep(self, fold: int, said: FoldPredictions) -> None:
        """Keeps a fold, in one rename.

        Raises:
            StoreError: The folder cannot be written.
        """
        arrays = {f"{BASELINE}{name}": values for name, values in said.baselines.items()}
        temporary = self.folder / f".{fold}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, unseen=said.unseen, seen=said.seen, **arrays)
            temporary.replace(self.folder / f"{fold}.npz")
        except OSError as error:
            raise StoreError(f"run {self.folder}: it cannot be written ({error.strerror})") from error

    def done(self) -> int:
        """Folds that are kept."""
        return len(list(self.folder.rglob("*.npz")))

    def of_members(self, settings: tuple[MemberSettings, ...]) -> "FoldMemory":
        """The part for members of these settings, which a search may have found."""
        return FoldMemory(folder=self.folder / _digest([asdict(each) | {"threads": 0} for each in settings]))

    def forget(self) -> None:
        """Removes the folder, and those above it that are empty then."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for above in (self.folder.parent, self.folder.parent.parent):
            with suppress(OSError):
                above.rmdir()


def fold_memory(folder: Path, settings: TrainingSettings, fingerprint: str) -> FoldMemory:
    """The memory of a run of these settings on bars of this fingerprint, below `folder`."""
    asked = {
        name: value
        for name, value in asdict(settings).items()
        # Neither changes what a fold says.
        if name not in {"version", "threads"}
    }
    return FoldMemory(folder=folder / f"folds-{_digest({'settings': asked, 'bars': fingerprint})}")


def _digest(asked: object) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:16]


@contextmanager
def resumable_folds(memory: FoldMemory) -> Iterator[None]:
    """Tells how to go on when the body is interrupted; forgets the folds once it is through.

    Raises:
        InterruptedRunError: Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            f"interrupted; no bundle was written, {memory.done()} folds are done: give the same command "
            "again to go on"
        ) from error
    memory.forget()


__all__ = ["FoldMemory", "FoldPredictions", "fold_memory", "resumable_folds"]
