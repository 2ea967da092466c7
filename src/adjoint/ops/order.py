"""Order along a dim: where sorted, largest, k-th, middle and most frequent elements are.

These give places (integers, without derivative); `take_along` fetches the elements, and
the derivative goes back to where they came from.
"""

from __future__ import annotations

import numpy as np

from ..core.bind import bind
from ..core.primitive import Linear, Primitive, batch_to_front, op, with_batch
from ..core.shape import Spec
from .reduce import comparable


def _take_by_loop(x, index, dim):
    y = np.empty(index.shape, x.dtype)
    for at in np.ndindex(*index.shape):
        y[at] = x[(*at[:dim], index[at], *at[dim + 1 :])]
    return y


def _put_by_loop(y, index, dim, size):
    out = np.zeros((*y.shape[:dim], size, *y.shape[dim + 1 :]))
    for at in np.ndindex(*index.shape):
        out[(*at[:dim], index[at], *at[dim + 1 :])] += y[at]
    return out


class _Along(Linear, abstract=True):
    """Elements by their places along `dim`; places have the other dims of the elements."""

    def batch(self, size, xs, dims, params):
        x, index = (with_batch(x, d, size) for x, d in zip(xs, dims, strict=True))
        return bind(self, x, index, **{**params, "dim": params["dim"] + 1}), 0


class TakeAlong(_Along):
    """y = x[index] along `dim`, row by row.

    >>> op.take_along(tensor([[1., 2., 3.]]), tensor([[2, 0]]), dim=1)
    tensor([[3., 1.]])
    """

    def samples(rng):
        x = rng.normal(size=(3, 4))
        return [
            ((x, rng.integers(0, 4, (3, 2))), {"dim": 1}),
            ((x, rng.integers(0, 3, (5, 4))), {"dim": 0}),
        ]

    reference = _take_by_loop

    def eager(x, index, *, dim):
        return np.take_along_axis(x, index, dim)

    def shape(x, index, *, dim):
        return Spec(tuple(index.shape), x.dtype)

    def transpose(g, x, index, *, dim):
        return op.put_along(g, index, dim=dim, size=x.shape[dim])


class PutAlong(_Along):
    """x[index] += y along `dim` from zeros of `size`: the adjoint of `take_along`.

    >>> op.put_along(tensor([[3., 1.]]), tensor([[2, 2]]), dim=1, size=3)
    tensor([[0., 0., 4.]])
    """

    def samples(rng):
        y = rng.normal(size=(3, 4))
        return [
            ((y, rng.integers(0, 5, (3, 4))), {"dim": 1, "size": 5}),
            ((y, rng.integers(0, 2, (3, 4))), {"dim": 0, "size": 2}),
        ]

    reference = _put_by_loop

    def eager(y, index, *, dim, size):
        wide = y.dtype if y.dtype.itemsize > 2 else np.float32
        rows, at = (np.moveaxis(x, dim, -1) for x in (y, index))
        out = np.zeros((*rows.shape[:-1], size), wide)
        start = np.arange(0, out.size, size).reshape(*rows.shape[:-1], 1) if size else 0
        np.add.at(out.reshape(-1), (at + start).ravel(), rows.ravel().astype(wide))
        return np.moveaxis(out, -1, dim).astype(y.dtype, copy=False)

    def shape(y, index, *, dim, size):
        return Spec((*y.shape[:dim], size, *y.shape[dim + 1 :]), y.dtype)

    def transpose(g, y, index, *, dim, size):
        return op.take_along(g, index, dim=dim)


# ---------------------------------------------------------------- places


class _Places(Primitive, abstract=True):
    """Places along `dim`, as integers."""

    differentiable = False

    def infer(self, x, *, dim, k=1, **params):
        return Spec((*x.shape[:dim], k, *x.shape[dim + 1 :]), np.dtype("int64"))

    def batch(self, size, xs, dims, params):
        x = batch_to_front(xs[0], dims[0])
        return bind(self, x, **{**params, "dim": params["dim"] + 1}), 0


def _row_samples(*options):
    return lambda rng: [((rng.normal(size=(3, 5, 2)),), p) for p in options]


def _ranked(x, dim, largest=False):
    """Places by ascending or descending order, NaN as the largest, equals as they come."""
    x = comparable(x)
    if not largest:
        return np.argsort(x, dim, kind="stable")
    n = x.shape[dim]
    return n - 1 - np.flip(np.argsort(np.flip(x, dim), dim, kind="stable"), dim)


