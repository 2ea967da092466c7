"""Functions that read at positions, and those that tell them."""

from __future__ import annotations

import math
from operator import le

import numpy as np

from ..core.bind import Box, dtype_of
from ..core.device import need_cpu
from ..core.dtype import is_inexact
from ..core.primitive import number, op
from ..core.shape import broadcast, norm_dim
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from ..ops.index import CLASS
from ..ops.order import mesh
from .bounds import within
from .creation import array_of
from .face import (
    cast,
    concrete,
    function,
    give,
    lift,
    method,
    need_tensor,
    np_dtype,
    wrap,
)


def need_integers(index, name):
    index = need_tensor(index, name, "index")
    if dtype_of(index).kind not in "iu":
        raise DtypeError(f"{name}: index must be integers, got {dtype_of(index).name}")
    return index


def places_along(name, input, dim, index, src=None):
    """(x, dim, index), which must fit: index no larger than x but along dim."""
    x, index = need_tensor(input, name), need_integers(index, name)
    shape, places = tuple(x.shape), tuple(index.shape)
    dim = norm_dim(dim, len(shape))
    if not shape:
        x, shape = op.reshape(x, shape=(1,)), (1,)
    if not places:
        index, places = op.reshape(index, shape=(1,)), (1,)
    if not math.prod(places):
        return x, dim, index
    if len(places) != len(shape):
        raise ShapeError(
            f"{name}: index and input must have the same number of dimensions, got "
            f"{len(places)} and {len(shape)}"
        )
    _check_cover(name, places, (*shape[:dim], math.inf, *shape[dim + 1 :]), "input")
    if src is not None:
        _check_cover(name, places, tuple(src.shape), "src")
    return x, dim, within(index, shape[dim], dim, name)


def _check_cover(name, places, bounds, what):
    if len(places) == len(bounds) and all(map(le, places, bounds)):
        return
    raise ShapeError(
        f"{name}: size of index {list(places)} exceeds that of {what}, "
        f"{[n if n < math.inf else 'any' for n in bounds]}"
    )


