"""From signals to returns: filled at the next bar's open, costs on every change of position."""

from dataclasses import dataclass

import numpy as np

from candlewire_training.arrays import F64, I32, I64


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolResult:
    """One symbol's strategy; arrays have shape (bars - 2,).

    Attributes:
        time_ns: Close of the bar that decided; the position is taken at the next open.
        gross: Simple return from that open to the one after, before costs.
        turnover: How much the position changed at that open, 0 to 2.
        trades: Gross return and turnover of each round trip.
    """

    time_ns: I64
    gross: F64
    turnover: F64
    trades: tuple[tuple[float, float], ...]


def held_positions(signal: I32, *, horizon: int) -> I32:
    """A signal is held until another comes, at most `horizon` bars; a repeated one starts anew."""
    position = np.zeros(signal.size, dtype=np.int32)
    current, age = 0, 0
    for bar, value in enumerate(signal.tolist()):
        if value != 0:
            current, age = value, 0
        elif current != 0:
            age += 1
            if age >= horizon:
                current = 0
        position[bar] = current
    return position


def trade(position: I32, opened: F64, decision_time_ns: I64) -> SymbolResult:
    """Returns of positions decided at each bar's close, taken at the next bar's open.

    The last two bars decide nothing that could be filled and left. A position still open then is closed
    at the last open, and its cost is counted.

    Args:
        position: -1, 0 or 1 after each bar, shape (bars,).
        opened: Open of each bar.
        decision_time_ns: Close of each bar.
    """
    held = position[:-2].astype(np.float64)
    gross = held * (opened[2:] / opened[1:-1] - 1.0)
    turnover = np.abs(np.diff(held, prepend=0.0))
    if turnover.size:
        turnover[-1] += abs(held[-1])
    return SymbolResult(
        time_ns=decision_time_ns[:-2], gross=gross, turnover=turnover, trades=_round_trips(held, gross)
    )


def _round_trips(held: F64, gross: F64) -> tuple[tuple[float, float], ...]:
    starts = np.flatnonzero(np.diff(held, prepend=0.0) != 0)
    ends = np.append(starts[1:], held.size)[: starts.size]
    return tuple(
        (float(np.prod(1.0 + gross[start:end]) - 1.0), 2.0)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        if held[start] != 0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Portfolio:
    """Symbols with equal weight at each time; arrays of shape (times,)."""

    time_ns: I64
    gross: F64
    turnover: F64
    trades: tuple[tuple[float, float], ...]

    def net(self, cost: float) -> F64:
        """Return after costs, `cost` being the share of the traded amount that a fill loses."""
        result: F64 = self.gross - cost * self.turnover
        return result


def pool(results: list[SymbolResult]) -> Portfolio:
    """Gives each symbol that has a bar at a time the same share of the capital then."""
    times, index = np.unique(np.concatenate([one.time_ns for one in results]), return_inverse=True)
    counts = np.bincount(index, minlength=times.size).astype(np.float64)
    gross, turnover = (
        np.bincount(index, weights=np.concatenate(values), minlength=times.size) / counts
        for values in ([one.gross for one in results], [one.turnover for one in results])
    )
    return Portfolio(
        time_ns=times,
        gross=gross,
        turnover=turnover,
        trades=tuple(trip for one in results for trip in one.trades),
    )


__all__ = ["Portfolio", "SymbolResult", "held_positions", "pool", "trade"]
