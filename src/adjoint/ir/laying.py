"""Laying: how eager lays out in memory what an operation makes of values that lie otherwise.

NumPy's functions of elements, sums and the like keep the order of the dims of what they are
given, as PyTorch's do. So whether a reshape is a view can depend on how an argument lies.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import quiet
from ..core.primitive import Elementwise

_FIRST = frozenset(["held", "stop_gradient", "bounded", "unrecorded", "overwrite"])
_KEEP = "cast cumsum cumprod logcumsumexp cat roll softmax log_softmax sum mean prod amax amin"
_KEEPS = frozenset(
    [*_KEEP.split(), "logsumexp", "all", "any", "var", "std", "vector_norm"]
)


class Strides:
    """The steps in memory of the values of a program; None: row by row.

    `given` tells those of inputs.
    """

    def __init__(self, graph, given):
        self.graph, self.given = graph, given
        self.known: dict = {}
        self.maker: dict = {}
        self.count = 0  # operations that `maker` has

    def of(self, var):
        """The steps of a value, in elements."""
        self._look()
        todo = [var]
        while todo:
            v = todo[-1]
            o = self.maker.get(v)
            missing = [x for x in _asked(o) if x not in self.known]
            if missing and v not in self.known:
                todo += missing
                continue
            if v not in self.known:
                self.known[v] = self.given(v) if o is None else self._made(o, v)
            todo.pop()
        return self.known[var]

    def _look(self):
        new = self.graph.operations[self.count :]
        self.maker.update((v, o) for o in new for v in o.outputs)
        self.count += len(new)

    def _made(self, o, v):
        steps = [self.known[x] for x in _asked(o)]
        if all(s is None for s in steps) and (
            not o.prim.view or o.prim.name == "reshape"
        ):
            return None
        if o.prim.name in _FIRST:
            return steps[0]
        if 0 in v.spec.shape or any(0 in x.spec.shape for x in o.inputs):
            return None
        try:
            if o.prim.view:
                return _of_view(o, v, steps[0])
            return _of_kept(o, v, steps)
        except Exception:  # an error of eager's, which comes when the program runs
            return None


def _asked(o) -> tuple:
    """The inputs whose layout that of the result follows."""
    if o is None or o.prim.outputs != 1:
        return ()
    if o.prim.view or o.prim.name in _FIRST:
        return o.inputs[:1]
    keeps = isinstance(o.prim, Elementwise) or o.prim.name in _KEEPS
    return tuple(o.inputs) if keeps else ()


def _of_view(o, v, steps):
    """As NumPy's view of memory that lies so; a copy is row by row."""
    (x,) = o.inputs[:1]
    y = np.asarray(o.prim.eager(laid(x.spec, steps), **o.params))
    return _steps_of(y)


def _steps_of(y):
    return None if y.flags.c_contiguous else tuple(s // y.itemsize for s in y.strides)


def laid(spec, steps) -> np.ndarray:
    """An array that lies so; its numbers mean nothing."""
    if steps is None:
        return np.empty(spec.shape, spec.dtype)
    ends = [s * (n - 1) for s, n in zip(steps, spec.shape, strict=True)]
    low = -sum(e for e in ends if e < 0)
    memory = np.zeros(low + sum(e for e in ends if e > 0) + 1, spec.dtype)
    size = spec.dtype.itemsize
    return np.ndarray(
        spec.shape, spec.dtype, memory, low * size, tuple(s * size for s in steps)
    )


def _of_kept(o, v, steps):
    """As NumPy lays out the result for small arrays whose dims are in the same order."""
    xs = [_small(x.spec, s) for x, s in zip(o.inputs, steps, strict=True)]
    y = np.asarray(quiet.run(o.prim.eager, *xs, **o.params))
    if y.flags.c_contiguous:
        return None
    order = sorted(range(y.ndim), key=lambda d: -y.strides[d])
    sizes = [v.spec.shape[d] for d in order]
    out = [0] * y.ndim
    for i, d in enumerate(order):
        out[d] = math.prod(sizes[i + 1 :])
    return tuple(out)


def _small(spec, steps):
    """Ones, of which no dim has more than two, in the same order of dims."""
    shape = [min(n, 2) for n in spec.shape]
    if steps is None:
        return np.ones(shape, spec.dtype)
    order = sorted(range(len(shape)), key=lambda d: -abs(steps[d]))
    held = [shape[d] if steps[d] else 1 for d in order]
    back = np.argsort(order)
    return np.broadcast_to(np.ones(held, spec.dtype).transpose(back), shape)


__all__ = ["Strides", "laid"]
