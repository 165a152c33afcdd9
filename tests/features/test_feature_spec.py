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
    with pytest.raises(cf.SpecError, match='unknown preset "none"; known: core'):
        cf.FeatureSpec.preset("none")
