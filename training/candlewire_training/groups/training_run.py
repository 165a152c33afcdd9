"""A run of many models: planned, fanned out, resumed, deployed."""

import json
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from candlewire_training.data.bars import BarTable
from candlewire_training.data.parquet import read_bars, write_bars
from candlewire_training.errors import NothingTrainedError, TrainingError
from candlewire_training.export.bundle import write_bundle
from candlewire_training.export.deployment import deploy_models
from candlewire_training.export.manifest import settings_record
from candlewire_training.groups.fan_out import Outcome, Task, Work, in_processes, on_ray
from candlewire_training.groups.plan import Group
from candlewire_training.groups.pooled_start import PooledWork, check_transfer, fit_pooled_start
from candlewire_training.groups.run_folder import RunFolder
from candlewire_training.members.pooled_start import INDEX, read_start
from candlewire_training.pipeline import train_model
from candlewire_training.progress import StepProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupWork:
    """What a worker needs: paths travel, not bars."""

    group: Group
    bars: tuple[Path, ...]
    timeframe: str
    store: Path
    start: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What became of a run.

    Attributes:
        done: Key -> marker (bundle, version, seconds, log loss and its gain) of every bundle of the run.
        resumed: How many of them an earlier run had written.
        failed: Key -> reason.
        seconds: Of this run.
    """

    done: dict[str, dict[str, Any]]
    resumed: int
    failed: dict[str, str]
    seconds: float


def run_groups(
    bars: BarTable,
    groups: tuple[Group, ...],
    *,
    store: Path,
    run: RunFolder,
    progress: StepProgress,
    jobs: int = 1,
    ray: str | None = None,
    transfer: bool = False,
) -> RunReport:
    """Trains every group that is not done, writes its bundle, and routes to it.

    Bars are laid down once, a Parquet file a symbol, and workers read those of their group alone. A failed
    group is noted and the rest goes on; after an interruption the same call goes on where it stopped.

    Args:
        bars: Bars of all groups.
        groups: What to train.
        store: Where bundles go; every worker must reach it.
        run: Folder of the run; every worker must reach it.
        progress: Shows how many are done.
        jobs: Processes at once.
        ray: Address of a Ray cluster in place of local processes.
        transfer: Models go on from members of all symbols where that scores better out of fold.

    Raises:
        SettingsError: The run folder was begun with other settings or other bars.
        NothingTrainedError: Not one group could be trained.
    """
    started = time.monotonic()
    run.open(_asked(bars, groups, store, transfer=transfer))
    # A worker elsewhere has another working folder.
    paths = {symbol: path.resolve() for symbol, path in _lay_down(bars, run).items()}
    done = run.done()
    resumed = len(done)
    left = [group for group in groups if group.key not in done]
    starts = (
        _pooled_starts(left, tuple(paths.values()), bars.timeframe, run, progress, ray) if transfer else {}
    )
    tasks = [
        Task(
            key=group.key,
            payload=GroupWork(
                group=_beside_others(group) if jobs > 1 or ray is not None else group,
                bars=tuple(paths[symbol] for symbol in group.symbols),
                timeframe=bars.timeframe,
                store=store.resolve(),
                start=starts.get(group.settings.horizon),
            ),
        )
        for group in left
    ]
    failed: dict[str, str] = {}
    name = f"Models ({resumed} were done)" if resumed else "Models"
    with (
        progress.step(name, max(len(tasks), 1)) as advance,
        closing(_outcomes(train_group, tasks, jobs, ray)) as outcomes,
    ):
        for outcome in outcomes:
            if outcome.result is None:
                failed[outcome.key] = outcome.reason
                run.mark_failed(outcome.key, outcome.reason)
            else:
                done[outcome.key] = outcome.result
                run.mark_done(outcome.key, outcome.result)
            advance()
    if not done:
        key, reason = next(iter(failed.items()))
        raise NothingTrainedError(f"none of {len(failed)} models could be trained; {key}: {reason}")
    deploy_models(store, [(g.key, int(done[g.key]["version"]), g.route) for g in groups if g.key in done])
    return RunReport(done=done, resumed=resumed, failed=failed, seconds=time.monotonic() - started)


def train_group(work: GroupWork) -> dict[str, Any]:
    """Trains and writes one group's bundle; what its marker tells. Runs in a worker."""
    started = time.monotonic()
    tables = [read_bars(path, timeframe=work.timeframe) for path in work.bars]
    bars = replace(tables[0], frame=pl.concat([table.frame for table in tables]))
    settings = work.group.settings
    manifest = _written_before(work, bars)
    if manifest is None:
        quiet = StepProgress(quiet=True)
        start = None if work.start is None else read_start(work.start)
        trained = train_model(bars, settings, quiet, start=start)
        manifest = write_bundle(trained, work.store, quiet, deploy=False).manifest
    training = manifest["training"]
    scores = training["test"]["direction"]["model"]
    return {
        "bundle": str(work.store / settings.model / str(manifest["version"])),
        "version": manifest["version"],
        "symbols": len(bars.symbols),
        "rows": sum(part["rows"] for part in training["parts"].values()),
        "log_loss": scores["log_loss"]["value"],
        "gain": scores["gain"]["value"],
        "transfer": training["transfer"] and training["transfer"]["admitted"],
        "seconds": round(time.monotonic() - started, 2),
        "finished_at": datetime.now(tz=UTC).isoformat(timespec="seconds"),
    }


