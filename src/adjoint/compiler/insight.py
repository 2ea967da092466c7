"""Insight: what a compiled function became, where its time goes, and what memory it takes."""

from __future__ import annotations

import importlib
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..core import tree
from ..core.bind import Box
from ..core.threads import threads
from ..errors import AdjointError, ArgumentError, show_site
from ..files import write_text
from ..ir.graph import Graph
from ..ir.passes import PASSES, prepared
from ..ir.text import pretty, provenance
from ..printing import quietly
from .captured import inputs_of
from .cost import flop, nanoseconds
from .limits import least
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
    note: str = ""  # on which arguments the times were measured

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
            where = _first_of(r.lines)
            rows.append((str(i + 1), f"{r.kind}: {names}", size, *numbers, where))
        widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
        lines = [
            "  ".join(x.ljust(w) for x, w in zip(r, widths, strict=True)) for r in rows
        ]
        rows = [head, *(line.rstrip() for line in lines), *self.cuts]
        return "\n".join([*rows, self.note] if self.note else rows)

    __repr__ = __str__


class Insight:
    """What a compiled function tells about itself, once it was called."""

    programs: OrderedDict
    met: tuple
    unfit: dict
    _found: Callable
    __name__: str

    def _step(self, *args, **kwargs):
        """The program of these arguments, or the one that was used last."""
        like, shape = self.met
        leaves = like() if like and not self.programs else None
        if args or kwargs:
            leaves, shape = tree.flatten((args, kwargs))
            _need_numbers(leaves)
        if leaves is not None:
            step, _ = self._found(leaves, shape)
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
                hint="call it first; or, where it makes no state on the way, as an optimizer "
                "does in its first step, give the arguments here",
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

    def program(self, *args, after=None, lines=False, **kwargs) -> str:
        """The captured program as straight-line text; `after` a pass: see `PASSES`.

        With `lines`, each operation with the place in the network and the line that wrote it,
        and after a pass with the values of the captured program that it was made of.

        >>> f = compile(lambda x: x * 2 + 1)
        >>> print(f.program(tensor(1.)))
        f(x1: float32[]):
          z1 = x1 * 2
          z2 = z1 + 1
          return z2
        >>> print(f.program(tensor(1.), after="all", lines=True).split("#")[1].split(":")[0])
         of z1
        """
        captured = self._step(*args, **kwargs).captured.graph
        if after == "memory":
            graph = self._native(*args, **kwargs).part.graph
        else:
            graph = captured if after is None else _after(captured, after)
        return str(pretty(graph, provenance(captured) if lines else None))

    def llvm(self, *args, **kwargs) -> str:
        """The program as LLVM was given it.

        >>> f = compile(lambda x: x * 2)
        >>> "define" in f.llvm(tensor(1.))
        True
        """
        return self._native(*args, **kwargs).text()

    def asm(self, *args, **kwargs) -> str:
        """The program as this processor runs it.

        >>> f = compile(lambda x: x * 2)
        >>> "ret" in f.asm(tensor(1.))
        True
        """
        return self._native(*args, **kwargs).assembly()

    def memory(self, *args, **kwargs) -> Memory:
        """What memory the program takes, when the most, for which values, of which lines.

        >>> f = compile(lambda x: (x * 2).sum())
        >>> f.memory(ones(1000)).arguments
        4000
        """
        native = self._native(*args, **kwargs)
        results = [s.bytes for s in native.surface.specs]
        given = [native.surface.states, native.surface.arguments]
        states, arguments = (sum(v.spec.bytes for v in vs) for vs in given)
        part = native.part
        sizes = part.inside, states, sum(results), arguments
        return Memory(*sizes, *at_peak(part), computed_again(part))

    def explain(self, *args, **kwargs) -> Explanation:
        """Its regions with their source, their work and their time.

        The time is measured on copies: no state changes. Without arguments it is that for
        arbitrary numbers; a loop that ends when they say so is then not measured.

        >>> f = compile(lambda x: (x * 2).sum())
        >>> (region,) = f.explain(ones(1000)).regions
        >>> region.operations, region.flop, region.bytes
        (('mul', 'sum'), 2000, 4004)
        """
        native = self._native(*args, **kwargs)
        kernels = native.part.schedule.kernels
        regions = [_region(k, native.part) for k in kernels]
        spent, note = self._measured(args, kwargs)
        if spent:
            s = native.part.schedule
            regions = [
                _timed(r, k, s, seconds)
                for r, k, seconds in zip(regions, kernels, spent, strict=True)
            ]
        cuts = _cuts(native.part.schedule)
        return Explanation(self.__name__, regions, native.build_seconds, cuts, note)

    def profile(self, *args, to=None, **kwargs) -> dict:
        """One run as a Chrome trace, for chrome://tracing and Perfetto; `to` names a file.

        >>> f = compile(lambda x: x.exp().sum())
        >>> event = f.profile(ones(1000))["traceEvents"][0]
        >>> event["ph"], "exp, sum" in event["name"], event["dur"] > 0
        ('X', True, True)
        """
        told = self.explain(*args, **kwargs)
        events, start = [], 0.0
        for i, r in enumerate(told.regions):
            if r.seconds is None:
                raise ArgumentError(f"profile: {told.note}")
            place = {"ph": "X", "ts": start, "dur": r.seconds * 1e6, "pid": 0, "tid": 0}
            name = f"{i + 1} {r.kind}: {_shortened(r.operations)}"
            events.append({"name": name, **place, "args": _about(r)})
            start += r.seconds * 1e6
        name = {
            "name": "process_name",
            "ph": "M",
            "pid": 0,
            "args": {"name": told.name},
        }
        trace = {"traceEvents": [*events, name], "displayTimeUnit": "ns"}
        if to is not None:
            write_text(to, json.dumps(trace))
        return trace

    def _measured(self, args, kwargs) -> tuple[list[float], str]:
        """(seconds of each region, what is said of them), on copies of the states."""
        step = self._step(*args, **kwargs)
        if args or kwargs:
            leaves = self._found(*tree.flatten((args, kwargs)))[1]
            return _clocked(step, [x.value.copy() for x in inputs_of(leaves)]), ""
        if _open_ended(step.captured.graph):
            return [], "how long it takes depends on numbers: give the arguments"
        given = step.captured.graph.inputs[: step.captured.arguments]
        try:
            spent = _clocked(step, [_numbers(v.spec) for v in given])
        except (AdjointError, ArithmeticError, ValueError) as error:
            return [], f"it refuses arbitrary numbers ({error}): give the arguments"
        return spent, "measured on arbitrary numbers" if given else ""


