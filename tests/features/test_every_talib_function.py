"""Every function that TA-Lib has and we have, over every file of real bars and over adversarial series.

The functions come from `candlewire_features.talib`, so none can be forgotten; `NOT_OFFERED` says why the
others of TA-Lib are missing. The kernels behind them are what specs and panels run, bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import candlewire_features.talib as ours
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import talib as theirs
from talib import abstract

from .conftest import PRICES, SOUND, real_data
from .exact_references import SERIES
from .raw_bars import RAW, raw_bars

if TYPE_CHECKING:
    from collections.abc import Iterator

Bars = dict[str, npt.NDArray[np.float64]]

FUNCTIONS = sorted(name for name in ours.__all__ if name.isupper())

ARITHMETIC = "arithmetic on arrays, no indicator: NumPy has it"
CYCLE = "Hilbert transform of the cycle: not among the product's indicators"
OTHER = "not among the product's indicators"
NOT_OFFERED = {
    **dict.fromkeys(
        ("ACOS", "ADD", "ASIN", "ATAN", "CEIL", "COS", "COSH", "CUMSUM", "DIV", "EXP"), ARITHMETIC
    ),
    **dict.fromkeys(
        ("FLOOR", "LN", "LOG10", "MULT", "SIN", "SINH", "SQRT", "SUB", "TAN", "TANH"), ARITHMETIC
    ),
    **dict.fromkeys(
        ("MAXINDEX", "MININDEX", "MINMAX", "MINMAXINDEX"), "places in the caller's array: MAX, MIN"
    ),
    **dict.fromkeys(
        ("HT_DCPERIOD", "HT_DCPHASE", "HT_PHASOR", "HT_SINE", "HT_TRENDLINE", "HT_TRENDMODE"), CYCLE
    ),
    "KC": "kernel `keltner`, around the average of the closes; TA-Lib's is that of typical prices",
    "MAVP": "a period for each bar: no kernel has parameters that vary",
    "SUPERTREND": "kernel `supertrend`, compared in trend/test_talib_parity.py; its outputs are of two types",
    "VWAP": "kernel `session_vwap`, which begins anew with each session of a calendar",
    **dict.fromkeys(
        (
            *(
                "AC",
                "ACCBANDS",
                "ADR",
                "AO",
                "AVGDEV",
                "CMF",
                "CMOU",
                "COPPOCK",
                "CVI",
                "DPO",
                "EFI",
                "ER",
                "ERI",
            ),
            *("FOSC", "FRACTAL", "HA", "IMI", "KDJ", "MARKETFI", "MASSI", "NVI", "PERCENTILE", "PERCENTRANK"),
            *("PVI", "PVO", "PVT", "QSTICK", "RVI", "RVOL", "SAREXT", "SMI", "TSI", "VHF", "VORTEX", "WAD"),
        ),
        OTHER,
    ),
}


def test_no_function_of_talib_is_forgotten() -> None:
    assert set(theirs.get_functions()) == set(FUNCTIONS) | set(NOT_OFFERED)
    assert set(FUNCTIONS).isdisjoint(NOT_OFFERED)


# What an error is measured by where the value is a difference that nearly cancels: prices for averages and
# for differences of prices, one for percentages and ratios, the traded volume for running totals of volume.
OF_VOLUME = ("AD", "ADOSC", "OBV")
OF_PRICE = (
    *("APO", "ATR", "AVGPRICE", "BBANDS", "DEMA", "EMA", "HMA", "KAMA", "LINEARREG", "LINEARREG_ANGLE"),
    *(
        "LINEARREG_INTERCEPT",
        "LINEARREG_SLOPE",
        "MA",
        "MACD",
        "MACDEXT",
        "MACDFIX",
        "MAMA",
        "MAX",
        "MEDPRICE",
    ),
    *(
        "MIDPOINT",
        "MIDPRICE",
        "MIN",
        "MINUS_DM",
        "MOM",
        "PLUS_DM",
        "RMA",
        "SAR",
        "SMA",
        "STDDEV",
        "SUM",
        "T3",
    ),
    *("TEMA", "TRANGE", "TRIMA", "TSF", "TYPPRICE", "VWMA", "WCLPRICE", "WMA", "ZLEMA"),
)

DRIFT = "TA-Lib's running sums keep what an outlier left in them"
NO_VOLUME = "TA-Lib: NaN in a window without volume, and a residue after it"
# docs/features_talib_differences.md has the reasons at length; test_exact_reference.py the truth.
EXEMPT: dict[tuple[str, str], str] = {
    ("a billion and a cent", "CCI"): "distances from a mean that is rounded at the size of the price",
    ("after an outlier", "KAMA"): DRIFT,
    ("after an outlier", "STOCHRSI"): DRIFT,
    ("after an outlier", "ULTOSC"): DRIFT,
    ("tiny", "PPO"): "TA-Lib takes an average below 1e-14 for zero",
    ("no volume", "VWMA"): NO_VOLUME,
    ("no volume for a while", "VWMA"): NO_VOLUME,
}
# Errors of a few billionths: the digits of a running sum over volumes in dollars or over products of prices,
# and CCI's rounded mean.
LESS_EXACT = {
    ("cryptodatadownload/Coinbase_BTCUSD_d.csv", "MFI"): 1e-7,
    ("fx_1m.parquet", "CCI"): 1e-8,
    ("crypto_1m.parquet", "BETA"): 1e-8,
    ("etfs_1d.parquet", "CORREL"): 1e-8,
    ("cryptodatadownload/Coinbase_BTCUSD_d.csv", "CORREL"): 1e-8,
}


def floor(name: str, bars: Bars) -> Any:
    """The size that an error of one billionth is relative to, where the value is smaller."""
    if name in OF_VOLUME:
        return np.cumsum(bars["volume"]) + 1e-9
    if name in OF_PRICE:
        return bars["high"]
    return bars["high"] ** 2 if name == "VAR" else 1.0


def inputs(name: str, bars: Bars) -> list[npt.NDArray[np.float64]]:
    """The columns that TA-Lib's function takes, in its order."""
    columns: list[str] = []
    for given in abstract.Function(name).info["input_names"].values():
        columns += given if isinstance(given, list) else [given]
    return [bars[column] for column in columns]


