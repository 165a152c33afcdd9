"""What models of one symbol may start from: members fitted on all symbols, fold by fold and at the end.

The members of a fold were fitted on rows whose labels were known before the fold's test rows, whatever their
symbol, so that what starts from them is out of fold too. They are kept in their libraries' own formats.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import xgboost as xgb

from candlewire_training.errors import SettingsError, StoreError
from candlewire_training.members.contract import Member, MemberSettings
from candlewire_training.members.lightgbm_member import LightGBMMember
from candlewire_training.members.registry import make_member
from candlewire_training.members.xgboost_member import XGBoostMember

INDEX = "start.json"
# Kinds whose fit can go on from another model.
CONTINUED = frozenset({"xgboost", "lightgbm"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledStart:
    """Where to start from.

    Attributes:
        boundaries_ns: First decision times of the calibration and of the test part.
        folds: First and last decision time of each fold's test rows.
        by_fold: For each fold, the members fitted on its train rows; None where a kind cannot go on.
        final: The same, fitted on the train part.
    """

    boundaries_ns: tuple[int, int]
    folds: tuple[tuple[int, int], ...]
    by_fold: tuple[tuple[Member | None, ...], ...]
    final: tuple[Member | None, ...]


def write_start(start: PooledStart, settings: tuple[MemberSettings, ...], folder: Path) -> None:
    """Writes the members, and last the index that makes the folder a whole one.

    Raises:
        StoreError: The folder cannot be written.
    """
    index: dict[str, Any] = {
        "boundaries_ns": list(start.boundaries_ns),
        "folds": [list(fold) for fold in start.folds],
        "settings": [asdict(each) for each in settings],
        "stages": [],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stage, members in enumerate((*start.by_fold, start.final)):
            index["stages"].append([_write_member(member, folder, stage) for member in members])
        temporary = folder / f".{INDEX}"
        temporary.write_text(json.dumps(index) + "\n", encoding="utf-8")
        temporary.replace(folder / INDEX)
    except OSError as error:
        raise StoreError(f"pooled start {folder}: it cannot be written ({error.strerror})") from error


def read_start(folder: Path) -> PooledStart:
    """What `write_start` wrote.

    Raises:
        StoreError: The folder holds no whole start.
    """
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        settings = [MemberSettings(**each) for each in index["settings"]]
        stages = [
            tuple(
                None if one is None else _read_member(folder, one, each)
                for one, each in zip(stage, settings, strict=True)
            )
            for stage in index["stages"]
        ]
        first, second = index["boundaries_ns"]
        return PooledStart(
            boundaries_ns=(first, second),
            folds=tuple((first, last) for first, last in index["folds"]),
            by_fold=tuple(stages[:-1]),
            final=stages[-1],
        )
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        xgb.core.XGBoostError,
        lgb.basic.LightGBMError,
    ) as error:
        raise StoreError(f"pooled start {folder}: it cannot be read ({error}); train it again") from error


def _write_member(member: Member | None, folder: Path, stage: int) -> dict[str, Any] | None:
    if member is None:
        return None
    if isinstance(member, XGBoostMember):
        name = f"{stage}-xgboost.ubj"
        member.fitted.save_model(folder / name)
    elif isinstance(member, LightGBMMember):
        name = f"{stage}-lightgbm.txt"
        member.fitted.save_model(folder / name)
    else:
        raise SettingsError(
            f"{member.name} cannot be continued; transfer is for {', '.join(sorted(CONTINUED))}"
        )
    return {"file": name, "classes": list(member.classes_), "features": member.features_}


def _read_member(folder: Path, stored: dict[str, Any], settings: MemberSettings) -> Member:
    member, file = make_member(settings), str(folder / stored["file"])
    if isinstance(member, XGBoostMember):
        member.booster_ = xgb.Booster(model_file=file)
    elif isinstance(member, LightGBMMember):
        member.booster_ = lgb.Booster(model_file=file)
    else:
        raise TypeError(f"kind {settings.kind} is none of {', '.join(sorted(CONTINUED))}")
    member.classes_, member.features_ = tuple(stored["classes"]), int(stored["features"])
    return member


__all__ = ["CONTINUED", "PooledStart", "read_start", "write_start"]
