"""A histogram of latencies: bounded memory, relative error below 1 %, mergeable.

Values fall into buckets as in HdrHistogram (Gil Tene): each power of two is cut into 128 equal parts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

PARTS_BITS = 7
LINEAR = 1 << (PARTS_BITS + 1)
# Up to 2^40 ns: 18 minutes.
LONGEST_BITS = 40
LONGEST_NS = (1 << LONGEST_BITS) - 1
BUCKETS = (LONGEST_BITS - PARTS_BITS + 1) << PARTS_BITS


def bucket_of(value_ns: int) -> int:
    """The bucket of a value, 0 to `LONGEST_NS`."""
    shift = max(value_ns.bit_length() - PARTS_BITS - 1, 0)
    return (shift << PARTS_BITS) + (value_ns >> shift)


def highest_of(bucket: int) -> int:
    """The highest value of a bucket, ns."""
    if bucket < LINEAR:
        return bucket
    shift = (bucket >> PARTS_BITS) - 1
    return (((bucket - (shift << PARTS_BITS)) + 1) << shift) - 1


class Histogram:
    """Counts of latencies, ns."""

    __slots__ = ("_counts", "count", "highest_ns", "sum_ns")

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self.count = 0
        self.sum_ns = 0
        self.highest_ns = 0

    def add(self, value_ns: int) -> None:
        """Counts one value; below zero counts as zero."""
        value_ns = min(max(value_ns, 0), LONGEST_NS)
        self._counts[bucket_of(value_ns)] += 1
        self.count += 1
        self.sum_ns += value_ns
        self.highest_ns = max(self.highest_ns, value_ns)

    def merge(self, other: Histogram) -> None:
        """Adds all values of `other`."""
        for bucket, count in enumerate(other._counts):
            if count:
                self._counts[bucket] += count
        self.count += other.count
        self.sum_ns += other.sum_ns
        self.highest_ns = max(self.highest_ns, other.highest_ns)

    def percentile_us(self, percent: float) -> float:
        """The value that `percent` percent of all do not exceed (nearest rank), µs; NaN without values."""
        if self.count == 0:
            return math.nan
        wanted = max(math.ceil(self.count * percent / 100.0), 1)
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                return min(highest_of(bucket), self.highest_ns) / 1e3
        return self.highest_ns / 1e3

    @property
    def mean_us(self) -> float:
        """Mean, µs; NaN without values."""
        return self.sum_ns / self.count / 1e3 if self.count else math.nan

    def to_wire(self) -> dict[str, object]:
        """As JSON knows it, empty buckets left out."""
        counts = {str(bucket): count for bucket, count in enumerate(self._counts) if count}
        return {"counts": counts, "sum_ns": self.sum_ns, "highest_ns": self.highest_ns}

    @classmethod
    def from_wire(cls, wire: Mapping[str, object]) -> Self:
        """What `to_wire` wrote."""
        histogram = cls()
        for bucket, count in wire["counts"].items():  # type: ignore[attr-defined]
            histogram._counts[int(bucket)] = count
            histogram.count += count
        histogram.sum_ns = int(wire["sum_ns"])  # type: ignore[call-overload]
        histogram.highest_ns = int(wire["highest_ns"])  # type: ignore[call-overload]
        return histogram
