"""What fuzzing found worth keeping: a corpus for each target, whose texts and bytes Python reads too."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import candlewire_features as cf
import pytest

FUZZ = Path(__file__).resolve().parents[2] / "rust_features" / "fuzz"


def test_each_target_has_its_corpus() -> None:
    targets = {path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs")}
    assert targets == {"bar_admission", "feature_spec", "snapshot_restore"}
    named = set(re.findall(r'name = "(\w+)"\npath', (FUZZ / "Cargo.toml").read_text(encoding="utf-8")))
    assert named == targets
    for target in targets:
        assert len(list((FUZZ / "seeds" / target).iterdir())) > 20, target


SEEDS = sorted(path.name for path in (FUZZ / "seeds" / "feature_spec").iterdir())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_kept_text_is_a_spec_or_is_refused_with_a_reason(seed: str) -> None:
    text = (FUZZ / "seeds" / "feature_spec" / seed).read_bytes().decode("utf-8", "replace")
    specs = []
    for read in (cf.FeatureSpec.from_json, cf.FeatureSpec.from_yaml):
        with contextlib.suppress(cf.SpecError):
            specs.append(read(text))
    for spec in specs:
        assert cf.FeatureSpec.from_json(spec.canonical_json) == spec == specs[0]
        assert spec.hash in cf.describe(spec)


@pytest.mark.parametrize(
    "seed", sorted(path.name for path in (FUZZ / "seeds" / "snapshot_restore").iterdir())
)
def test_kept_bytes_are_no_snapshot(seed: str) -> None:
    """The target signs these as content; as they lie here nothing of them is one."""
    content = (FUZZ / "seeds" / "snapshot_restore" / seed).read_bytes()
    with pytest.raises(cf.SnapshotError):
        cf.Panel.restore(cf.FeatureSpec.preset("core"), content)
