"""Progress: what training shows in a terminal, a file, a notebook; not more often than due.

A display is asked at every step and answers "not due" by one look at the clock.
"""

from __future__ import annotations

import os
import shutil
import sys
from html import escape
from time import perf_counter

from ..errors import ArgumentError
from .history import cell, header_text, html, row_text


class Display:
    """Base of the displays: what they are told, and when they are due.

    >>> class Names(train.Display):
    ...     def epoch(self, loop, row):
    ...         print(", ".join(row))
    >>> history = train.fit(nn.Linear(1, 1), [(ones(1, 1), ones(1, 1))], nn.MSELoss(),
    ...                     optim.SGD, progress=Names())
    epoch, loss, lr, seconds
    """

    every = 0.1  # seconds between drawings
    clock = staticmethod(perf_counter)
    due = 0.0

    def start(self, loop) -> None:
        """Training begins."""
        self.began = self.clock()
        self.due = self.began + self.every

    def step(self, loop) -> None:
        """A step is done."""
        now = self.clock()
        if now < self.due:
            return
        self.draw(loop, now)
        self.due = self.clock() + self.every

    def draw(self, loop, now: float) -> None:
        """Show where training is."""

    def epoch(self, loop, row: dict) -> None:
        """An epoch is done."""

    def say(self, words: str) -> None:
        """Something to know."""

    def end(self, loop) -> None:
        """Training is over."""


class Silent(Display):
    """Shows nothing.

    >>> train.fit(nn.Linear(1, 1), [(ones(1, 1), ones(1, 1))], nn.MSELoss(),
    ...           optim.SGD, progress=train.Silent())
    <History of 1 epochs, 1 steps>
    """

    def step(self, loop):
        """Nothing."""


class Lines(Display):
    """Whole lines: a row an epoch, and now and then where a long epoch is.

    >>> import io
    >>> file = io.StringIO()
    >>> history = train.fit(nn.Linear(1, 1), [(ones(1, 1), ones(1, 1))], nn.MSELoss(),
    ...                     optim.SGD, progress=train.Lines(file))
    >>> file.getvalue().splitlines()[0]
    'epoch      loss   seconds'
    """

    every = 30.0

    def __init__(self, stream=None):
        self.stream = stream or sys.stdout
        self.names: list[str] | None = None

    def start(self, loop):
        """Training begins: no header yet."""
        Display.start(self, loop)
        self.names = None

    def draw(self, loop, now):
        """A line about the epoch that lasts."""
        self.write(status(loop, now) + "\n")

    def epoch(self, loop, row):
        """The row of the table."""
        self.write(self.table(row))
        self.due = self.clock() + self.every

    def table(self, row) -> str:
        """A row, below the names if these are new."""
        names = shown(row)
        head = "" if names == self.names else header_text(names) + "\n"
        self.names = names
        return head + row_text(row, names) + "\n"

    def say(self, words):
        """A line."""
        self.write(words + "\n")

    def write(self, text: str) -> None:
        """To the stream, at once; a program without a console has none."""
        if self.stream is not None:
            self.stream.write(text)
            self.stream.flush()


class Terminal(Lines):
    """A line that is drawn over, below a table of epochs.

    >>> import io
    >>> screen = io.StringIO()
    >>> history = train.fit(nn.Linear(1, 1), [(ones(1, 1), ones(1, 1))], nn.MSELoss(),
    ...                     optim.SGD, progress=train.Terminal(screen))
    >>> "epoch      loss   seconds" in screen.getvalue()
    True
    """

    every = 0.1

    def start(self, loop):
        """Training begins: nothing waits, nothing is drawn."""
        Lines.start(self, loop)
        self.waiting, self.drawn = "", False

    def draw(self, loop, now):
        """The rows that wait, and the line anew."""
        columns = shutil.get_terminal_size().columns
        line = (bar(loop, self.stream) + status(loop, now))[: max(10, columns - 1)]
        self.write(self._cleared() + line)
        self.drawn = True

    def epoch(self, loop, row):
        """The row waits until drawing is due."""
        self.waiting += self.table(row)
        self.step(loop)

    def say(self, words):
        """A line of its own, above the one that is drawn over."""
        self.waiting += words + "\n"
        self.write(self._cleared())

    def end(self, loop):
        """What waits; the line is gone."""
        self.write(self._cleared())

    def _cleared(self):
        """The waiting rows in the place of the line."""
        text = ("\r\x1b[K" if self.drawn else "") + self.waiting
        self.waiting, self.drawn = "", False
        return text


