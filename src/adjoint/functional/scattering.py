"""Functions that write or add at positions of a dim, row by row."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.inplace import assign, store
from ..core.bind import Box, dtype_of
from ..core.dtype import is_inexact
from ..core.primitive import op
from ..errors import ArgumentError, ArgumentTypeError
from ..ops.order import mesh
from .face import SCALARS, give, lift, method, need_tensor, only_method
from .gathering import need_ordered, need_same_dtype, places_along, written


def _source(src, x, index, name):
    """The part of src that is written, or one number for all."""
    if isinstance(src, SCALARS) or (
        isinstance(src, Box) and name == "scatter" and not src.ndim
    ):
        return op.expand(lift(src, dtype_of(x), name), shape=tuple(index.shape))
    src = need_same_dtype(name, need_tensor(src, name, "src"), x)
    src = op.reshape(src, shape=(1,)) if src.ndim == 0 else src
    if tuple(src.shape) == tuple(index.shape):
        return src
    return op.slice(src, key=tuple((0, n, 1) for n in index.shape))


def _scattered(name, input, dim, index, src, write):
    """write(x, v, indices) at the positions that gather would read, in input's shape."""
    given = src if isinstance(src, Box) and src.ndim else None
    x, dim, index = places_along(name, input, dim, index, given)
    if not math.prod(index.shape):
        return op.contiguous(input)
    v = _source(src, x, index, name)
    y = write(x, v, mesh(index, dim))
    return y if x is input else op.reshape(y, shape=())


@method
def scatter(input, dim, index, src=None, *, value=None, reduce=None, out=None):
    """A copy with `src` (or one value) written where `gather` would read; the last stays.

    >>> scatter(zeros(2, 3), 1, tensor([[2], [0]]), 1.)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    src = value if src is None else src
    if src is None:
        raise ArgumentTypeError("scatter(): needs src or value")
    if reduce not in (None, "add", "multiply"):
        raise ArgumentError(f"scatter: reduce must be add or multiply, got {reduce!r}")
    return give(_scattered("scatter", input, dim, index, src, _WRITES[reduce]), out)


_WRITES = {
    None: lambda x, v, at: written(x, v, at, 0),
    "add": lambda x, v, at: written(x, v, at, 0, True),
    "multiply": lambda x, v, at: op.index_reduce(x, v, *at, dim=0, reduce="prod"),
}


@only_method
def scatter_(self, dim, index, src=None, *, value=None, reduce=None):
    """`scatter` written into this tensor."""
    if reduce is not None:
        return assign(
            self, scatter(self, dim, index, src, value=value, reduce=reduce), "scatter_"
        )
    src = value if src is None else src
    if src is None:
        raise ArgumentTypeError("scatter_(): needs src or value")
    _scattered("scatter", self, dim, index, src, lambda x, v, at: stored(x, v, at, 0))
    return self


@only_method
def scatter_add_(self, dim, index, src):
    """`scatter_add` written into this tensor."""
    need_tensor(src, "scatter_add_", "src")
    _scattered(
        "scatter_add",
        self,
        dim,
        index,
        src,
        lambda x, v, at: stored(x, v, at, 0, True),
    )
    return self


def stored(x, v, indices, dim, adding=False):
    """v written or added in x's own memory: the cost is that of what is written."""
    return store(x, v, indices, dim, "scatter_", adding=adding)


@method
def scatter_add(input, dim, index, src, *, out=None):
    """A copy with `src` added where `gather` would read.

    >>> scatter_add(zeros(3), 0, tensor([0, 0, 2]), tensor([1., 2., 3.]))
    tensor([3., 0., 3.])
    """
    need_tensor(src, "scatter_add", "src")
    return give(_scattered("scatter_add", input, dim, index, src, _WRITES["add"]), out)


@method
def scatter_reduce(input, dim, index, src, reduce, *, include_self=True, out=None):
    """A copy with `src` combined where `gather` would read: sum, prod, mean, amax or amin.

    >>> x, i = zeros(2), tensor([1, 1])
    >>> scatter_reduce(x, 0, i, tensor([2., 4.]), "mean", include_self=False)
    tensor([0., 3.])
    """
    need_tensor(src, "scatter_reduce", "src")
    check_reduce("scatter_reduce", reduce, ("sum", "prod", "mean", "amax", "amin"))
    if reduce in ("amax", "amin"):
        need_ordered(f"scatter_reduce {reduce}", need_tensor(input, "scatter_reduce"))
    y = _scattered(
        "scatter_reduce",
        input,
        dim,
        index,
        src,
        lambda x, v, at: combined(x, v, at, 0, reduce, include_self),
    )
    return give(y, out)


def check_reduce(name, reduce, known):
    if reduce not in known:
        raise ArgumentError(
            f"{name}: reduce must be {', '.join(known[:-1])} or {known[-1]}, got {reduce!r}"
        )


def combined(x, v, indices, dim, reduce, include_self):
    """x combined with v at positions; without itself, x starts from the neutral element."""
    shape = tuple(x.shape)
    start = x
    if not include_self:
        neutral = np.array(_neutral(reduce, dtype_of(x)), dtype_of(x))
        neutral = op.expand(neutral, shape=tuple(v.shape))
        start = op.index_put(x, neutral, *indices, dim=dim)
    if reduce not in ("sum", "mean"):
        return op.index_reduce(start, v, *indices, dim=dim, reduce=reduce)
    total = start + op.unindex(v, *indices, dim=dim, shape=shape)
    if reduce == "sum":
        return total
    ones = op.unindex(op.ones_like(v), *indices, dim=dim, shape=shape)
    one = np.ones((), dtype_of(x))
    count = ones + one if include_self else _at_least(ones, one)
    return (
        op.div(total, count)
        if is_inexact(dtype_of(x))
        else op.floor_divide(total, count)
    )


def _at_least(count, one):
    return op.where(op.eq(count, one - one), one, count)


def _neutral(reduce, d):
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if d.kind in "bui":
        low, high = (
            (False, True) if d.kind == "b" else (np.iinfo(d).min, np.iinfo(d).max)
        )
    else:
        low, high = -math.inf, math.inf
    return low if reduce == "amax" else high
