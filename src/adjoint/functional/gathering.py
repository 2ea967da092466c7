"""Functions that read and write at positions: gather, scatter, index_*, take, masks.

All are the four records of ops/index.py, given positions for every dim or for one.
"""

from __future__ import annotations

import math
from functools import partial
from operator import le

import numpy as np

from ..autodiff.inplace import assign, store
from ..core.bind import Box, dtype_of
from ..core.dtype import is_inexact
from ..core.primitive import number, op
from ..core.shape import broadcast, norm_dim
from ..errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError
from ..ops.index import CLASS
from ..ops.order import mesh
from .bounds import within
from .creation import array_of
from .face import (
    SCALARS,
    cast,
    function,
    lift,
    method,
    need_tensor,
    np_dtype,
    only_method,
    wrap,
)
from .indexing import concrete


def _integers(index, name):
    index = need_tensor(index, name, "index")
    if dtype_of(index).kind not in "iu":
        raise DtypeError(f"{name}: index must be integers, got {dtype_of(index).name}")
    return index


def _along(name, input, dim, index, src=None):
    """(x, dim, index), which must fit: index no larger than x but along dim."""
    x, index = need_tensor(input, name), _integers(index, name)
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
def gather(input, dim, index, *, sparse_grad=False):
    """yᵢⱼ = x at [index[i, j], j] for dim 0, [i, index[i, j]] for dim 1, and so on.

    >>> gather(tensor([[1, 2], [3, 4]]), 1, tensor([[0, 0], [1, 0]]))
    tensor([[1, 1],
            [4, 3]])
    """
    x, dim, places = _along("gather", input, dim, index)
    if not math.prod(places.shape):
        return op.index(_raveled(x), places, dim=0)
    y = op.index(x, *mesh(places, dim), dim=0)
    return y if tuple(places.shape) == tuple(index.shape) else op.reshape(y, shape=())


@method
def take_along_dim(input, indices, dim=None):
    """`gather` with negative positions and broadcasting of the other dims; flat without `dim`.

    >>> x = tensor([[3, 1], [2, 4]])
    >>> take_along_dim(x, tensor([[1], [0]]), dim=1)
    tensor([[1],
            [2]])
    """
    x = need_tensor(input, "take_along_dim")
    indices = _integers(indices, "take_along_dim")
    if dim is None:
        return op.index(_raveled(x), _raveled(indices), dim=0)
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
    return op.index(x, *mesh(op.expand(indices, shape=shape), dim), dim=0)


def _raveled(x):
    return op.reshape(x, shape=(math.prod(x.shape),))


@method
def take(input, index):
    """Elements of the flattened input.

    >>> take(tensor([[1, 2], [3, 4]]), tensor([0, -1]))
    tensor([1, 4])
    """
    x = need_tensor(input, "take")
    return op.index(_raveled(x), _integers(index, "take"), dim=0)


@method
def put(input, index, source, accumulate=False):
    """A copy with `source` written, or added, at positions of the flattened input.

    >>> put(zeros(2, 2), tensor([1, 2]), tensor([5., 6.]))
    tensor([[0., 5.],
            [6., 0.]])
    """
    x, index = need_tensor(input, "put"), _integers(index, "put")
    source = _same_dtype("put", need_tensor(source, "put", "source"), x)
    if math.prod(index.shape) != math.prod(source.shape):
        raise ShapeError(
            f"put: index has {math.prod(index.shape)} elements, source has "
            f"{math.prod(source.shape)}"
        )
    flat = _written(_raveled(x), _raveled(source), [_raveled(index)], 0, accumulate)
    return op.reshape(flat, shape=tuple(x.shape))


def _same_dtype(name, src, x):
    if dtype_of(src) != dtype_of(x):
        raise DtypeError(
            f"{name}: self and source must have one dtype, got {dtype_of(x).name} and "
            f"{dtype_of(src).name}"
        )
    return src


def _written(x, v, indices, dim, accumulate=False):
    if accumulate:
        return x + op.unindex(v, *indices, dim=dim, shape=tuple(x.shape))
    return op.index_put(x, v, *indices, dim=dim)


# ---------------------------------------------------------------- scatter


