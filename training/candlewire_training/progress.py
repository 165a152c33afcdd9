"""Progress of long steps: bars on a terminal, nothing elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class RateColumn(ProgressColumn):
    """How many parts of a step are done a second, or how many seconds one takes."""

    def render(self, task: Task) -> Text:
        """The rate over the last parts; over the whole step once it is done."""
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.1f}/s" if speed >= 1.0 else f"{1.0 / speed:.1f} s each")


class StepProgress:
    """Shows each step with its count, rate and time left while it runs."""

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._quiet = quiet or not self._console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=self._quiet,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def refresh(self) -> None:
        """Draws now rather than at the next turn."""
        self._progress.refresh()

    @contextmanager
    def step(self, name: str, total: int) -> Iterator[Callable[[], None]]:
        """Yields the function that advances the step by one."""
        task = self._progress.add_task(name, total=total)
        yield lambda: self._progress.advance(task)
        self._progress.update(task, completed=total)


__all__ = ["RateColumn", "StepProgress"]
