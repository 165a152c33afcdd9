"""One configuration becomes named models with routes."""

import numpy as np
import polars as pl
import pytest
from candlewire_training.data.bars import BarTable
from candlewire_training.data.samples import build_samples, preset_spec
from candlewire_training.errors import SettingsError
from candlewire_training.groups.plan import plan_groups
from candlewire_training.groups.regimes import REGIMES, regime_of_rows
from candlewire_training.settings import TrainingSettings

SETTINGS = TrainingSettings(model="m", asset_class="fx")


def test_a_model_for_each_symbol() -> None:
    first, second = plan_groups(("AAPL", "BTC/USDT"), SETTINGS, timeframe="1d", per="symbol")
    assert (first.key, first.route) == ("m-AAPL", {"symbol": "AAPL", "timeframe": "1d"})
    assert (second.key, second.symbols) == ("m-BTC_USDT", ("BTC/USDT",))
    assert second.settings.model == second.key


def test_asset_classes_come_from_the_shipped_universes() -> None:
    groups = plan_groups(("AAPL", "SPY", "BTCUSDT", "NOBODY"), SETTINGS, timeframe="1d", per="asset-class")
    symbols = {group.settings.asset_class: group.symbols for group in groups}
    assert symbols["stock"] == ("AAPL",)
    assert symbols["crypto"] == ("BTCUSDT",)
    assert symbols["fx"] == ("NOBODY",)
    assert all(group.route["asset_class"] == group.settings.asset_class for group in groups)


def test_a_model_for_each_regime_and_horizon() -> None:
    groups = plan_groups(("A",), SETTINGS, timeframe="1h", per="regime", horizons=(1, 5))
    assert len(groups) == 2 * len(REGIMES)
    assert groups[0].key == "m-sideways-h1"
    assert groups[0].settings.regime == "sideways"
    assert groups[0].route == {"regime": "sideways", "timeframe": "1h"}
    assert groups[-1].settings.horizon == 5
    assert groups[-1].route == {}


def test_bad_plans_are_refused() -> None:
    with pytest.raises(SettingsError, match="per 'mood'"):
        plan_groups(("A",), SETTINGS, timeframe="1d", per="mood")
    with pytest.raises(SettingsError, match="horizons 5, 5"):
        plan_groups(("A",), SETTINGS, timeframe="1d", horizons=(5, 5))
    with pytest.raises(SettingsError, match="same model name"):
        plan_groups(("A/B", "A:B"), SETTINGS, timeframe="1d", per="symbol")


def test_a_regime_is_known_at_the_decision(walk_bars: BarTable) -> None:
    samples = build_samples(walk_bars, preset_spec("core"), horizon=5)
    regimes = regime_of_rows(walk_bars, samples)
    assert set(np.unique(regimes)) <= {-1, 0, 1, 2, 3}
    assert np.mean(regimes >= 0) > 0.8
    # The same rows from bars that end early: nothing later had a say.
    last = int(np.sort(walk_bars.frame["open_time_ns"].unique().to_numpy())[600])
    early = BarTable(
        frame=walk_bars.frame.filter(pl.col("open_time_ns") <= last),
        timeframe=walk_bars.timeframe,
        source="early",
    )
    few = build_samples(early, preset_spec("core"), horizon=5)
    same = samples.decision_time_ns <= few.decision_time_ns.max()
    assert np.array_equal(regime_of_rows(early, few), regimes[same])
