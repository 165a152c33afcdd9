"""The folder of a run: what is done, what failed, and what the run was asked, so that it can go on."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from candlewire_training.errors import InterruptedRunError, SettingsError, StoreError

ASKED, DONE, FAILED, BARS = "run.json", "done", "failed", "bars"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """Markers of a run; each is written in one rename, so that an interruption leaves whole ones only."""

    path: Path

    @property
    def bars(self) -> Path:
        """Parquet files, one a symbol: what workers are pointed at."""
        return self.path / BARS

    def open(self, asked: dict[str, Any]) -> bool:
        """Begins the run, or goes on with it when the same was asked before.

        Args:
            asked: Settings and fingerprint of the bars, JSON values.

        Returns:
            True when an earlier run goes on.

        Raises:
            SettingsError: The folder holds a run that was asked something else.
            StoreError: The folder cannot be written or read.
        """
        digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        file = self.path / ASKED
        try:
            for part in (DONE, FAILED, BARS):
                (self.path / part).mkdir(parents=True, exist_ok=True)
            if file.exists():
                before = json.loads(file.read_text(encoding="utf-8"))
                if before["digest"] != digest:
                    changed = sorted(
                        name
                        for name in before["asked"].keys() | asked.keys()
                        if before["asked"].get(name) != asked.get(name)
                    )
                    raise SettingsError(
                        f"run {self.path}: it was begun with other {', '.join(changed)}; go on with "
                        "those, or name another folder"
                    )
                return True
            _write(file, {"digest": digest, "asked": asked})
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"run {self.path}: it cannot be read or written ({error})") from error
        return False

    def done(self) -> dict[str, dict[str, Any]]:
        """Key -> result of every group that is done; a marker whose bundle is gone does not count."""
        markers = {file.stem: _read(file) for file in sorted((self.path / DONE).glob("*.json"))}
        return {key: marker for key, marker in markers.items() if Path(marker["bundle"]).is_dir()}

    def mark_done(self, key: str, result: dict[str, Any]) -> None:
        """Notes that the group's bundle is written."""
        _write(self.path / DONE / f"{key}.json", result)
        (self.path / FAILED / f"{key}.json").unlink(missing_ok=True)

    def mark_failed(self, key: str, reason: str) -> None:
        """Notes why a group failed; a later run tries it again."""
        _write(self.path / FAILED / f"{key}.json", {"reason": reason})


@contextmanager
def resumable(run: RunFolder) -> Iterator[None]:
    """Tells how to go on when the body is interrupted.

    Raises:
        InterruptedRunError: Ctrl-C.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        done = len(list((run.path / DONE).glob("*.json")))
        raise InterruptedRunError(
            f"interrupted; {done} models are done: give the same command again to go on"
        ) from error


def _write(file: Path, content: dict[str, Any]) -> None:
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, sort_keys=True, indent=2) + "\n", encoding="utf-8")
    temporary.replace(file)


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


__all__ = ["RunFolder", "resumable"]
