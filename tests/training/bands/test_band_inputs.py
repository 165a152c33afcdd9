"""A spec gets what the volatility scale reads, once, and the scale finds it."""

import json

import candlewire_features as cf
import pytest
from candlewire_training.bands.band_inputs import CLOCK, LOGARITHMS, volatility_columns, with_band_inputs
from candlewire_training.data.samples import preset_spec


@pytest.mark.parametrize("preset", ["core", "standard", "full", "extended"])
@pytest.mark.parametrize(("timeframe", "clocks"), [("1d", 0), ("1h", 4)])
def test_every_preset_gets_the_inputs(preset: str, timeframe: str, clocks: int) -> None:
    before = preset_spec(preset)
    spec = with_band_inputs(before, timeframe=timeframe, asset_class="stock")
    assert spec.names[: len(before)] == before.names
    columns = volatility_columns(spec.canonical_json)
    kernels = [json.loads(spec.canonical_json)["features"][column] for column in columns.linear]
    assert [kernel["output"] for kernel in kernels] == [*LOGARITHMS, *CLOCK[:clocks]]
    assert columns.variances.size == 1
    assert columns.deviation is not None
    assert (columns.pairs.size > 0) == (clocks > 0)
    assert with_band_inputs(spec, timeframe=timeframe, asset_class="stock").hash == spec.hash


def test_what_a_spec_has_is_not_added_again() -> None:
    extended = preset_spec("extended")
    added = len(with_band_inputs(extended, timeframe="1d", asset_class="stock")) - len(extended)
    assert 0 <= added < 1 + len(LOGARITHMS)


@pytest.mark.parametrize(("asset_class", "calendar"), [("crypto", "24/7"), ("fx", "FX"), ("stock", "XNYS")])
def test_the_clock_is_the_market_s(asset_class: str, calendar: str) -> None:
    spec = with_band_inputs(preset_spec("core"), timeframe="1h", asset_class=asset_class)
    clock = [f for f in json.loads(spec.canonical_json)["features"] if f["kernel"] == "local_time"]
    assert {feature["parameters"]["calendar"] for feature in clock} == {calendar}


def test_a_spec_without_inputs_falls_back_to_plain_volatility() -> None:
    spec = preset_spec("core")
    columns = volatility_columns(spec.canonical_json)
    names = [spec.names[column] for column in columns.variances]
    assert {"atr_ratio_14", "realised_volatility_20", "high_low_range"} <= set(names)
    assert columns.linear.size == 0
    nothing = volatility_columns(cf.FeatureSpec([("r", "log_return")]).canonical_json)
    assert nothing.variances.size == 0
    assert nothing.deviation is None
