"""The backtest fills late, pays its costs, begins after the model's data, and shows no edge where none is."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from candlewire_training.backtest.bundle_signals import load_model, signals_of
from candlewire_training.backtest.command import backtest
from candlewire_training.backtest.run import BacktestSettings, run_backtest
from candlewire_training.backtest.statistics import deflated_sharpe, performance
from candlewire_training.backtest.trading import Portfolio, held_positions, pool, trade
from candlewire_training.data.bars import BarTable
from candlewire_training.data.parquet import write_bars
from candlewire_training.errors import SettingsError, StoreError, TooFewBarsError
from candlewire_training.export.bundle import Bundle
from candlewire_training.pipeline import TrainedModel
from hypothesis import given
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

DAY_NS = 86_400 * 10**9


def test_a_signal_is_held_until_another_or_the_horizon() -> None:
    signal = np.array([0, 1, 0, 0, 0, -1, 0, 1, 1, 0, 0, 0], dtype=np.int32)
    assert held_positions(signal, horizon=3).tolist() == [0, 1, 1, 1, 0, -1, -1, 1, 1, 1, 1, 0]


def test_a_decision_is_filled_at_the_next_open() -> None:
    opened = np.array([100.0, 110.0, 121.0, 121.0, 60.5])
    result = trade(np.array([1, 0, -1, 0, 0], dtype=np.int32), opened, np.arange(5))
    # Decided after bar 0: bought at 110, sold at 121. Decided after bar 2: sold at 121, bought back at 60.5.
    np.testing.assert_allclose(result.gross, [0.1, 0.0, 0.5])
    np.testing.assert_allclose(result.turnover, [1.0, 1.0, 2.0])
    np.testing.assert_allclose([gross for gross, _ in result.trades], [0.1, 0.5])


@given(bar=st.integers(2, 39))
def test_a_later_bar_changes_no_earlier_return(bar: int) -> None:
    generator = np.random.default_rng(5)
    opened = 100 * np.exp(0.01 * np.cumsum(generator.standard_normal(40)))
    position = generator.integers(-1, 2, 40).astype(np.int32)
    changed = opened.copy()
    changed[bar] *= 2
    before, after = (trade(position, prices, np.arange(40)).gross for prices in (opened, changed))
    np.testing.assert_array_equal(before[: bar - 2], after[: bar - 2])


def test_symbols_share_the_capital_of_their_time() -> None:
    first = trade(np.ones(4, dtype=np.int32), np.array([1.0, 1.0, 1.1, 1.1]), np.arange(4))
    second = trade(np.zeros(3, dtype=np.int32), np.ones(3), np.arange(3))
    pooled = pool([first, second])
    np.testing.assert_allclose(pooled.gross, [0.05, 0.0])
    np.testing.assert_allclose(pooled.net(0.01), [0.045, -0.01])


def portfolio(net: np.ndarray) -> Portfolio:  # type: ignore[type-arg]
    return Portfolio(
        time_ns=DAY_NS * np.arange(net.size),
        gross=net,
        turnover=np.full(net.size, 0.5),
        trades=tuple((float(value), 2.0) for value in net),
    )


def test_statistics_of_a_known_series() -> None:
    net = np.tile([0.01, -0.005], 500)
    one = performance(portfolio(net), cost=0.0, trials=1, horizon=5, seed=1)
    assert one.total_return == pytest.approx(np.prod(1 + net) - 1)
    assert one.sharpe == pytest.approx(0.0025 / 0.0075 * np.sqrt(365.25), rel=1e-3)
    assert one.value_at_risk_95 == pytest.approx(0.005)
    assert one.win_rate == 0.5
    assert one.profit_factor == pytest.approx(2.0)
    assert one.maximum_drawdown == pytest.approx(0.005)
    assert one.deflated_sharpe is not None
    assert one.deflated_sharpe > 0.999
    paid = performance(portfolio(net), cost=0.01, trials=1, horizon=5, seed=1)
    assert paid.total_return < one.total_return


def test_noise_has_no_edge_and_trials_deflate() -> None:
    net = 0.01 * np.random.default_rng(3).standard_normal(1_000)
    one = performance(portfolio(net), cost=0.0, trials=1, horizon=5, seed=1)
    assert one.sharpe_low is not None
    assert one.sharpe_high is not None
    assert one.sharpe_low < 0 < one.sharpe_high
    falling = [deflated_sharpe(net + 0.0006, trials=trials) for trials in (1, 10, 1_000)]
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > 0.9 > falling[-1]


def test_a_strategy_that_never_trades_has_no_ratio() -> None:
    still = Portfolio(time_ns=DAY_NS * np.arange(100), gross=np.zeros(100), turnover=np.zeros(100), trades=())
    one = performance(still, cost=0.01, trials=1, horizon=5, seed=1)
    assert one.sharpe is one.deflated_sharpe is one.win_rate is one.profit_factor is None
    assert one.total_return == 0.0


def test_signals_are_the_bundle_s_own(bundle: Bundle, store: Path, trained: TrainedModel) -> None:
    model = load_model(store, "quick", bundle.version)
    symbol = trained.bars.symbols[0]
    signal, ready = signals_of(model, trained.bars, symbol)
    assert not ready[: trained.spec.warmup_bars].any()
    assert (signal[~ready] == 0).all()
    policy = trained.settings.policy
    rows = trained.samples.take(trained.samples.symbol_index == 0)
    scores = trained.model.score(rows.X)
    called = (scores.up >= policy.buy_probability).astype(int) - (scores.up <= 1 - policy.sell_probability)
    called = np.where(scores.dissimilarity <= policy.maximum_dissimilarity, called, 0)
    decided = np.flatnonzero(ready)[: called.size]
    # Values within rounding of a threshold may differ between float32 and float64.
    assert np.mean(signal[decided] == called) > 0.999


def test_it_begins_where_the_model_s_own_data_ends(
    bundle: Bundle, store: Path, trained: TrainedModel
) -> None:
    model = load_model(store, "quick", bundle.version)
    report = run_backtest(model, trained.bars, BacktestSettings())
    calibrated = trained.samples.known_from_ns[trained.split.calibration].max()
    assert report.times_ns[0] >= calibrated
    assert not any("In sample" in warning for warning in report.warnings)
    early = BacktestSettings(start=datetime(2005, 1, 1, tzinfo=UTC))
    assert any("In sample" in warning for warning in run_backtest(model, trained.bars, early).warnings)
    with pytest.raises(TooFewBarsError, match="--from"):
        run_backtest(model, trained.bars.until(datetime(2008, 1, 1, tzinfo=UTC)), BacktestSettings())


def test_costs_only_hurt(bundle: Bundle, store: Path, trained: TrainedModel) -> None:
    report = run_backtest(load_model(store, "quick", bundle.version), trained.bars, BacktestSettings())
    for name in report.wealth:
        once, twice = report.strategies[name, 1], report.strategies[name, 2]
        assert twice.total_return <= once.total_return
    hold, ours = report.strategies["buy and hold", 1], report.strategies["model", 1]
    assert hold.sharpe is not None
    beaten = ours.sharpe is not None and ours.sharpe < hold.sharpe
    assert any("did better for its risk" in warning for warning in report.warnings) == beaten
    assert hold.trades == len(trained.bars.symbols)


def test_the_command_writes_both_reports(
    bundle: Bundle, store: Path, trained: TrainedModel, tmp_path: Path
) -> None:
    write_bars(trained.bars, tmp_path / "bars.parquet")
    app = Typer()
    app.command()(backtest)
    arguments = ["--store", str(store), "--model", "quick", "--bars", str(tmp_path / "bars.parquet")]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "report"), "--trials", "20"])
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "report" / "backtest.json").read_text(encoding="utf-8"))
    assert {one["strategy"] for one in written["strategies"]} >= {"model", "buy and hold", "persistence"}
    assert {one["cost_multiple"] for one in written["strategies"]} == {1, 2}
    page = (tmp_path / "report" / "backtest.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "http" not in page
    assert bundle.version == load_model(store, "quick", None).manifest["version"]
    refused = CliRunner().invoke(
        app, [*arguments, "--out", str(tmp_path / "report"), "--version", "20200101000000"]
    )
    assert refused.exit_code == 2


def test_a_damaged_bundle_is_refused(bundle: Bundle, store: Path, tmp_path: Path) -> None:
    copy = tmp_path / "quick" / str(bundle.version)
    copy.mkdir(parents=True)
    for file in bundle.folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    (copy / "model.onnx").write_bytes(b"other")
    with pytest.raises(StoreError, match=r"model\.onnx"):
        load_model(tmp_path, "quick", bundle.version)
    with pytest.raises(StoreError, match="--version"):
        load_model(tmp_path, "quick", None)
    del store


def test_bars_of_another_timeframe_are_refused(bundle: Bundle, store: Path, trained: TrainedModel) -> None:
    model = load_model(store, "quick", bundle.version)
    hourly = BarTable(
        frame=trained.bars.frame, timeframe="1h", source=trained.bars.source, notes=trained.bars.notes
    )
    with pytest.raises(SettingsError, match="speaks of 1d"):
        run_backtest(model, hourly, BacktestSettings())


@pytest.mark.parametrize(("name", "value"), [("cost_bps", -1.0), ("cost_bps", float("nan")), ("trials", 0)])
def test_settings_that_make_no_sense_are_refused(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match="use"):
        BacktestSettings(**{name: value})  # type: ignore[arg-type]
