"""Reductions over `dim` (a tuple of dims counted from the front) with `keepdim`."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import Linear, Reduction, number, op, spec_of
from ..core.shape import Spec, reduced
from .samples import some_dims

_FLOAT32 = np.dtype("float32")


@cache
def accumulator(d: np.dtype) -> np.dtype | None:
    """The dtype in which sums and products are taken; None where it is the array's own.

    Two-byte floats add up in float32, integers and bool in int64.
    """
    if d.kind in "bui":
        return np.dtype("int64")
    return np.dtype("float32") if d.itemsize == 2 else None


def accumulate(ufunc, x, dim, keepdim):
    """`ufunc.reduce` in a dtype wide enough, the result in PyTorch's dtype for it."""
    wide = accumulator(x.dtype)
    y = ufunc.reduce(x, axis=dim, keepdims=keepdim, dtype=wide)
    return y if wide is None or wide.kind == "i" else y.astype(x.dtype)


def itself(name):
    """An `expand` by which a reduction over no dims is x itself."""

    def expand(x, *, dim, keepdim):
        prim = getattr(op, name)
        if dim:
            return prim(x, dim=dim, keepdim=keepdim)
        return op.cast(x, dtype=prim.infer(spec_of(x), dim=(), keepdim=keepdim).dtype)

    return staticmethod(expand)


def _is_not_zero(x):
    return x if dtype_of(x).kind == "b" else op.ne(x, op.zeros_like(x))


class Sum(Reduction):
    """Sum over dims.

    >>> tensor([[1., 2.], [3., 4.]]).sum(0)
    tensor([4., 6.])
    """

    out = "sum"
    samples = some_dims()
    expand = itself("sum")
    reference = staticmethod(
        lambda x, dim, keepdim: np.einsum(
            x, range(x.ndim), [i for i in range(x.ndim) if i not in dim]
        ).reshape(reduced(x.shape, dim, keepdim))
    )

    def eager(x, *, dim, keepdim):
        return accumulate(np.add, x, dim, keepdim)

    def weights():
        return None


class Mean(Linear):
    """Mean over dims, 1/n Σ x.

    >>> tensor([1., 2., 6.]).mean()
    tensor(3.)
    """

    samples = some_dims()
    expand = itself("mean")
    reference = staticmethod(
        lambda x, dim, keepdim: np.average(x, axis=dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        wide = accumulator(x.dtype)
        y = np.add.reduce(x, axis=dim, keepdims=keepdim, dtype=wide) / count_of(x, dim)
        return y.astype(x.dtype, copy=False)

    def shape(x, *, dim, keepdim):
        return Spec(reduced(x.shape, dim, keepdim), x.dtype)

    def transpose(g, x, *, dim, keepdim):
        g = op.reshape(g, shape=reduced(x.shape, dim, True))
        return op.expand(g / np.array(count_of(x, dim), x.dtype), shape=tuple(x.shape))

    def batched(x, *, dim, keepdim):
        return op.mean(x, dim=tuple(d + 1 for d in dim), keepdim=keepdim)


def count_of(x, dim) -> int:
    """How many elements each result sees."""
    return math.prod(x.shape[d] for d in dim)


def flat_order(x, dim):
    """The dims with `dim` last, and the sizes then, with `dim` as one and apart."""
    order = (*(i for i in range(x.ndim) if i not in dim), *dim)
    sizes = tuple(x.shape[i] for i in order)
    return order, (*sizes[: x.ndim - len(dim)], count_of(x, dim)), sizes


class Logsumexp(Reduction):
    """ln Σ eˣ over dims, without overflow.

    >>> tensor([1000., 1000.]).logsumexp(0)
    tensor(1000.6932)
    """

    samples = some_dims()
    reference = staticmethod(
        lambda x, dim, keepdim: np.log(np.exp(x).sum(axis=dim, keepdims=keepdim))
    )

    def eager(x, *, dim, keepdim):
        real = x.real
        top = np.maximum.reduce(real, axis=dim, keepdims=True, initial=-np.inf)
        top = np.where(np.isfinite(top), top, np.zeros((), real.dtype))
        total = np.exp(x - top.astype(real.dtype))
        total = np.log(accumulate(np.add, total, dim, True)) + top.astype(x.dtype)
        return total if keepdim else total.reshape(reduced(x.shape, dim, False))

    def expand(x, *, dim, keepdim):
        if not dim or dtype_of(x).kind == "c":
            return op.logsumexp(x, dim=dim, keepdim=keepdim)
        top = op.amax(x, dim=dim, keepdim=True)
        top = op.where(op.isfinite(top), top, op.zeros_like(top))
        y = op.sum(op.exp(x - top), dim=dim, keepdim=True)
        return op.reshape(op.log(y) + top, shape=reduced(x.shape, dim, keepdim))

    def parts(x, *, dim, keepdim):
        a, b = x
        top = op.amax(a, dim=dim, keepdim=True) if dim else a
        top = op.where(op.isfinite(top), top, op.zeros_like(top))
        sums = op.exp.parts((a - top, b))
        if dim:
            sums = [op.sum(part, dim=dim, keepdim=True) for part in sums]
        c, d = op.log.parts(tuple(sums))
        shape = reduced(a.shape, dim, keepdim)
        return op.reshape(c + top, shape=shape), op.reshape(d, shape=shape)

    def weights(y, x):
        return exp_below(x, y)


def exp_below(x, y):
    """e^(x−y), and 0 where both are −∞."""
    if dtype_of(y).kind == "c":
        return op.exp(x - y)
    lowest = number(-np.inf, y)
    return op.exp(x - op.where(op.eq(y, lowest), op.zeros_like(y), y))


class All(Reduction):
    """Every element is non-zero.

    >>> tensor([True, False]).all()
    tensor(False)
    """

    out = "bool"
    samples = some_dims()
    reference = staticmethod(
        lambda x, dim, keepdim: ~(x == 0).any(axis=dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        return np.logical_and.reduce(x, axis=dim, keepdims=keepdim)

    def expand(x, *, dim, keepdim):
        x = _is_not_zero(x)
        return op.amin(x, dim=dim, keepdim=keepdim) if dim else x


class Any(Reduction):
    """Some element is non-zero.

    >>> tensor([True, False]).any()
    tensor(True)
    """

    out = "bool"
    samples = some_dims()
    reference = staticmethod(
        lambda x, dim, keepdim: ~(x == 0).all(axis=dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        return np.logical_or.reduce(x, axis=dim, keepdims=keepdim)

    def expand(x, *, dim, keepdim):
        x = _is_not_zero(x)
        return op.amax(x, dim=dim, keepdim=keepdim) if dim else x


class CountNonzero(Reduction):
    """How many elements are not zero.

    >>> count_nonzero(tensor([0, 3, 4]))
    tensor(2)
    """

    out = "index"
    samples = some_dims()
    reference = staticmethod(
        lambda x, dim, keepdim: np.where(x == 0, 0, 1).sum(dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        return np.add.reduce(x != 0, axis=dim, keepdims=keepdim, dtype=np.int64)

    def expand(x, *, dim, keepdim):
        x = _is_not_zero(x)
        if not dim:
            return op.cast(x, dtype=np.dtype("int64"))
        return op.sum(x, dim=dim, keepdim=keepdim)


def flat_last(x, dim):
    """`x` with the dims `dim` laid out as one, the last."""
    rest = tuple(i for i in range(x.ndim) if i not in dim)
    moved = x.transpose((*rest, *dim))
    return moved.reshape((*(x.shape[i] for i in rest), count_of(x, dim)))
