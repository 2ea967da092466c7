"""Solves, LU, determinants, Cholesky, QR and the exponential of matrices.

LU and triangular solves, which NumPy lacks, are blocked here. Rules: Giles (2008), Walter
& Lehmann (2010).
"""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import dtype_of
from ..core.dtype import to_real
from ..core.primitive import batch_to_front, op
from ..core.shape import Spec, broadcast
from ..errors import GradError, LinAlgError, ShapeError
from .matrix import (
    OfMatrix,
    OfResult,
    as_dtype,
    col,
    complex_well,
    diagonal,
    diagonals,
    h,
    half_diagonal,
    hermitian,
    hermitian_of,
    in_kind_of,
    lapack,
    matrix,
    matrix_trace,
    mH,
    mm,
    mT,
    not_converged,
    not_square,
    on_diagonal,
    one_by_one,
    only,
    part,
    positive,
    real_and_complex,
    row,
    square,
    total,
    tril,
    triu,
    well,
)

# ---------------------------------------------------------------- why LAPACK fails


def _singular(a):
    """Why a solve with `a` failed: where elimination met a zero pivot."""
    pivots = np.diagonal(_lu(a)[0])
    zero = np.flatnonzero(pivots == 0)
    where = f": diagonal element {zero[0] + 1} of U in its LU factorization is zero"
    return f"the matrix is singular{where if zero.size else ''}"


def _not_positive(a):
    """Why Cholesky of `a` failed: the first leading minor that is not positive-definite."""
    order = next((k for k in range(1, len(a) + 1) if not _factors(a[:k, :k])), len(a))
    return (
        "the matrix is not positive-definite (the leading minor of order "
        f"{order} is not positive-definite)"
    )


def _factors(a) -> bool:
    try:
        _cholesky(a)
    except np.linalg.LinAlgError:
        return False
    return True


# ---------------------------------------------------------------- solving


class Solve(OfMatrix):
    """x₁⁻¹ x₂ for square x₁; `check` raises where x₁ is singular, else Inf and NaN show it.

    A X = B: dX = A⁻¹(dB − dA X), gB = A⁻ᴴ gX, gA = −gB Xᴴ.

    >>> op.solve(tensor([[2., 0.], [0., 4.]]), tensor([[2.], [2.]]), check=True)
    tensor([[1.0000],
            [0.5000]])
    """

    reference = staticmethod(lambda a, b, check: np.linalg.inv(a) @ b)

    def samples(rng):
        c = {"check": True}
        return [
            ((well(rng, 3, 3), rng.normal(size=(3, 2))), c),
            ((well(rng, 2, 2, 2), rng.normal(size=(2, 2, 3))), c),
            ((complex_well(rng, 2, 2), complex_well(rng, 2, 2)), c),
        ]

    def errors():
        a = np.ones((2, 2, 2)) + np.eye(2) * [[[1]], [[0]]]
        c = {"check": True}
        return [
            ((np.ones((2, 3)), np.ones((2, 1))), c, ShapeError, "must be square"),
            ((np.eye(2), np.ones((3, 1))), c, ShapeError, "rows"),
            ((a, np.ones((2, 2, 1))), c, LinAlgError, "batch element 1: the matrix is"),
        ]

    def eager(a, b, *, check):
        if check:
            return lapack("solve", np.linalg.solve, _singular, a, b)
        return one_by_one(np.linalg.solve, _eliminate, a, b)

    def infer(self, a, b, *, check):
        square(a, "solve")
        if b.shape[-2] != a.shape[-1] or a.shape[:-2] != b.shape[:-2]:
            raise ShapeError(f"solve: the rows of {b} do not fit {a}")
        return b

    def keeps(self, need, count):
        return (True, False)

    def vjp(self, g, y, xs, params, need):
        gb = op.solve(mH(xs[0]), g, **params)
        return (-mm(gb, mH(y)) if need[0] else None), gb

    def jvp(self, ts, y, xs, params):
        ta, tb = ts
        right = total(tb, None if ta is None else -mm(ta, y))
        return op.solve(xs[0], right, **params)

    def batch(self, size, xs, dims, params):
        a, b = xs
        if dims[0] is not None:
            return super().batch(size, xs, dims, params)
        return _as_columns(
            lambda b: op.solve(a, b, **params), batch_to_front(b, dims[1])
        )


def _as_columns(solve, b):
    """(solve(b), 0) for one matrix and a batch of right sides: they are more columns."""
    size, n, k = b.shape[0], b.shape[-2], b.shape[-1]
    lead = tuple(b.shape[1:-2])
    last = b.ndim - 1
    wide = op.permute(b, dims=(*range(1, last), 0, last))
    y = solve(op.reshape(wide, shape=(*lead, n, size * k)))
    y = op.reshape(y, shape=(*lead, n, size, k))
    return op.permute(y, dims=(last - 1, *range(last - 1), last)), 0


