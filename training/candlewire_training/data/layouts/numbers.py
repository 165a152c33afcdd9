"""Numbers as text: prices and volumes, with thousands marks where they cannot be mistaken."""

import polars as pl

GROUPED = r"^\d{1,3}(,\d{3})+(\.\d+)?$"
GROUPED_WITH_POINT = r"^\d{1,3}(,\d{3})+\.\d+$"
MISSING = ("", "null", "none", "nan", "n/a", "na", "-")


def parse_numbers(text: pl.Series, *, whole: bool) -> tuple[pl.Series, pl.Series]:
    """Numbers from text, and which rows hold text that is none.

    A missing value (empty, `null`, `nan`) becomes NaN and is readable. `1,234` is a number only where `whole`
    says that commas group thousands, as in volumes; in a price it might be a decimal comma.
    """
    cleaned = text.str.strip_chars()
    missing = cleaned.is_null() | cleaned.str.to_lowercase().is_in(MISSING)
    grouped = cleaned.str.contains(GROUPED if whole else GROUPED_WITH_POINT).fill_null(value=False)
    plain = cleaned.str.replace_all(",", "", literal=True).zip_with(grouped, cleaned)
    numbers = plain.cast(pl.Float64, strict=False)
    unreadable = numbers.is_null() & ~missing
    return numbers.fill_null(float("nan")), unreadable


__all__ = ["parse_numbers"]
