"""Elements in another order or several times: flip, roll, rot90, repeat, tile."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.straight import viewed
from ..autodiff.tape import BASE
from ..core.primitive import op
from ..core.shape import norm_dim, norm_dims
from ..errors import ArgumentError, DimError, DtypeError, ShapeError
from .face import concrete, method, need_tensor, only_method
from .shapes import clone, movedim, reshape, sizes, transpose


@method
def flip(input, *along, dims=None):
    """Reversed along dims.

    >>> flip(tensor([1, 2, 3]), 0)
    tensor([3, 2, 1])
    """
    x = need_tensor(input, "flip")
    dims = sizes(along, dims)
    return op.flip(x, dims=norm_dims(dims, x.ndim) if dims and x.ndim else ())


@method
def fliplr(input):
    """Columns reversed.

    >>> fliplr(tensor([[1, 2]]))
    tensor([[2, 1]])
    """
    if need_tensor(input, "fliplr").ndim < 2:
        raise ShapeError(f"fliplr: input must be >= 2-d, got {input.ndim}-d")
    return flip(input, 1)


@method
def flipud(input):
    """Rows reversed.

    >>> flipud(tensor([1, 2]))
    tensor([2, 1])
    """
    if need_tensor(input, "flipud").ndim < 1:
        raise ShapeError("flipud: input must be >= 1-d, got 0-d")
    return flip(input, 0)


@method
def roll(input, shifts, dims=None):
    """Elements moved by `shifts` along `dims`, round the end; no dims: of all in a row.

    >>> roll(tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    x = need_tensor(input, "roll")
    shifts = sizes((shifts,)) if not hasattr(shifts, "__index__") else (int(shifts),)
    if dims is None or dims == ():
        if len(shifts) != 1:
            raise ShapeError(
                f"roll: shifts and dims must align, got {len(shifts)} shifts and no dims"
            )
        y = op.roll(reshape(x, -1), shifts=shifts, dims=(0,))
        return viewed(op.reshape, y, shape=tuple(x.shape))
    dims = (dims,) if hasattr(dims, "__index__") else tuple(dims)
    if len(dims) != len(shifts):
        raise ShapeError(
            f"roll: shifts and dims must align, got {len(shifts)} shifts and "
            f"{len(dims)} dims"
        )
    return op.roll(x, shifts=shifts, dims=tuple(norm_dim(d, x.ndim) for d in dims))


@method
def rot90(input, k=1, dims=(0, 1)):
    """Turned by k quarters, from the first of `dims` towards the second.

    >>> rot90(tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    x = need_tensor(input, "rot90")
    if len(dims) != 2:
        raise ShapeError(f"rot90: expects two dims, got {tuple(dims)}")
    a, b = (norm_dim(d, x.ndim) for d in dims)
    if a == b:
        raise ShapeError(f"rot90: the two dims must be different, got {tuple(dims)}")
    k = k % 4
    if k == 0:
        return clone(x)
    if k == 2:
        return op.flip(x, dims=(a, b))
    return transpose(op.flip(x, dims=(b if k == 1 else a,)), a, b)


@only_method
def repeat(self, *times, repeats=None):
    """Copies of the tensor side by side, so many `times` along each dim.

    >>> tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    return _repeat(self, sizes(times, repeats), "repeat")


def _repeat(x, times, name):
    lead = len(times) - x.ndim
    if lead < 0:
        raise ShapeError(
            f"{name}: the number of repeats ({len(times)}) must not be smaller than the "
            f"number of dims of the tensor ({x.ndim})"
        )
    if any(n < 0 for n in times):
        raise ShapeError(f"{name}: repeats must not be negative, got {times}")
    old = (*(1,) * lead, *x.shape)
    apart = tuple(n for size in old for n in (1, size))
    wide = tuple(n for pair in zip(times, old, strict=True) for n in pair)
    y = op.expand(op.reshape(x, shape=apart), shape=wide)
    y = op.reshape(y, shape=tuple(t * n for t, n in zip(times, old, strict=True)))
    return y if y.__dict__.get("base") is None else clone(y)


@method
def tile(input, *times, dims=None):
    """Copies of the tensor side by side; missing counts on either side are 1.

    >>> tile(tensor([1, 2]), (2,))
    tensor([1, 2, 1, 2])
    """
    x = need_tensor(input, "tile")
    dims = sizes(times, dims)
    return _repeat(x, (1,) * (x.ndim - len(dims)) + dims, "tile")


_ALIKE = "a number or a list says how often before the program runs"


@method
def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Each slice along `dim` `repeats` times; no dim: each element.

    >>> repeat_interleave(tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    >>> repeat_interleave(tensor([1, 2]), tensor([1, 2]))
    tensor([1, 2, 2])
    """
    x = need_tensor(input, "repeat_interleave")
    if repeats is None:
        if x.ndim != 1:
            raise ShapeError(
                f"repeat_interleave: repeats must be 1-D, got shape {tuple(x.shape)}"
            )
        counts = concrete(x, "the repeats", _ALIKE)
        x = BASE.wrap(np.arange(len(counts), dtype=counts.dtype))
    else:
        counts = concrete(repeats, "the repeats", _ALIKE)
    x = reshape(x, -1) if dim is None else x
    if not x.ndim:
        raise DimError("repeat_interleave: a 0-d tensor has no dim, leave out 'dim'")
    dim = norm_dim(dim or 0, x.ndim)
    n = x.shape[dim]
    counts = _counts(counts, n)
    if output_size is not None and output_size != int(counts.sum()):
        raise ShapeError(
            f"repeat_interleave: output_size {output_size} is not the sum of the repeats, "
            f"{int(counts.sum())}"
        )
    if n and (counts == counts[0]).all():
        return _stretch(x, dim, int(counts[0]))
    return _taken(x, dim, np.repeat(np.arange(n), counts))


def _taken(x, dim, index):
    """The slices along `dim` that `index` lists."""
    x = movedim(x, dim, -1)
    head = tuple(x.shape[:-1])
    rows = op.reshape(x, shape=(1, math.prod(head), x.shape[-1]))
    y = op.reshape(op.pick(rows, index[None, None]), shape=(*head, len(index)))
    return movedim(y, -1, dim)


def _counts(counts, n):
    """How often each of n slices is repeated."""
    counts = np.asarray(counts)
    if counts.dtype.kind not in "iu":
        raise DtypeError(
            f"repeat_interleave: repeats must be integers, got {counts.dtype.name}"
        )
    if counts.ndim > 1 or (counts.ndim == 1 and len(counts) not in (1, n)):
        raise ShapeError(
            "repeat_interleave: repeats must have the same size as input along dim, got "
            f"{counts.shape} and {n}"
        )
    if (counts < 0).any():
        raise ArgumentError(f"repeat_interleave: repeats can not be negative: {counts}")
    return np.broadcast_to(counts, (n,))


def _stretch(x, dim, k):
    """Each slice along `dim` k times."""
    head, n, tail = x.shape[:dim], x.shape[dim], x.shape[dim + 1 :]
    y = op.reshape(x, shape=(*head, n, 1, *tail))
    y = op.expand(y, shape=(*head, n, k, *tail))
    y = op.reshape(y, shape=(*head, n * k, *tail))
    return y if y.__dict__.get("base") is None else clone(y)
