"""The beginning of a file: its first lines, its separator, its encoding."""

import csv
from pathlib import Path

from candlewire_training.data.layouts.contract import Opening
from candlewire_training.errors import BarsError

HEAD_BYTES = 64 * 1024
HEAD_LINES = 40
SEPARATORS = ("\t", ";", ",", "|")
TEXT_SUFFIXES = {".csv", ".txt", ".tsv", ".prn", ".dat", ""}


def open_beginning(path: Path) -> Opening:
    """The first lines of a file.

    Raises:
        BarsError: There is no such file, or it is empty.
    """
    if not path.exists():
        raise BarsError(f"bars {path}: no such file or folder")
    if path.is_dir():
        return Opening(path=path)
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise BarsError(f"bars {path}: cannot be read ({error.strerror})") from error
    if not head.strip():
        raise BarsError(f"bars {path}: the file is empty")
    if path.suffix.lower() not in TEXT_SUFFIXES or b"\0" in head[:1024].replace(b"\xff\xfe", b""):
        utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff")) and path.suffix.lower() in TEXT_SUFFIXES
        if not utf16:
            return Opening(path=path)
    return opening_of_text(path, decode(head, cut=True))


def opening_of_text(path: Path, text: str) -> Opening:
    """The opening of a text whose beginning is given."""
    lines = tuple(line for line in text.splitlines()[:HEAD_LINES] if line.strip())
    if not lines:
        raise BarsError(f"bars {path}: the file is empty")
    separator = max(SEPARATORS, key=lambda mark: (lines[-1].count(mark), SEPARATORS.index(mark)))
    return Opening(path=path, lines=lines, cells=split_cells(lines[0], separator), separator=separator)


def split_cells(line: str, separator: str) -> tuple[str, ...]:
    """The cells of one line, without quotes and surrounding blanks."""
    row = next(csv.reader([line], delimiter=separator), [])
    return tuple(cell.strip() for cell in row)


def decode(data: bytes, *, cut: bool = False) -> str:
    """Text of UTF-8 (with or without mark), UTF-16 with a mark, or else Latin-1.

    Args:
        data: The bytes.
        cut: The bytes may end inside a character.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data[: len(data) // 2 * 2].decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig", errors="ignore" if cut else "strict")
    except UnicodeDecodeError:
        return data.decode("latin-1")


__all__ = ["decode", "open_beginning", "opening_of_text", "split_cells"]
