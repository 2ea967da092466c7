"""Likeness: which kernels are the same code, known before any of it is written.

The layers of a network are computed alike, forward, backward and in the optimizer's update:
of a transformer of four layers a third of the kernels is new.
"""

from __future__ import annotations

from ...ir.graph import Const, frozen
from ...ir.positions import doubtful
from .sharing import Sum

LARGE = 2**16  # bytes of a constant from which on it is only like itself


def likeness(e, k):
    """(what two kernels have in common whose code is the same, the values that it points to).

    Values come in the order in which the kernel meets them, so that two alike may be called
    with their own pointers. What looks at positions is like no other: the first one checks.
    """
    s = e.schedule
    operations = s.operations(k)
    if any(doubtful(o, s.maker) for o in operations):
        return None, _values(e, k, ())
    read = _Reading(e, k, operations)
    lines = [read.operation(o) for o in operations]
    roots = [(read.at[o], k.levels.get(o), Sum(o) in e.pointers) for o in k.roots]
    key = k.kind, k.space, k.rank, k.pieces, tuple(roots), tuple(lines)
    return key, _values(e, k, read.values)


def _values(e, k, first) -> list:
    """The roots of what a kernel reads and makes; `first` are the first."""
    s = e.schedule
    roots = {s.root(v) for v in (*k.reads, *k.made)}
    rest = sorted(roots.difference(first), key=s.order)
    sums = [Sum(o) for o in k.roots if Sum(o) in e.pointers]
    return [*(v for v in first if v in roots), *rest, *sums]


class _Reading:
    """Numbers for operations and for the memory that they meet."""

    def __init__(self, e, k, operations):
        self.e, self.s = e, e.schedule
        self.renewed = e.renewed.get(k, ())
        self.at = {o: i for i, o in enumerate(operations)}
        self.places: dict = {}  # a pointer's number
        self.values: dict = {}  # the values met so far, in order

    def operation(self, o):
        """All that says what it computes, and where that goes."""
        stored = [self._stored(v) if v in self.s.stored else None for v in o.outputs]
        specs = [v.spec for v in o.outputs]
        inputs = [self._input(v) for v in o.inputs]
        return (
            o.prim.name,
            frozen(o.params),
            tuple(inputs),
            tuple(specs),
            tuple(stored),
        )

    def _input(self, v):
        if v in self.s.stored or v in self.s.alias:
            return self._stored(v)
        if isinstance(v, Const):
            return "number", v.spec, v.value.tobytes()
        o = self.s.maker[v]
        return self.at[o], o.outputs.index(v)

    def _stored(self, v):
        e, root = self.e, self.s.root(v)
        self.values.setdefault(root)
        known = None
        if isinstance(v, Const):
            known = v.value.tobytes() if v.value.nbytes < LARGE else id(v)
        place = None
        if root in e.pointers:
            pointer = e.pointers[root]
            place = self.places.setdefault(pointer, len(self.places))
        rows = self.s.local.get(v), self.s.local.get(root)
        view = self.s.views[v][1:] if v in self.s.views else None
        marks = v in e.streamed, root in e.streamed, root in self.renewed
        return "memory", place, v.spec, root.spec, rows, view, marks, known
