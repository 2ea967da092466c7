"""Decompositions and functions of matrices over the last two dims; all others are batch.

NumPy's LAPACK computes them, in double precision also for float32; LU and triangular
solves, which NumPy lacks, are blocked here. Rules: Giles (2008), Walter & Lehmann (2010).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ..core.bind import at_bottom, bind, dtype_of
from ..core.dtype import to_complex, to_real
from ..core.primitive import Primitive, batch_to_front, op, with_batch
from ..core.shape import Spec, broadcast
from ..errors import DtypeError, GradError, LinAlgError, ShapeError

# ---------------------------------------------------------------- what fits


def show(x) -> str:
    """`float32[2, 3]`, as error messages print a value."""
    return f"{dtype_of(x).name}[{', '.join(map(str, x.shape))}]"


def matrix(x, name: str):
    """`x`, which must be a matrix or a batch of them, of a dtype that LAPACK knows."""
    if x.ndim < 2:
        raise ShapeError(
            f"{name}: the input must have at least 2 dims, got {tuple(x.shape)}"
        )
    return numbers(x, name)


def numbers(x, name: str):
    """`x`, which must have dtype float32, float64, complex64 or complex128."""
    d = dtype_of(x) if not isinstance(x, Spec) else x.dtype
    if d.kind not in "fc" or d.itemsize < 4:
        hint = "x.float() has" if d.kind in "fV" else "x.float() or x.double() has one"
        raise DtypeError(
            f"{name}: needs a float32, float64 or complex dtype, got {d.name}",
            hint=hint if d.kind not in "fV" else "compute in float32: x.float()",
        )
    return x


def square(x, name: str):
    """`x`, whose last two dims must be equal."""
    matrix(x, name)
    if x.shape[-1] != x.shape[-2]:
        raise ShapeError(
            f"{name}: matrices must be square, got {x.shape[-2]} by {x.shape[-1]} "
            f"in shape {tuple(x.shape)}"
        )
    return x


# ---------------------------------------------------------------- algebra of the rules

_LEAD = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def mm(a, b):
    """Matrix products over equal batch dims."""
    s = _LEAD[: a.ndim - 2]
    return op.contract(a, b, spec=f"{s}ij,{s}jk->{s}ik")


def mT(x):
    """The last two dims swapped."""
    n = x.ndim
    return op.permute(x, dims=(*range(n - 2), n - 1, n - 2))


def mH(x):
    """The last two dims swapped, and conjugated."""
    x = mT(x)
    return op.conj(x) if dtype_of(x).kind == "c" else x


def row(x):
    """Vectors as matrices of one row."""
    return op.reshape(x, shape=(*x.shape[:-1], 1, x.shape[-1]))


def col(x):
    """Vectors as matrices of one column."""
    return op.reshape(x, shape=(*x.shape, 1))


@lru_cache(256)
def _eye(m: int, n: int):
    mask = np.eye(m, n, dtype=bool)
    mask.flags.writeable = False
    return mask


def _only(mask, x):
    return op.where(mask, x, np.zeros((), dtype_of(x)))


def tril(x, k=0):
    """The part on and below diagonal `k`."""
    return op.tril(x, diagonal=k)


def triu(x, k=0):
    """The part on and above diagonal `k`."""
    return op.triu(x, diagonal=k)


def diagonal(x):
    """The main diagonals, as vectors."""
    return op.diagonal(x, offset=0, dim1=x.ndim - 2, dim2=x.ndim - 1)


def diagonals(x):
    """Diagonal matrices of vectors."""
    n = x.ndim
    return op.undiagonal(x, offset=0, dim1=n - 1, dim2=n, shape=(*x.shape, x.shape[-1]))


def matrix_trace(x):
    """Sums of the main diagonals."""
    return op.sum(diagonal(x), dim=(x.ndim - 2,), keepdim=False)


def hermitian(x):
    """(x + xᴴ) / 2."""
    return (x + mH(x)) * 0.5


def _skew(x):
    return x - mH(x)


def _half_diagonal(x):
    """The lower triangle with the diagonal halved: Φ of the rules for Cholesky and QR."""
    n = x.shape[-1]
    weights = np.tri(n, n, -1) + np.eye(n) / 2
    return tril(x) * weights.astype(to_real(dtype_of(x)))


def _part(x, rows, cols):
    """x[..., rows, cols], each (start, stop)."""
    lead = tuple((0, n, 1) for n in x.shape[:-2])
    return op.slice(x, key=(*lead, (*rows, 1), (*cols, 1)))


def as_dtype(x, d):
    """`x` in dtype `d`."""
    return x if dtype_of(x) == d else op.cast(x, dtype=d)


def _like(x, other):
    """A cotangent in the dtype of what it belongs to: of complex for real the real part."""
    return as_dtype(x, other.dtype if isinstance(other, Spec) else dtype_of(other))


def _total(*terms):
    """The sum of those that are not None."""
    terms = [t for t in terms if t is not None]
    return sum(terms[1:], terms[0]) if terms else None


class _Matrix(Primitive, abstract=True):
    """Batch dims lead and are native, so vmap adds one more."""

    def batch(self, size, xs, dims, params):
        xs = [with_batch(x, d, size) for x, d in zip(xs, dims, strict=True)]
        y = bind(self, *xs, **params)
        return (y, 0) if self.outputs == 1 else (y, (0,) * self.outputs)


class _FromResult(_Matrix, abstract=True):
    """Its rules read the result alone."""

    def keeps(self, need, count):
        return (False,) * count


# ---------------------------------------------------------------- calling LAPACK


def _lapack(name, f, why, *xs):
    """f(*xs); where LAPACK fails, an error that names the batch element and the reason."""
    try:
        return f(*xs)
    except np.linalg.LinAlgError as error:
        if "dimension" in str(error):
            raise  # the shape rule says it better
        raise _failure(name, f, why, *xs) from None


def _failure(name, f, why, *xs):
    for index in np.ndindex(xs[0].shape[:-2]):
        try:
            f(*(x[index] for x in xs))
        except np.linalg.LinAlgError:
            where = f"batch element {index[0] if len(index) == 1 else index}: "
            return LinAlgError(f"{name}: {where if index else ''}{why(xs[0][index])}")
    return LinAlgError(f"{name}: {why(xs[0])}")


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


def _not_converged(a):
    if not np.isfinite(a).all():
        return "the matrix contains non-finite values"
    return "the algorithm failed to converge: the matrix is ill-conditioned"


def _finite(a):
    """`a`; NumPy's own check, made for all decompositions alike."""
    if not np.isfinite(a).all():
        raise np.linalg.LinAlgError("non-finite")
    return a


