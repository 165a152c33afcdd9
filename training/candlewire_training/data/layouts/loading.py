"""The way in: a file, and what its owner says about it, to canonical bars."""

from collections.abc import Iterator
from pathlib import Path

from candlewire_training.data.layouts.catalogue import LAYOUTS, layout_names, layout_of_name
from candlewire_training.data.layouts.contract import UNREADABLE_POLICIES, Choices, Hint, Opening
from candlewire_training.data.layouts.hugging_face import HUB_PREFIX, HuggingFace, read_hub
from candlewire_training.data.layouts.opening import open_beginning
from candlewire_training.data.layouts.resolution import GIVEN, LoadedBars, resolve
from candlewire_training.data.layouts.times import DAY_FIRST, MONTH_FIRST
from candlewire_training.errors import BarsError, SettingsError

# What lies beside bars in a folder and is none.
IGNORED_NAMES = {"sha256sums", "manifest.csv", "dataset_info.json", "state.json"}
IGNORED_SUFFIXES = {".md", ".json", ".sha256", ".toml", ".yaml", ".yml", ".py", ".log", ".lock", ".html"}


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that may hold bars: the path itself, or what lies below a folder and may be bars.

    Raises:
        BarsError: There is no such file, or the folder holds none.
    """
    if not path.exists():
        raise BarsError(f"bars {path}: no such file or folder")
    if path.is_file() or HuggingFace().recognise(Opening(path=path)):
        return (path,)
    found = tuple(
        file
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and file.name.lower() not in IGNORED_NAMES
        and file.suffix.lower() not in IGNORED_SUFFIXES
        and not file.name.startswith(".")
    )
    if not found:
        raise BarsError(f"bars {path}: the folder holds no file of bars")
    return found


def load(path: Path, choices: Choices | None = None) -> LoadedBars:
    """Bars of one file, or of a dataset's folder.

    Raises:
        AmbiguousBarsError: The file leaves open what only its owner can say.
        BarsError: The file is of no known layout, or a row cannot be read.
        SettingsError: A choice is unknown or makes no sense.
    """
    choices = choices or Choices()
    _check(choices)
    opening = open_beginning(path)
    if choices.layout is not None:
        layout, why = layout_of_name(choices.layout), GIVEN
    else:
        for layout in LAYOUTS:
            if told := layout.recognise(opening):
                why = told
                break
        else:
            raise BarsError(
                f"bars {path}: no layout is recognised; it begins {_beginning(opening)!r}; "
                f"name one with --layout ({', '.join(layout_names())})"
            )
    raw = layout.read(opening, choices)
    return resolve(
        raw, choices, layout=Hint(value=layout.name, why=why), source=f"bars {path.name}", stem=path.stem
    )


def load_hub(address: str, choices: Choices | None = None) -> LoadedBars:
    """Bars of a dataset on the Hugging Face hub.

    Raises:
        AmbiguousBarsError: The dataset leaves open what only its owner can say.
        BarsError: The dataset cannot be fetched or read.
        SettingsError: The address or a choice makes no sense.
    """
    choices = choices or Choices()
    _check(choices)
    layout = Hint(value=HuggingFace.name, why=f"the address begins with {HUB_PREFIX}")
    return resolve(
        read_hub(address, choices),
        choices,
        layout=layout,
        source=f"bars {address}",
        stem=address.rsplit("/", 1)[-1],
    )


def load_each(path: Path, choices: Choices | None = None) -> Iterator[LoadedBars]:
    """Bars of every file, one file in memory at a time."""
    for file in files_of(path):
        yield load(file, choices)


def _check(choices: Choices) -> None:
    if choices.unreadable not in UNREADABLE_POLICIES:
        raise SettingsError(
            f"unreadable {choices.unreadable!r} is unknown; use one of {', '.join(UNREADABLE_POLICIES)}"
        )
    if choices.date_format not in {None, DAY_FIRST, MONTH_FIRST}:
        raise SettingsError(
            f"date-format {choices.date_format!r} is unknown; use {DAY_FIRST} or {MONTH_FIRST}"
        )
    if choices.price_scale is not None and not 0 < choices.price_scale < float("inf"):
        raise SettingsError(f"price-scale {choices.price_scale} makes no sense; give a finite number above 0")


def _beginning(opening: Opening) -> str:
    return opening.lines[0][:60] if opening.lines else opening.path.suffix


__all__ = ["files_of", "load", "load_each", "load_hub"]
