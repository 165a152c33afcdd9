"""Scores the rows of a Parquet file with a version of a store."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from candlewire_server import _data_plane
from candlewire_server.errors import FileScoringError
from candlewire_server.serving import onnxruntime_library
from candlewire_server.settings.sections import TreeKernel

Compression = Literal["none", "snappy", "zstd"]
BATCH_ROWS = 4_096


@dataclass(frozen=True, kw_only=True)
class ScoredFile:
    """What scoring a file came to.

    Attributes:
        model: Model that scored.
        version: Its version.
        rows: Rows of the file.
        rows_not_ready: Rows with a NaN or null feature: they have a status and no score.
        rows_not_finite: Rows with an infinite feature: they have a status and no score.
        tree_nodes: What evaluates the graph's tree ensembles, and why where it is not the tree kernel.
        threads: Workers.
        output_bytes: Size of the output.
        elapsed_s: Seconds on the clock, loading the model included.
        load_s: Seconds to load and check the model.
        read_s: Seconds of all workers in decoding columns and turning them into rows.
        score_s: Seconds of all workers in the model.
        write_s: Seconds of all workers in encoding and writing.
    """

    model: str
    version: int
    rows: int
    rows_not_ready: int
    rows_not_finite: int
    tree_nodes: list[str]
    threads: int
    output_bytes: int
    elapsed_s: float
    load_s: float
    read_s: float
    score_s: float
    write_s: float

    @property
    def rows_per_second(self) -> float:
        """Rows a second on the clock."""
        return self.rows / self.elapsed_s if self.elapsed_s > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class FileScoring:
    """What to score, and how.

    Attributes:
        store: Folder of model bundles.
        model: Model.
        source: Parquet file with a float32 or float64 column for each feature of the model, by name.
        target: Parquet file to write; it appears whole or not at all.
        version: Version; None is the one in production.
        columns: Columns that pass through; None keeps all that are no features.
        members: Write the members' probabilities too.
        overwrite: Replace `target` if it is there.
        batch_rows: Rows that are scored together.
        threads: Workers; zero is one a core.
        tree_kernel: How trees are evaluated, as the setting of the server.
        compression: How `target` is compressed.
    """

    store: Path
    model: str
    source: Path
    target: Path
    version: int | None = None
    columns: tuple[str, ...] | None = None
    members: bool = False
    overwrite: bool = False
    batch_rows: int = BATCH_ROWS
    threads: int = 0
    tree_kernel: TreeKernel = "auto"
    compression: Compression = "snappy"

    def run(self, progress: Callable[[int, int], None] = lambda _done, _total: None) -> ScoredFile:
        """Scores every row of `source` into `target`, bit for bit as the server would.

        Args:
            progress: Called with rows done and rows in all, about ten times a second; what it raises ends the
                work.

        Raises:
            FileScoringError: The model does not load, a feature column is missing or of another type, the
                source cannot be read, or the target is there already or cannot be written.
            LibraryNotFoundError: onnxruntime ships no library.
        """
        request = {
            **asdict(self),
            "store": str(self.store),
            "source": str(self.source),
            "target": str(self.target),
        }
        try:
            summary = _data_plane.score_file(json.dumps(request), onnxruntime_library(), progress)
        except _data_plane.ScoreFileError as error:
            raise FileScoringError(str(error)) from error
        return ScoredFile(**json.loads(summary))
