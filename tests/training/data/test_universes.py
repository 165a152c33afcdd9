"""Universe files and calendars."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from candlewire_training.data.universe import ASSET_CLASSES, parse_universe, read_universe, shipped_universes
from candlewire_training.data.universe_calendar import calendar_of_name
from candlewire_training.errors import SettingsError

GOOD = 'name = "mine"\nasset_class = "crypto"\ncalendar = "24/7"\nsymbols = ["B", "A"]\n'


@pytest.mark.parametrize("name", shipped_universes())
def test_shipped_universes_are_sound(name: str) -> None:
    universe = read_universe(name)
    assert universe.name == name
    assert universe.symbols
    assert universe.note


def test_shipped_universes_cover_the_markets() -> None:
    assert {read_universe(name).asset_class for name in shipped_universes()} == set(ASSET_CLASSES)


def test_a_universe_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    universe = read_universe(str(path))
    assert universe.symbols == ("A", "B")
    assert universe.time_zone == "UTC"
    assert "A" in universe
    assert "C" not in universe


def test_a_universe_without_symbols_holds_any() -> None:
    universe = parse_universe(GOOD.replace('symbols = ["B", "A"]', ""), source="u")
    assert "ANY" in universe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("name = ", "title = "), "title is unknown"),
        (('name = "mine"\n', ""), "name is missing"),
        (("crypto", "tulips"), "asset_class 'tulips'"),
        (("24/7", "MARS"), "calendar 'MARS'"),
        (('"B"', '"A"'), "A is listed twice"),
        (('["B", "A"]', '"A"'), "list of names"),
        (("mine", 'mine"x'), "no readable TOML"),
        (("symbols", 'time_zone = "Nowhere/Town"\nsymbols'), "time zone 'Nowhere/Town'"),
    ],
)
def test_impossible_universes_are_refused(change: tuple[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_universe(GOOD.replace(*change), source="u")


def test_an_absent_universe_names_those_there_are() -> None:
    with pytest.raises(SettingsError, match="us-stocks"):
        read_universe("nothing")


def test_sessions_of_exchanges() -> None:
    days = calendar_of_name("XNYS").sessions(date(2021, 11, 22), date(2021, 11, 28)).to_list()
    assert [day.day for day in days] == [22, 23, 24, 26]
    india = calendar_of_name("XNSE")
    assert india.zone == "Asia/Kolkata"
    opened = india.segments(date(2021, 3, 1), date(2021, 3, 1))["open_ns"].cast(pl.Datetime("ns"))[0]
    assert opened.strftime("%H:%M") == "03:45"


def test_a_lunch_break_is_no_trading() -> None:
    slots = calendar_of_name("XHKG").slots(date(2021, 3, 1), date(2021, 3, 1), "1m")
    assert slots.height == 330


def test_currencies_follow_new_yorks_clock() -> None:
    calendar = calendar_of_name("FX")
    winter, summer = (
        calendar.segments(day, day)["close_ns"].cast(pl.Datetime("ns"))[0]
        for day in (date(2021, 3, 12), date(2021, 3, 15))
    )
    assert (winter.hour, summer.hour) == (22, 21)
    assert calendar.sessions(date(2021, 12, 24), date(2021, 12, 27)).to_list() == [
        date(2021, 12, 24),
        date(2021, 12, 27),
    ]