@method
def gather(input, dim, index, *, sparse_grad=False, out=None):
    """yᵢⱼ = x at [index[i, j], j] for dim 0, [i, index[i, j]] for dim 1, and so on.

    >>> gather(tensor([[1, 2], [3, 4]]), 1, tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    x, dim, places = places_along("gather", input, dim, index)
    if not math.prod(places.shape):
        return give(op.index(raveled(x), places, dim=0), out)
    y = op.index(x, *mesh(places, dim), dim=0)
    if tuple(places.shape) != tuple(index.shape):
        y = op.reshape(y, shape=())
    return give(y, out)


@method
def take_along_dim(input, indices, dim=None, *, out=None):
    """`gather` with negative positions and broadcasting of the other dims; flat without `dim`.

    >>> x = tensor([[3, 1], [2, 4]])
    >>> take_along_dim(x, tensor([[1], [0]]), dim=1)
    tensor([[1],
            [2]])
    """
    x = need_tensor(input, "take_along_dim")
    indices = need_integers(indices, "take_along_dim")
    if dim is None:
        return give(op.index(raveled(x), raveled(indices), dim=0), out)
    if x.ndim != indices.ndim:
        raise ShapeError(
            "take_along_dim: input and indices must have the same number of dimensions, got "
            f"{x.ndim} and {indices.ndim}"
        )
    dim = norm_dim(dim, x.ndim)
    shape = broadcast(
        (*x.shape[:dim], 1, *x.shape[dim + 1 :]),
        tuple(indices.shape),
        name="take_along_dim",
    )
    x = op.expand(x, shape=(*shape[:dim], x.shape[dim], *shape[dim + 1 :]))
    return give(op.index(x, *mesh(op.expand(indices, shape=shape), dim), dim=0), out)


def raveled(x):
    return op.reshape(x, shape=(math.prod(x.shape),))


@method
def take(input, index, *, out=None):
    """Elements of the flattened input.

    >>> take(tensor([[1, 2], [3, 4]]), tensor([0, -1]))
    tensor([1, 4])
    """
    x = need_tensor(input, "take")
    return give(op.index(raveled(x), need_integers(index, "take"), dim=0), out)


@method
def put(input, index, source, accumulate=False):
    """A copy with `source` written, or added, at positions of the flattened input.

    >>> put(zeros(2, 2), tensor([1, 2]), tensor([5., 6.]))
    tensor([[0., 5.],
            [6., 0.]])
    """
    x, index = need_tensor(input, "put"), need_integers(index, "put")
    source = need_same_dtype("put", need_tensor(source, "put", "source"), x)
    if math.prod(index.shape) != math.prod(source.shape):
        raise ShapeError(
            f"put: index has {math.prod(index.shape)} elements, source has "
            f"{math.prod(source.shape)}"
        )
    flat = written(raveled(x), raveled(source), [raveled(index)], 0, accumulate)
    return op.reshape(flat, shape=tuple(x.shape))


def need_same_dtype(name, src, x):
    if dtype_of(src) != dtype_of(x):
        raise DtypeError(
            f"{name}: self and source must have one dtype, got {dtype_of(x).name} and "
            f"{dtype_of(src).name}"
        )
    return src


def written(x, v, indices, dim, accumulate=False):
    if accumulate:
        return x + op.unindex(v, *indices, dim=dim, shape=tuple(x.shape))
    return op.index_put(x, v, *indices, dim=dim)


# ---------------------------------------------------------------- positions


@method
def isin(elements, test_elements, *, assume_unique=False, invert=False, out=None):
    """Whether each element is among `test_elements`.

    >>> isin(tensor([1, 2, 3]), tensor([2]))
    tensor([False,  True, False])
    """
    if not isinstance(elements, Box) and not isinstance(test_elements, Box):
        raise ArgumentTypeError("isin(): one of the arguments must be a Tensor")
    a, b = (x if isinstance(x, Box) else array_of(x) for x in (elements, test_elements))
    need_ordered("isin", a, b)
    found = op.isin(a, b)
    return give(op.logical_not(found) if invert else found, out)


def need_ordered(name, *xs) -> None:
    """What orders numbers, or is defined for those with an order alone, refuses complex ones."""
    for x in xs:
        if dtype_of(x).kind == "c":
            raise DtypeError(f"{name}: not implemented for {dtype_of(x).name}")


@function
def searchsorted(
    sorted_sequence,
    input,
    *,
    out_int32=False,
    right=False,
    side=None,
    sorter=None,
    out=None,
):
    """Where each value belongs in the sorted last dim of `sorted_sequence`.

    >>> searchsorted(tensor([1, 3, 5]), tensor([3, 4]), right=True)
    tensor([2, 2])
    """
    rows = need_tensor(sorted_sequence, "searchsorted", "sorted_sequence")
    if side not in (None, "left", "right"):
        raise ArgumentError(f"searchsorted: side must be left or right, got {side!r}")
    if side == "left" and right:
        raise ArgumentError("searchsorted: side and right are opposites")
    rows, x = _sought(rows, input)
    if rows.ndim == 0:
        raise ShapeError("searchsorted: sorted_sequence must have at least one dim")
    if rows.ndim > 1 and tuple(rows.shape[:-1]) != tuple(x.shape[:-1]):
        raise ShapeError(
            "searchsorted: all dims but the last must be equal, got "
            f"{list(rows.shape)} and {list(x.shape)}"
        )
    if sorter is not None:
        rows = take_along_dim(rows, sorter, -1)
    y = op.searchsorted(rows, x, right=bool(right or side == "right"))
    return give(cast(y, np.dtype("int32")) if out_int32 else y, out)


def _sought(rows, values):
    """Sorted rows and the values whose places in them are asked for, of one dtype."""
    need_ordered("searchsorted", rows)
    if isinstance(values, Box):
        need_ordered("searchsorted", values)
        if dtype_of(values) != dtype_of(rows):
            raise DtypeError(
                f"searchsorted: sequence and values must have one dtype, got "
                f"{dtype_of(rows).name} and {dtype_of(values).name}"
            )
        return rows, values
    if isinstance(values, complex):
        need_ordered("searchsorted", array_of(values))
    if isinstance(values, float) and not is_inexact(dtype_of(rows)):
        rows = cast(rows, np.dtype("float64"))
    return rows, wrap(lift(values, dtype_of(rows), "searchsorted"))


@function
def bucketize(input, boundaries, *, out_int32=False, right=False, out=None):
    """The number of the bucket between sorted `boundaries` that each value falls into.

    >>> bucketize(tensor([3, 6, 9]), tensor([1, 3, 5, 7, 9]))
    tensor([1, 3, 4])
    """
    edges = need_tensor(boundaries, "bucketize", "boundaries")
    if edges.ndim != 1:
        raise ShapeError(
            f"bucketize: boundaries must be a vector, got {edges.ndim} dims"
        )
    if isinstance(input, Box) and dtype_of(input) != dtype_of(edges):
        d = np.promote_types(dtype_of(input), dtype_of(edges))
        input, edges = cast(input, d), cast(edges, d)
    return give(searchsorted(edges, input, out_int32=out_int32, right=right), out)


def _triangle(name, row, col, offset, dtype, lower):
    if row < 0 or col < 0:
        raise ArgumentError(
            f"{name}: row and col must not be negative, got {row}, {col}"
        )
    make = np.tril_indices if lower else np.triu_indices
    return wrap(np.stack(make(row, offset, col)).astype(np_dtype(dtype) or np.int64))


@function
def tril_indices(row, col, offset=0, *, dtype=None, device=None, layout=None):
    """Rows and columns of the lower triangle, in row-major order.

    >>> tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    need_cpu(device)
    return _triangle("tril_indices", row, col, offset, dtype, True)


