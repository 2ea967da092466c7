"""Linear algebra: `adjoint.linalg`, with the names of `torch.linalg`.

Matrices are the last two dims, all others are batch. LAPACK through NumPy computes, for
float32 in double precision where NumPy does; singular input raises `LinAlgError`.
"""

from __future__ import annotations

import math
from collections import namedtuple
from functools import lru_cache
from itertools import pairwise

import numpy as np

from ..core.bind import Box, at_bottom, dtype_of
from ..core.dtype import to_real
from ..core.primitive import number, op
from ..core.shape import broadcast, norm_dim, norm_dims, whole
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    DtypeError,
    LinAlgError,
    ShapeError,
)
from ..ops.lu import exchange
from ..ops.matrix import col, mH, mm, mT, numbers, row, show
from ..ops.matrix import matrix as _matrix_of
from ..ops.matrix import square as _square_of
from . import diagonals, products
from .face import SCALARS, cast, give, need_tensor, np_dtype, promote

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]

# ---------------------------------------------------------------- results, arguments

Slogdet = namedtuple("slogdet", ["sign", "logabsdet"])
Eig = namedtuple("eig", ["eigenvalues", "eigenvectors"])
Eigh = namedtuple("eigh", ["eigenvalues", "eigenvectors"])
Svd = namedtuple("svd", ["U", "S", "Vh"])
Qr = namedtuple("qr", ["Q", "R"])
Lu = namedtuple("lu", ["P", "L", "U"])
LuFactor = namedtuple("lu_factor", ["LU", "pivots"])
LuFactorEx = namedtuple("lu_factor_ex", ["LU", "pivots", "info"])
CholeskyEx = namedtuple("cholesky_ex", ["L", "info"])
InvEx = namedtuple("inv_ex", ["inverse", "info"])
SolveEx = namedtuple("solve_ex", ["result", "info"])
Lstsq = namedtuple("lstsq", ["solution", "residuals", "rank", "singular_values"])


def _matrix(x, name, argument="input"):
    return _matrix_of(need_tensor(x, f"linalg.{name}", argument), f"linalg.{name}")


def _square(x, name, argument="input"):
    return _square_of(need_tensor(x, f"linalg.{name}", argument), f"linalg.{name}")


def _pair(a, b, name):
    """Two tensors of one floating or complex dtype."""
    need_tensor(b, f"linalg.{name}", "B")
    if dtype_of(a) != dtype_of(b):
        raise DtypeError(
            f"linalg.{name}: A and B must have the same dtype, got "
            f"{dtype_of(a).name} and {dtype_of(b).name}"
        )
    return a, b


def _spread(x, lead):
    """`x` with its batch dims broadcast to `lead`."""
    shape = (*lead, *x.shape[-2:])
    return x if tuple(x.shape) == shape else op.expand(x, shape=shape)


def _together(a, b, name):
    """Both with the batch dims that they have in common."""
    lead = broadcast(a.shape[:-2], b.shape[:-2], name=f"linalg.{name}")
    return _spread(a, lead), _spread(b, lead)


def _apply(solve, a, b, name):
    """solve(a, b), batch dims broadcast; many right sides of one `a` are more columns."""
    if a.ndim > 2 or b.ndim == 2:
        return solve(*_together(a, b, name))
    n, last = b.shape[-2], b.ndim - 1
    turned = op.permute(b, dims=(last - 1, *range(last - 1), last))
    wide = op.reshape(turned, shape=(n, math.prod(b.shape[:-2]) * b.shape[-1]))
    y = op.reshape(solve(a, wide), shape=tuple(turned.shape))
    return op.permute(y, dims=(*range(1, last), 0, last))


def _fit_rows(a, b, name):
    if b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            f"linalg.{name}: A.shape[-1] must equal the rows of B, got A {show(a)} "
            f"and B {show(b)}"
        )


# ---------------------------------------------------------------- norms


def _float(x, name, dtype):
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
    x = _float(x, "vector_norm", dtype)
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
    x = _float(input, "matrix_norm", dtype)
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
        s = op.svdvals(_matrix(input, "cond"))
        if not s.shape[-1]:
            return give(op.sum(s, dim=(s.ndim - 1,), keepdim=False), out)
        most, least = (
            op.select(s, dim=s.ndim - 1, index=i) for i in (0, s.shape[-1] - 1)
        )
        return give(least / most if p == -2 else most / least, out)
    x = _square(input, "cond")
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


