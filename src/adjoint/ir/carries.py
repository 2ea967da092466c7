"""Carries: values of one kind that go round a loop together are one array.

They are stacked before the loop, rows and values from outside with them, and taken apart after
it; `bundles` does the rest in the body. The reverse of a loop takes the stacked rows as they are.
"""

from __future__ import annotations

from collections import defaultdict

from ..core.primitive import op
from ..core.shape import Spec
from .alike import LEAST, WIDEST, Alike, lane_of
from .bundles import BETTER, bundled, hopeful, promising
from .graph import Const, Graph, Operation, Var
from .price import price
from .rewrite import expanded


def gathered(graph: Graph) -> Graph:
    """The program, and those of its loops and branches, with bundles."""
    return bundled(_with_loops(graph))


def _with_loops(graph):
    """The program with what is gathered in its loops and branches."""
    out, maker = [], {}
    for o in graph.operations:
        new = _of_loop(o, maker) if o.prim.name == "scan" else [_of_parts(o)]
        out += new
        maker.update((v, p) for p in new for v in p.outputs)
    graph.operations = out
    return graph


def _of_parts(o):
    """A branch or a loop whose programs have bundles of their own."""
    parts = {
        k: gathered(_simple(p)) for k, p in o.params.items() if isinstance(p, Graph)
    }
    return o.changed(params={**o.params, **parts}) if parts else o


def _simple(body):
    """A body in simple operations."""
    return expanded(body) if any(o.prim.expand for o in body.operations) else body


def _of_loop(o, maker) -> list:
    """The operations for a scan: it with more in one array, and what comes before and after."""
    body = _with_loops(o.params["body"])
    if not hopeful(body, len(body.inputs) + len(body.outputs)):
        return [o]
    body = _simple(body)
    o = o.changed(params={**o.params, "body": body})
    loop = _Loop(o, maker)
    if loop.saved and promising(loop.alike, loop.saved):
        new = bundled(loop.body())
        if price(new) < BETTER * price(body):
            return loop.around(new)
    lean = bundled(body, loop.alike)
    return [o if lean is body else o.changed(params={**o.params, "body": lean})]