@function
def triu_indices(row, col, offset=0, *, dtype=None, device=None, layout=None):
    """Rows and columns of the upper triangle, in row-major order.

    >>> triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    need_cpu(device)
    return _triangle("triu_indices", row, col, offset, dtype, False)


@function
def unravel_index(indices, shape):
    """Positions in an array of `shape` for positions in it flattened.

    >>> unravel_index(tensor([3, 5]), (2, 3))
    (tensor([1, 1]), tensor([0, 2]))
    """
    flat = need_integers(indices, "unravel_index")
    shape = (shape,) if isinstance(shape, int) else tuple(int(n) for n in shape)
    if any(n < 0 for n in shape):
        raise ArgumentError(f"unravel_index: sizes must not be negative, got {shape}")
    out = []
    for d, n in enumerate(shape):
        step = np.array(max(1, math.prod(shape[d + 1 :])), dtype_of(flat))
        size = number(max(1, n), flat)
        out.append(op.remainder(op.floor_divide(flat, step), size))
    return tuple(out)


@function
def one_hot(tensor, num_classes=-1):
    """One row a number, with 1 at that class and 0 elsewhere.

    >>> one_hot(tensor([2, 0]), 3)
    tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    x = need_integers(tensor, "one_hot")
    if num_classes == -1:
        value = concrete(x, "the classes", "num_classes= says how many there are")
        if not value.size:
            raise ArgumentError("one_hot: num_classes is needed for an empty tensor")
        num_classes = int(value.max()) + 1
    x = within(x, num_classes, CLASS, "one_hot")
    hit = op.eq(
        op.reshape(x, shape=(*x.shape, 1)), np.arange(num_classes, dtype=dtype_of(x))
    )
    return op.cast(hit, dtype=np.dtype("int64"))
