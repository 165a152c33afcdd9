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
