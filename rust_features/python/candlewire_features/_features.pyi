# The stub is where the documentation of a compiled module lives, and `open` is a column of a bar.
# ruff: noqa: A002, PYI021
"""Types of the compiled module; `candlewire_features` re-exports what is public."""

from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np
import numpy.typing as npt

__all__ = [
    "FeatureSpec",
    "FeaturesError",
    "Indicator",
    "InputError",
    "ModelError",
    "Panel",
    "Preset",
    "SnapshotError",
    "SpecError",
    "TreeScorer",
    "__version__",
    "compute_columns",
    "compute_panel_columns",
    "describe",
    "kernel_registry",
    "preset_names",
    "presets",
]

__version__: str

class FeaturesError(Exception):
    """Base of every error of candlewire_features."""

class SpecError(FeaturesError):
    """A feature spec is refused."""

class InputError(FeaturesError):
    """Bars, arrays or symbols do not fit."""

class SnapshotError(FeaturesError):
    """A snapshot is damaged, or belongs to something else."""

class ModelError(FeaturesError):
    """The bytes of a model cannot be read."""

@final
class TreeScorer:
    """The tree ensembles of an ONNX model, evaluated by the server's tree kernel without a session.

    Scores have the bits of ONNX Runtime on one thread. Immutable; threads may share one.
    """

    def __new__(cls, model: bytes, *, input: str = "features", instructions: str | None = None) -> TreeScorer:
        """Reads the tree nodes of a model.

        Args:
            model: The model, serialised. Only tree nodes that read `input` directly are taken.
            input: Name of the rows in the graph.
            instructions: `portable`, `avx2` or `avx512`, lowered to what the machine has; its best when
                absent.

        Raises:
            ModelError: The bytes are no ONNX model.
            InputError: There are no such instructions.
        """

    @property
    def outputs(self) -> list[str]:
        """Names of the graph's values that `score` gives."""

    @property
    def report(self) -> list[str]:
        """A line for each tree node of the model: what evaluates it, or why nothing here does."""

    @property
    def is_complete(self) -> bool:
        """Whether the model has tree nodes, and all of them are evaluated here."""

    def score(self, rows: npt.NDArray[np.float32], *, threads: int = 1) -> dict[str, npt.NDArray[Any]]:
        """The values of `outputs` for each row; the GIL is free meanwhile.

        Args:
            rows: float32 of shape (rows, features), row-major; not changed during the call.
            threads: Threads to share the rows; the scores do not depend on it.

        Returns:
            By name: scores, float32 of shape (rows, targets), and labels of classifiers, int64 of shape
            (rows,).

        Raises:
            InputError: The rows are of another type, or have fewer features than the trees read.
        """

