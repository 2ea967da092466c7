"""Rows of a table looked up by number, singly and in bags (names of `nn.functional`)."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.inplace import store
from ..autodiff.modes import no_grad
from ..autodiff.straight import picked, seen
from ..core.bind import Box, bind, dtype_of
from ..core.primitive import number, op
from ..errors import ArgumentError, DtypeError, ShapeError
from ..ops.index import ROW
from .bounds import within
from .face import need_tensor
from .joining import narrow


def embedding(
    input,
    weight,
    padding_idx=None,
    max_norm=None,
    norm_type=2.0,
    scale_grad_by_freq=False,
    sparse=False,
):
    """The rows of `weight` at the positions `input`; row `padding_idx` gets no gradient.

    >>> from adjoint.nn.functional import embedding
    >>> embedding(tensor([2, 0]), tensor([[1., 2.], [3., 4.], [5., 6.]]))
    tensor([[5., 6.],
            [1., 2.]])
    """
    index = _positions("embedding", input, weight)
    padding = _padding("embedding", padding_idx, weight)
    if max_norm is not None:
        _renormalize(weight, index, max_norm, norm_type)
    straight = seen(weight) and seen(index)
    rows = (picked if straight else bind)(op.index, weight, index, dim=0)
    return _without(
        _by_frequency(rows, index, scale_grad_by_freq, weight), index, padding
    )


def _positions(name, index, weight):
    index, weight = need_tensor(index, name), need_tensor(weight, name, "weight")
    if dtype_of(index).kind not in "iu":
        raise DtypeError(f"{name}: input must be integers, got {dtype_of(index).name}")
    if weight.ndim != 2:
        raise ShapeError(f"{name}: weight must be 2-D, got {list(weight.shape)}")
    return within(index, weight.shape[0], ROW, name)


def _padding(name, padding, weight):
    if padding is None:
        return None
    n = weight.shape[0]
    if not -n <= padding < n:
        raise ArgumentError(f"{name}: padding_idx {padding} is not within {n} rows")
    return padding % n


def _renormalize(weight, index, max_norm, norm_type):
    """Shrink, in the table itself, the rows in use that are longer than `max_norm`."""
    with no_grad():
        rows = op.index(weight, index, dim=0)
        length = op.cast(rows, dtype=np.dtype(np.float64))
        dims = (rows.ndim - 1,)
        length = op.vector_norm(length, dim=dims, keepdim=True, p=float(norm_type))
        long = op.gt(length, np.array(float(max_norm)))
        value = long.__dict__.get("value") if isinstance(long, Box) else long
        if type(value) is np.ndarray and not value.any():
            return
        scale = op.cast(max_norm / (length + 1e-7), dtype=dtype_of(rows))
        shorter = op.where(long, rows * scale, rows)
        store(weight, shorter, [index], 0, "embedding")


def _by_frequency(rows, index, wanted, weight):
    """The same rows, whose gradient is divided by how often each is used."""
    if not wanted:
        return rows
    d, n = dtype_of(weight), (weight.shape[0],)
    ones = op.cast(op.ones_like(index), dtype=d)
    count = op.index(op.unindex(ones, index, dim=0, shape=n), index, dim=0)
    count = op.reshape(count, shape=(*count.shape, 1))
    still = op.stop_gradient(rows)
    return still + (rows - still) / count


def _without(rows, index, padding):
    """The same rows, of which those at `padding` have no gradient."""
    if padding is None:
        return rows
    pads = op.reshape(op.eq(index, number(padding, index)), shape=(*index.shape, 1))
    return op.where(pads, op.stop_gradient(rows), rows)


def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type=2.0,
    scale_grad_by_freq=False,
    mode="mean",
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """Sum, mean or maximum of the rows in each bag: a row of `input`, or between offsets.

    >>> from adjoint.nn.functional import embedding_bag
    >>> w = tensor([[1., 2.], [3., 4.], [5., 6.]])
    >>> embedding_bag(tensor([0, 1, 2]), w, tensor([0, 2]), mode="sum")
    tensor([[4., 6.],
            [5., 6.]])
    """
    index = _positions("embedding_bag", input, weight)
    padding = _padding("embedding_bag", padding_idx, weight)
    _check_mode(mode, per_sample_weights, index)
    bag, count = _bags(index, offsets, include_last_offset)
    flat = (math.prod(index.shape),)
    index = op.reshape(index, shape=flat)
    if max_norm is not None:
        _renormalize(weight, index, max_norm, norm_type)
    rows = op.index(weight, index, dim=0)
    rows = _by_frequency(rows, index, scale_grad_by_freq, weight)
    if per_sample_weights is not None:
        rows = rows * op.reshape(per_sample_weights, shape=(*flat, 1))
    used = None if padding is None else op.ne(index, number(padding, index))
    kept = count + bool(include_last_offset)  # what lies past the last offset goes
    if mode == "max":
        y = _largest(rows, bag, kept, used)
    else:
        y = _total(rows, bag, kept, used, mode)
    return y if kept == count else narrow(y, 0, 0, count)


def _check_mode(mode, weights, index) -> None:
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError(
            f"embedding_bag: mode must be sum, mean or max, got {mode!r}"
        )
    if weights is None:
        return
    if mode != "sum":
        raise ArgumentError(
            f"embedding_bag: per_sample_weights needs mode sum, not {mode}"
        )
    if tuple(weights.shape) != tuple(index.shape):
        raise ShapeError(
            "embedding_bag: per_sample_weights must have the shape of input, got "
            f"{list(weights.shape)} and {list(index.shape)}"
        )


def _bags(index, offsets, include_last):
    """(the bag of each position, how many bags); past the last offset is bag `count`."""
    if index.ndim == 2:
        if offsets is not None:
            raise ArgumentError(
                "embedding_bag: a 2-D input has its bags in rows, no offsets"
            )
        bags, size = index.shape
        return np.repeat(np.arange(bags), size), bags
    if index.ndim != 1:
        raise ShapeError(
            f"embedding_bag: input must be 1-D or 2-D, got {index.ndim} dims"
        )
    if offsets is None:
        raise ArgumentError("embedding_bag: a 1-D input needs offsets")
    offsets, n = need_tensor(offsets, "embedding_bag", "offsets"), index.shape[0]
    _check_offsets(offsets, n, include_last)
    last = op.searchsorted(offsets, np.arange(n), right=True)
    return last - 1, offsets.shape[0] - bool(include_last)


def _check_offsets(offsets, n, include_last):
    """The error for offsets that make no bags; their numbers are seen if they are there."""
    starts = offsets.__dict__.get("value")
    if offsets.ndim != 1 or dtype_of(offsets).kind not in "iu":
        raise ArgumentError(
            "embedding_bag: offsets must be a vector of integers, got "
            f"{dtype_of(offsets).name}{list(offsets.shape)}"
        )
    if include_last and not offsets.shape[0]:
        raise ArgumentError(
            "embedding_bag: include_last_offset needs at least one offset"
        )
    if type(starts) is not np.ndarray or not starts.size:
        return
    if starts[0] != 0:
        raise ArgumentError(
            f"embedding_bag: offsets must begin with 0, got {starts[0]}"
        )
    if (np.diff(starts) < 0).any() or starts[-1] > n:
        raise ArgumentError(
            f"embedding_bag: offsets must rise and not pass the {n} positions"
        )


def _total(rows, bag, count, used, mode):
    """The sum of each bag, or its mean; padding does not count."""
    d = dtype_of(rows)
    if used is not None:
        column = op.reshape(used, shape=(rows.shape[0], 1))
        rows = op.where(column, rows, op.zeros_like(rows))
    total = op.unindex(rows, bag, dim=0, shape=(count, rows.shape[1]))
    if mode == "sum":
        return total
    ones = np.ones(rows.shape[0], d) if used is None else op.cast(used, dtype=d)
    size = op.unindex(ones, bag, dim=0, shape=(count,))
    size = op.maximum(size, np.ones(1, d))
    return total / op.reshape(size, shape=(count, 1))


def _largest(rows, bag, count, used):
    """The largest of each bag, from the first row that has it; 0 of an empty bag."""
    n, d = rows.shape
    y = op.stop_gradient(rows)
    low = np.full((count, d), -np.inf, dtype_of(rows))
    if used is not None:
        used = op.reshape(used, shape=(n, 1))
        y = op.where(used, y, np.full((n, d), -np.inf, dtype_of(rows)))
    top = op.index_reduce(low, y, bag, dim=0, reduce="amax")
    hit = op.eq(y, op.index(top, bag, dim=0))
    hit = hit if used is None else op.logical_and(hit, used)
    places = np.broadcast_to(np.arange(n)[:, None], (n, d))
    late = op.where(hit, places, np.full((n, d), n))
    first = op.index_reduce(np.full((count, d), n), late, bag, dim=0, reduce="amin")
    found = op.lt(first, np.array(n))
    padded = op.cat(rows, np.zeros((1, d), dtype_of(rows)), dim=0)
    picked = op.index(padded, first, np.arange(d)[None, :], dim=0)
    return op.where(found, picked, op.zeros_like(picked))
