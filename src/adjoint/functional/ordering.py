"""Extremes, ranks and order along a dim: values with their places; what is unique.

Gradients of values go to the places that are returned with them.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import Box, dtype_of
from ..core.primitive import op
from ..core.shape import norm_dim
from ..errors import ArgumentError, ArgumentTypeError, DimError
from ..ops.extremes import comparable
from ..ops.order import take_along, take_one
from .face import concrete, give, method, need_tensor, promote, wrap
from .reductions import (
    ValuesIndices,
    amax,
    amin,
    dims_of,
    need_ordered,
    need_some,
    start,
)


def _row(x):
    """`x`, a 0-d tensor as one of a single element."""
    return x if x.ndim else op.reshape(x, shape=(1,))


def ordered(input, name):
    """The tensor `input`, whose elements must have an order."""
    x = start(input, name)
    need_ordered(x, name)
    return x


def fetch(x, dim, places, out=None):
    """Values and places; `places(row, dim)` gives integers, one or more a row."""
    row, dim = _row(x), norm_dim(dim, x.ndim)
    index = places(row, dim)
    values = take_along(row, index, dim=dim)
    if x.ndim == 0 and tuple(index.shape) == (1,):
        values, index = (op.reshape(y, shape=()) for y in (values, index))
    return _pair(values, index, out)


def _pair(values, index, out):
    if out is not None:
        values, index = (give(y, o) for y, o in zip((values, index), out, strict=True))
    return ValuesIndices(values, index)


def _one(x, dim, keepdim, places, out=None):
    """Values and places where there is one place a row; the dim goes unless kept."""
    if keepdim or x.ndim == 0:
        return fetch(x, dim, places, out)
    dim = norm_dim(dim, x.ndim)
    index = places(x, dim)
    index = op.reshape(index, shape=(*x.shape[:dim], *x.shape[dim + 1 :]))
    return _pair(take_one(x, index, dim), index, out)


# ---------------------------------------------------------------- extremes


def _largest(prim, whole, both, input, dim, keepdim, other, out):
    other = dim if isinstance(dim, Box) else other
    if other is not None:
        return give(both(*promote(prim.name[3:], input, other)), out)
    if dim is None:
        return give(whole(input), out)
    x = ordered(input, prim.name[3:])
    if isinstance(dim, (tuple, list)):
        raise ArgumentTypeError(
            f"{prim.name[3:]}: dim must be an integer, not {dim}",
            hint="amax and amin take several dims",
        )
    need_some(x, dims_of(x, dim), prim.name[3:])
    return _one(x, dim, keepdim, lambda x, d: prim(x, dim=(d,), keepdim=True), out)


@method
def max(input, dim=None, keepdim=False, *, other=None, out=None):
    """Largest of all elements; along `dim`, with its place; of two tensors, elementwise.

    >>> max(tensor([[1., 5.], [7., 2.]]), 1)
    ValuesIndices(values=tensor([5., 7.]), indices=tensor([1, 0]))
    """
    return _largest(op.argmax, amax, op.maximum, input, dim, keepdim, other, out)


@method
def min(input, dim=None, keepdim=False, *, other=None, out=None):
    """Smallest of all elements; along `dim`, with its place; of two tensors, elementwise.

    >>> min(tensor([[1., 5.], [7., 2.]]), 1)
    ValuesIndices(values=tensor([1., 2.]), indices=tensor([0, 1]))
    """
    return _largest(op.argmin, amin, op.minimum, input, dim, keepdim, other, out)


@method
def fmax(input, other, *, out=None):
    """The larger of two, the number where one is NaN; at a tie the gradient is the first's.

    >>> fmax(tensor([1., nan]), tensor([3., 2.]))
    tensor([3., 2.])
    """
    a, b = promote("fmax", input, other)
    need_ordered(a, "fmax")
    return give(op.where(op.logical_or(op.ge(a, b), op.isnan(b)), a, b), out)


@method
def fmin(input, other, *, out=None):
    """The smaller of two, the number where one is NaN; at a tie the gradient is the first's.

    >>> fmin(tensor([1., nan]), tensor([3., 2.]))
    tensor([1., 2.])
    """
    a, b = promote("fmin", input, other)
    need_ordered(a, "fmin")
    return give(op.where(op.logical_or(op.le(a, b), op.isnan(b)), a, b), out)


# ---------------------------------------------------------------- sorting


@method
def sort(input, dim=-1, descending=False, stable=False, *, out=None):
    """Sorted along `dim`, and where each element was; NaN is largest.

    Equals keep their order, asked for or not.

    >>> sort(tensor([3., 1., 2.]))
    ValuesIndices(values=tensor([1., 2., 3.]), indices=tensor([1, 2, 0]))
    """
    x = ordered(input, "sort")
    down = bool(descending)
    return fetch(x, dim, lambda x, d: op.argsort(x, dim=d, descending=down), out)


@method
def argsort(input, dim=-1, descending=False, stable=False):
    """The places in sorted order along `dim`.

    >>> argsort(tensor([3., 1., 2.]), descending=True)
    tensor([0, 2, 1])
    """
    x = op.stop_gradient(need_tensor(input, "argsort"))
    return sort(x, dim, descending, stable).indices


@method
def msort(input, *, out=None):
    """Sorted along the first dim.

    >>> msort(tensor([[3., 1.], [2., 4.]]))
    tensor([[2., 1.],
            [3., 4.]])
    """
    return give(sort(input, 0)[0], out)


def _need_rank(k, n, low, name):
    if isinstance(k, bool) or not hasattr(k, "__index__"):
        raise ArgumentTypeError(f"{name}: k must be an integer, got {k!r}")
    if not low <= k.__index__() <= n:
        raise ArgumentError(f"{name}: k must lie in [{low}, {n}], got {k}")
    return k.__index__()


@method
def topk(input, k, dim=-1, largest=True, sorted=True, *, out=None):
    """The k largest (or smallest) elements along `dim`, best first, and their places.

    >>> topk(tensor([3., 1., 2.]), 2)
    ValuesIndices(values=tensor([3., 2.]), indices=tensor([0, 2]))
    """
    x = ordered(input, "topk")
    k = _need_rank(k, _size(x, dim), 0, "topk")
    p = {"k": k, "largest": bool(largest)}
    return fetch(x, dim, lambda x, d: op.topk_index(x, dim=d, **p), out)


def _size(x, dim) -> int:
    """How many elements along `dim`; one of a 0-d tensor."""
    dim = norm_dim(dim, x.ndim)
    return x.shape[dim] if x.ndim else 1


@method
def kthvalue(input, k, dim=-1, keepdim=False, *, out=None):
    """The k-th smallest element (from 1) along `dim`, and its place.

    >>> kthvalue(tensor([3., 1., 2.]), 2)
    ValuesIndices(values=tensor(2.), indices=tensor(2))
    """
    x = ordered(input, "kthvalue")
    k = _need_rank(k, _size(x, dim), 1, "kthvalue")
    places = lambda x, d: op.kth_index(x, dim=d, rank=k - 1)  # noqa: E731
    return _one(x, dim, keepdim, places, out)


# ---------------------------------------------------------------- middle, mode


def _median(prim, input, dim, keepdim, out):
    x = ordered(input, prim.name)
    if dim is not None:
        return _median_along(prim, x, dim, keepdim, out)
    if 0 in x.shape:
        if dtype_of(x).kind in "bui":
            raise ArgumentError(f"{prim.name}: an empty tensor of integers has none")
        return op.sum(x, dim=tuple(range(x.ndim)), keepdim=False) * np.nan
    return give(prim(x, dim=tuple(range(x.ndim)), keepdim=False), out)


def _median_along(prim, x, dim, keepdim, out):
    if _size(x, dim) == 0:
        raise DimError(f"{prim.name}: dim {dim} of shape {tuple(x.shape)} is empty")
    skip = prim is op.nanmedian
    places = lambda x, d: op.median_index(x, dim=d, skip=skip)  # noqa: E731
    return _one(x, dim, keepdim, places, out)


@method
def median(input, dim=None, keepdim=False, *, out=None):
    """The lower of the two middle elements; along `dim`, with its place; NaN if one is.

    >>> median(tensor([[4., 1., 3.], [2., 9., 8.]]), 1)
    ValuesIndices(values=tensor([3., 8.]), indices=tensor([2, 2]))
    """
    return _median(op.median, input, dim, keepdim, out)


@method
def nanmedian(input, dim=None, keepdim=False, *, out=None):
    """The median of the elements that are not NaN.

    >>> nanmedian(tensor([1., nan, 3., 2.]))
    tensor(2.)
    """
    return _median(op.nanmedian, input, dim, keepdim, out)


@method
def mode(input, dim=-1, keepdim=False, *, out=None):
    """The most frequent element along `dim` (the smallest of several), and its last place.

    >>> mode(tensor([1, 3, 3, 2]))
    ValuesIndices(values=tensor(3), indices=tensor(2))
    """
    x = ordered(input, "mode")
    if _size(x, dim) == 0:
        raise DimError(f"mode: dim {dim} of shape {tuple(x.shape)} is empty")
    return _one(x, dim, keepdim, lambda x, d: op.mode_index(x, dim=d), out)


# ---------------------------------------------------------------- unique


def _slices(x, dim):
    """The slices of an array along `dim` as rows, which a scalar row lets NumPy compare."""
    rows = np.moveaxis(x, dim, 0)
    return rows.reshape(len(rows), math.prod(rows.shape[1:]))


def _ranks(rows):
    """For each row the number of the row value it has, in sorted order."""
    ranks = np.zeros(len(rows), np.int64)
    for column in rows.T:
        _, at = np.unique(column, return_inverse=True, equal_nan=False)
        _, ranks = np.unique(ranks * len(rows) + at, return_inverse=True)
    return ranks


def _chosen(x, first, dim):
    """The elements (slices) of `x` at the places `first`, differentiably."""
    if dim is None:
        x, dim = op.reshape(x, shape=(math.prod(x.shape),)), 0
    shape = [1] * x.ndim
    shape[dim] = len(first)
    whole = (*x.shape[:dim], len(first), *x.shape[dim + 1 :])
    index = np.broadcast_to(first.reshape(shape), whole)
    return take_along(x, index, dim=dim)


def _results(values, inverse, counts, want_inverse, want_counts):
    out = [values]
    if want_inverse:
        out.append(wrap(inverse))
    if want_counts:
        out.append(wrap(counts))
    return out[0] if len(out) == 1 else tuple(out)


def _dim_of(x, dim):
    """`dim` counted from the front; None, too, for a 0-d tensor, whose one element it is."""
    dim = None if dim is None else norm_dim(dim, x.ndim)
    return dim if x.ndim else None


def _values_alone(keys, return_counts):
    """Without places NumPy need not remember where the sorted elements were."""
    y = np.unique(comparable(keys), return_counts=return_counts, equal_nan=False)
    y, counts = y if return_counts else (y, None)
    y = wrap(y.astype(keys.dtype, copy=False))
    return (y, wrap(counts)) if return_counts else y


_SORTED = "sort(x) brings equal elements together, as many as there are"


@method
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The different elements in order, or the different slices along `dim`.

    On request also where each element is in the result, and how often each occurs.

    >>> unique(tensor([3, 1, 3, 2]), return_counts=True)
    (tensor([1, 2, 3]), tensor([1, 1, 2]))
    """
    x = need_tensor(input, "unique")
    need_ordered(x, "unique")
    value, dim = concrete(x, "the input", _SORTED), _dim_of(x, dim)
    keys = value.ravel() if dim is None else _ranks(_slices(value, dim))
    if dim is None and not (x.requires_grad or return_inverse):
        return _values_alone(keys, return_counts)
    _, first, inverse, counts = np.unique(
        comparable(keys),
        return_index=True,
        return_inverse=True,
        return_counts=True,
        equal_nan=False,
    )
    inverse = inverse.reshape(value.shape if dim is None else -1)
    y = _chosen(x, first, dim)
    return _results(y, inverse, counts, return_inverse, return_counts)


@method
def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The first element (slice along `dim`) of each run of equal ones.

    >>> unique_consecutive(tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    x = need_tensor(input, "unique_consecutive")
    value, dim = concrete(x, "the input", _SORTED), _dim_of(x, dim)
    rows = value.reshape(-1, 1) if dim is None else _slices(value, dim)
    new = np.ones(len(rows), bool)
    new[1:] = (rows[1:] != rows[:-1]).any(1)
    first, inverse = np.flatnonzero(new), np.cumsum(new) - 1
    counts = np.diff(np.append(first, len(rows)))
    inverse = inverse.reshape(value.shape if dim is None else -1)
    y = _chosen(x, first, dim)
    return _results(y, inverse, counts, return_inverse, return_counts)
