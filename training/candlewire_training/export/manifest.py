"""The manifest of a bundle: what the graph is and what it was trained on."""

import json
import math
import platform
from dataclasses import asdict
from importlib.metadata import version as distribution_version
from typing import Any

from candlewire_training.card.trades import r_multiples_of
from candlewire_training.data.bars import date_text
from candlewire_training.ensemble.profile import ProfileReport
from candlewire_training.export.parity import ParityReport
from candlewire_training.pipeline import TrainedModel
from candlewire_training.scoring_model import Direction
from candlewire_training.settings import TrainingSettings, parse_version

FORMAT = "candlewire-bundle"
FORMAT_VERSION = 1
LIBRARIES = (
    "candlewire-training",
    "candlewire-features",
    "lightgbm",
    "numpy",
    "onnx",
    "onnxruntime",
    "scikit-learn",
    "xgboost-cpu",
)


def build_manifest(trained: TrainedModel, *, version: int) -> dict[str, Any]:
    """The manifest without `onnx`, `golden` and the parity report, which exist only once the graph does.

    Nothing in it depends on the clock but the version and the time it stands for.
    """
    settings = trained.settings
    created = parse_version(version)
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model": settings.model,
        "version": version,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "timeframe": trained.bars.timeframe,
        "horizon_bars": settings.horizon,
        "asset_class": settings.asset_class,
        "symbols": list(trained.bars.symbols),
        "classes": list(trained.model.classes),
        "feature_spec": json.loads(trained.spec.canonical_json),
        "feature_spec_hash": trained.spec.hash,
        "feature_names": list(trained.spec.names),
        "members": [member.name for member in trained.model.members],
        "band": {
            "target_coverage": settings.target_coverage,
            "eta": controller_step(trained),
            "initial_multiplier": 1.0,
        },
        "policy": asdict(settings.policy),
        "training": _training(trained),
    }


def controller_step(trained: TrainedModel) -> float:
    """Step of the server's width controller: slower on intraday bars, whose outcomes come quickly."""
    if trained.settings.controller_step is not None:
        return trained.settings.controller_step
    return 0.02 if trained.bars.timeframe in {"1d", "1w", "1M"} else 0.005


def _training(trained: TrainedModel) -> dict[str, Any]:
    samples, split, settings = trained.samples, trained.split, trained.settings
    parts = {"train": split.train, "calibration": split.calibration, "test": split.test}
    evaluation, model = trained.evaluation, trained.model
    return {
        "data": {
            "source": trained.bars.source,
            "fingerprint": trained.bars.fingerprint,
            "bars": trained.bars.frame.height,
            "notes": list(trained.bars.notes),
        },
        "parts": {
            name: {
                "rows": int(rows.size),
                "first_decision": date_text(samples.decision_time_ns[rows].min()),
                "last_decision": date_text(samples.decision_time_ns[rows].max()),
            }
            for name, rows in parts.items()
        },
        "purged_rows": split.purged_rows,
        "dropped_rows": samples.dropped_rows,
        "settings": settings_record(settings),
        "walk_forward": asdict(trained.walk_forward) if trained.walk_forward else None,
        "combinatorial": asdict(trained.combinatorial) if trained.combinatorial else None,
        # Expected R-multiple of a row: its probabilities times these.
        "r_multiple_by_class": [
            mean if math.isfinite(mean) else None for mean in r_multiples_of(trained).by_class
        ],
        "calibration": calibration_record(model.direction),
        "band": {
            "kind": model.band.kind,
            "multiplier": model.band.multiplier,
            "level_multipliers": {f"{level:g}": value for level, value in model.band.level_multipliers},
            "candidates": {kind: asdict(candidate) for kind, candidate in model.band.candidates},
            "quantile_trees": model.band.trees is not None,
            "quantile_trees_winkler_ratio": model.band.trees_winkler_ratio,
            "scale_features": [samples.feature_names[column] for column in model.band.scale.columns],
        },
        "profile": profile_record(trained.profile),
        "transfer": asdict(trained.transfer) if trained.transfer else None,
        "weights": list(model.direction.ensemble.weights),
        "ensemble_rule": model.direction.ensemble.rule,
        "test": {
            "rows": evaluation.rows,
            "decision_times": evaluation.decision_times,
            "design_effect": evaluation.design_effect,
            "base_rate_up": evaluation.base_rate,
            "direction": {name: asdict(result) for name, result in evaluation.direction.items()},
            "band": {name: asdict(result) for name, result in evaluation.band.items()},
        },
        "libraries": {name: distribution_version(name) for name in LIBRARIES}
        | {"python": platform.python_version()},
    }


def profile_record(report: ProfileReport) -> dict[str, Any]:
    """What the manifest says of the latency profile; times are not in it, as they differ from run to run."""
    return {
        "name": report.profile,
        "dropped": list(report.dropped),
        "log_loss": report.log_loss,
        "full_log_loss": report.full_log_loss,
        "lost": None if report.lost is None else asdict(report.lost),
    }


def settings_record(settings: TrainingSettings) -> dict[str, Any]:
    """The settings that the bytes of a bundle hang on, beside its bars and its version."""
    return {
        "preset": settings.preset,
        "members": list(settings.members),
        "ensemble": settings.ensemble,
        "ensemble_weights": settings.ensemble_weights and list(settings.ensemble_weights),
        "label": asdict(settings.label),
        "horizon": settings.horizon,
        "target_coverage": settings.target_coverage,
        "calibration_share": settings.calibration_share,
        "test_share": settings.test_share,
        "split_at": settings.split_at and [moment.isoformat() for moment in settings.split_at],
        "asset_class": settings.asset_class,
        "folds": settings.folds,
        "walk_forward": settings.walk_forward,
        "early_stopping": settings.early_stopping,
        "calibrator": settings.calibrator,
        "select_features": settings.select_features,
        "select_by": settings.select_by,
        "cpcv": settings.cpcv and list(settings.cpcv),
        "regime": settings.regime,
        "trials": settings.trials,
        "trees": settings.trees,
        "depth": settings.depth,
        "learning_rate": settings.learning_rate,
        "seed": settings.seed,
        "embargo_bars": settings.embargo_bars,
        "until": settings.until.isoformat() if settings.until else None,
        "profile": settings.profile,
        "budget_us": settings.budget_us,
    }


def calibration_record(direction: Direction) -> dict[str, Any]:
    """What the manifest says of calibration and interval."""
    calibrator = direction.calibrator
    kind = "venn-abers" if calibrator is None else calibrator.kind
    fitted = {} if calibrator is None else calibrator.record()
    return {
        "kind": kind,
        **fitted,
        "candidates": dict(direction.candidates),
        "knots": int(direction.interval.knots.size),
        "design_effect": direction.interval.design_effect,
    }


def to_json(manifest: dict[str, Any]) -> str:
    """Keys sorted, so that equal manifests are equal bytes."""
    return json.dumps(manifest, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parity_record(report: ParityReport) -> dict[str, Any]:
    """What the manifest says of the parity gate."""
    return asdict(report) | {"batch_sizes": list(report.batch_sizes)}


__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "build_manifest",
    "calibration_record",
    "controller_step",
    "parity_record",
    "profile_record",
    "settings_record",
    "to_json",
]
