"""The loaders and checks on real files: what they hold is known, defect by defect."""

import csv
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from candlewire_training.data.bars import to_ns
from candlewire_training.data.checks.report import DefectReport, check_stream, symbol_bars
from candlewire_training.data.checks.times import missing_times
from candlewire_training.data.layouts.contract import Choices
from candlewire_training.data.layouts.loading import load
from candlewire_training.data.resample import resample
from candlewire_training.data.symbol_stream import open_stream
from candlewire_training.data.universe_calendar import calendar_of_name
from candlewire_training.errors import AmbiguousBarsError, BarsError

pytestmark = pytest.mark.real_data

NOW_NS = to_ns(datetime(2027, 1, 1, tzinfo=UTC))
DATES = "session dates"
# File, choices: layout, symbols, timeframe, time zone, stamp, bars, first open, close of the first bar.
READABLE: list[tuple[str, Choices, tuple[object, ...]]] = [
    (
        "csv_ohlcv/AAPL_2012_2017.csv",
        Choices(),
        ("kaggle-5yr", "AAPL", "1d", DATES, DATES, 1129, "2012-08-13", 90.0),
    ),
    (
        "csv_ohlcv/GOOGL_yahoo_adjclose.csv",
        Choices(symbol="GOOGL"),
        ("yahoo", "GOOGL", "1d", DATES, DATES, 1942, "2009-05-22", 196.946945),
    ),
    (
        "csv_ohlcv/TSLA_quoted_reordered_columns.csv",
        Choices(symbol="TSLA", unreadable="drop"),
        ("csv", "TSLA", "1d", DATES, DATES, 756, "2015-10-15", 221.31),
    ),
    (
        "kaggle_txt/spy.us.txt",
        Choices(),
        ("kaggle-txt", "SPY", "1d", DATES, DATES, 2731, "2005-02-25", 105.79),
    ),
    (
        "kaggle_txt/msft.us.txt",
        Choices(),
        ("kaggle-txt", "MSFT", "1d", DATES, DATES, 6783, "1986-03-13", 0.07533),
    ),
    (
        "stooq_txt/aeaqu.us.txt",
        Choices(),
        ("stooq", "AEAQU", "5m", "Europe/Warsaw", "open", 30, "2025-12-05 14:30", 10.0),
    ),
    ("nse/WIPRO.csv", Choices(), ("nse", "WIPRO", "1d", DATES, DATES, 990, "2017-01-02", 471.55)),
    (
        "cryptodatadownload/Coinbase_BTCUSD_d.csv",
        Choices(),
        ("cryptodatadownload", "BTCUSD", "1d", DATES, DATES, 1492, "2014-12-01", 370.0),
    ),
    (
        "dukascopy/EURUSD_1H_ASK.csv",
        Choices(),
        ("dukascopy", "EURUSD", "1h", "UTC", "open", 400, "2017-01-01 22:00", 1.05227),
    ),
    (
        "freqtrade/ARB_USDT-1h.feather",
        Choices(),
        ("freqtrade", "ARBUSDT", "1h", "UTC", "open", 12570, "2024-09-14", 0.5346),
    ),
    (
        "mt5/EURUSD_M1.csv",
        Choices(layout="mt5", time_zone="America/New_York+7h"),
        ("mt5", "EURUSD", "1m", "America/New_York+7h", "open", 2000, "2026-06-24 11:54", 1.1345),
    ),
    (
        "us_local_time/GS_1min.csv",
        Choices(time_zone="America/New_York"),
        ("csv", "GS", "1m", "America/New_York", "open", 12090, "2026-01-22 14:30", 966.01),
    ),
    (
        "wide_multisymbol/bitfinex_BTC_ETH_USD_d.csv",
        Choices(),
        ("wide", "BTC ETH", "1d", DATES, DATES, 2441, "2014-12-01", 370.0),
    ),
    (
        "lean/forex_oanda_minute_eurusd/20140501_quote.zip",
        Choices(),
        ("lean", "EURUSD", "1m", "UTC", "open", 1363, "2014-05-01", 1.386915),
    ),
    (
        "lean/forex_oanda_daily_eurusd.zip",
        Choices(),
        ("lean", "EURUSD", "1d", DATES, DATES, 3120, "2007-01-01", 1.32145),
    ),
    (
        "lean/crypto_coinbase_daily_btcusd_trade.zip",
        Choices(),
        ("lean", "BTCUSD", "1d", DATES, DATES, 1318, "2014-12-01", 370.0),
    ),
    (
        "lean/crypto_coinbase_minute_btcusd/20180404_trade.zip",
        Choices(),
        ("lean", "BTCUSD", "1m", "UTC", "open", 1007, "2018-04-04", 7422.0),
    ),
    (
        "lean/equity_india_minute_yesbank/20190709_trade.zip",
        Choices(),
        ("lean", "YESBANK", "1m", "Asia/Kolkata", "open", 377, "2019-07-09 03:45", 94.85),
    ),
    (
        "lean/index_india_minute_nifty50/20190101_trade.zip",
        Choices(member="20190101_nifty_minute_trade.csv"),
        ("lean", "NIFTY", "1m", "Asia/Kolkata", "open", 378, "2019-01-01 03:37", 10881.7),
    ),
]
REFUSED: list[tuple[str, type[BarsError], str]] = [
    ("csv_ohlcv/GOOGL_yahoo_adjclose.csv", AmbiguousBarsError, "--symbol"),
    (
        "csv_ohlcv/TSLA_quoted_reordered_columns.csv",
        BarsError,
        r"line 2: date '11:34'.*1 of 757.*--unreadable drop",
    ),
    ("mt5/EURUSD_M1.csv", AmbiguousBarsError, r"--time-zone.*New_York\+7h"),
    ("us_local_time/GS_1min.csv", AmbiguousBarsError, "--time-zone"),
    (
        "lean/index_india_minute_nifty50/20190101_trade.zip",
        AmbiguousBarsError,
        "20190102_.*, 20190101_.*--member",
    ),
]


