"""LU factors with pivots, which NumPy lacks, by blocks. Rules: Walter & Lehmann (2010)."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import op
from ..core.shape import Spec
from ..errors import LinAlgError
from .matrix import (
    OfMatrix,
    OfResult,
    col,
    matrix,
    mH,
    mm,
    mT,
    on_diagonal,
    part,
    real_and_complex,
    square,
    tril,
    triu,
)
from .triangles import BLOCK, substitute_in


class Lu(OfResult):
    """P x = L U with partial pivoting: L below the diagonal and U on and above it, pivots.

    Pivots count from 1, as LAPACK's: row i was exchanged with row pivots[i]. For square x:
    L⁻¹ P dx U⁻¹ = L⁻¹dL + dU U⁻¹, whose terms are its strict lower and its upper part.

    >>> op.lu(tensor([[1., 2.], [4., 4.]]))
    (tensor([[4.0000, 4.0000],
            [0.2500, 1.0000]]), tensor([2, 2], dtype=adjoint.int32))
    """

    outputs = 2
    samples = real_and_complex((3, 3), (2, 2, 2), (4, 2), (2, 4))

    def reference(x):
        x = x.copy()
        pivots = np.zeros((*x.shape[:-2], min(x.shape[-2:])), np.int32)
        for i in np.ndindex(x.shape[:-2]):
            a = x[i]
            for j in range(min(a.shape)):
                p = pivots[(*i, j)] = j + _size(a[j:, j]).argmax() + 1
                a[[j, p - 1]] = a[[p - 1, j]]
                a[j + 1 :, j] /= a[j, j]
                a[j + 1 :, j + 1 :] -= np.outer(a[j + 1 :, j], a[j, j + 1 :])
        return x, pivots

    def eager(x):
        return lu_of(x)

    def infer(self, x):
        matrix(x, "lu")
        return x, Spec((*x.shape[:-2], min(x.shape[-2:])), np.dtype("int32"))

    def vjp(self, g, y, xs, params, need):
        lu, pivots = y
        m, n = lu.shape[-2:]
        k = min(m, n)
        corner, g = part(lu, (0, k), (0, k)), g[0]
        gl = gu = part(g, (0, k), (0, k))
        rest = None
        if m > n:
            rest = mH(right_solve(corner, mH(part(g, (k, m), (0, n)))))
            gu = gu - mm(mH(part(lu, (k, m), (0, n))), rest)
        elif n > m:
            rest = op.triangular_solve(
                mH(corner), part(g, (0, m), (k, n)), upper=True, unit=True
            )
            gl = gl - mm(rest, mH(part(lu, (0, m), (k, n))))
        gx = _lu_square_vjp(corner, gl, gu)
        if rest is not None:
            gx = op.cat(gx, rest, dim=lu.ndim - (2 if m > n else 1))
        return (mm(mT(exchange(pivots, m, dtype_of(lu))), gx),)

    def jvp(self, ts, y, xs, params):
        lu, pivots = y
        m, n = lu.shape[-2:]
        k = min(m, n)
        t = mm(exchange(pivots, m, dtype_of(lu)), ts[0])
        lo = part(lu, (0, k), (0, k))
        ty, tl, tu = _lu_square_jvp(lo, part(t, (0, k), (0, k)))
        if m > n:
            moved = part(t, (k, m), (0, n)) - mm(part(lu, (k, m), (0, n)), tu)
            rest = mH(op.triangular_solve(mH(lo), mH(moved), upper=False, unit=False))
            return op.cat(ty, rest, dim=lu.ndim - 2), None
        if n > m:
            moved = part(t, (0, m), (k, n)) - mm(tl, part(lu, (0, m), (k, n)))
            rest = op.triangular_solve(lo, moved, upper=False, unit=True)
            return op.cat(ty, rest, dim=lu.ndim - 1), None
        return ty, None


def right_solve(u, gh):
    """U⁻¹ gᴴ: g U⁻ᴴ, transposed."""
    return op.triangular_solve(u, gh, upper=True, unit=False)


def _unit_lower(x):
    n = x.shape[-1]
    return op.where(on_diagonal(n, n), np.ones((), dtype_of(x)), tril(x, -1))


def _lu_square_vjp(lu, gl, gu):
    """L⁻ᴴ (strict lower of Lᴴ gL + upper of gU Uᴴ) U⁻ᴴ."""
    inner = tril(mm(mH(_unit_lower(lu)), tril(gl, -1)), -1)
    inner = inner + triu(mm(triu(gu), mH(triu(lu))))
    half = op.triangular_solve(mH(lu), inner, upper=True, unit=True)
    return mH(right_solve(lu, mH(half)))


def _lu_square_jvp(lu, t):
    """(packed tangent, dL, dU) of the LU factors of a square matrix."""
    inner = op.triangular_solve(lu, t, upper=False, unit=True)
    inner = mH(op.triangular_solve(mH(lu), mH(inner), upper=False, unit=False))
    tl = mm(_unit_lower(lu), tril(inner, -1))
    tu = mm(triu(inner), triu(lu))
    return tl + tu, tl, tu


def exchange(pivots, m: int, d):
    """The matrices P of the row exchanges, P x = L U, in dtype `d`."""
    order = op.pivot_order(pivots, size=m)
    return op.cast(col(order) == np.arange(m), dtype=d)


class ZeroPivot(OfMatrix):
    """The number, from 1, of the first zero on the diagonal of U in P x = L U; 0: none.

    >>> op.zero_pivot(tensor([[1., 2.], [2., 4.]]))
    tensor(2, dtype=adjoint.int32)
    """

    differentiable = False

    def samples(rng):
        return [
            ((np.array([[[1.0, 2], [2, 4]], [[0, 0], [0, 1]], [[1, 0], [0, 1]]]),), {})
        ]

    reference = staticmethod(
        lambda x: np.array([2, 1, 0]) if x.ndim == 3 else np.array(0)
    )

    def eager(x):
        if not np.isfinite(x).all() or (np.linalg.slogdet(x)[0] == 0).any():
            return _first(np.diagonal(lu_of(x)[0], axis1=-2, axis2=-1) == 0)
        return np.zeros(x.shape[:-2], np.int32)

    def infer(self, x):
        return Spec(square(x, "zero_pivot").shape[:-2], np.dtype("int32"))


def _first(mask):
    """The number, from 1, of the first True of each row; 0 where there is none."""
    if not mask.shape[-1]:
        return np.zeros(mask.shape[:-1], np.int32)
    found = np.where(mask.any(-1), mask.argmax(-1) + 1, 0)
    return np.asarray(found, np.int32)


class PivotOrder(OfMatrix):
    """The order of `size` rows after the exchanges that LAPACK's pivots list.

    >>> op.pivot_order(tensor([3, 2, 3]), size=3)
    tensor([2, 1, 0])
    """

    differentiable = False

    def samples(rng):
        return [((np.array([[3, 2, 3], [2, 3, 3]]),), {"size": 3})]

    reference = staticmethod(lambda x, size: np.array([[2, 1, 0], [1, 2, 0]]))

    def eager(x, *, size):
        if x.size and not (x.min() >= 1 and x.max() <= size):
            raise LinAlgError(f"lu: pivots must lie in [1, {size}]")
        return order_of(x, size)

    def infer(self, x, *, size):
        return Spec((*x.shape[:-1], size), np.dtype("int64"))


def order_of(pivots, size):
    flat = pivots.reshape(math.prod(pivots.shape[:-1]), pivots.shape[-1])
    order = np.tile(np.arange(size), (len(flat), 1))
    rows = np.arange(len(flat))
    for j in range(flat.shape[1]):
        p = flat[:, j] - 1
        order[rows, p], order[:, j] = order[:, j].copy(), order[rows, p]
    return order.reshape(*pivots.shape[:-1], size)


def lu_of(a):
    """Blocked LU of a batch: a panel by columns, the rest by one matrix product a panel."""
    m, n = a.shape[-2:]
    k = min(m, n)
    x = np.array(a, order="C").reshape(-1 if a.size else math.prod(a.shape[:-2]), m, n)
    pivots = np.empty((len(x), k), np.int32)
    for start in range(0, k, BLOCK):
        stop = min(start + BLOCK, k)
        for j in range(start, stop):
            _eliminate_column(x, pivots, j, stop)
        if stop < n:
            panel, top = x[:, start:stop, start:stop], x[:, start:stop, stop:]
            substitute_in(panel, top, False, True)
            x[:, stop:, stop:] -= x[:, stop:, start:stop] @ top
    return x.reshape(a.shape), pivots.reshape(*a.shape[:-2], k)


def _size(x):
    """What LAPACK chooses pivots by: of complex numbers |re| + |im|."""
    return np.abs(x.real) + np.abs(x.imag) if x.dtype.kind == "c" else np.abs(x)


def _eliminate_column(x, pivots, j, stop):
    """Exchange, divide, and update the rest of the panel."""
    rows = np.arange(len(x))
    p = j + _size(x[:, j:, j]).argmax(1)
    pivots[:, j] = p + 1
    x[rows, p], x[:, j] = x[:, j].copy(), x[rows, p]
    pivot = x[:, j, j, None]
    below = x[:, j + 1 :, j]
    np.divide(below, pivot, out=below, where=pivot != 0)
    x[:, j + 1 :, j + 1 : stop] -= below[:, :, None] * x[:, None, j, j + 1 : stop]
