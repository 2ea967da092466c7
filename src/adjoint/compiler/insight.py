"""Insight: what a compiled function became, where its time goes, and what memory it takes."""

from __future__ import annotations

import functools
import importlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..core import tree
from ..errors import ArgumentError
from ..ir.passes import PASSES
from ..ir.text import pretty
from .captured import inputs_of
from .cost import flop, nanoseconds
from .memory import Memory, at_peak, computed_again


class Region(NamedTuple):
    """One kernel: what it computes, for which lines, and what that takes."""

    kind: str
    space: tuple[int, ...]
    operations: tuple[str, ...]
    lines: tuple[str, ...]
    flop: int
    bytes: int
    seconds: float | None = None  # measured; None if it was not
    floor: float | None = None  # what this machine needs at least
    chunks: int = 1  # about how many parts that threads take
    alone: str = ""  # why it runs on one thread, if it does

    @property
    def share(self) -> float | None:
        """How near to the floor it runs: 1 is as fast as this machine can."""
        return self.floor / self.seconds if self.seconds and self.floor else None


@dataclass
class Explanation:
    """The regions of a program in the order in which they run; prints as a table."""

    name: str
    regions: list[Region]
    build_seconds: float
    cuts: list[str]

    def __str__(self):
        count = len(self.regions)
        parts = f"{count} region{'s' * (count != 1)}"
        head = f"{self.name}: {parts}, built in {self.build_seconds:.2f} s"
        rows = [
            ("", "region", "space", "MFLOP", "MB", "µs", "of limit", "threads", "from")
        ]
        for i, r in enumerate(self.regions):
            spent = "" if r.seconds is None else f"{r.seconds * 1e6:.1f}"
            share = "" if r.share is None else f"{min(r.share, 1):.0%}"
            names = _shortened(r.operations)
            size = "×".join(map(str, r.space)) or "1"
            cut = f"{r.chunks} chunks" if r.chunks > 1 else f"one: {r.alone}"
            numbers = f"{r.flop / 1e6:.2f}", f"{r.bytes / 1e6:.2f}", spent, share, cut
            where = r.lines[0] if r.lines else ""
            rows.append((str(i + 1), f"{r.kind}: {names}", size, *numbers, where))
        widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
        lines = [
            "  ".join(x.ljust(w) for x, w in zip(r, widths, strict=True)) for r in rows
        ]
        return "\n".join([head, *(line.rstrip() for line in lines), *self.cuts])

    __repr__ = __str__


class Insight:
    """What a compiled function tells about itself, once it was called."""

    programs: OrderedDict
    warm: bool
    unfit: dict
    _found: Callable
    __name__: str

    def _step(self, *args, **kwargs):
        """The program of these arguments, or the one that was used last."""
        if (args or kwargs) and self.warm:
            step, _ = self._found(*tree.flatten((args, kwargs)))
            if step is not None:
                return step
        if not self.programs and self.unfit:
            why = next(reversed(self.unfit.values()))
            raise ArgumentError(
                f"there is no program: {self.__name__} runs as it is written: {why}"
            )
        if not self.programs:
            raise ArgumentError(
                "there is no program yet: the first call runs eagerly, the second is compiled",
                hint="call it first; then give the arguments here, or call it once more",
            )
        return self.programs[next(reversed(self.programs))]

    def _native(self, *args, **kwargs):
        step = self._step(*args, **kwargs)
        if step.building is not None:
            return step.building.result()
        if step.native is None:
            raise ArgumentError(
                "this program runs on NumPy: there is no native code to show"
            )
        return step.native

    def program(self, *args, after=None, **kwargs) -> str:
        """The captured program as straight-line text; `after` a pass: see `PASSES`.

        >>> f = compile(lambda x: x * 2 + 1)
        >>> f(tensor(1.))
        tensor(3.)
        >>> print(f.program(tensor(1.)))
        f(x1: float32[]):
          z1 = x1 * 2
          z2 = z1 + 1
          return z2
        """
        graph = self._step(*args, **kwargs).captured.graph
        if after == "memory":
            return str(pretty(self._native(*args, **kwargs).part.graph))
        if after is not None and after not in PASSES:
            names = ", ".join([*PASSES, "memory"])
            raise ArgumentError(f"program: after must be one of {names}, got {after!r}")
        for name, change in PASSES.items() if after is not None else ():
            graph = change(graph)
            if name == after:
                break
        return str(pretty(graph))

    def llvm(self, *args, **kwargs) -> str:
        """The program as LLVM was given it."""
        return self._native(*args, **kwargs).text()

    def asm(self, *args, **kwargs) -> str:
        """The program as this processor runs it."""
        return self._native(*args, **kwargs).assembly()

    def memory(self, *args, **kwargs) -> Memory:
        """What memory the program takes, when the most, for which values, of which lines.

        >>> f = compile(lambda x: (x * 2).sum())
        >>> f(ones(1000))
        tensor(2000.)
        >>> f.memory(ones(1000)).arguments
        4000
        """
        native = self._native(*args, **kwargs)
        results = [s.bytes for s in native.specs]
        given = [native.states, native.arguments]
        states, arguments = (sum(v.spec.bytes for v in vs) for vs in given)
        part = native.part
        sizes = part.inside, states, sum(results), arguments
        return Memory(*sizes, *at_peak(part), computed_again(part))

    def explain(self, *args, **kwargs) -> Explanation:
        """Its regions with their source, their work, and, given arguments, their time.

        The time is measured on copies: no state changes.
        """
        native = self._native(*args, **kwargs)
        regions = [_region(k, native.part) for k in native.part.schedule.kernels]
        if args or kwargs:
            spent = self._measured(args, kwargs)
            regions = [_timed(r, s) for r, s in zip(regions, spent, strict=True)]
        cuts = _cuts(native.part.schedule)
        return Explanation(self.__name__, regions, native.build_seconds, cuts)

    def profile(self, *args, **kwargs) -> dict:
        """One run as a Chrome trace, to be written as JSON and opened in Perfetto."""
        events, start = [], 0.0
        for i, r in enumerate(self.explain(*args, **kwargs).regions):
            took = (r.seconds or 0.0) * 1e6
            about = {
                "space": r.space,
                "lines": r.lines,
                "flop": r.flop,
                "bytes": r.bytes,
            }
            name = f"{i + 1} {r.kind}: {_shortened(r.operations)}"
            place = {"ph": "X", "ts": start, "dur": took, "pid": 0, "tid": 0}
            events.append({"name": name, **place, "args": about})
            start += took
        return {"traceEvents": events, "displayTimeUnit": "ns"}

    def _measured(self, args, kwargs) -> list[float]:
        """Seconds of each region, the median of several runs on copies of the states."""
        step = self._step(*args, **kwargs)
        leaves = self._found(*tree.flatten((args, kwargs)))[1]
        arrays = [x.value.copy() for x in inputs_of(leaves)]
        clocked = importlib.import_module(".native.clocked", __package__)
        run = clocked.Clocked(step.captured)
        run(arrays)
        runs = [run(arrays) for _ in range(7)]
        return _each(np.median(runs, axis=0).tolist(), run.native.part)


