"""Picking: one element of each row is asked of what the row is made of, not of the row.

A loss reads one logarithm of each row of probabilities: of the scores, less their sum's. So the
logarithms of all classes need no memory.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.primitive import Elementwise, op


def picked(m):
    """pick(f(a, b), i) as f(pick(a, i), pick(b, i)), where f goes element by element."""
    x, index = m.xs
    if index.shape[2] != 1 or x.shape[2] == 1:
        return None
    y = (m.inputs(x, "reshape") or (x,))[0]
    o = m.level.maker.get(y.var)
    if o is None or not isinstance(o[0], Elementwise) or y.shape[-1] != x.shape[2]:
        return None
    prim, operands, params = o
    if not all(a.ndim == 0 or _by_rows(a, y) for a in operands):
        return None
    z = prim(*(_of_operand(a, x, index) for a in operands), **params)
    shape = (*x.shape[:2], 1)
    return z if z.shape == shape else op.expand(z, shape=shape)


def _by_rows(a, y) -> bool:
    """Whether an operand of y has a number, or a row, for each of its rows, or for all."""
    return math.prod(a.shape[:-1]) in (1, math.prod(y.shape[:-1]))


def _of_operand(a, x, index):
    """What an operand has at the places that are picked of x."""
    if a.ndim == 0:
        return a
    rows = x.shape[:2] if math.prod(a.shape[:-1]) > 1 else (1, 1)
    a = op.reshape(a, shape=(*rows, a.shape[-1]))
    if a.shape[-1] == 1:
        return a
    if a.shape == x.shape:
        return op.pick(a, index)
    flat = op.reshape(index, shape=(1, 1, math.prod(index.shape)))
    return op.reshape(op.pick(a, flat), shape=index.shape)  # of one row for all


def sum_of_put(m):
    """The sums of rows in which one place is not 0: what was put there."""
    x = (m.inputs(m.x, "reshape") or (m.x,))[0]
    found = m.inputs(x, "put")
    if not found or x.shape[-1] != m.x.shape[-1] or tuple(m.dim) != (m.x.ndim - 1,):
        return None
    (y, _) = found
    if y.shape[-1] != 1 or y.dtype.kind != "f":
        return None
    (y,) = m.inputs(y, "reshape") or (y,)
    shape = m.x.shape[:-1] + ((1,) if m.keepdim else ())
    return op.reshape(
        op.add(y, np.zeros((), y.dtype)), shape=shape
    )  # -0.0 + 0.0 is 0.0


__all__ = ["picked", "sum_of_put"]
