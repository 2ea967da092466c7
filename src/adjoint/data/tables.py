"""Tables: CSV files and data frames as datasets, and what is wrong with a cell, where."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from ..core.dtype import get_default_dtype
from ..errors import ArgumentError, ArgumentTypeError, FileError
from ..functional.face import FUNCTIONS, np_dtype
from .dataset import TensorDataset

MISSING = frozenset(["", "na", "n/a", "nan", "null", "none", "?"])


class Table(TensorDataset):
    """Rows of a table: (features,) or (features, target).

    `features` and `target` are the names of the columns, `classes` the texts for which the
    numbers of a target of texts stand.
    """

    def __init__(self, tensors, features: list[str], target=None, classes=None):
        super().__init__(*tensors)
        self.features, self.target, self.classes = features, target, classes

    def __repr__(self):
        text = f"{len(self)} rows, features {', '.join(self.features)}"
        text += f"; target {self.target}" if self.target is not None else ""
        return f"Table({text}{f', classes {self.classes}' if self.classes else ''})"


def from_csv(
    path,
    target: str | int | Sequence | None = None,
    *,
    columns: Sequence | None = None,
    dtype=None,
    header: bool | str = "auto",
    delimiter: str = ",",
    quotechar: str = '"',
    encoding: str = "utf-8",
    missing: float | None = None,
) -> Table:
    """A CSV file (plain or .gz, or an open text file) as a dataset of its rows.

    `target` is one column, by name or number (-1: the last), whose whole numbers or texts are
    classes, other numbers values; or a list of columns, whose numbers are values of shape
    [n, k]. `columns` are the features: all others if not given. The first row is a header if
    none of its cells is a number, or as `header` says. `missing` stands for empty cells, which
    are otherwise an error.

    >>> import io
    >>> rows = from_csv(io.StringIO("size,kind\\n1.5,cat\\n2,dog\\n"), target="kind")
    >>> rows
    Table(2 rows, features size; target kind, classes ['cat', 'dog'])
    >>> rows[1]
    (tensor([2.]), tensor(1))
    """
    source = _Source(path, delimiter, encoding)
    names, cells = source.read(header, quotechar)
    parse = _Parser(source, missing)
    return _table(names, cells, target, columns, dtype, parse)


def from_frame(
    frame,
    target=None,
    *,
    columns: Sequence | None = None,
    dtype=None,
    missing: float | None = None,
) -> Table:
    """A data frame (pandas, polars: what has `columns` and columns with `to_numpy`) as a dataset.

    The arguments are those of `from_csv`.
    """
    if not hasattr(frame, "columns") or not hasattr(frame, "__getitem__"):
        raise ArgumentTypeError(
            f"from_frame: expected a data frame, got {type(frame).__name__}",
            hint="TensorDataset takes arrays and tensors",
        )
    labels = list(frame.columns)
    cells = [np.asarray(frame[c].to_numpy()) for c in labels]
    for name, column in zip(labels, cells, strict=True):
        if column.ndim != 1:
            raise ArgumentError(f"from_frame: there are several columns {name!r}")
    parse = _Parser(_Frame(), missing)
    return _table([str(c) for c in labels], cells, target, columns, dtype, parse)


def _table(names, cells, target, columns, dtype, parse) -> Table:
    """Chooses the columns, parses them and stacks them up."""
    d = np_dtype(dtype) or get_default_dtype().np
    many = isinstance(target, (list, tuple))
    wanted = [] if target is None else list(target) if many else [target]
    aims = [_place(names, t, "target") for t in wanted]
    if columns is None:
        inputs = [i for i in range(len(names)) if i not in aims]
    else:
        inputs = [_place(names, c, "columns") for c in columns]
    if not inputs:
        raise ArgumentError("no column is left for the features")
    x = _stacked([parse.numbers(names[i], cells[i]) for i in inputs], d)
    features = [names[i] for i in inputs]
    if target is None:
        return Table([x], features)
    if many:
        y = _stacked([parse.numbers(names[i], cells[i]) for i in aims], d)
        return Table([x, y], features, [names[i] for i in aims])
    y, classes = parse.target(names[aims[0]], cells[aims[0]], d)
    return Table([x, FUNCTIONS["from_numpy"](y)], features, names[aims[0]], classes)


def _stacked(columns: list[np.ndarray], d: np.dtype):
    return FUNCTIONS["from_numpy"](
        np.ascontiguousarray(np.stack(columns, 1).astype(d, copy=False))
    )


def _place(names: list[str], column, what: str) -> int:
    """The number of a column that is given by name or number."""
    if isinstance(column, (int, np.integer)) and not isinstance(column, bool):
        if not -len(names) <= column < len(names):
            raise ArgumentError(
                f"{what}: there is no column {column}, the table has {len(names)}"
            )
        return int(column) % len(names)
    if column not in names:
        raise ArgumentError(
            f"{what}: there is no column {column!r}",
            hint=f"the table has {', '.join(names[:12])}",
        )
    return names.index(column)


class _Parser:
    """Columns of cells -> arrays; says which cell is not what it should be."""

    def __init__(self, source, missing: float | None):
        self.source, self.missing = source, missing

    def numbers(self, name: str, cells) -> np.ndarray:
        """A column of numbers."""
        try:
            values = np.asarray(cells).astype(np.float64)
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
        if any(_is_number(c) for c in texts):
            return self.numbers(name, cells).astype(d), None
        for row, cell in enumerate(cells):
            if is_missing(cell):
                self._number(name, row, cell)
                raise FileError(
                    f"{self.source.where(row)}, column {name!r}: a class is missing"
                )
        classes, labels = np.unique([str(c) for c in cells], return_inverse=True)
        return labels.astype(np.int64), classes.tolist()


def _whole_numbers(cells) -> np.ndarray | None:
    """The column as int64 if all of its cells are whole numbers."""
    a = np.asarray(cells)
    if a.dtype.kind in "biu":
        return a.astype(np.int64)
    if a.dtype.kind == "O" and all(isinstance(c, (int, np.integer)) for c in a):
        return a.astype(np.int64)
    if a.dtype.kind not in "US":
        return None
    try:
        return a.astype(np.int64)
    except (ValueError, OverflowError):
        return None


def _is_number(cell) -> bool:
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
        return cell.strip().lower() in MISSING
    return cell is None or cell != cell or type(cell).__name__ in ("NAType", "NaTType")


class _Frame:
    """Where the cells of a data frame are."""

    def where(self, row: int) -> str:
        """The place of a row, for messages."""
        return f"row {row}"

    def hint(self, cell) -> str:
        """What might help."""
        return "columns=[...] chooses the features"


class _Source:
    """A CSV file and the lines of its rows."""

    def __init__(self, path, delimiter: str, encoding: str):
        self.path, self.delimiter, self.encoding = path, delimiter, encoding
        self.lines: list[int] = []

    def __str__(self):
        name = self.path if not hasattr(self.path, "read") else None
        return str(name or getattr(self.path, "name", "csv"))

    def where(self, row: int) -> str:
        """The place of a row, for messages."""
        return f"{self}, line {self.lines[row]}"

    def hint(self, cell: str) -> str:
        """What might help."""
        for other in ";\t,|":
            if other != self.delimiter and other in cell:
                return f"delimiter={other!r}?"
        return "columns=[...] chooses the features, target=... the classes"

    def read(self, header, quotechar: str) -> tuple[list[str], list]:
        """(names of the columns, cells of each column)."""
        rows = self._rows(quotechar)
        if not rows:
            raise FileError(f"{self}: the file is empty")
        if header == "auto":
            header = not any(_is_number(c) for c in rows[0])
        names = [c.strip() for c in rows[0]] if header else []
        if header:
            rows, self.lines = rows[1:], self.lines[1:]
            if not rows:
                raise FileError(f"{self}: the file has a header and no rows")
        names = names or [str(i) for i in range(len(rows[0]))]
        self._check_widths(rows, len(names), bool(header))
        return names, list(zip(*rows, strict=True))

    def _rows(self, quotechar: str) -> list[list[str]]:
        rows = []
        try:
            with self._open() as file:
                reader = csv.reader(
                    file, delimiter=self.delimiter, quotechar=quotechar, strict=True
                )
                for row in reader:
                    if row:
                        rows.append(row)
                        self.lines.append(reader.line_num)
        except UnicodeDecodeError as error:
            raise FileError(
                f"{self}: the file is not {self.encoding}: {error}",
                hint='encoding="latin-1" reads any file',
            ) from None
        except csv.Error as error:
            line = self.lines[-1] + 1 if self.lines else 1
            raise FileError(f"{self}, line {line} or after it: {error}") from None
        except (gzip.BadGzipFile, EOFError) as error:
            raise FileError(f"{self}: {error}") from None
        return rows

    def _open(self) -> Any:
        if hasattr(self.path, "read"):
            return nullcontext(self.path)
        encoding = "utf-8-sig" if self.encoding == "utf-8" else self.encoding
        packed = os.fspath(self.path).endswith(".gz")
        return (gzip.open if packed else open)(
            self.path, "rt", encoding=encoding, newline=""
        )

    def _check_widths(self, rows: Iterable, width: int, header: bool) -> None:
        for i, row in enumerate(rows):
            if len(row) != width:
                before = "the header" if header else "the first row"
                raise FileError(
                    f"{self.where(i)}: {len(row)} cells, {before} has {width}"
                )