def _source(src, x, index, name):
    """The part of src that is written, or one number for all."""
    if isinstance(src, SCALARS) or (
        isinstance(src, Box) and name == "scatter" and not src.ndim
    ):
        return op.expand(lift(src, dtype_of(x), name), shape=tuple(index.shape))
    src = _same_dtype(name, need_tensor(src, name, "src"), x)
    src = op.reshape(src, shape=(1,)) if src.ndim == 0 else src
    if tuple(src.shape) == tuple(index.shape):
        return src
    return op.slice(src, key=tuple((0, n, 1) for n in index.shape))


def _scattered(name, input, dim, index, src, write):
    """write(x, v, indices) at the positions that gather would read, in input's shape."""
    given = src if isinstance(src, Box) and src.ndim else None
    x, dim, index = _along(name, input, dim, index, given)
    if not math.prod(index.shape):
        return op.contiguous(input)
    v = _source(src, x, index, name)
    y = write(x, v, mesh(index, dim))
    return y if x is input else op.reshape(y, shape=())


@method
def scatter(input, dim, index, src=None, *, value=None, reduce=None):
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
    return _scattered("scatter", input, dim, index, src, _WRITES[reduce])


_WRITES = {
    None: lambda x, v, at: _written(x, v, at, 0),
    "add": lambda x, v, at: _written(x, v, at, 0, True),
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
    _scattered("scatter", self, dim, index, src, lambda x, v, at: _stored(x, v, at, 0))
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
        lambda x, v, at: _stored(x, v, at, 0, True),
    )
    return self


def _stored(x, v, indices, dim, adding=False):
    """v written or added in x's own memory: the cost is that of what is written."""
    return store(x, v, indices, dim, "scatter_", adding=adding)


@method
def scatter_add(input, dim, index, src):
    """A copy with `src` added where `gather` would read.

    >>> scatter_add(zeros(3), 0, tensor([0, 0, 2]), tensor([1., 2., 3.]))
    tensor([3., 0., 3.])
    """
    need_tensor(src, "scatter_add", "src")
    return _scattered("scatter_add", input, dim, index, src, _WRITES["add"])


@method
def scatter_reduce(input, dim, index, src, reduce, *, include_self=True):
    """A copy with `src` combined where `gather` would read: sum, prod, mean, amax or amin.

    >>> x, i = zeros(2), tensor([1, 1])
    >>> scatter_reduce(x, 0, i, tensor([2., 4.]), "mean", include_self=False)
    tensor([0., 3.])
    """
    need_tensor(src, "scatter_reduce", "src")
    _check_reduce("scatter_reduce", reduce, ("sum", "prod", "mean", "amax", "amin"))
    return _scattered(
        "scatter_reduce",
        input,
        dim,
        index,
        src,
        lambda x, v, at: _combined(x, v, at, 0, reduce, include_self),
    )


def _check_reduce(name, reduce, known):
    if reduce not in known:
        raise ArgumentError(
            f"{name}: reduce must be {', '.join(known[:-1])} or {known[-1]}, got {reduce!r}"
        )


def _combined(x, v, indices, dim, reduce, include_self):
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


# ---------------------------------------------------------------- along one dim


def _one_dim(name, input, dim, index, *, negative=False):
    x, index = need_tensor(input, name), _integers(index, name)
    dim = norm_dim(dim, x.ndim)
    if index.ndim > 1:
        raise DimError(f"{name}: index must be a vector, got shape {list(index.shape)}")
    if x.ndim == 0:
        x = op.reshape(x, shape=(1,))
    if index.ndim == 0:
        index = op.reshape(index, shape=(1,))
    return x, dim, index if negative else within(index, x.shape[dim], dim, name)


@method
def index_select(input, dim, index):
    """The slices along `dim` at the positions `index`.

    >>> index_select(tensor([[1, 2, 3], [4, 5, 6]]), 1, tensor([2, 0]))
    tensor([[3, 1],
            [6, 4]])
    """
    x, dim, index = _one_dim("index_select", input, dim, index)
    y = op.index(x, index, dim=dim)
    return op.reshape(y, shape=()) if input.ndim == 0 else y


