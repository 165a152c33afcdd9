"""Features that compare symbols: the same offline and online, equal to NumPy, blind to other moments."""

from __future__ import annotations

from typing import Any

import candlewire_features as cf
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from tests.features.conftest import PRICES, real_data

Floats = npt.NDArray[np.float64]
SPEC = cf.FeatureSpec(
    [
        ("roc_5", "roc", {"timeperiod": 5}),
        ("rank", "cross_section", {"of": "roc_5"}, "rank"),
        ("zscore", "cross_section", {"of": "roc_5"}, "zscore"),
        ("median", "cross_section", {"of": "roc_5"}, "median"),
        ("excess", "cross_section", {"of": "roc_5"}, "excess"),
        ("count", "cross_section", {"of": "roc_5"}, "count"),
        ("correlation", "reference", {"reference": "B", "timeperiod": 20}, "correlation"),
        ("beta", "reference", {"reference": "B", "timeperiod": 20}, "beta"),
        ("relative", "reference", {"reference": "B", "timeperiod": 20}, "relative_return"),
        ("residual", "reference", {"reference": "B", "timeperiod": 20}, "residual_volatility"),
        ("beta_rank", "cross_section", {"of": "beta"}, "rank"),
    ]
)


def market(seed: int = 1, symbols: int = 6, moments: int = 120) -> pl.DataFrame:
    """Bars of symbols that share a factor; some symbols miss some moments, one lists late, one bar is bad."""
    random = np.random.default_rng(seed)
    factor = random.normal(0.0, 0.01, moments)
    frames = []
    for number in range(symbols):
        moves = factor * random.uniform(0.5, 1.5) + random.normal(0.0, 0.005, moments)
        close = 50.0 * np.exp(np.cumsum(moves))
        there = random.uniform(size=moments) > 0.1 * (number % 3)
        if number == symbols - 1:
            there[:40] = False
        columns = dict.fromkeys(PRICES, close[there])
        time = np.arange(moments, dtype=np.int64)[there] * 60_000_000_000
        frames.append(
            pl.DataFrame({"symbol": ["ABCDEFGHIJ"[number]] * len(time), "open_time_ns": time, **columns})
        )
    frame = pl.concat(frames)
    bad = (pl.col("symbol") == "C") & (pl.col("open_time_ns") == 3_000_000_000_000)
    return frame.with_columns(close=pl.when(bad).then(float("nan")).otherwise(pl.col("close")))


def live(frame: pl.DataFrame, spec: cf.FeatureSpec, shuffle: int | None = None) -> Floats:
    """One call of a panel for each bar time, in the order of the frame's rows or another."""
    symbols = sorted(frame["symbol"].unique().to_list())
    panel = cf.Panel(spec, symbols)
    out = np.full((len(frame), len(spec)), -1.0)
    rows = frame.with_row_index("row")
    for time in np.unique(frame["open_time_ns"].to_numpy()):
        moment = rows.filter(pl.col("open_time_ns") == time)
        if shuffle is not None:
            moment = moment.sample(fraction=1.0, shuffle=True, seed=shuffle)
        got = np.full((len(moment), len(spec)), -1.0)
        index = np.array([symbols.index(name) for name in moment["symbol"]], dtype=np.int64)
        prices = [np.ascontiguousarray(moment[name].to_numpy()) for name in PRICES]
        times = np.ascontiguousarray(moment["open_time_ns"].to_numpy())
        peeked = got.copy()
        panel.peek(index, times, *prices, peeked)
        panel.update(index, times, *prices, got)
        assert np.array_equal(peeked, got, equal_nan=True)
        out[moment["row"].to_numpy()] = got
    return out


def test_offline_and_online_agree_by_bits() -> None:
    frame = market()
    offline = cf.compute_panel(frame, SPEC)
    for shuffle in (None, 1, 2):
        assert np.array_equal(offline, live(frame, SPEC, shuffle), equal_nan=True)
    order = frame.with_row_index("row").sample(fraction=1.0, shuffle=True, seed=3)
    assert np.array_equal(cf.compute_panel(order, SPEC), offline[order["row"].to_numpy()], equal_nan=True)


