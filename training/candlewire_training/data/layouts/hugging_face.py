"""Hugging Face datasets: saved on disk, or from the hub."""

import json
import re
from types import ModuleType
from typing import TYPE_CHECKING

import polars as pl

from candlewire_training.data.layouts.contract import Choices, Opening, RawBars
from candlewire_training.data.layouts.symbols import symbol_of_name, timeframe_of_name
from candlewire_training.data.layouts.tables import bars_of_table
from candlewire_training.errors import AmbiguousBarsError, BarsError, SettingsError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict  # type: ignore[import-untyped]

HUB_PREFIX = "hf://"
_HUB_NAME = re.compile(
    r"^(?P<owner>[\w.-]+)/(?P<dataset>[\w.-]+)(?:/(?P<configuration>[\w.-]+))?(?:@(?P<revision>[\w./-]+))?$"
)


class HuggingFace:
    """A folder that `datasets.save_to_disk` wrote; `read_hub` reads one from the hub."""

    name = "hugging-face"

    def recognise(self, opening: Opening) -> str | None:
        """Why the folder is of this layout; None when it is not."""
        if opening.path.is_dir() and (opening.path / "dataset_dict.json").is_file():
            return "the folder holds dataset_dict.json"
        if opening.path.is_dir() and (opening.path / "state.json").is_file():
            return "the folder holds a dataset's state.json"
        return None

    def read(self, opening: Opening, choices: Choices) -> RawBars:
        """The dataset's bars; --table names the split where there are several.

        Raises:
            SettingsError: `datasets` is not installed, or there is no such split.
            BarsError: The dataset cannot be read.
        """
        datasets = _library()
        try:
            loaded = datasets.load_from_disk(str(opening.path))
        except (OSError, ValueError, json.JSONDecodeError) as error:
            raise BarsError(f"bars {opening.path}: no readable dataset ({_first_line(error)})") from error
        return _bars(loaded, choices, name=opening.path.name)


def read_hub(address: str, choices: Choices) -> RawBars:
    """Bars of a dataset on the hub.

    Args:
        address: `hf://owner/dataset`, perhaps `/configuration` and `@revision`.
        choices: The caller's word; `table` names the split.

    Raises:
        SettingsError: The address is none, `datasets` is not installed, or there is no such split.
        BarsError: The dataset cannot be fetched.
    """
    match = _HUB_NAME.match(address.removeprefix(HUB_PREFIX))
    if match is None:
        raise SettingsError(
            f"bars {address}: write it as hf://owner/dataset, hf://owner/dataset/configuration or with"
            " @revision"
        )
    datasets = _library()
    try:
        loaded = datasets.load_dataset(
            f"{match['owner']}/{match['dataset']}", match["configuration"], revision=match["revision"]
        )
    # The library raises errors of its HTTP clients as they are.
    except Exception as error:
        raise BarsError(f"bars {address}: cannot be fetched ({_first_line(error)})") from error
    return _bars(loaded, choices, name=str(match["dataset"]))


def _library() -> ModuleType:
    try:
        import datasets  # noqa: PLC0415 - optional
    except ImportError as error:
        raise SettingsError(
            "reading a Hugging Face dataset needs the package datasets: install"
            " candlewire-training[hugging-face]"
        ) from error
    module: ModuleType = datasets
    return module


def _bars(loaded: "Dataset | DatasetDict", choices: Choices, *, name: str) -> RawBars:
    split = _split(loaded, choices, name)
    frame = pl.from_arrow(split.with_format("arrow")[:])
    if not isinstance(frame, pl.DataFrame):
        raise BarsError(f"bars {name}: the dataset is no table")
    raw = bars_of_table(frame, choices, source=f"bars {name}")
    return RawBars(
        frame=raw.frame,
        symbol=symbol_of_name(name),
        timeframe=raw.timeframe or timeframe_of_name(name),
        stamp=raw.stamp,
        notes=raw.notes,
    )


def _split(loaded: "Dataset | DatasetDict", choices: Choices, name: str) -> "Dataset":
    if not isinstance(loaded, dict):
        return loaded
    splits = sorted(str(split) for split in loaded)
    if choices.table is None and len(splits) > 1:
        raise AmbiguousBarsError(
            (f"it has the splits {', '.join(splits)}: choose one with --table",), source=f"bars {name}"
        )
    chosen = choices.table or splits[0]
    if chosen not in loaded:
        raise SettingsError(f"split {chosen!r} is not in {name}; it has {', '.join(splits)}")
    return loaded[chosen]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


__all__ = ["HUB_PREFIX", "HuggingFace", "read_hub"]
