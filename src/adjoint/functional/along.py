"""Functions that read and write whole slices of a dim: index_*."""

from __future__ import annotations

import math
from functools import partial

import numpy as np

from ..core.bind import Box, dtype_of
from ..core.primitive import op
from ..core.shape import norm_dim
from ..errors import DimError, DtypeError, ShapeError
from .bounds import within
from .face import give, lift, method, need_tensor, only_method
from .gathering import need_integers, need_ordered, need_same_dtype, written
from .precision import widest
from .scattering import check_reduce, combined, stored


def _one_dim(name, input, dim, index, *, negative=False):
    x, index = need_tensor(input, name), need_integers(index, name)
    dim = norm_dim(dim, x.ndim)
    if index.ndim > 1:
        raise DimError(f"{name}: index must be a vector, got shape {list(index.shape)}")
    if x.ndim == 0:
        x = op.reshape(x, shape=(1,))
    if index.ndim == 0:
        index = op.reshape(index, shape=(1,))
    return x, dim, index if negative else within(index, x.shape[dim], dim, name)


@method
def index_select(input, dim, index, *, out=None):
    """The slices along `dim` at the positions `index`.

    >>> index_select(tensor([[1, 2, 3], [4, 5, 6]]), 1, tensor([2, 0]))
    tensor([[3, 1],
            [6, 4]])
    """
    x, dim, index = _one_dim("index_select", input, dim, index)
    y = op.index(x, index, dim=dim)
    y = op.reshape(y, shape=()) if input.ndim == 0 else y
    return give(y, out)


def _index_write(name, input, dim, index, source, write):
    """write(x, v, indices, dim) for slices along `dim`."""
    x, dim, index = _one_dim(name, input, dim, index)
    v = need_same_dtype(name, need_tensor(source, name, "source"), x)
    want = (*x.shape[:dim], index.shape[0], *x.shape[dim + 1 :])
    if v.ndim == 0 and want == (1,):
        v = op.reshape(v, shape=(1,))
    if tuple(v.shape) != want:
        raise ShapeError(
            f"{name}: source of shape {list(v.shape)} does not fit the slices {list(want)}"
        )
    return op.reshape(write(x, v, [index], dim), shape=tuple(input.shape))


@method
def index_add(input, dim, index, source, *, alpha=1, out=None):
    """A copy with alpha * source added to the slices at `index`.

    >>> index_add(zeros(3), 0, tensor([0, 0]), tensor([1., 2.]))
    tensor([3., 0., 0.])
    """

    source = _times(source, alpha)
    return give(_index_write("index_add", input, dim, index, source, _added), out)


@only_method
def index_add_(self, dim, index, source, *, alpha=1):
    """`index_add` written into this tensor."""
    source = _times(source, alpha)
    _index_write("index_add", self, dim, index, source, partial(stored, adding=True))
    return self


def _times(source, alpha):
    source = need_tensor(source, "index_add", "source")
    if alpha == 1:
        return source
    return op.mul(source, lift(alpha, dtype_of(source), "index_add"))


_added = partial(written, accumulate=True)


@only_method
def index_copy_(self, dim, index, source):
    """`index_copy` written into this tensor."""
    _index_write("index_copy", self, dim, index, source, stored)
    return self


@only_method
def index_fill_(self, dim, index, value):
    """`index_fill` written into this tensor."""
    x, dim, index, v = _filling("index_fill_", self, dim, index, value)
    stored(x, v, [index], dim)
    return self


@method
@widest
def index_copy(input, dim, index, source, *, out=None):
    """A copy with the slices at `index` replaced by those of `source`.

    >>> index_copy(zeros(3), 0, tensor([2, 0]), tensor([1., 2.]))
    tensor([2., 0., 1.])
    """
    return give(_index_write("index_copy", input, dim, index, source, written), out)


@method
def index_fill(input, dim, index, value):
    """A copy with one number in the slices at `index`.

    >>> index_fill(zeros(3), 0, tensor([2, 0]), 7.)
    tensor([7., 0., 7.])
    """
    x, dim, index, v = _filling("index_fill", input, dim, index, value)
    y = op.index_put(x, v, index, dim=dim)
    return op.reshape(y, shape=tuple(input.shape))


def _filling(name, input, dim, index, value):
    x, dim, index = _one_dim(name, input, dim, index, negative=True)
    if len(getattr(value, "shape", ())):
        raise ShapeError(f"{name}: value must be a number or a 0-d tensor")
    shape = (*x.shape[:dim], index.shape[0], *x.shape[dim + 1 :])
    return x, dim, index, op.expand(fitting_number(value, x, name), shape=shape)


def fitting_number(value, x, name):
    """A number in the dtype of x, fractions cut off; what has no counterpart is an error."""
    d = dtype_of(x)
    if isinstance(value, Box):
        lost = dtype_of(value).kind == "c" and d.kind != "c"
    else:
        lost = isinstance(value, complex) and d.kind != "c"
        lost = lost or (
            isinstance(value, float) and d.kind in "ui" and not _fits(value, d)
        )
    if lost:
        raise DtypeError(
            f"{name}: value cannot be converted to {d.name} without overflow"
        )
    return lift(value, d, name)


def _fits(value, d) -> bool:
    limits = np.iinfo(d)
    return math.isfinite(value) and limits.min <= int(value) <= limits.max


@method
def index_reduce(input, dim, index, source, reduce, *, include_self=True, out=None):
    """A copy with slices of `source` combined into those at `index`: prod, mean, amax, amin.

    >>> index_reduce(ones(2), 0, tensor([1, 1]), tensor([2., 3.]), "prod")
    tensor([1., 6.])
    """
    check_reduce("index_reduce", reduce, ("prod", "mean", "amax", "amin"))
    need_ordered("index_reduce", need_tensor(input, "index_reduce"))
    y = _index_write(
        "index_reduce",
        input,
        dim,
        index,
        source,
        lambda x, v, at, d: combined(x, v, at, d, reduce, include_self),
    )
    return give(y, out)