def _written_before(work: GroupWork, bars: BarTable) -> dict[str, Any] | None:
    """The manifest of the same bundle, where an interruption came between it and its marker."""
    settings = work.group.settings
    if settings.version is None:
        return None
    try:
        file = work.store / settings.model / str(settings.version) / "manifest.json"
        manifest: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        training = manifest["training"]
        same = (
            training["data"]["fingerprint"] == bars.until(settings.until).fingerprint
            and training["settings"] == json.loads(json.dumps(settings_record(settings)))
            and (training["transfer"] is not None) == (work.start is not None)
        )
    except (OSError, ValueError, KeyError):
        return None
    return manifest if same else None


def _beside_others(group: Group) -> Group:
    """Models that train beside one another take a thread each, unless the settings say otherwise."""
    return replace(group, settings=replace(group.settings, threads=group.settings.threads or 1))


def _outcomes(work: Work, tasks: list[Task], jobs: int, ray: str | None) -> Generator[Outcome]:
    if ray is None:
        yield from in_processes(work, tasks, jobs=jobs)
    else:
        yield from on_ray(work, tasks, address=ray)


def _pooled_starts(
    groups: list[Group],
    bars: tuple[Path, ...],
    timeframe: str,
    run: RunFolder,
    progress: StepProgress,
    ray: str | None,
) -> dict[int, Path]:
    """Folder of the pooled members of each horizon; those that an earlier run wrote stay."""
    horizons = {group.settings.horizon: replace(group.settings, regime=None) for group in groups}
    folders = {horizon: run.path / "pooled" / f"h{horizon}" for horizon in horizons}
    for settings in horizons.values():
        check_transfer(settings)
    tasks = [
        Task(
            key=f"pooled-h{horizon}",
            payload=PooledWork(
                settings=settings, bars=bars, timeframe=timeframe, folder=folders[horizon].resolve()
            ),
        )
        for horizon, settings in horizons.items()
        if not (folders[horizon] / INDEX).exists()
    ]
    with (
        progress.step("Pooled start", max(len(tasks), 1)) as advance,
        closing(_outcomes(fit_pooled_start, tasks, 1, ray)) as outcomes,
    ):
        for outcome in outcomes:
            if outcome.result is None:
                raise TrainingError(f"{outcome.key}: {outcome.reason}")
            advance()
    return {horizon: folder.resolve() for horizon, folder in folders.items()}


def _asked(bars: BarTable, groups: tuple[Group, ...], store: Path, *, transfer: bool) -> dict[str, Any]:
    return {
        "transfer": transfer,
        "bars": bars.fingerprint,
        "timeframe": bars.timeframe,
        "store": str(store),
        "models": {
            group.key: {
                "symbols": list(group.symbols),
                "route": group.route,
                "settings": json.loads(json.dumps(asdict(group.settings), default=str)),
            }
            for group in groups
        },
    }


def _lay_down(bars: BarTable, run: RunFolder) -> dict[str, Path]:
    """A Parquet file for each symbol, numbered: a symbol may hold characters that no file name takes."""
    paths = {symbol: run.bars / f"{number:05d}.parquet" for number, symbol in enumerate(bars.symbols)}
    for symbol, path in paths.items():
        if not path.exists():
            temporary = path.with_suffix(".writing")
            write_bars(replace(bars, frame=bars.frame.filter(pl.col("symbol") == symbol)), temporary)
            temporary.replace(path)
    return paths


__all__ = ["GroupWork", "RunReport", "run_groups", "train_group"]
