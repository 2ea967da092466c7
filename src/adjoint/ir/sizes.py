"""Sizes: how a program changes with one size, found by comparing what was traced for two.

Nothing has to say which numbers of a program come from the size: two traces differ in them.
What a third one must look like is then known, number for number, and is compared with it.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from ..errors import site_line
from .graph import Const, Graph, frozen


class Unlike(Exception):
    """Programs of two sizes differ in more than the size."""


class Tag(NamedTuple):
    """Of a value of size n: its dim `dim` has `groups` × n × `times` places.

    Those of one example lie together, `times` of them, in each group. Without groups all
    places of the dim are alike.
    """

    dim: int
    times: int
    groups: int = 1


class Sizes:
    """What of a program of size n, an `other` one of size n + 1 beside it, the size decides."""

    def __init__(self, graph: Graph, n: int, other: Graph):
        self.graph, self.n = graph, n
        self.tags: dict = {}  # value -> Tag, of those that have one
        self.next: dict = {}  # operation -> its params for the size n + 1
        self.given: list = []  # (constant, that of the size n + 1) where they differ
        self.place: dict = {}  # (reader, place of the input) -> number in `given`
        _Walk(self).meet(graph, other)

    def values(self, graph: Graph, n: int) -> list:
        """The constants `given` as a program of the size n has them; Unlike if it is another."""
        found = _Compared(self, n)
        found.meet(self.graph, graph)
        return [found.values[i] for i in range(len(self.given))]

    def tag(self, v):
        """Its Tag, or None."""
        return self.tags.get(v)


def changed(spec, later):
    """The Tag of a value of this Spec that has another one for the next size; None if equal."""
    if spec.shape == later.shape:
        return None
    pairs = itertools.zip_longest(spec.shape, later.shape)
    dims = [d for d, (x, y) in enumerate(pairs) if x != y]
    if len(spec.shape) != len(later.shape) or len(dims) > 1:
        raise Unlike(
            f"a value has the shape {spec.shape} and, for one more, {later.shape}"
        )
    return Tag(dims[0], later.shape[dims[0]] - spec.shape[dims[0]])


class _Walk:
    """Goes through two programs side by side."""

    def __init__(self, sizes: Sizes):
        self.sizes = sizes

    def meet(self, graph, other) -> None:
        """Every operation beside that of the other program; what each makes is paired."""
        pairs: dict = {}
        self._need(len(graph.inputs) == len(other.inputs), "they read other values")
        for v, w in zip(graph.inputs, other.inputs, strict=True):
            self.pair(v, w, pairs)
        same = len(graph.operations) == len(other.operations)
        self._need(same, "they have not the same operations")
        for o, p in zip(graph.operations, other.operations, strict=True):
            self._operation(o, p, pairs)
        self._inputs(graph, graph.outputs, other.outputs, pairs)

    def _operation(self, o, p, pairs):
        self._need(o.prim is p.prim, f"{o.prim.name} is {p.prim.name}", o)
        self._inputs(o, o.inputs, p.inputs, pairs)
        self.params(o, p)
        for name, part in o.params.items():
            if isinstance(part, Graph):
                self.meet(part, p.params[name])
        for v, w in zip(o.outputs, p.outputs, strict=True):
            self.pair(v, w, pairs)

    def _inputs(self, reader, inputs, others, pairs):
        self._need(len(inputs) == len(others), "an operation reads other values")
        for i, (v, w) in enumerate(zip(inputs, others, strict=True)):
            if isinstance(v, Const) and isinstance(w, Const):
                self.constant(reader, i, v, w)
            else:
                self._need(pairs.get(v) is w, "an operation reads another value")

    def pair(self, v, w, pairs) -> None:
        """A value and that of the other program."""
        pairs[v] = w
        self._need(v.spec.dtype == w.spec.dtype, "a value has another dtype")
        tag = changed(v.spec, w.spec)
        if tag is None:
            return
        whole = v.spec.shape[tag.dim] == tag.times * self.sizes.n
        self._need(whole, f"a dim of {v.spec} is no multiple of the size")
        self.sizes.tags[v] = tag

    def params(self, o, p) -> None:
        """What is not fixed are whole numbers."""
        mine, other = plain(o.params), plain(p.params)
        ahead = _ahead(mine, other, 1)
        self._need(
            frozen(ahead) == frozen(other), "a number in it depends on the size", o
        )
        self.sizes.next[o] = other

    def constant(self, reader, i, c, d) -> None:
        """Constants that are not the same are told with every size."""
        self.pair(c, d, {})
        if _same(c, d):
            return
        pair = next(
            (k for k, (x, y) in enumerate(self.sizes.given) if x is c and y is d), None
        )
        if pair is None:
            pair = len(self.sizes.given)
            self.sizes.given.append((c, d))
        self.sizes.place[reader, i] = pair

    def _need(self, holds, what, o=None):
        if not holds:
            raise Unlike(what if o is None else f"{o.prim.name}: {what}{where_of(o)}")


class _Compared(_Walk):
    """Goes through a program and one of a third size, which must be what the two predict."""

    def __init__(self, sizes, n):
        super().__init__(sizes)
        self.steps, self.values = n - sizes.n, {}

    def pair(self, v, w, pairs) -> None:
        pairs[v] = w
        shape, tag = list(v.spec.shape), self.sizes.tag(v)
        if tag:
            shape[tag.dim] += tag.times * self.steps
        self._need(w.spec == (tuple(shape), v.spec.dtype), f"a value is {w.spec}")

    def params(self, o, p) -> None:
        mine, other = plain(o.params), plain(p.params)
        expected = _ahead(mine, self.sizes.next[o], self.steps)
        self._need(frozen(expected) == frozen(other), "its numbers are others", o)

    def constant(self, reader, i, c, d) -> None:
        k = self.sizes.place.get((reader, i))
        if k is None:
            self._need(_same(c, d), "a constant is another")
        else:
            self._need(_same(self.values.setdefault(k, d), d), "a constant is another")


def plain(params) -> dict:
    """Without the programs among them."""
    return {k: v for k, v in params.items() if not isinstance(v, Graph)}


def _ahead(x, later, steps):
    """A parameter so many sizes on, whole numbers growing as they do in the next one."""
    if isinstance(x, dict) and isinstance(later, dict) and x.keys() == later.keys():
        return {k: _ahead(v, later[k], steps) for k, v in x.items()}
    if isinstance(x, tuple) and isinstance(later, tuple) and len(x) == len(later):
        return tuple(_ahead(a, b, steps) for a, b in zip(x, later, strict=True))
    if type(x) is int and type(later) is int:
        return x + (later - x) * steps
    return x


def _same(c, d) -> bool:
    """Whether two constants are equal bit for bit, but for places that one has more."""
    if c.spec == d.spec:
        return c.value is d.value or c.value.tobytes() == d.value.tobytes()
    if c.spec.dtype != d.spec.dtype or len(c.spec.shape) != len(d.spec.shape):
        return False
    shared = tuple(slice(min(p)) for p in zip(c.spec.shape, d.spec.shape, strict=True))
    return c.value[shared].tobytes() == d.value[shared].tobytes()


def where_of(o) -> str:
    """Where the user wrote it."""
    file, line, text = site_line(o.site)
    return f", {file.rpartition('/')[2]}:{line}: {text}" if text else ""


__all__ = ["Sizes", "Tag", "Unlike"]
