"""Products: of chains, powers, exponentials, cross products."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import conjugate, op
from ..core.shape import norm_dim, whole
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..ops.matrix import col, row
from . import diagonals, products
from .equations import inv
from .face import cast, give, need_tensor, promote
from .matrix_arguments import matrix_pair, square
from .norms import as_float
from .precision import lower


def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """Diagonals of the matrices in two dims, as the last dim: a view.

    >>> linalg.diagonal(tensor([[1., 2.], [3., 4.]]))
    tensor([1., 4.])
    """
    return diagonals.diagonal(A, offset, dim1, dim2)


def matmul(input, other, *, out=None):
    """Matrix product, over vectors, matrices and batches of them.

    >>> linalg.matmul(tensor([[1., 2.]]), tensor([[3.], [4.]]))
    tensor([[11.]])
    """
    return products.matmul(input, other, out=out)


@lower
def vecdot(x, y, *, dim=-1, out=None):
    """Σ x̄ y along `dim`.

    >>> linalg.vecdot(tensor([1., 2.]), tensor([3., 4.]))
    tensor(11.)
    """
    x = as_float(x, "vecdot", None)
    x, y = matrix_pair(x, y, "vecdot")
    terms = conjugate(x) * y
    d = norm_dim(dim, terms.ndim)
    return give(op.sum(terms, dim=(d,), keepdim=False), out)


def cross(input, other, *, dim=-1, out=None):
    """The cross product of vectors of three numbers along `dim`.

    >>> linalg.cross(tensor([1., 0., 0.]), tensor([0., 1., 0.]))
    tensor([0., 0., 1.])
    """
    need_tensor(input, "linalg.cross")
    need_tensor(other, "linalg.cross", "other")
    if input.ndim != other.ndim:
        raise ShapeError(
            "linalg.cross: inputs must have the same number of dims, got "
            f"{tuple(input.shape)} and {tuple(other.shape)}"
        )
    d = norm_dim(dim, input.ndim)
    if input.ndim == 0 or input.shape[d] != 3 or other.shape[d] != 3:
        raise ShapeError(
            f"linalg.cross: dim {dim} of both inputs must have size 3, got "
            f"{tuple(input.shape)} and {tuple(other.shape)}"
        )
    a, b = promote("linalg.cross", input, other)
    y = _rolled(a, d, 1) * _rolled(b, d, 2) - _rolled(a, d, 2) * _rolled(b, d, 1)
    return give(y, out)


def _rolled(x, d, k):
    """The three elements along `d` from number `k` on, cyclically."""
    whole = [(0, n, 1) for n in x.shape]
    parts = (
        op.slice(x, key=(*whole[:d], key, *whole[d + 1 :]))
        for key in ((k, 3, 1), (0, k, 1))
    )
    return op.cat(*parts, dim=d)


def multi_dot(tensors, *, out=None):
    """The product of matrices in the cheapest order; first and last may be vectors.

    >>> linalg.multi_dot([ones(2, 3), ones(3, 4), ones(4)])
    tensor([12., 12.])
    """
    if not isinstance(tensors, (tuple, list)):
        raise ArgumentTypeError(
            "linalg.multi_dot(): argument 'tensors' must be a tuple or list of Tensors, "
            f"not {type(tensors).__name__}"
        )
    xs, first, last = _chained(tensors)
    sizes = (xs[0].shape[0], *(x.shape[1] for x in xs))
    y = _chain(xs, _splits(sizes), 0, len(xs) - 1)
    shape = y.shape[int(first) : 2 - int(last)]
    return give(op.reshape(y, shape=tuple(shape)) if first or last else y, out)


def _chained(tensors):
    """The factors as matrices that fit, and whether the first and last were vectors."""
    xs = [need_tensor(x, "linalg.multi_dot", "tensors") for x in tensors]
    if len(xs) < 2:
        raise ArgumentError("linalg.multi_dot: expects at least 2 tensors")
    for i, x in enumerate(xs):
        if x.ndim != 2 and not (x.ndim == 1 and i in (0, len(xs) - 1)):
            raise ShapeError(
                f"linalg.multi_dot: tensor {i} must be a matrix, got shape "
                f"{tuple(x.shape)}; only the first and last may be vectors"
            )
    first, last = xs[0].ndim == 1, xs[-1].ndim == 1
    xs[0] = row(xs[0]) if first else xs[0]
    xs[-1] = col(xs[-1]) if last else xs[-1]
    for i, (a, b) in enumerate(pairwise(xs)):
        matrix_pair(a, b, "multi_dot")
        if a.shape[1] != b.shape[0]:
            raise ShapeError(
                f"linalg.multi_dot: tensors {i} and {i + 1} cannot be multiplied, "
                f"{tuple(a.shape)} and {tuple(b.shape)}"
            )
    return xs, first, last


@lru_cache(256)
def _splits(sizes):
    """Where to split each run of factors, by dynamic programming over their lengths."""
    n = len(sizes) - 1
    cost, split = {(i, i): 0 for i in range(n)}, {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            options = [
                (
                    cost[i, k]
                    + cost[k + 1, j]
                    + sizes[i] * sizes[k + 1] * sizes[j + 1],
                    k,
                )
                for k in range(i, j)
            ]
            cost[i, j], split[i, j] = min(options)
    return split


def _chain(xs, splits, i, j):
    if i == j:
        return xs[i]
    k = splits[i, j]
    return products.mm(_chain(xs, splits, i, k), _chain(xs, splits, k + 1, j))


def matrix_power(input, n, *, out=None):
    """Aⁿ for an integer n, negative powers of the inverse.

    >>> linalg.matrix_power(tensor([[1., 1.], [0., 1.]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    x = need_tensor(input, "linalg.matrix_power")
    n = whole(n, "linalg.matrix_power: n")
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(
            f"linalg.matrix_power: matrices must be square, got shape {tuple(x.shape)}"
        )
    if n == 0:
        return give(op.zeros_like(x) + np.eye(x.shape[-1], dtype=dtype_of(x)), out)
    return give(_power(inv(x), -n) if n < 0 else _power(x, n), out)


def _power(x, n):
    y = None
    while n:
        if n & 1:
            y = x if y is None else products.matmul(y, x)
        n >>= 1
        x = products.matmul(x, x) if n else x
    return y


def matrix_exp(input):
    """The matrix exponential, Σ Aᵏ / k!.

    >>> linalg.matrix_exp(zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    return op.matrix_exp(square(input, "matrix_exp"))


def vander(x, N=None):
    """Powers 0 to N − 1 of the elements of `x`, along a new last dim.

    >>> linalg.vander(tensor([2., 3.]), 3)
    tensor([[1., 2., 4.],
            [1., 3., 9.]])
    """
    x = need_tensor(x, "linalg.vander", "x")
    if x.ndim == 0:
        raise ShapeError("linalg.vander: expects at least one dim, got a 0-d tensor")
    n = x.shape[-1] if N is None else whole(N, "linalg.vander: N")
    if n < 0 or (N is not None and n <= 1):
        raise ArgumentError(f"linalg.vander: N must be greater than 1, got {N}")
    return powers(exact(x), n)


def exact(x):
    """Integers as int64, in which their powers are taken."""
    return cast(x, np.dtype("int64")) if dtype_of(x).kind in "bui" else x


def powers(x, n):
    """x⁰ ... xⁿ⁻¹ along a new last dim."""
    columns = [op.ones_like(x)]
    for _ in range(n - 1):
        columns.append(columns[-1] * x)
    if not n:
        return op.reshape(op.slice(x, key=_nothing(x)), shape=(*x.shape, 0))
    return op.stack(*columns, dim=x.ndim)


def _nothing(x):
    return (*((0, n, 1) for n in x.shape[:-1]), (0, 0, 1))
