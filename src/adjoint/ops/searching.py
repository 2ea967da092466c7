"""Where numbers belong in a sorted row, and whether they are among others."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import Primitive, batch_to_front, op, with_batch
from ..core.shape import Spec


class Searchsorted(Primitive):
    """Where x₂ belongs in the sorted rows x₁ (one row for all, or one a row of x₂).

    >>> searchsorted(tensor([1., 3., 5.]), tensor([3., 4.]))
    tensor([1, 2])
    """

    differentiable = False

    def samples(rng):
        rows, x = np.sort(rng.normal(size=(3, 6))), rng.normal(size=(3, 4))
        return [
            ((rows, x), {"right": False}),
            ((rows[0], x), {"right": True}),
        ]

    def reference(rows, x, right):
        less = np.less_equal if right else np.less
        return less(rows[..., None, :], x[..., :, None]).sum(-1)

    def eager(rows, x, *, right):
        side = "right" if right else "left"
        if rows.ndim == 1:
            return np.asarray(np.searchsorted(rows, x, side), np.int64)
        y = np.empty(x.shape, np.int64)
        for at in np.ndindex(*x.shape[:-1]):
            y[at] = np.searchsorted(rows[at], x[at], side)
        return y

    def infer(self, rows, x, *, right):
        return Spec(x.shape, np.dtype("int64"))

    def batch(self, size, xs, dims, params):
        (rows, x), (dr, dx) = xs, dims
        if dr is None and rows.ndim == 1:
            return op.searchsorted(rows, batch_to_front(x, dx), **params), 0
        rows, x = with_batch(rows, dr, size), with_batch(x, dx, size)
        shape = tuple(x.shape)
        if rows.ndim == 2:
            x = op.reshape(x, shape=(size, math.prod(shape[1:])))
        return op.reshape(op.searchsorted(rows, x, **params), shape=shape), 0


class Isin(Primitive):
    """Whether each element of x₁ is among those of x₂.

    >>> isin(tensor([1, 2, 3]), tensor([2, 5]))
    tensor([False,  True, False])
    """

    differentiable = False

    def samples(rng):
        return [((rng.integers(0, 9, (3, 4)), rng.integers(0, 9, 3)), {})]

    reference = staticmethod(lambda x, y: (x[..., None] == y.ravel()).any(-1))

    def eager(x1, x2):
        return np.isin(x1, x2)

    def expand(x1, x2):
        n = math.prod(x2.shape)
        if not n or dtype_of(x1) != dtype_of(x2) or dtype_of(x1).kind == "c":
            return op.isin(x1, x2)
        if n > 64:
            return _found(x1, op.reshape(x2, shape=(n,)))
        each = op.reshape(x1, shape=(*x1.shape, 1))
        same = op.eq(each, op.reshape(x2, shape=(n,)))
        return op.amax(same, dim=(x1.ndim,), keepdim=False)

    def infer(self, x1, x2):
        return Spec(x1.shape, np.dtype(bool))

    def batch(self, size, xs, dims, params):
        if dims[1] is None:
            return op.isin(batch_to_front(xs[0], dims[0]), xs[1]), 0
        return super().batch(size, xs, dims, params)


def _found(x, among):
    """Whether x is among many numbers: there, where it belongs when they are sorted."""
    order = op.argsort.expand(among, dim=0, descending=False)
    row = op.index(among, order, dim=0)
    place = op.searchsorted(row, x, right=False)
    place = op.minimum(place, np.array(among.shape[0] - 1))
    return op.eq(op.index(row, place, dim=0), x)