@final
class FeatureSpec:
    """An ordered list of features, checked and complete; immutable, equal when the hashes are."""

    def __new__(
        cls,
        features: Sequence[
            tuple[str, str] | tuple[str, str, dict[str, Any]] | tuple[str, str, dict[str, Any], str]
        ],
        *,
        timeframe: str | None = None,
        gap: Literal["skip", "flag"] | dict[Literal["reset_after"], int] | None = None,
    ) -> FeatureSpec:
        """Builds a spec from `(name, kernel[, parameters[, output]])`.

        Args:
            features: A kernel `1h:rsi` is `rsi` on bars of one hour, each visible from its close on.
            timeframe: Of the bars, for example `5m`; needed where a feature has a longer one, and for `gap`.
            gap: What to do when bars are missing: `skip` (as without it), `flag`, or `{"reset_after": bars}`,
                which starts anew after more missing bars than that.

        Raises:
            SpecError: With the nearest known name where one is near.
        """

    @staticmethod
    def from_json(text: str) -> FeatureSpec:
        """Reads a spec from JSON; defaults may be left out."""

    @staticmethod
    def from_yaml(text: str) -> FeatureSpec:
        """Reads a spec from YAML of the same form; options `timeframe` and `gap` stand beside `features`."""

    @staticmethod
    def preset(name: str) -> FeatureSpec:
        """A spec that ships with the package: the newest version of a name, or the one of `name@version`.

        Raises:
            SpecError: There is no such preset; `presets` lists them.
        """

    @property
    def known_as(self) -> Preset | None:
        """The preset that these features are, if they are one."""

    @property
    def names(self) -> list[str]:
        """Names of the features in order."""

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal."""

    @property
    def canonical_json(self) -> str:
        """The spec with every default filled in: sorted keys, no white space."""

    @property
    def warmup_bars(self) -> int:
        """Index of the first bar at which every feature is valid."""

    @property
    def feature_warmup_bars(self) -> list[int]:
        """Index of the first valid bar of each feature."""

    @property
    def needs_panel(self) -> bool:
        """Whether a feature compares symbols: use `compute_panel` or a `Panel`."""

    @property
    def series_bytes(self) -> int:
        """Memory that one symbol takes in a panel."""

    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __reduce__(self) -> tuple[Any, tuple[str]]: ...

@final
class Preset:
    """A spec that ships with the package. What a name and version mean never changes, as the hash tells."""

    @property
    def name(self) -> str:
        """Name for `FeatureSpec.preset`."""

    @property
    def version(self) -> int:
        """Counted from 1; other features or parameters are a new version, and the old one stays."""

    @property
    def hash(self) -> str:
        """The spec's hash."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Panel:
    """Features of many symbols, one bar each per call; safe to share between threads."""

    def __new__(cls, spec: FeatureSpec, symbols: Sequence[str], *, threads: int = 1) -> Panel:
        """A panel whose symbols have seen no bar.

        Args:
            spec: The features.
            symbols: Symbols in the order of their index.
            threads: Threads that share a call of about a thousand bars or more, the caller's included; 0 for
                one per core. Smaller calls stay on the caller's. The features have the same bits.

        Raises:
            InputError: A symbol appears twice.
        """

    @property
    def spec(self) -> FeatureSpec:
        """The features."""

    @property
    def threads(self) -> int:
        """Threads that share a large call."""

    @property
    def symbols(self) -> list[str]:
        """Symbols in the order of their index."""

    def __len__(self) -> int: ...
    def symbol_index(self, symbol: str) -> int:
        """Index of a symbol."""

    def add_symbol(self, symbol: str) -> int:
        """Adds a symbol that has seen no bar; returns its index."""

    def update(
        self,
        symbol_index: npt.NDArray[np.int64],
        open_time_ns: npt.NDArray[np.int64],
        open: npt.NDArray[np.float64],
        high: npt.NDArray[np.float64],
        low: npt.NDArray[np.float64],
        close: npt.NDArray[np.float64],
        volume: npt.NDArray[np.float64],
        out: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.uint8]:
        """Applies one bar to each of some symbols.

        Args:
            symbol_index: Symbol of each bar, shape (bars,). A symbol may repeat, oldest bar first.
            open_time_ns: Time of the open, nanoseconds since the epoch, UTC, shape (bars,).
            open: First price, shape (bars,).
            high: Highest price, shape (bars,).
            low: Lowest price, shape (bars,).
            close: Last price, shape (bars,).
            volume: Traded volume, shape (bars,).
            out: Receives the features, row-major, shape (bars, features); NaN before a warm-up.

        Returns:
            A `BarStatus` for each bar. A bad bar changes nothing and has a row of NaN.

        Raises:
            InputError: An array does not fit or a symbol index is unknown; then nothing changed.
                No array may be changed by another thread during the call.
        """

    def peek(
        self,
        symbol_index: npt.NDArray[np.int64],
        open_time_ns: npt.NDArray[np.int64],
        open: npt.NDArray[np.float64],
        high: npt.NDArray[np.float64],
        low: npt.NDArray[np.float64],
        close: npt.NDArray[np.float64],
        volume: npt.NDArray[np.float64],
        out: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.uint8]:
        """As `update`, but no bar is applied."""

    def snapshot(self) -> bytes:
        """The panel as bytes, symbols included: the same for the same history on every machine."""

    @staticmethod
    def restore(spec: FeatureSpec, snapshot: bytes, *, threads: int = 1) -> Panel:
        """The panel of a snapshot; it continues with the bits of one that never stopped.

        Args:
            spec: The features.
            snapshot: What `snapshot` gave, with any number of threads.
            threads: As for a new panel.

        Raises:
            SnapshotError: The bytes are cut, damaged, of another version, or belong to another spec.
        """

    def reset(self) -> None:
        """Makes every symbol forget its bars."""

def describe(spec: FeatureSpec) -> str:
    """Formula, parameters, timeframe, warm-up and source of every feature, as text for people."""

def kernel_registry() -> str:
    """Every kernel over the bars of one symbol, with parameters and outputs, as JSON."""

def preset_names() -> list[str]:
    """Names of the specs that ship with the package."""

def presets() -> list[Preset]:
    """Every preset with its version and hash, older versions of a name before newer ones."""

def compute_columns(
    spec: FeatureSpec,
    open_time_ns: npt.NDArray[np.int64],
    open: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64],
    close: npt.NDArray[np.float64],
    volume: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Features of every bar of one symbol, shape (bars, features); see `candlewire_features.compute`."""

def compute_panel_columns(
    spec: FeatureSpec,
    symbols: Sequence[str],
    symbol_index: npt.NDArray[np.int64],
    open_time_ns: npt.NDArray[np.int64],
    open: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64],
    close: npt.NDArray[np.float64],
    volume: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Features of every bar of many symbols, shape (bars, features); see `compute_panel`."""

@final
class Indicator:
    """A kernel with its parameters, the columns it is given and the outputs it shows, by their number.

    Raises:
        SpecError: The kernel or a parameter is unknown or out of range.
        InputError: A column is unknown.
    """

    def __new__(
        cls, kernel: str, parameters: dict[str, Any], columns: Sequence[str], outputs: Sequence[int]
    ) -> Indicator: ...
    def compute(self, arrays: tuple[Any, ...]) -> tuple[npt.NDArray[np.float64], ...] | None:
        """The outputs over an array for each column; each of shape (bars,).

        Numbers need only be finite; at a bar where one is not, the outputs are NaN and later ones are as if
        it had not come. A column that is not named looks like the first one.

        Returns:
            Nothing when an array is not one of float64 that lies contiguously.

        Raises:
            InputError: The arrays do not fit.
        """

    def compute_signals(self, arrays: tuple[Any, ...]) -> tuple[npt.NDArray[np.int32], ...] | None:
        """As `compute`, for whole numbers: 0 where the outputs are NaN."""
