"""The bundle: graph, manifest, golden vectors and card, written whole or not at all."""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from candlewire_training.arrays import F32, I64, Bool
from candlewire_training.card.filling import card_of
from candlewire_training.card.html import render_html
from candlewire_training.card.markdown import render_card
from candlewire_training.errors import StoreError
from candlewire_training.export.deployment import deploy_if_new
from candlewire_training.export.fused_graph import METADATA_KEY, build_fused_graph
from candlewire_training.export.graph_builder import IR_VERSION, ML_OPSET, OPSET
from candlewire_training.export.manifest import build_manifest, parity_record, to_json
from candlewire_training.export.parity import ParityReport, check_parity
from candlewire_training.export.parity_rows import parity_rows, rows_beside_decisions
from candlewire_training.export.runtime import OneThreadRuntime
from candlewire_training.export.timing import GraphTiming, time_graph
from candlewire_training.one_blas_thread import one_blas_thread
from candlewire_training.pipeline import TrainedModel
from candlewire_training.progress import StepProgress

GOLDEN_ROWS = 256
GOLDEN_TOLERANCE = 1e-5
# Golden rows stay this far from every decision threshold: a signal must not hang on the last bit.
GOLDEN_MARGIN = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What was written."""

    folder: Path
    version: int
    manifest: dict[str, Any]
    parity: ParityReport
    timing: GraphTiming
    deployed: bool


@one_blas_thread
def write_bundle(
    trained: TrainedModel, store: Path, progress: StepProgress, *, deploy: bool = True
) -> Bundle:
    """Builds the graph, lets it through the parity gate, and writes the bundle in one rename.

    Args:
        trained: What to write.
        store: Where to.
        progress: Shows the steps.
        deploy: Whether a model that is new to the store becomes production at once.

    Raises:
        ParityError: The graph disagrees with the native pipeline; nothing was written.
        StoreError: The store cannot be written, or the version exists.
    """
    settings = trained.settings
    model_folder = store / settings.model
    version = settings.version or _free_version(model_folder)
    folder = model_folder / str(version)
    if folder.exists():
        raise StoreError(f"store {store}: {settings.model} {version} exists; choose another --version-stamp")
    manifest = build_manifest(trained, version=version)
    with progress.step("One ONNX graph", 1):
        graph = build_fused_graph(
            trained.model, features=len(trained.spec.names), metadata={METADATA_KEY: to_json(manifest)}
        ).SerializeToString(deterministic=True)
    with progress.step("Parity gate", 1):
        X = parity_rows(
            trained.samples.X, trained.model.split_points(), seed=settings.seed, rows=settings.parity_rows
        )
        beside = rows_beside_decisions(
            lambda rows: trained.model.direction.apply(rows)[0][:, -1],
            trained.samples.X,
            settings.decision_thresholds,
            seed=settings.seed,
        )
        X = np.concatenate((beside, X))
        parity = check_parity(trained.model, graph, X, decision_thresholds=settings.decision_thresholds)
    timing = time_graph(graph, trained.samples.X[trained.split.test])
    golden = _golden(trained, OneThreadRuntime(graph))
    _write(model_folder, folder, manifest, graph, golden, parity, timing, trained)
    deployed = deploy and deploy_if_new(
        store, model=settings.model, version=version, timeframe=trained.bars.timeframe
    )
    return Bundle(
        folder=folder, version=version, manifest=manifest, parity=parity, timing=timing, deployed=deployed
    )


def _write(
    model_folder: Path,
    folder: Path,
    manifest: dict[str, Any],
    graph: bytes,
    golden: dict[str, F32],
    parity: ParityReport,
    timing: GraphTiming,
    trained: TrainedModel,
) -> None:
    temporary = None
    try:
        model_folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".writing-", dir=model_folder))
        (temporary / "model.onnx").write_bytes(graph)
        np.savez(temporary / "golden.npz", allow_pickle=False, **golden)
        manifest["onnx"] = {
            "file": "model.onnx",
            "sha256": hashlib.sha256(graph).hexdigest(),
            "bytes": len(graph),
            "opset": OPSET,
            "ml_opset": ML_OPSET,
            "ir_version": IR_VERSION,
            "parity": parity_record(parity),
        }
        manifest["golden"] = {
            "file": "golden.npz",
            "sha256": hashlib.sha256((temporary / "golden.npz").read_bytes()).hexdigest(),
            "rows": int(golden["features"].shape[0]),
            "absolute_tolerance": GOLDEN_TOLERANCE,
        }
        (temporary / "manifest.json").write_text(to_json(manifest), encoding="utf-8")
        (temporary / "card.md").write_text(render_card(trained, manifest, parity, timing), encoding="utf-8")
        page = render_html(card_of(trained, manifest, parity, timing))
        (temporary / "card.html").write_text(page, encoding="utf-8")
        temporary.chmod(0o755)
        _flush(temporary)
        temporary.rename(folder)
    except OSError as error:
        raise StoreError(f"store: {folder} cannot be written ({error.strerror})") from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def _flush(folder: Path) -> None:
    for file in sorted(folder.iterdir()):
        with file.open("rb") as handle:
            os.fsync(handle.fileno())


def _free_version(model_folder: Path) -> int:
    """The version of this second, or the first later one that is free."""
    seconds = int(datetime.now(tz=UTC).timestamp())
    while True:
        version = int(datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y%m%d%H%M%S"))
        if not (model_folder / str(version)).exists():
            return version
        seconds += 1


def _golden(trained: TrainedModel, runtime: OneThreadRuntime) -> dict[str, F32]:
    """Real rows over all parts, none near a decision, with what one-thread ONNX Runtime says of them."""
    X = trained.samples.X
    rows = X[_spread_out(X.shape[0], 2 * GOLDEN_ROWS)]
    rows = rows[_clear_of_decisions(runtime.run(rows), trained)]
    rows = np.ascontiguousarray(rows[_spread_out(rows.shape[0], GOLDEN_ROWS)])
    return {"features": rows, **runtime.run(rows)}


def _spread_out(rows: int, most: int) -> I64:
    """At most `most` row numbers, evenly spaced."""
    spread: I64 = np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.int64))
    return spread


def _clear_of_decisions(outputs: dict[str, F32], trained: TrainedModel) -> Bool:
    up = outputs["probabilities"][:, -1].astype(np.float64)
    policy = trained.settings.policy
    thresholds = {
        threshold
        for level in (
            policy.buy_probability,
            policy.sell_probability,
            policy.medium_confidence,
            policy.high_confidence,
            0.5,
        )
        for threshold in (level, 1.0 - level)
    }
    clear = np.ones(up.size, dtype=bool)
    for threshold in thresholds:
        clear &= np.abs(up - threshold) > GOLDEN_MARGIN
    edge_distance = np.abs(outputs["dissimilarity"] - policy.maximum_dissimilarity)
    result: Bool = clear & (edge_distance > GOLDEN_MARGIN)
    return result


__all__ = ["Bundle", "write_bundle"]
