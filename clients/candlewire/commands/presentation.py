"""How values look: JSON for programs, lines and tables for people."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from rich.text import Text

from candlewire.types import ConfidenceLevel, Signal

if TYPE_CHECKING:
    from candlewire.types import ReturnBand, Score, SignalEvent

SIGNAL_STYLES = {Signal.BUY: "bold green", Signal.SELL: "bold red", Signal.NOT_READY: "dim"}


def plain(value: Any) -> Any:  # noqa: ANN401, PLR0911 - any value of `candlewire.types`
    """The value as JSON knows it: enumerations by name, float32 values in their short form."""
    if isinstance(value, IntEnum):
        return value.name
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, memoryview):
        return [plain(entry) for entry in value.tolist()]
    if isinstance(value, (tuple, list)):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, float):
        return float(f"{value:.8g}") if math.isfinite(value) else None
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def to_json(value: Any) -> str:  # noqa: ANN401 - any value of `candlewire.types`
    """One line of JSON."""
    return json.dumps(plain(value), allow_nan=False)


def percent(value: float) -> str:
    """A log return as a signed percentage of the price."""
    return f"{math.expm1(value) * 100:+.2f}%"


def band_text(band: ReturnBand | None) -> str:
    """A return band in percent of the price."""
    return "–" if band is None else f"{percent(band.low)} … {percent(band.high)}"


def coverage_text(band: ReturnBand) -> str:
    """What the band aims at and what it lately reached."""
    reached = "no outcome yet"
    if band.achieved_coverage is not None:
        reached = f"lately {band.achieved_coverage:.0%} of {band.outcomes} outcomes"
    return f"target {band.target_coverage:.0%}, {reached}"


def signal_text(signal: Signal) -> Text:
    """A signal in its colour."""
    return Text(signal.name.replace("_", " "), style=SIGNAL_STYLES.get(signal, ""))


def up_text(score: Score) -> str:
    """P(up) with its interval."""
    if score.signal is Signal.NOT_READY:
        return "–"
    return f"{score.probability_up:.3f} [{score.probability_low:.3f}, {score.probability_high:.3f}]"


def confidence_text(score: Score) -> str:
    """Confidence in words and as a number."""
    if score.confidence_level is ConfidenceLevel.UNSPECIFIED:
        return "–"
    return f"{score.confidence_level.name} {score.confidence:.2f}"


def trusted_text(score: Score) -> str:
    """Whether the score should be acted on, and why not."""
    return "yes" if score.trusted else "no: " + ", ".join(reason.name for reason in score.distrust_reasons)


def score_rows(score: Score) -> list[tuple[str, str | Text]]:
    """Label and text of what a person wants of a score, in reading order."""
    rows: list[tuple[str, str | Text]] = [
        ("signal", signal_text(score.signal)),
        ("P(up)", up_text(score)),
        ("confidence", confidence_text(score)),
    ]
    if score.return_band is not None:
        rows.append(("return band", f"{band_text(score.return_band)}  ({coverage_text(score.return_band)})"))
    if score.price_band is not None:
        prices = score.price_band
        rows.append(("price band", f"{prices.low:,.2f} … {prices.high:,.2f}"))
    rows += [
        ("trusted", trusted_text(score)),
        ("dissimilarity", f"{score.dissimilarity:.2f} (1 is the edge of the training data)"),
        ("horizon", f"{score.horizon_bars} bars"),
        ("model", f"{score.model} {score.model_version} ({score.role.name.lower()})"),
        ("feature spec", score.feature_spec_hash[:12]),
    ]
    rows += [
        (member.name, ", ".join(f"{value:.3f}" for value in member.probabilities)) for member in score.members
    ]
    if score.timings is not None:
        rows.append(("server time", f"{score.timings.total_ns / 1e3:.1f} µs"))
    return rows


SIGNAL_COLUMNS = ("time", "symbol", "close", "P(up)", "signal", "confidence", "return band", "trusted")
SIGNAL_WIDTHS = (16, 12, 12, 22, 10, 12, 20, 8)


def signal_line(cells: tuple[str | Text, ...]) -> Text:
    """Cells side by side in columns of fixed width, for output that has no end."""
    line = Text()
    for cell, width in zip(cells, SIGNAL_WIDTHS, strict=True):
        text = cell.copy() if isinstance(cell, Text) else Text(cell)
        text.pad_right(max(width - len(text), 0))
        line.append_text(text).append(" ")
    line.rstrip()
    return line


def signal_cells(event: SignalEvent) -> tuple[str | Text, ...]:
    """The cells of one signal, under `SIGNAL_COLUMNS`."""
    time = event.bar.open_time
    shown = f"{time:%Y-%m-%d}" if event.bar.timeframe in ("1d", "1w", "1M") else f"{time:%Y-%m-%d %H:%M}"
    return (
        shown,
        f"{event.bar.symbol} {event.bar.timeframe}",
        f"{event.bar.close:,.2f}",
        up_text(event.score),
        signal_text(event.score.signal),
        confidence_text(event.score),
        band_text(event.score.return_band),
        trusted_text(event.score),
    )
