"""Which models one run trains, and which rows each of them answers for."""

import re
from dataclasses import dataclass, replace

from candlewire_training.data.universe import read_universe, shipped_universes
from candlewire_training.errors import SettingsError
from candlewire_training.groups.regimes import REGIMES
from candlewire_training.settings import TrainingSettings

WAYS = ("pooled", "symbol", "regime", "asset-class")
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One model of a run.

    Attributes:
        key: Unique in the run and stable between runs: the name of its marker file.
        symbols: Symbols it is trained on.
        settings: How it is trained.
        route: Keys of its route in deployment.json, beside `model`.
    """

    key: str
    symbols: tuple[str, ...]
    settings: TrainingSettings
    route: dict[str, str]


def plan_groups(
    symbols: tuple[str, ...],
    settings: TrainingSettings,
    *,
    timeframe: str,
    per: str = "pooled",
    horizons: tuple[int, ...] = (),
) -> tuple[Group, ...]:
    """The groups of a run, in order of name.

    Args:
        symbols: Symbols with bars.
        settings: Of every model; its name is the stem of theirs.
        timeframe: Of the bars.
        per: One of WAYS.
        horizons: Horizons, a model each; the settings' when empty. Only the first is routed: two horizons
            answer different questions, and a caller asks for the others by name.

    Raises:
        SettingsError: The way is unknown, a horizon comes twice, or a name would be too long.
    """
    if per not in WAYS:
        raise SettingsError(f"per {per!r} is unknown; use one of {', '.join(WAYS)}")
    horizons = horizons or (settings.horizon,)
    if len(set(horizons)) != len(horizons):
        raise SettingsError(f"horizons {', '.join(map(str, horizons))}: one comes twice; name each once")
    groups = []
    for number, horizon in enumerate(horizons):
        of_horizon = replace(settings, horizon=horizon)
        suffix = f"-h{horizon}" if len(horizons) > 1 else ""
        for name, members, part, route in _parts(symbols, of_horizon, timeframe, per):
            model = _NO_NAME.sub("_", f"{settings.model}{name}{suffix}")
            groups.append(
                Group(
                    key=model,
                    symbols=members,
                    settings=replace(
                        part,
                        model=model,
                        study=settings.study and settings.study.with_name(f"{model}.journal"),
                    ),
                    route=route if number == 0 else {},
                )
            )
    if len({group.key for group in groups}) != len(groups):
        raise SettingsError(
            "two symbols give the same model name once characters other than letters, digits, '_', '.' and "
            "'-' are replaced; rename one of them"
        )
    return tuple(groups)


def _parts(
    symbols: tuple[str, ...], settings: TrainingSettings, timeframe: str, per: str
) -> list[tuple[str, tuple[str, ...], TrainingSettings, dict[str, str]]]:
    """(suffix of the name, symbols, settings, route) of each part."""
    route = {"timeframe": timeframe}
    if per == "symbol":
        return [(f"-{symbol}", (symbol,), settings, {"symbol": symbol, **route}) for symbol in symbols]
    if per == "regime":
        return [
            (f"-{regime}", symbols, replace(settings, regime=regime), {"regime": regime, **route})
            for regime in REGIMES
        ]
    if per == "asset-class":
        classes = asset_classes(symbols, otherwise=settings.asset_class)
        return [
            (
                f"-{asset_class}",
                tuple(symbol for symbol in symbols if classes[symbol] == asset_class),
                replace(settings, asset_class=asset_class),
                {"asset_class": asset_class, **route},
            )
            for asset_class in sorted(set(classes.values()))
        ]
    return [("", symbols, settings, route)]


def asset_classes(symbols: tuple[str, ...], *, otherwise: str) -> dict[str, str]:
    """Asset class of each symbol by the shipped universes; `otherwise` where none of them holds it."""
    universes = [read_universe(name) for name in shipped_universes()]
    return {
        symbol: next((each.asset_class for each in universes if symbol in each), otherwise)
        for symbol in symbols
    }


__all__ = ["WAYS", "Group", "asset_classes", "plan_groups"]
