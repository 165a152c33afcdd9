"""What people see while a step runs."""

import io
import time

import pytest
from candlewire_training.progress import RateColumn, StepProgress
from rich.console import Console
from rich.progress import Progress


def test_a_terminal_shows_count_rate_and_time_left() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, color_system=None)
    with StepProgress(console=console) as progress, progress.step("Walk forward", 8) as advance:
        for _ in range(4):
            advance()
            time.sleep(0.05)
        progress.refresh()
    text = screen.getvalue()
    assert "Walk forward" in text
    assert "4/8" in text
    assert "/s" in text
    assert "0:00:0" in text


@pytest.mark.parametrize(("seconds", "shown"), [(0.02, "/s"), (4.0, "4.0 s each"), (None, "")])
def test_rates_read_well(seconds: float | None, shown: str) -> None:
    now = [0.0]
    progress = Progress(get_time=lambda: now[0])
    task = progress.add_task("step", total=10)
    for _ in range(3 if seconds else 0):
        now[0] += seconds or 0.0
        progress.advance(task)
    assert shown in RateColumn().render(progress.tasks[0]).plain


def test_elsewhere_nothing_is_shown() -> None:
    screen = io.StringIO()
    with StepProgress(console=Console(file=screen)) as progress, progress.step("Features", 2) as advance:
        advance()
    assert screen.getvalue() == ""