@pytest.mark.parametrize(("name", "choices", "expected"), READABLE, ids=[case[0] for case in READABLE])
def test_every_raw_file_loads(
    real_data: Path, name: str, choices: Choices, expected: tuple[object, ...]
) -> None:
    loaded = load(real_data / "raw" / name, choices)
    first = loaded.frame.row(0, named=True)
    opened = datetime.fromtimestamp(first["open_time_ns"] / 1e9, tz=UTC)
    text = opened.strftime("%Y-%m-%d %H:%M").removesuffix(" 00:00")
    facts = (
        loaded.layout.value,
        " ".join(loaded.symbols),
        loaded.timeframe.value,
        loaded.time_zone.value,
        loaded.stamp.value,
    )
    assert (*facts, loaded.frame.height, text) == expected[:7]
    assert first["close"] == pytest.approx(expected[7], rel=1e-12)


@pytest.mark.parametrize(("name", "error", "message"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_a_file_leaves_open_is_asked(
    real_data: Path, name: str, error: type[BarsError], message: str
) -> None:
    with pytest.raises(error, match=message):
        load(real_data / "raw" / name)


def test_no_raw_file_is_forgotten(real_data: Path) -> None:
    files = {
        str(path.relative_to(real_data / "raw")) for path in (real_data / "raw").rglob("*") if path.is_file()
    }
    assert files == {name for name, *_ in READABLE}


@pytest.mark.parametrize(
    ("raw", "stored", "symbol"),
    [
        ("lean/equity_india_minute_yesbank/20190709_trade.zip", "india_1m", "YESBANK"),
        ("lean/forex_oanda_minute_eurusd/20140501_quote.zip", "fx_1m", "EURUSD"),
        ("lean/forex_oanda_daily_eurusd.zip", "fx_1d", "EURUSD"),
        ("nse/WIPRO.csv", "india_stocks_1d", "WIPRO"),
        ("kaggle_txt/msft.us.txt", "us_stocks_long_1d", "MSFT"),
        ("kaggle_txt/spy.us.txt", "etfs_1d", "SPY"),
    ],
)
def test_a_load_agrees_with_an_independent_conversion(
    real_data: Path, raw: str, stored: str, symbol: str
) -> None:
    loaded = load(real_data / "raw" / raw).frame
    other = dict(iter(open_stream(real_data / f"{stored}.parquet", symbols=(symbol,))))[symbol]
    both = loaded.join(other, on="open_time_ns", suffix="_other")
    assert both.height > 300
    for name in ("open", "high", "low", "close", "volume"):
        difference = (both[name] / both[f"{name}_other"] - 1).abs().fill_nan(0.0).max()
        assert difference is not None
        assert difference < 1e-9, name


# Defect -> the manifest's column.
MANIFEST = {
    "ohlc-violation": "ohlc_violations",
    "nonpositive-price": "nonpositive_price_rows",
    "missing-value": "nan_ohlc_rows",
    "zero-volume": "zero_volume",
    "flat-bar": "flat_bars",
    "large-move": "abs_logret_gt_0.35",
    "out-of-order": "backward_steps",
    "gap": "missing_bars_est",
}
CALENDARS = {"crypto": "24/7", "fx": "FX", "cfd": "FX"}
COUNTED = (
    *(
        "us_stocks_1d",
        "us_stocks_long_1d",
        "us_stocks_unadjusted_1d",
        "etfs_1d",
        "indices_1d",
        "india_stocks_1d",
    ),
    *("crypto_1m", "crypto_5m", "crypto_1h", "crypto_1d", "fx_1m", "fx_5m", "fx_1h", "cfd_1h"),
)


@pytest.fixture(scope="module")
def reports(real_data: Path) -> "Reports":
    return Reports(real_data)


class Reports:
    """Reports by file, each made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[str, DefectReport] = {}

    def __call__(self, name: str, calendar: str | None = None) -> DefectReport:
        hours = calendar or CALENDARS.get(name.split("_", maxsplit=1)[0])
        if name not in self._made:
            self._made[name] = check_stream(
                open_stream(self.folder / f"{name}.parquet"),
                calendar=calendar_of_name(hours) if hours else None,
                stationarity=False,
                now_ns=NOW_NS,
            )
        return self._made[name]

    def found(self, name: str, defect: str, calendar: str | None = None) -> dict[str, tuple[str, ...]]:
        """Symbol -> examples."""
        return {one.symbol: one.examples for one in self(name, calendar).findings() if one.defect == defect}


@pytest.mark.parametrize("name", COUNTED)
def test_counts_are_those_of_the_manifest(reports: Reports, real_data: Path, name: str) -> None:
    lines = csv.DictReader((real_data / "manifest.csv").read_text().splitlines())
    known = {line["symbol"]: line for line in lines if line["file"] == f"{name}.parquet"}
    report = reports(name)
    assert {symbol.symbol for symbol in report.symbols} == set(known)
    differences = [
        (symbol.symbol, defect, symbol.count(defect), known[symbol.symbol][column])
        for symbol in report.symbols
        for defect, column in MANIFEST.items()
        if symbol.count(defect) != int(known[symbol.symbol][column])
    ]
    assert differences == []


def dates(examples: tuple[str, ...]) -> list[str]:
    return [example[:10] for example in examples]


def test_splits_and_spin_offs_are_exactly_the_known_ones(reports: Reports) -> None:
    us = {symbol: dates(found) for symbol, found in reports.found("us_stocks_1d", "suspected-split").items()}
    assert us == {
        # Agilent's spin-off of Keysight: 30 %, below the 35 % from which the source names moves.
        "A": ["2014-11-03"],
        "BAX": ["2015-07-01"],
        "DISCA": ["2014-08-07"],
        "DISCK": ["2014-08-07"],
        "EBAY": ["2015-07-20"],
        "NI": ["2015-07-02"],
        "YUM": ["2016-11-01"],
    }
    # AAPL's fall of 2000-09-29 is genuine and not among them.
    raw = {
        symbol: dates(found)
        for symbol, found in reports.found("us_stocks_unadjusted_1d", "suspected-split").items()
    }
    assert raw == {"AAPL": ["2000-06-21", "2005-02-28"], "MSFT": ["2003-02-18"]}
    # INDUSINDBK's rise of 2020-03-26 is genuine and not among them.
    india = {
        symbol: dates(found) for symbol, found in reports.found("india_stocks_1d", "suspected-split").items()
    }
    assert {symbol: days[0] for symbol, days in india.items()} == {
        "BPCL": "2017-07-13",
        "EICHERMOT": "2020-08-24",
        "HCLTECH": "2019-12-05",
        "HDFCBANK": "2019-09-19",
        "IOC": "2018-03-15",
        "JSWSTEEL": "2017-01-04",
        "LT": "2017-07-13",
        "M&M": "2017-12-21",
        "WIPRO": "2017-06-13",
    }
    assert reports.found("etfs_1d", "suspected-split") == {}


def test_misquotes_are_those_of_the_decimal_point(reports: Reports) -> None:
    found = reports.found("us_stocks_long_1d", "misquote")
    assert set(found) == {"DWDP", "EIX", "FITB", "PCG", "USB"}
    assert any(example.startswith("2009-09-01 O 27.654") for example in found["EIX"])
    # A wrong low alone violates no order of the prices: more rows than violations.
    counts = Counter(
        {one.symbol: one.count for one in reports("us_stocks_long_1d").findings() if one.defect == "misquote"}
    )
    assert counts["DWDP"] >= 11
    assert set(reports.found("etfs_1d", "misquote")) == {"XOP"}


def test_clean_daily_stocks_have_no_outlier(reports: Reports) -> None:
    assert reports.found("us_stocks_1d", "outlier") == {}
    assert reports.found("india_stocks_1d", "outlier") == {}
    assert dates(reports.found("crypto_1d", "outlier")["BTCUSD-COINBASE"]) == ["2015-01-14"]


def test_walmarts_rounded_prices_are_called_coarse(reports: Reports) -> None:
    assert "WMT" in reports.found("us_stocks_long_1d", "coarse-price")
    assert "WMT" not in reports.found("us_stocks_long_1d", "outlier")


def test_nifty_has_two_bars_of_one_time(reports: Reports) -> None:
    found = reports.found("india_1m", "conflicting-bar", "XNSE")
    assert set(found) == {"NIFTY50"}
    assert found["NIFTY50"][0].startswith("1130 times")
    assert set(reports.found("india_1m", "out-of-order", "XNSE")) == {"NIFTY50"}
    gaps = {symbol.symbol: symbol.count("gap") for symbol in reports("india_1m", "XNSE").symbols}
    assert gaps["JUNIORBEES"] == 717


def test_the_day_a_feed_changed_is_found(reports: Reports) -> None:
    """From 2026-01-22 on the minutes count every venue's trades, before only one's."""
    found = reports.found("us_equities_1m", "volume-break", "XNYS")
    assert {symbol: dates(examples) for symbol, examples in found.items()} == {
        symbol: ["2026-01-22"] for symbol in ("AFRM", "NVDA", "ORCL", "QQQ", "SPY", "TECL", "XLF")
    }
    assert reports.found("us_equities_5m", "volume-break", "XNYS") == {}
    # Before the exchange opened its prices were stubs: day one traded 0.05 coins.
    assert set(reports.found("crypto_1d", "volume-break")) == {"BTCUSD-COINBASE"}


def test_half_days_are_no_gaps(reports: Reports, real_data: Path) -> None:
    """The manifest counts the minutes after 13:00 of half days as missing; the calendar knows better."""
    lines = csv.DictReader((real_data / "manifest.csv").read_text().splitlines())
    known = {
        line["symbol"]: int(line["missing_bars_est"])
        for line in lines
        if line["file"] == "us_equities_1m.parquet"
    }
    counts = {symbol.symbol: symbol.count("gap") for symbol in reports("us_equities_1m", "XNYS").symbols}
    half_days = 2 * 180
    assert {
        symbol: known[symbol] - count for symbol, count in counts.items() if symbol in {"AFRM", "TECL", "XLF"}
    } == {
        "AFRM": half_days,
        "TECL": half_days,
        "XLF": half_days,
    }
    assert all(symbol.count("gap") == 0 for symbol in reports("us_equities_5m", "XNYS").symbols)


def test_a_hole_that_nobody_named(real_data: Path) -> None:
    """Four days of December 2016 are absent from every daily currency file."""
    stream = open_stream(real_data / "fx_1d.parquet")
    calendar = calendar_of_name("FX")
    for symbol, frame in stream:
        bars = symbol_bars(symbol, frame, timeframe="1d", calendar=calendar, sessions=None, now_ns=NOW_NS)
        missing = missing_times(bars)
        assert missing is not None
        assert missing.tolist() == [to_ns(date(2016, 12, day)) for day in (12, 13, 14, 15)]


def frames(real_data: Path, name: str) -> dict[str, pl.DataFrame]:
    return dict(iter(open_stream(real_data / f"{name}.parquet")))


def test_five_minutes_make_the_exchanges_own_hours(real_data: Path) -> None:
    fives, hours = frames(real_data, "crypto_5m"), frames(real_data, "crypto_1h")
    for symbol, frame in fives.items():
        made = resample(frame, timeframe="5m", target="1h", calendar=calendar_of_name("24/7")).frame
        both = made.join(hours[symbol], on="open_time_ns", suffix="_own")
        assert both.height == 6576
        for name in ("open", "high", "low", "close"):
            assert both[name].equals(both[f"{name}_own"].alias(name))
        # The exchange adds up decimals, we add up their nearest doubles: the last bit may differ.
        assert (both["volume"] / both["volume_own"] - 1).abs().max() < 4e-16


def test_minutes_make_five_minutes_hours_and_days(real_data: Path) -> None:
    always = calendar_of_name("24/7")
    for frame in frames(real_data, "crypto_1m").values():
        fives = resample(frame, timeframe="1m", target="5m", calendar=always).frame
        hours = resample(frame, timeframe="1m", target="1h", calendar=always).frame
        days = resample(frame, timeframe="1m", target="1d", calendar=always).frame
        by_steps = resample(fives, timeframe="5m", target="1h", calendar=always).frame
        assert by_steps.drop("volume").equals(hours.drop("volume"))
        assert (
            resample(hours, timeframe="1h", target="1d", calendar=always)
            .frame.drop("volume")
            .equals(days.drop("volume"))
        )
        assert days.height == 20


def test_a_brokers_minutes_make_its_own_five_minutes(real_data: Path) -> None:
    """Two exports of one broker: were its clock read wrongly, no bar would agree."""
    choices = Choices(layout="mt5", time_zone="America/New_York+7h")
    minutes = load(real_data / "raw" / "mt5" / "EURUSD_M1.csv", choices).frame
    made = resample(minutes, timeframe="1m", target="5m", calendar=calendar_of_name("FX")).frame
    both = made.join(frames(real_data, "fx_5m")["EURUSD"], on="open_time_ns", suffix="_own")
    assert both.height == made.height == 399
    assert both["volume"].equals(both["volume_own"].alias("volume"))
    for name in ("open", "high", "low", "close"):
        # The minutes were written with seventeen digits, the five minutes with five.
        assert (both[name] - both[f"{name}_own"]).abs().max() < 1e-15


def test_apples_hours_agree_with_another_source(real_data: Path) -> None:
    fives, other = frames(real_data, "us_equities_5m")["AAPL"], frames(real_data, "us_equities_1h")["AAPL"]
    made = resample(fives, timeframe="5m", target="1h", calendar=calendar_of_name("XNYS"))
    both = made.frame.join(other, on="open_time_ns", suffix="_other")
    difference = (both["close"] / both["close_other"] - 1).abs()
    assert both.height == 1257
    assert difference.median() < 1e-7  # type: ignore[operator]
    assert made.outside == 136
