"""Products and combinations of elements, and matrices along a diagonal."""

from __future__ import annotations

import itertools
import math

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import op
from ..errors import ArgumentError, DtypeError, ShapeError
from ..ops.order import take_along
from .face import SCALARS, cast, function, method, need_tensor, result_dtype, wrap


def _unpacked(tensors, name):
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tensors[0]
    if not tensors:
        raise ArgumentError(f"{name}: expected at least one tensor")
    return [need_tensor(x, name, "tensors") for x in tensors]


@function
def cartesian_prod(*tensors):
    """All tuples with one element of each tensor, as rows.

    >>> cartesian_prod(tensor([1, 2]), tensor([4, 5]))
    tensor([[1, 4],
            [1, 5],
            [2, 4],
            [2, 5]])
    """
    xs = _unpacked(tensors, "cartesian_prod")
    if any(x.ndim != 1 for x in xs):
        raise ShapeError(
            f"cartesian_prod: expects one dim each, got {[tuple(x.shape) for x in xs]}"
        )
    if len({dtype_of(x) for x in xs}) > 1:
        raise DtypeError("cartesian_prod: the tensors must have one dtype")
    if len(xs) == 1:
        return xs[0]
    grid = tuple(x.shape[0] for x in xs)
    columns = []
    for i, x in enumerate(xs):
        x = op.reshape(x, shape=tuple(n if i == j else 1 for j, n in enumerate(grid)))
        columns.append(op.reshape(op.expand(x, shape=grid), shape=(math.prod(grid),)))
    return op.stack(*columns, dim=1)


@method
def combinations(input, r=2, with_replacement=False):
    """All choices of r elements, in their order, as rows.

    >>> combinations(tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    x = need_tensor(input, "combinations")
    if x.ndim != 1:
        raise ShapeError(f"combinations: expects one dim, got shape {tuple(x.shape)}")
    if r < 0:
        raise ArgumentError(f"combinations: r must not be negative, got {r}")
    if r == 0:
        return wrap(np.zeros(0, dtype_of(x)))
    choose = itertools.combinations
    if with_replacement:
        choose = itertools.combinations_with_replacement
    places = np.array(list(choose(range(x.shape[0]), r)), np.int64).reshape(-1, r)
    y = take_along(x, places.ravel(), dim=0)
    return op.reshape(y, shape=places.shape)


@function
def block_diag(*tensors):
    """A matrix with the given ones along its diagonal and zeros elsewhere.

    >>> block_diag(tensor([[1, 2]]), tensor([[3]]))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    if not tensors:
        return wrap(np.zeros((1, 0), np.float32))
    xs = [x if not isinstance(x, SCALARS) else wrap(np.array(x)) for x in tensors]
    d = result_dtype(*(need_tensor(x, "block_diag", "tensors") for x in xs))
    if any(x.ndim > 2 for x in xs):
        raise ShapeError(
            f"block_diag: expects at most 2 dims, got {[tuple(x.shape) for x in xs]}"
        )
    xs = [_matrix(cast(x, d)) for x in xs]
    rows, left, width = [], 0, sum(x.shape[1] for x in xs)
    for x in xs:
        n, m = x.shape
        key = ((0, n, 1), (left, left + m, 1))
        rows.append(op.unslice(x, shape=(n, width), key=key))
        left += m
    return op.cat(*rows, dim=0)


def _matrix(x):
    return x if x.ndim == 2 else op.reshape(x, shape=(1, math.prod(x.shape)))