@pytest.mark.parametrize("stop", [1, 25, 70])
def test_a_restored_panel_compares_symbols_with_the_same_bits(stop: int) -> None:
    frame = market()
    symbols = sorted(frame["symbol"].unique().to_list())
    panel = cf.Panel(SPEC, symbols)
    for number, time in enumerate(np.unique(frame["open_time_ns"].to_numpy())):
        if number == stop:
            snapshot = panel.snapshot()
            restored = cf.Panel.restore(SPEC, snapshot)
            assert restored.snapshot() == snapshot
        moment = frame.filter(pl.col("open_time_ns") == time)
        index = np.array([symbols.index(name) for name in moment["symbol"]], dtype=np.int64)
        columns = [np.ascontiguousarray(moment[name].to_numpy()) for name in ("open_time_ns", *PRICES)]
        out = np.full((len(moment), len(SPEC)), -1.0)
        panel.update(index, *columns, out)
        if number >= stop:
            again = np.full_like(out, -2.0)
            restored.update(index, *columns, again)
            np.testing.assert_array_equal(again, out)
    assert restored.snapshot() == panel.snapshot()


def test_own_features_are_those_of_each_symbol_alone() -> None:
    frame = market()
    alone = cf.FeatureSpec([("roc_5", "roc", {"timeperiod": 5})])
    together = cf.compute_panel(frame, SPEC)[:, 0]
    for (symbol,), part in frame.with_row_index("row").group_by("symbol"):
        mine = cf.compute(part, alone)[:, 0]
        assert np.array_equal(together[part["row"].to_numpy()], mine, equal_nan=True), symbol


def test_ranks_and_scores_equal_numpy() -> None:
    frame = market(seed=2, symbols=10)
    features = dict(zip(SPEC.names, cf.compute_panel(frame, SPEC).T, strict=True))
    times = frame["open_time_ns"].to_numpy()
    counts = set()
    for time in np.unique(times):
        rows = (times == time) & ~np.isnan(features["roc_5"])
        values = features["roc_5"][rows]
        counts.add(len(values))
        if len(values) == 0:
            continue
        lower = (values[None, :] < values[:, None]).sum(axis=1)
        equal = (values[None, :] == values[:, None]).sum(axis=1) - 1
        rank = (lower + equal / 2) / max(len(values) - 1, 1) if len(values) > 1 else np.array([0.5])
        assert features["rank"][rows] == pytest.approx(rank, abs=1e-15)
        assert features["median"][rows] == pytest.approx(np.median(values))
        assert features["excess"][rows] == pytest.approx(values - np.median(values))
        assert (features["count"][rows] == len(values)).all()
        if len(values) > 1:
            assert features["zscore"][rows] == pytest.approx(
                (values - values.mean()) / values.std(), rel=1e-9
            )
    assert len(counts) > 3, "no moment lacks a symbol"


def test_reference_features_equal_numpy_over_the_common_bars() -> None:
    frame = market(seed=4)
    features = dict(zip(SPEC.names, cf.compute_panel(frame, SPEC).T, strict=True))
    rows = frame.with_row_index("row").filter(pl.col("close").is_finite())
    reference = rows.filter(pl.col("symbol") == "B").select("open_time_ns", other="close")
    compared = 0
    for (symbol,), part in rows.group_by("symbol"):
        common = part.join(reference, on="open_time_ns").sort("open_time_ns")
        own, other = (np.diff(np.log(common[name].to_numpy())) for name in ("close", "other"))
        alone = part.join(reference, on="open_time_ns", how="anti")["row"].to_numpy()
        assert np.isnan(features["beta"][alone]).all(), symbol
        row = common["row"].to_numpy()
        assert np.isnan(features["beta"][row[:20]]).all()
        for bar in range(20, len(common)):
            x, y = own[bar - 20 : bar], other[bar - 20 : bar]
            covariance = np.mean((x - x.mean()) * (y - y.mean()))
            beta = covariance / y.var()
            expected = (
                covariance / (x.std() * y.std()),
                beta,
                x.sum() - y.sum(),
                np.sqrt(max(x.var() - beta * covariance, 0.0)),
            )
            names = ("correlation", "beta", "relative", "residual")
            mine = [features[name][row[bar]] for name in names]
            assert mine == pytest.approx(expected, rel=1e-9, abs=1e-8), (symbol, bar)
            compared += 1
    assert compared > 300


def test_a_later_moment_changes_no_earlier_value() -> None:
    frame = market()
    whole = cf.compute_panel(frame, SPEC)
    for minutes in (1, 21, 60):
        early = (frame["open_time_ns"] < minutes * 60_000_000_000).to_numpy()
        part = cf.compute_panel(frame.filter(pl.Series(early)), SPEC)
        assert np.array_equal(part, whole[early], equal_nan=True)


