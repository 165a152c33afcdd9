"""Line charts as inline SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 280
LEFT, RIGHT, TOP, BOTTOM = 76, 40, 34, 44
COLOURS = ("#1f6f8b", "#d1495b", "#66a182", "#8d6a9f")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line: points (x, y); those that are not finite are left out."""

    name: str
    points: tuple[tuple[float, float], ...]

    @property
    def finite(self) -> tuple[tuple[float, float], ...]:
        """The points that can be drawn."""
        return tuple(point for point in self.points if all(map(math.isfinite, point)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis.

    Attributes:
        label: What it shows, with its unit.
        logarithmic: Powers of ten stand at equal distances.
        ticks: Value and text of each tick; empty chooses them.
    """

    label: str
    logarithmic: bool = False
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    logarithmic: bool
    start: float
    end: float

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = math.log10(max(value, self.low)), math.log10(low), math.log10(high)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def line_chart(title: str, series: list[Series], x: Axis, y: Axis) -> str:
    """An `<svg>` element; a sentence instead when no line has two points."""
    drawn = [line for line in series if len(line.finite) > 1]
    if not drawn:
        return f"<p>{escape(title)}: too short a load to draw.</p>"
    points = [point for line in drawn for point in line.finite]
    across = _scale([point[0] for point in points], x, LEFT, WIDTH - RIGHT, from_zero=False)
    upward = _scale([point[1] for point in points], y, HEIGHT - BOTTOM, TOP, from_zero=True)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f'<text x="{LEFT}" y="18" class="title">{escape(title)}</text>',
    ]
    for value, text in y.ticks or _ticks(upward):
        at = upward(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{escape(text)}</text>')
    for value, text in x.ticks or _ticks(across):
        at = across(value)
        parts.append(
            f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{escape(text)}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x.label)}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="18" text-anchor="end">{escape(y.label)}</text>')
    for number, line in enumerate(drawn):
        colour = COLOURS[number % len(COLOURS)]
        path = " ".join(f"{across(a):.1f},{upward(b):.1f}" for a, b in line.finite)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
        at = LEFT + 260 + 110 * number
        parts.append(f'<text x="{at}" y="18" fill="{colour}">{escape(line.name)}</text>')
    return "\n".join([*parts, "</svg>"])


def _scale(values: list[float], axis: Axis, start: float, end: float, *, from_zero: bool) -> _Scale:
    low, high = min(values), max(values)
    if axis.logarithmic:
        low, high = max(low, 1e-9), max(high, 1e-9)
        if not axis.ticks:  # whole decades, so that there are ticks
            low, high = 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high))
    elif from_zero:
        low, high = 0.0, high * 1.08
    if high <= low:
        high = low * 10 if axis.logarithmic else low + 1.0
    return _Scale(low, high, axis.logarithmic, start, end)


def _ticks(scale: _Scale) -> tuple[tuple[float, str], ...]:
    if scale.logarithmic:
        first, last = round(math.log10(scale.low)), round(math.log10(scale.high))
        return tuple((10.0**power, f"{10.0**power:,.10g}") for power in range(first, last + 1))
    step = 10.0 ** math.floor(math.log10((scale.high - scale.low) / 4))
    step *= max(factor for factor in (1, 2, 5) if factor * step <= (scale.high - scale.low) / 3.9)
    first, last = math.ceil(scale.low / step), math.floor(scale.high / step)
    return tuple((number * step, f"{number * step:,.10g}") for number in range(first, last + 1))
