"""Explained: the regions of a program with their source, their work and their time."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..core.threads import threads
from ..errors import ArgumentError, show_site
from ..files import write_text
from ..ir.graph import Graph
from ..ir.passes import PASSES, prepared
from ..printing import quietly
from .limits import least
from .memory import Memory, at_peak, computed_again
from .native.late import contractions
from .schedule.cost import flop, nanoseconds


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


def explanation(name, native, spent, note) -> Explanation:
    """What is told of a program whose regions took `spent` seconds each, if that is known."""
    kernels = native.part.schedule.kernels
    regions = [_region(k, native.part) for k in kernels]
    if spent:
        s = native.part.schedule
        regions = [
            _timed(r, k, s, seconds)
            for r, k, seconds in zip(regions, kernels, spent, strict=True)
        ]
    cuts = _cuts(native.part.schedule)
    return Explanation(name, regions, native.build_seconds, cuts, note)


def trace(told: Explanation, to) -> dict:
    """One run as a Chrome trace; `to` names a file."""
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


def memory(native) -> Memory:
    """What memory a program takes."""
    s, part = native.surface, native.part
    states, arguments = (
        sum(p.spec.bytes for p in ps) for ps in (s.states, s.arguments)
    )
    results = sum(spec.bytes for spec in s.specs)
    sizes = s.inside, states, results, arguments
    return Memory(*sizes, *at_peak(part), computed_again(part))


def after(graph, last) -> Graph:
    """The program after a pass and all before it."""
    if last not in PASSES:
        names = ", ".join([*PASSES, "memory"])
        raise ArgumentError(f"program: after must be one of {names}, got {last!r}")
    return prepared(graph, last=last)


RUNS, LONG = 7, 1.0  # as often is measured, but for no longer than so many seconds


def clocked(step, arrays) -> list[float]:
    """Seconds of each region, the median of several runs; nothing is printed meanwhile."""
    captured, extras = step.captured, []
    if hasattr(step.run, "family"):  # a program for any number of examples
        arrays, extras = step.run.for_all(arrays)
        captured = step.run.family.captured
    code = importlib.import_module(".native.clocked", __package__)
    run = code.Clocked(captured)
    with quietly():
        run(arrays, extras)
        runs = [run(arrays, extras)]
        while len(runs) < RUNS and sum(map(sum, runs)) < LONG:
            runs.append(run(arrays, extras))
    return _each(np.median(runs, axis=0).tolist(), run.native.part)


def open_ended(graph) -> bool:
    """Whether numbers decide how often something in it is done."""
    parts = any(map(open_ended, graph.parts()))
    return parts or any(o.prim.name == "repeat_while" for o in graph.operations)


def numbers(spec) -> np.ndarray:
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
    if any(map(contractions.in_thirds, products)):
        return "thirds"
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
