"""Pairs: complex numbers as their real and imaginary parts, each a value of its own.

Memory outside holds the parts side by side; inside they are apart, and every operation on
them is one on real numbers. What has no rule for parts is given complex numbers again.
"""

from __future__ import annotations

import numpy as np

from ..core.primitive import Elementwise, op
from .graph import Const, Graph
from .rewrite import Rewriter
from .tracer import Tracer

# Real-linear maps and choices of elements: of each part alone.
_MOVES = "reshape permute expand slice unslice select flip stack cat overwrite roll tril triu"
_MORE = "contiguous stop_gradient zeros_like diagonal undiagonal frames overlap_add"
_SUMS = (
    "sum mean cumsum index unindex put pick as_strided strided_add resize resize_back"
)
_PARTS = {"view_as_real", "view_as_complex", "real", "imag"}
_EACH = frozenset([*_MOVES.split(), *_MORE.split(), *_SUMS.split(), "index_put"])


def paired(graph: Graph) -> Graph:
    """The program without complex arithmetic, as far as its operations have rules for parts."""
    values = [*graph.inputs, *graph.consts]
    values += [v for o in graph.operations for v in o.outputs]
    if not any(_is_complex(v) for v in values):
        return graph
    level = Rewriter(graph.name)
    env: dict = {}
    for v in graph.inputs:
        env[v] = _Number(level, Tracer(level, level.graph.add_input(v.name, v.spec)))
    for c in graph.consts:
        env[c] = _Number(level, Tracer(level, level.graph.const(c.value)))
    for o in graph.operations:
        level.follow(o)
        ys = _written(o, [env[v] for v in o.inputs])
        ys = ys if o.prim.outputs != 1 else (ys,)
        env.update((v, _Number(level, y)) for v, y in zip(o.outputs, ys, strict=True))
    level.graph.outputs = [env[v].whole.var for v in graph.outputs]
    return level.graph.without_dead()


def _is_complex(v) -> bool:
    return v.spec.dtype.kind == "c"


class _Number:
    """A value as a whole and, if it is complex, in parts; each is made when it is asked for."""

    def __init__(self, level, value):
        self.level, self._whole, self._parts = level, None, None
        if isinstance(value, tuple):
            self._parts = value
        else:
            self._whole = value

    @property
    def complex(self) -> bool:
        return self._whole is None or self._whole.dtype.kind == "c"

    @property
    def whole(self):
        """One value, complex if it is."""
        if self._whole is None:
            a, b = self._parts
            self._whole = op.view_as_complex(op.stack(a, b, dim=a.ndim))
        return self._whole

    @property
    def parts(self):
        """(real, imaginary); of a real value, zeros are imaginary."""
        if self._parts is None:
            self._parts = self._split(self._whole)
        return self._parts

    def _split(self, x):
        if x.dtype.kind != "c":
            return x, op.zeros_like(x)
        if isinstance(x.var, Const):
            value = x.var.value
            pair = (np.array(part, order="C") for part in (value.real, value.imag))
            return tuple(Tracer(self.level, self.level.graph.const(p)) for p in pair)
        pair = op.view_as_real(x)
        return tuple(op.select(pair, dim=x.ndim, index=i) for i in (0, 1))


def _written(o, xs):
    p, params = o.prim, o.params
    touched = any(x.complex for x in xs) or any(map(_is_complex, o.outputs))
    if touched and p.name in _EACH and _of_numbers(o):
        return _of_each(o, xs)
    if touched and p.parts is not None:
        return p.parts(*_given(o, xs), **params)
    return p(*(x.whole for x in xs), **params)


def _of_numbers(o) -> bool:
    """Whether what is written is complex, and so is what is there: neither is a part."""
    views = {prim.name for prim, _, _ in o.params.get("chain", ())}
    whole = all(map(_is_complex, o.inputs)) and not views & _PARTS
    return o.prim.name != "overwrite" or whole


def _of_each(o, xs):
    """The operation on all real parts, then on all imaginary ones."""
    moved = {"index": 1, "unindex": 1, "put": 1, "pick": 1, "index_put": 2}
    count = moved.get(o.prim.name, len(xs))
    rest = [x.whole for x in xs[count:]]
    pairs = zip(*(x.parts for x in xs[:count]), strict=True)
    return tuple(o.prim(*part, *rest, **o.params) for part in pairs)


def _given(o, xs):
    """What a rule for parts is given: pairs, and what is no number of its own as it is."""
    first = o.prim.decides if isinstance(o.prim, Elementwise) else 0
    if o.prim.name in ("cast", "view_as_complex"):
        return [x.parts if x.complex else x.whole for x in xs]
    return [*(x.whole for x in xs[:first]), *(x.parts for x in xs[first:])]
