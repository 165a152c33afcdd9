"""The report: figures as JSON, and as Markdown for people."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from plot import svg

if TYPE_CHECKING:
    from pathlib import Path

    from loads import Rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One figure that was promised, and what was measured.

    Attributes:
        name: What it is.
        measured: Figure.
        limit: What was promised.
        unit: Of the three figures.
        at_least: Whether the promise is a lower bound.
        echo: The same figure of the own echo, which has no model: nothing on this transport can do better.
    """

    name: str
    measured: float
    limit: float
    unit: str
    at_least: bool = False
    echo: float | None = None

    @property
    def met(self) -> bool:
        """Whether the promise is kept."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def line(self, *, beside_echo: bool) -> str:
        """One row of the table, with or without a column for the echo."""
        sign = "≥" if self.at_least else "≤"
        number = "{:,.2f}" if self.unit in {"x", "s"} else "{:,.0f}"
        measured, limit = number.format(self.measured), number.format(self.limit)
        promised = f"{sign} {limit} {self.unit}"
        echo = "–" if self.echo is None else f"{number.format(self.echo)} {self.unit}"
        met = "yes" if self.met else "NO"
        row = f"| {self.name} | {measured} {self.unit} | {promised} | {met} |"
        return f"{row} {echo} |" if beside_echo else row


@dataclass(slots=True, kw_only=True)
class Report:
    """Everything that one run of the benchmark found."""

    machine: dict[str, str]
    model: str
    rounds: int
    load_average: float
    title: str = "Serving benchmark"
    results: dict[str, dict[str, Rounds]] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def write(self, folder: Path, name: str, *, plotted: bool = True) -> None:
        """Writes `<name>.json`, `<name>.md` and, when there is something to plot, `<name>.svg`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(self.figures(), indent=1) + "\n", encoding="utf-8")
        (folder / f"{name}.md").write_text(self.markdown(), encoding="utf-8")
        if plotted:
            (folder / f"{name}.svg").write_text(svg(self.results), encoding="utf-8")

    def figures(self) -> dict[str, Any]:
        """All figures, every round."""
        return {
            "measured_at": datetime.now(tz=UTC).strftime("%Y-%m-%d"),
            "machine": self.machine,
            "load_average": round(self.load_average, 1),
            "model": self.model,
            "rounds": self.rounds,
            "results": {
                load: {peer: rounds.results for peer, rounds in peers.items()}
                for load, peers in self.results.items()
            },
            "targets": [
                {
                    "name": target.name,
                    "measured": target.measured,
                    "limit": target.limit,
                    "unit": target.unit,
                    "met": target.met,
                    "echo": target.echo,
                }
                for target in self.targets
            ],
            "notes": self.notes,
        }

    def markdown(self) -> str:
        """The report for people."""
        lines = [f"# {self.title}", "", f"Model: {self.model}.", ""]
        lines += [f"- {name}: {value}" for name, value in self.machine.items()]
        lines += [
            f"- load average when it began: {self.load_average:.1f}",
            f"- medians of {self.rounds} rounds, servers in turn; the load generator shares the machine",
            "",
        ]
        if self.targets:
            beside_echo = any(target.echo is not None for target in self.targets)
            names = ["target", "measured", "promised", "met", *(["own echo"] if beside_echo else [])]
            lines += [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
            lines += [target.line(beside_echo=beside_echo) for target in self.targets] + [""]
        for load, peers in self.results.items():
            lines += [
                f"## {load}",
                "",
                "| server | answers/s | mean µs | p50 | p99 | failed |",
                "|---|---|---|---|---|---|",
            ]
            lines += [self._row(peer, rounds) for peer, rounds in peers.items()] + [""]
        lines += [f"{note}\n" for note in self.notes]
        return "\n".join(lines).rstrip() + "\n"

    @staticmethod
    def _row(peer: str, rounds: Rounds) -> str:
        rate = "–" if rounds.rate is None else f"{rounds.rate:,.0f}"
        latencies = [f"{rounds.median('latency_us', name):,.0f}" for name in ("mean", "p50", "p99")]
        return f"| {peer} | {rate} | {' | '.join(latencies)} | {rounds.failures:,} |"
