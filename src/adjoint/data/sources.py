"""Where the cells of a table come from: a CSV file, whose lines are known, or a data frame."""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np

from ..errors import ArgumentError, FileError
from .cells import as_labels, is_number


class CsvFile:
    """A CSV file, plain or packed, and the lines of its rows."""

    def __init__(self, path, delimiter: str, quotechar: str, encoding: str):
        self.path, self.encoding = path, encoding
        self.delimiter, self.quotechar = delimiter, quotechar
        for name, c in (("delimiter", delimiter), ("quotechar", quotechar)):
            if not isinstance(c, str) or len(c) != 1:
                raise ArgumentError(
                    f"from_csv: {name} must be one character, got {c!r}"
                )
        self.text = path.read() if hasattr(path, "read") else None
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

    def read(self, header) -> tuple[list[str], list]:
        """(names of the columns, cells of each column)."""
        top = self._rows(2)
        if not top:
            raise FileError(f"{self}: the file is empty")
        if header == "auto":
            header = not any(is_number(c) for c in top[0])
        if header and len(top) == 1:
            raise FileError(f"{self}: the file has a header and no rows")
        width, skip = len(top[0]), self.lines[0] if header else 0
        names = (
            [c.strip() for c in top[0]] if header else [str(i) for i in range(width)]
        )
        cells = self._numbers(skip, width, top[bool(header)])
        return names, cells or self._texts(bool(header), width)

    def _numbers(self, skip: int, width: int, first: list) -> list | None:
        """The columns, by NumPy's fast reader, if all cells of the file are numbers."""
        try:
            with self._open() as file:
                a = np.loadtxt(
                    file,
                    delimiter=self.delimiter,
                    quotechar=self.quotechar,
                    comments=None,
                    skiprows=skip,
                    ndmin=2,
                )
        except (ValueError, TypeError, OSError, EOFError):
            return None  # the slow reader knows what is wrong, and where
        if a.shape[1] != width or np.isnan(a).any():
            return None
        return [as_labels(x, c) for x, c in zip(a.T, first, strict=True)]

    def _texts(self, header: bool, width: int) -> list:
        """The columns as texts, by Python's reader, which knows the line of each row."""
        rows = self._rows()[header:]
        self.lines = self.lines[header:]
        self._check_widths(rows, width, header)
        return list(zip(*rows, strict=True))

    def _rows(self, most: int | None = None) -> list[list[str]]:
        rows, self.lines = [], []
        try:
            with self._open() as file:
                reader = csv.reader(
                    file,
                    delimiter=self.delimiter,
                    quotechar=self.quotechar,
                    strict=True,
                )
                for row in islice(filter(None, reader), most):
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
        if self.text is not None:
            return io.StringIO(self.text, newline="")
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


class Frame:
    """Where the cells of a data frame are."""

    def where(self, row: int) -> str:
        """The place of a row, for messages."""
        return f"row {row}"

    def hint(self, cell) -> str:
        """What might help."""
        return "columns=[...] chooses the features"
