"""How a gradient comes into `.grad` of a tensor: a new array, or a sum in its memory."""

from __future__ import annotations

import numpy as np

from ..core.bind import NUMPY, Box, dtype_of, floor
from ..core.primitive import op
from .inplace import assign
from .modes import recording


def accumulate(tensor, g, create, alone):
    """tensor.grad += g, in place unless the gradient is itself recorded."""
    if create:
        tensor._grad = op.contiguous(g) if tensor._grad is None else tensor._grad + g
        return
    value = g.value if isinstance(g, Box) and g.level is tensor.level else g
    value = in_dtype_of(tensor, value)
    below = floor.get()
    if below is not NUMPY:
        below.read_grad(tensor)
        if tensor._grad is None:
            below.rebind(tensor)
    if tensor._grad is None:
        if isinstance(value, np.ndarray):
            value = _own_memory(value, tensor.value, alone)
        tensor._grad = tensor.level.wrap(value)
        return
    before = tensor._grad.value
    if below is not NUMPY:
        _added_in_place(tensor._grad, tensor.level.wrap(value))
        return
    arrays = isinstance(before, np.ndarray) and isinstance(
        value, (np.ndarray, np.generic)
    )
    if arrays and before.flags.writeable:
        np.add(before, value, out=before, casting="unsafe")
    else:
        tensor._grad = tensor._grad + tensor.level.wrap(value)
    if tensor._grad.version is not None:
        tensor._grad.version.n += 1


def _added_in_place(x, g) -> None:
    """x += g where a program is written down: the memory of `x` will hold the sum."""
    token = recording.set(False)
    try:
        assign(x, op.add(x, g), "backward")
    finally:
        recording.reset(token)


def _own_memory(g, x, alone):
    """`g` in memory that nothing else refers to, its elements in the order of those of `x`."""
    if alone and g.base is None and (g.strides == x.strides or g.ndim < 2):
        return g
    out = np.empty_like(x)
    np.copyto(out, g)
    return out


def in_dtype_of(x, g):
    """`g` in the dtype of `x`: bfloat16 times a Python number is float32 to NumPy."""
    d = x.value.dtype if x.plain else dtype_of(x)
    if isinstance(g, (np.ndarray, np.generic)) and g.dtype is not d and g.dtype != d:
        return g.astype(d)
    return g
