"""`candlewire train --config train.toml`: the flags of the command, written down."""

import difflib
import tomllib
from pathlib import Path
from typing import Any

import typer

from candlewire_training.errors import SettingsError


def read_training_file(path: Path, names: set[str]) -> dict[str, Any]:
    """Values of a TOML file by the command's parameter names.

    Keys are the flags without dashes in front (`test-share` or `test_share`); tables only group them. A list
    stands for the comma-separated value of a flag.

    Args:
        path: The file.
        names: Parameter names that the command has.

    Raises:
        SettingsError: The file cannot be read, or a key is unknown or comes twice.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"config {path}: it cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"config {path}: it is no TOML ({error})") from error
    values: dict[str, Any] = {}
    for key, value in _flat(document):
        name = key.replace("-", "_")
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"did you mean {near[0].replace('_', '-')}?" if near else "see candlewire train --help"
            raise SettingsError(f"config {path}: {key} is unknown; {hint}")
        if name in values:
            raise SettingsError(f"config {path}: {key} comes twice; keep one")
        values[name] = ",".join(map(str, value)) if isinstance(value, list) else value
    return values


def use_training_file(context: typer.Context, path: Path | None) -> Path | None:
    """Makes the file's values the defaults of the command's flags; for an eager `--config`.

    Raises:
        typer.BadParameter: As `read_training_file`.
    """
    if path is not None:
        names = {parameter.name for parameter in context.command.params if parameter.name} - {
            "config",
            "help",
        }
        try:
            values = read_training_file(path, names)
        except SettingsError as error:
            raise typer.BadParameter(str(error)) from error
        context.default_map = {**(context.default_map or {}), **values}
    return path


def _flat(document: dict[str, Any]) -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in document.items():
        flat += _flat(value) if isinstance(value, dict) else [(key, value)]
    return flat


__all__ = ["read_training_file", "use_training_file"]
