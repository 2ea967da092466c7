"""Bundles: equal operations on many small values are one operation on their stack.

Sixty numbers, each with a sine of its own, are sixty sines; stacked they are four vectors. What
is alike is found by `alike`; here a program is written anew with such values as slices of one.
It is kept if it costs less, stacking and taking apart among the costs.
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import numpy as np

from ..core.primitive import op
from .alike import LEAST, Alike, aligned, bundles, lane_of
from .graph import Const, Graph
from .price import VECTOR, price, price_of, vectors
from .rewrite import Rewriter
from .tracer import Tracer

BETTER = 0.9  # part of the cost that is left, at most
LONG = 8  # terms of one kind from which on a sum is one of a stack
_ADDS = {1: op.add, -1: op.sub}


def bundled(graph: Graph, alike: Alike | None = None) -> Graph:
    """The program with bundles, if it costs less; else as it is, slices that meet as one."""
    if not hopeful(graph):
        return graph
    alike = alike or Alike(graph)
    plain = Bundler(alike, ()).written() if _slices_meet(alike) else graph
    if not promising(alike):
        return plain
    whole = Bundler(alike, _chosen(alike)).written()
    return whole if price(whole) < BETTER * price(plain) else plain


def hopeful(graph: Graph, around: int = 0) -> bool:
    """Whether there is enough of what could be in bundles, and more than one of a kind."""
    some = [o for o in graph.operations if bundles(o)]
    kinds = Counter((o.prim, o.outputs[0].spec) for o in some)
    many = max(kinds.values(), default=0) >= LEAST
    stacks = any(o.prim.name == "stack" for o in graph.operations)
    least = (1 - BETTER) * price(graph) - around
    return stacks or (many and sum(map(price_of, some)) > least)


def promising(alike: Alike, around: int = 0) -> bool:
    """Whether bundles that cost nothing would be worth it; `around` are values saved there."""
    saved = around + sum(map(_saved, _chosen(alike)))
    return saved > (1 - BETTER) * price(alike.graph)


def _chosen(alike) -> list:
    """The classes that can be one operation each."""
    return [ns for ns in alike.classes if len(ns) >= LEAST and bundles(ns[0].last)]


def _saved(nodes) -> float:
    """What a class costs less as one operation on a stack that is there."""
    each = sum(map(price_of, nodes[0].operations))
    part = max(_part(v, len(nodes)) for v in nodes[0].last.outputs)
    return each * len(nodes) * (1 - part)


def _part(v, count) -> float:
    """How many vectors a stack takes for those that its values take alone."""
    return max(1, math.ceil(v.spec.bytes * count / VECTOR)) / (count * vectors(v))


def _slices_meet(alike) -> bool:
    """Whether slices of arrays are stacked."""
    stacks = (n for n in alike.nodes if n.last.prim.name == "stack")
    made = (alike.maker.get(v) for n in stacks for v in n.values())
    return any(o is not None and lane_of(o) for o in made)


class Bundler(Rewriter):
    """Writes a program, each class of nodes as one operation."""

    def __init__(self, alike: Alike, classes):
        super().__init__(alike.graph.name)
        self.alike, self.old = alike, alike.graph
        self.class_of = {n: ns for ns in classes for n in ns}
        self.done: set = set()
        self.values: dict = {}  # old value -> the new one
        self.lanes: dict = {}  # old value -> (array, dim, place)
        self.met: dict = {}  # (values, dim) -> their stack

    def written(self) -> Graph:
        for v in self.old.inputs:
            self.values[v] = Tracer(self, self.graph.add_input(v.name, v.spec))
        for n in self.alike.nodes:
            self._ensure(n)
        self.graph.outputs = [self.value(v).var for v in self.old.outputs]
        return self.graph.without_dead()

    def _ensure(self, node):
        """Write a node, after all that it and those written with it read."""
        todo = [node]
        while todo:
            n = todo[-1]
            if n in self.done:
                todo.pop()
                continue
            group = self.class_of.get(n, [n])
            made = (self.alike.node_of.get(v) for m in group for v in m.values())
            before = [m for m in made if m is not None and m not in self.done]
            todo += before
            if not before:
                self.done.update(group)
                self._write(group)

    def _write(self, group):
        first = group[0].last
        self.site, self.path = first.site, first.path
        self.origin = tuple(o for n in group for o in n.operations)
        if len(group) > 1:
            self._as_one(group)
        elif group[0].is_sum:
            self._sum(group[0])
        else:
            self._alone(first)

    # ------------------------------------------------------------ values

    def value(self, v):
        """The new value for an old one."""
        if isinstance(v, Const):
            return Tracer(self, self.graph.const(v.value))
        if v not in self.values:
            x, dim, i = self.lanes[v]
            self.values[v] = op.select(x, dim=dim, index=i)
        return self.values[v]

    def stacked(self, values, dim=0):
        """These values along a new dim; slices of one array that lie side by side are a slice."""
        key = tuple(values), dim
        if key not in self.met:
            self.met[key] = self._stacked(values, dim)
        return self.met[key]

    def _stacked(self, values, dim):
        if all(isinstance(v, Const) for v in values):
            array = np.stack([v.value for v in values], dim)
            return Tracer(self, self.graph.const(array))
        runs = [self._run(r, dim) for r in self._runs(values, dim)]
        if len(runs) == 1:
            return runs[0]()
        lanes = [self._lane(v, dim) for v in values]
        known = all(lanes) and one(x for x, *_ in lanes)
        if known and (4 * len(runs) > len(values) or lanes[0][0].ndim == 1):
            places = np.array([i for *_, i in lanes])
            return op.index(lanes[0][0], places, dim=dim)
        return op.cat(*(r() for r in runs), dim=dim)

    def _lane(self, v, dim):
        found = None if isinstance(v, Const) else self.lanes.get(v)
        return found if found and found[1] == dim else None

    def _runs(self, values, dim):
        """The values in runs: places of an array in a row, or none that are."""
        runs: list = []
        for v in values:
            lane = self._lane(v, dim)
            if runs and self._goes_on(runs[-1], lane):
                runs[-1].append((v, lane))
            else:
                runs.append([(v, lane)])
        return runs

    def _goes_on(self, run, lane) -> bool:
        before = run[-1][1]
        if lane is None or before is None:
            return lane is before
        same = lane[0].var is before[0].var and lane[2] > before[2]
        step = run[-1][1][2] - run[-2][1][2] if len(run) > 1 else None
        return same and step in (None, lane[2] - before[2])

    def _run(self, run, dim):
        """A function that gives the stack of a run."""
        values, lanes = zip(*run, strict=True)
        if lanes[0] is None:
            return lambda: op.stack(*map(self.value, values), dim=dim)
        x, n = lanes[0][0], lanes[0][0].shape[dim]
        first, last = lanes[0][2], lanes[-1][2]
        step = lanes[1][2] - first if len(run) > 1 else 1
        if (first, len(run), step) == (0, n, 1):
            return lambda: x
        key = [(0, m, 1) for m in x.shape]
        key[dim] = (first, last + 1, step)
        return lambda: op.slice(x, key=tuple(key))

    # ------------------------------------------------------------ one operation

    def _alone(self, o):
        """An operation as it is."""
        lane = lane_of(o)
        if lane is not None:
            x, dim, i = lane
            self.lanes[o.outputs[0]] = self.value(x), dim, i
            return
        if o.prim.name == "stack":
            y = self.stacked(o.inputs, o.params["dim"])
            self.values[o.outputs[0]] = y
            return
        ys = o.prim(*map(self.value, o.inputs), **o.params)
        ys = ys if o.prim.outputs != 1 else (ys,)
        self.values.update(zip(o.outputs, ys, strict=True))

    def _sum(self, n):
        """A sum; of many slices of one array as a sum over the array."""
        long = self._long(n)
        if not long:
            for o in n.operations:
                self._alone(o)
            return
        rest = [(s, v) for s, v in n.terms if (s, v) not in long]
        y = op.sum(self.stacked([v for _, v in long]), dim=(0,), keepdim=False)
        terms = [(long[0][0], y), *((s, self.value(v)) for s, v in rest)]
        self.values[n.last.outputs[0]] = _added(terms)

    def _long(self, n) -> list:
        """Terms of one sign that are slices of one array, if they are many."""
        found: dict = {}
        for s, v in n.terms:
            lane = self._lane(v, 0)
            if lane is not None and lane[0].dtype.kind == "f":
                found.setdefault((s, lane[0].var), []).append((s, v))
        most = max(found.values(), key=len, default=[])
        return most if len(set(most)) >= LONG and len(set(most)) == len(most) else []

    # ------------------------------------------------------------ many as one

    def _as_one(self, group):
        rows = [[v for _, v in aligned(n, group[0])] for n in group]
        order = self._order(rows)
        columns = list(zip(*(rows[i] for i in order), strict=True))
        size = len(group)
        if group[0].is_sum:
            signs = [s for s, _ in group[0].terms]
            shape = size, *group[0].last.outputs[0].spec.shape
            y = _added(
                [(s, self._column(c)[0]) for s, c in zip(signs, columns, strict=True)]
            )
            y = y if y.shape == shape else op.expand(y, shape=shape)
        else:
            o = group[0].last
            xs, dims = zip(*map(self._column, columns), strict=True)
            y, dim = o.prim.batch(size, xs, dims, o.params)
            if dim != 0:
                y = op.permute(y, dims=(dim, *(d for d in range(y.ndim) if d != dim)))
        for place, i in enumerate(order):
            self.lanes[group[i].last.outputs[0]] = y, 0, place

    def _column(self, values):
        """(what stands for one operand of all, its batch dim or None)."""
        if one(values):
            return self.value(values[0]), None
        return self.stacked(values), 0

    def _order(self, rows) -> list[int]:
        """The order of a class in which its operands are easiest to stack."""
        orders = [list(range(len(rows)))]
        for column in zip(*rows, strict=True):
            lanes = [self._lane(v, 0) for v in column]
            if all(lanes):
                of = {id(x.var): i for i, (x, *_) in reversed(list(enumerate(lanes)))}
                keys = [(of[id(x.var)], i) for x, _, i in lanes]
                orders.append(sorted(range(len(rows)), key=keys.__getitem__))
        return min(orders, key=lambda order: self._pieces(rows, order))

    def _pieces(self, rows, order) -> int:
        """Of how many pieces the operands are made."""
        columns = zip(*(rows[i] for i in order), strict=True)
        varied = [c for c in columns if not one(c)]
        return sum(len(self._runs(c, 0)) + self._cut(c) for c in varied)

    def _cut(self, column) -> bool:
        """Whether it is not a whole array as it is."""
        lanes = [self._lane(v, 0) for v in column]
        whole = all(lanes) and [i for *_, i in lanes] == list(
            range(lanes[0][0].shape[0])
        )
        return not whole


def one(values) -> bool:
    """Whether all are the same."""
    values = list(values)
    same = (getattr(x, "var", x) for x in values)
    return all(a is b for a, b in pairwise(same))


def _added(terms):
    """The sum of (sign, value)."""
    start = next((i for i, (s, _) in enumerate(terms) if s > 0), 0)
    sign, y = terms[start]
    y = y if sign > 0 else op.neg(y)
    for s, x in (*terms[:start], *terms[start + 1 :]):
        y = _ADDS[s](y, x)
    return y


__all__ = ["Bundler", "bundled", "hopeful", "promising"]
