"""Specs from Python: every spelling of the same features is one spec."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from typing import Any

import candlewire_features as cf
import pytest


def test_every_spelling_is_one_spec() -> None:
    spec = cf.FeatureSpec(
        [("rsi_14", "rsi", {"timeperiod": 14}), ("upper", "bbands", {"nbdevup": 2}, "upper")]
    )
    assert spec == cf.FeatureSpec([("rsi_14", "rsi"), ("upper", "bbands", {})])
    assert spec == cf.FeatureSpec.from_json(spec.canonical_json)
    # A manifest holds the canonical JSON as an object.
    assert spec == cf.FeatureSpec.from_json(json.dumps(json.loads(spec.canonical_json), indent=1))
    assert spec == pickle.loads(pickle.dumps(spec)) == copy.deepcopy(spec)  # noqa: S301
    assert hash(spec) == hash(copy.copy(spec))
    assert spec.hash == hashlib.sha256(spec.canonical_json.encode()).hexdigest()
    assert spec.names == ["rsi_14", "upper"]
    assert (len(spec), spec.warmup_bars, spec.feature_warmup_bars) == (2, 19, [14, 19])
    assert spec != cf.FeatureSpec([("rsi_14", "rsi")])
    assert spec.hash in repr(spec)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([], "0 features"),
        ([("a",)], r"give \(name, kernel\)"),
        ([("a", 3)], r"give \(name, kernel\)"),
        ([("a", "rsi", None)], r"give \(name, kernel\)"),
        ([("a", "rsi", {"timeperiod": True})], "give a number or a string"),
        ([("a", "rsi", {"timeperiod": 2.5})], "give a whole number from 2 to 100000"),
        ([("a", "bbands", {"nbdevup": float("nan")})], "give a number from 0"),
        ([("a", "rsy")], 'did you mean "rsi"'),
    ],
)
def test_refusals_name_the_remedy(features: list[Any], message: str) -> None:
    with pytest.raises(cf.SpecError, match=message) as error:
        cf.FeatureSpec(features)
    assert isinstance(error.value, cf.FeaturesError)


def test_presets_are_described() -> None:
    for name in cf.preset_names():
        spec = cf.FeatureSpec.preset(name)
        text = cf.describe(spec)
        assert all(feature in text for feature in spec.names)
    with pytest.raises(cf.SpecError, match='unknown preset "none"; known: core@1, standard@1'):
        cf.FeatureSpec.preset("none")


def test_a_preset_shows_its_name_version_and_hash() -> None:
    assert [preset.name for preset in cf.presets()] == cf.preset_names()
    for preset in cf.presets():
        spec = cf.FeatureSpec.preset(f"{preset.name}@{preset.version}")
        assert spec == cf.FeatureSpec.preset(preset.name)
        assert (spec.hash, spec.known_as) == (preset.hash, preset)
        assert f"FeatureSpec({preset.name}@{preset.version}, " in repr(spec)
        told = f"preset {preset.name}, version {preset.version}: {len(spec)} features"
        assert cf.describe(spec).startswith(told)
        shown = f"Preset(name={preset.name!r}, version={preset.version}, hash={preset.hash!r})"
        assert repr(preset).replace('"', "'") == shown
    assert len({hash(preset) for preset in cf.presets()}) == len(cf.presets())
    assert cf.FeatureSpec([("rsi_14", "rsi")]).known_as is None
    with pytest.raises(cf.SpecError, match='unknown preset "core@2"; known: core@1'):
        cf.FeatureSpec.preset("core@2")


@pytest.mark.parametrize(
    ("gap", "written"),
    [
        (None, "skip"),
        ("skip", "skip"),
        ("flag", "flag"),
        ({"reset_after": 0}, "{reset_after: 0}"),
        ({"reset_after": 12}, "{reset_after: 12}"),
    ],
)
def test_a_gap_policy_in_python_is_that_of_yaml(gap: Any, written: str) -> None:
    text = f"timeframe: 5m\ngap: {written}\nfeatures: [{{name: rsi_14, kernel: rsi}}]"
    spec = cf.FeatureSpec([("rsi_14", "rsi")], timeframe="5m", gap=gap)
    assert spec == cf.FeatureSpec.from_yaml(text)
    assert spec == cf.FeatureSpec.from_json(spec.canonical_json)
    assert spec.hash == cf.FeatureSpec.from_yaml(text).hash
    assert (spec.hash == cf.FeatureSpec([("rsi_14", "rsi")], timeframe="5m").hash) == (written == "skip")


@pytest.mark.parametrize(
    "gap",
    [
        "reset",
        "Skip",
        5,
        True,
        {},
        {"reset_after": -1},
        {"reset_after": 1.5},
        {"reset_after": True},
        {"reset_after": "3"},
        {"reset_after": 2**64},
        {"reset_after": 3, "flag": 1},
        {"after": 3},
    ],
)
def test_a_gap_policy_that_is_none_is_refused(gap: Any) -> None:
    with pytest.raises(cf.SpecError, match=r"give .skip., .flag. or .*: bars") as error:
        cf.FeatureSpec([("rsi_14", "rsi")], timeframe="5m", gap=gap)
    assert repr(gap) in str(error.value)


def test_a_gap_policy_needs_a_timeframe() -> None:
    with pytest.raises(cf.SpecError, match="gap is set and timeframe is not"):
        cf.FeatureSpec([("rsi_14", "rsi")], gap="flag")
