"""Charts of the card as inline SVG: they scale, print, follow light and dark, and load nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from candlewire_training.card.card_data import Curve, FoldSpan, ReliabilityBin, Share

WIDTH = 560.0
LEFT = 58.0
RIGHT = 14.0
TOP = 12.0
BOTTOM = 40.0
BAR_HEIGHT = 22.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A linear axis: values low..high lie on pixels start..end."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Pixel of a value; the middle when the axis has one value only."""
        if self.high == self.low:
            return (self.start + self.end) / 2.0
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values along the axis."""
        raw = (self.high - self.low) / count
        power = 10.0 ** _floor_log10(raw)
        step = next(unit * power for unit in (1.0, 2.0, 2.5, 5.0, 10.0) if unit * power >= raw)
        first = int(-(-self.low // step))
        return [n * step for n in range(first, int(self.high / step + 1e-9) + 1)]


def _floor_log10(value: float) -> int:
    return int(f"{value:e}".split("e")[1])


def _padded(values: Sequence[float], share: float = 0.08) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = (high - low) * share or max(abs(high), 1.0) * share
    return low - pad, high + pad


def _svg(height: float, body: str, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str = "middle", kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _frame(x: Axis, y: Axis, x_name: str, y_name: str, height: float, *, x_ticks: bool = True) -> str:
    parts = []
    for tick in y.ticks():
        parts += [
            _line(LEFT, y.at(tick), WIDTH - RIGHT, y.at(tick), "grid"),
            _text(LEFT - 6, y.at(tick) + 4, f"{tick:g}"[:7], "end"),
        ]
    if x_ticks:
        parts += [_text(x.at(tick), height - BOTTOM + 16, f"{tick:g}"[:7]) for tick in x.ticks()]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, height - 6, x_name, kind="name"))
    middle = (TOP + height - BOTTOM) / 2
    parts.append(
        f'<text class="name" transform="translate(13 {middle:.1f}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_name)}</text>"
    )
    return "".join(parts)


def reliability_chart(bins: Sequence[ReliabilityBin]) -> str:
    """Forecast against what happened, with intervals and the diagonal."""
    height = 300.0
    ends = [value for one in bins for value in (one.forecast, one.happened.low, one.happened.high)]
    low, high = _padded(ends)
    x = Axis(low=low, high=high, start=LEFT, end=WIDTH - RIGHT)
    y = Axis(low=low, high=high, start=height - BOTTOM, end=TOP)
    parts = [_frame(x, y, "forecast probability", "share that happened", height)]
    parts.append(_line(x.at(low), y.at(low), x.at(high), y.at(high), "reference"))
    for one in bins:
        across = x.at(one.forecast)
        parts += [
            _line(across, y.at(one.happened.low), across, y.at(one.happened.high), "interval"),
            (
                f'<circle class="mark" cx="{across:.1f}" cy="{y.at(one.happened.value):.1f}" r="4.5">'
                f"<title>forecast {one.forecast:.3f}, happened {one.happened.value:.3f}, "
                f"{one.rows} rows</title>"
                "</circle>"
            ),
        ]
    return _svg(height, "".join(parts), "Calibration: forecast against what happened")


def share_chart(groups: Sequence[Share], *, name: str, group_name: str, reference: float | None) -> str:
    """Shares with intervals, one group after another, and a line to hold them against."""
    height = 260.0
    ends = [value for group in groups for value in (group.share.low, group.share.high)]
    low, high = _padded([*ends, *([reference] if reference is not None else [])])
    x = Axis(low=-0.5, high=len(groups) - 0.5, start=LEFT, end=WIDTH - RIGHT)
    y = Axis(low=low, high=high, start=height - BOTTOM, end=TOP)
    parts = [_frame(x, y, group_name, name, height, x_ticks=False)]
    if reference is not None:
        parts.append(_line(LEFT, y.at(reference), WIDTH - RIGHT, y.at(reference), "reference"))
    every = -(-len(groups) // 7)
    for index, group in enumerate(groups):
        across = x.at(index)
        parts += [
            _line(across, y.at(group.share.low), across, y.at(group.share.high), "interval"),
            (
                f'<circle class="mark" cx="{across:.1f}" cy="{y.at(group.share.value):.1f}" r="4.5">'
                f"<title>{escape(group.name)}: {group.share.value:.3f}, {group.rows} rows</title></circle>"
            ),
        ]
        if index % every == 0:
            parts.append(_text(across, height - BOTTOM + 16, group.name))
    return _svg(height, "".join(parts), f"{name} by {group_name}")


def bar_chart(items: Sequence[tuple[str, float]], *, name: str, digits: int = 3) -> str:
    """Horizontal bars with their names and values."""
    names = 190.0
    height = BAR_HEIGHT * len(items) + 8
    greatest = max(value for _, value in items) or 1.0
    parts = []
    for index, (label, value) in enumerate(items):
        top = 4 + index * BAR_HEIGHT
        width = max(value / greatest, 0.0) * (WIDTH - names - 70)
        parts += [
            _text(names - 8, top + 15, label, "end", "label"),
            (
                f'<rect class="bar" x="{names:.1f}" y="{top + 3:.1f}" width="{width:.1f}" '
                f'height="{BAR_HEIGHT - 6:.1f}" rx="2"/>'
            ),
            _text(names + width + 6, top + 15, f"{value:.{digits}f}", "start"),
        ]
    return _svg(height, "".join(parts), name)


def curve_chart(curves: Sequence[Curve], *, x_name: str, y_name: str) -> str:
    """Lines over a common axis, named at their ends."""
    height = 280.0
    x_values = [x for curve in curves for x, _ in curve.points]
    y_values = [y for curve in curves for _, y in curve.points]
    low, high = _padded(y_values)
    x = Axis(low=min(x_values), high=max(x_values) or 1.0, start=LEFT, end=WIDTH - RIGHT - 96)
    y = Axis(low=low, high=high, start=height - BOTTOM, end=TOP)
    parts = [_frame(x, y, x_name, y_name, height)]
    ends: list[float] = []
    for number, curve in enumerate(curves):
        path = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in curve.points)
        parts.append(f'<polyline class="curve c{number % 4}" points="{path}"/>')
        # Names of lines that end close together are pushed apart.
        at = y.at(curve.points[-1][1]) + 4
        while any(abs(at - other) < 14 for other in ends):
            at += 14
        ends.append(at)
        parts.append(
            f'<text class="end c{number % 4}" x="{x.at(curve.points[-1][0]) + 6:.1f}" y="{at:.1f}">'
            f"{escape(curve.name)}</text>"
        )
    return _svg(height, "".join(parts), f"{y_name} by {x_name}")


def fold_chart(folds: Sequence[FoldSpan]) -> str:
    """The parts of every fold on the calendar."""
    starts = [start for fold in folds for _, start, _, _ in fold.spans]
    stops = [end for fold in folds for _, _, end, _ in fold.spans]
    height = BAR_HEIGHT * len(folds) + 30
    x = Axis(low=min(starts), high=max(stops) + 1, start=90.0, end=WIDTH - RIGHT)
    parts = []
    for index, fold in enumerate(folds):
        top = 4 + index * BAR_HEIGHT
        parts.append(_text(82, top + 15, fold.name, "end", "label"))
        for part, start, end, rows in fold.spans:
            parts.append(
                f'<rect class="part {escape(part)}" x="{x.at(start):.1f}" y="{top + 2:.1f}" '
                f'width="{max(x.at(end) - x.at(start), 1):.1f}" height="{BAR_HEIGHT - 5:.1f}" rx="2">'
                f"<title>{escape(part)}: {rows} rows</title></rect>"
            )
    year_ns = 31_556_952 * 10**9
    years = range(1970 + min(starts) // year_ns + 1, 1970 + max(stops) // year_ns + 1)
    every = max(1, -(-len(years) // 9))
    for year in years:
        if year % every == 0:
            at = x.at((year - 1970) * year_ns)
            parts.append(_text(at, height - 6, str(year)))
    return _svg(height, "".join(parts), "Parts on the calendar")


__all__ = ["bar_chart", "curve_chart", "fold_chart", "reliability_chart", "share_chart"]
