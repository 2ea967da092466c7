"""Joins: gradients of the parts of an array, put together instead of added up."""

from __future__ import annotations

from collections import Counter

from ..core.primitive import op
from .graph import Graph


def joined(graph: Graph) -> Graph:
    """The program with sums of slices that fill an array written as that array.

    unslice(x, 0:2) + unslice(y, 2:5) -> cat(x, y)
    """
    maker = {v: o for o in graph.operations for v in o.outputs}
    read = Counter(v for o in graph.operations for v in o.inputs)
    read.update(graph.outputs)
    inside = {
        v
        for o in graph.operations
        if o.prim.name == "add"
        for v in o.inputs
        if read[v] == 1 and _made_by(maker, v, "add")
    }
    for i, o in enumerate(graph.operations):
        if o.prim.name == "add" and o.outputs[0] not in inside:
            graph.operations[i] = _as_one(o, maker, inside)
    return graph.without_dead()


def _made_by(maker, v, name) -> bool:
    return v in maker and maker[v].prim.name == name


def _as_one(o, maker, inside):
    """The sum, or what it is where its terms lie side by side and fill the result."""
    terms, todo = [], [*o.inputs]
    while todo:
        v = todo.pop()
        if v in inside:
            todo += maker[v].inputs
        else:
            terms.append(v)
    if not all(_made_by(maker, v, "unslice") for v in terms):
        return o
    spec = o.outputs[0].spec
    parts = [maker[v] for v in terms]
    if any(p.outputs[0].spec != spec for p in parts):
        return o
    keys = [p.params["key"] for p in parts]
    if not all(isinstance(part, tuple) for key in keys for part in key):
        return o  # a dim is dropped or added
    d = _only_dim(keys, spec.shape)
    if d is None:
        return o
    parts.sort(key=lambda p: p.params["key"][d][0])
    edges = [p.params["key"][d] for p in parts]
    ends = [0, *(stop for _, stop, _ in edges)]
    steps = {step for *_, step in edges}
    if [e[0] for e in edges] != ends[:-1] or ends[-1] != spec.shape[d] or steps != {1}:
        return o
    inputs = tuple(p.inputs[0] for p in parts)
    return o.changed(prim=op.cat, inputs=inputs, params={"dim": d})


def _only_dim(keys, shape):
    """The one dim of which the slices take parts, or None; numbers take single elements."""
    if any(type(part) is not tuple for key in keys for part in key):
        return None
    cut = {
        d
        for key in keys
        for d, (part, n) in enumerate(zip(key, shape, strict=True))
        if tuple(part) != (0, n, 1)
    }
    return cut.pop() if len(cut) == 1 else None
