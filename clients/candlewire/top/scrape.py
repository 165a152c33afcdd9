"""Reads a server's metrics port: the Prometheus text format (version 0.0.4)."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from candlewire.errors import InvalidInputError, ServerError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?")
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
ESCAPED = re.compile(r"\\(.)")

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All samples of one scrape.

    Attributes:
        at_s: When, seconds of the monotonic clock.
        samples: Name, then labels, to the value.
    """

    at_s: float
    samples: dict[str, dict[Labels, float]]

    def of(self, name: str, **labels: str) -> Iterator[tuple[dict[str, str], float]]:
        """The labels and values of the samples of `name` that carry `labels`."""
        wanted = set(labels.items())
        for found, value in self.samples.get(name, {}).items():
            if wanted <= found:
                yield dict(found), value

    def total(self, name: str, **labels: str) -> float:
        """The sum of these samples; zero without any."""
        return sum(value for _, value in self.of(name, **labels))


def parse(text: str, *, at_s: float) -> Snapshot:
    """Samples of the text format; lines that are none are passed over."""
    samples: dict[str, dict[Labels, float]] = {}
    for line in text.splitlines():
        found = SAMPLE.fullmatch(line.strip())
        if found is None or line.startswith("#"):
            continue
        name, labels, value = found.groups()
        try:
            number = float(value)
        except ValueError:
            continue
        key = frozenset((label, _unescape(text)) for label, text in LABEL.findall(labels or ""))
        samples.setdefault(name, {})[key] = number
    return Snapshot(at_s=at_s, samples=samples)


def _unescape(text: str) -> str:
    return ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text)


def scrape(target: str, *, timeout_s: float = 2.0) -> Snapshot:
    """One scrape of `http://<target>/metrics`.

    Raises:
        InvalidInputError: `target` is no `host:port`.
        UnavailableError: Nobody answers there.
        ServerError: Who answers has no metrics.
    """
    host, _, port = target.rpartition(":")
    if not host or not port.isdecimal():
        raise InvalidInputError(f"metrics target is {target!r}; write host:port, for example 127.0.0.1:9090")
    connection = HTTPConnection(host.strip("[]"), int(port), timeout=timeout_s)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", errors="replace")
    except (OSError, HTTPException) as error:
        raise UnavailableError(
            f"no metrics from {target}: {error}; is the server running and is this its metrics port?"
        ) from None
    finally:
        connection.close()
    if answer.status != 200:
        raise ServerError(f"{target} answered {answer.status} {answer.reason}: is this the metrics port?")
    return parse(text, at_s=time.monotonic())