def _eliminate(a, b):
    """a⁻¹ b by elimination that goes on through zero pivots, as IEEE 754 has it."""
    lu, pivots = _lu(a)
    b = np.take_along_axis(b, _order(pivots, len(a))[:, None], 0)
    return _substitute(np.triu(lu), _substitute(lu, b, False, True), True, False)


class TriangularSolve(OfMatrix):
    """x₁⁻¹ x₂, of x₁ only one triangle read, of which `unit` takes the diagonal for ones.

    >>> op.triangular_solve(tensor([[2., 9.], [1., 1.]]), tensor([[2.], [3.]]),
    ...                     upper=False, unit=False)
    tensor([[1.],
            [2.]])
    """

    def samples(rng):
        b = rng.normal(size=(2, 3, 2))
        lower = well(rng, 2, 3, 3) + 2 * np.eye(3)
        upper = complex_well(rng, 3, 3) + 2 * np.eye(3)
        return [
            ((lower, b), {"upper": False, "unit": False}),
            ((lower, b), {"upper": True, "unit": True}),
            ((upper, complex_well(rng, 3, 2)), {"upper": True, "unit": False}),
        ]

    def reference(a, b, upper, unit):
        a = np.triu(a) if upper else np.tril(a)
        if unit:
            eye = np.eye(a.shape[-1])
            a = a * (1 - eye) + eye
        return np.linalg.solve(a, b)

    def eager(a, b, *, upper, unit):
        return _substitute(a, b, upper, unit)

    def infer(self, a, b, *, upper, unit):
        square(a, "triangular_solve")
        if b.shape[-2] != a.shape[-1] or a.shape[:-2] != b.shape[:-2]:
            raise ShapeError(f"triangular_solve: the rows of {b} do not fit {a}")
        return b

    def keeps(self, need, count):
        return (True, False)

    def vjp(self, g, y, xs, params, need):
        upper, unit = params["upper"], params["unit"]
        gb = op.triangular_solve(mH(xs[0]), g, upper=not upper, unit=unit)
        ga = _triangle(-mm(gb, mH(y)), **params) if need[0] else None
        return ga, gb

    def jvp(self, ts, y, xs, params):
        ta, tb = ts
        moved = None if ta is None else -mm(_triangle(ta, **params), y)
        return op.triangular_solve(xs[0], total(tb, moved), **params)

    def batch(self, size, xs, dims, params):
        a, b = xs
        if dims[0] is not None:
            return super().batch(size, xs, dims, params)
        return _as_columns(
            lambda b: op.triangular_solve(a, b, **params), batch_to_front(b, dims[1])
        )


def _triangle(x, upper, unit):
    """The part of a matrix that a triangular solve reads."""
    return triu(x, int(unit)) if upper else tril(x, -int(unit))


_BLOCK = 32


def _substitute(a, b, upper, unit):
    """Triangular solve: blocks by halving, matrix products between, substitution below."""
    lead = broadcast(a.shape[:-2], b.shape[:-2])
    x = np.empty((*lead, *b.shape[-2:]), b.dtype)
    x[...] = b
    _substitute_in(a, x, upper, unit)
    return x


def _substitute_in(a, x, upper, unit):
    n = a.shape[-1]
    if n <= _BLOCK:
        return _substitute_rows(a, x, upper, unit)
    h = n // 2
    first, second = (slice(h, n), slice(0, h)) if upper else (slice(0, h), slice(h, n))
    _substitute_in(a[..., first, first], x[..., first, :], upper, unit)
    x[..., second, :] -= a[..., second, first] @ x[..., first, :]
    _substitute_in(a[..., second, second], x[..., second, :], upper, unit)


def _substitute_rows(a, x, upper, unit):
    n = a.shape[-1]
    for i in reversed(range(n)) if upper else range(n):
        done = slice(i + 1, n) if upper else slice(0, i)
        if done.stop > done.start:
            x[..., i, :] -= (a[..., i : i + 1, done] @ x[..., done, :])[..., 0, :]
        if not unit:
            x[..., i, :] /= a[..., i, i, None]


class Inv(OfResult):
    """x⁻¹; `check` raises where x is singular, else Inf and NaN show it.

    dy = −y dx y.

    >>> op.inv(tensor([[2., 0.], [0., 4.]]), check=True)
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """

    samples = real_and_complex((3, 3), (2, 2, 2), check=True)
    reference = staticmethod(
        lambda x, check: np.linalg.solve(x, 0 * x + np.eye(x.shape[-1]))
    )
    errors = not_square(check=True)

    def eager(x, *, check):
        if check:
            return lapack("inv", np.linalg.inv, _singular, x)
        return one_by_one(
            np.linalg.inv, lambda a: _eliminate(a, np.eye(len(a), dtype=a.dtype)), x
        )

    def infer(self, x, *, check):
        return square(x, "inv")

    def vjp(self, g, y, xs, params, need):
        return (-mm(mm(mH(y), g), mH(y)),)

    def jvp(self, ts, y, xs, params):
        return -mm(mm(y, ts[0]), y)


