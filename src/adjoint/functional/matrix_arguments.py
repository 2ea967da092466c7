"""Checks of matrices, and results that have names."""

from __future__ import annotations

import math
from collections import namedtuple

from ..core.bind import dtype_of
from ..core.primitive import op
from ..core.shape import broadcast
from ..errors import DtypeError, ShapeError
from ..ops.matrix import matrix as _matrix_of
from ..ops.matrix import show
from ..ops.matrix import square as _square_of
from .face import need_tensor

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


def matrix(x, name, argument="input"):
    return _matrix_of(need_tensor(x, f"linalg.{name}", argument), f"linalg.{name}")


def square(x, name, argument="input"):
    return _square_of(need_tensor(x, f"linalg.{name}", argument), f"linalg.{name}")


def matrix_pair(a, b, name):
    """Two tensors of one floating or complex dtype."""
    need_tensor(b, f"linalg.{name}", "B")
    if dtype_of(a) != dtype_of(b):
        raise DtypeError(
            f"linalg.{name}: A and B must have the same dtype, got "
            f"{dtype_of(a).name} and {dtype_of(b).name}"
        )
    return a, b


def spread_over(x, lead):
    """`x` with its batch dims broadcast to `lead`."""
    shape = (*lead, *x.shape[-2:])
    return x if tuple(x.shape) == shape else op.expand(x, shape=shape)


def together(a, b, name):
    """Both with the batch dims that they have in common."""
    lead = broadcast(a.shape[:-2], b.shape[:-2], name=f"linalg.{name}")
    return spread_over(a, lead), spread_over(b, lead)


def applied(solve, a, b, name):
    """solve(a, b), batch dims broadcast; many right sides of one `a` are more columns."""
    if a.ndim > 2 or b.ndim == 2:
        return solve(*together(a, b, name))
    n, last = b.shape[-2], b.ndim - 1
    turned = op.permute(b, dims=(last - 1, *range(last - 1), last))
    wide = op.reshape(turned, shape=(n, math.prod(b.shape[:-2]) * b.shape[-1]))
    y = op.reshape(solve(a, wide), shape=tuple(turned.shape))
    return op.permute(y, dims=(*range(1, last), 0, last))


def fit_rows(a, b, name):
    if b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            f"linalg.{name}: A.shape[-1] must equal the rows of B, got A {show(a)} "
            f"and B {show(b)}"
        )


def empty_key(x):
    """The key of no element."""
    return ((0, 0, 1),) * x.ndim
