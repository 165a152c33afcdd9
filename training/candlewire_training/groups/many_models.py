"""Many models from one configuration: parts of the bars, horizons and timeframes."""

from dataclasses import dataclass, replace
from pathlib import Path

from candlewire_training.data.bars import BarTable
from candlewire_training.errors import NothingTrainedError
from candlewire_training.groups.plan import plan_groups
from candlewire_training.groups.run_folder import RunFolder, resumable
from candlewire_training.groups.training_run import RunReport, run_groups
from candlewire_training.progress import StepProgress
from candlewire_training.settings import TrainingSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyModels:
    """Which models one command trains, and where.

    Attributes:
        per: See `plan_groups`.
        horizons: See `plan_groups`.
        store: Where bundles go.
        run: Folder of the run; None takes one below the store.
        jobs: Processes at once.
        ray: Address of a Ray cluster in place of local processes.
        transfer: Models go on from members of all symbols.
    """

    per: str
    horizons: tuple[int, ...]
    store: Path
    run: Path | None
    jobs: int
    ray: str | None
    transfer: bool

    def train(
        self,
        tables: tuple[BarTable, ...],
        settings: TrainingSettings,
        progress: StepProgress,
        *,
        stem: str | None = None,
    ) -> tuple[tuple[RunReport, ...], dict[str, str]]:
        """Runs one timeframe after the other; one of which nothing can be trained does not end the rest.

        Args:
            tables: Bars of each timeframe.
            settings: Of every model.
            progress: Shows how many are done.
            stem: Models of a timeframe, and its study and run folder, are named STEM-TIMEFRAME; None takes
                the name of the settings, for one timeframe.

        Returns:
            A report a timeframe, and why each that has none failed.

        Raises:
            NothingTrainedError: Not one model could be trained.
            InterruptedRunError: Ctrl-C; the same call goes on.
        """
        reports: list[RunReport] = []
        failed: dict[str, str] = {}
        for table in tables:
            named = settings if stem is None else _named(settings, f"{stem}-{table.timeframe}")
            try:
                reports.append(self._train_one(table, named, progress, apart=stem is not None))
            except NothingTrainedError as error:
                failed[table.timeframe] = str(error)
        if not reports:
            raise NothingTrainedError("; ".join(failed.values()))
        return tuple(reports), failed

    def _train_one(
        self, bars: BarTable, settings: TrainingSettings, progress: StepProgress, *, apart: bool
    ) -> RunReport:
        groups = plan_groups(
            bars.until(settings.until).symbols,
            settings,
            timeframe=bars.timeframe,
            per=self.per,
            horizons=self.horizons,
        )
        path = self.run or self.store / ".runs" / settings.model
        folder = RunFolder(path=path / bars.timeframe if apart and self.run else path)
        with resumable(folder):
            return run_groups(
                bars,
                groups,
                store=self.store,
                run=folder,
                progress=progress,
                jobs=self.jobs,
                ray=self.ray,
                transfer=self.transfer,
            )


def _named(settings: TrainingSettings, name: str) -> TrainingSettings:
    study = settings.study and settings.study.with_name(f"{name}.journal")
    return replace(settings, model=name, study=study)


__all__ = ["ManyModels"]