def _part(x, dim, start, stop):
    return x[(slice(None),) * dim + (slice(start, stop),)]


class Argsort(_Places):
    """Places in ascending or descending order along `dim`; NaN is largest, equals stay in order.

    >>> op.argsort(tensor([3., 1., 2.]), dim=0, descending=False)
    tensor([1, 2, 0])
    """

    samples = _row_samples(
        {"dim": 1, "descending": False}, {"dim": 0, "descending": True}
    )
    reference = staticmethod(
        lambda x, dim, descending: np.argsort(-x if descending else x, dim)
    )

    def eager(x, *, dim, descending):
        return _ranked(x, dim, descending)

    def infer(self, x, *, dim, descending):
        return Spec(x.shape, np.dtype("int64"))


class TopkIndex(_Places):
    """Places of the k largest or smallest elements along `dim`, best first.

    >>> op.topk_index(tensor([3., 1., 2.]), k=2, dim=0, largest=True)
    tensor([0, 2])
    """

    samples = _row_samples(
        {"k": 2, "dim": 1, "largest": True}, {"k": 3, "dim": 0, "largest": False}
    )
    reference = staticmethod(
        lambda x, k, dim, largest: _part(
            np.argsort(-x if largest else x, dim), dim, 0, k
        )
    )

    def eager(x, *, k, dim, largest):
        n, x = x.shape[dim], comparable(x)
        if 2 * k > n or k == 0:
            return _part(_ranked(x, dim, largest), dim, 0, k)
        if largest:
            some = _part(np.argpartition(x, n - k, dim), dim, n - k, n)
        else:
            some = _part(np.argpartition(x, k - 1, dim), dim, 0, k)
        order = _ranked(np.take_along_axis(x, some, dim), dim, largest)
        return np.take_along_axis(some, order, dim)


class KthIndex(_Places):
    """The place of the element of rank `rank` (from 0) along `dim`; NaN is largest.

    >>> op.kth_index(tensor([3., 1., 2.]), rank=1, dim=0)
    tensor([2])
    """

    samples = _row_samples({"rank": 2, "dim": 1}, {"rank": 0, "dim": 0})
    reference = staticmethod(
        lambda x, rank, dim: np.take(np.argsort(x, dim), [rank], dim)
    )

    def eager(x, *, rank, dim):
        places = np.argpartition(comparable(x), rank, dim)
        return _part(places, dim, rank, rank + 1).copy()


class MedianIndex(_Places):
    """The place of the lower middle element; of a NaN if there is one, or NaNs left out.

    >>> op.median_index(tensor([4., 1., 3., 2.]), dim=0, skip=False)
    tensor([3])
    """

    samples = _row_samples({"dim": 1, "skip": False}, {"dim": 2, "skip": True})
    reference = staticmethod(
        lambda x, dim, skip: np.take(np.argsort(x, dim), [(x.shape[dim] - 1) // 2], dim)
    )

    def eager(x, *, dim, skip):
        ranked, n = _ranked(x, dim), x.shape[dim]
        good = np.add.reduce(x == x, axis=dim, keepdims=True, dtype=np.int64)
        middle = np.maximum(good - 1, 0) // 2
        if not skip:
            middle = np.where(good < n, good, middle)
        return np.take_along_axis(ranked, middle, dim)


class ModeIndex(_Places):
    """The last place of the most frequent element along `dim`, the smallest of several.

    >>> op.mode_index(tensor([3., 1., 3., 2.]), dim=0)
    tensor([2])
    """

    def samples(rng):
        x = rng.integers(0, 3, (3, 6, 2)).astype(float)
        return [((x,), {"dim": 1}), ((x,), {"dim": 0})]

    def reference(x, dim):
        def last(row):
            values, counts = np.unique(row, return_counts=True)
            return np.flatnonzero(row == values[counts.argmax()])[-1:]

        return np.apply_along_axis(last, dim, x)

    def eager(x, *, dim):
        places = np.moveaxis(_ranked(x, dim), dim, -1)
        rows = np.take_along_axis(np.moveaxis(comparable(x), dim, -1), places, -1)
        n = rows.shape[-1]
        starts = np.ones(rows.shape, bool)
        starts[..., 1:] = rows[..., 1:] != rows[..., :-1]
        begun = np.maximum.accumulate(np.where(starts, np.arange(n), 0), axis=-1)
        run = np.arange(n) - begun
        longest = np.argmax(run, -1)[..., None]
        return np.moveaxis(np.take_along_axis(places, longest, -1), -1, dim)
