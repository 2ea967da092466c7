"""What linear algebra is called outside `linalg`: functions and Tensor methods."""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import conjugate, op
from ..core.shape import whole
from ..errors import ArgumentError, ShapeError
from ..ops.matrix import matrix, mH, mm, mT, square
from . import linalg
from .face import function, give, method, need_tensor
from .factorizations import reflected, unpacked
from .matrix_products import exact, powers
from .precision import single

Svd = namedtuple("svd", ["U", "S", "V"])
Triangular = namedtuple("triangular_solve", ["solution", "cloned_coefficient"])
Geqrf = namedtuple("geqrf", ["a", "tau"])
LuUnpack = namedtuple("lu_unpack", ["P", "L", "U"])


@method
def det(input, *, out=None):
    """Determinant; its gradient is right for singular matrices too.

    >>> det(tensor([[1., 2.], [3., 4.]]))
    tensor(-2.0000)
    """
    return linalg.det(input, out=out)


@method
def slogdet(input, *, out=None):
    """Sign and logarithm of the modulus of the determinant.

    >>> slogdet(tensor([[-1., 0.], [0., 1.]]))
    slogdet(sign=tensor(-1.), logabsdet=tensor(0.))
    """
    return linalg.slogdet(input, out=out)


@method
def logdet(input):
    """Logarithm of the determinant; NaN where that is negative.

    >>> logdet(tensor([[2., 0.], [0., 0.5]]))
    tensor(0.)
    """
    sign, size = linalg.slogdet(input)
    if dtype_of(sign).kind == "c":
        return op.log(sign) + size
    return op.where(sign < 0, np.array(np.nan, dtype_of(size)), size)


