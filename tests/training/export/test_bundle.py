"""The bundle holds what docs/bundle.md promises, whole or not at all, the same bytes for the same bars."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import candlewire_features as cf
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from candlewire_training.errors import StoreError
from candlewire_training.export.bundle import Bundle, write_bundle
from candlewire_training.export.deployment import deploy_if_new
from candlewire_training.export.fused_graph import OUTPUTS
from candlewire_training.pipeline import TrainedModel, train_model
from candlewire_training.progress import StepProgress
from threadpoolctl import threadpool_limits

from tests.training.conftest import VERSION

QUIET = StepProgress(quiet=True)


def manifest_of(bundle: Bundle) -> dict:  # type: ignore[type-arg]
    return json.loads((bundle.folder / "manifest.json").read_text(encoding="utf-8"))


def test_the_files(bundle: Bundle, store: Path) -> None:
    assert bundle.folder == store / "quick" / str(VERSION)
    assert sorted(file.name for file in bundle.folder.iterdir()) == [
        "card.html",
        "card.md",
        "golden.npz",
        "manifest.json",
        "model.onnx",
    ]
    assert sorted(file.name for file in store.rglob(".*")) == []


def test_the_manifest(bundle: Bundle, trained: TrainedModel) -> None:
    manifest = manifest_of(bundle)
    assert (manifest["format"], manifest["format_version"]) == ("candlewire-bundle", 1)
    assert (manifest["model"], manifest["version"]) == ("quick", VERSION)
    assert manifest["created_at"] == "2026-11-21T00:00:00Z"
    assert (manifest["timeframe"], manifest["horizon_bars"], manifest["asset_class"]) == ("1d", 5, "stock")
    assert manifest["symbols"] == ["AAPL", "IBM"]
    assert manifest["classes"] == ["DOWN", "UP"]
    assert manifest["feature_names"] == trained.spec.names
    assert manifest["members"] == ["xgboost"]
    assert manifest["band"] == {"target_coverage": 0.9, "eta": 0.02, "initial_multiplier": 1.0}
    assert manifest["policy"] == {
        "buy_probability": 0.60,
        "sell_probability": 0.60,
        "medium_confidence": 0.55,
        "high_confidence": 0.65,
        "maximum_dissimilarity": 1.0,
    }
    assert manifest["training"]["parts"]["test"]["rows"] == trained.evaluation.rows


def test_the_feature_spec_is_hashed_as_the_server_will(bundle: Bundle) -> None:
    manifest = manifest_of(bundle)
    canonical = json.dumps(
        manifest["feature_spec"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert hashlib.sha256(canonical.encode()).hexdigest() == manifest["feature_spec_hash"]
    assert cf.FeatureSpec.from_json(canonical).hash == manifest["feature_spec_hash"]


def test_hashes_and_sizes(bundle: Bundle) -> None:
    manifest = manifest_of(bundle)
    for part in ("onnx", "golden"):
        data = (bundle.folder / manifest[part]["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == manifest[part]["sha256"]
    assert manifest["onnx"]["bytes"] == (bundle.folder / "model.onnx").stat().st_size
    assert (manifest["onnx"]["opset"], manifest["onnx"]["ml_opset"], manifest["onnx"]["ir_version"]) == (
        21,
        3,
        10,
    )


def test_the_graph_carries_the_manifest(bundle: Bundle) -> None:
    model = onnx.load(bundle.folder / "model.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    manifest = manifest_of(bundle)
    del manifest["onnx"], manifest["golden"]
    assert json.loads(metadata["candlewire.manifest"]) == manifest


def test_golden_vectors_under_plain_onnxruntime(bundle: Bundle) -> None:
    golden = np.load(bundle.folder / "golden.npz")
    assert set(golden.files) == {"features", *OUTPUTS}
    rows, features = golden["features"].shape
    assert rows == manifest_of(bundle)["golden"]["rows"] >= 200
    session = ort.InferenceSession(bundle.folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert [(i.name, i.shape, i.type) for i in session.get_inputs()] == [
        ("features", ["N", features], "tensor(float)")
    ]
    outputs = dict(zip(OUTPUTS, session.run(list(OUTPUTS), {"features": golden["features"]}), strict=True))
    shapes = {"probabilities": (rows, 2), "member_probabilities": (rows, 1, 2)}
    for name in OUTPUTS:
        assert outputs[name].dtype == np.float32
        assert outputs[name].shape == shapes.get(name, (rows,))
        np.testing.assert_allclose(outputs[name], golden[name], atol=1e-5)
    np.testing.assert_allclose(outputs["probabilities"].sum(axis=1), 1.0, atol=1e-6)
    assert (outputs["probability_low"] <= outputs["probabilities"][:, 1]).all()
    assert (outputs["probabilities"][:, 1] <= outputs["probability_high"]).all()
    assert (outputs["band_low"] < outputs["band_mid"]).all()
    assert (outputs["band_mid"] < outputs["band_high"]).all()
    assert (outputs["dissimilarity"] >= 0).all()


def test_golden_rows_hang_on_no_last_bit(bundle: Bundle) -> None:
    up = np.load(bundle.folder / "golden.npz")["probabilities"][:, 1]
    for threshold in (0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65):
        assert np.abs(up - threshold).min() > 5e-5


@pytest.mark.parametrize("threads", [1, 2])
def test_the_bytes_do_not_hang_on_the_threads_of_linear_algebra(
    trained: TrainedModel, bundle: Bundle, tmp_path: Path, threads: int
) -> None:
    """Machines of other sizes, and workers of a cluster that get one core each, write the same bundle."""
    with threadpool_limits(limits=threads, user_api="blas"):
        other = write_bundle(train_model(trained.bars, trained.settings, QUIET), tmp_path, QUIET)
    for name in ("model.onnx", "golden.npz", "manifest.json"):
        assert (other.folder / name).read_bytes() == (bundle.folder / name).read_bytes(), name


def test_the_same_bars_and_seed_give_the_same_bytes(
    trained: TrainedModel, bundle: Bundle, tmp_path: Path
) -> None:
    again = write_bundle(train_model(trained.bars, trained.settings, QUIET), tmp_path, QUIET)
    for name in ("model.onnx", "golden.npz", "manifest.json"):
        assert (again.folder / name).read_bytes() == (bundle.folder / name).read_bytes()


def test_another_seed_gives_another_model(trained: TrainedModel, bundle: Bundle, tmp_path: Path) -> None:
    other = write_bundle(train_model(trained.bars, replace(trained.settings, seed=8), QUIET), tmp_path, QUIET)
    assert (other.folder / "golden.npz").read_bytes() != (bundle.folder / "golden.npz").read_bytes()


def test_a_version_is_never_overwritten(trained: TrainedModel, bundle: Bundle, store: Path) -> None:
    assert bundle.folder.exists()
    with pytest.raises(StoreError, match="exists; choose another --version-stamp"):
        write_bundle(trained, store, QUIET)


def test_the_first_version_is_deployed_and_later_ones_are_not(bundle: Bundle, store: Path) -> None:
    assert bundle.deployed
    deployment = json.loads((store / "deployment.json").read_text(encoding="utf-8"))
    assert deployment == {
        "format_version": 1,
        "default_model": "quick",
        "models": {"quick": {"production": VERSION, "shadow": []}},
        "routes": [{"model": "quick", "timeframe": "1d"}],
    }
    assert not deploy_if_new(store, model="quick", version=VERSION + 1, timeframe="1d")
    assert json.loads((store / "deployment.json").read_text(encoding="utf-8")) == deployment


def test_a_second_model_leaves_the_first_in_its_place(tmp_path: Path) -> None:
    deploy_if_new(tmp_path, model="daily", version=1, timeframe="1d")
    deploy_if_new(tmp_path, model="hourly", version=2, timeframe="1h")
    deploy_if_new(tmp_path, model="rival", version=3, timeframe="1d")
    deployment = json.loads((tmp_path / "deployment.json").read_text(encoding="utf-8"))
    assert deployment["default_model"] == "daily"
    assert set(deployment["models"]) == {"daily", "hourly", "rival"}
    assert deployment["routes"] == [
        {"model": "daily", "timeframe": "1d"},
        {"model": "hourly", "timeframe": "1h"},
    ]


def test_a_broken_deployment_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "deployment.json").write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="no readable JSON"):
        deploy_if_new(tmp_path, model="daily", version=1, timeframe="1d")


def test_a_store_that_cannot_be_written(trained: TrainedModel, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        write_bundle(trained, tmp_path / "file", QUIET)


def test_the_card_leads_with_what_it_does_not_show(bundle: Bundle) -> None:
    card = (bundle.folder / "card.md").read_text(encoding="utf-8")
    assert "baseline" in card.splitlines()[2]
    for part in (
        "majority",
        "persistence",
        "momentum",
        "logistic",
        "design effect",
        "Limits of use",
        "Winkler",
    ):
        assert part in card
    assert "accuracy" not in card.lower()