def _elementwise(f, fallback, a, *rest):
    """f over the batch, with `fallback` for the elements that LAPACK refuses."""
    try:
        return f(a, *rest)
    except np.linalg.LinAlgError:
        pass
    rows = []
    for index in np.ndindex(a.shape[:-2]):
        row = [x[index] for x in (a, *rest)]
        try:
            rows.append(f(*row))
        except np.linalg.LinAlgError:
            rows.append(fallback(*row))
    return np.stack(rows).reshape(*a.shape[:-2], *rows[0].shape)


# ---------------------------------------------------------------- samples


def _well(rng, *shape):
    """Random matrices with distinct singular values, far from singular."""
    m, n = shape[-2:]
    k = min(m, n)
    u = np.linalg.qr(rng.normal(size=(*shape[:-1], k)))[0]
    v = np.linalg.qr(rng.normal(size=(*shape[:-2], n, k)))[0]
    return (u * np.linspace(1, 2.5, k)) @ np.swapaxes(v, -1, -2)


def _positive(rng, *shape):
    x = _well(rng, *shape)
    return x @ np.swapaxes(x, -1, -2)


def _complex(rng, *shape):
    return _well(rng, *shape) + 0.4j * rng.normal(size=shape)


def _numbers(y, x):
    """`y`, computed in complex numbers, in the dtype of `x`."""
    return y if x.dtype.kind == "c" else y.real


def _both(*shapes, **params):
    """Real samples of these shapes, and a complex one of the first."""
    return lambda rng: [
        *(((_well(rng, *s),), params) for s in shapes),
        ((_complex(rng, *shapes[0]),), params),
    ]


def _not_square(**params):
    return lambda: [((np.ones((2, 3)),), params, ShapeError, "must be square")]


# ---------------------------------------------------------------- solving


class Solve(_Matrix):
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
            ((_well(rng, 3, 3), rng.normal(size=(3, 2))), c),
            ((_well(rng, 2, 2, 2), rng.normal(size=(2, 2, 3))), c),
            ((_complex(rng, 2, 2), _complex(rng, 2, 2)), c),
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
            return _lapack("solve", np.linalg.solve, _singular, a, b)
        return _elementwise(np.linalg.solve, _eliminate, a, b)

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
        right = _total(tb, None if ta is None else -mm(ta, y))
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


