"""Elements that a mask chooses, and writing over views of a tensor."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.masked import Masked
from ..core.bind import dtype_of
from ..core.primitive import op
from ..core.shape import broadcast, norm_dim, undoing
from ..errors import ArgumentError, DimError, DtypeError, ShapeError
from .along import fitting_number
from .face import cast, concrete, give, has_numbers, method, need_tensor, wrap
from .gathering import need_same_dtype, raveled

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
    return op.where(mask, fitting_number(value, x, "masked_fill"), x)


@method
def masked_select(input, mask, *, out=None):
    """The elements where the mask holds, in a row.

    >>> masked_select(tensor([1, 2, 3]), tensor([True, False, True]))
    tensor([1, 3])
    """
    x, mask = need_tensor(input, "masked_select"), _mask(mask, "masked_select")
    shape = broadcast(tuple(x.shape), tuple(mask.shape), name="masked_select")
    if shape and shape == tuple(mask.shape) and out is None and not has_numbers(mask):
        return Masked(mask).taken(op.expand(x, shape=shape))
    holds = np.broadcast_to(concrete(mask, "the mask"), shape)
    at = np.flatnonzero(holds)
    return give(op.index(raveled(op.expand(x, shape=shape)), at, dim=0), out)


@method
def masked_scatter(input, mask, source):
    """The elements of `source`, in order, where the mask holds; `input` elsewhere.

    >>> masked_scatter(zeros(3), tensor([True, False, True]), tensor([1., 2., 3.]))
    tensor([1., 0., 2.])
    """
    x, mask = need_tensor(input, "masked_scatter"), _mask(mask, "masked_scatter")
    v = raveled(
        need_same_dtype("masked_scatter", need_tensor(source, "masked_scatter"), x)
    )
    shape = broadcast(tuple(x.shape), tuple(mask.shape), name="masked_scatter")
    mask = raveled(op.expand(mask, shape=shape))
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
    y = op.where(mask, op.index(v, rank, dim=0), raveled(x))
    return op.reshape(y, shape=shape)


@method
def nonzero(input, *, as_tuple=False, out=None):
    """Where elements are not zero: a row of positions each, or a tuple with a tensor a dim.

    >>> nonzero(tensor([[0, 7], [8, 0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    x = concrete(need_tensor(input, "nonzero"), "the input")
    if as_tuple:
        return tuple(wrap(i) for i in np.nonzero(np.atleast_1d(x)))
    return give(wrap(np.argwhere(x).astype(np.int64)), out)


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
    return op.permute(y, dims=undoing(order))