class _Loop:
    """A scan, and which of its values are of one kind."""

    def __init__(self, o, maker):
        self.o, self.maker, self.old = o, maker, o.params["body"]
        self.k, self.m = o.params["carries"], o.params["mapped"]
        uses = self._uses()
        first = self._inputs(uses)
        colours = {self.old.inputs[i]: g for g, some in enumerate(first) for i in some}
        self.alike = Alike(self.old, colours)
        self.ends = [_colour(self.alike, v) for v in self.old.outputs]
        self.inputs = self._inputs(uses, self.ends)
        self.outputs = self._outputs()
        groups = (*self.inputs, *self.outputs)
        self.saved = sum(len(g) - 1 for g in groups)  # values that are no longer there

    def _uses(self) -> dict:
        """What each input is read by."""
        found = defaultdict(list)
        for p in self.old.operations:
            for i, v in enumerate(p.inputs):
                found[v].append((p.prim.name, i))
        return {v: tuple(sorted(found[v])) for v in self.old.inputs}

    def _inputs(self, uses, ends=()) -> list[list[int]]:
        """Numbers of inputs, those of one kind together."""
        kinds = defaultdict(list)
        for i, v in enumerate(self.old.inputs):
            fine = uses[v], ends[i] if ends and i < self.k else None
            kinds[self._role(i), v.spec, self._source(i)].append((fine, i))
        return sorted(g for some in kinds.values() for g in _split(some))

    def _role(self, i) -> int:
        return (i >= self.k) + (i >= self.k + self.m)

    def _source(self, i):
        """The array of which an input is a slice, if it is a row or from outside."""
        if i < self.k:
            return None
        p = self.maker.get(self.o.inputs[i])
        lane = p and lane_of(p)
        return (id(lane[0]), lane[1]) if lane else None

    def _outputs(self) -> list[list[int]]:
        """Numbers of outputs: carries as the inputs are, then rows of one kind."""
        carried = [g for g in self.inputs if g[0] < self.k]
        start = {self.old.inputs[i]: n for n, g in enumerate(carried) for i in g}
        kinds = defaultdict(list)
        for i, v in enumerate(self.old.outputs[self.k :], self.k):
            begins = ("start", start[v]) if v in start else self.ends[i]
            kinds[v.spec, begins].append(i)
        rows = [h for (s, _), g in kinds.items() for h in _worth(g, s)]
        return carried + sorted(rows)

    # ------------------------------------------------------------ the body

    def body(self) -> Graph:
        """The body on arrays: slices of inputs first, stacks for outputs last."""
        old = self.old
        new = Graph(old.name)
        new.consts, new.outputs = old.consts, []
        for g in self.inputs:
            values = [old.inputs[i] for i in g]
            if len(g) == 1:
                new.inputs += values
                continue
            x = _array(values, 0, f"{values[0].name}_all")
            new.inputs.append(x)
            new.operations += _apart(x, values, 0)
        new.operations += old.operations
        for g in self.outputs:
            values = [old.outputs[i] for i in g]
            if len(g) == 1:
                new.outputs += values
                continue
            y = _array(values, 0, f"out{g[0]}_all")
            new.operations.append(Operation(op.stack, tuple(values), {"dim": 0}, (y,)))
            new.outputs.append(y)
        return new

    # ------------------------------------------------------------ around it

    def around(self, body) -> list:
        """Stacks, the loop, slices of its results."""
        o, before, after = self.o, [], []
        inputs, outputs = [], []
        for g in self.inputs:
            values = [o.inputs[i] for i in g]
            if len(g) == 1:
                inputs += values
                continue
            dim = int(self._role(g[0]) == 1)
            x = _array(values, dim, f"{values[0].name}_all")
            before.append(
                Operation(op.stack, tuple(values), {"dim": dim}, (x,), o.site)
            )
            inputs.append(x)
        for g in self.outputs:
            values = [o.outputs[i] for i in g]
            if len(g) == 1:
                outputs += values
                continue
            dim = int(g[0] >= self.k)
            y = _array(values, dim, f"{values[0].name}_all")
            after += _apart(y, values, dim, o.site)
            outputs.append(y)
        roles = [self._role(g[0]) for g in self.inputs]
        counts = {"carries": roles.count(0), "mapped": roles.count(1)}
        params = {**o.params, **counts, "body": body}
        loop = o.changed(inputs=tuple(inputs), params=params, outputs=tuple(outputs))
        return [*before, loop, *after]


def _array(values, dim, name):
    """A variable for these values along a new dim."""
    shape, dtype = values[0].spec
    return Var(name, Spec((*shape[:dim], len(values), *shape[dim:]), dtype))


def _colour(alike, v):
    return ("constant", v.spec) if isinstance(v, Const) else alike.colour[v]


def _split(some) -> list[list[int]]:
    """Inputs of one kind apart by what is fine about them, where enough are alike."""
    fine = defaultdict(list)
    for f, i in some:
        fine[f].append(i)
    few = sorted(i for g in fine.values() if len(g) < LEAST for i in g)
    many = [g for g in fine.values() if len(g) >= LEAST]
    if many and few:
        max(many, key=len).extend(few)
        few = []
    return [
        sorted(h)
        for g in (*many, few)
        if g
        for h in ([g] if len(g) >= LEAST else [[i] for i in g])
    ]


def _worth(g, spec) -> list[list[int]]:
    """Together, if they are many and small; else each alone."""
    together = len(g) >= LEAST and spec.size <= WIDEST and spec.dtype.kind != "c"
    return [g] if together else [[i] for i in g]


def _apart(x, values, dim, site=None) -> list:
    return [
        Operation(op.select, (x,), {"dim": dim, "index": i}, (v,), site)
        for i, v in enumerate(values)
    ]


__all__ = ["gathered"]