class TriangularSolve(_Matrix):
    """x₁⁻¹ x₂, of x₁ only one triangle read, of which `unit` takes the diagonal for ones.

    >>> op.triangular_solve(tensor([[2., 9.], [1., 1.]]), tensor([[2.], [3.]]),
    ...                     upper=False, unit=False)
    tensor([[1.],
            [2.]])
    """

    def samples(rng):
        b = rng.normal(size=(2, 3, 2))
        lower = _well(rng, 2, 3, 3) + 2 * np.eye(3)
        upper = _complex(rng, 3, 3) + 2 * np.eye(3)
        return [
            ((lower, b), {"upper": False, "unit": False}),
            ((lower, b), {"upper": True, "unit": True}),
            ((upper, _complex(rng, 3, 2)), {"upper": True, "unit": False}),
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
        return op.triangular_solve(xs[0], _total(tb, moved), **params)

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


class Inv(_FromResult):
    """x⁻¹; `check` raises where x is singular, else Inf and NaN show it.

    dy = −y dx y.

    >>> op.inv(tensor([[2., 0.], [0., 4.]]), check=True)
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """

    samples = _both((3, 3), (2, 2, 2), check=True)
    reference = staticmethod(
        lambda x, check: np.linalg.solve(x, 0 * x + np.eye(x.shape[-1]))
    )
    errors = _not_square(check=True)

    def eager(x, *, check):
        if check:
            return _lapack("inv", np.linalg.inv, _singular, x)
        return _elementwise(
            np.linalg.inv, lambda a: _eliminate(a, np.eye(len(a), dtype=a.dtype)), x
        )

    def infer(self, x, *, check):
        return square(x, "inv")

    def vjp(self, g, y, xs, params, need):
        return (-mm(mm(mH(y), g), mH(y)),)

    def jvp(self, ts, y, xs, params):
        return -mm(mm(y, ts[0]), y)


class Pinv(_FromResult):
    """The Moore-Penrose inverse of x; singular values up to max(x₂, x₃ σ₁) count as zero.

    dy = −y dx y + y yᴴ dxᴴ (1 − x y) + (1 − y x) dxᴴ yᴴ y (Golub & Pereyra 1973), of
    constant rank. `uplo` not empty: x is Hermitian and that triangle of it is read.

    >>> op.pinv(tensor([[2., 0.], [0., 0.]]), tensor(0.), tensor(1e-6), uplo='')
    tensor([[0.5000, 0.0000],
            [0.0000, 0.0000]])
    """

    def samples(rng):
        zero = np.zeros((), np.int64)
        u = {"uplo": ""}
        return [
            ((_well(rng, 4, 2), zero, zero), u),
            ((_well(rng, 2, 2, 3), zero, zero), u),
            ((_complex(rng, 2, 2), zero, zero), u),
        ]

    reference = staticmethod(lambda x, atol, rtol, uplo: np.linalg.pinv(x))

    def eager(x, atol, rtol, *, uplo):
        if uplo:
            w, v = _lapack("pinv", _eigh(uplo), _not_converged, x)
            u, s, vh = v, w, _h(v)
        else:
            u, s, vh = _lapack("pinv", _svd, _not_converged, x)
        size = np.abs(s)
        top = size.max(-1, keepdims=True, initial=0)
        atol, rtol = np.asarray(atol)[..., None], np.asarray(rtol)[..., None]
        kept = size > np.maximum(atol, rtol * top)
        inverse = np.where(kept, 1 / np.where(kept, s, 1), 0).astype(s.dtype)
        return ((_h(vh) * inverse[..., None, :]) @ _h(u)).astype(x.dtype)

    def infer(self, x, atol, rtol, *, uplo):
        matrix(x, "pinv")
        return Spec((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)

    def keeps(self, need, count):
        return (True, False, False)

    def vjp(self, g, y, xs, params, need):
        x, yh, gh = xs[0], mH(y), mH(g)
        # each term is the adjoint of its counterpart in jvp
        gx = -mm(mm(yh, g), yh)
        right = mm(gh, mm(y, yh))
        left = mm(mm(yh, y), gh)
        gx = gx + right - mm(mm(x, y), right)
        gx = gx + left - mm(left, mm(y, x))
        return gx, None, None

    def jvp(self, ts, y, xs, params):
        t, x = ts[0], xs[0]
        if t is None:
            return None
        th, yh = mH(t), mH(y)
        right = mm(mm(y, yh), th)
        left = mm(th, mm(yh, y))
        out = right - mm(right, mm(x, y)) + left - mm(mm(y, x), left)
        return out - mm(mm(y, t), y)

    def batch(self, size, xs, dims, params):
        x = with_batch(xs[0], dims[0], size)
        limits = (
            c if d is None else _aligned(batch_to_front(c, d), x.ndim - 2)
            for c, d in zip(xs[1:], dims[1:], strict=True)
        )
        return op.pinv(x, *limits, **params), 0


def _aligned(x, rank: int):
    """`x` with dims of size 1 after its first, so that it has `rank` dims."""
    return op.reshape(x, shape=(x.shape[0], *(1,) * (rank - x.ndim), *x.shape[1:]))


def _h(x):
    return np.swapaxes(x, -1, -2).conj()


# ---------------------------------------------------------------- LU


class Lu(_FromResult):
    """P x = L U with partial pivoting: L below the diagonal and U on and above it, pivots.

    Pivots count from 1, as LAPACK's: row i was exchanged with row pivots[i]. For square x:
    L⁻¹ P dx U⁻¹ = L⁻¹dL + dU U⁻¹, whose terms are its strict lower and its upper part.

    >>> op.lu(tensor([[1., 2.], [4., 4.]]))
    (tensor([[4.0000, 4.0000],
            [0.2500, 1.0000]]), tensor([2, 2], dtype=adjoint.int32))
    """

    outputs = 2
    samples = _both((3, 3), (2, 2, 2), (4, 2), (2, 4))

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
        corner, g = _part(lu, (0, k), (0, k)), g[0]
        gl = gu = _part(g, (0, k), (0, k))
        rest = None
        if m > n:
            rest = mH(_right_solve(corner, mH(_part(g, (k, m), (0, n)))))
            gu = gu - mm(mH(_part(lu, (k, m), (0, n))), rest)
        elif n > m:
            rest = op.triangular_solve(
                mH(corner), _part(g, (0, m), (k, n)), upper=True, unit=True
            )
            gl = gl - mm(rest, mH(_part(lu, (0, m), (k, n))))
        gx = _lu_square_vjp(corner, gl, gu)
        if rest is not None:
            gx = op.cat(gx, rest, dim=lu.ndim - (2 if m > n else 1))
        return (mm(mT(exchange(pivots, m, dtype_of(lu))), gx),)

    def jvp(self, ts, y, xs, params):
        lu, pivots = y
        m, n = lu.shape[-2:]
        k = min(m, n)
        t = mm(exchange(pivots, m, dtype_of(lu)), ts[0])
        lo = _part(lu, (0, k), (0, k))
        ty, tl, tu = _lu_square_jvp(lo, _part(t, (0, k), (0, k)))
        if m > n:
            moved = _part(t, (k, m), (0, n)) - mm(_part(lu, (k, m), (0, n)), tu)
            rest = mH(op.triangular_solve(mH(lo), mH(moved), upper=False, unit=False))
            return op.cat(ty, rest, dim=lu.ndim - 2), None
        if n > m:
            moved = _part(t, (0, m), (k, n)) - mm(tl, _part(lu, (0, m), (k, n)))
            rest = op.triangular_solve(lo, moved, upper=False, unit=True)
            return op.cat(ty, rest, dim=lu.ndim - 1), None
        return ty, None


def _right_solve(u, gh):
    """U⁻¹ gᴴ: g U⁻ᴴ, transposed."""
    return op.triangular_solve(u, gh, upper=True, unit=False)


def _unit_lower(x):
    n = x.shape[-1]
    return op.where(_eye(n, n), np.ones((), dtype_of(x)), tril(x, -1))


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


class ZeroPivot(_Matrix):
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


class PivotOrder(_Matrix):
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


class Det(_Matrix):
    """Determinant; its derivative is the adjugate's, so right for singular matrices too.

    dy = tr(adj(x) dx) (Jacobi).

    >>> op.det(tensor([[1., 2.], [3., 4.]]))
    tensor(-2.)
    """

    saves_y = False
    samples = _both((3, 3), (2, 2, 2), (1, 1))
    reference = staticmethod(lambda x: _numbers(np.prod(np.linalg.eigvals(x), -1), x))
    errors = _not_square()

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


class Adjugate(_Matrix):
    """det(x) x⁻¹, polynomial in the entries and so defined for singular x.

    With x = U S Vᴴ it is det(U Vᴴ) V adj(S) Uᴴ, adj(S) diagonal with products of all
    other singular values; its derivative likewise, with products of all but two.

    >>> op.adjugate(tensor([[1., 2.], [2., 4.]]))
    tensor([[ 4.0000, -2.0000],
            [-2.0000,  1.0000]])
    """

    saves_y = False
    samples = _both((3, 3), (2, 2, 2), (4, 4))
    errors = _not_square()

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
    return _only(~_eye(n, n), products)


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
        return _elementwise(_adjugate_of_one, fallback, x)
    cond = np.abs(x).sum(-1).max(-1) * np.abs(inverse).sum(-1).max(-1)
    if not (cond < 1e6).all():
        return _elementwise(_adjugate_of_one, fallback, x)
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
    return np.linalg.det(u @ vh) * (_h(vh) * others) @ _h(u)


class Slogdet(_Matrix):
    """Sign (of complex: phase) and ln |det x|, which neither over- nor underflow.

    With t = tr(x⁻¹ dx): d ln |det| = Re t, d sign = i sign Im t.

    >>> op.slogdet(tensor([[-2., 0.], [0., 1.]]))
    (tensor(-1.), tensor(0.6931))
    """

    outputs = 2
    samples = _both((3, 3), (2, 2, 2))
    errors = _not_square()

    def reference(x):
        w = np.linalg.eigvals(x)
        sign = np.prod(w / abs(w), -1)
        return _numbers(sign, x), np.log(abs(w)).sum(-1)

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
            g = _total(g, op.imag(gs * op.conj(y[0])) * 1j)
        if g is None:
            return (op.zeros_like(x),)
        return (col(col(g)) * mH(op.inv(x, check=False)),)

    def jvp(self, ts, y, xs, params):
        t = matrix_trace(mm(op.inv(xs[0], check=False), ts[0]))
        if dtype_of(t).kind == "c":
            return y[0] * op.imag(t) * 1j, op.real(t)
        return op.zeros_like(t), t


# ---------------------------------------------------------------- Cholesky and QR


def _hermitian_of(x, uplo):
    """The Hermitian matrix of which `x` holds triangle `uplo`; '' is their mean."""
    if not uplo:
        return (x + _h(x)) / 2
    part = np.tril(x, -1) if uplo == "L" else np.triu(x, 1)
    y = part + _h(part)
    np.einsum("...ii->...i", y)[...] = np.einsum("...ii->...i", x).real
    return y


class Cholesky(_FromResult):
    """Lower L with L Lᴴ = x; `uplo` L or U reads that triangle of x, '' their mean.

    L⁻¹ dx L⁻ᴴ = L⁻¹ dL + (L⁻¹ dL)ᴴ, of which the lower part, diagonal halved, is L⁻¹ dL.
    The derivative is that of Hermitian x, whichever triangle is read. `check` raises where
    x is not positive-definite, else NaN shows it from the first bad row on.

    >>> op.cholesky(tensor([[4., 2.], [2., 5.]]), uplo="L", check=True)
    tensor([[2., 0.],
            [1., 2.]])
    """

    def samples(rng):
        c = _complex(rng, 3, 3)
        p = {"uplo": "", "check": True}
        return [
            ((_positive(rng, 3, 3),), p),
            ((_positive(rng, 2, 2, 2),), p),
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
            x = _hermitian_of(x, uplo)
        if not check:
            return _elementwise(_cholesky, _cholesky_by_rows, x)
        return _lapack("cholesky", _cholesky, _not_positive, x)

    def infer(self, x, *, uplo, check):
        return square(x, "cholesky")

    def vjp(self, g, y, xs, params, need):
        yh = mH(y)
        inner = _half_diagonal(mm(yh, tril(g)))
        inner = hermitian(inner)
        half = op.triangular_solve(yh, inner, upper=True, unit=False)
        return (mH(op.triangular_solve(yh, mH(half), upper=True, unit=False)),)

    def jvp(self, ts, y, xs, params):
        half = op.triangular_solve(y, hermitian(ts[0]), upper=False, unit=False)
        inner = mH(op.triangular_solve(y, mH(half), upper=False, unit=False))
        return mm(y, _half_diagonal(inner))


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


class Qr(_FromResult):
    """Q with orthonormal columns and upper R with a real diagonal, x = Q R; rows ≥ columns.

    With C = Qᴴ dx R⁻¹ and T the upper part of C + Cᴴ, diagonal halved: dR = T R,
    dQ = dx R⁻¹ − Q T.

    >>> q, r = op.qr(tensor([[3., 1.], [4., 2.]]))
    >>> op.abs(r)
    tensor([[5.0000, 2.2000],
            [0.0000, 0.4000]])
    """

    outputs = 2
    samples = _both((3, 3), (2, 4, 2))

    def reference(x):
        """Gram-Schmidt, then the signs of Householder."""
        r = np.conj(np.swapaxes(np.linalg.cholesky(_h(x) @ x), -1, -2))
        sign = np.sign(np.einsum("...ii->...i", np.linalg.qr(x)[1]).real)
        r = sign[..., :, None] * r
        return x @ np.linalg.inv(r), r

    def errors():
        return [((np.ones((2, 3)),), {}, ShapeError, "at least as many rows")]

    def eager(x):
        if x.shape[-2] < x.shape[-1]:
            raise ValueError("wide")
        return tuple(_lapack("qr", np.linalg.qr, _not_converged, x))

    def infer(self, x):
        matrix(x, "qr")
        m, n = x.shape[-2:]
        if m < n:
            raise ShapeError(f"qr: needs at least as many rows as columns, got {x}")
        return x, Spec((*x.shape[:-2], n, n), x.dtype)

    def vjp(self, g, y, xs, params, need):
        (q, r), (gq, gr) = y, g
        m = _total(
            None if gr is None else mm(r, mH(triu(gr))),
            None if gq is None else -mm(mH(gq), q),
        )
        low = _half_diagonal(m)
        inner = _total(gq, mm(q, low + mH(low)))
        return (mH(_right_solve(r, mH(inner))),)

    def jvp(self, ts, y, xs, params):
        q, r = y
        t = mH(op.triangular_solve(mH(r), mH(ts[0]), upper=False, unit=False))
        c = mm(mH(q), t)
        upper = mH(_half_diagonal(c + mH(c)))
        return t - mm(q, upper), mm(upper, r)


class QrComplete(_Matrix):
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


# ---------------------------------------------------------------- eigenvalues


def _gaps(w):
    """wⱼ − wᵢ, with ones on the diagonal."""
    return op.where(
        _eye(w.shape[-1], w.shape[-1]), np.ones((), dtype_of(w)), row(w) - col(w)
    )


def _by_gaps(x, gaps):
    """x / gaps off the diagonal, zero on it; repeated values give Inf or NaN."""
    return _only(~_eye(*x.shape[-2:]), x) / gaps


def _check_phase(angle, name: str):
    """Refuse a loss that depends on the phase of complex vectors, which is arbitrary."""
    found = at_bottom(angle)
    if isinstance(found, np.ndarray) and not np.allclose(found, 0, rtol=0, atol=1e-2):
        raise GradError(
            f"{name}: in the complex case vectors are determined up to a phase "
            "exp(i φ), and this function depends on it: its derivative is ill-defined",
            hint="use a function of the vectors that no phase changes, such as abs()",
        )


def _eigh(uplo):
    if uplo:
        return lambda x: np.linalg.eigh(_finite(x), uplo)
    return lambda x: np.linalg.eigh(_finite(_hermitian_of(x, "")))


class Eigh(_FromResult):
    """Ascending eigenvalues and orthonormal eigenvectors of Hermitian x.

    `uplo` L or U reads that triangle of x, '' their mean. With B = Vᴴ dx V:
    dw = diag B, dV = V (B / (wⱼ − wᵢ)) off the diagonal.

    >>> op.eigh(tensor([[2., 0.], [0., 1.]]), uplo="L")[0]
    tensor([1., 2.])
    """

    outputs = 2

    def samples(rng):
        a = np.diag([1.0, 2.0, 3.5]) + 0.2 * _positive(rng, 3, 3)
        return [
            ((a,), {"uplo": ""}),
            ((a[:2, :2] + np.zeros((2, 1, 1)),), {"uplo": ""}),
        ]

    def reference(x, uplo):
        w, v = np.linalg.eig(x)
        order = np.argsort(w.real, -1)
        w = np.take_along_axis(w.real, order, -1)
        v = np.take_along_axis(v.real, order[..., None, :], -1)
        theirs = np.linalg.eigh(x)[1]
        return w, v * np.sign((v * theirs).sum(-2))[..., None, :]

    errors = _not_square(uplo="L")

    def eager(x, *, uplo):
        return tuple(_lapack("eigh", _eigh(uplo), _not_converged, x))

    def infer(self, x, *, uplo):
        square(x, "eigh")
        return Spec(x.shape[:-1], to_real(x.dtype)), x

    def vjp(self, g, y, xs, params, need):
        (w, v), (gw, gv) = y, g
        d = dtype_of(v)
        inner = None if gw is None else as_dtype(diagonals(gw), d)
        if gv is not None:
            spin = mm(mH(v), gv)
            if d.kind == "c":
                _check_phase(op.imag(diagonal(spin)), "eigh")
            spin = _by_gaps(_skew(spin) * 0.5, as_dtype(_gaps(w), d))
            inner = _total(inner, spin)
        return (mm(mm(v, inner), mH(v)),)

    def jvp(self, ts, y, xs, params):
        w, v = y
        b = mm(mm(mH(v), hermitian(ts[0])), v)
        tw = _like(diagonal(b), w)
        return tw, mm(v, _by_gaps(b, as_dtype(_gaps(w), dtype_of(b))))


class Eigvalsh(_Matrix):
    """Ascending eigenvalues of Hermitian x, without the vectors.

    >>> op.eigvalsh(tensor([[2., 0.], [0., 1.]]), uplo="L")
    tensor([1., 2.])
    """

    saves_y = False

    def samples(rng):
        a = np.diag([1.0, 2.0, 3.5]) + 0.2 * _positive(rng, 3, 3)
        c = a + 0.2j * rng.normal(size=(3, 3))
        return [((a,), {"uplo": ""}), ((c,), {"uplo": ""})]

    def reference(x, uplo):
        return np.sort(np.linalg.eigvals((x + _h(x)) / 2).real, -1)

    errors = _not_square(uplo="L")

    def eager(x, *, uplo):
        x = _hermitian_of(x, "") if not uplo else x

        def values(x):
            return np.linalg.eigvalsh(_finite(x), uplo or "L")

        return _lapack("eigvalsh", values, _not_converged, x)

    def infer(self, x, *, uplo):
        return Spec(square(x, "eigvalsh").shape[:-1], to_real(x.dtype))

    def vjp(self, g, y, xs, params, need):
        v = op.eigh(xs[0], **params)[1]
        return (mm(v * row(g), mH(v)),)

    def jvp(self, ts, y, xs, params):
        v = op.eigh(xs[0], **params)[1]
        t = diagonal(mm(mm(mH(v), hermitian(ts[0])), v))
        return op.real(t) if dtype_of(t).kind == "c" else t


class Eig(_FromResult):
    """Complex eigenvalues and eigenvectors of norm one of square x.

    With B = V⁻¹ dx V: dw = diag B, dV = V (P − Re diag(Vᴴ V P)), P = B / (wⱼ − wᵢ).
    `checked` refuses cotangents that depend on the phase of the vectors.

    >>> op.eig(tensor([[2., 0.], [0., 1.]]), checked=True)[0]
    tensor([2.+0.j, 1.+0.j])
    """

    outputs = 2

    def samples(rng):
        a = np.diag([1.0, 2.0, 3.5]) + 0.2 * rng.normal(size=(3, 3))
        return [((a,), {"checked": False})]

    def reference(x, checked):
        """Newton's polynomial for the values; the vectors span the null spaces."""
        w, theirs = np.linalg.eig(x)
        v = np.empty(x.shape)
        for i in range(len(w)):
            v[:, i] = np.linalg.svd(x - w[i].real * np.eye(len(w)))[2][-1]
            v[:, i] *= np.sign(v[:, i] @ theirs[:, i].real)
        values = np.roots(np.poly(x))
        order = [abs(values - z).argmin() for z in w]
        return values[order].astype(complex), v.astype(complex)

    errors = _not_square(checked=True)

    def eager(x, *, checked):
        w, v = _lapack("eig", lambda x: np.linalg.eig(_finite(x)), _not_converged, x)
        d = to_complex(x.dtype)
        return w.astype(d), v.astype(d)

    def infer(self, x, *, checked):
        d = to_complex(square(x, "eig").dtype)
        return Spec(x.shape[:-1], d), Spec(x.shape, d)

    def vjp(self, g, y, xs, params, need):
        (w, v), (gw, gv) = y, g
        vh = mH(v)
        inner = None if gw is None else diagonals(gw)
        if gv is not None:
            spin = mm(vh, gv)
            along = diagonal(spin)
            if params["checked"]:
                _check_phase(op.imag(along), "eig")
            spin = spin - mm(vh, v) * row(_like_complex(op.real(along), v))
            inner = _total(inner, _by_gaps(spin, op.conj(_gaps(w))))
        gx = op.solve(vh, mm(inner, vh), check=False)
        return (_like(gx, xs[0]),)

    def jvp(self, ts, y, xs, params):
        w, v = y
        b = op.solve(v, mm(as_dtype(ts[0], dtype_of(v)), v), check=False)
        p = _by_gaps(b, _gaps(w))
        along = op.real(diagonal(mm(mm(mH(v), v), p)))
        return diagonal(b), mm(v, p) - v * row(_like_complex(along, v))


def _like_complex(x, v):
    return op.cast(x, dtype=dtype_of(v))


class Eigvals(_Matrix):
    """Complex eigenvalues of square x, without the vectors.

    >>> op.eigvals(tensor([[0., 1.], [-1., 0.]]))
    tensor([0.+1.j, 0.-1.j])
    """

    saves_y = False
    errors = _not_square()

    def samples(rng):
        a = np.diag([1.0, 2.0, 3.5]) + 0.2 * rng.normal(size=(3, 3))
        c = np.array([[0.5, 2.0], [-1.0, 0.3]]) + 0.2 * _complex(rng, 2, 2)
        return [((a,), {}), ((c,), {})]

    def reference(x):
        values = np.roots(np.poly(x))
        order = [abs(values - z).argmin() for z in np.linalg.eigvals(x)]
        return values[order].astype(complex)

    def eager(x):
        w = _lapack(
            "eigvals", lambda x: np.linalg.eigvals(_finite(x)), _not_converged, x
        )
        return w.astype(to_complex(x.dtype))

    def infer(self, x):
        return Spec(square(x, "eigvals").shape[:-1], to_complex(x.dtype))

    def vjp(self, g, y, xs, params, need):
        vh = mH(op.eig(xs[0], checked=True)[1])
        gx = op.solve(vh, col(g) * vh, check=False)
        return (_like(gx, xs[0]),)

    def jvp(self, ts, y, xs, params):
        v = op.eig(xs[0], checked=True)[1]
        t = mm(as_dtype(ts[0], dtype_of(v)), v)
        return diagonal(op.solve(v, t, check=False))


# ---------------------------------------------------------------- singular values


def _svd(x):
    return np.linalg.svd(_finite(x), full_matrices=False)


class Svd(_FromResult):
    """U, descending S and Vᴴ with x = U diag(S) Vᴴ; `full` completes U and V to squares.

    With B = Uᴴ dx V: dS = Re diag B; dU and dV turn within their spaces by the
    skew-Hermitian parts over sⱼ² − sᵢ² and leave them by (1 − U Uᴴ) dx V / S (Townsend
    2016). Completing columns are held constant. `checked` as for eig.

    >>> op.svd(tensor([[3., 0.], [0., 4.]]), full=False, checked=True)[1]
    tensor([4., 3.])
    """

    outputs = 3
    errors = staticmethod(
        lambda: [
            ((np.ones(3),), {"full": False, "checked": True}, ShapeError, "2 dims"),
            (
                (np.full((2, 2, 2), np.nan),),
                {"full": False, "checked": True},
                LinAlgError,
                "batch element 0: the matrix contains non-finite values",
            ),
        ]
    )

    def samples(rng):
        p = {"full": False, "checked": False}
        return [((_well(rng, *s),), p) for s in [(3, 3), (2, 4, 2), (2, 3)]]

    def reference(x, full, checked):
        """From the eigenvectors of xᵀx, with the signs that LAPACK chose."""
        k = min(x.shape[-2:])
        w, v = np.linalg.eigh(_h(x) @ x)
        s, v = np.sqrt(w[..., ::-1][..., :k]), v[..., ::-1][..., :k]
        theirs = np.linalg.svd(x, full_matrices=False)[2]
        v = v * np.sign((v * _h(theirs)).sum(-2))[..., None, :]
        return x @ v / s[..., None, :], s, _h(v)

    def eager(x, *, full, checked):
        def f(x):
            return np.linalg.svd(_finite(x), full_matrices=full)

        return tuple(_lapack("svd", f, _not_converged, x))

    def infer(self, x, *, full, checked):
        m, n = matrix(x, "svd").shape[-2:]
        k, lead = min(m, n), tuple(x.shape[:-2])
        return (
            Spec((*lead, m, m if full else k), x.dtype),
            Spec((*lead, k), to_real(x.dtype)),
            Spec((*lead, n if full else k, n), x.dtype),
        )

    def vjp(self, g, y, xs, params, need):
        u, s, vh = _thin(y, params)
        gu, gs, gvh = _thin(g, params, s.shape[-1])
        d = dtype_of(u)
        inner = None if gs is None else as_dtype(diagonals(gs), d)
        gaps = as_dtype(_gaps(s * s), d)
        sc = as_dtype(s, d)
        spin_u = None if gu is None else _skew(mm(mH(u), gu))
        spin_v = None if gvh is None else _skew(mm(vh, mH(gvh)))
        if d.kind == "c":
            inner = _total(inner, _turned(spin_u, spin_v, sc, params["checked"]))
        if gu is not None:
            inner = _total(inner, _by_gaps(spin_u, gaps) * row(sc))
        if gvh is not None:
            inner = _total(inner, col(sc) * _by_gaps(spin_v, gaps))
        gx = mm(mm(u, inner), vh)
        if gu is not None and u.shape[-2] > s.shape[-1]:
            off = gu / row(sc)
            gx = gx + mm(off - mm(u, mm(mH(u), off)), vh)
        if gvh is not None and vh.shape[-1] > s.shape[-1]:
            off = gvh / col(sc)
            gx = gx + mm(u, off - mm(mm(off, mH(vh)), vh))
        return (gx,)

    def jvp(self, ts, y, xs, params):
        u, s, vh = _thin(y, params)
        t, d = ts[0], dtype_of(u)
        v, sc = mH(vh), as_dtype(s, d)
        b = mm(mm(mH(u), t), v)
        gaps = as_dtype(_gaps(s * s), d)
        bs, sb = b * row(sc), col(sc) * b
        spin_u, spin_v = _by_gaps(bs + mH(bs), gaps), _by_gaps(sb + mH(sb), gaps)
        if d.kind == "c":
            turn = diagonals(op.cast(op.imag(diagonal(b)) / (s * 2), dtype=d) * 1j)
            spin_u, spin_v = spin_u + turn, spin_v - turn
        tu, tv = mm(u, spin_u), mm(v, spin_v)
        if u.shape[-2] > s.shape[-1]:
            off = mm(t, v) / row(sc)
            tu = tu + off - mm(u, mm(mH(u), off))
        if v.shape[-2] > s.shape[-1]:
            off = mm(mH(t), u) / row(sc)
            tv = tv + off - mm(v, mm(vh, off))
        return _completed(tu, y[0]), _like(diagonal(b), s), mH(_completed(tv, mH(y[2])))


def _thin(y, params, k=None):
    """U, S, Vᴴ (or their cotangents, of which some are None) without completing columns."""
    u, s, vh = y
    if not params["full"]:
        return u, s, vh
    k = s.shape[-1] if k is None else k
    u = None if u is None else _part(u, (0, u.shape[-2]), (0, k))
    vh = None if vh is None else _part(vh, (0, k), (0, vh.shape[-1]))
    return u, s, vh


def _completed(t, full):
    """Tangents of singular vectors with zeros for completing columns."""
    missing = full.shape[-1] - t.shape[-1]
    if not missing:
        return t
    rest = op.zeros_like(_part(full, (0, full.shape[-2]), (0, missing)))
    return op.cat(t, rest, dim=t.ndim - 1)


def _turned(spin_u, spin_v, s, checked):
    """The diagonal that complex phases add: uᵢ and vᵢ turn against each other."""
    if spin_u is None and spin_v is None:
        return None
    parts = [None if x is None else diagonal(x) for x in (spin_u, spin_v)]
    if checked:
        _check_phase(op.imag(_total(*parts)), "svd")
    # half of the difference: only the part that turns both vectors alike is arbitrary
    turned = _total(parts[0], None if parts[1] is None else -parts[1])
    return diagonals(turned / (s * 4))


class Svdvals(_Matrix):
    """Descending singular values of x, without the vectors.

    >>> op.svdvals(tensor([[3., 0.], [0., 4.]]))
    tensor([4., 3.])
    """

    saves_y = False
    samples = _both((3, 3), (2, 4, 2), (2, 3))
    reference = staticmethod(
        lambda x: np.sqrt(
            np.linalg.eigvalsh(_h(x) @ x)[..., ::-1][..., : min(x.shape[-2:])]
        )
    )

    def eager(x):
        def values(x):
            return np.linalg.svd(_finite(x), compute_uv=False)

        return _lapack("svdvals", values, _not_converged, x)

    def infer(self, x):
        shape = matrix(x, "svdvals").shape
        return Spec((*shape[:-2], min(shape[-2:])), to_real(x.dtype))

    def vjp(self, g, y, xs, params, need):
        u, _, vh = op.svd(xs[0], full=False, checked=True)
        return (mm(u * row(g), vh),)

    def jvp(self, ts, y, xs, params):
        u, s, vh = op.svd(xs[0], full=False, checked=True)
        return _like(diagonal(mm(mm(mH(u), ts[0]), mH(vh))), s)


# ---------------------------------------------------------------- exponential


class MatrixExp(_Matrix):
    """eˣ by scaling and squaring with a Padé approximant of degree 13 (Higham 2005).

    Its derivative along dx is the upper right block of exp [[x, dx], [0, x]].

    >>> op.matrix_exp(tensor([[0., 1.], [0., 0.]]))
    tensor([[1., 1.],
            [0., 1.]])
    """

    saves_y = False
    samples = _both((3, 3), (2, 2, 2))
    errors = _not_square()

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
    return _part(y, (0, n), (n, 2 * n))


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