class Notebook(Display):
    """A table and a curve that a notebook shows, keeps and saves.

    >>> class Cell:  # what IPython.display.display gives: a place that can be drawn anew
    ...     def update(self, shown):
    ...         self.html = shown._repr_html_()
    >>> cell = Cell()
    >>> history = train.fit(nn.Linear(1, 1), [(ones(1, 1), ones(1, 1))] * 2, nn.MSELoss(),
    ...                     optim.SGD, progress=train.Notebook(lambda x, display_id: cell))
    >>> "<svg" in cell.html and "<table" in cell.html
    True
    """

    every = 0.5

    def __init__(self, display=None):
        # Called with an object and display_id=True it gives a handle with update(object).
        self.display = display or sys.modules["IPython"].display.display

    def start(self, loop):
        """An empty place in the notebook."""
        Display.start(self, loop)
        self.words: list[str] = []
        self.loop, self.line = loop, ""
        self.handle = self.display(self, display_id=True)

    def draw(self, loop, now):
        """The table, the curve, the line below."""
        self.line = status(loop, now)
        self.handle.update(self)

    def epoch(self, loop, row):
        """Drawn when due."""
        self.step(loop)

    def say(self, words):
        """A paragraph that stays."""
        self.words.append(words)

    def end(self, loop):
        """What stays in the notebook."""
        self.line = ""
        self.handle.update(self)

    def _repr_html_(self):
        words = "".join(f"<p>{escape(w)}</p>" for w in [*self.words, self.line] if w)
        return html(self.loop.history) + words

    def __repr__(self):
        return f"{self.loop.history}\n{self.line}".rstrip()


# ---------------------------------------------------------------- what they say


def shown(row: dict) -> list[str]:
    """The columns of the table."""
    return [k for k in row if k not in ("lr", "seconds")] + ["seconds"]


def status(loop, now: float) -> str:
    """`epoch 2/10  37/128  loss 0.3123  412 steps/s  3 s left`."""
    done, total = loop.batch, loop.batches
    parts = [f"epoch {loop.epoch}/{loop.epochs}"]
    parts.append(f"{done}/{total}" if total else f"step {done}")
    parts += [f"{k} {cell(v)}" for k, v in loop.running().items()]
    taken = now - loop.epoch_began - loop.built_in_epoch
    if done and taken > 0:
        rate = done / taken
        parts.append(
            f"{rate:,.0f} steps/s" if rate > 1.5 else f"{1 / rate:.2f} s a step"
        )
        if total:
            left = (total - done + total * (loop.epochs - loop.epoch)) / rate
            parts.append(f"{span(left)} left")
    return "  ".join(parts)


def span(seconds: float) -> str:
    """A time for people.

    >>> from adjoint.train.progress import span
    >>> span(42.3), span(3725)
    ('42 s', '1:02:05')
    """
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    if s < 3600:
        return f"{s // 60}:{s % 60:02}"
    return f"{s // 3600}:{s // 60 % 60:02}:{s % 60:02}"


def bar(loop, stream, width: int = 24) -> str:
    """How much of the epoch is done, drawn with what the stream can write."""
    if not loop.batches:
        return ""
    full = min(width, int(width * loop.batch / loop.batches))
    encoding = (getattr(stream, "encoding", None) or "ascii").lower()
    on, off = ("━", "╌") if encoding.startswith("utf") else ("=", "-")
    return on * full + off * (width - full) + "  "


# ---------------------------------------------------------------- which one


def in_notebook() -> bool:
    """Whether this runs in a notebook's kernel; IPython is asked only if it is loaded."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


def is_terminal(stream) -> bool:
    """Whether a line on the stream can be drawn over."""
    asks = getattr(stream, "isatty", None)
    return bool(asks and asks()) and os.environ.get("TERM") != "dumb"


KINDS = {
    "terminal": Terminal,
    "log": Lines,
    "notebook": Notebook,
    "none": Silent,
}


def display_for(progress) -> Display:
    """The display that `fit(progress=...)` means."""
    if isinstance(progress, Display):
        return progress
    if progress is None or progress is False:
        return Silent()
    if progress in (True, "auto"):
        if in_notebook():
            return Notebook()
        return Terminal() if is_terminal(sys.stdout) else Lines()
    if progress not in KINDS:
        raise ArgumentError(
            f"progress must be 'auto', 'terminal', 'log', 'notebook', None or a Display, "
            f"got {progress!r}"
        )
    return KINDS[progress]()
