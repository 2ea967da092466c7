"""Tables: CSV files and data frames as datasets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.dtype import get_default_dtype
from ..errors import ArgumentError, ArgumentTypeError
from ..functional.face import FUNCTIONS, np_dtype
from .cells import Parser
from .dataset import TensorDataset
from .sources import CsvFile, Frame


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
    source = CsvFile(path, delimiter, quotechar, encoding)
    names, cells = source.read(header)
    parser = Parser(source, missing)
    return _table(names, cells, target, columns, dtype, parser)


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
    parser = Parser(Frame(), missing)
    return _table([str(c) for c in labels], cells, target, columns, dtype, parser)


def _table(names, cells, target, columns, dtype, parser) -> Table:
    """The columns that are asked for, as numbers side by side."""
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

    def numbers(places):
        return _stacked([parser.numbers(names[i], cells[i]) for i in places], d)

    x, features = numbers(inputs), [names[i] for i in inputs]
    if target is None:
        return Table([x], features)
    if many:
        return Table([x, numbers(aims)], features, [names[i] for i in aims])
    y, classes = parser.target(names[aims[0]], cells[aims[0]], d)
    return Table([x, FUNCTIONS["from_numpy"](y)], features, names[aims[0]], classes)


def _stacked(columns: list[np.ndarray], d: np.dtype):
    """The columns side by side, as a tensor."""
    rows = np.stack(columns, 1).astype(d, copy=False)
    return FUNCTIONS["from_numpy"](np.ascontiguousarray(rows))


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
