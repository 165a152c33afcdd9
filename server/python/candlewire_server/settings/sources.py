"""Where settings come from: defaults, a TOML file, the environment, flags; each overrides those before it."""

import difflib
import json
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from candlewire_server.errors import SettingsError
from candlewire_server.settings.sections import ServerSettings

PREFIX = "CANDLEWIRE_"
CONFIG_VARIABLE = PREFIX + "CONFIG"
MASK = "********"

# How alike a misspelt variable must be to one of the server's to be refused: other parts of the product
# have variables of their own.
_LIKENESS = 0.85


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting: `key` is ``section.name``."""

    key: str
    variable: str
    field: FieldInfo


@dataclass(frozen=True, kw_only=True)
class LoadedSettings:
    """The settings in force, and where each came from, by key."""

    settings: ServerSettings
    origins: Mapping[str, str]


def all_settings() -> dict[str, Setting]:
    """Every setting by key, in the order of the documentation."""
    found = {}
    for section, section_field in ServerSettings.model_fields.items():
        model = section_field.annotation
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise TypeError(f"{section}: a section of settings must be a model of pydantic")
        for name, field in model.model_fields.items():
            key = f"{section}.{name}"
            variable = PREFIX + f"{section}_{name}".upper()
            found[key] = Setting(key=key, variable=variable, field=field)
    return found


def load(*, config: Path | None = None, flags: Mapping[str, object] | None = None) -> LoadedSettings:
    """Reads all sources.

    Args:
        config: TOML file; None reads the one that ``CANDLEWIRE_CONFIG`` names, if any.
        flags: Values by key, and by the flag's name where it differs: ``{"server.port": 0}``.

    Raises:
        SettingsError: A key is unknown or a value is refused; one line a problem.
    """
    known = all_settings()
    problems: list[str] = []
    values: dict[str, object] = {}
    origins = dict.fromkeys(known, "default")

    def take(key: str, value: object, origin: str) -> None:
        if key in known:
            values[key], origins[key] = value, origin
        else:
            problems.append(f"{key}: unknown setting ({origin}){_nearest(key, known)}")

    path = config or _config_from_environment()
    if path is not None:
        for key, value in _read_file(path).items():
            take(key, value, f"file {path}")
    _read_environment(known, take, problems)
    for key, value in (flags or {}).items():
        take(key, value, "flag")
    if problems:
        raise SettingsError("\n".join(problems))
    return LoadedSettings(settings=_validated(values, origins), origins=origins)


def show(loaded: LoadedSettings) -> str:
    """The settings as a TOML file that can be read back, each with its origin; secrets are masked."""
    lines: list[str] = []
    section = ""
    for key in all_settings():
        head, name = key.split(".")
        if head != section:
            section = head
            lines += ([""] if lines else []) + [f"[{section}]"]
        value = getattr(getattr(loaded.settings, head), name)
        origin = loaded.origins[key]
        if value is None:
            lines.append(f"# {name} is not set  # {origin}")
        elif isinstance(value, SecretStr):
            lines.append(f'# {name} = "{MASK}"  # {origin}')
        else:
            lines.append(f"{name} = {_toml(value)}  # {origin}")
    return "\n".join(lines)


def _toml(value: object) -> str:
    # JSON's strings, numbers and booleans are TOML's.
    return json.dumps(str(value) if isinstance(value, Path) else value)


def _config_from_environment() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named else None


def _read_file(path: Path) -> dict[str, object]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"config: cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"config: {path} is no TOML: {error}") from error
    flat: dict[str, object] = {}
    for section, content in document.items():
        if isinstance(content, dict):
            flat.update({f"{section}.{name}": value for name, value in content.items()})
        else:
            flat[section] = content
    return flat


def _read_environment(
    known: Mapping[str, Setting], take: Callable[[str, object, str], None], problems: list[str]
) -> None:
    by_variable = {setting.variable: key for key, setting in known.items()}
    sections = tuple(f"{PREFIX}{section.upper()}_" for section in ServerSettings.model_fields)
    for variable, value in sorted(os.environ.items()):
        if variable in by_variable:
            take(by_variable[variable], value, f"environment {variable}")
        elif variable.startswith(PREFIX) and variable != CONFIG_VARIABLE:
            alike = difflib.get_close_matches(variable, by_variable, n=1, cutoff=_LIKENESS)
            if alike or variable.startswith(sections):
                problems.append(f"{variable}: unknown variable{_nearest(variable, by_variable)}")


def _nearest(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if not near:
        # Moved or remembered without its section: the last part may still be known.
        last = name.rsplit(".", 1)[-1]
        near = [key for key in known if key.rsplit(".", 1)[-1] == last]
    return f"; did you mean {near[0]}?" if near else "; see `candlewire serve --show-config`"


def _validated(values: Mapping[str, object], origins: Mapping[str, str]) -> ServerSettings:
    tree: dict[str, dict[str, object]] = {}
    for key, value in values.items():
        section, name = key.split(".")
        tree.setdefault(section, {})[name] = value
    try:
        return ServerSettings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError("\n".join(_lines(error, origins))) from None


def _lines(error: ValidationError, origins: Mapping[str, str]) -> list[str]:
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"][:2])
        if not key:
            # Settings that contradict each other: the message names them.
            lines.append(problem["msg"].removeprefix("Value error, "))
            continue
        shown = "" if key == "telemetry.otlp_headers" else f", got {problem['input']!r}"
        lines.append(f"{key}: {problem['msg']}{shown} ({origins.get(key, 'unknown')})")
    return lines