def one_bar(panel: cf.Panel, symbol: int, time: int, close: float) -> Floats:
    out = np.full((1, len(panel.spec)), -1.0)
    price = np.array([close])
    panel.update(np.array([symbol]), np.array([time]), price, price, price, price, price, out)
    return out[0]


def test_a_reference_bar_may_come_in_an_earlier_call_but_not_in_a_later_one() -> None:
    spec = cf.FeatureSpec([("beta", "reference", {"reference": "B", "timeperiod": 2}, "beta")])
    early, late = cf.Panel(spec, ["A", "B"]), cf.Panel(spec, ["A", "B"])
    closes = [1.0, 1.1, 1.05, 1.2, 1.1]
    for time, close in enumerate(closes):
        one_bar(early, 1, time, close)
        beta = one_bar(early, 0, time, close**2)
        assert np.isnan(one_bar(late, 0, time, close**2)[0])
        one_bar(late, 1, time, close)
    assert beta[0] == pytest.approx(2.0)


def test_one_symbol_alone_has_no_cross_section() -> None:
    frame = market().filter(pl.col("symbol") == "A")
    assert SPEC.needs_panel
    with pytest.raises(cf.InputError, match=r'"rank" compares symbols: use compute_panel or a Panel'):
        cf.compute(frame, SPEC)
    assert not cf.FeatureSpec.preset("core").needs_panel


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([("r", "cross_section")], "of"),
        ([("r", "cross_section", {"of": "nothing"})], '"nothing"'),
        ([("r", "cross_section", {"of": "x"}), ("x", "rsi")], '"x"'),
        ([("r", "cross_section", {"of": "r"})], '"r"'),
        ([("r", "reference", {"reference": ""})], "reference"),
        ([("r", "reference", {"reference": 5})], "reference"),
        ([("r", "refrence")], 'did you mean "reference"'),
    ],
)
def test_a_spec_says_what_it_compares(features: Any, message: str) -> None:
    with pytest.raises(cf.SpecError, match=message):
        cf.FeatureSpec(features)


def test_warm_up_is_that_of_the_compared_feature() -> None:
    warmup = dict(zip(SPEC.names, SPEC.feature_warmup_bars, strict=True))
    assert (warmup["rank"], warmup["beta"], warmup["beta_rank"]) == (5, 20, 20)
    assert SPEC.warmup_bars == 20


def test_a_spec_that_compares_survives_its_json() -> None:
    assert cf.FeatureSpec.from_json(SPEC.canonical_json) == SPEC


@pytest.mark.parametrize("symbol", [None, 3])
def test_symbols_must_be_names(symbol: Any) -> None:
    frame = market()
    columns: dict[str, Any] = {name: frame[name].to_numpy() for name in frame.columns}
    columns["symbol"] = np.array([symbol] * len(frame), dtype=object)
    with pytest.raises(cf.InputError, match="no strings"):
        cf.compute_panel(columns, SPEC)
    with pytest.raises(cf.InputError, match="no column symbol"):
        cf.compute_panel({name: columns[name] for name in columns if name != "symbol"}, SPEC)


@pytest.mark.real_data
def test_betas_of_real_funds_are_what_their_names_promise() -> None:
    frame = pl.scan_parquet(real_data() / "etfs_1d.parquet").filter(pl.col("ts").dt.year() >= 2013).collect()
    parameters = {"reference": "SPY", "timeperiod": 250}
    names = ["beta", "correlation", "residual_volatility"]
    spec = cf.FeatureSpec([(name, "reference", parameters, name) for name in names])
    values = pl.DataFrame(cf.compute_panel(frame, spec), schema=names)
    last = pl.concat([frame.select("symbol"), values], how="horizontal").filter(pl.col("beta").is_finite())
    known = {symbol: row for symbol, *row in last.group_by("symbol").last().iter_rows()}
    assert known["SPY"] == pytest.approx([1.0, 1.0, 0.0], abs=1e-9)
    # Funds of one, two and three times the index, and of its opposite.
    for symbol, multiple in (("VOO", 1.0), ("SSO", 2.0), ("SPXL", 3.0), ("SH", -1.0), ("SDS", -2.0)):
        beta, correlation, residual_volatility = known[symbol]
        assert beta == pytest.approx(multiple, rel=0.03), symbol
        assert correlation * np.sign(multiple) > 0.98, symbol
        assert residual_volatility < 0.005, symbol
    assert known["TLT"][0] < 0.0
    assert len(known) > 60