def call(library: Any, name: str, columns: list[npt.NDArray[np.float64]]) -> tuple[Any, ...]:
    values = getattr(library, name)(*columns)
    return values if isinstance(values, tuple) else (values,)


def differences(name: str, bars: Bars, tolerance: float = 1e-9) -> Iterator[str]:
    """Where our function and TA-Lib's disagree: the first valid bar, or a value."""
    columns = inputs(name, bars)
    mine, reference = call(ours, name, columns), call(theirs, name, columns)
    for number, (our, their) in enumerate(zip(mine, reference, strict=True)):
        if name.startswith("CDL"):
            yield from pattern_differences(name, columns, our, their)
        elif not np.array_equal(np.isnan(our), np.isnan(their)):
            yield f"{name} {number}: first valid bar {first(our)}, TA-Lib {first(their)}"
        elif our.size:
            size = np.maximum(np.maximum(np.abs(their), floor(name, bars)), np.finfo(np.float64).tiny)
            error = np.nan_to_num(np.abs(our - their) / size)
            bar = int(np.argmax(error))
            if error[bar] > tolerance:
                yield f"{name} {number} bar {bar}: {our[bar]!r}, TA-Lib {their[bar]!r}"


def pattern_differences(
    name: str, columns: list[npt.NDArray[np.float64]], our: Any, their: Any
) -> Iterator[str]:
    """Patterns that TA-Lib does not see either when it starts at that candle, without a sum that drifted."""
    lookback = abstract.Function(name).lookback
    for bar in np.flatnonzero(our != their):
        fresh = call(theirs, name, [column[bar - lookback : bar + 1] for column in columns])[0]
        if fresh[-1] != our[bar]:
            yield f"{name} bar {bar}: {our[bar]}, TA-Lib {fresh[-1]}"