def _index_write(name, input, dim, index, source, write):
    """write(x, v, indices, dim) for slices along `dim`."""
    x, dim, index = _one_dim(name, input, dim, index)
    v = _same_dtype(name, need_tensor(source, name, "source"), x)
    want = (*x.shape[:dim], index.shape[0], *x.shape[dim + 1 :])
    if v.ndim == 0 and want == (1,):
        v = op.reshape(v, shape=(1,))
    if tuple(v.shape) != want:
        raise ShapeError(
            f"{name}: source of shape {list(v.shape)} does not fit the slices {list(want)}"
        )
    return op.reshape(write(x, v, [index], dim), shape=tuple(input.shape))


@method
def index_add(input, dim, index, source, *, alpha=1):
    """A copy with alpha * source added to the slices at `index`.

    >>> index_add(zeros(3), 0, tensor([0, 0]), tensor([1., 2.]))
    tensor([3., 0., 0.])
    """

    source = _times(source, alpha)
    return _index_write("index_add", input, dim, index, source, _added)


@only_method
def index_add_(self, dim, index, source, *, alpha=1):
    """`index_add` written into this tensor."""
    source = _times(source, alpha)
    _index_write("index_add", self, dim, index, source, partial(_stored, adding=True))
    return self


def _times(source, alpha):
    source = need_tensor(source, "index_add", "source")
    if alpha == 1:
        return source
    return op.mul(source, lift(alpha, dtype_of(source), "index_add"))


_added = partial(_written, accumulate=True)


@only_method
def index_copy_(self, dim, index, source):
    """`index_copy` written into this tensor."""
    _index_write("index_copy", self, dim, index, source, _stored)
    return self


@only_method
def index_fill_(self, dim, index, value):
    """`index_fill` written into this tensor."""
    x, dim, index, v = _filling("index_fill_", self, dim, index, value)
    _stored(x, v, [index], dim)
    return self


@method
def index_copy(input, dim, index, source):
    """A copy with the slices at `index` replaced by those of `source`.

    >>> index_copy(zeros(3), 0, tensor([2, 0]), tensor([1., 2.]))
    tensor([2., 0., 1.])
    """
    return _index_write("index_copy", input, dim, index, source, _written)


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
    return x, dim, index, op.expand(_fitting_number(value, x, name), shape=shape)


def _fitting_number(value, x, name):
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
def index_reduce(input, dim, index, source, reduce, *, include_self=True):
    """A copy with slices of `source` combined into those at `index`: prod, mean, amax, amin.

    >>> index_reduce(ones(2), 0, tensor([1, 1]), tensor([2., 3.]), "prod")
    tensor([1., 6.])
    """
    _check_reduce("index_reduce", reduce, ("prod", "mean", "amax", "amin"))
    return _index_write(
        "index_reduce",
        input,
        dim,
        index,
        source,
        lambda x, v, at, d: _combined(x, v, at, d, reduce, include_self),
    )


# ---------------------------------------------------------------- masks


def _mask(mask, name):
    mask = need_tensor(mask, name, "mask")
    if dtype_of(mask).kind != "b":
        raise DtypeError(f"{name}: mask must be bool, got {dtype_of(mask).name}")
    return mask


@method
def masked_fill(input, mask, value):
    """`value` where the mask holds, `input` elsewhere.

    >>> masked_fill(tensor([1., 2.]), tensor([True, False]), 0)
    tensor([0., 2.])
    """
    x, mask = need_tensor(input, "masked_fill"), _mask(mask, "masked_fill")
    if len(getattr(value, "shape", ())):
        raise ShapeError(
            "masked_fill: value must be a number or a 0-d tensor, got shape "
            f"{list(value.shape)}"
        )
    broadcast(tuple(x.shape), tuple(mask.shape), name="masked_fill")
    return op.where(mask, _fitting_number(value, x, "masked_fill"), x)


@method
def masked_select(input, mask):
    """The elements where the mask holds, in a row.

    >>> masked_select(tensor([1, 2, 3]), tensor([True, False, True]))
    tensor([1, 3])
    """
    x, mask = need_tensor(input, "masked_select"), _mask(mask, "masked_select")
    shape = broadcast(tuple(x.shape), tuple(mask.shape), name="masked_select")
    holds = np.broadcast_to(concrete(mask, "the mask"), shape)
    at = np.flatnonzero(holds)
    return op.index(_raveled(op.expand(x, shape=shape)), at, dim=0)


