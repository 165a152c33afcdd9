"""What a panel did with one bar."""

from enum import IntEnum


class BarStatus(IntEnum):
    """Codes of the array that `Panel.update` and `Panel.peek` return."""

    APPLIED = 0
    """The bar advanced its series."""
    NOT_FINITE = 1
    """A field is NaN or infinite; nothing changed."""
    PRICE_NOT_ABOVE_ZERO = 2
    """A price is zero or negative; nothing changed."""
    INCONSISTENT_PRICES = 3
    """Open, high, low and close contradict each other; nothing changed."""
    NEGATIVE_VOLUME = 4
    """The volume is negative; nothing changed."""
    OUT_OF_ORDER = 5
    """The bar is not newer than the last one; nothing changed."""
    APPLIED_AFTER_GAP = 6
    """The bar advanced its series, and bars are missing before it; only where the spec's `gap` is `flag`."""
    RESET_AFTER_GAP = 7
    """The series started anew with this bar, for too many are missing; only where the spec says so."""
