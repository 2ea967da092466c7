"""Places of a plane by their number, taken and put back: how pooling by maxima moves data."""

from __future__ import annotations

import numpy as np

from ..core.bind import bind
from ..core.primitive import Linear, op, with_batch
from ..core.shape import Spec
from .windows import chunks, merge_batch, split_batch


class _Picking(Linear, abstract=True):
    """Linear in a (N,C,·) by indices (N or 1, C or 1, M)."""

    def batch(self, size, xs, dims, params):
        x, index = xs
        x = with_batch(x, dims[0], size)
        if dims[1] is None and index.shape[0] == 1:
            return split_batch(bind(self, merge_batch(x), index, **params), size), 0
        index = with_batch(index, dims[1], size)
        if index.shape[1] != x.shape[1]:
            index = op.expand(index, shape=(size, x.shape[1], *index.shape[2:]))
        return split_batch(
            bind(self, merge_batch(x), merge_batch(index), **params), size
        ), 0


class Pick(_Picking):
    """y(n,c,m) = x(n,c,index(n,c,m)): places of a plane by their number.

    >>> op.pick(tensor([[[1., 2., 3.]]]), tensor([[[2, 0]]]))
    tensor([[[3., 1.]]])
    """

    def samples(rng):
        x = rng.normal(size=(2, 3, 5))
        full = rng.integers(0, 5, (2, 3, 4))
        return [((x, full), {}), ((x, full[:, :1]), {}), ((x, full[:1, :1]), {})]

    def reference(x, index):
        index = np.broadcast_to(index, (*x.shape[:2], index.shape[2]))
        return (x[:, :, None, :] * (index[..., None] == np.arange(x.shape[2]))).sum(-1)

    def eager(x, index):
        if index.shape[:2] == (1, 1):
            return x[:, :, index[0, 0]]
        if x.shape[1] == index.shape[2] == 1 and index.shape[0] == x.shape[0]:
            return x[np.arange(x.shape[0])[:, None, None], 0, index]
        return np.take_along_axis(
            x, np.broadcast_to(index, (*x.shape[:2], index.shape[2])), 2
        )

    def shape(x, index):
        return Spec((*x.shape[:2], index.shape[2]), x.dtype)

    def transpose(g, x, index):
        return op.put(g, index, size=x.shape[2])


class Put(_Picking):
    """x(n,c,index(n,c,m)) += y(n,c,m) from zeros of `size` places: the adjoint of `pick`.

    >>> op.put(tensor([[[3., 1.]]]), tensor([[[2, 2]]]), size=3)
    tensor([[[0., 0., 4.]]])
    """

    def samples(rng):
        y = rng.normal(size=(2, 3, 4))
        full = rng.integers(0, 5, (2, 3, 4))
        return [((y, full), {"size": 5}), ((y, full[:, :1]), {"size": 5})]

    def reference(y, index, size):
        return (y[..., None] * (index[..., None] == np.arange(size))).sum(2)

    def eager(y, index, *, size):
        if index.size and not 0 <= index.min() <= index.max() < size:
            raise IndexError(f"an index lies outside of the {size} places")
        rows = y.shape[0] * y.shape[1]
        index = np.broadcast_to(index, y.shape).reshape(rows, y.shape[2])
        x, flat = np.empty((rows, size), y.dtype), y.reshape(rows, y.shape[2])
        for part in chunks(rows, 8 * size):
            some = index[part] + size * np.arange(len(x[part]))[:, None]
            total = _bincount(some.ravel(), flat[part].ravel(), x[part].size)
            x[part] = total.reshape(-1, size)
        return x.reshape(*y.shape[:2], size)

    def shape(y, index, *, size):
        return Spec((*y.shape[:2], size), y.dtype)

    def transpose(g, y, index, *, size):
        return op.pick(g, index)


def _bincount(index, weights, size):
    """Sums of the weights by index; NumPy's counts in double, real numbers only."""
    if weights.dtype.kind == "c":
        real = np.bincount(index, weights.real, size)
        return real + 1j * np.bincount(index, weights.imag, size)
    if weights.dtype.kind == "f":
        return np.bincount(index, weights, size)
    out = np.zeros(size, weights.dtype)
    np.add.at(out, index, weights)
    return out
