"""History: what training measured, epoch by epoch and step by step."""

from __future__ import annotations

import csv
import io
import math
from html import escape
from importlib import import_module
from pathlib import Path

import numpy as np

from ..errors import ArgumentError
from ..files import write_text
from ..plot import Figure, lines
from ..plot.page import table

LAST = ("lr", "seconds")  # columns that are shown last and not drawn


class History:
    """The table of epochs (`rows`), the loss of every step (`steps`) and why it ended.

    >>> history = train.History()
    >>> history.rows += [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}]
    >>> history["loss"]
    [2.0, 1.0]
    >>> print(history)
    epoch      loss
        1    2.0000
        2    1.0000
    """

    def __init__(self):
        self.rows: list[dict] = []
        self.steps: list[float] = []
        self.modes: dict[str, str] = {}  # which way is better
        self.seconds = 0.0  # spent in steps and validation
        self.build_seconds = 0.0  # spent in compiling
        self.stopped = ""  # why before the last epoch
        self.interrupted = False
        self.checkpoint: Path | None = None  # where the last one lies

    @property
    def columns(self) -> list[str]:
        """The names of what was measured."""
        found = dict.fromkeys(k for row in self.rows for k in row)
        return [k for k in found if k not in LAST] + [k for k in LAST if k in found]

    def __getitem__(self, name: str) -> list:
        """A column, NaN where an epoch has no value."""
        if name not in self.columns:
            raise KeyError(f"{name!r}; there are {', '.join(self.columns)}")
        return [row.get(name, math.nan) for row in self.rows]

    def __contains__(self, name):
        return name in self.columns

    def __len__(self):
        return len(self.rows)

    @property
    def last(self) -> dict:
        """The row of the last epoch."""
        return self.rows[-1] if self.rows else {}

    def best(self, name: str = "val_loss") -> dict:
        """The row in which a column is best.

        >>> history = train.History()
        >>> history.rows += [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 2.0}]
        >>> history.best("loss")["epoch"]
        1
        """
        mode = self.modes.get(name) or ("min" if name.endswith("loss") else "")
        if not mode:
            raise ArgumentError(
                f"whether larger or smaller {name!r} is better is unknown"
            )
        rows = [r for r in self.rows if not math.isnan(r.get(name, math.nan))]
        if not rows:
            raise ArgumentError(f"no epoch has a value of {name!r}")
        return (min if mode == "min" else max)(rows, key=lambda r: r[name])

    # ------------------------------------------------------------ other forms

    def to_dict(self) -> dict:
        """Columns by name, and the loss of every step."""
        return {**{k: self[k] for k in self.columns}, "steps": list(self.steps)}

    def to_csv(self, path=None) -> str:
        """The table of epochs as CSV, written to `path` if given."""
        out = io.StringIO()
        writer = csv.DictWriter(out, self.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        if path is not None:
            write_text(path, out.getvalue())
        return out.getvalue()

    def plot(self, *names: str, log: bool = False, backend: str = "svg"):
        """The curves of some columns, at first the losses; the steps where no epoch ended.

        `backend="matplotlib"` gives a figure of matplotlib instead of SVG.
        """
        chosen = names or [k for k in self.columns if k.endswith("loss")]
        curves = {k: (self["epoch"], self[k]) for k in chosen}
        label = "epoch"
        if not curves and self.steps:
            curves = {"loss": (list(range(1, len(self.steps) + 1)), self.steps)}
            label = "step"
        if backend == "matplotlib":
            return _with_matplotlib(curves, label, log)
        if backend != "svg":
            raise ArgumentError(
                f"backend must be 'svg' or 'matplotlib', got {backend!r}"
            )
        title = "training" if len(curves) != 1 else next(iter(curves))
        return lines(curves, title=title, x_label=label, log=log)

    def state_dict(self) -> dict:
        """What a checkpoint keeps."""
        return {
            "rows": [dict(r) for r in self.rows],
            "steps": np.array(self.steps, np.float64),
            "modes": dict(self.modes),
            "seconds": self.seconds,
            "build_seconds": self.build_seconds,
        }

    def load_state_dict(self, state: dict) -> None:
        """Take back what `state_dict` gave."""
        self.rows = [dict(r) for r in state["rows"]]
        self.steps = np.asarray(state["steps"]).tolist()
        self.modes = dict(state["modes"])
        self.seconds, self.build_seconds = state["seconds"], state["build_seconds"]

    def __str__(self):
        names = self.columns
        body = [row_text(row, names) for row in self.rows]
        return "\n".join([header_text(names), *body, *self._remarks()])

    def _remarks(self):
        if self.stopped:
            yield self.stopped
        if self.build_seconds:
            yield f"compiled in {self.build_seconds:.2f} s, trained in {self.seconds:.2f} s"

    def __repr__(self):
        return f"<History of {len(self.rows)} epochs, {len(self.steps)} steps>"

    def _repr_html_(self):
        return html(self)


def html(history: History) -> str:
    """The curve and the table."""
    names = history.columns
    rows = [[cell(row.get(k), k) for k in names] for row in history.rows]
    curve: Figure | str = history.plot() if len(history.steps) > 1 else ""
    remarks = "".join(f"<p>{escape(r)}</p>" for r in history._remarks())
    return f"{curve}{table(rows, names)}{remarks}"


def _with_matplotlib(curves, label, log):
    try:
        pyplot = import_module("matplotlib.pyplot")
    except ImportError:
        raise ArgumentError(
            "matplotlib is not installed", hint="backend='svg' needs no library"
        ) from None
    figure, axes = pyplot.subplots()
    for name, (x, y) in curves.items():
        axes.plot(x, y, label=name)
    axes.set_xlabel(label)
    axes.set_yscale("log" if log else "linear")
    axes.legend()
    return figure


# ---------------------------------------------------------------- the table as text


def cell(value, name: str = "") -> str:
    """A value as the table shows it."""
    if value is None:
        return ""
    if name == "seconds":
        return f"{value:.2f} s"
    if isinstance(value, float):
        small = value != 0 and abs(value) < 1e-3
        return f"{value:.2e}" if small or abs(value) >= 1e5 else f"{value:.4f}"
    return str(value)


def width(name: str) -> int:
    """The width of a column."""
    return 5 if name == "epoch" else max(10, len(name) + 2)


def header_text(names) -> str:
    """The names above the table."""
    return "".join(f"{n:>{width(n)}}" for n in names)


def row_text(row: dict, names) -> str:
    """A row of the table."""
    return "".join(f"{cell(row.get(n), n):>{width(n)}}" for n in names)
