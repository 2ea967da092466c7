"""Rewrite: a program interpreted into another one, operation by operation."""

from __future__ import annotations

from typing import Any

from ..core.primitive import op
from .graph import Graph, Operation, Var
from .tracer import TraceLevel, Tracer


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
        xs = [env[v] for v in o.inputs]
        write = o.prim.expand or o.prim
        ys = write(*xs, **o.params)
        for v, y in zip(o.outputs, ys if o.prim.outputs != 1 else (ys,), strict=True):
            env[v] = y
    level.graph.outputs = [env[v].var for v in graph.outputs]
    return level.graph.without_dead()


def separated(graph: Graph) -> Graph:
    """The program with every output computed: a copy of what is an input or another output."""
    maker = {v: o for o in graph.operations for v in o.outputs}
    taken: set = set(graph.inputs) | set(graph.consts)
    copies = []
    for i, v in enumerate(graph.outputs):
        root = v
        while root in maker and maker[root].prim.name in ("reshape", "contiguous"):
            root = maker[root].inputs[0]
        if root in taken or v in taken:
            copy = Operation(op.contiguous, (v,), {}, (Var("", v.spec),))
            copies.append(copy)
            graph.outputs[i] = copy.outputs[0]
        taken |= {root, v}
    early = [c for c in copies if c.inputs[0] not in maker]
    late = [c for c in copies if c.inputs[0] in maker]
    graph.operations = [*early, *graph.operations, *late]
    return graph.without_dead()


def trimmed(graph: Graph) -> Graph:
    """The program whose loops make no rows that nobody reads."""
    used = set(graph.outputs)
    out = []
    for o in reversed(graph.operations):
        if o.prim.name == "scan":
            o = _without_rows(o, used)
        out.append(o)
        used.update(o.inputs)
    graph.operations = out[::-1]
    return graph


def _without_rows(o, used):
    k, body = o.params["carries"], o.params["body"]
    kept = [i for i, v in enumerate(o.outputs) if i < k or v in used]
    if len(kept) == len(o.outputs):
        return o
    lean = Graph(body.name)
    lean.inputs, lean.operations, lean.consts = (
        body.inputs,
        body.operations,
        body.consts,
    )
    lean.outputs = [body.outputs[i] for i in kept]
    outputs = tuple(o.outputs[i] for i in kept)
    params = {**o.params, "body": lean.without_dead()}
    return o.changed(params=params, outputs=outputs)


__all__ = ["expanded", "separated", "trimmed"]