@method
def masked_scatter(input, mask, source):
    """The elements of `source`, in order, where the mask holds; `input` elsewhere.

    >>> masked_scatter(zeros(3), tensor([True, False, True]), tensor([1., 2., 3.]))
    tensor([1., 0., 2.])
    """
    x, mask = need_tensor(input, "masked_scatter"), _mask(mask, "masked_scatter")
    v = _raveled(
        _same_dtype("masked_scatter", need_tensor(source, "masked_scatter"), x)
    )
    shape = broadcast(tuple(x.shape), tuple(mask.shape), name="masked_scatter")
    mask = _raveled(op.expand(mask, shape=shape))
    n, value = v.shape[0], mask.value if isinstance(mask.value, np.ndarray) else None
    if value is not None and value.sum() > n:
        raise ShapeError(
            f"masked_scatter: the mask holds {value.sum()} times but source has {n} elements"
        )
    x = op.expand(x, shape=shape)
    if not n or not math.prod(shape):
        return op.contiguous(x)
    rank = op.cumsum(op.cast(mask, dtype=np.dtype("int64")), dim=0)
    rank = op.minimum(op.maximum(rank - np.int64(1), np.array(0)), np.array(n - 1))
    y = op.where(mask, op.index(v, rank, dim=0), _raveled(x))
    return op.reshape(y, shape=shape)


