"""NumPy's functions of tensors: `np.sin(x)` is `x.sin()`, differentiated like it."""

from __future__ import annotations

import numpy as np

from ..autodiff.tape import BASE
from ..core.bind import Box
from .face import FUNCTIONS, need_operands

# NumPy's functions that have another name here.
_OUR_NAMES = {
    "conjugate": "conj",
    "degrees": "rad2deg",
    "equal": "eq",
    "fabs": "abs",
    "invert": "bitwise_not",
    "left_shift": "bitwise_left_shift",
    "power": "pow",
    "radians": "deg2rad",
    "right_shift": "bitwise_right_shift",
    "rint": "round",
}


def array_ufunc(self, ufunc, method, *inputs, **kwargs):
    """np.sin(x) is x.sin(); what has no name here is NumPy's work on the numbers."""
    f = FUNCTIONS.get(_OUR_NAMES.get(ufunc.__name__, ufunc.__name__))
    if f is not None and method == "__call__" and not kwargs:
        need_operands(f.__name__, inputs)
        return f(*(BASE.wrap(x) if isinstance(x, np.ndarray) else x for x in inputs))
    outs = kwargs.get("out", ())
    if outs:
        kwargs["out"] = tuple(map(_numbers, outs))
    y = getattr(ufunc, method)(*map(_numbers, inputs), **kwargs)
    if outs or y is None:
        return outs[0] if len(outs) == 1 else outs
    return tuple(map(BASE.wrap, y)) if isinstance(y, tuple) else BASE.wrap(y)


def _numbers(x):
    return x.numpy() if isinstance(x, Box) else x
