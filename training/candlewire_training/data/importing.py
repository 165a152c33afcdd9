"""An import: files in any layout to one Parquet file a symbol, every answer and defect on record."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as with_changes
from pathlib import Path

import polars as pl

from candlewire_training.data.bar_files import bar_file, whole_folder, write_symbol
from candlewire_training.data.checks.contract import Finding
from candlewire_training.data.checks.policies import apply_policies, refusal, refused
from candlewire_training.data.checks.report import check_symbol, symbol_bars
from candlewire_training.data.layouts.contract import Choices, Hint
from candlewire_training.data.layouts.hugging_face import HUB_PREFIX
from candlewire_training.data.layouts.loading import files_of, load, load_hub
from candlewire_training.data.layouts.resolution import LoadedBars
from candlewire_training.data.universe import Universe
from candlewire_training.data.universe_calendar import CURRENCIES, Calendar
from candlewire_training.errors import BarsError, TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile:
    """One file, and what was understood of it; `refusal` says why it was left out."""

    name: str
    loaded: LoadedBars | None = None
    bars: int = 0
    refusal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What an import read and wrote.

    Attributes:
        files: In the order read; a file's bars are not kept.
        findings: Defects of what was read, before the policies.
        dropped: Bars left out, by defect.
        written: Bars written, by timeframe and symbol.
        left_out: Symbols that the universe does not hold.
    """

    files: tuple[ImportedFile, ...] = ()
    findings: tuple[Finding, ...] = ()
    dropped: dict[str, int] = field(default_factory=dict)
    written: dict[tuple[str, str], int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def universe_choices(choices: Choices, universe: Universe | None) -> Choices:
    """The choices, with the universe's clock for naive times of files whose layout fixes none.

    Currencies have no such clock: a broker's file in its server time would be read as something else without
    a word.
    """
    if universe is None or universe.calendar.name == CURRENCIES:
        return choices
    return with_changes(
        choices, fallback_time_zone=Hint(value=universe.time_zone, why=f"universe {universe.name}")
    )


def count_files(sources: tuple[str, ...]) -> int:
    """How many files, folders' contents counted, an import will read.

    Raises:
        BarsError: A source is not there.
    """
    return sum(1 if source.startswith(HUB_PREFIX) else len(files_of(Path(source))) for source in sources)


def examine(sources: tuple[str, ...], choices: Choices) -> tuple[ImportedFile, ...]:
    """What each file is understood to be, or why it is refused; nothing is written."""
    files: list[ImportedFile] = []
    for name, read in _sources(sources, choices):
        try:
            loaded = read()
            files.append(ImportedFile(name=name, loaded=_without_frame(loaded), bars=loaded.frame.height))
        except TrainingError as error:
            files.append(ImportedFile(name=name, refusal=str(error)))
    return tuple(files)


def import_bars(  # noqa: PLR0913 - one call a command, every argument an option of it
    sources: tuple[str, ...],
    out: Path,
    *,
    choices: Choices,
    policies: Mapping[str, str],
    universe: Universe | None = None,
    calendar: Calendar | None = None,
    skip_refused: bool = False,
    replace: bool = False,
    now_ns: int,
    advance: Callable[[], None] = lambda: None,
) -> ImportReport:
    """Reads files, handles their defects as asked, and writes one Parquet file a symbol.

    Args:
        sources: Files, folders, or `hf://` addresses.
        out: Folder to write to.
        choices: The caller's word on every file.
        policies: What to do about each defect.
        universe: Only its symbols are written.
        calendar: What gaps are held against.
        skip_refused: Whether to go on without a file that cannot be read.
        replace: Whether files in `out` may be replaced.
        now_ns: What the clock says.
        advance: Called for each file.

    Raises:
        BarsError: A file cannot be read, or has a defect that is refused; nothing is written then.
    """
    files: list[ImportedFile] = []
    left_out: set[str] = set()
    # The chunks lie beside the result, where there is room for it, and are gone before it moves to its place.
    with whole_folder(out, replace=replace) as target, tempfile.TemporaryDirectory(dir=target) as chunks:
        pieces: dict[tuple[str, str], list[Path]] = {}
        for name, read in _sources(sources, choices):
            advance()
            try:
                loaded = read()
            except TrainingError as error:
                if not skip_refused:
                    raise
                files.append(ImportedFile(name=name, refusal=str(error)))
                continue
            files.append(ImportedFile(name=name, loaded=_without_frame(loaded), bars=loaded.frame.height))
            for part in loaded.frame.partition_by("symbol", maintain_order=True):
                symbol = str(part["symbol"][0])
                if universe is not None and symbol not in universe:
                    left_out.add(symbol)
                    continue
                known = pieces.setdefault((loaded.timeframe.value, symbol), [])
                known.append(Path(chunks) / bar_file(loaded.timeframe.value, f"{symbol} {len(known)}"))
                known[-1].parent.mkdir(parents=True, exist_ok=True)
                part.write_ipc(known[-1])
        if not pieces:
            raise BarsError(_nothing(files, left_out))
        written, findings, dropped = _write(pieces, target, policies, calendar=calendar, now_ns=now_ns)
    return ImportReport(
        files=tuple(files),
        findings=findings,
        dropped=dropped,
        written=written,
        left_out=tuple(sorted(left_out)),
    )


def _sources(sources: tuple[str, ...], choices: Choices) -> Iterator[tuple[str, Callable[[], LoadedBars]]]:
    for source in sources:
        if source.startswith(HUB_PREFIX):
            yield source, lambda address=source: load_hub(address, choices)  # type: ignore[misc]
            continue
        folder = Path(source)
        for path in files_of(folder):
            name = str(path.relative_to(folder)) if folder.is_dir() and path != folder else path.name
            yield name, lambda path=path: load(path, choices)  # type: ignore[misc]


def _write(
    pieces: Mapping[tuple[str, str], list[Path]],
    target: Path,
    policies: Mapping[str, str],
    *,
    calendar: Calendar | None,
    now_ns: int,
) -> tuple[dict[tuple[str, str], int], tuple[Finding, ...], dict[str, int]]:
    written: dict[tuple[str, str], int] = {}
    findings: list[Finding] = []
    dropped: dict[str, int] = {}
    unwanted: list[Finding] = []
    for (timeframe, symbol), paths in sorted(pieces.items()):
        frame = pl.concat([pl.read_ipc(path) for path in paths])
        bars = symbol_bars(
            symbol, frame, timeframe=timeframe, calendar=calendar, sessions=None, now_ns=now_ns
        )
        found = check_symbol(bars)
        findings += found
        unwanted += refused(found, policies)
        if unwanted:
            continue
        kept, counts = apply_policies(bars.frame, found, policies)
        for defect, count in counts.items():
            dropped[defect] = dropped.get(defect, 0) + count
        if kept.is_empty():
            raise BarsError(f"{symbol}: every bar has a defect that is dropped; nothing was written")
        write_symbol(kept, target, timeframe=timeframe, symbol=symbol)
        written[timeframe, symbol] = kept.height
    if unwanted:
        raise refusal(tuple(unwanted), "nothing was written")
    return written, tuple(findings), dropped


def _without_frame(loaded: LoadedBars) -> LoadedBars:
    return with_changes(loaded, frame=loaded.frame.select("symbol").unique())


def _nothing(files: list[ImportedFile], left_out: set[str]) -> str:
    refusals = [file.refusal for file in files if file.refusal]
    if refusals:
        return f"no file could be read; the first: {refusals[0]}"
    return f"the universe holds none of the symbols {', '.join(sorted(left_out)[:10])}"


__all__ = ["ImportReport", "ImportedFile", "count_files", "examine", "import_bars", "universe_choices"]
