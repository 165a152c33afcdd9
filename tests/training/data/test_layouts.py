"""Every layout, on a few rows written for these tests."""

import gzip
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from candlewire_training.data.layouts.catalogue import LAYOUTS
from candlewire_training.data.layouts.contract import Choices
from candlewire_training.data.layouts.loading import files_of, load
from candlewire_training.data.layouts.resolution import LoadedBars
from candlewire_training.errors import AmbiguousBarsError, BarsError, SettingsError

DAYS = "2021-03-01,10,11,9,10.5,{0}\n2021-03-02,10.5,12,10,11.5,{1}\n2021-03-03,11.5,12.5,11,12,{2}\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def opens(loaded: LoadedBars) -> list[str]:
    times = loaded.frame["open_time_ns"].cast(pl.Datetime("ns"))
    return [moment.strftime("%Y-%m-%d %H:%M") for moment in times.to_list()]


def facts(loaded: LoadedBars) -> tuple[str, str, str, str]:
    return loaded.layout.value, loaded.timeframe.value, loaded.time_zone.value, loaded.stamp.value


def row(loaded: LoadedBars, index: int = 0) -> tuple[float, ...]:
    return loaded.frame.select("open", "high", "low", "close", "volume").row(index)


DATED = ("session dates", "session dates")


@pytest.mark.parametrize(
    ("name", "layout", "header", "volumes"),
    [
        ("AAA.csv", "yahoo", "Date,Open,High,Low,Close,Adj Close,Volume", ("5.25,100", "5.75,200", "6,300")),
        ("aaa.us.txt", "kaggle-txt", "Date,Open,High,Low,Close,Volume,OpenInt", ("100,0", "200,0", "300,0")),
        ("x.csv", "kaggle-5yr", "date,open,high,low,close,volume,Name", ("100,AAA", "200,AAA", "300,AAA")),
        (
            "AAA.csv",
            "backtrader",
            "Date,Open,High,Low,Close,Volume,OpenInterest",
            ("100,0", "200,0", "300,0"),
        ),
        ("AAA.csv", "csv", "Date,Open,High,Low,Close,Volume", ("100", "200", "300")),
        ("AAA_1d.csv", "csv", "DATE,OPEN,HIGH,LOW,CLOSE,VOL", ('"1,100"', '"1,200"', '"1,300"')),
    ],
)
def test_daily_text(tmp_path: Path, name: str, layout: str, header: str, volumes: tuple[str, ...]) -> None:
    loaded = load(write(tmp_path, name, header + "\r\n" + DAYS.format(*volumes)))
    assert facts(loaded) == (layout, "1d", *DATED)
    assert loaded.symbols == ("AAA",)
    assert opens(loaded) == ["2021-03-01 00:00", "2021-03-02 00:00", "2021-03-03 00:00"]
    assert row(loaded)[:4] == (10, 11, 9, 10.5)
    assert row(loaded)[4] in {100, 1100}


def test_adjusted_close_scales_prices_only_when_asked(tmp_path: Path) -> None:
    text = "Date,Open,High,Low,Close,Adj Close,Volume\n" + DAYS.format("5.25,100", "5.75,200", "12,300")
    path = write(tmp_path, "AAA.csv", text)
    plain = load(path)
    assert row(plain) == (10, 11, 9, 10.5, 100)
    assert any("differs in 2 bars" in note for note in plain.notes)
    assert row(load(path, Choices(adjusted=True))) == (5, 5.5, 4.5, 5.25, 100)


def test_adjusting_without_an_adjusted_close_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "AAA.csv", "Date,Open,High,Low,Close,Volume\n" + DAYS.format(1, 2, 3))
    with pytest.raises(SettingsError, match="no adjusted close"):
        load(path, Choices(adjusted=True))