def _shortened(names, most=4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, {len(names) - most} more"


def _region(k, part) -> Region:
    operations = part.schedule.operations(k)
    lines = dict.fromkeys(_line(o) for o in operations)
    lines.pop("", None)
    work = round(_flop(k, part.schedule))
    stored = [v for v in (*k.reads, *k.made) if v not in part.schedule.local]
    names = tuple(o.prim.name for o in operations)
    chunks, alone = part.threads(k)
    return Region(
        *(k.kind, k.space, names, tuple(lines), work),
        sum(v.spec.bytes for v in stored),
        chunks=chunks,
        alone=alone,
    )


def _flop(k, schedule) -> float:
    """The operations on numbers that a region makes."""
    if k.kind != "together":
        return sum(map(flop, schedule.operations(k)))
    share = k.band.share if k.band else lambda _: 1
    return sum(_flop(m, schedule) * share(m) for m in k.members)


def _line(o) -> str:
    file, line, text = o.where()
    if not file:
        return ""
    return f"{os.path.basename(file)}:{line}: {text.strip()}" if line else ""


def _each(seconds, part) -> list[float]:
    """Of a chain, whose time is that of its first kernel, each kernel's by estimate."""
    s, found = part.schedule, list(seconds)
    for k, chain in part.chains.items():
        spent = [nanoseconds(m, s) for m in chain.members]
        whole = seconds[s.number[chain.members[0]]]
        found[s.number[k]] = whole * nanoseconds(k, s) / sum(spent)
    return found


def _timed(r, seconds) -> Region:
    peak, bandwidth = limits()
    floor = max(r.flop / peak, r.bytes / bandwidth)
    return r._replace(seconds=seconds, floor=floor)


@functools.cache
def limits() -> tuple[float, float]:
    """(operations, bytes) a second that one core of this machine reaches, measured once."""
    a = np.ones((384, 384), np.float32)
    big = np.ones(2**23, np.float32)
    out = np.empty_like(big)
    product = min(_seconds(lambda: a @ a) for _ in range(5))
    copy = min(_seconds(lambda: np.copyto(out, big)) for _ in range(5))
    return 2 * 384**3 / product, 2 * big.nbytes / copy


def _seconds(f) -> float:
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


def _cuts(schedule) -> list[str]:
    """Why neighbouring regions are not one."""
    out = []
    for i, (a, b) in enumerate(
        zip(schedule.kernels, schedule.kernels[1:], strict=False)
    ):
        why = _why(a, b)
        if why and set(a.made) & set(b.reads):
            out.append(f"{i + 1} and {i + 2} are two: {why}")
    return out


def _why(a, b) -> str:
    for k in (a, b):
        if k.kind == "contract":
            return "a product of matrices is a region of its own"
        if k.kind == "together":
            return "not every part of the other needs one slice of it"
        if k.kind == "conv":
            return "a convolution is a region of its own"
        if k.kind == "call":
            return f"{k.roots[0].prim.name} is NumPy's"
        if k.kind in ("loop", "place", "shuffle", "put"):
            return f"{k.roots[0].prim.name} is a loop of its own"
    if a.space != b.space:
        return f"their loops count {a.space} and {b.space}"
    return "one reads elements of the other that are not there yet"
