"""The commands `candlewire data import`, `check`, `resample` and `list`; each imports late."""

import typer

from candlewire_training.data.commands.check_bars import check
from candlewire_training.data.commands.import_bars import import_files
from candlewire_training.data.commands.list_bars import list_bars
from candlewire_training.data.commands.resample_bars import resample_bars


def register(app: typer.Typer) -> None:
    """Adds the commands to the `data` group."""
    app.command("import")(import_files)
    app.command("check")(check)
    app.command("resample")(resample_bars)
    app.command("list")(list_bars)


__all__ = ["register"]
