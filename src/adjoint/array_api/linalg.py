"""The standard's extension for linear algebra."""

from __future__ import annotations

from ..functional import linalg as inner
from ..functional.face import FUNCTIONS
from .arrays import matmul as matmul
from .arrays import matrix_transpose as matrix_transpose
from .arrays import pair
from .arrays import tensordot as tensordot
from .arrays import vecdot as vecdot


def cholesky(x, /, *, upper=False):
    """L with x = L Lᴴ, or U with x = Uᴴ U."""
    return inner.cholesky(x, upper=upper)


def cross(x1, x2, /, *, axis=-1):
    """Cross product of vectors of three elements."""
    return inner.cross(*pair(x1, x2), dim=axis)


def det(x, /):
    """Determinant."""
    return inner.det(x)


def diagonal(x, /, *, offset=0):
    """The diagonal of the last two axes."""
    return FUNCTIONS["diagonal"](x, offset, -2, -1)


def eigh(x, /):
    """Eigenvalues and eigenvectors of a Hermitian matrix."""
    return inner.eigh(x)


def eigvalsh(x, /):
    """Eigenvalues of a Hermitian matrix."""
    return inner.eigvalsh(x)


def inv(x, /):
    """Inverse."""
    return inner.inv(x)


def matrix_norm(x, /, *, keepdims=False, ord="fro"):
    """Norm of the last two axes."""
    return inner.matrix_norm(x, ord, (-2, -1), keepdims)


def matrix_power(x, n, /):
    """Product of n matrices x."""
    return inner.matrix_power(x, n)


def matrix_rank(x, /, *, rtol=None):
    """How many singular values exceed rtol times the largest."""
    return inner.matrix_rank(x, rtol=rtol)


def outer(x1, x2, /):
    """All products of the elements of two vectors."""
    return FUNCTIONS["outer"](*pair(x1, x2))


def pinv(x, /, *, rtol=None):
    """Pseudoinverse."""
    return inner.pinv(x, rtol=rtol)


def qr(x, /, *, mode="reduced"):
    """Q with orthonormal columns and R upper triangular, x = QR."""
    return inner.qr(x, mode)


def slogdet(x, /):
    """Sign and logarithm of the magnitude of the determinant."""
    return inner.slogdet(x)


def solve(x1, x2, /):
    """x with x1 x = x2; x2 is a vector only where it has one axis."""
    a, b = pair(x1, x2)
    if b.ndim == 1:
        return inner.solve(a, b[:, None])[..., 0]
    return inner.solve(a, b[(None,) * (a.ndim - b.ndim)] if b.ndim < a.ndim else b)


def svd(x, /, *, full_matrices=True):
    """U, S and Vᴴ with x = U diag(S) Vᴴ."""
    return inner.svd(x, full_matrices)


def svdvals(x, /):
    """Singular values, largest first."""
    return inner.svdvals(x)


def trace(x, /, *, offset=0, dtype=None):
    """Sum of the diagonal of the last two axes."""
    return FUNCTIONS["sum"](diagonal(x, offset=offset), -1, dtype=dtype)


def vector_norm(x, /, *, axis=None, keepdims=False, ord=2):
    """Norm of the vectors along axes, or of all elements."""
    return inner.vector_norm(x, ord, axis, keepdims)


__all__ = [
    *("cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matmul"),
    *(
        "matrix_norm",
        "matrix_power",
        "matrix_rank",
        "matrix_transpose",
        "outer",
        "pinv",
    ),
    *("qr", "slogdet", "solve", "svd", "svdvals", "tensordot", "trace", "vecdot"),
    "vector_norm",
]