@method
def nonzero(input, *, as_tuple=False):
    """Where elements are not zero: a row of positions each, or a tuple with a tensor a dim.

    >>> nonzero(tensor([[0, 7], [8, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    x = concrete(need_tensor(input, "nonzero"), "the input")
    if as_tuple:
        return tuple(wrap(i) for i in np.nonzero(np.atleast_1d(x)))
    return wrap(np.argwhere(x).astype(np.int64))


@method
def argwhere(input):
    """Where elements are not zero, a row of positions each.

    >>> argwhere(tensor([0, 7, 8]))
    tensor([[1],
            [2]])
    """
    return nonzero(input)


# ---------------------------------------------------------------- writing views


def _overwritten(name, input, src, chain):
    x, src = need_tensor(input, name), need_tensor(src, name, "src")
    shown = wrap(np.broadcast_to(np.zeros((), bool), tuple(x.shape)))
    for prim, params, _ in chain:
        shown = prim(shown, **params)
    if tuple(shown.shape) != tuple(src.shape):
        raise ShapeError(
            f"{name}: src must have the shape of the part, {list(shown.shape)}, got "
            f"{list(src.shape)}"
        )
    return op.overwrite(x, cast(src, dtype_of(x)), chain=chain)


@method
def select_scatter(input, src, dim, index):
    """A copy with `src` at `index` of `dim`.

    >>> select_scatter(zeros(2, 2), tensor([1., 2.]), 0, 1)
    tensor([[0., 0.],
            [1., 2.]])
    """
    x = need_tensor(input, "select_scatter")
    dim = norm_dim(dim, x.ndim)
    n = x.shape[dim] if x.ndim else 0
    if not -n <= index < n:
        raise DimError(f"select_scatter: index {index} is out of range for size {n}")
    chain = ((op.select, {"dim": dim, "index": index % n}, None),)
    return _overwritten("select_scatter", x, src, chain)


@method
def slice_scatter(input, src, dim=0, start=None, end=None, step=1):
    """A copy with `src` in the slice start:end:step of `dim`.

    >>> slice_scatter(zeros(4), tensor([1., 2.]), 0, 1, 3)
    tensor([0., 1., 2., 0.])
    """
    x = need_tensor(input, "slice_scatter")
    dim = norm_dim(dim, x.ndim)
    if step <= 0:
        raise ArgumentError(f"slice_scatter: step must be positive, got {step}")
    key = [(0, n, 1) for n in x.shape]
    first, last, step = slice(start, end, step).indices(x.shape[dim])
    key[dim] = (first, max(first, last), step)
    return _overwritten(
        "slice_scatter", x, src, ((op.slice, {"key": tuple(key)}, None),)
    )


@method
def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    """A copy with `src` on a diagonal.

    >>> diagonal_scatter(zeros(2, 2), tensor([1., 2.]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    x, src = (
        need_tensor(input, "diagonal_scatter"),
        need_tensor(src, "diagonal_scatter", "src"),
    )
    a, b = norm_dim(dim1, x.ndim), norm_dim(dim2, x.ndim)
    if a == b:
        raise ShapeError(f"diagonal_scatter: dims must differ, got {dim1} and {dim2}")
    rest = [d for d in range(x.ndim) if d not in (a, b)]
    order = (*rest, a, b)
    n = max(0, min(x.shape[a] - max(0, -offset), x.shape[b] - max(0, offset)))
    want = (*(x.shape[d] for d in rest), n)
    if tuple(src.shape) != want:
        raise ShapeError(
            f"diagonal_scatter: src must have the shape of the diagonal, {list(want)}, got "
            f"{list(src.shape)}"
        )
    i, dim = np.arange(n), len(rest)
    at = (i + max(0, -offset), i + max(0, offset))
    y = op.index_put(op.permute(x, dims=order), cast(src, dtype_of(x)), *at, dim=dim)
    return op.permute(y, dims=tuple(sorted(range(x.ndim), key=order.__getitem__)))


# ---------------------------------------------------------------- positions


@method
def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Whether each element is among `test_elements`.

    >>> isin(tensor([1, 2, 3]), tensor([2]))
    tensor([False,  True, False])
    """
    if not isinstance(elements, Box) and not isinstance(test_elements, Box):
        raise ArgumentTypeError("isin(): one of the arguments must be a Tensor")
    a, b = (x if isinstance(x, Box) else array_of(x) for x in (elements, test_elements))
    found = op.isin(a, b)
    return op.logical_not(found) if invert else found


@function
def searchsorted(
    sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None
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
    x = input
    if not isinstance(input, Box):
        if isinstance(input, float) and not is_inexact(dtype_of(rows)):
            rows = cast(rows, np.dtype("float64"))
        x = wrap(lift(input, dtype_of(rows), "searchsorted"))
    if rows.ndim == 0:
        raise ShapeError("searchsorted: sorted_sequence must have at least one dim")
    if rows.ndim > 1 and tuple(rows.shape[:-1]) != tuple(x.shape[:-1]):
        raise ShapeError(
            "searchsorted: all dims but the last must be equal, got "
            f"{list(rows.shape)} and {list(x.shape)}"
        )
    if isinstance(input, Box) and dtype_of(x) != dtype_of(rows):
        raise DtypeError(
            f"searchsorted: sequence and values must have one dtype, got "
            f"{dtype_of(rows).name} and {dtype_of(x).name}"
        )
    if sorter is not None:
        rows = take_along_dim(rows, sorter, -1)
    y = op.searchsorted(rows, x, right=bool(right or side == "right"))
    return cast(y, np.dtype("int32")) if out_int32 else y


@function
def bucketize(input, boundaries, *, out_int32=False, right=False):
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
    return searchsorted(edges, input, out_int32=out_int32, right=right)


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
    return _triangle("tril_indices", row, col, offset, dtype, True)


@function
def triu_indices(row, col, offset=0, *, dtype=None, device=None, layout=None):
    """Rows and columns of the upper triangle, in row-major order.

    >>> triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return _triangle("triu_indices", row, col, offset, dtype, False)


@function
def unravel_index(indices, shape):
    """Positions in an array of `shape` for positions in it flattened.

    >>> unravel_index(tensor([3, 5]), (2, 3))
    (tensor([1, 1]), tensor([0, 2]))
    """
    flat = _integers(indices, "unravel_index")
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
    x = _integers(tensor, "one_hot")
    if num_classes == -1:
        value = concrete(x, "the classes")
        if not value.size:
            raise ArgumentError("one_hot: num_classes is needed for an empty tensor")
        num_classes = int(value.max()) + 1
    x = within(x, num_classes, CLASS, "one_hot")
    hit = op.eq(
        op.reshape(x, shape=(*x.shape, 1)), np.arange(num_classes, dtype=dtype_of(x))
    )
    return op.cast(hit, dtype=np.dtype("int64"))
