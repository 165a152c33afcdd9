"""Replays the decisions of a journal."""

import json
from dataclasses import dataclass
from pathlib import Path

from candlewire_server import _data_plane
from candlewire_server.errors import StartError
from candlewire_server.serving import onnxruntime_library


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What replaying found.

    Attributes:
        decisions: Decisions in the log.
        identical: Those that came out the same, bit for bit.
        without_model: Those whose model version the store does not hold.
        torn_segments: Segments whose end is torn.
        differences: The first differences, a line each.
    """

    decisions: int
    identical: int
    without_model: int
    torn_segments: int
    differences: list[str]


def replay(store: Path, journal: Path) -> Audit:
    """Computes every decision of `journal` again with the versions in `store`.

    Raises:
        StartError: The journal cannot be read.
        LibraryNotFoundError: onnxruntime ships no library.
    """
    try:
        found = _data_plane.replay_decisions(store, journal, onnxruntime_library())
    except _data_plane.StartFailedError as error:
        raise StartError(str(error)) from error
    return Audit(**json.loads(found))
