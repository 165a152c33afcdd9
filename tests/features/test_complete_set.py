"""Every indicator that the product promises is there by name, takes any parameters, and says what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import candlewire_features as cf
import numpy as np
import pytest
from candlewire_features._features import kernel_registry

Parameters = dict[str, Any]
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "features.md"
# Indicator, kernel, other parameters than the defaults, outputs.
PROMISED: list[tuple[str, str, Parameters, tuple[str, ...]]] = [
    *(
        (name, name, {"timeperiod": 9}, (name,))
        for name in ("sma", "ema", "wma", "dema", "tema", "kama", "hma", "vwma", "rsi", "cmo", "mom", "roc")
    ),
    *(
        (name, name, {"timeperiod": 9}, (name,))
        for name in ("trix", "willr", "cci", "aroonosc", "mfi", "adx", "adxr", "dx", "plus_di", "minus_di")
    ),
    *(
        (name, name, {"timeperiod": 9}, (name,))
        for name in ("atr", "natr", "stddev", "var", "correl", "beta")
    ),
    *((name, name, {}, (name,)) for name in ("obv", "ad", "bop", "trange")),
    ("T3", "t3", {"timeperiod": 4, "vfactor": 0.6}, ("t3",)),
    ("StochRSI", "stochrsi", {"timeperiod": 9, "fastk_period": 4, "fastd_period": 2}, ("fastk", "fastd")),
    ("PPO", "ppo", {"fastperiod": 5, "slowperiod": 9, "matype": 1}, ("ppo",)),
    ("APO", "apo", {"fastperiod": 5, "slowperiod": 9}, ("apo",)),
    ("ULTOSC", "ultosc", {"timeperiod1": 3, "timeperiod2": 6, "timeperiod3": 12}, ("ultosc",)),
    ("AROON", "aroon", {"timeperiod": 9}, ("down", "up")),
    ("ADOSC", "adosc", {"fastperiod": 4, "slowperiod": 9}, ("adosc",)),
    (
        "MACD",
        "macd",
        {"fastperiod": 5, "slowperiod": 9, "signalperiod": 4},
        ("macd", "signal", "histogram"),
    ),
    ("directional movement", "adx", {"timeperiod": 9}, ("adx", "plus_di", "minus_di", "dx")),
    ("BBANDS", "bbands", {"timeperiod": 9, "nbdevup": 1.5, "nbdevdn": 2.5}, ("upper", "middle", "lower")),
    (
        "Keltner",
        "keltner",
        {"timeperiod": 9, "atrperiod": 5, "multiplier": 1.5},
        ("upper", "middle", "lower"),
    ),
    ("Donchian", "donchian", {"timeperiod": 9}, ("upper", "middle", "lower")),
    ("SAR", "sar", {"acceleration": 0.03, "maximum": 0.3}, ("sar",)),
    ("Supertrend", "supertrend", {"timeperiod": 7, "multiplier": 2.0}, ("supertrend", "trend")),
    (
        "Ichimoku",
        "ichimoku",
        {"conversion": 5, "base": 12, "span_b": 24, "displacement": 12},
        ("tenkan", "kijun", "senkou_a", "senkou_b", "chikou"),
    ),
    ("LINEARREG slope", "linearreg_slope", {"timeperiod": 9}, ("slope",)),
    ("LINEARREG angle", "linearreg_angle", {"timeperiod": 9}, ("angle",)),
    ("against a reference", "reference", {"reference": "QQQ", "timeperiod": 20}, ("correlation", "beta")),
    (
        "session VWAP and bands",
        "session_vwap",
        {"nbdev": 1.5, "calendar": "24/7"},
        ("vwap", "upper", "lower"),
    ),
    ("log returns and lags", "log_return", {"timeperiod": 5, "lag": 3}, ("log_return",)),
    ("simple returns and lags", "simple_return", {"timeperiod": 5, "lag": 3}, ("simple_return",)),
    *(
        (name, name, {"timeperiod": 9}, ("volatility",))
        for name in ("realised_volatility", "parkinson", "garman_klass", "yang_zhang")
    ),
    ("rolling z-score", "zscore", {"timeperiod": 9}, ("zscore",)),
    ("rolling rank", "rank", {"timeperiod": 9}, ("rank",)),
    ("skew and kurtosis", "moments", {"timeperiod": 9}, ("skew", "kurtosis")),
    ("autocorrelation", "autocorrelation", {"timeperiod": 30, "lag": 2}, ("autocorrelation",)),
    ("volume ratio", "volume_ratio", {"timeperiod": 9}, ("ratio",)),
    ("Amihud illiquidity", "amihud", {"timeperiod": 9}, ("illiquidity",)),
    ("gaps", "gap", {}, ("gap", "filled")),
    ("session gaps", "session_gap", {"calendar": "XNSE"}, ("gap",)),
    ("minute of session", "session", {"calendar": "XNSE"}, ("minute",)),
    (
        "cyclic hour and weekday",
        "local_time",
        {"calendar": "FX"},
        ("hour_sin", "hour_cos", "weekday_sin", "weekday_cos"),
    ),
    ("days to month end", "trading_calendar", {"calendar": "XNSE"}, ("days_to_month_end",)),
    ("overnight flag", "overnight", {"calendar": "XNSE"}, ("flag",)),
    (
        "market regime",
        "market_regime",
        {"memory": 60},
        ("trending", "sideways", "volatile", "consolidation"),
    ),
    ("trend regime", "trend_regime", {"timeperiod": 30}, ("bull", "bear", "sideways")),
    ("range variance", "range_variance", {}, ("current", "short", "medium", "long")),
    ("squared returns", "ewma_variance", {"smoothing": 0.1}, ("variance",)),
]
CROSS_SECTION = ("rank", "zscore", "median")
CANDLES = ("cdlengulfing", "cdlhammer", "cdldoji", "cdlmorningstar")


@pytest.mark.parametrize(("indicator", "kernel", "parameters", "outputs"), PROMISED)
def test_each_promised_indicator_is_there(
    indicator: str, kernel: str, parameters: Parameters, outputs: tuple[str, ...]
) -> None:
    specs = [
        cf.FeatureSpec([(output, kernel, given, output) for output in outputs]) for given in ({}, parameters)
    ]
    if parameters:
        assert specs[0].hash != specs[1].hash, f"{indicator}: its parameters change nothing"
    for spec, given in zip(specs, ({}, parameters), strict=True):
        for entry in cf.describe(spec).split("\n\n")[1:]:
            name, heading, formula, stated, warm_up, source, *_ = (line.strip() for line in entry.split("\n"))
            assert heading.startswith(f"{kernel} ("), indicator
            assert heading.endswith(f").{name}"), indicator
            assert len(formula) > 8, indicator
            # A whole number may be written without its point.
            assert all(f"{key}=" in stated for key in given), stated
            expected = spec.feature_warmup_bars[spec.names.index(name)]
            assert warm_up == f"valid from bar {expected}"
            assert source.startswith("source: ")
            assert len(source) > 12, indicator


def test_cross_sections_compare_any_feature() -> None:
    features: list[Any] = [
        ("roc", "roc"),
        *((name, "cross_section", {"of": "roc"}, name) for name in CROSS_SECTION),
    ]
    spec = cf.FeatureSpec(features)
    assert spec.names == ["roc", *CROSS_SECTION]
    assert all(name in cf.describe(spec) for name in CROSS_SECTION)


def test_there_are_many_candlestick_patterns() -> None:
    names = {kernel["name"] for kernel in json.loads(kernel_registry())}
    patterns = {name for name in names if name.startswith("cdl")}
    assert set(CANDLES) < patterns
    assert len(patterns) >= len(CANDLES) + 10


@pytest.mark.parametrize(
    ("preset", "least", "most"),
    [("core", 20, 46), ("standard", 47, 47), ("full", 64, 64), ("extended", 100, 4096)],
)
def test_presets_have_their_sizes_and_a_hash_of_their_own(preset: str, least: int, most: int) -> None:
    spec = cf.FeatureSpec.preset(preset)
    assert least <= len(spec) <= most
    assert len(spec.hash) == 64
    assert f"spec {spec.hash}" in cf.describe(spec)
    assert len({cf.FeatureSpec.preset(name).hash for name in cf.preset_names()}) == 4


@pytest.mark.parametrize("seed", range(6))
def test_any_parameters_in_their_ranges_are_computed(seed: int, walk: dict[str, Any]) -> None:
    """Every kernel with parameters from the ranges that it tells: finite from its warm-up on, anywhere."""
    random = np.random.default_rng(seed)
    features: list[tuple[str, str, dict[str, Any], str]] = []
    for kernel in json.loads(kernel_registry()):
        drawn: dict[str, Any] = {}
        for parameter in kernel["parameters"]:
            if parameter["type"] == "integer":
                most = min(parameter["most"], parameter["least"] + 40)
                drawn[parameter["name"]] = int(random.integers(parameter["least"], most + 1))
            elif parameter["type"] == "number":
                low, high = parameter["least"], min(parameter["most"], parameter["least"] + 3.0)
                drawn[parameter["name"]] = float(random.uniform(low, high))
            else:
                drawn[parameter["name"]] = str(random.choice(parameter["options"]))
        requests = [
            (f"{kernel['name']}.{output['name']}", kernel["name"], drawn, output["name"])
            for output in kernel["outputs"]
        ]
        try:
            cf.FeatureSpec(requests)
        except cf.SpecError as error:
            # A combination may contradict itself, and then the error tells which.
            assert any(name in str(error) for name in drawn), error  # noqa: PT017
            continue
        features += requests
    spec = cf.FeatureSpec(features)
    assert len(spec) > 280
    values = cf.compute(walk, spec)
    for column, first in enumerate(spec.feature_warmup_bars):
        if first < len(values):
            assert np.isnan(values[:first, column]).all(), features[column]
            assert np.isfinite(values[first:, column]).all(), features[column]
    columns = [walk[name] for name in ("open_time_ns", "open", "high", "low", "close", "volume")]
    out = np.zeros_like(values)
    cf.Panel(spec, ["A"]).update(np.zeros(len(values), dtype=np.int64), *columns, out)
    np.testing.assert_array_equal(out.view(np.uint64), values.view(np.uint64))


def test_the_docs_tell_what_presets_take() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in cf.preset_names():
        spec = cf.FeatureSpec.preset(name)
        known = spec.known_as
        assert known is not None
        row = f"| `{name}` | {known.version} | `{known.hash[:16]}` | "
        row += f"{len(spec)} | {spec.warmup_bars} | {spec.series_bytes:,} |"
        assert row in text, f"docs/features.md: expected {row}"
