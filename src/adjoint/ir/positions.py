"""Positions: what is known of the values that index, before a program runs."""

from __future__ import annotations

import numpy as np

from ..core.primitive import op
from .dims import counted
from .graph import Const
from .price import FEW

LETTERS = 32  # letters of a name that a program tells
BY_VALUES = {"index": 1, "unindex": 1, "index_put": 2, "index_reduce": 2}


def counts(v):
    """The dim along which a constant counts 0, 1, 2..., being one in the others; or None."""
    known = isinstance(v, Const) and v.value.dtype == np.int64
    return counted(v.value) if known else None


def within(v, n: int, maker) -> bool:
    """Whether all of a value are known to be positions in a dim of size n."""
    if isinstance(v, Const):
        return bool(v.value.size and v.value.min() >= -n and v.value.max() < n)
    if v not in maker or maker[v].prim.name != "bounded":
        return False
    p = maker[v].params
    return p["n"] <= n and (p["but"] is None or -n <= p["but"] < n)


def divides(o) -> bool:
    """Whether whole numbers are divided by what may be zero."""
    if o.prim.name not in ("floor_divide", "remainder", "fmod"):
        return False
    divisor = o.inputs[1]
    known = isinstance(divisor, Const) and divisor.value.all()
    return all(v.spec.dtype.kind in "iu" for v in o.inputs) and not known


def doubtful(o, maker) -> list:
    """(value, size) of the positions that may lie outside; (divisor, 0) that may be zero."""
    if divides(o):
        return [(o.inputs[1], 0)]
    if o.prim.name == "bounded":
        return [(o.inputs[0], o.params["n"])]
    first = BY_VALUES.get(o.prim.name)
    if first is None:
        return []
    shape = (o.inputs[0] if o.prim.name == "index" else o.outputs[0]).spec.shape
    sizes = zip(o.inputs[first:], shape[o.params["dim"] :], strict=False)
    return [(v, n) for v, n in sizes if not within(v, n, maker)]


def every(graph):
    """All operations, those of bodies of loops and branches among them."""
    yield from graph.operations
    for part in graph.parts():
        yield from every(part)


def tells(o) -> list:
    """What is told of an operation that fails: (dim, size, by whom), or (its name,)."""
    if o.prim.name == "bounded":
        return [(o.params["dim"], o.params["n"], o.params["by"][:LETTERS])]
    if divides(o):
        return [(o.prim.name,)]
    first = BY_VALUES.get(o.prim.name)
    if first is None:
        return []
    shape = (o.inputs[0] if o.prim.name == "index" else o.outputs[0]).spec.shape
    dims = range(o.params["dim"], o.params["dim"] + len(o.inputs) - first)
    return [(d, shape[d], "") for d in dims]


# What gives positions that are inside, or numbers of which the user knows nothing.
_SURE = (
    "argmax argmin argsort topk_index kth_index median_index mode_index cummax_index"
)
SURE = frozenset([*_SURE.split(), "cummin_index", "pool_argmax", "adaptive_argmax"])


def refused(graph, live) -> list:
    """The operations that none of `live` needs, whose positions come from outside, if nothing
    that is needed looks at the same.
    """
    maker = {v: o for o in graph.operations for v in o.outputs}
    live, dead, seen = set(live), [], set()
    for o in reversed(graph.operations):
        if not live.isdisjoint(o.outputs):
            live.update(o.inputs)
            seen.update(doubtful(o, maker))
        else:
            dead.append(o)
    found = [(o, set(doubtful(o, maker)) - seen) for o in dead[::-1]]
    return [o for o, ds in found if any(_from_outside(v, graph, maker) for v, _ in ds)]


def tied(graph, outputs) -> list:
    """The outputs of a body, all that it makes needing what is refused in it as well.

    So it is carried out in every round: they are chosen by its result, always in the same way.
    """
    dead = [o for o in refused(graph, outputs) if o.outputs[0].spec.size]
    if not dead:
        return outputs
    own = {v for o in graph.operations for v in o.outputs}
    own = own.intersection(outputs) or set(outputs[:1])
    flags = [_never(graph, o) for o in dead]
    return [_unless(graph, flags, v) if v in own else v for v in outputs]


def _never(graph, o):
    """A truth value, always False, that is not known without the result of an operation."""
    x = o.outputs[0]
    if x.spec.dtype.kind == "c":
        (x,) = graph.add(op.real, [x], {}, o.site)
    (x,) = graph.add(op.cast, [x], {"dtype": np.dtype(np.float32)}, o.site)
    dims = tuple(range(len(x.spec.shape)))
    (x,) = graph.add(op.amax, [x], {"dim": dims, "keepdim": False}, o.site)
    least = graph.const(np.array(-np.inf, np.float32))
    return graph.add(op.lt, [x, least], {}, o.site)[0]


def _unless(graph, flags, y):
    """y, or zeros where one of the flags holds."""
    zero = graph.const(np.zeros((), y.spec.dtype))
    for flag in flags:
        (y,) = graph.add(op.where, [flag, zero, y], {})
    return y


def _from_outside(v, graph, maker) -> bool:
    """Whether it is made of inputs, and by nothing that gives positions itself."""
    seen, todo = {v}, [v]
    while todo:
        o = maker.get(todo.pop())
        if o is not None:
            if o.prim.name in SURE:
                return False
            todo += set(o.inputs) - seen
            seen.update(o.inputs)
    return not seen.isdisjoint(graph.inputs)


def shuffles(o) -> bool:
    """Whether known elements of a few vectors of numbers change places in registers."""
    if o.prim.name != "index" or len(o.inputs) != 2:
        return False
    x, at = o.inputs[0].spec, o.inputs[1]
    few = len(x.shape) == 1 and x.size <= FEW and x.dtype.str[1:] in ("f4", "f8")
    if not few or not isinstance(at, Const) or at.value.ndim != 1 or not at.value.size:
        return False
    known = counts(at) is None and at.value.min() >= 0 and at.value.max() < x.size
    return bool(known)