def test_stooq_is_in_warsaw_time(tmp_path: Path) -> None:
    text = (
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\n"
        "BBB.US,5,20250310,143000,20,21,19,20.5,10,0\nBBB.US,5,20250310,145500,20.5,21,20,20,5,0\n"
    )
    loaded = load(write(tmp_path, "bbb.us.txt", text))
    assert facts(loaded) == ("stooq", "5m", "Europe/Warsaw", "open")
    # On that day New York was already on summer time, Warsaw was not.
    assert opens(loaded) == ["2025-03-10 13:30", "2025-03-10 13:55"]
    assert loaded.symbols == ("BBB",)


def test_dukascopy(tmp_path: Path) -> None:
    text = (
        "Gmt time,Open,High,Low,Close,Volume\n"
        "04.01.2021 22:00:00.000,1.2,1.25,1.19,1.21,1000.5\n04.01.2021 23:00:00.000,1.21,1.22,1.2,1.2,900\n"
    )
    loaded = load(write(tmp_path, "EURUSD_1H_BID.csv", text))
    assert facts(loaded) == ("dukascopy", "1h", "UTC", "open")
    assert opens(loaded)[0] == "2021-01-04 22:00"
    assert loaded.symbols == ("EURUSD",)


MT5 = (
    "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
    "2021.03.12\t23:59:00\t1.1\t1.2\t1.0\t1.15\t{0}\t{1}\t3\n2021.03.15\t00:00:00\t1.15\t1.2\t1.1\t1.1\t7\t0\t3\n"
)


def test_metatrader_asks_for_the_brokers_clock(tmp_path: Path) -> None:
    path = write(tmp_path, "EURUSD_M1.csv", MT5.format(5, 0))
    with pytest.raises(AmbiguousBarsError, match=r"--time-zone.*New_York\+7h"):
        load(path)
    loaded = load(path, Choices(time_zone="America/New_York+7h"))
    assert facts(loaded) == ("mt5", "1m", "America/New_York+7h", "open")
    # The weekend between holds the change to summer time: the broker's midnight moves with New York's 17:00.
    assert opens(loaded) == ["2021-03-12 21:59", "2021-03-14 21:00"]
    assert row(loaded)[4] == 5
    assert any("tick count" in note for note in loaded.notes)


def test_metatrader_prefers_real_volume(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, "EURUSD_M1.csv", MT5.format(5, 40)), Choices(time_zone="UTC"))
    assert row(loaded)[4] == 40


def test_metatrader_4_without_header(tmp_path: Path) -> None:
    text = "2021.03.01,10:00,1.1,1.2,1.0,1.15,5\n2021.03.01,10:01,1.15,1.2,1.1,1.1,7\n"
    loaded = load(write(tmp_path, "GBPUSD_M1.csv", text), Choices(time_zone="UTC"))
    assert facts(loaded) == ("mt4", "1m", "UTC", "open")


def test_cryptodatadownload_runs_from_new_to_old_in_coins(tmp_path: Path) -> None:
    text = (
        "https://www.CryptoDataDownload.com\nunix,date,symbol,open,high,low,close,Volume BTC,Volume USD\n"
        "1612141200,2021-02-01 01:00:00,BTC/USD,33000,33500,32900,33400,2.5,82000\n"
        "1612137600000,2021-02-01 00:00:00,BTC/USD,32500,33100,32400,33000,1.5,49000\n"
    )
    loaded = load(write(tmp_path, "Gemini_BTCUSD_1h.csv", text))
    assert facts(loaded) == ("cryptodatadownload", "1h", "UTC", "open")
    assert loaded.symbols == ("BTCUSD",)
    assert opens(loaded) == ["2021-02-01 00:00", "2021-02-01 01:00"]
    assert row(loaded)[4] == 1.5


def test_cryptodatadownload_hours_with_am_and_pm(tmp_path: Path) -> None:
    text = (
        "Created on 01-01-2020,CryptoDataDownload\nDate,Symbol,Open,High,Low,Close,Volume From,Volume To\n"
        "2019-12-01 01-PM,ETHUSD,150,151,149,150.5,10,1500\n2019-12-01 12-PM,ETHUSD,149,151,148,150,9,1300\n"
    )
    assert opens(load(write(tmp_path, "e.csv", text)))[0] == "2019-12-01 12:00"


