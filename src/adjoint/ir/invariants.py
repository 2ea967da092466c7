"""Invariants: what every step of a loop would compute alike is computed once, before it."""

from __future__ import annotations

from ..core.primitive import op
from ..core.shape import Spec
from ..ops.contract import letters_of
from .graph import Const, Graph, Operation, Var
from .pairs import paired
from .rewrite import expanded


def hoisted(graph: Graph) -> Graph:
    """The program with the invariants of its scans before them."""
    out = []
    for o in graph.operations:
        if o.prim.name == "scan":
            before, o = _without_invariants(o)
            out += before
        out.append(o)
    graph.operations = out
    constants = dict.fromkeys(v for o in out for v in o.inputs if isinstance(v, Const))
    graph.consts = list({**dict.fromkeys(graph.consts), **constants})
    return graph


def _without_invariants(o):
    """(operations to run first, the scan without them)."""
    first = o.params["carries"] + o.params["mapped"]
    body = _turned(paired(expanded(o.params["body"])), first)
    outer = dict(zip(body.inputs[first:], o.inputs[first:], strict=True))
    moved, kept = [], []
    for p in body.operations:
        known = [v for v in p.inputs if not isinstance(v, Const)]
        if known and all(v in outer for v in known):
            moved.append(p)
            outer.update({v: Var(f"{v.name}_before", v.spec) for v in p.outputs})
        else:
            kept.append(p)
    if not moved:
        return [], o
    read = {v for p in kept for v in p.inputs} | set(body.outputs)
    extra = [v for p in moved for v in p.outputs if v in read]
    lean = Graph(body.name)
    lean.inputs, lean.consts = [*body.inputs, *extra], body.consts
    lean.operations, lean.outputs = kept, body.outputs
    before = [
        p.changed(
            inputs=tuple(outer.get(v, v) for v in p.inputs),
            outputs=tuple(outer[v] for v in p.outputs),
        )
        for p in moved
    ]
    inputs = (*o.inputs, *(outer[v] for v in extra))
    params = {**o.params, "body": lean.without_dead()}
    return before, o.changed(inputs=inputs, params=params)


def _turned(body: Graph, first: int) -> Graph:
    """The body with every matrix from outside that a product reads by columns turned once."""
    outside = set(body.inputs[first:])
    operations = []
    for p in body.operations:
        operations += _by_rows(p) if _by_columns(p, outside) else [p]
    turned = Graph(body.name)
    turned.inputs, turned.consts, turned.outputs = (
        body.inputs,
        body.consts,
        body.outputs,
    )
    turned.operations = operations
    return turned


def _by_columns(p, outside) -> bool:
    """A product whose right matrix is from outside and is read across its rows."""
    if p.prim.name != "contract" or p.inputs[1] not in outside:
        return False
    _, right, out = letters_of(p.params["spec"])
    return len(right) == 2 and out[-1:] == right[0] and right[1] not in out


def _by_rows(p) -> list:
    """The same product, the matrix turned first."""
    left, right, out = letters_of(p.params["spec"])
    w = p.inputs[1]
    spec = Spec(tuple(reversed(w.spec.shape)), w.spec.dtype)
    turned, lying = Var(f"{w.name}_turned", spec), Var(f"{w.name}_lying", spec)
    params = {**p.params, "spec": f"{left},{right[::-1]}->{out}"}
    inputs = p.inputs[0], lying
    return [
        Operation(op.permute, (w,), {"dims": (1, 0)}, (turned,), p.site, (p,), p.path),
        Operation(op.contiguous, (turned,), {}, (lying,), p.site, (p,), p.path),
        p.changed(inputs=inputs, params=params),
    ]
