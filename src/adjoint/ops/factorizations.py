"""Cholesky and QR. Rules: Giles (2008), Walter & Lehmann (2010)."""

from __future__ import annotations

import numpy as np

from ..core.primitive import op, total
from ..core.shape import Spec
from ..errors import GradError, LinAlgError, ShapeError
from .lu import right_solve
from .matrix import (
    OfMatrix,
    OfResult,
    complex_well,
    h,
    half_diagonal,
    hermitian,
    hermitian_of,
    lapack,
    matrix,
    mH,
    mm,
    not_converged,
    one_by_one,
    positive,
    real_and_complex,
    square,
    tril,
    triu,
)


def _not_positive(a):
    """Why Cholesky of `a` failed: the first leading minor that is not positive-definite."""
    order = next((k for k in range(1, len(a) + 1) if not _factors(a[:k, :k])), len(a))
    return (
        "the matrix is not positive-definite (the leading minor of order "
        f"{order} is not positive-definite)"
    )


def _factors(a) -> bool:
    try:
        cholesky_of(a)
    except np.linalg.LinAlgError:
        return False
    return True


class Cholesky(OfResult):
    """Lower L with L Lᴴ = x; `uplo` L or U reads that triangle of x, '' their mean.

    L⁻¹ dx L⁻ᴴ = L⁻¹ dL + (L⁻¹ dL)ᴴ, of which the lower part, diagonal halved, is L⁻¹ dL.
    The derivative is that of Hermitian x, whichever triangle is read. `check` raises where
    x is not positive-definite, else NaN shows it from the first bad row on.

    >>> op.cholesky(tensor([[4., 2.], [2., 5.]]), uplo="L", check=True)
    tensor([[2., 0.],
            [1., 2.]])
    """

    def samples(rng):
        c = complex_well(rng, 3, 3)
        p = {"uplo": "", "check": True}
        return [
            ((positive(rng, 3, 3),), p),
            ((positive(rng, 2, 2, 2),), p),
            ((c @ c.conj().T,), p),
        ]

    def reference(x, uplo, check):
        return _cholesky_by_rows(x)

    def errors():
        bad = np.stack([np.eye(2), np.diag([1.0, -1.0])])
        p = {"uplo": "L", "check": True}
        return [
            ((np.ones((2, 3)),), p, ShapeError, "must be square"),
            ((bad,), p, LinAlgError, "batch element 1: the matrix is not positive"),
            ((bad,), p, LinAlgError, "leading minor of order 2"),
        ]

    def eager(x, *, uplo, check):
        if uplo != "L":
            x = hermitian_of(x, uplo)
        if not check:
            return one_by_one(cholesky_of, _cholesky_by_rows, x)
        return lapack("cholesky", cholesky_of, _not_positive, x)

    def infer(self, x, *, uplo, check):
        return square(x, "cholesky")

    def vjp(self, g, y, xs, params, need):
        yh = mH(y)
        inner = half_diagonal(mm(yh, tril(g)))
        inner = hermitian(inner)
        half = op.triangular_solve(yh, inner, upper=True, unit=False)
        return (mH(op.triangular_solve(yh, mH(half), upper=True, unit=False)),)

    def jvp(self, ts, y, xs, params):
        half = op.triangular_solve(y, hermitian(ts[0]), upper=False, unit=False)
        inner = mH(op.triangular_solve(y, mH(half), upper=False, unit=False))
        return mm(y, half_diagonal(inner))


def cholesky_of(x):
    """NumPy's, which lets NaN pass; it would reach the last element."""
    y = np.linalg.cholesky(x)
    if x.shape[-1] and np.isnan(y[..., -1, -1]).any():
        raise np.linalg.LinAlgError("NaN")
    return y


def _cholesky_by_rows(x):
    """Banachiewicz: the root of a negative number, and all that it touches, is NaN."""
    y = np.zeros_like(x)
    for i in range(x.shape[-1]):
        for j in range(i):
            rest = x[..., i, j] - (y[..., i, :j] * y[..., j, :j].conj()).sum(-1)
            y[..., i, j] = rest / y[..., j, j]
        rest = x[..., i, i].real - (np.abs(y[..., i, :i]) ** 2).sum(-1)
        y[..., i, i] = np.where(rest > 0, np.sqrt(rest), np.nan)
    return y