def test_nse_without_header(tmp_path: Path) -> None:
    text = (
        '"010321","410.5","420","405","418","8000000.5","19000","900"\n'
        '"020321","418","425","417","421","1","2","3"\n'
    )
    loaded = load(write(tmp_path, "CCC.csv", text))
    assert facts(loaded) == ("nse", "1d", *DATED)
    assert row(loaded) == (410.5, 420, 405, 418, 19000)
    assert opens(loaded)[0] == "2021-03-01 00:00"


def test_binance_without_header_in_microseconds(tmp_path: Path) -> None:
    lines = [
        f"{1735689600000000 + minute * 60_000_000},1,2,0.5,1.5,10,{1735689659999999},15,3,5,7,0"
        for minute in (0, 1)
    ]
    loaded = load(write(tmp_path, "BTCUSDT-1m-2025-01.csv", "\n".join(lines)), Choices(symbol="BTCUSDT"))
    assert facts(loaded) == ("binance", "1m", "UTC", "open")
    assert opens(loaded)[0] == "2025-01-01 00:00"


def test_freqtrade_feather(tmp_path: Path) -> None:
    times = pl.Series("date", [datetime(2021, 1, 1, hour, tzinfo=UTC) for hour in (0, 1)])
    values = {name: [1.0, 2.0] for name in ("open", "high", "low", "close", "volume")}
    path = tmp_path / "ABC_USDT-1h.feather"
    pl.DataFrame({"date": times, **values}).write_ipc(path)
    loaded = load(path)
    assert facts(loaded) == ("freqtrade", "1h", "UTC", "open")
    assert loaded.symbols == ("ABCUSDT",)


