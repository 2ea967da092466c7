"""Reductions over `dim` (a tuple of dims counted from the front) with `keepdim`."""

from __future__ import annotations

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import Linear, Reduction, op
from ..core.shape import reduced


def _reduce(low=-2.0, high=2.0):
    def samples(rng):
        x = rng.uniform(low, high, (3, 4, 2))
        return [
            ((x,), {"dim": (1,), "keepdim": False}),
            ((x,), {"dim": (0, 2), "keepdim": True}),
            ((x,), {"dim": (0, 1, 2), "keepdim": False}),
        ]

    return samples


class Sum(Reduction):
    """Sum over dims.

    >>> tensor([[1., 2.], [3., 4.]]).sum(0)
    tensor([4., 6.])
    """

    out = "sum"
    samples = _reduce()
    reference = staticmethod(
        lambda x, dim, keepdim: np.einsum(
            x, range(x.ndim), [i for i in range(x.ndim) if i not in dim]
        ).reshape(reduced(x.shape, dim, keepdim))
    )

    def eager(x, *, dim, keepdim):
        wide = None if x.dtype.kind in "fcV" else np.int64
        return np.add.reduce(x, axis=dim, keepdims=keepdim, dtype=wide)

    def weights():
        return None


class Prod(Reduction):
    """Product over dims; its gradient is right where elements are zero too.

    >>> tensor([2., 3., 4.]).prod()
    tensor(24.)
    """

    out = "sum"
    samples = _reduce()
    reference = staticmethod(
        lambda x, dim, keepdim: (
            np.exp(np.log(x.astype(complex)).sum(dim, keepdims=keepdim)).real
        )
    )

    def eager(x, *, dim, keepdim):
        wide = None if x.dtype.kind in "fcV" else np.int64
        return np.multiply.reduce(x, axis=dim, keepdims=keepdim, dtype=wide)

    def weights(x, dim):
        return products_of_others(x, dim)


def products_of_others(x, dim):
    """For each element the product of all others over `dim`, without dividing.

    Prefix times suffix products along the reduced dims, laid out as one.
    """
    rest = tuple(i for i in range(x.ndim) if i not in dim)
    order = (*rest, *dim)
    y = op.permute(x, dims=order)
    lead = tuple(x.shape[i] for i in rest)
    y = op.reshape(y, shape=(*lead, int(np.prod([x.shape[i] for i in dim]))))
    out = _others(y)
    out = op.reshape(out, shape=tuple(x.shape[i] for i in order))
    return op.permute(out, dims=tuple(int(i) for i in np.argsort(order)))


def _others(y):
    """Products of all but one along the last dim, by halving."""
    n = y.shape[-1]
    if n <= 1:
        return op.ones_like(y)
    head = tuple((0, m, 1) for m in y.shape[:-1])
    a = op.slice(y, key=(*head, (0, n // 2, 1)))
    b = op.slice(y, key=(*head, (n // 2, n, 1)))
    last = (y.ndim - 1,)
    pa, pb = (op.prod(z, dim=last, keepdim=True) for z in (a, b))
    return op.cat(_others(a) * pb, _others(b) * pa, dim=y.ndim - 1)


class Amax(Reduction):
    """Largest element over dims; ties share the gradient evenly.

    >>> tensor([1., 3., 3.]).amax()
    tensor(3.)
    """

    samples = _reduce()
    reference = staticmethod(
        lambda x, dim, keepdim: -np.min(-x, axis=dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        return np.maximum.reduce(x, axis=dim, keepdims=keepdim)

    def weights(y, x, dim):
        return _share_ties(y, x, dim)


class Amin(Reduction):
    """Smallest element over dims; ties share the gradient evenly.

    >>> tensor([1., 1., 3.]).amin()
    tensor(1.)
    """

    samples = _reduce()
    reference = staticmethod(
        lambda x, dim, keepdim: -np.max(-x, axis=dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        return np.minimum.reduce(x, axis=dim, keepdims=keepdim)

    def weights(y, x, dim):
        return _share_ties(y, x, dim)


def _share_ties(y, x, dim):
    hit = op.cast(x == y, dtype=dtype_of(x))
    return hit / op.sum(hit, dim=dim, keepdim=True)


class Logsumexp(Reduction):
    """ln Σ eˣ over dims, without overflow.

    >>> tensor([1000., 1000.]).logsumexp(0)
    tensor(1000.6932)
    """

    samples = _reduce()
    reference = staticmethod(
        lambda x, dim, keepdim: np.log(np.exp(x).sum(axis=dim, keepdims=keepdim))
    )

    def eager(x, *, dim, keepdim):
        top = np.maximum.reduce(x, axis=dim, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, np.zeros((), x.dtype)).astype(x.dtype)
        total = np.log(np.add.reduce(np.exp(x - top), axis=dim, keepdims=True)) + top
        return total if keepdim else total.reshape(reduced(x.shape, dim, False))

    def weights(y, x):
        return op.exp(x - op.where(op.isfinite(y), y, op.zeros_like(y)))


class All(Reduction):
    """Every element is non-zero.

    >>> tensor([True, False]).all()
    tensor(False)
    """

    out = "bool"
    samples = _reduce()
    reference = staticmethod(
        lambda x, dim, keepdim: ~(x == 0).any(axis=dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        return np.logical_and.reduce(x, axis=dim, keepdims=keepdim)


class Any(Reduction):
    """Some element is non-zero.

    >>> tensor([True, False]).any()
    tensor(True)
    """

    out = "bool"
    samples = _reduce()
    reference = staticmethod(
        lambda x, dim, keepdim: ~(x == 0).all(axis=dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        return np.logical_or.reduce(x, axis=dim, keepdims=keepdim)


class Cumsum(Linear):
    """Running sum along `dim`.

    >>> cumsum(tensor([1., 2., 3.]), 0)
    tensor([1., 3., 6.])
    """

    reference = staticmethod(
        lambda x, dim: np.moveaxis(
            np.tril(np.ones((x.shape[dim],) * 2)) @ np.moveaxis(x, dim, -2), -2, dim
        )
    )

    def samples(rng):
        return [((rng.normal(size=(3, 4)),), {"dim": 1})]

    def eager(x, *, dim):
        return np.cumsum(x, dim, dtype=None if x.dtype.kind in "fcV" else np.int64)

    def shape(x, *, dim):
        return x if x.dtype.kind in "fcV" else x._replace(dtype=np.dtype("int64"))

    def transpose(g, x, *, dim):
        return op.flip(op.cumsum(op.flip(g, dims=(dim,)), dim=dim), dims=(dim,))

    def batched(x, *, dim):
        return op.cumsum(x, dim=dim + 1)
