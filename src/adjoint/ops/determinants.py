"""Determinants, their logarithms, and the matrix of cofactors."""

from __future__ import annotations

import numpy as np

from ..core.bind import dtype_of
from ..core.dtype import to_real
from ..core.primitive import op, total
from ..core.shape import Spec
from .matrix import (
    OfMatrix,
    as_dtype,
    col,
    diagonal,
    diagonals,
    h,
    in_kind_of,
    matrix_trace,
    mH,
    mm,
    mT,
    not_square,
    on_diagonal,
    one_by_one,
    only,
    real_and_complex,
    row,
    square,
)


class Det(OfMatrix):
    """Determinant; its derivative is the adjugate's, so right for singular matrices too.

    dy = tr(adj(x) dx) (Jacobi).

    >>> op.det(tensor([[1., 2.], [3., 4.]]))
    tensor(-2.)
    """

    saves_y = False
    samples = real_and_complex((3, 3), (2, 2, 2), (1, 1))
    reference = staticmethod(lambda x: in_kind_of(np.prod(np.linalg.eigvals(x), -1), x))
    errors = not_square()

    def eager(x):
        return np.linalg.det(x)

    def infer(self, x):
        return Spec(square(x, "det").shape[:-2], x.dtype)

    def vjp(self, g, y, xs, params, need):
        return (col(col(g)) * mH(op.adjugate(xs[0])),)

    def jvp(self, ts, y, xs, params):
        return op.sum(
            mT(op.adjugate(xs[0])) * ts[0],
            dim=(ts[0].ndim - 2, ts[0].ndim - 1),
            keepdim=False,
        )


class Adjugate(OfMatrix):
    """det(x) x⁻¹, polynomial in the entries and so defined for singular x.

    With x = U S Vᴴ it is det(U Vᴴ) V adj(S) Uᴴ, adj(S) diagonal with products of all
    other singular values; its derivative likewise, with products of all but two.

    >>> op.adjugate(tensor([[1., 2.], [2., 4.]]))
    tensor([[ 4.0000, -2.0000],
            [-2.0000,  1.0000]])
    """

    saves_y = False
    samples = real_and_complex((3, 3), (2, 2, 2), (4, 4))
    errors = not_square()

    def reference(x):
        n = x.shape[-1]
        y = np.empty_like(x)
        for i, j in np.ndindex(n, n):
            minor = np.delete(np.delete(x, j, -2), i, -1)
            y[..., i, j] = (-1) ** (i + j) * np.linalg.det(minor)
        return y

    def eager(x):
        return _adjugate(x)

    def infer(self, x):
        return square(x, "adjugate")

    def vjp(self, g, y, xs, params, need):
        u, s, vh = op.svd(xs[0], full=False, checked=False)
        d, phase = _all_but_two(s), col(col(_phase(u, vh)))
        middle = mm(mm(vh, g), u) * op.conj(phase)
        return (mm(mm(u, _crossed(d, middle)), vh),)

    def jvp(self, ts, y, xs, params):
        u, s, vh = op.svd(xs[0], full=False, checked=False)
        d, phase = _all_but_two(s), col(col(_phase(u, vh)))
        b = mm(mm(mH(u), ts[0]), mH(vh))
        return mm(mm(mH(vh), _crossed(d, b)), mH(u)) * phase


def _crossed(d, b):
    """diag(D diag(b)) − D ∘ b: what adj(S) moves by when S moves by b, and its adjoint."""
    d = as_dtype(d, dtype_of(b))
    spread = op.reshape(mm(d, col(diagonal(b))), shape=(*b.shape[:-1],))
    return diagonals(spread) - d * b


def _all_but_two(s):
    """D(i, j): the product of all but the i-th and j-th element of `s`; 0 where i = j."""
    n = s.shape[-1]
    i, j, k = np.ogrid[:n, :n, :n]
    rest = op.where((k == i) | (k == j), np.ones((), dtype_of(s)), row(row(s)))
    products = op.prod(rest, dim=(s.ndim + 1,), keepdim=False)
    return only(~on_diagonal(n, n), products)


def _phase(u, vh):
    """det(U Vᴴ), of modulus one."""
    return op.slogdet(mm(u, vh))[0]


def _adjugate(x):
    """det · inv where x is well-conditioned, else through its singular values."""
    if not x.size:
        return np.array(x)
    fallback = _adjugate_by_svd
    try:
        inverse = np.linalg.inv(x)
    except np.linalg.LinAlgError:
        return one_by_one(_adjugate_of_one, fallback, x)
    cond = np.abs(x).sum(-1).max(-1) * np.abs(inverse).sum(-1).max(-1)
    if not (cond < 1e6).all():
        return one_by_one(_adjugate_of_one, fallback, x)
    return np.linalg.det(x)[..., None, None] * inverse


def _adjugate_of_one(x):
    if x.ndim > 2 or not np.linalg.cond(x) < 1e6:
        raise np.linalg.LinAlgError("ill-conditioned")
    return np.linalg.det(x) * np.linalg.inv(x)


def _adjugate_by_svd(x):
    if not np.isfinite(x).all():
        return np.full_like(x, np.nan)
    u, s, vh = np.linalg.svd(x)
    others = np.prod(np.where(np.eye(len(s)), 1, s), -1).astype(s.dtype)
    return np.linalg.det(u @ vh) * (h(vh) * others) @ h(u)


class Slogdet(OfMatrix):
    """Sign (of complex: phase) and ln |det x|, which neither over- nor underflow.

    With t = tr(x⁻¹ dx): d ln |det| = Re t, d sign = i sign Im t.

    >>> op.slogdet(tensor([[-2., 0.], [0., 1.]]))
    (tensor(-1.), tensor(0.6931))
    """

    outputs = 2
    samples = real_and_complex((3, 3), (2, 2, 2))
    errors = not_square()

    def reference(x):
        w = np.linalg.eigvals(x)
        sign = np.prod(w / abs(w), -1)
        return in_kind_of(sign, x), np.log(abs(w)).sum(-1)

    def eager(x):
        sign, size = np.linalg.slogdet(x)
        return np.asarray(sign), np.asarray(size)

    def infer(self, x):
        lead = square(x, "slogdet").shape[:-2]
        return Spec(lead, x.dtype), Spec(lead, to_real(x.dtype))

    def vjp(self, g, y, xs, params, need):
        gs, gl = g
        x = xs[0]
        d = dtype_of(x)
        g = None if gl is None else as_dtype(gl, d)
        if gs is not None and d.kind == "c":
            g = total(g, op.imag(gs * op.conj(y[0])) * 1j)
        if g is None:
            return (op.zeros_like(x),)
        return (col(col(g)) * mH(op.inv(x, check=False)),)

    def jvp(self, ts, y, xs, params):
        t = matrix_trace(mm(op.inv(xs[0], check=False), ts[0]))
        if dtype_of(t).kind == "c":
            return y[0] * op.imag(t) * 1j, op.real(t)
        return op.zeros_like(t), t
