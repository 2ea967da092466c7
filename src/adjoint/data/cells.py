"""What cells of a table stand for, numbers, classes or nothing, and which stands for none of it."""

from __future__ import annotations

import re

import numpy as np

from ..errors import FileError

_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_MISSING = frozenset(["", "na", "n/a", "nan", "null", "none", "?"])


class Parser:
    """Columns of cells -> arrays; says which cell is not what it should be."""

    def __init__(self, source, missing: float | None):
        self.source, self.missing = source, missing

    def numbers(self, name: str, cells) -> np.ndarray:
        """A column of numbers."""
        try:
            texts = isinstance(cells, tuple)
            values = np.array(list(map(float, cells)) if texts else cells, np.float64)
        except (ValueError, TypeError):
            return self._one_by_one(name, cells)
        return self._one_by_one(name, cells) if np.isnan(values).any() else values

    def _one_by_one(self, name, cells) -> np.ndarray:
        return np.array([self._number(name, i, c) for i, c in enumerate(cells)])

    def _number(self, name: str, row: int, cell) -> float:
        if is_missing(cell):
            if self.missing is None:
                raise FileError(
                    f"{self.source.where(row)}, column {name!r}: the cell is empty"
                    + (f" ({cell!r})" if cell else ""),
                    hint="missing=0.0 or missing=nan gives such cells a value",
                )
            return float(self.missing)
        try:
            return float(cell)
        except (TypeError, ValueError):
            raise FileError(
                f"{self.source.where(row)}, column {name!r}: {str(cell)!r} is not a number",
                hint=self.source.hint(cell),
            ) from None

    def target(self, name: str, cells, d) -> tuple[np.ndarray, list[str] | None]:
        """(labels, None), (values, None) or (labels, their texts)."""
        whole = _whole_numbers(cells)
        if whole is not None:
            return whole, None
        texts = [c for c in cells if not is_missing(c)]
        if any(is_number(c) for c in texts):
            return self.numbers(name, cells).astype(d), None
        for row, cell in enumerate(cells):
            if is_missing(cell):
                self._number(name, row, cell)  # the error where nothing stands for it
                raise FileError(
                    f"{self.source.where(row)}, column {name!r}: a class is missing"
                )
        classes, labels = np.unique([str(c) for c in cells], return_inverse=True)
        return labels.astype(np.int64), classes.tolist()


def _whole_numbers(cells) -> np.ndarray | None:
    """The column as int64 if its first cell is written as a whole number and all are whole."""
    a = np.asarray(cells)
    if a.dtype.kind in "biu":
        return a.astype(np.int64)
    if a.dtype.kind == "O" and all(isinstance(c, (int, np.integer)) for c in a):
        return a.astype(np.int64)
    if a.dtype.kind != "U" or not _WHOLE.fullmatch(str(a[0])):
        return None
    try:
        return _as_whole(a.astype(np.float64))
    except ValueError:
        return None


def as_labels(values: np.ndarray, first: str) -> np.ndarray:
    """A column of which the first cell was `first`: int64 if it may be labels."""
    whole = _as_whole(values) if _WHOLE.fullmatch(first) else None
    return values if whole is None else whole


def _as_whole(values: np.ndarray) -> np.ndarray | None:
    """int64 of floats that are whole and of which none is too large to be exact."""
    whole = (np.abs(values) < 2.0**53) & (values == np.trunc(values))
    return values.astype(np.int64) if whole.all() else None


def is_number(cell) -> bool:
    """Whether a cell can be read as a number."""
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return True


def is_missing(cell) -> bool:
    """Whether a cell stands for nothing: None, NaN, or a text such as "" or "NA".

    >>> [is_missing(c) for c in ("", " NA ", None, nan, 0.0, "0")]
    [True, True, True, True, False, False]
    """
    if isinstance(cell, str):
        return cell.strip().lower() in _MISSING
    return cell is None or cell != cell or type(cell).__name__ in ("NAType", "NaTType")
