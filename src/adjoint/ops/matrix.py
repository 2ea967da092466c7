"""What records of linear algebra share: algebra of the last two dims, and calling LAPACK.

All other dims are batch. NumPy's LAPACK computes in double precision, also for float32.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..core.bind import bind, dtype_of
from ..core.dtype import to_real
from ..core.primitive import Primitive, conjugate, number, op, with_batch
from ..core.shape import Spec
from ..errors import DtypeError, LinAlgError, ShapeError

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
        raise DtypeError(
            f"{name}: needs a float32, float64 or complex dtype, got {d.name}",
            hint="compute in float32: x.float()",
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
    return conjugate(mT(x))


def row(x):
    """Vectors as matrices of one row."""
    return op.reshape(x, shape=(*x.shape[:-1], 1, x.shape[-1]))


def col(x):
    """Vectors as matrices of one column."""
    return op.reshape(x, shape=(*x.shape, 1))


@lru_cache(256)
def on_diagonal(m: int, n: int):
    mask = np.eye(m, n, dtype=bool)
    mask.flags.writeable = False
    return mask


def only(mask, x):
    return op.where(mask, x, number(0, x))


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


def skew(x):
    return x - mH(x)


def half_diagonal(x):
    """The lower triangle with the diagonal halved: Φ of the rules for Cholesky and QR."""
    n = x.shape[-1]
    weights = np.tri(n, n, -1) + np.eye(n) / 2
    return tril(x) * weights.astype(to_real(dtype_of(x)))


def part(x, rows, cols):
    """x[..., rows, cols], each (start, stop)."""
    lead = tuple((0, n, 1) for n in x.shape[:-2])
    return op.slice(x, key=(*lead, (*rows, 1), (*cols, 1)))


def as_dtype(x, d):
    """`x` in dtype `d`."""
    return x if dtype_of(x) == d else op.cast(x, dtype=d)


def like(x, other):
    """A cotangent in the dtype of what it belongs to: of complex for real the real part."""
    return as_dtype(x, other.dtype if isinstance(other, Spec) else dtype_of(other))


class OfMatrix(Primitive, abstract=True):
    """Batch dims lead and are native, so vmap adds one more."""

    def batch(self, size, xs, dims, params):
        xs = [with_batch(x, d, size) for x, d in zip(xs, dims, strict=True)]
        y = bind(self, *xs, **params)
        return (y, 0) if self.outputs == 1 else (y, (0,) * self.outputs)


class OfResult(OfMatrix, abstract=True):
    """Its rules read the result alone."""

    def keeps(self, need, count):
        return (False,) * count


def h(x):
    """Of arrays: the last two dims swapped, and conjugated."""
    return np.swapaxes(x, -1, -2).conj()


def hermitian_of(x, uplo):
    """The Hermitian matrix of which `x` holds triangle `uplo`; '' is their mean."""
    if not uplo:
        return (x + h(x)) / 2
    side = np.tril(x, -1) if uplo == "L" else np.triu(x, 1)
    y = side + h(side)
    np.einsum("...ii->...i", y)[...] = np.einsum("...ii->...i", x).real
    return y


# ---------------------------------------------------------------- calling LAPACK


def lapack(name, f, why, *xs):
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


def not_converged(a):
    if not np.isfinite(a).all():
        return "the matrix contains non-finite values"
    return "the algorithm failed to converge: the matrix is ill-conditioned"


def finite(a):
    """`a`; NumPy's own check, made for all decompositions alike."""
    if not np.isfinite(a).all():
        raise np.linalg.LinAlgError("non-finite")
    return a


def one_by_one(f, fallback, a, *rest):
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


def well(rng, *shape):
    """Random matrices with distinct singular values, far from singular."""
    m, n = shape[-2:]
    k = min(m, n)
    u = np.linalg.qr(rng.normal(size=(*shape[:-1], k)))[0]
    v = np.linalg.qr(rng.normal(size=(*shape[:-2], n, k)))[0]
    return (u * np.linspace(1, 2.5, k)) @ np.swapaxes(v, -1, -2)


def positive(rng, *shape):
    x = well(rng, *shape)
    return x @ np.swapaxes(x, -1, -2)


def complex_well(rng, *shape):
    return well(rng, *shape) + 0.4j * rng.normal(size=shape)


def in_kind_of(y, x):
    """`y`, computed in complex numbers, in the dtype of `x`."""
    return y if x.dtype.kind == "c" else y.real


def real_and_complex(*shapes, **params):
    """Real samples of these shapes, and a complex one of the first."""
    return lambda rng: [
        *(((well(rng, *s),), params) for s in shapes),
        ((complex_well(rng, *shapes[0]),), params),
    ]


def not_square(**params):
    return lambda: [((np.ones((2, 3)),), params, ShapeError, "must be square")]