def matrix_rank(input, tol=None, hermitian=False, *, atol=None, rtol=None, out=None):
    """How many singular values exceed max(atol, rtol σ₁).

    >>> linalg.matrix_rank(tensor([[1., 2.], [2., 4.]]))
    tensor(1)
    """
    if tol is not None:
        atol, rtol = tol, 0.0 if rtol is None else rtol
    x = op.stop_gradient(_matrix(input, "matrix_rank"))
    if hermitian:
        s = op.abs(op.eigvalsh(_square(x, "matrix_rank"), uplo="L"))
    else:
        s = op.svdvals(x)
    return give(_rank(s, x.shape[-2:], atol, rtol), out)


def _rank(s, shape, atol, rtol):
    if not s.shape[-1]:
        return op.cast(
            op.sum(s, dim=(s.ndim - 1,), keepdim=False), dtype=np.dtype("int64")
        )
    atol, rtol = _limits(shape, dtype_of(s), atol, rtol)
    top = op.amax(s, dim=(s.ndim - 1,), keepdim=True)
    limit = op.maximum(*_same(_tail(atol), _tail(rtol) * top))
    return op.sum(s > limit, dim=(s.ndim - 1,), keepdim=False)


def _same(a, b):
    return promote("linalg", a, b)


def _tail(x):
    """A tolerance with a dim for the singular values."""
    return col(x) if len(x.shape) else x


def _limits(shape, d, atol, rtol):
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


# ---------------------------------------------------------------- products


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


def vecdot(x, y, *, dim=-1, out=None):
    """Σ x̄ y along `dim`.

    >>> linalg.vecdot(tensor([1., 2.]), tensor([3., 4.]))
    tensor(11.)
    """
    x = _float(x, "vecdot", None)
    x, y = _pair(x, y, "vecdot")
    terms = (op.conj(x) if dtype_of(x).kind == "c" else x) * y
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
        _pair(a, b, "multi_dot")
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
    return mm(_chain(xs, splits, i, k), _chain(xs, splits, k + 1, j))


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
            y = x if y is None else mm(y, x)
        n >>= 1
        x = mm(x, x) if n else x
    return y


