"""Determinants, inverses, and systems of equations."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import at_bottom, dtype_of
from ..core.dtype import to_real
from ..core.primitive import op
from ..core.shape import norm_dims, whole
from ..errors import ArgumentError, ShapeError
from ..ops.matrix import col, mH, mm, mT, show
from .face import give, need_tensor
from .matrix_arguments import (
    InvEx,
    Lstsq,
    Slogdet,
    SolveEx,
    applied,
    empty_key,
    fit_rows,
    matrix,
    matrix_pair,
    square,
    together,
)
from .norms import rank_limits, rank_of
from .precision import single

# ---------------------------------------------------------------- determinants, inverses


def det(A, *, out=None):
    """Determinant; its gradient is right for singular matrices too.

    >>> linalg.det(tensor([[1., 2.], [3., 4.]]))
    tensor(-2.0000)
    """
    return give(op.det(square(A, "det")), out)


def slogdet(A, *, out=None):
    """Sign (of complex: phase) and logarithm of the modulus of the determinant.

    >>> linalg.slogdet(tensor([[-1., 0.], [0., 1.]]))
    slogdet(sign=tensor(-1.), logabsdet=tensor(0.))
    """
    return give(Slogdet(*op.slogdet(square(A, "slogdet"))), out)


@single
def inv(A, *, out=None):
    """The inverse of square matrices.

    >>> linalg.inv(tensor([[2., 0.], [0., 4.]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return give(op.inv(square(A, "inv"), check=True), out)


@single
def inv_ex(A, *, check_errors=False, out=None):
    """The inverse, and for each matrix the number of the zero pivot that it lacks for; 0.

    >>> linalg.inv_ex(tensor([[1., 2.], [2., 4.]])).info
    tensor(2, dtype=adjoint.int32)
    """
    x = square(A, "inv_ex")
    y = InvEx(op.inv(x, check=check_errors), op.zero_pivot(x))
    return give(y, out)


def pinv(input, rcond=None, hermitian=False, *, atol=None, rtol=None, out=None):
    """Moore-Penrose inverse; singular values up to max(atol, rtol σ₁) count as zero.

    >>> linalg.pinv(tensor([[2., 0.], [0., 0.]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.0000]])
    """
    x = square(input, "pinv") if hermitian else matrix(input, "pinv")
    rtol = rcond if rtol is None else rtol
    if 0 in x.shape:
        return give(mH(x), out)
    limits = rank_limits(x.shape[-2:], to_real(dtype_of(x)), atol, rtol)
    return give(op.pinv(x, *limits, uplo="L" if hermitian else ""), out)


# ---------------------------------------------------------------- solving


def _is_vector(a, b):
    """Whether `b` holds vectors, as PyTorch decides."""
    return b.ndim == 1 or (
        a.ndim - 1 == b.ndim and tuple(b.shape) == tuple(a.shape[:-1])
    )


def _solve(A, B, left, name, check):
    a, b = matrix_pair(square(A, name), B, name)
    vector = _is_vector(a, b)
    if vector and not left:
        raise ShapeError(
            f"linalg.{name}: with left=False B must be a matrix, got shape "
            f"{tuple(b.shape)}"
        )
    a, b = (a, col(b) if vector else b) if left else (mT(a), mT(b))
    fit_rows(a, b, name)
    y = applied(lambda a, b: op.solve(a, b, check=check), a, b, name)
    if vector:
        return op.reshape(y, shape=tuple(y.shape[:-1]))
    return y if left else mT(y)


@single
def solve(A, B, *, left=True, out=None):
    """X with A X = B, or X A = B for left=False; B may hold vectors.

    >>> linalg.solve(tensor([[2., 0.], [0., 4.]]), tensor([2., 2.]))
    tensor([1.0000, 0.5000])
    """
    return give(_solve(A, B, left, "solve", True), out)


def solve_ex(A, B, *, left=True, check_errors=False, out=None):
    """As solve, and for each matrix the number of the zero pivot that it lacks for; 0.

    >>> linalg.solve_ex(eye(2), tensor([2., 2.]))
    solve_ex(result=tensor([2., 2.]), info=tensor(0, dtype=adjoint.int32))
    """
    y = _solve(A, B, left, "solve_ex", check_errors)
    return give(SolveEx(y, op.zero_pivot(A)), out)


def solve_triangular(input, B, *, upper, left=True, unitriangular=False, out=None):
    """X with A X = B (X A = B for left=False) for triangular A; the rest is not read.

    >>> linalg.solve_triangular(tensor([[2., 1.], [0., 4.]]), eye(2), upper=True)
    tensor([[ 0.5000, -0.1250],
            [ 0.0000,  0.2500]])
    """
    a, b = matrix_pair(square(input, "solve_triangular"), B, "solve_triangular")
    return give(triangular(a, b, upper, left, unitriangular), out)


def triangular(a, b, upper, left=True, unit=False):
    """Triangular solve from either side, batch dims broadcast."""
    name = "solve_triangular"
    if not left:
        a, b, upper = mT(a), mT(b), not upper
    fit_rows(a, b, name)
    kind = {"upper": bool(upper), "unit": bool(unit)}
    y = applied(lambda a, b: op.triangular_solve(a, b, **kind), a, b, name)
    return y if left else mT(y)


@single
def tensorsolve(input, other, dims=None, *, out=None):
    """X with tensordot(A, X, X.ndim) = B; `dims` of A are moved to its end first.

    >>> linalg.tensorsolve(eye(4).reshape(2, 2, 4), ones(2, 2)).shape
    adjoint.Size([4])
    """
    a, b = matrix_pair(need_tensor(input, "linalg.tensorsolve"), other, "tensorsolve")
    if dims is not None:
        moved = norm_dims(tuple(dims), a.ndim) if len(dims) else ()
        kept = tuple(d for d in range(a.ndim) if d not in moved)
        a = op.permute(a, dims=(*kept, *moved))
    shape = tuple(a.shape[b.ndim :])
    n = math.prod(shape)
    if math.prod(a.shape[: b.ndim]) != n or math.prod(b.shape) != n:
        raise ShapeError(
            "linalg.tensorsolve: the products of the first B.ndim sizes of input, of its "
            f"last, and of B must be equal, got A {show(a)} and B {show(b)}"
        )
    y = solve(op.reshape(a, shape=(n, n)), op.reshape(b, shape=(n,)))
    return give(op.reshape(y, shape=shape), out)


@single
def tensorinv(input, ind=2, *, out=None):
    """The inverse of A for tensordot over its first `ind` dims.

    >>> linalg.tensorinv(eye(4).reshape(4, 2, 2), ind=1).shape
    adjoint.Size([2, 2, 4])
    """
    x = need_tensor(input, "linalg.tensorinv")
    ind = whole(ind, "linalg.tensorinv: ind")
    if ind <= 0:
        raise ArgumentError(f"linalg.tensorinv: ind must be positive, got {ind}")
    first, last = tuple(x.shape[:ind]), tuple(x.shape[ind:])
    n = math.prod(first)
    if n != math.prod(last):
        raise ShapeError(
            f"linalg.tensorinv: the sizes {first} and {last} must have equal products"
        )
    y = inv(op.reshape(x, shape=(n, n)))
    return give(op.reshape(y, shape=(*last, *first)), out)


_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


@single
def lstsq(input, b, rcond=None, *, driver=None):
    """X of least ‖A X − B‖, and of least norm among those where A lacks full rank.

    `rcond` times the largest singular value is the rank's limit. As in PyTorch there are
    residuals where rows outnumber columns and the rank is full, but not with the default
    driver gelsy, and singular values with gelsd and gelss. All compute the same way.

    >>> linalg.lstsq(tensor([[1.], [1.]]), tensor([[1.], [3.]])).solution
    tensor([[2.]])
    """
    a, b = matrix_pair(matrix(input, "lstsq"), b, "lstsq")
    driver = "gelsy" if driver is None else driver
    if driver not in _DRIVERS:
        raise ArgumentError(
            f"linalg.lstsq: driver must be in {_DRIVERS}, got {driver!r}"
        )
    vector = a.ndim - 1 == b.ndim and tuple(b.shape) == tuple(a.shape[:-1])
    a, b = _equations(a, col(b) if vector else b)
    x = mm(pinv(a, rcond), b)
    rank, residuals, s = _quality(a, b, x, rcond, driver)
    if vector:
        x = op.reshape(x, shape=tuple(x.shape[:-1]))
    return Lstsq(x, residuals, rank, s)


def _equations(a, b):
    """Left and right sides with equally many rows, batch dims broadcast."""
    if b.ndim < 2 or a.shape[-2] != b.shape[-2]:
        raise ShapeError(
            f"linalg.lstsq: A and B must have equally many rows, got A {show(a)} and "
            f"B {show(b)}"
        )
    return together(a, b, "lstsq")


def _quality(a, b, x, rcond, driver):
    """Rank, residuals and singular values, each empty where the driver has none."""
    s = op.svdvals(op.stop_gradient(a))
    rank = rank_of(s, a.shape[-2:], None, rcond)
    none = op.reshape(op.slice(s, key=empty_key(s)), shape=(0,))
    full = driver != "gelsy" and _all_full(a, rank)
    residuals = _residuals(a, b, x) if full else none
    if driver == "gels":
        rank = op.cast(none, dtype=np.dtype("int64"))
    return rank, residuals, s if driver in ("gelsd", "gelss") else none


def _all_full(a, rank) -> bool:
    """Whether rows outnumber columns, and no matrix is known to lack rank."""
    m, n = a.shape[-2:]
    found = at_bottom(rank)
    return m > n and not (isinstance(found, np.ndarray) and (found != n).any())


def _residuals(a, b, x):
    """‖A X − B‖², a column each."""
    r = mm(a, x) - b
    squares = op.real(r * op.conj(r)) if dtype_of(r).kind == "c" else r * r
    return op.sum(squares, dim=(r.ndim - 2,), keepdim=False)
