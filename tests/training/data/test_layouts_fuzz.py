"""Whatever a file holds, a load ends in bars or in an error of this package, of one line."""

import string
import zipfile
from datetime import UTC, date, datetime, time
from pathlib import Path

import polars as pl
import pytest
from candlewire_training.data.layouts.catalogue import layout_names
from candlewire_training.data.layouts.contract import Choices
from candlewire_training.data.layouts.loading import load
from candlewire_training.errors import TrainingError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HEADERS = (
    "Date,Open,High,Low,Close,Volume",
    "Date,Open,High,Low,Close,Adj Close,Volume",
    "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>",
    "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
    "CryptoDataDownload\nunix,date,symbol,open,high,low,close,Volume BTC,Volume USD",
    ",A:open,A:high,A:low,A:close,A:volume",
    "Price,Close,High,Low,Open,Volume\nTicker,A,A,A,A,A\nDate,,,,,",
    "time,open,high,low,close",
    "",
)
CELLS = st.sampled_from(
    (
        *(
            "",
            "1",
            "-1",
            "0",
            "1e400",
            "nan",
            "null",
            "1,5",
            "1,000",
            '"',
            "A",
            "2021-03-01",
            "2021-02-30",
            "20210301",
        ),
        *(
            "01/02/2021",
            "2021-03-01 24:00",
            "2021-11-07 01:30:00",
            "9999-12-31 23:59",
            "0001-01-01",
            "1612137600",
        ),
        *(
            "1612137600000",
            "99999999999999999999",
            "010321",
            "09:30:00",
            "153000",
            "2021-03-14T02:30:00",
            "\0",
            "é",
        ),
        *("2021-01-01 00:00:00+14:00", "31.12.2021 22:00:00.000", "12-Jan-2021"),
    )
)
LINES = st.lists(st.lists(CELLS, min_size=1, max_size=12), max_size=12)
# A row as each header wants it; a cell of it may be spoiled.
ROWS = (
    "2021-03-0{day},10,11,9,10.5,100",
    "2021-03-0{day},10,11,9,10.5,10.5,100",
    "A.US,5,2021030{day},153000,10,11,9,10.5,100,0",
    "2021.03.0{day}\t15:30:00\t10\t11\t9\t10.5\t100\t0\t1",
    "161213760{day},2021-02-01,A/USD,10,11,9,10.5,100,1000",
    "2021-03-0{day},10,11,9,10.5,100",
    "2021-03-0{day},10,11,9,10.5,100",
    "2021-03-01 10:0{day},10,11,9,10.5",
    "0{day}0321,10,11,9,10.5,1,1,1",
)


@st.composite
def nearly_right(draw: st.DrawFn) -> str:
    """A file as a vendor writes it, with up to three cells spoiled."""
    kind = draw(st.integers(0, len(HEADERS) - 1))
    mark = "\t" if "\t" in ROWS[kind] else ","
    rows = [ROWS[kind].format(day=day).split(mark) for day in range(1, draw(st.integers(2, 8)))]
    for _ in range(draw(st.integers(0, 3)) if rows else 0):
        row = draw(st.sampled_from(rows))
        row[draw(st.integers(0, len(row) - 1))] = draw(CELLS)
    if draw(st.booleans()):
        rows.reverse()
    header = [HEADERS[kind]] if HEADERS[kind] else []
    return "\n".join((*header, *(mark.join(row) for row in rows))) + "\n"


ANY_CHOICES = st.builds(
    Choices,
    layout=st.one_of(st.none(), st.sampled_from(layout_names())),
    symbol=st.one_of(st.none(), st.just("A")),
    timeframe=st.one_of(st.none(), st.sampled_from(("1m", "1d", "1M"))),
    time_zone=st.one_of(st.none(), st.sampled_from(("UTC", "America/New_York", "America/New_York+7h"))),
    stamp=st.one_of(st.none(), st.sampled_from(("open", "close"))),
    date_format=st.one_of(st.none(), st.sampled_from(("day-first", "month-first"))),
    adjusted=st.booleans(),
    unreadable=st.sampled_from(("fail", "drop")),
)


def ends_well(path: Path, choices: Choices) -> None:
    refusal = None
    try:
        loaded = load(path, choices)
    except TrainingError as error:
        refusal = str(error)
    if refusal is not None:
        assert len(refusal.splitlines()) == 1
        return
    assert loaded.frame.height > 0
    assert loaded.frame.null_count().sum_horizontal().item() == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=st.sampled_from(HEADERS), lines=LINES, choices=ANY_CHOICES, separator=st.sampled_from(",;\t"))
