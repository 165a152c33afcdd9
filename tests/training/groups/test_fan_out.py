"""Many tasks, one at a time or several: none takes the others with it."""

import importlib
from pathlib import Path

import pytest
from candlewire_training.errors import SettingsError
from candlewire_training.groups.fan_out import Outcome, Task, Work, in_processes, on_ray

WORK = """
import os, signal, time

from candlewire_training.errors import TooFewBarsError


def work(payload):
    if payload == "refuse":
        raise TooFewBarsError("too few bars: 3")
    if payload == "break":
        raise ZeroDivisionError("division by zero")
    if payload == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if payload == "sleep":
        time.sleep(60)
    return {"payload": payload, "pid": os.getpid()}
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    """A function that workers can import."""
    (tmp_path / "fan_out_work.py").write_text(WORK, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    function: Work = importlib.import_module("fan_out_work").work
    return function


def tasks(*payloads: str) -> list[Task]:
    return [Task(key=f"{number} {payload}", payload=payload) for number, payload in enumerate(payloads)]


def assert_isolated(outcomes: list[Outcome]) -> None:
    by_key = {outcome.key: outcome for outcome in outcomes}
    assert len(by_key) == 4
    assert by_key["0 refuse"].reason == "too few bars: 3"
    assert by_key["1 break"].reason == "ZeroDivisionError: division by zero"
    for key in ("2 fine", "3 well"):
        assert by_key[key].result is not None


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_failed_task_is_an_outcome(work: Work, jobs: int) -> None:
    assert_isolated(list(in_processes(work, tasks("refuse", "break", "fine", "well"), jobs=jobs)))


def test_a_killed_process_is_an_outcome(work: Work) -> None:
    dead, fine = sorted(in_processes(work, tasks("die", "fine"), jobs=1), key=lambda outcome: outcome.key)
    assert dead.result is None
    assert "ended with code -9" in dead.reason
    assert fine.result is not None


def test_leaving_early_ends_what_runs(work: Work) -> None:
    outcomes = in_processes(work, tasks("fine", "sleep", "sleep"), jobs=2)
    assert next(outcomes).key == "0 fine"
    outcomes.close()  # type: ignore[attr-defined]


def test_jobs_out_of_range_are_refused(work: Work) -> None:
    with pytest.raises(SettingsError, match="jobs 0"):
        list(in_processes(work, tasks("fine"), jobs=0))


def test_a_local_ray_cluster_does_the_same(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="needs the extra candlewire-training[ray]")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert_isolated(list(on_ray(work, tasks("refuse", "break", "fine", "well"), address="local", jobs=2)))
