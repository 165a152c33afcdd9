"""Every layout, in the order in which a file is held against them: the general ones last."""

from candlewire_training.data.layouts.contract import Layout
from candlewire_training.data.layouts.hugging_face import HuggingFace
from candlewire_training.data.layouts.lean import Lean
from candlewire_training.data.layouts.tables import FEATHER, PARQUET, DuckDb, Freqtrade
from candlewire_training.data.layouts.vendors import DELIMITED_LAYOUTS, GENERIC
from candlewire_training.data.layouts.wide import Wide
from candlewire_training.errors import SettingsError

LAYOUTS: tuple[Layout, ...] = (
    Lean(),
    HuggingFace(),
    Freqtrade(),
    FEATHER,
    PARQUET,
    DuckDb(),
    *DELIMITED_LAYOUTS,
    Wide(),
    GENERIC,
)


def layout_names() -> tuple[str, ...]:
    """What --layout takes."""
    return tuple(layout.name for layout in LAYOUTS)


def layout_of_name(name: str) -> Layout:
    """A layout by its name.

    Raises:
        SettingsError: There is no such layout.
    """
    for layout in LAYOUTS:
        if layout.name == name:
            return layout
    raise SettingsError(f"layout {name!r} is unknown; use one of {', '.join(layout_names())}")


__all__ = ["LAYOUTS", "layout_names", "layout_of_name"]