def test_any_text(
    tmp_path: Path, header: str, lines: list[list[str]], choices: Choices, separator: str
) -> None:
    path = tmp_path / "AAA.csv"
    path.write_text("\n".join((header, *(separator.join(line) for line in lines))), encoding="utf-8")
    ends_well(path, choices)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=nearly_right(), choices=ANY_CHOICES)
def test_nearly_right_text(tmp_path: Path, text: str, choices: Choices) -> None:
    path = tmp_path / "AAA.csv"
    path.write_text(text, encoding="utf-8")
    ends_well(path, choices)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=300),
    suffix=st.sampled_from((".csv", ".parquet", ".feather", ".zip", ".duckdb", ".txt", "")),
    choices=ANY_CHOICES,
)
def test_any_bytes(tmp_path: Path, data: bytes, suffix: str, choices: Choices) -> None:
    if suffix == ".duckdb" or choices.layout == "duckdb":
        pytest.importorskip("duckdb")
    path = tmp_path / f"AAA{suffix}"
    path.write_bytes(data)
    ends_well(path, choices)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    member=st.sampled_from(
        ("20210304_a_minute_trade.csv", "20219999_a_minute_quote.csv", "a.csv", "a_tick_trade.csv", "a.txt")
    ),
    text=st.one_of(
        st.text(alphabet=string.digits + ",.\n :-x", max_size=200),
        LINES.map(lambda lines: "\n".join(",".join(line) for line in lines)),
    ),
    choices=ANY_CHOICES,
)
def test_any_zip(tmp_path: Path, member: str, text: str, choices: Choices) -> None:
    path = tmp_path / "20210304_trade.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, text)
    ends_well(path, choices)


NAMES = ("open", "high", "low", "close", "volume")
TIME_COLUMNS: tuple[pl.Series, ...] = (
    pl.Series([date(2021, 1, 1), None, date(2021, 1, 3)]),
    pl.Series([date(9999, 1, 1), date(1, 1, 1), date(2021, 1, 1)]),
    pl.Series([datetime(2021, 1, 1, 5, tzinfo=UTC), datetime(2021, 1, 1, 6, tzinfo=UTC), None]),
    pl.Series([None, None, None]),
    pl.Series([-5, 0, 7]),
    pl.Series([2**63 - 1, 1_612_137_600, 1_612_137_600_000]),
    pl.Series([1.6e9, 1.7e9, float("nan")]),
    pl.Series([time(1), time(2), time(3)]),
    pl.Series(["2021-01-01", None, "x"]),
    pl.Series([[1], [2], [3]]),
    pl.Series([True, False, None]),
)
NUMBER_COLUMNS: tuple[pl.Series, ...] = (
    pl.Series([1.0, 2.0, None]),
    pl.Series(["1.5", "2", "3"]).cast(pl.Decimal(10, 2)),
    pl.Series(["1", "x", "3"]),
    pl.Series([[1], [2], [3]]),
    pl.Series([None, None, None]),
    pl.Series([True, True, True]),
)
SYMBOL_COLUMNS: tuple[pl.Series | None, ...] = (
    None,
    pl.Series(["A", "B", None]),
    pl.Series([1, 2, 3]),
    pl.Series(["A", "B", "A"], dtype=pl.Categorical),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(("date", "open_time_ns", "open_time_ms", "time")),
    times=st.sampled_from(range(len(TIME_COLUMNS))),
    numbers=st.sampled_from(range(len(NUMBER_COLUMNS))),
    symbols=st.sampled_from(range(len(SYMBOL_COLUMNS))),
    choices=ANY_CHOICES,
)
def test_any_table(
    tmp_path: Path, name: str, times: int, numbers: int, symbols: int, choices: Choices
) -> None:
    columns = {name: TIME_COLUMNS[times], **dict.fromkeys(NAMES, NUMBER_COLUMNS[numbers])}
    symbol = SYMBOL_COLUMNS[symbols]
    table = pl.DataFrame(columns if symbol is None else {**columns, "symbol": symbol})
    path = tmp_path / "AAA.parquet"
    table.write_parquet(path)
    ends_well(path, choices)


def test_a_zoned_time_beyond_the_calendar_is_refused(tmp_path: Path) -> None:
    """The library panics when it writes such a time as text, which a column of text asks it to do."""
    beyond = pl.Series([2**62, 2**62 + 1, 2**62 + 2]).cast(pl.Datetime("ms", "UTC"))
    path = tmp_path / "AAA.parquet"
    pl.DataFrame({"time": beyond, **dict.fromkeys(NAMES, NUMBER_COLUMNS[2])}).write_parquet(path)
    ends_well(path, Choices(symbol="AAA"))
