"""Tasks over processes or a Ray cluster. Tasks carry paths and settings; results are small."""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from candlewire_training.errors import SettingsError, TrainingError

Work = Callable[[Any], dict[str, Any]]
# Imported once by the server that workers are forked from, so that a task starts in milliseconds.
PRELOADED = ["candlewire_training.pipeline", "candlewire_training.export.bundle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a worker is given: `payload` must pickle, and stay small."""

    key: str
    payload: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a task: a result, or the reason why there is none."""

    key: str
    result: dict[str, Any] | None
    reason: str = ""


def in_processes(work: Work, tasks: list[Task], *, jobs: int) -> Iterator[Outcome]:
    """Runs each task in a process of its own, at most `jobs` at once; yields outcomes as they come.

    A task's memory is given back when it ends; one that dies (killed for its memory, say) is an outcome, and
    the others go on. When the caller stops early or is interrupted, running tasks are ended.

    Args:
        work: A function that can be imported.
        tasks: What to run, in this order.
        jobs: Processes at once.

    Raises:
        SettingsError: `jobs` is out of range.
    """
    if not 1 <= jobs <= 1_024:
        raise SettingsError(f"jobs {jobs} is out of range; use 1 to 1024")
    context = _context()
    waiting = deque(tasks)
    running: dict[Connection, tuple[Task, BaseProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                task = waiting.popleft()
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_work_once, args=(work, task, sender), daemon=True)  # type: ignore[attr-defined]
                process.start()
                sender.close()
                running[receiver] = (task, process)
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)  # noqa: S101 - what was put in
                task, process = running.pop(ready)
                yield _outcome(task, process, ready)
    finally:
        for connection, (_, process) in running.items():
            process.terminate()
            process.join()
            connection.close()


def on_ray(work: Work, tasks: list[Task], *, address: str, jobs: int | None = None) -> Iterator[Outcome]:
    """Runs tasks on a Ray cluster, at most `jobs` at once; yields outcomes as they come.

    Args:
        work: A function that can be imported on every node.
        tasks: What to run; their paths must be readable on every node.
        address: Of the cluster; `local` starts one on this machine.
        jobs: Tasks at once; None takes the cluster's CPUs.

    Raises:
        SettingsError: Ray is not installed, or the cluster cannot be reached.
    """
    try:
        import ray  # noqa: PLC0415 - an extra that few installations have
    except ImportError as error:
        raise SettingsError("ray: it is not installed; install candlewire-training[ray]") from error
    try:
        ray.init(
            address=address, log_to_driver=False, include_dashboard=False if address == "local" else None
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise SettingsError(f"ray {address!r}: the cluster cannot be reached ({error})") from error
    try:
        # Ray is an extra: its types are there on one machine and not on another.
        cluster: Any = ray
        resources: dict[str, float] = cluster.cluster_resources()
        most = jobs or max(1, int(resources.get("CPU", 1)))
        remote = ray.remote(num_cpus=1, max_retries=0)(_attempt)
        waiting = deque(tasks)
        running: dict[Any, Task] = {}
        while waiting or running:
            while waiting and len(running) < most:
                task = waiting.popleft()
                running[remote.remote(work, task)] = task
            (ready, *_), _ = ray.wait(list(running))
            task = running.pop(ready)
            try:
                yield ray.get(ready)
            except ray.exceptions.RayError as error:
                yield Outcome(key=task.key, result=None, reason=_one_line(error))
    finally:
        ray.shutdown()


def _context() -> BaseContext:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _work_once(work: Work, task: Task, sender: Connection) -> None:
    # Ctrl-C reaches the whole group of processes; the parent decides what becomes of the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sender.send(_attempt(work, task))
    sender.close()


def _attempt(work: Work, task: Task) -> Outcome:
    try:
        return Outcome(key=task.key, result=work(task.payload))
    except TrainingError as error:
        return Outcome(key=task.key, result=None, reason=str(error))
    # One task's defect must not end the others; it is reported with its kind.
    except Exception as error:  # noqa: BLE001
        return Outcome(key=task.key, result=None, reason=f"{type(error).__name__}: {_one_line(error)}")


def _outcome(task: Task, process: BaseProcess, receiver: Connection) -> Outcome:
    try:
        outcome = receiver.recv()
        assert isinstance(outcome, Outcome)  # noqa: S101 - what _work_once sends
    except EOFError:
        process.join()
        outcome = Outcome(
            key=task.key,
            result=None,
            reason=f"its process ended with code {process.exitcode}; was it killed for its memory?",
        )
    finally:
        receiver.close()
    process.join()
    return outcome


def _one_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[-1]


__all__ = ["Outcome", "Task", "Work", "in_processes", "on_ray"]