class Qr(OfResult):
    """Q with orthonormal columns and upper R with a real diagonal, x = Q R; rows ≥ columns.

    With C = Qᴴ dx R⁻¹ and T the upper part of C + Cᴴ, diagonal halved: dR = T R,
    dQ = dx R⁻¹ − Q T.

    >>> q, r = op.qr(tensor([[3., 1.], [4., 2.]]))
    >>> op.abs(r)
    tensor([[5.0000, 2.2000],
            [0.0000, 0.4000]])
    """

    outputs = 2
    samples = real_and_complex((3, 3), (2, 4, 2))

    def reference(x):
        """Gram-Schmidt, then the signs of Householder."""
        r = np.conj(np.swapaxes(np.linalg.cholesky(h(x) @ x), -1, -2))
        sign = np.sign(np.einsum("...ii->...i", np.linalg.qr(x)[1]).real)
        r = sign[..., :, None] * r
        return x @ np.linalg.inv(r), r

    def errors():
        return [((np.ones((2, 3)),), {}, ShapeError, "at least as many rows")]

    def eager(x):
        if x.shape[-2] < x.shape[-1]:
            raise ValueError("wide")
        return tuple(lapack("qr", np.linalg.qr, not_converged, x))

    def infer(self, x):
        matrix(x, "qr")
        m, n = x.shape[-2:]
        if m < n:
            raise ShapeError(f"qr: needs at least as many rows as columns, got {x}")
        return x, Spec((*x.shape[:-2], n, n), x.dtype)

    def vjp(self, g, y, xs, params, need):
        (q, r), (gq, gr) = y, g
        m = total(
            None if gr is None else mm(r, mH(triu(gr))),
            None if gq is None else -mm(mH(gq), q),
        )
        low = half_diagonal(m)
        inner = total(gq, mm(q, low + mH(low)))
        return (mH(right_solve(r, mH(inner))),)

    def jvp(self, ts, y, xs, params):
        q, r = y
        t = mH(op.triangular_solve(mH(r), mH(ts[0]), upper=False, unit=False))
        c = mm(mH(q), t)
        upper = mH(half_diagonal(c + mH(c)))
        return t - mm(q, upper), mm(upper, r)


class QrComplete(OfMatrix):
    """Q square and R as x, x = Q R; the columns of Q beyond those of x have no derivative.

    >>> q, r = op.qr_complete(tensor([[3.], [4.]]))
    >>> q.shape, r.shape
    (adjoint.Size([2, 2]), adjoint.Size([2, 1]))
    """

    outputs = 2
    reference = staticmethod(lambda x: np.linalg.qr(x, "complete"))

    def samples(rng):
        return []

    def eager(x):
        return tuple(np.linalg.qr(x, "complete"))

    def infer(self, x):
        m = matrix(x, "qr").shape[-2]
        return Spec((*x.shape[:-1], m), x.dtype), x

    def vjp(self, g, y, xs, params, need):
        raise GradError(
            "qr: mode='complete' has no derivative where rows outnumber columns: the "
            "columns of Q beyond them are not determined",
            hint="mode='reduced'",
        )

    def jvp(self, ts, y, xs, params):
        return self.vjp(None, y, xs, params, None)


class Geqrf(OfMatrix):
    """QR as LAPACK keeps it: R and below it Householder's vectors, and their factors.

    >>> op.geqrf(tensor([[3.], [4.]]))
    (tensor([[-5.0000],
            [ 0.5000]]), tensor([1.6000]))
    """

    outputs = 2
    reference = staticmethod(lambda x: np.linalg.qr(x, "raw"))

    def samples(rng):
        return []

    def eager(x):
        packed, factors = np.linalg.qr(x, "raw")
        packed = np.ascontiguousarray(np.swapaxes(packed, -1, -2))
        return packed.astype(x.dtype, copy=False), factors.astype(x.dtype, copy=False)

    def infer(self, x):
        matrix(x, "geqrf")
        return x, Spec((*x.shape[:-2], min(x.shape[-2:])), x.dtype)

    def vjp(self, g, y, xs, params, need):
        raise GradError("geqrf has no derivative", hint="linalg.qr has one")

    def jvp(self, ts, y, xs, params):
        return self.vjp(None, y, xs, params, None)
