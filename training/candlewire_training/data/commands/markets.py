"""What --universe and --calendar mean together."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from candlewire_training.data.universe import Universe
    from candlewire_training.data.universe_calendar import Calendar

UNIVERSE_HELP = "Universe: one that ships (see `candlewire data list --universes`) or a TOML file."
CALENDAR_HELP = "Calendar: 24/7, FX, or an exchange's code such as XNYS; the universe's when absent."


def market(universe: str | None, calendar: str | None) -> "tuple[Universe | None, Calendar | None]":
    """The universe, and the calendar: that given, or else the universe's.

    Raises:
        SettingsError: One of them is unknown.
    """
    from candlewire_training.data.universe import read_universe
    from candlewire_training.data.universe_calendar import calendar_of_name

    chosen = read_universe(universe) if universe else None
    if calendar:
        return chosen, calendar_of_name(calendar)
    return chosen, chosen.calendar if chosen else None


__all__ = ["CALENDAR_HELP", "UNIVERSE_HELP", "market"]
