"""The largest and smallest elements over dims, where they are, and the middle one."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import Reduction, op
from ..core.shape import reduced
from .reduce import count_of, flat_last, flat_order, itself
from .samples import some_dims


class Amax(Reduction):
    """Largest element over dims; ties share the gradient evenly.

    >>> tensor([1., 3., 3.]).amax()
    tensor(3.)
    """

    samples = some_dims()
    expand = itself("amax")
    reference = staticmethod(
        lambda x, dim, keepdim: -np.min(-x, axis=dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        return np.maximum.reduce(x, axis=dim, keepdims=keepdim)

    def weights(y, x, dim):
        return share_ties(y, x, dim)


class Amin(Reduction):
    """Smallest element over dims; ties share the gradient evenly.

    >>> tensor([1., 1., 3.]).amin()
    tensor(1.)
    """

    samples = some_dims()
    expand = itself("amin")
    reference = staticmethod(
        lambda x, dim, keepdim: -np.max(-x, axis=dim, keepdims=keepdim)
    )

    def eager(x, *, dim, keepdim):
        return np.minimum.reduce(x, axis=dim, keepdims=keepdim)

    def weights(y, x, dim):
        return share_ties(y, x, dim)


def share_ties(y, x, dim):
    """Evenly over the elements equal to the result; a NaN result is that of the NaNs."""
    hit = op.logical_or(op.eq(x, y), op.logical_and(op.isnan(x), op.isnan(y)))
    hit = op.cast(hit, dtype=dtype_of(x))
    return hit / op.sum(hit, dim=dim, keepdim=True)


def _first_place(x, dim, keepdim):
    shape = reduced(x.shape, dim, keepdim)
    return np.argmax(flat_last(x, dim), -1).reshape(shape)


def _place_of(extreme):
    """An `expand`: the first place whose element is the extreme one, or the first NaN's."""

    def expand(x, *, dim, keepdim):
        name = {"amax": "argmax", "amin": "argmin"}[extreme]
        if not dim or 0 in x.shape or dtype_of(x).kind == "c":
            return getattr(op, name)(x, dim=dim, keepdim=keepdim)
        top = getattr(op, extreme)(x, dim=dim, keepdim=True)
        hit = op.eq(x, top)
        if dtype_of(x).kind not in "bui":
            hit = op.logical_or(hit, op.ne(x, x))
        short = np.dtype("int32" if count_of(x, dim) < 2**31 else "int64")
        count = np.array(count_of(x, dim), short)
        places = op.where(hit, _numbered(x.shape, dim).astype(short), count)
        y = op.amin(places, dim=dim, keepdim=keepdim)
        return op.cast(y, dtype=np.dtype("int64"))

    return staticmethod(expand)


def _numbered(shape, dim):
    """The elements over `dim` counted in its order."""
    sizes = [shape[d] for d in dim]
    numbers = np.arange(math.prod(sizes)).reshape(sizes)
    numbers = numbers.transpose(np.argsort(dim))
    return numbers.reshape([n if d in dim else 1 for d, n in enumerate(shape)])


def comparable(x):
    """`x` in a dtype that NumPy sorts, NaN last: bfloat16 goes through float32."""
    return x.astype(np.float32) if x.dtype.kind == "V" else x


class Argmax(Reduction):
    """Place of the largest element in the reduced dims, numbered row by row; NaN is largest.

    >>> tensor([1., 5., 5.]).argmax()
    tensor(1)
    """

    out = "index"
    samples = some_dims()
    expand = _place_of("amax")
    reference = _first_place

    def eager(x, *, dim, keepdim):
        if len(dim) == 1:
            return np.argmax(x, dim[0], keepdims=keepdim)
        flat = flat_last(x, dim)
        return np.argmax(flat, -1).reshape(reduced(x.shape, dim, keepdim))


class Argmin(Reduction):
    """Place of the smallest element in the reduced dims, numbered row by row; NaN is smallest.

    >>> tensor([2., 1., 1.]).argmin()
    tensor(1)
    """

    out = "index"
    samples = some_dims()
    expand = _place_of("amin")
    reference = staticmethod(lambda x, dim, keepdim: _first_place(-x, dim, keepdim))

    def eager(x, *, dim, keepdim):
        if len(dim) == 1:
            return np.argmin(x, dim[0], keepdims=keepdim)
        flat = flat_last(x, dim)
        return np.argmin(flat, -1).reshape(reduced(x.shape, dim, keepdim))


class Median(Reduction):
    """The lower middle element over dims; ties share the gradient evenly.

    >>> tensor([4., 1., 3., 2.]).median()
    tensor(2.)
    """

    samples = some_dims()
    reference = staticmethod(
        lambda x, dim, keepdim: np.quantile(
            x, 0.5, axis=dim, method="lower", keepdims=keepdim
        )
    )

    def eager(x, *, dim, keepdim):
        flat = comparable(flat_last(x, dim))
        last = flat.shape[-1] - 1
        y = np.partition(flat, (last // 2, last), -1)
        middle, top = y[..., last // 2], y[..., last]
        y = np.where(top != top, top, middle)
        return y.reshape(reduced(x.shape, dim, keepdim)).astype(x.dtype, copy=False)

    def expand(x, *, dim, keepdim):
        return _middle(x, dim, keepdim, skip=False)

    def weights(y, x, dim):
        return share_ties(y, x, dim)


def _middle(x, dim, keepdim, skip):
    """The middle element by its place."""
    order, row, _ = flat_order(x, dim)
    n, rows = row[-1], math.prod(row[:-1])
    if not dim or not rows * n or dtype_of(x).kind == "c":
        prim = op.nanmedian if skip else op.median
        return prim(x, dim=dim, keepdim=keepdim)
    flat = op.reshape(op.permute(x, dims=order), shape=(rows, n))
    place = op.median_index.expand(flat, dim=1, skip=skip)
    y = op.index(flat, np.arange(rows).reshape(rows, 1), place, dim=0)
    return op.reshape(y, shape=reduced(x.shape, dim, keepdim))


class Nanmedian(Reduction):
    """The lower middle of the elements that are not NaN.

    >>> tensor([4., nan, 3., 2.]).nanmedian()
    tensor(3.)
    """

    samples = some_dims()
    reference = Median.reference

    def eager(x, *, dim, keepdim):
        ranked = np.sort(comparable(flat_last(x, dim)), -1)
        count = np.add.reduce(ranked == ranked, axis=-1, keepdims=True, dtype=np.int64)
        y = np.take_along_axis(ranked, np.maximum(count - 1, 0) // 2, -1)
        return y.reshape(reduced(x.shape, dim, keepdim)).astype(x.dtype, copy=False)

    def expand(x, *, dim, keepdim):
        return _middle(x, dim, keepdim, skip=True)

    def weights(y, x, dim):
        return share_ties(y, x, dim)