def _need_numbers(leaves) -> None:
    """A program is shown for arguments that have memory of their own."""
    if any(isinstance(x, Box) and isinstance(x.value, Box) for x in leaves):
        raise ArgumentError(
            "these arguments have no numbers: they are values of a transform, or of a "
            "function that is being compiled",
            hint="look at the program outside, with tensors of the same shapes",
        )


def _after(graph, last) -> Graph:
    """The program after a pass and all before it."""
    if last not in PASSES:
        names = ", ".join([*PASSES, "memory"])
        raise ArgumentError(f"program: after must be one of {names}, got {last!r}")
    return prepared(graph, last=last)


RUNS, LONG = 7, 1.0  # as often is measured, but for no longer than so many seconds


def _clocked(step, arrays) -> list[float]:
    """Seconds of each region, the median of several runs; nothing is printed meanwhile."""
    captured, extras = step.captured, []
    if hasattr(step.run, "family"):  # a program for any number of examples
        arrays, extras = step.run.for_all(arrays)
        captured = step.run.family.captured
    clocked = importlib.import_module(".native.clocked", __package__)
    run = clocked.Clocked(captured)
    with quietly():
        run(arrays, extras)
        runs = [run(arrays, extras)]
        while len(runs) < RUNS and sum(map(sum, runs)) < LONG:
            runs.append(run(arrays, extras))
    return _each(np.median(runs, axis=0).tolist(), run.native.part)


def _open_ended(graph) -> bool:
    """Whether numbers decide how often something in it is done."""
    parts = any(map(_open_ended, graph.parts()))
    return parts or any(o.prim.name == "repeat_while" for o in graph.operations)


def _numbers(spec) -> np.ndarray:
    """Some that all operations take: between 0 and 1, and positions that are there."""
    rng = np.random.default_rng(0)
    if spec.dtype.kind in "fcV":
        return rng.uniform(0.1, 0.9, spec.shape).astype(spec.dtype)
    return np.zeros(spec.shape, spec.dtype)


def _about(r) -> dict:
    """What a trace tells of a region."""
    return {
        "space": list(r.space),
        "lines": list(r.lines),
        "flop": r.flop,
        "bytes": r.bytes,
        "of limit": r.share,
        "chunks": r.chunks,
    }


def _first_of(lines) -> str:
    """The first line, and how many there are besides."""
    more = len(lines) - 1
    return (lines[0] if lines else "") + (f" and {more} more" if more > 0 else "")


def _shortened(names, most=4) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown}, {len(names) - most} more"


def _region(k, part) -> Region:
    operations = part.schedule.operations(k)
    lines = dict.fromkeys(show_site(o.site) for o in operations if o.site)
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


def _each(seconds, part) -> list[float]:
    """Of a chain, whose time is that of its first kernel, each kernel's by estimate."""
    s, found = part.schedule, list(seconds)
    for k, chain in part.chains.items():
        spent = [nanoseconds(m, s) for m in chain.members]
        whole = seconds[s.number[chain.members[0]]]
        found[s.number[k]] = whole * nanoseconds(k, s) / sum(spent)
    return found


def _timed(r, k, schedule, seconds) -> Region:
    """With its time, and what this machine needs at least for as many threads as it has."""
    help = min(r.chunks, threads.count)
    kind = _computed_with(k, schedule)
    return r._replace(seconds=seconds, floor=least(r.flop, r.bytes, kind, max(help, 1)))


def _computed_with(k, schedule) -> str:
    """The numbers that most of its arithmetic is done with."""
    products = [o for o in schedule.operations(k) if o.prim.name == "contract"]
    if any(all(v.spec.dtype.str[1:] == "V2" for v in o.inputs) for o in products):
        return "bfloat16"
    dtype = max((v.spec.dtype for v in k.made), key=lambda d: d.itemsize)
    return "float64" if dtype.itemsize >= 8 and dtype.kind in "fc" else "float32"


def _cuts(schedule) -> list[str]:
    """Why neighbouring regions are not one."""
    out = []
    for i, (a, b) in enumerate(pairwise(schedule.kernels)):
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
