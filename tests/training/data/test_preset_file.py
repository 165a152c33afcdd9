"""A feature spec may come from a file in place of a preset's name."""

import json
from pathlib import Path

import candlewire_features as cf
import pytest
from candlewire_training.data.samples import preset_spec
from candlewire_training.errors import SettingsError


def test_a_file_of_a_spec_is_that_spec(tmp_path: Path) -> None:
    core = cf.FeatureSpec.preset("core")
    file = tmp_path / "mine.json"
    file.write_text(core.canonical_json, encoding="utf-8")
    assert preset_spec(str(file)).hash == core.hash
    fewer = json.loads(core.canonical_json)
    fewer["features"] = fewer["features"][:3]
    file.write_text(json.dumps(fewer), encoding="utf-8")
    assert preset_spec(str(file)).names == core.names[:3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"mine\.json: it cannot be read"),
        ("{", "preset: "),
        ('{"features": [{"name": "a", "kernel": "none"}]}', "none"),
    ],
)
def test_a_file_without_a_spec_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "mine.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        preset_spec(str(file))