@method
@single
def inverse(input, *, out=None):
    """The inverse of square matrices.

    >>> inverse(tensor([[2., 0.], [0., 4.]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return linalg.inv(input, out=out)


@method
@single
def pinverse(input, rcond=1e-15):
    """Moore-Penrose inverse; singular values up to rcond σ₁ count as zero.

    >>> pinverse(tensor([[2.], [0.]]))
    tensor([[0.5000, 0.0000]])
    """
    return linalg.pinv(input, rcond)


@method
def matrix_power(input, n, *, out=None):
    """inputⁿ for an integer n, negative powers of the inverse.

    >>> matrix_power(tensor([[1., 1.], [0., 1.]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    return linalg.matrix_power(input, n, out=out)


@method
def matrix_exp(input):
    """The matrix exponential, Σ inputᵏ / k!.

    >>> matrix_exp(zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    return linalg.matrix_exp(input)


@function
def chain_matmul(*matrices, out=None):
    """The product of matrices in the cheapest order.

    >>> chain_matmul(ones(1, 2), ones(2, 2), ones(2, 1))
    tensor([[4.]])
    """
    if len(matrices) == 1:
        return matrices[0]
    return linalg.multi_dot(matrices, out=out)


@method
def cross(input, other, dim=None, *, out=None):
    """The cross product along `dim`, by default the first of size 3.

    >>> cross(tensor([1., 0., 0.]), tensor([0., 1., 0.]))
    tensor([0., 0., 1.])
    """
    if dim is None:
        sizes = need_tensor(input, "cross").shape
        dim = next((d for d, n in enumerate(sizes) if n == 3), None)
    if dim is None:
        raise ShapeError(f"cross: no dim of size 3 in shape {tuple(input.shape)}")
    return linalg.cross(input, other, dim=dim, out=out)


@function
def vander(x, N=None, increasing=False):
    """Powers of the elements of a vector, N − 1 to 0 in the columns, or 0 to N − 1.

    >>> vander(tensor([2, 3]), 3)
    tensor([[4, 2, 1],
            [9, 3, 1]])
    """
    x = need_tensor(x, "vander", "x")
    n = x.shape[-1] if N is None and x.ndim else whole(N, "vander: N")
    if x.ndim != 1 or n < 0:
        raise ArgumentError(
            f"vander: x must be a vector and N not negative, got shape {tuple(x.shape)} "
            f"and N={N}"
        )
    y = powers(exact(x), n)
    return y if increasing else op.flip(y, dims=(1,))


# ---------------------------------------------------------------- factorizations


@method
@single
def cholesky(input, upper=False, *, out=None):
    """L with L Lᴴ = input, or U with Uᴴ U = input for upper=True.

    >>> cholesky(tensor([[4., 2.], [2., 5.]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    return linalg.cholesky(input, upper=upper, out=out)


@method
@single
def cholesky_solve(input, input2, upper=False, *, out=None):
    """A⁻¹ input for A = L Lᴴ, L = input2 (for upper=True A = Uᴴ U, U = input2).

    >>> cholesky_solve(tensor([[8.], [9.]]), tensor([[2., 0.], [1., 2.]]))
    tensor([[1.3750],
            [1.2500]])
    """
    factor = square(need_tensor(input2, "cholesky_solve", "L"), "cholesky_solve")
    low = mH(factor) if upper else factor
    b = linalg.solve_triangular(low, input, upper=False)
    return linalg.solve_triangular(mH(low), b, upper=True, out=out)


@method
@single
def cholesky_inverse(input, upper=False, *, out=None):
    """A⁻¹ for A = L Lᴴ, L = input (for upper=True A = Uᴴ U, U = input).

    >>> cholesky_inverse(tensor([[2., 0.], [0., 4.]]))
    tensor([[0.2500, 0.0000],
            [0.0000, 0.0625]])
    """
    x = square(need_tensor(input, "cholesky_inverse"), "cholesky_inverse")
    x = mH(x) if upper else x
    eye = op.zeros_like(x) + np.eye(x.shape[-1], dtype=dtype_of(x))
    half = linalg.solve_triangular(x, eye, upper=False)
    y = mm(mH(half), half)
    return give(y, out)


@method
@single
def triangular_solve(
    input, A, upper=True, transpose=False, unitriangular=False, *, out=None
):
    """A⁻¹ input (A⁻ᵀ for transpose) for triangular A, and a copy of A.

    >>> triangular_solve(tensor([[2.], [4.]]), tensor([[2., 0.], [0., 4.]])).solution
    tensor([[1.],
            [1.]])
    """
    x = mT(A) if transpose else A
    y = linalg.solve_triangular(
        x, input, upper=upper != transpose, unitriangular=unitriangular
    )
    return give(Triangular(y, op.contiguous(A)), out)


@method
@single
def qr(input, some=True, *, out=None):
    """Q and R; for some=False Q is square.

    >>> qr(ones(3, 2)).Q.shape
    adjoint.Size([3, 2])
    """
    return linalg.qr(input, "reduced" if some else "complete", out=out)


@method
@single
def svd(input, some=True, compute_uv=True, *, out=None):
    """U, S and V with input = U diag(S) Vᴴ; for compute_uv=False U and V are zero.

    >>> svd(tensor([[3., 0.], [0., 4.]])).S
    tensor([4., 3.])
    """
    if compute_uv:
        u, s, vh = linalg.svd(input, full_matrices=not some)
        y = Svd(u, s, mH(vh))
    else:
        m, n = need_tensor(input, "svd").shape[-2:]
        y = Svd(
            input.new_zeros(*input.shape[:-2], m, m),
            linalg.svdvals(input),
            input.new_zeros(*input.shape[:-2], n, n),
        )
    return give(y, out)


@method
def lu(input, pivot=True, get_infos=False):
    """L and U packed in one matrix, the pivots, and for get_infos the zero pivots.

    >>> lu(tensor([[1., 2.], [4., 4.]])).pivots
    tensor([2, 2], dtype=adjoint.int32)
    """
    f = linalg.lu_factor_ex if get_infos else linalg.lu_factor
    return f(input, pivot=pivot)


@function
def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True):
    """P, L and U of what `lu` gives; what is not asked for is empty.

    >>> lu_unpack(*lu(tensor([[1., 2.], [4., 4.]]))).P
    tensor([[0., 1.],
            [1., 0.]])
    """
    x = need_tensor(LU_data, "lu_unpack", "LU_data")
    pivots = need_tensor(LU_pivots, "lu_unpack", "LU_pivots")
    if x.ndim < 2 or not pivots.ndim:
        raise ShapeError(
            "lu_unpack: needs matrices and their pivots, got shapes "
            f"{tuple(x.shape)} and {tuple(pivots.shape)}"
        )
    p, low, up = unpacked(x, pivots)
    none = x.new_zeros(0)
    data = (low, up) if unpack_data else (none, none)
    return LuUnpack(p if unpack_pivots else none, *data)


@method
@single
def lu_solve(input, LU_data, LU_pivots, *, out=None):
    """A⁻¹ input from what `lu` gives of A.

    >>> lu_solve(tensor([[3.], [8.]]), *lu(tensor([[1., 2.], [4., 4.]])))
    tensor([[1.],
            [1.]])
    """
    return linalg.lu_solve(LU_data, LU_pivots, input, out=out)


@method
@single
def orgqr(input, input2):
    """The first columns of the product of Householder reflections.

    >>> orgqr(zeros(3, 2), zeros(2)).shape
    adjoint.Size([3, 2])
    """
    return linalg.householder_product(input, input2)


@method
@single
def geqrf(input, *, out=None):
    """QR as LAPACK keeps it, for orgqr and ormqr; it has no derivative.

    >>> geqrf(tensor([[3.], [4.]])).tau
    tensor([1.6000])
    """
    x = matrix(need_tensor(input, "geqrf"), "geqrf")
    return give(Geqrf(*op.geqrf(x)), out)


@method
@single
def ormqr(input, tau, other, left=True, transpose=False, *, out=None):
    """Q other (other Q for left=False, Qᴴ for transpose), Q square from what geqrf gave.

    >>> ormqr(*geqrf(tensor([[3.], [4.]])), tensor([[5.], [0.]]))
    tensor([[-3.],
            [-4.]])
    """
    x = matrix(need_tensor(input, "ormqr"), "ormqr")
    for what, t in (("tau", tau), ("other", other)):
        need_tensor(t, "ormqr", what)
    b = other if left else mH(other)
    if b.ndim != x.ndim or b.shape[-2] != x.shape[-2]:
        raise ShapeError(
            f"ormqr: other must have {x.shape[-2]} {'rows' if left else 'columns'} and "
            f"the batch dims of input, got {tuple(other.shape)}"
        )
    t = conjugate(tau) if transpose == left else tau
    y = reflected(x, t, b, forward=transpose == left)
    y = y if left else mH(y)
    return give(y, out)
