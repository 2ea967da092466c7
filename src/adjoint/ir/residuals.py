"""Residuals: what the reverse of a loop would compute again is kept by the loop itself.

The reverse of a scan starts every step from what the step began with, so it holds the forward
computation too. Values of it that cost more than a row of memory become rows of the loop.
"""

from __future__ import annotations

from ..core.primitive import Elementwise
from .graph import Const, Graph, Var

LIMIT = 2**28  # bytes of rows that a program may keep
# Cheaper to do again than to keep.
_ARITHMETIC = "add sub mul neg abs where eq ne lt le gt ge cast"
_MOVES = "reshape expand permute slice select flip stack contiguous stop_gradient"
_CHEAP = frozenset([*_ARITHMETIC.split(), *_MOVES.split(), "ones_like", "zeros_like"])


def remembered(graph: Graph) -> Graph:
    """The program with those rows."""
    operations = graph.operations
    place = {v: i for i, o in enumerate(operations) for v in o.outputs}
    for i, o in enumerate(operations):
        if o.prim.name != "scan":
            continue
        j = _loop_of(o, operations, place)
        if j is not None:
            pair = _shared(operations[j], o)
            if pair is not None:
                operations[j], operations[i] = pair
                place.update(dict.fromkeys(pair[0].outputs, j))
    return graph


def _inside(o) -> list:
    """(what a step reads of the values outside: a row of it or all, its variable inside)."""
    k, m = o.params["carries"], o.params["mapped"]
    pairs = zip(o.inputs[k:], o.params["body"].inputs[k:], strict=True)
    return [((v, i < m), inner) for i, (v, inner) in enumerate(pairs)]


def _known(o) -> dict:
    """The same for the first loop, with the rows that it keeps of how steps begin."""
    k, body = o.params["carries"], o.params["body"]
    known, starts = dict(_inside(o)), set(body.inputs[:k])
    for v, inner in zip(o.outputs[k:], body.outputs[k:], strict=True):
        if inner in starts:
            known[v, True] = inner
    return known


def _loop_of(o, operations, place):
    """The number of the loop whose steps `o` goes back through."""
    k, m = o.params["carries"], o.params["mapped"]
    for v in o.inputs[k : k + m]:
        j = place.get(v)
        if j is None or operations[j].prim.name != "scan":
            continue
        first = operations[j]
        same = first.params["length"] == o.params["length"]
        if same and first.params["reverse"] != o.params["reverse"]:
            return j
    return None


def _shared(first, second):
    """Both loops, the first keeping what the second need not compute."""
    known = _known(first)
    k, m = second.params["carries"], second.params["mapped"]
    back = second.params["body"]
    at = {inner: known[key] for key, inner in _inside(second) if key in known}
    forward = _forward(back, at)
    needed = _kept(back, forward)
    count = second.params["length"]
    if not needed or count * sum(v.spec.bytes for v in needed) > LIMIT:
        return None
    body, rows = _extended(first.params["body"], forward, needed, at)
    names = [Var(f"{v.name}_kept", _stacked(v, count)) for v in needed]
    outputs = (*first.outputs, *names)
    params = {**first.params, "body": body}
    body.outputs = [*body.outputs, *rows]
    first = first.changed(params=params, outputs=outputs)
    lean = _reading(back, needed, k + m)
    inputs = (*second.inputs[: k + m], *names, *second.inputs[k + m :])
    params = {**second.params, "body": lean, "mapped": m + len(names)}
    second = second.changed(inputs=inputs, params=params)
    return first, second


def _forward(back, at) -> list:
    """Operations of the reverse that need nothing but what the steps forward have."""
    known, out = set(at), []
    for o in back.operations:
        own = [v for v in o.inputs if not isinstance(v, Const)]
        if own and all(v in known for v in own):
            known.update(o.outputs)
            out.append(o)
    return out


def _kept(back, forward) -> list:
    """The values to keep: those that the rest reads, or dear ones that cheap ones are made of."""
    maker = {v: o for o in forward for v in o.outputs}
    rest = [o for o in back.operations if o not in set(forward)]
    todo = [v for o in rest for v in o.inputs if v in maker]
    todo += [v for v in back.outputs if v in maker]
    kept: dict = {}
    seen: set = set()
    while todo:
        v = todo.pop()
        if v in seen:
            continue
        seen.add(v)
        o = maker[v]
        if _cheap(o):
            todo += [x for x in o.inputs if x in maker]
        else:
            kept[v] = None
    return list(kept)


def _cheap(o) -> bool:
    small = o.outputs[0].spec.size <= max((v.spec.size for v in o.inputs), default=1)
    plain = (
        isinstance(o.prim, Elementwise) or small or o.prim.name in ("expand", "stack")
    )
    return o.prim.name in _CHEAP and plain


def _extended(body, forward, needed, at):
    """(the body with the operations that make what is needed, those values in it)."""
    out = Graph(body.name)
    out.inputs = list(body.inputs)
    env = {v: v for v in body.inputs}

    def write(o):
        inputs = [
            out.const(v.value) if isinstance(v, Const) else env[v] for v in o.inputs
        ]
        ys = out.add(o.prim, inputs, o.params, o.site, o.origin, o.path)
        env.update(zip(o.outputs, ys, strict=True))

    for o in body.operations:
        write(o)
    outputs = [
        out.const(v.value) if isinstance(v, Const) else env[v] for v in body.outputs
    ]
    env.update(at)
    for o in _makers(forward, needed):
        write(o)
    out.outputs = outputs
    return out, [env[v] for v in needed]


def _makers(operations, needed) -> list:
    """Those of the operations, in their order, that it takes to make what is needed."""
    maker = {v: o for o in operations for v in o.outputs}
    wanted: set = set()
    todo = list(needed)
    while todo:
        o = maker.get(todo.pop())
        if o is not None and o not in wanted:
            wanted.add(o)
            todo += o.inputs
    return [o for o in operations if o in wanted]


def _reading(back, needed, place):
    """The body of the reverse with what is kept as inputs."""
    out = Graph(back.name)
    rows = [Var(f"{v.name}_row", v.spec) for v in needed]
    env = dict(zip(needed, rows, strict=True))
    out.inputs = [*back.inputs[:place], *rows, *back.inputs[place:]]
    out.consts = list(back.consts)
    for o in back.operations:
        if all(v in env for v in o.outputs):
            continue
        inputs = tuple(env.get(v, v) for v in o.inputs)
        out.operations.append(o.changed(inputs=inputs))
    out.outputs = [env.get(v, v) for v in back.outputs]
    return out.without_dead()


def _stacked(v, count):
    return type(v.spec)((count, *v.spec.shape), v.spec.dtype)
