"""Cholesky, QR and LU factors, and eigenvalues and singular values."""

from __future__ import annotations

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import op
from ..core.shape import broadcast
from ..errors import ArgumentError, LinAlgError, ShapeError
from ..ops.lu import exchange
from ..ops.matrix import col, mH, mm, mT, show
from .equations import triangular
from .face import give, need_tensor
from .matrix_arguments import (
    CholeskyEx,
    Eig,
    Eigh,
    Lu,
    LuFactor,
    LuFactorEx,
    Qr,
    Svd,
    empty_key,
    fit_rows,
    matrix,
    matrix_pair,
    spread_over,
    square,
)
from .precision import single

# ---------------------------------------------------------------- factorizations


@single
def cholesky(input, *, upper=False, out=None):
    """L with L Lᴴ = A for Hermitian positive-definite A; its triangle L alone is read.

    >>> linalg.cholesky(tensor([[4., 2.], [2., 5.]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    return give(_cholesky(square(input, "cholesky"), upper, True), out)


def _cholesky(x, upper, check):
    y = op.cholesky(x, uplo="U" if upper else "L", check=check)
    return mH(y) if upper else y


@single
def cholesky_ex(input, *, upper=False, check_errors=False, out=None):
    """As cholesky, and the order of the first leading minor that is not positive, or 0.

    >>> linalg.cholesky_ex(tensor([[1., 2.], [2., 1.]])).info
    tensor(2, dtype=adjoint.int32)
    """
    y = _cholesky(square(input, "cholesky_ex"), upper, check_errors)
    bad = op.isnan(op.real(op.diagonal(y, offset=0, dim1=y.ndim - 2, dim2=y.ndim - 1)))
    return give(CholeskyEx(y, op.cast(_first(bad), dtype=np.dtype("int32"))), out)


def _first(mask):
    """The number, from 1, of the first True along the last dim; 0 if there is none."""
    n = mask.shape[-1]
    if not n:
        return op.sum(mask, dim=(mask.ndim - 1,), keepdim=False)
    place = op.where(mask, np.arange(1, n + 1), np.array(n + 1))
    first = op.amin(place, dim=(mask.ndim - 1,), keepdim=False)
    return op.where(first > n, np.array(0), first)


@single
def qr(A, mode="reduced", *, out=None):
    """Q with orthonormal columns and upper triangular R, A = Q R.

    Modes: reduced, complete (Q square) and r (R alone).

    >>> linalg.qr(tensor([[3., 1.], [4., 2.]])).R.abs()
    tensor([[5.0000, 2.2000],
            [0.0000, 0.4000]])
    """
    x = matrix(A, "qr")
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(
            f"linalg.qr: mode must be 'reduced', 'complete' or 'r', got {mode!r}"
        )
    q, r = op.qr_complete(x) if _tall(x) and mode == "complete" else _qr(x)
    if mode == "r":
        q = op.reshape(op.slice(q, key=empty_key(q)), shape=(0,))
    return give(Qr(q, r), out)


def _tall(x):
    return x.shape[-2] > x.shape[-1]


def _qr(x):
    """Q and R; of a wide [X Y] they are those of X, and Qᴴ Y."""
    m, n = x.shape[-2:]
    if m >= n:
        return op.qr(x)
    lead = tuple((0, k, 1) for k in x.shape[:-1])
    q, r = op.qr(op.slice(x, key=(*lead, (0, m, 1))))
    rest = mm(mH(q), op.slice(x, key=(*lead, (m, n, 1))))
    return q, op.cat(r, rest, dim=x.ndim - 1)


def _need_pivot(pivot, name):
    if not pivot:
        raise ArgumentError(f"linalg.{name}: LU without pivoting is not implemented")


def lu_factor(A, *, pivot=True, out=None):
    """L and U of P A = L U packed in one matrix, and the pivots, for lu_solve.

    >>> linalg.lu_factor(tensor([[1., 2.], [4., 4.]])).pivots
    tensor([2, 2], dtype=adjoint.int32)
    """
    _need_pivot(pivot, "lu_factor")
    return give(LuFactor(*op.lu(matrix(A, "lu_factor"))), out)


def lu_factor_ex(A, *, pivot=True, check_errors=False, out=None):
    """As lu_factor, and the number of the first zero pivot, or 0.

    >>> linalg.lu_factor_ex(tensor([[1., 2.], [2., 4.]])).info
    tensor(2, dtype=adjoint.int32)
    """
    _need_pivot(pivot, "lu_factor_ex")
    packed, pivots = op.lu(matrix(A, "lu_factor_ex"))
    n = packed.ndim
    info = _first(op.diagonal(packed, offset=0, dim1=n - 2, dim2=n - 1) == 0)
    if check_errors and bool((info != 0).any()):
        raise LinAlgError(
            "linalg.lu_factor_ex: U has a zero on its diagonal, first at "
            f"{info.tolist()} (0: none)"
        )
    return give(LuFactorEx(packed, pivots, op.cast(info, dtype=np.dtype("int32"))), out)


def lu(A, *, pivot=True, out=None):
    """P, unit lower L and upper U with A = P L U.

    >>> linalg.lu(tensor([[1., 2.], [4., 4.]])).L
    tensor([[1.0000, 0.0000],
            [0.2500, 1.0000]])
    """
    _need_pivot(pivot, "lu")
    packed, pivots = op.lu(matrix(A, "lu"))
    return give(Lu(*unpacked(packed, pivots)), out)


def unpacked(packed, pivots):
    """P, L and U of what lu_factor gives."""
    m, n = packed.shape[-2:]
    k, lead = min(m, n), tuple((0, i, 1) for i in packed.shape[:-2])
    left = op.slice(packed, key=(*lead, (0, m, 1), (0, k, 1)))
    right = op.slice(packed, key=(*lead, (0, k, 1), (0, n, 1)))
    eye = np.eye(m, k, dtype=dtype_of(packed))
    p = mT(exchange(pivots, m, dtype_of(packed)))
    return p, op.tril(left, diagonal=-1) + eye, op.triu(right, diagonal=0)


@single
def lu_solve(LU, pivots, B, *, left=True, adjoint=False, out=None):
    """X with A X = B (X A = B for left=False, Aᴴ for adjoint) from what lu_factor gave.

    >>> packed, pivots = linalg.lu_factor(tensor([[1., 2.], [4., 4.]]))
    >>> linalg.lu_solve(packed, pivots, tensor([[3.], [8.]]))
    tensor([[1.],
            [1.]])
    """
    a, b = matrix_pair(square(LU, "lu_solve", "LU"), B, "lu_solve")
    need_tensor(pivots, "linalg.lu_solve", "pivots")
    if not left:
        y = lu_solve(a, pivots, mH(b), adjoint=not adjoint)
        return give(mH(y), out)
    fit_rows(a, b, "lu_solve")
    p = exchange(pivots, a.shape[-1], dtype_of(a))
    lead = broadcast(a.shape[:-2], b.shape[:-2], name="linalg.lu_solve")
    a, b, p = (spread_over(x, lead) for x in (a, b, p))
    if adjoint:
        y = triangular(mH(a), b, upper=False)
        return give(mm(mT(p), triangular(mH(a), y, upper=True, unit=True)), out)
    y = triangular(a, mm(p, b), upper=False, unit=True)
    return give(triangular(a, y, upper=True), out)


@single
def householder_product(input, tau, *, out=None):
    """The first columns of H₁ H₂ ..., Hᵢ = 1 − τᵢ vᵢ vᵢᴴ, vᵢ unit lower in column i of A.

    >>> linalg.householder_product(zeros(3, 2), zeros(2)).shape
    adjoint.Size([3, 2])
    """
    a, t = matrix_pair(matrix(input, "householder_product"), tau, "householder_product")
    m, n = a.shape[-2:]
    if m < n or t.ndim != a.ndim - 1 or t.shape[-1] > n:
        raise ShapeError(
            "linalg.householder_product: A must have at least as many rows as columns, "
            f"and tau at most as many elements, got A {show(a)} and tau {show(t)}"
        )
    if tuple(t.shape[:-1]) != tuple(a.shape[:-2]):
        raise ShapeError(
            f"linalg.householder_product: batch dims differ: A {show(a)}, tau {show(t)}"
        )
    eye = np.eye(m, n, dtype=dtype_of(a))
    return give(reflected(a, t, op.zeros_like(a) + eye), out)


def reflected(a, tau, y, forward=False):
    """H₁ H₂ ... y; H₁ last, or first for `forward`, which is the inverse for real a."""
    v = op.tril(a, diagonal=-1) + np.eye(*a.shape[-2:], dtype=dtype_of(a))
    last, count = a.ndim - 1, range(tau.shape[-1])
    for i in count if forward else reversed(count):
        vi = col(op.select(v, dim=last, index=i))
        ti = col(col(op.select(tau, dim=last - 1, index=i)))
        y = y - ti * mm(vi, mm(mH(vi), y))
    return y


# ---------------------------------------------------------------- spectra


@single
def eig(input, *, out=None):
    """Complex eigenvalues and eigenvectors of norm one.

    >>> linalg.eig(tensor([[0., 1.], [-1., 0.]])).eigenvalues
    tensor([0.+1.j, 0.-1.j])
    """
    return give(Eig(*op.eig(square(input, "eig"), checked=True)), out)


@single
def eigvals(input, *, out=None):
    """Complex eigenvalues.

    >>> linalg.eigvals(tensor([[0., 1.], [-1., 0.]]))
    tensor([0.+1.j, 0.-1.j])
    """
    return give(op.eigvals(square(input, "eigvals")), out)


def _uplo(UPLO, name):
    if UPLO not in ("L", "U", "l", "u"):
        raise ArgumentError(f"linalg.{name}: UPLO must be 'L' or 'U', got {UPLO!r}")
    return UPLO.upper()


@single
def eigh(input, UPLO="L", *, out=None):
    """Ascending eigenvalues and orthonormal eigenvectors of Hermitian A, read from UPLO.

    >>> linalg.eigh(tensor([[2., 0.], [0., 1.]])).eigenvalues
    tensor([1., 2.])
    """
    return give(Eigh(*op.eigh(square(input, "eigh"), uplo=_uplo(UPLO, "eigh"))), out)


@single
def eigvalsh(input, UPLO="L", *, out=None):
    """Ascending eigenvalues of Hermitian A, read from triangle UPLO.

    >>> linalg.eigvalsh(tensor([[2., 0.], [0., 1.]]))
    tensor([1., 2.])
    """
    x = square(input, "eigvalsh")
    return give(op.eigvalsh(x, uplo=_uplo(UPLO, "eigvalsh")), out)


@single
def svd(A, full_matrices=True, *, driver=None, out=None):
    """U, descending S and Vᴴ with A = U diag(S) Vᴴ; not full, U and V have S's columns.

    >>> linalg.svd(tensor([[3., 0.], [0., 4.]])).S
    tensor([4., 3.])
    """
    x = matrix(A, "svd")
    _need_no_driver(driver, "svd")
    full = bool(full_matrices) and x.shape[-1] != x.shape[-2]
    return give(Svd(*op.svd(x, full=full, checked=True)), out)


def _need_no_driver(driver, name):
    if driver is not None:
        raise ArgumentError(
            f"linalg.{name}: driver is for CUDA alone, got {driver!r}",
            hint="leave it out",
        )


@single
def svdvals(A, *, driver=None, out=None):
    """Descending singular values.

    >>> linalg.svdvals(tensor([[3., 0.], [0., 4.]]))
    tensor([4., 3.])
    """
    _need_no_driver(driver, "svdvals")
    return give(op.svdvals(matrix(A, "svdvals")), out)
