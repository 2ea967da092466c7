"""Norms of vectors and matrices, conditions and ranks."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import Box, dtype_of
from ..core.dtype import to_real
from ..core.primitive import number, op
from ..core.shape import norm_dims
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from ..ops.matrix import col, numbers
from .face import SCALARS, cast, give, need_tensor, np_dtype, promote
from .matrix_arguments import matrix, square
from .precision import single


def as_float(x, name, dtype):
    """A floating or complex tensor, in `dtype` if one is given."""
    need_tensor(x, f"linalg.{name}", "input")
    if dtype is not None:
        d = np_dtype(dtype)
        if d.kind in "bui" or (dtype_of(x).kind == "c" and d.kind != "c"):
            raise DtypeError(
                f"linalg.{name}: dtype must be floating, and complex for complex input, "
                f"got {d.name} for {dtype_of(x).name}"
            )
        x = cast(x, d)
    if dtype_of(x).kind in "bui":
        raise DtypeError(
            f"linalg.{name}: expected a floating point or complex tensor, got "
            f"{dtype_of(x).name}",
            hint="x.float()",
        )
    return x


def _number(ord, name):
    if isinstance(ord, (bool, str)) or not isinstance(ord, (int, float, np.number)):
        raise ArgumentError(f"linalg.{name}: ord must be a number or inf, got {ord!r}")
    return float(ord)


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None, out=None):
    """(Σ |x|ᵖ)^(1/p) over `dim`, of all elements for None; p = ±inf is the extreme.

    >>> linalg.vector_norm(tensor([3., 4.]))
    tensor(5.)
    """
    x = as_float(x, "vector_norm", dtype)
    p = _number(ord, "vector_norm")
    dims = norm_dims(dim, x.ndim) if x.ndim else ()
    if (p < 0 or p == math.inf) and not math.prod(x.shape[d] for d in dims):
        raise ShapeError(
            f"linalg.vector_norm: the norm of order {p} of nothing has no value, got "
            f"shape {tuple(x.shape)}"
        )
    return give(op.vector_norm(x, dim=dims, keepdim=keepdim, p=p), out)


_MATRIX_ORDERS = ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)


def matrix_norm(input, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None, out=None):
    """The norm of matrices: 'fro', 'nuc', ±1, ±2 (singular values) or ±inf.

    >>> linalg.matrix_norm(tensor([[3., 0.], [0., 4.]]), 2)
    tensor(4.)
    """
    x = as_float(input, "matrix_norm", dtype)
    if ord not in _MATRIX_ORDERS:
        raise ArgumentError(
            f"linalg.matrix_norm: ord must be one of {_MATRIX_ORDERS}, got {ord!r}"
        )
    if x.ndim < 2 or not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise ShapeError(
            "linalg.matrix_norm: needs a tensor of 2 dims at least and two dims, got "
            f"shape {tuple(x.shape)} and dim {dim}"
        )
    dims = norm_dims(tuple(dim), x.ndim)
    return give(_matrix_norm(x, ord, dims, keepdim), out)


def _matrix_norm(x, ord, dims, keepdim):
    if ord == "fro":
        return op.vector_norm(x, dim=dims, keepdim=keepdim, p=2.0)
    rest = tuple(d for d in range(x.ndim) if d not in dims)
    y = op.permute(x, dims=(*rest, *dims))
    if ord in (1, -1, math.inf, -math.inf):
        inner = y.ndim - (2 if abs(ord) == 1 else 1)
        y = op.vector_norm(y, dim=(inner,), keepdim=False, p=1.0)
        sign = ord
    else:
        numbers(y, "linalg.matrix_norm")
        y, sign = op.svdvals(y), ord
    y = _folded(y, sign, x.shape)
    if not keepdim:
        return y
    return op.reshape(
        y, shape=tuple(1 if d in dims else n for d, n in enumerate(x.shape))
    )


def _folded(y, ord, shape):
    """The sum (nuclear norm), largest (ord > 0) or smallest of the last dim."""
    last = {"dim": (y.ndim - 1,), "keepdim": False}
    if ord == "nuc":
        return op.sum(y, **last)
    if not y.shape[-1]:
        raise ShapeError(
            f"linalg.matrix_norm: the norm of order {ord} of an empty matrix has no "
            f"value, got shape {tuple(shape)}"
        )
    return op.amax(y, **last) if ord > 0 else op.amin(y, **last)


def norm(input, ord=None, dim=None, keepdim=False, *, out=None, dtype=None):
    """A vector norm or, for two dims and an order, a matrix norm.

    >>> linalg.norm(tensor([[3., 0.], [0., 4.]]), 'nuc')
    tensor(7.)
    """
    x = need_tensor(input, "linalg.norm")
    more = {"keepdim": keepdim, "dtype": dtype, "out": out}
    pair = isinstance(dim, (tuple, list)) and len(dim) == 2
    if ord is None:
        return vector_norm(x, 2, dim, **more)
    if dim is None and x.ndim not in (1, 2):
        raise ShapeError(
            "linalg.norm: with an order and no dim the input must be a vector or a "
            f"matrix, got shape {tuple(x.shape)}"
        )
    if pair or (dim is None and x.ndim == 2):
        return matrix_norm(x, ord, tuple(dim) if pair else (-2, -1), **more)
    return vector_norm(x, ord, dim, **more)


@single
def cond(input, p=None, *, out=None):
    """Condition number, ‖A‖ ‖A⁻¹‖ in norm `p`; None is 2. Inf where A is singular.

    >>> linalg.cond(tensor([[2., 0.], [0., 4.]]))
    tensor(2.)
    """
    if p not in (None, *_MATRIX_ORDERS):
        raise ArgumentError(
            f"linalg.cond: p must be one of {_MATRIX_ORDERS}, got {p!r}"
        )
    if p in (None, 2, -2):
        s = op.svdvals(matrix(input, "cond"))
        if not s.shape[-1]:
            return give(op.sum(s, dim=(s.ndim - 1,), keepdim=False), out)
        most, least = (
            op.select(s, dim=s.ndim - 1, index=i) for i in (0, s.shape[-1] - 1)
        )
        return give(least / most if p == -2 else most / least, out)
    x = square(input, "cond")
    if not x.shape[-1]:
        return give(matrix_norm(x, "nuc"), out)
    y = matrix_norm(x, p) * _norm_of_inverse(x, p)
    return give(y, out)


def _norm_of_inverse(x, p):
    """‖x⁻¹‖, Inf for singular x."""
    ok = op.zero_pivot(x) == 0
    one = np.eye(x.shape[-1], dtype=dtype_of(x))
    safe = op.where(col(col(ok)), x, one)
    size = matrix_norm(op.inv(safe, check=False), p)
    return op.where(ok, size, number(np.inf, size))


@single
def matrix_rank(input, tol=None, hermitian=False, *, atol=None, rtol=None, out=None):
    """How many singular values exceed max(atol, rtol σ₁).

    >>> linalg.matrix_rank(tensor([[1., 2.], [2., 4.]]))
    tensor(1)
    """
    if tol is not None:
        atol, rtol = tol, 0.0 if rtol is None else rtol
    x = op.stop_gradient(matrix(input, "matrix_rank"))
    if hermitian:
        s = op.abs(op.eigvalsh(square(x, "matrix_rank"), uplo="L"))
    else:
        s = op.svdvals(x)
    return give(rank_of(s, x.shape[-2:], atol, rtol), out)


def rank_of(s, shape, atol, rtol):
    if not s.shape[-1]:
        return op.cast(
            op.sum(s, dim=(s.ndim - 1,), keepdim=False), dtype=np.dtype("int64")
        )
    atol, rtol = rank_limits(shape, dtype_of(s), atol, rtol)
    top = op.amax(s, dim=(s.ndim - 1,), keepdim=True)
    limit = op.maximum(*_same(_tail(atol), _tail(rtol) * top))
    return op.sum(s > limit, dim=(s.ndim - 1,), keepdim=False)


def _same(a, b):
    return promote("linalg", a, b)


def _tail(x):
    """A tolerance with a dim for the singular values."""
    return col(x) if len(x.shape) else x


def rank_limits(shape, d, atol, rtol):
    """(atol, rtol) as arrays or tensors, by PyTorch's defaults."""
    for x in (atol, rtol):
        if not (x is None or isinstance(x, (Box, *SCALARS))):
            raise ArgumentTypeError(
                f"a tolerance must be a number or Tensor, got {x!r}"
            )
    if rtol is None:
        given = isinstance(atol, Box) or (atol is not None and atol > 0)
        default = max(shape) * np.finfo(d).eps
        if isinstance(atol, Box):
            zero = np.zeros((), d)
            rtol = op.where(atol > 0, zero, np.array(default, d))
        else:
            rtol = 0.0 if given else default
    atol = 0.0 if atol is None else atol
    return tuple(
        op.stop_gradient(x) if isinstance(x, Box) else np.array(x, to_real(d))
        for x in (atol, rtol)
    )
