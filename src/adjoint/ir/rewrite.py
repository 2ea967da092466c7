"""Rewrite: a program interpreted into another one, operation by operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.dtype import is_short
from ..core.primitive import Elementwise, op
from .graph import Const, Graph, Operation, Var
from .tracer import TraceLevel, Tracer

_FLOAT32 = np.dtype("float32")
_SHOWS = frozenset({"reshape", "contiguous", "view_as_real", "view_as_complex"})


class Rewriter(TraceLevel):
    """Writes a new program while an old one is read; sites are those of the old."""

    site: Any = None
    origin: tuple = ()
    path = ""

    def follow(self, o) -> None:
        """What is written from now on is made of this operation."""
        self.site, self.origin, self.path = o.site, (o,), o.path

    def process(self, prim, args, params):
        inputs = [self.var(x) for x in args]
        about = self.site, self.origin, self.path
        outputs = self.graph.add(prim, inputs, params, *about)
        boxes = tuple(Tracer(self, v) for v in outputs)
        return boxes if prim.outputs != 1 else boxes[0]


def expanded(graph: Graph) -> Graph:
    """The program with composite operations written in simpler ones."""
    level = Rewriter(graph.name)
    env: dict = {}
    for v in graph.inputs:
        env[v] = Tracer(level, level.graph.add_input(v.name, v.spec))
    for c in graph.consts:
        env[c] = Tracer(level, level.graph.const(c.value))
    for o in graph.operations:
        level.follow(o)
        ys = _written(level, o, [env[v] for v in o.inputs])
        env.update(zip(o.outputs, ys, strict=True))
    level.graph.outputs = [env[v].var for v in graph.outputs]
    return level.graph.without_dead()


def _written(level, o, xs):
    """The results of an operation; floats of two bytes are rounded when it is done."""
    if _widens(o):
        xs = [_wider(level, x) for x in xs]
    write = o.prim.expand or o.prim
    ys = write(*xs, **o.params)
    ys = ys if o.prim.outputs != 1 else (ys,)
    return [_as(y, v.spec.dtype) for y, v in zip(ys, o.outputs, strict=True)]


_SUMS = "sum mean prod amax amin cumsum cumprod recurrence logcumsumexp searchsorted"
_PLACES = "cummax_index cummin_index argmax argmin topk_index kth_index"
_PRODUCTS = "contract conv conv_data conv_weight"
_MOVES = frozenset({"bits", "overwrite"})  # they compute nothing
_IN_FLOAT32 = frozenset([*_SUMS.split(), *_PLACES.split(), *_PRODUCTS.split()])


def _widens(o) -> bool:
    """Whether it is arithmetic on floats of two bytes: in float32, as eager computes it."""
    if not any(is_short(v.spec.dtype) for v in (*o.inputs, *o.outputs)):
        return False
    p = o.prim
    if p.name in _MOVES:
        return False
    lowers = isinstance(p, Elementwise) and p.lower is not None and "f" in p.lowers
    return lowers or p.expand is not None or p.name in _IN_FLOAT32


def _wider(level, x):
    if not is_short(x.dtype):
        return x
    if isinstance(x.var, Const):
        return Tracer(level, level.graph.const(x.var.value.astype(_FLOAT32)))
    return op.cast(x, dtype=_FLOAT32)


def _as(y, dtype):
    return y if y.dtype == dtype else op.cast(y, dtype=dtype)


def quiet(params: dict) -> dict:
    """Parameters whose programs do what they compute and nothing besides: to be run again."""
    return {k: _quiet(v) if isinstance(v, Graph) else v for k, v in params.items()}


def _quiet(graph: Graph) -> Graph:
    if not _happens(graph):
        return graph
    out, known = Graph(graph.name), {}
    out.inputs, out.consts = graph.inputs, graph.consts
    for o in graph.operations:
        inputs = tuple(known.get(v, v) for v in o.inputs)
        if o.prim.happens:
            known[o.outputs[0]] = inputs[0]  # the order of the next is that of this one
        else:
            out.operations.append(o.changed(inputs=inputs, params=quiet(o.params)))
    out.outputs = [known.get(v, v) for v in graph.outputs]
    return out


def _happens(graph) -> bool:
    return any(o.prim.happens for o in graph.operations) or any(
        map(_happens, graph.parts())
    )


def separated(graph: Graph) -> Graph:
    """The program with every output computed: a copy of what is an input or another output."""
    maker = {v: o for o in graph.operations for v in o.outputs}
    taken: set = set(graph.inputs) | set(graph.consts)
    copies = []
    for i, v in enumerate(graph.outputs):
        root = v
        while root in maker and maker[root].prim.name in _SHOWS:
            root = maker[root].inputs[0]
        if root in taken or v in taken:
            copies.append(_copy(v))
            graph.outputs[i] = copies[-1][-1].outputs[0]
        taken |= {root, v}
    early = [o for c in copies if c[0].inputs[0] not in maker for o in c]
    late = [o for c in copies if c[0].inputs[0] in maker for o in c]
    graph.operations = [*early, *graph.operations, *late]
    return graph.without_dead()


def _copy(v) -> list:
    """The operations of a copy; of complex numbers, of their parts as they lie."""
    if v.spec.dtype.kind != "c":
        return [Operation(op.contiguous, (v,), {}, (Var("", v.spec),))]
    out = []
    for prim in (op.view_as_real, op.contiguous, op.view_as_complex):
        y = Var("", prim.infer(v.spec))
        out.append(Operation(prim, (v,), {}, (y,)))
        v = y
    return out


def trimmed(graph: Graph) -> Graph:
    """The program whose loops make no rows that nobody reads, and are given none."""
    used = set(graph.outputs)
    out = []
    for o in reversed(graph.operations):
        if o.prim.name == "scan":
            o = _without_unread(_without_rows(o, used))
        out.append(o)
        used.update(o.inputs)
    graph.operations = out[::-1]
    return graph


def _without_rows(o, used):
    k, body = o.params["carries"], o.params["body"]
    kept = [i for i, v in enumerate(o.outputs) if i < k or v in used]
    if len(kept) == len(o.outputs):
        return o
    outputs = tuple(o.outputs[i] for i in kept)
    lean = _body(body, body.inputs, [body.outputs[i] for i in kept])
    return o.changed(params={**o.params, "body": lean}, outputs=outputs)


def _without_unread(o):
    """The scan without rows and values from outside that no step reads."""
    k, m, body = o.params["carries"], o.params["mapped"], o.params["body"]
    read = {v for p in body.operations for v in p.inputs} | set(body.outputs)
    kept = [i for i, v in enumerate(body.inputs) if i < k or v in read]
    if len(kept) == len(body.inputs):
        return o
    lean = _body(body, [body.inputs[i] for i in kept], body.outputs)
    mapped = sum(k <= i < k + m for i in kept)
    params = {**o.params, "body": lean, "mapped": mapped}
    return o.changed(params=params, inputs=tuple(o.inputs[i] for i in kept))


def _body(body, inputs, outputs):
    """A body with other inputs or outputs, and what these need."""
    lean = Graph(body.name)
    lean.inputs, lean.outputs = inputs, outputs
    lean.operations, lean.consts = body.operations, body.consts
    return lean.without_dead()


__all__ = ["expanded", "separated", "trimmed"]