def matrix_exp(input):
    """The matrix exponential, Σ Aᵏ / k!.

    >>> linalg.matrix_exp(zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    return op.matrix_exp(_square(input, "matrix_exp"))


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


# ---------------------------------------------------------------- determinants, inverses


def det(A, *, out=None):
    """Determinant; its gradient is right for singular matrices too.

    >>> linalg.det(tensor([[1., 2.], [3., 4.]]))
    tensor(-2.0000)
    """
    return give(op.det(_square(A, "det")), out)


def slogdet(A, *, out=None):
    """Sign (of complex: phase) and logarithm of the modulus of the determinant.

    >>> linalg.slogdet(tensor([[-1., 0.], [0., 1.]]))
    slogdet(sign=tensor(-1.), logabsdet=tensor(0.))
    """
    return give(Slogdet(*op.slogdet(_square(A, "slogdet"))), out)


def inv(A, *, out=None):
    """The inverse of square matrices.

    >>> linalg.inv(tensor([[2., 0.], [0., 4.]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return give(op.inv(_square(A, "inv"), check=True), out)


def inv_ex(A, *, check_errors=False, out=None):
    """The inverse, and for each matrix the number of the zero pivot that it lacks for; 0.

    >>> linalg.inv_ex(tensor([[1., 2.], [2., 4.]])).info
    tensor(2, dtype=adjoint.int32)
    """
    x = _square(A, "inv_ex")
    y = InvEx(op.inv(x, check=check_errors), op.zero_pivot(x))
    return give(y, out)


def pinv(input, rcond=None, hermitian=False, *, atol=None, rtol=None, out=None):
    """Moore-Penrose inverse; singular values up to max(atol, rtol σ₁) count as zero.

    >>> linalg.pinv(tensor([[2., 0.], [0., 0.]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.0000]])
    """
    x = _square(input, "pinv") if hermitian else _matrix(input, "pinv")
    rtol = rcond if rtol is None else rtol
    if 0 in x.shape:
        return give(mH(x), out)
    limits = _limits(x.shape[-2:], to_real(dtype_of(x)), atol, rtol)
    return give(op.pinv(x, *limits, uplo="L" if hermitian else ""), out)


# ---------------------------------------------------------------- solving


def _is_vector(a, b):
    """Whether `b` holds vectors, as PyTorch decides."""
    return b.ndim == 1 or (
        a.ndim - 1 == b.ndim and tuple(b.shape) == tuple(a.shape[:-1])
    )


def _solve(A, B, left, name, check):
    a, b = _pair(_square(A, name), B, name)
    vector = _is_vector(a, b)
    if vector and not left:
        raise ShapeError(
            f"linalg.{name}: with left=False B must be a matrix, got shape "
            f"{tuple(b.shape)}"
        )
    a, b = (a, col(b) if vector else b) if left else (mT(a), mT(b))
    _fit_rows(a, b, name)
    y = _apply(lambda a, b: op.solve(a, b, check=check), a, b, name)
    if vector:
        return op.reshape(y, shape=tuple(y.shape[:-1]))
    return y if left else mT(y)


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
    a, b = _pair(_square(input, "solve_triangular"), B, "solve_triangular")
    return give(triangular(a, b, upper, left, unitriangular), out)


def triangular(a, b, upper, left=True, unit=False):
    """Triangular solve from either side, batch dims broadcast."""
    name = "solve_triangular"
    if not left:
        a, b, upper = mT(a), mT(b), not upper
    _fit_rows(a, b, name)
    kind = {"upper": bool(upper), "unit": bool(unit)}
    y = _apply(lambda a, b: op.triangular_solve(a, b, **kind), a, b, name)
    return y if left else mT(y)


def tensorsolve(input, other, dims=None, *, out=None):
    """X with tensordot(A, X, X.ndim) = B; `dims` of A are moved to its end first.

    >>> linalg.tensorsolve(eye(4).reshape(2, 2, 4), ones(2, 2)).shape
    adjoint.Size([4])
    """
    a, b = _pair(need_tensor(input, "linalg.tensorsolve"), other, "tensorsolve")
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


def lstsq(input, b, rcond=None, *, driver=None):
    """X of least ‖A X − B‖, and of least norm among those where A lacks full rank.

    `rcond` times the largest singular value is the rank's limit. As in PyTorch there are
    residuals where rows outnumber columns and the rank is full, but not with the default
    driver gelsy, and singular values with gelsd and gelss. All compute the same way.

    >>> linalg.lstsq(tensor([[1.], [1.]]), tensor([[1.], [3.]])).solution
    tensor([[2.]])
    """
    a, b = _pair(_matrix(input, "lstsq"), b, "lstsq")
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
    return _together(a, b, "lstsq")


def _quality(a, b, x, rcond, driver):
    """Rank, residuals and singular values, each empty where the driver has none."""
    s = op.svdvals(op.stop_gradient(a))
    rank = _rank(s, a.shape[-2:], None, rcond)
    none = op.reshape(op.slice(s, key=_empty_key(s)), shape=(0,))
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


# ---------------------------------------------------------------- factorizations


def cholesky(input, *, upper=False, out=None):
    """L with L Lᴴ = A for Hermitian positive-definite A; its triangle L alone is read.

    >>> linalg.cholesky(tensor([[4., 2.], [2., 5.]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    return give(_cholesky(_square(input, "cholesky"), upper, True), out)


def _cholesky(x, upper, check):
    y = op.cholesky(x, uplo="U" if upper else "L", check=check)
    return mH(y) if upper else y


def cholesky_ex(input, *, upper=False, check_errors=False, out=None):
    """As cholesky, and the order of the first leading minor that is not positive, or 0.

    >>> linalg.cholesky_ex(tensor([[1., 2.], [2., 1.]])).info
    tensor(2, dtype=adjoint.int32)
    """
    y = _cholesky(_square(input, "cholesky_ex"), upper, check_errors)
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


def qr(A, mode="reduced", *, out=None):
    """Q with orthonormal columns and upper triangular R, A = Q R.

    Modes: reduced, complete (Q square) and r (R alone).

    >>> linalg.qr(tensor([[3., 1.], [4., 2.]])).R.abs()
    tensor([[5.0000, 2.2000],
            [0.0000, 0.4000]])
    """
    x = _matrix(A, "qr")
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(
            f"linalg.qr: mode must be 'reduced', 'complete' or 'r', got {mode!r}"
        )
    q, r = op.qr_complete(x) if _tall(x) and mode == "complete" else _qr(x)
    if mode == "r":
        q = op.reshape(op.slice(q, key=_empty_key(q)), shape=(0,))
    return give(Qr(q, r), out)


def _tall(x):
    return x.shape[-2] > x.shape[-1]


def _empty_key(x):
    return ((0, 0, 1),) * x.ndim


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
    return give(LuFactor(*op.lu(_matrix(A, "lu_factor"))), out)


def lu_factor_ex(A, *, pivot=True, check_errors=False, out=None):
    """As lu_factor, and the number of the first zero pivot, or 0.

    >>> linalg.lu_factor_ex(tensor([[1., 2.], [2., 4.]])).info
    tensor(2, dtype=adjoint.int32)
    """
    _need_pivot(pivot, "lu_factor_ex")
    packed, pivots = op.lu(_matrix(A, "lu_factor_ex"))
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
    packed, pivots = op.lu(_matrix(A, "lu"))
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


def lu_solve(LU, pivots, B, *, left=True, adjoint=False, out=None):
    """X with A X = B (X A = B for left=False, Aᴴ for adjoint) from what lu_factor gave.

    >>> packed, pivots = linalg.lu_factor(tensor([[1., 2.], [4., 4.]]))
    >>> linalg.lu_solve(packed, pivots, tensor([[3.], [8.]]))
    tensor([[1.],
            [1.]])
    """
    a, b = _pair(_square(LU, "lu_solve", "LU"), B, "lu_solve")
    need_tensor(pivots, "linalg.lu_solve", "pivots")
    if not left:
        y = lu_solve(a, pivots, mH(b), adjoint=not adjoint)
        return give(mH(y), out)
    _fit_rows(a, b, "lu_solve")
    p = exchange(pivots, a.shape[-1], dtype_of(a))
    lead = broadcast(a.shape[:-2], b.shape[:-2], name="linalg.lu_solve")
    a, b, p = (_spread(x, lead) for x in (a, b, p))
    if adjoint:
        y = triangular(mH(a), b, upper=False)
        return give(mm(mT(p), triangular(mH(a), y, upper=True, unit=True)), out)
    y = triangular(a, mm(p, b), upper=False, unit=True)
    return give(triangular(a, y, upper=True), out)


def householder_product(input, tau, *, out=None):
    """The first columns of H₁ H₂ ..., Hᵢ = 1 − τᵢ vᵢ vᵢᴴ, vᵢ unit lower in column i of A.

    >>> linalg.householder_product(zeros(3, 2), zeros(2)).shape
    adjoint.Size([3, 2])
    """
    a, t = _pair(_matrix(input, "householder_product"), tau, "householder_product")
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


def eig(input, *, out=None):
    """Complex eigenvalues and eigenvectors of norm one.

    >>> linalg.eig(tensor([[0., 1.], [-1., 0.]])).eigenvalues
    tensor([0.+1.j, 0.-1.j])
    """
    return give(Eig(*op.eig(_square(input, "eig"), checked=True)), out)


def eigvals(input, *, out=None):
    """Complex eigenvalues.

    >>> linalg.eigvals(tensor([[0., 1.], [-1., 0.]]))
    tensor([0.+1.j, 0.-1.j])
    """
    return give(op.eigvals(_square(input, "eigvals")), out)


def _uplo(UPLO, name):
    if UPLO not in ("L", "U", "l", "u"):
        raise ArgumentError(f"linalg.{name}: UPLO must be 'L' or 'U', got {UPLO!r}")
    return UPLO.upper()


def eigh(input, UPLO="L", *, out=None):
    """Ascending eigenvalues and orthonormal eigenvectors of Hermitian A, read from UPLO.

    >>> linalg.eigh(tensor([[2., 0.], [0., 1.]])).eigenvalues
    tensor([1., 2.])
    """
    return give(Eigh(*op.eigh(_square(input, "eigh"), uplo=_uplo(UPLO, "eigh"))), out)


def eigvalsh(input, UPLO="L", *, out=None):
    """Ascending eigenvalues of Hermitian A, read from triangle UPLO.

    >>> linalg.eigvalsh(tensor([[2., 0.], [0., 1.]]))
    tensor([1., 2.])
    """
    x = _square(input, "eigvalsh")
    return give(op.eigvalsh(x, uplo=_uplo(UPLO, "eigvalsh")), out)


def svd(A, full_matrices=True, *, driver=None, out=None):
    """U, descending S and Vᴴ with A = U diag(S) Vᴴ; not full, U and V have S's columns.

    >>> linalg.svd(tensor([[3., 0.], [0., 4.]])).S
    tensor([4., 3.])
    """
    x = _matrix(A, "svd")
    _need_no_driver(driver, "svd")
    full = bool(full_matrices) and x.shape[-1] != x.shape[-2]
    return give(Svd(*op.svd(x, full=full, checked=True)), out)


def _need_no_driver(driver, name):
    if driver is not None:
        raise ArgumentError(
            f"linalg.{name}: driver is for CUDA alone, got {driver!r}",
            hint="leave it out",
        )


def svdvals(A, *, driver=None, out=None):
    """Descending singular values.

    >>> linalg.svdvals(tensor([[3., 0.], [0., 4.]]))
    tensor([4., 3.])
    """
    _need_no_driver(driver, "svdvals")
    return give(op.svdvals(_matrix(A, "svdvals")), out)
