"""What a bundle would have signalled on bars: its own features, graph and policy, nothing refitted."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import candlewire_features as cf
import numpy as np

from candlewire_training.arrays import I32, Bool
from candlewire_training.data.bars import BarTable, date_text
from candlewire_training.data.timeframes import timeframe_ns
from candlewire_training.errors import BarsError, SettingsError, StoreError, TooFewBarsError
from candlewire_training.export.deployment import read_deployment
from candlewire_training.export.runtime import OneThreadRuntime

BATCH_ROWS = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredModel:
    """A bundle that has been read and checked.

    Attributes:
        manifest: Its manifest.
        spec: Its features.
        runtime: Its graph.
        fitted_until_ns: No row that was fitted or calibrated on was decided at or after this time.
    """

    manifest: dict[str, Any]
    spec: cf.FeatureSpec
    runtime: OneThreadRuntime
    fitted_until_ns: int


def load_model(store: Path, model: str, version: int | None) -> StoredModel:
    """Reads a bundle.

    Args:
        store: Model store.
        model: Name of the model.
        version: Its version; None takes the one in production.

    Raises:
        StoreError: There is no such bundle, or it does not agree with itself.
    """
    if version is None:
        version = read_deployment(store)["models"].get(model, {}).get("production")
        if version is None:
            raise StoreError(f"store {store} has no version of {model!r} in production; give --version")
    folder = store / model / str(version)
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        graph = (folder / manifest["onnx"]["file"]).read_bytes()
        spec = cf.FeatureSpec.from_json(json.dumps(manifest["feature_spec"]))
    except (OSError, ValueError, KeyError, cf.FeaturesError) as error:
        raise StoreError(f"{folder} is no readable bundle ({error}); train it again") from error
    if hashlib.sha256(graph).hexdigest() != manifest["onnx"]["sha256"]:
        raise StoreError(f"{folder}: model.onnx is not the file its manifest names; train it again")
    if spec.hash != manifest["feature_spec_hash"]:
        raise StoreError(
            f"{folder}: the feature spec has another hash than the manifest says; train it again"
        )
    parts = manifest["training"]["parts"]
    fitted = [part["last_decision"] for name, part in parts.items() if not name.startswith("test")]
    last = max(int(np.datetime64(text[:10], "ns").astype(np.int64)) for text in fitted)
    day = 86_400 * 10**9
    return StoredModel(
        manifest=manifest, spec=spec, runtime=OneThreadRuntime(graph), fitted_until_ns=last + day
    )


def settled_from_ns(model: StoredModel, bars: BarTable) -> int:
    """Decision time from which on every label that the model was fitted or calibrated on was known.

    The horizon is counted in decision times of the bars themselves: five bars of a stock are seven days.

    Raises:
        TooFewBarsError: The bars end before that.
    """
    decisions = bars.frame["open_time_ns"].unique().sort().to_numpy() + timeframe_ns(bars.timeframe)
    later = decisions[decisions >= model.fitted_until_ns]
    horizon = int(model.manifest["horizon_bars"])
    if later.size <= horizon:
        raise TooFewBarsError(
            f"too few bars: they end before {horizon} bars have passed since "
            f"{date_text(model.fitted_until_ns)}, where the model's own data ends; "
            "give newer bars, or --from to look at bars it has seen"
        )
    return int(later[horizon])


def signals_of(model: StoredModel, bars: BarTable, symbol: str) -> tuple[I32, Bool]:
    """Signal of each bar of a symbol: 1 BUY, -1 SELL, 0 HOLD; and whether the features were ready.

    A row outside the training data (dissimilarity above the policy's limit) is held.

    Raises:
        BarsError: Features cannot be computed.
    """
    try:
        features = cf.compute(bars.of_symbol(symbol), model.spec)
    except cf.FeaturesError as error:
        raise BarsError(f"features of {symbol} cannot be computed: {error}") from error
    with np.errstate(over="ignore"):
        X = features.astype(np.float32)
    ready: Bool = np.isfinite(X).all(axis=1) & (np.arange(X.shape[0]) >= model.spec.warmup_bars)
    signal = np.zeros(X.shape[0], dtype=np.int32)
    if ready.any():
        outputs = model.runtime.run_in_batches(X[ready], rows=BATCH_ROWS)
        policy, probabilities = model.manifest["policy"], outputs["probabilities"]
        # Compared in float64, as the server does.
        up, down = (probabilities[:, column].astype(np.float64) for column in (-1, 0))
        called = np.where(
            up >= policy["buy_probability"], 1, np.where(down >= policy["sell_probability"], -1, 0)
        )
        trusted = outputs["dissimilarity"] <= policy["maximum_dissimilarity"]
        signal[ready] = np.where(trusted, called, 0)
    return signal, ready


def check_fit(model: StoredModel, bars: BarTable) -> None:
    """Refuses bars that the model does not speak of.

    Raises:
        SettingsError: The timeframe differs, or the model has no direction.
    """
    if bars.timeframe != model.manifest["timeframe"]:
        raise SettingsError(
            f"bars are {bars.timeframe} but the model speaks of {model.manifest['timeframe']}; give "
            "it such bars"
        )
    if model.manifest["classes"][0] == "LOSS":
        raise SettingsError(
            "the model foretells a trade's success, not a direction; backtest a direction model"
        )


__all__ = ["StoredModel", "check_fit", "load_model", "settled_from_ns", "signals_of"]
