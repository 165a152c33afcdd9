"""The store that is served and the requests that are sent, written before anything runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import fused_model
from candlewire.wire import batch_request, encode_score_request
from speed_model import NAME, VERSION, SpeedModel, make_speed_model

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

LARGE, LARGE_TREES = "large", 1_500
BATCH_ROWS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Files with one encoded request each, for one model."""

    one: Path
    batch: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Three models in one store, and what is asked of them.

    Attributes:
        small: The model that the targets name, and the store.
        requests: Of it.
        large: Of the one with more trees.
        fused: Of the ensemble.
        streamed: One message of a stream, to the small model.
    """

    small: SpeedModel
    requests: Requests
    large: Requests
    fused: Requests
    streamed: Path


def prepare(folder: Path) -> Prepared:
    """Trains the models and writes store and requests into `folder`."""
    store = folder / "store"
    small = make_speed_model(store)
    make_speed_model(store, name=LARGE, trees=LARGE_TREES)
    fused = fused_model.make_fused_model(store)
    # With several models one of them answers what names none: bars.
    deployment = {
        "format_version": 1,
        "default_model": NAME,
        "models": {name: {"production": VERSION} for name in (NAME, LARGE, fused_model.NAME)},
        "routes": [{"model": NAME, "timeframe": "1d"}],
    }
    (store / "deployment.json").write_text(json.dumps(deployment), encoding="utf-8")
    requests = _write(folder, NAME, small.rows)
    # ScoreStreamRequest.request is field 2: the same message, one level down.
    request = requests.one.read_bytes()
    streamed = folder / "stream.bin"
    streamed.write_bytes(b"\x12" + bytes([len(request) & 0x7F | 0x80, len(request) >> 7]) + request)
    return Prepared(
        small=small,
        requests=requests,
        large=_write(folder, LARGE, small.rows),
        fused=_write(folder, fused_model.NAME, fused.rows),
        streamed=streamed,
    )


def _write(folder: Path, model: str, rows: npt.NDArray[np.float32]) -> Requests:
    requests = Requests(one=folder / f"{model}.bin", batch=folder / f"{model}-batch.bin")
    requests.one.write_bytes(encode_score_request(rows[0], None, model=model))
    requests.batch.write_bytes(batch_request(rows[:BATCH_ROWS], model=model).SerializeToString())
    return requests


__all__ = ["BATCH_ROWS", "LARGE_TREES", "Prepared", "Requests", "prepare"]