def archive(folder: Path, name: str, members: dict[str, str]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        for member, text in members.items():
            file.writestr(member, text)
    return path


QUOTES = "0,1.0,1.2,0.9,1.1,0,1.2,1.4,1.1,1.3,0\n60000,1.1,1.2,1.0,1.2,0,1.3,1.4,1.2,1.4,0\n"


@pytest.mark.parametrize(("side", "first"), [(None, 1.1), ("bid", 1.0), ("ask", 1.2)])
def test_lean_quotes(tmp_path: Path, side: str | None, first: float) -> None:
    path = archive(
        tmp_path, "forex/oanda/minute/eurusd/20210304_quote.zip", {"20210304_eurusd_minute_quote.csv": QUOTES}
    )
    loaded = load(path, Choices(side=side))
    assert facts(loaded) == ("lean", "1m", "UTC", "open")
    assert loaded.symbols == ("EURUSD",)
    assert row(loaded)[0] == pytest.approx(first)
    assert opens(loaded) == ["2021-03-04 00:00", "2021-03-04 00:01"]


def test_lean_equities_are_in_ten_thousandths_of_local_time(tmp_path: Path) -> None:
    text = "33300000,948500,950000,939000,941200,50\n33360000,941200,950000,939000,948500,70\n"
    path = archive(
        tmp_path, "equity/india/minute/ddd/20210304_trade.zip", {"20210304_ddd_minute_trade.csv": text}
    )
    loaded = load(path)
    assert loaded.time_zone.value == "Asia/Kolkata"
    assert row(loaded) == (94.85, 95.0, 93.9, 94.12, 50)
    assert opens(loaded)[0] == "2021-03-04 03:45"


def test_lean_asks_for_the_scale_where_no_folder_tells(tmp_path: Path) -> None:
    text = "33300000,948500,950000,939000,941200,50\n33360000,941200,950000,939000,948500,70\n"
    path = archive(tmp_path, "20210304_trade.zip", {"20210304_ddd_minute_trade.csv": text})
    with pytest.raises(AmbiguousBarsError, match="--price-scale"):
        load(path)
    loaded = load(path, Choices(price_scale=0.0001, time_zone="Asia/Kolkata"))
    assert row(loaded)[0] == 94.85


def test_lean_daily(tmp_path: Path) -> None:
    text = "20210301 00:00,1,2,0.5,1.5,10\n20210302 00:00,1.5,2,1,1,11\n"
    loaded = load(archive(tmp_path, "crypto_coinbase_daily/btcusd_trade.zip", {"btcusd.csv": text}))
    assert facts(loaded) == ("lean", "1d", *DATED)


def test_lean_zip_with_two_days_asks_which(tmp_path: Path) -> None:
    text = "33300000,1.5,2,1,1.2,0\n33360000,1.2,2,1,1.1,0\n"
    members = {"20210304_nifty_minute_trade.csv": text, "20210305_nifty_minute_trade.csv": text}
    path = archive(tmp_path, "index/india/minute/nifty50/20210304_trade.zip", members)
    with pytest.raises(AmbiguousBarsError, match="--member"):
        load(path)
    loaded = load(path, Choices(member="20210305_nifty_minute_trade.csv"))
    assert opens(loaded)[0] == "2021-03-05 03:45"
    assert any("its zip 20210304" in note for note in loaded.notes)


def test_wide_table_leaves_absent_bars_out(tmp_path: Path) -> None:
    text = (
        ",AA:open,AA:high,AA:low,AA:close,AA:volume,BB:open,BB:high,BB:low,BB:close,BB:volume\n"
        "2021-03-01,1,2,0.5,1.5,10,,,,,\n2021-03-02,1.5,2,1,1,11,7,8,6,7.5,3\n2021-03-03,1,2,1,2,12,7.5,8,7,8,4\n"
    )
    loaded = load(write(tmp_path, "pairs_d.csv", text))
    assert facts(loaded) == ("wide", "1d", *DATED)
    assert loaded.frame.group_by("symbol").len().sort("symbol").rows() == [("AA", 3), ("BB", 2)]
    assert any("BB has no bar at 1 of 3 times" in note for note in loaded.notes)


def test_wide_table_with_two_header_rows(tmp_path: Path) -> None:
    text = (
        "Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume\nTicker,AA,BB,AA,BB,AA,BB,AA,BB,AA,BB\n"
        "Date,,,,,,,,,,\n2021-03-01,1.5,7.5,2,8,1,7,1.2,7.2,10,20\n2021-03-02,1.6,7.6,2,8,1,7,1.2,7.2,11,21\n"
    )
    loaded = load(write(tmp_path, "download.csv", text))
    assert loaded.symbols == ("AA", "BB")
    assert row(loaded) == (1.2, 2, 1, 1.5, 10)


def table_of_bars(zone: str | None = "UTC") -> pl.DataFrame:
    times = pl.Series(["14:30", "14:31", "14:32", "14:33"]).str.strptime(pl.Time, "%H:%M")
    times = pl.Series([datetime.combine(date(2021, 1, 4), time) for time in times.to_list()])
    times = times.dt.replace_time_zone(zone) if zone else times
    values = {name: [1.0, 2.0, 3.0, 4.0] for name in ("open", "high", "low", "close", "volume")}
    return pl.DataFrame({"symbol": ["A", "A", "B", "B"], "open_time": times, **values})


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_typed_tables(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bars.{suffix}"
    table = table_of_bars()
    table.write_parquet(path) if suffix == "parquet" else table.write_ipc(path)
    loaded = load(path)
    assert facts(loaded) == (suffix, "1m", "UTC", "open")
    assert loaded.symbols == ("A", "B")


def test_typed_table_without_zone_asks(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    table_of_bars(None).write_parquet(path)
    with pytest.raises(AmbiguousBarsError, match="--time-zone"):
        load(path)


def test_typed_table_on_new_yorks_midnights_is_daily(tmp_path: Path) -> None:
    days = pl.date_range(date(2021, 3, 12), date(2021, 3, 16), "1d", eager=True)
    days = days.cast(pl.Datetime("us")).dt.replace_time_zone("America/New_York")
    values = {name: [1.0] * 5 for name in ("open", "high", "low", "close", "volume")}
    path = tmp_path / "AAA.parquet"
    pl.DataFrame({"Date": days, **values}).write_parquet(path)
    # One of these days has 23 hours; dates they are all the same.
    assert opens(load(path, Choices(timeframe="1d")))[-1] == "2021-03-16 00:00"


def test_counted_times_of_a_named_unit_reach_back_before_1970(tmp_path: Path) -> None:
    day = 86_400 * 10**9
    values = {name: [1.0, 2.0, 3.0] for name in ("open", "high", "low", "close", "volume")}
    path = tmp_path / "AAA.parquet"
    pl.DataFrame({"open_time_ns": [-day, 0, day], **values}).write_parquet(path)
    loaded = load(path)
    assert opens(loaded) == ["1969-12-31 00:00", "1970-01-01 00:00", "1970-01-02 00:00"]
    assert loaded.stamp.value == "session dates"


def test_text_in_a_typed_table_is_read_as_text(tmp_path: Path) -> None:
    table = table_of_bars().with_columns(
        pl.col("close").cast(pl.String), volume=pl.Series(["1,000", "2", "3", "4"])
    )
    path = tmp_path / "bars.parquet"
    table.write_parquet(path)
    loaded = load(path)
    assert row(loaded) == (1, 1, 1, 1, 1000)
    assert opens(loaded)[0] == "2021-01-04 14:30"
    table.with_columns(close=pl.Series(["1", "x", "3", "4"])).write_parquet(path)
    with pytest.raises(BarsError, match="close 'x' cannot be read"):
        load(path)
    table.with_columns(close=pl.Series([[1], [2], [3], [4]])).write_parquet(path)
    with pytest.raises(BarsError, match="make it a number"):
        load(path)


def test_duckdb(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "market.duckdb"
    with duckdb.connect(str(path)) as connection:
        for name in ("one", "two"):
            connection.execute(
                f"CREATE TABLE {name} AS SELECT 'A' AS symbol, "  # noqa: S608 - names of this test
                "DATE '2021-03-01' + INTERVAL (i) DAY AS date, 1.5::DECIMAL(10,2) AS open, "
                "2 AS high, 1 AS low, 1.5 AS close, i AS volume FROM range(3) t(i)"
            )
        connection.execute("CREATE TABLE notes AS SELECT 1 AS number")
    with pytest.raises(AmbiguousBarsError, match=r"one, two.*--table"):
        load(path)
    loaded = load(path, Choices(table="two"))
    assert facts(loaded) == ("duckdb", "1d", *DATED)
    assert row(loaded) == (1.5, 2, 1, 1.5, 0)
    with pytest.raises(BarsError, match="DuckDB says"):
        load(path, Choices(table="absent"))


def test_hugging_face_dataset_on_disk(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    columns = {"date": ["2021-03-01", "2021-03-02"], "ticker": ["A", "A"]}
    values = {name: [1.0, 2.0] for name in ("open", "high", "low", "close", "volume")}
    one = datasets.Dataset.from_dict({**columns, **values})
    datasets.DatasetDict({"train": one, "test": one}).save_to_disk(str(tmp_path / "both"))
    one.save_to_disk(str(tmp_path / "single"))
    with pytest.raises(AmbiguousBarsError, match=r"test, train.*--table"):
        load(tmp_path / "both")
    for loaded in (load(tmp_path / "single"), load(tmp_path / "both", Choices(table="test"))):
        assert facts(loaded) == ("hugging-face", "1d", *DATED)
        assert loaded.symbols == ("A",)
    assert files_of(tmp_path / "single") == (tmp_path / "single",)


def session_minutes(first: int) -> str:
    """Three New York sessions of minutes, from `first` minutes after the open on."""
    lines = [
        f"2021-06-0{day} {(570 + minute) // 60:02d}:{(570 + minute) % 60:02d}:00,1,2,0.5,1.5,10"
        for day in (1, 2, 3)
        for minute in range(first, first + 390)
    ]
    return "datetime,open,high,low,close,volume\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize(("first", "stamp"), [(0, "open"), (1, "close")])
def test_stamp_is_told_from_the_session(tmp_path: Path, first: int, stamp: str) -> None:
    path = write(tmp_path, "DDD_1min.csv", session_minutes(first))
    with pytest.raises(AmbiguousBarsError, match="--time-zone"):
        load(path)
    loaded = load(path, Choices(time_zone="America/New_York"))
    assert loaded.stamp.value == stamp
    # Either way the session's first bar opens at 09:30 New York.
    assert opens(loaded)[0] == "2021-06-01 13:30"
    assert opens(loaded)[-1] == "2021-06-03 19:59"


def test_stamp_is_asked_where_no_session_tells(tmp_path: Path) -> None:
    text = "time,open,high,low,close,volume\n2021-06-01 00:00:00,1,2,1,1,1\n2021-06-01 00:01:00,1,2,1,1,1\n"
    path = write(tmp_path, "AAA.csv", text)
    with pytest.raises(AmbiguousBarsError, match="--stamp"):
        load(path, Choices(time_zone="UTC"))
    assert opens(load(path, Choices(time_zone="UTC", stamp="close")))[0] == "2021-05-31 23:59"


def test_repeated_hour_of_autumn_is_told_by_order(tmp_path: Path) -> None:
    clock = ["00:30", "01:00", "01:30", "01:00", "01:30", "02:00"]
    lines = [f"2021-11-07 {time}:00,1,2,1,1,1" for time in clock]
    header = "time,open,high,low,close,volume\n"
    choices = Choices(time_zone="America/New_York", stamp="open", timeframe="15m", symbol="A")
    expected = ["04:30", "05:00", "05:30", "06:00", "06:30", "07:00"]
    rising = load(write(tmp_path, "up.csv", header + "\n".join(lines)), choices)
    falling = load(write(tmp_path, "down.csv", header + "\n".join(lines[::-1])), choices)
    for loaded in (rising, falling):
        assert [text[-5:] for text in opens(loaded)] == expected


def test_skipped_hour_of_spring_shows_the_zone_wrong(tmp_path: Path) -> None:
    text = "time,open,high,low,close,volume\n2021-03-14 02:00:00,1,2,1,1,1\n2021-03-14 02:15:00,1,2,1,1,1\n"
    path = write(tmp_path, "AAA.csv", text)
    with pytest.raises(BarsError, match="does not exist in America/New_York"):
        load(path, Choices(time_zone="America/New_York", stamp="open"))


def test_day_and_month_are_asked_for_or_told_by_the_rows(tmp_path: Path) -> None:
    header = "Date,Open,High,Low,Close,Volume\n"
    unclear = write(tmp_path, "AAA.csv", header + "03/01/2021,1,2,1,1,1\n04/01/2021,1,2,1,1,1\n")
    with pytest.raises(AmbiguousBarsError, match="--date-format"):
        load(unclear)
    assert opens(load(unclear, Choices(date_format="day-first")))[0] == "2021-01-03 00:00"
    clear = write(tmp_path, "BBB.csv", header + "01/28/2021,1,2,1,1,1\n01/29/2021,1,2,1,1,1\n")
    assert opens(load(clear))[0] == "2021-01-28 00:00"


def test_all_questions_come_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "data.csv", session_minutes(0))
    with pytest.raises(AmbiguousBarsError) as caught:
        load(path)
    assert len(caught.value.questions) == 2
    assert "--symbol" in str(caught.value)
    assert "--time-zone" in str(caught.value)


def test_unreadable_row_is_refused_or_left_out(tmp_path: Path) -> None:
    text = (
        'date,close,volume,open,high,low\n"11:34",1,"4,000",1,2,1\n'
        "2021/03/02,1.5,200,1,2,1\n2021/03/01,1,100,1,2,1\n"
    )
    path = write(tmp_path, "AAA.csv", text)
    with pytest.raises(BarsError, match=r"line 2: date '11:34' cannot be read.*--unreadable drop"):
        load(path)
    loaded = load(path, Choices(unreadable="drop"))
    assert row(loaded) == (1, 2, 1, 1, 100)
    assert any("left out 1 of 3 rows" in note for note in loaded.notes)


def test_decimal_comma_is_no_number(tmp_path: Path) -> None:
    text = "Date;Open;High;Low;Close;Volume\n2021-03-01;1,5;2,5;1,0;1,5;100\n"
    with pytest.raises(BarsError, match="cannot be read"):
        load(write(tmp_path, "AAA.csv", text))


def test_missing_values_stay_missing(tmp_path: Path) -> None:
    header = "Date,Open,High,Low,Close,Adj Close,Volume\n"
    text = header + "2021-03-01,null,null,null,null,null,null\n2021-03-02,1,2,1,1,1,5\n"
    loaded = load(write(tmp_path, "AAA.csv", text))
    assert loaded.frame["close"].is_nan().to_list() == [True, False]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("AAA.csv", b"", "empty"),
        ("AAA.csv", b"hello\nworld\n", "no layout is recognised"),
        ("AAA.csv", b"Date,Open,High,Low\n2021-03-01,1,2,1\n", "no layout is recognised"),
        ("AAA.parquet", b"PAR1 no", "no readable Parquet"),
        ("AAA.feather", b"no arrow", "no readable Feather"),
        ("AAA.zip", b"PK no", "no layout is recognised"),
        ("AAA.csv", b"Date,Open,High,Low,Close,Volume\n2021-03-01,1,2,1,1,1,9,9\n", "no readable table"),
        ("AAA.csv", b"Date,Open,open,High,Low,Close\n2021-03-01,1,1,2,1,1\n", "could both be the open"),
        ("AAA.csv", b"Date,Open,High,Low,Close,Volume\nx,y,z,a,b,c\n", "no row can be read"),
        ("AAA.csv.gz", gzip.compress(b"Date,Open\n"), "no layout is recognised"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BarsError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (Choices(layout="nothing"), "layout 'nothing' is unknown"),
        (Choices(stamp="middle"), "stamp 'middle'"),
        (Choices(timeframe="2m"), "timeframe '2m'"),
        (Choices(unreadable="skip"), "unreadable 'skip'"),
        (Choices(date_format="year-first"), "date-format"),
        (Choices(price_scale=0.0), "price-scale"),
    ],
)
def test_impossible_choices_are_refused(tmp_path: Path, choices: Choices, message: str) -> None:
    path = write(tmp_path, "AAA.csv", "Date,Open,High,Low,Close,Volume\n" + DAYS.format(1, 2, 3))
    with pytest.raises(SettingsError, match=message):
        load(path, choices)


def test_time_zone_is_unknown(tmp_path: Path) -> None:
    path = write(tmp_path, "AAA.csv", session_minutes(0))
    with pytest.raises(SettingsError, match="time zone 'Mars/Base'"):
        load(path, Choices(time_zone="Mars/Base"))


def test_encodings(tmp_path: Path) -> None:
    text = "Date,Open,High,Low,Close,Volume\n" + DAYS.format(1, 2, 3)
    for name, encoding in (("A8.csv", "utf-8-sig"), ("A16.csv", "utf-16")):
        (tmp_path / name).write_bytes(text.encode(encoding))
        assert row(load(tmp_path / name))[0] == 10


def test_layout_names_are_unique() -> None:
    names = [layout.name for layout in LAYOUTS]
    assert len(names) == len(set(names))
    assert len(names) >= 18