# ---------------------------------------------------------------- LU


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
        return _lu(x)

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
            rest = mH(_right_solve(corner, mH(part(g, (k, m), (0, n)))))
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


def _right_solve(u, gh):
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
    return mH(_right_solve(lu, mH(half)))


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
            return _first(np.diagonal(_lu(x)[0], axis1=-2, axis2=-1) == 0)
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
        return _order(x, size)

    def infer(self, x, *, size):
        return Spec((*x.shape[:-1], size), np.dtype("int64"))


def _order(pivots, size):
    flat = pivots.reshape(math.prod(pivots.shape[:-1]), pivots.shape[-1])
    order = np.tile(np.arange(size), (len(flat), 1))
    rows = np.arange(len(flat))
    for j in range(flat.shape[1]):
        p = flat[:, j] - 1
        order[rows, p], order[:, j] = order[:, j].copy(), order[rows, p]
    return order.reshape(*pivots.shape[:-1], size)


def _lu(a):
    """Blocked LU of a batch: a panel by columns, the rest by one matrix product a panel."""
    m, n = a.shape[-2:]
    k = min(m, n)
    x = np.array(a, order="C").reshape(-1 if a.size else math.prod(a.shape[:-2]), m, n)
    pivots = np.empty((len(x), k), np.int32)
    for start in range(0, k, _BLOCK):
        stop = min(start + _BLOCK, k)
        for j in range(start, stop):
            _eliminate_column(x, pivots, j, stop)
        if stop < n:
            panel, top = x[:, start:stop, start:stop], x[:, start:stop, stop:]
            _substitute_in(panel, top, False, True)
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


# ---------------------------------------------------------------- determinants


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


# ---------------------------------------------------------------- Cholesky and QR


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
            return one_by_one(_cholesky, _cholesky_by_rows, x)
        return lapack("cholesky", _cholesky, _not_positive, x)

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


def _cholesky(x):
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
        return (mH(_right_solve(r, mH(inner))),)

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


# ---------------------------------------------------------------- exponential


class MatrixExp(OfMatrix):
    """eˣ by scaling and squaring with a Padé approximant of degree 13 (Higham 2005).

    Its derivative along dx is the upper right block of exp [[x, dx], [0, x]].

    >>> op.matrix_exp(tensor([[0., 1.], [0., 0.]]))
    tensor([[1., 1.],
            [0., 1.]])
    """

    saves_y = False
    samples = real_and_complex((3, 3), (2, 2, 2))
    errors = not_square()

    def reference(x):
        """Taylor's series of x / 2¹⁰, squared ten times."""
        term = y = 0 * x + np.eye(x.shape[-1])
        for k in range(1, 12):
            term = term @ x / (1024 * k)
            y = y + term
        for _ in range(10):
            y = y @ y
        return y

    def eager(x):
        wide = x.astype(np.result_type(x.dtype, np.float64))
        return _matrix_exp(wide).astype(x.dtype)

    def infer(self, x):
        return square(x, "matrix_exp")

    def vjp(self, g, y, xs, params, need):
        return (_exp_along(mH(xs[0]), g),)

    def jvp(self, ts, y, xs, params):
        return _exp_along(xs[0], ts[0])


def _exp_along(x, t):
    n, last = x.shape[-1], x.ndim - 1
    top = op.cat(x, t, dim=last)
    bottom = op.cat(op.zeros_like(x), x, dim=last)
    y = op.matrix_exp(op.cat(top, bottom, dim=last - 1))
    return part(y, (0, n), (n, 2 * n))


# Coefficients of the numerator of the [13/13] approximant of eˣ, and the 1-norm up to
# which it is exact to double precision.
_PADE = [
    math.factorial(26 - k) * math.comb(13, k) // math.factorial(13) for k in range(14)
]
_PADE_REACH = 5.371920351148152


def _matrix_exp(x):
    size = np.abs(x).sum(-2).max(-1, initial=0)
    bad = ~np.isfinite(size)
    x = np.where(bad[..., None, None], 0, x)
    ratio = np.where(bad, 0, size) / _PADE_REACH
    halvings = np.maximum(0, np.ceil(np.log2(np.maximum(ratio, 1)))).astype(int)
    y = _pade(x / np.exp2(halvings)[..., None, None])
    for i in range(halvings.max(initial=0)):
        y = np.where((halvings > i)[..., None, None], y @ y, y)
    return np.where(bad[..., None, None], np.nan, y)


def _pade(x):
    c = [float(b) for b in _PADE]
    eye = np.eye(x.shape[-1])
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2

    def four(k):
        return c[k] * eye + c[k + 2] * x2 + c[k + 4] * x4 + c[k + 6] * x6

    def high(k):
        return x6 @ (c[k] * x2 + c[k + 2] * x4 + c[k + 4] * x6)

    even = four(0) + high(8)
    odd = x @ (four(1) + high(9))
    return np.linalg.solve(even - odd, even + odd)
