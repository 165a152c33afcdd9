"""Float32 values on the wire: little-endian and packed, taken from and given as plain buffers.

NumPy arrays pass through the buffer protocol; the client never imports numpy.
"""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING, Any

from candlewire.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

FLOAT32_BYTES = 4
FLOAT32_FORMATS = frozenset({"f", "<f", "=f", "@f"} if sys.byteorder == "little" else {"<f"})


def _from_iterable(values: Iterable[Any], field: str) -> bytes:
    try:
        packed = array("f", values)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InvalidInputError(f"{field} must hold numbers only: {error}") from None
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def pack_row(values: Any, field: str = "features") -> bytes:  # noqa: ANN401 - anything that holds floats
    """One row as float32 bytes.

    Args:
        values: Numbers: a list, tuple, `array`, NumPy array of shape (features,), or any buffer or iterable.
        field: Name for messages.

    Raises:
        InvalidInputError: Not one row of numbers.
    """
    if isinstance(values, (list, tuple)):
        return _from_iterable(values, field)
    if isinstance(values, (str, bytes, bytearray, dict)):
        raise InvalidInputError(f"{field} is {type(values).__name__}; pass a sequence of floats")
    try:
        view = memoryview(values)
    except TypeError:
        return _from_iterable(values, field)
    if view.ndim != 1:
        raise InvalidInputError(
            f"{field} has shape {view.shape}; score takes one row, (features,): use score_batch for rows"
        )
    if view.format in FLOAT32_FORMATS:
        return view.tobytes()
    return _from_iterable(values, field)


def pack_rows(rows: Any) -> tuple[bytes, int]:  # noqa: ANN401 - anything that holds rows of floats
    """Rows as row-major float32 bytes, and how many there are.

    Args:
        rows: A buffer of shape (rows, features), or an iterable of rows that `pack_row` takes.

    Raises:
        InvalidInputError: No rows, rows of unequal length, or not numbers.
    """
    if isinstance(rows, (str, bytes, bytearray, dict)):
        raise InvalidInputError(
            f"rows is {type(rows).__name__}; pass rows of floats, of shape (rows, features)"
        )
    if not isinstance(rows, (list, tuple)):
        try:
            view = memoryview(rows)
        except TypeError:
            pass
        else:
            if view.ndim != 2:
                raise InvalidInputError(f"rows has shape {view.shape}; score_batch takes (rows, features)")
            if view.format in FLOAT32_FORMATS and view.shape is not None:
                return view.tobytes(), view.shape[0]
    packed = [pack_row(row, f"rows[{index}]") for index, row in enumerate(rows)]
    if not packed:
        raise InvalidInputError("rows is empty; score_batch takes at least one row")
    for index, row in enumerate(packed):
        if len(row) != len(packed[0]):
            raise InvalidInputError(
                f"rows[{index}] has {len(row) // FLOAT32_BYTES} values and rows[0] has "
                f"{len(packed[0]) // FLOAT32_BYTES}; every row needs the model's feature count"
            )
    return b"".join(packed), len(packed)


def float32_column(data: bytes, shape: list[int]) -> memoryview[float]:
    """Float32 bytes of the wire as a read-only buffer of `shape`; little-endian machines copy nothing."""
    if sys.byteorder == "big":
        values = array("f", data)
        values.byteswap()
        data = values.tobytes()
    return memoryview(data).cast("B").cast("f", shape)