def first(values: npt.NDArray[np.float64]) -> int:
    """The first bar with a value, or the length where there is none."""
    valid = np.flatnonzero(~np.isnan(values))
    return int(valid[0]) if valid.size else len(values)


def prices(bars: Any) -> Bars:
    """Columns of a frame or a mapping, contiguous."""
    return {name: np.ascontiguousarray(bars[name]) for name in PRICES}


def assert_all_agree(source: str, bars: Bars) -> None:
    """Every function agrees, but for what docs/features_talib_differences.md explains."""
    found: list[str] = []
    for name in FUNCTIONS:
        without_volume = name == "VWMA" and (bars["volume"] == 0).any()
        if without_volume:
            continue
        found += differences(name, bars, LESS_EXACT.get((source, name), 1e-9))
    assert found == [], source


@pytest.mark.parametrize("name", SERIES)
def test_adversarial_series_equal_talib(name: str) -> None:
    bars = prices(SERIES[name])
    found = {function: list(differences(function, bars)) for function in FUNCTIONS}
    wrong = {function for function, text in found.items() if text}
    exempt = {function for series, function in EXEMPT if series == name}
    assert wrong == exempt, [found[function] for function in wrong ^ exempt]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_subnormal_prices_have_talibs_first_bar_and_a_finite_value(function: str) -> None:
    """What is below 1e-300 may count as zero; it is never NaN, infinite or another bar."""
    bars = {name: values * 1e-310 for name, values in prices(SERIES["walk"]).items()}
    bars["volume"] = prices(SERIES["walk"])["volume"]
    columns = inputs(function, bars)
    for our, their in zip(call(ours, function, columns), call(theirs, function, columns), strict=True):
        assert first(our) == first(their)
        assert np.isfinite(our[first(our) :]).all()
        if function in OF_PRICE:
            assert np.abs(our - their)[first(our) :].max() < 1e-299


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_interior_nan_leaves_no_trace(function: str) -> None:
    bars = prices(SERIES["walk"])
    whole = call(ours, function, inputs(function, bars))
    holed = {name: np.insert(values, 60, np.nan) for name, values in bars.items()}
    for before, after in zip(whole, call(ours, function, inputs(function, holed)), strict=True):
        np.testing.assert_array_equal(np.delete(after, 60), before)
        assert function.startswith("CDL") or np.isnan(after[60])


FILES = (
    *(
        "cfd_1h",
        "crypto_1d",
        "crypto_1h",
        "crypto_1m",
        "crypto_5m",
        "etfs_1d",
        "fx_1d",
        "fx_1h",
        "fx_1m",
        "fx_5m",
    ),
    *("india_1m", "india_stocks_1d", "indices_1d", "us_equities_1h", "us_equities_1m", "us_equities_5m"),
    *("us_stocks_1d", "us_stocks_long_1d", "us_stocks_unadjusted_1d"),
)


@pytest.mark.real_data
def test_every_file_of_real_bars_is_compared() -> None:
    assert sorted(path.stem for path in real_data().glob("*.parquet")) == sorted(FILES)


@pytest.mark.real_data
@pytest.mark.parametrize("file", FILES)
def test_every_symbol_of_real_bars_equals_talib(file: str) -> None:
    name = f"{file}.parquet"
    whole = pl.read_parquet(real_data() / name).filter(SOUND).unique(["symbol", "ts"], keep="first")
    groups = whole.sort("symbol", "ts").partition_by("symbol")
    assert groups, f"{name} is empty"
    for frame in groups:
        assert_all_agree(name, prices(frame))


@pytest.mark.real_data
@pytest.mark.parametrize("name", RAW)
def test_raw_files_equal_talib(name: str) -> None:
    frame = raw_bars(real_data() / "raw", name).filter(SOUND)
    assert len(frame) > 100, f"{name}: too few bars to compare"
    assert_all_agree(name, prices(frame))
