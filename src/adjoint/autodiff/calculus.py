"""Matrix calculus in numerator layout, as it is taught: ∂y/∂x is M×N, vec stacks columns."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

from ..core.bind import Box
from ..core.primitive import op
from ..errors import ArgumentTypeError, ShapeError
from .jacobians import jacfwd, jacrev


def cvec(A):
    """The columns of a matrix under one another, a column vector MN×1.

    >>> cvec(tensor([[1, 2], [3, 4]])).T
    tensor([[1, 3, 2, 4]])
    """
    _need_tensor(A)
    flat = op.permute(A, dims=tuple(reversed(range(A.ndim))))
    return op.reshape(flat, shape=(math.prod(A.shape), 1))


def vec(A):
    """`cvec`: the columns of a matrix under one another.

    >>> vec(tensor([[1, 2], [3, 4]])).shape
    adjoint.Size([4, 1])
    """
    return cvec(A)


def rvec(A):
    """The rows of a matrix after one another, a row vector 1×MN.

    >>> rvec(tensor([[1, 2], [3, 4]]))
    tensor([[1, 2, 3, 4]])
    """
    _need_tensor(A)
    return op.reshape(A, shape=(1, math.prod(A.shape)))


def _need_tensor(A) -> None:
    if not isinstance(A, Box):
        raise ArgumentTypeError(f"vec: expected a Tensor, got {A!r}")


def _flat(x):
    """The elements in the order of vec, as one dim."""
    return op.reshape(cvec(x), shape=(math.prod(x.shape),))


def _unflat(v, shape):
    """The value of this shape whose vec is `v`."""
    turned = op.reshape(v, shape=tuple(reversed(shape)))
    return op.permute(turned, dims=tuple(reversed(range(len(shape)))))


def _vectorised(func, args, kwargs, argnum):
    """`func` as a function from vec(args[argnum]) to vec(result)."""
    if not isinstance(args[argnum], Box):
        raise ArgumentTypeError(
            f"derivative: argument {argnum} must be a Tensor, got {args[argnum]!r}"
        )
    shape = tuple(args[argnum].shape)

    def f(v):
        full = list(args)
        full[argnum] = _unflat(v, shape)
        y = func(*full, **kwargs)
        if not isinstance(y, Box):
            raise ShapeError(
                f"derivative: the function must return one Tensor, got {y!r}"
            )
        return _flat(y)

    return f


def derivative(func: Callable, argnum: int = 0, *, mode: str = "reverse") -> Callable:
    """x -> ∂vec(y)/∂vec(x), M×N: a row vector for a scalar y, whatever the shapes.

    >>> A = tensor([[1., 2.], [3., 4.]])
    >>> derivative(lambda x: A @ x)(tensor([1., 1.]))
    tensor([[1., 2.],
            [3., 4.]])
    >>> derivative(lambda x: x @ A @ x)(tensor([1., 1.]))
    tensor([[ 7., 13.]])
    """
    jacobian = jacfwd if mode == "forward" else jacrev

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        f = _vectorised(func, args, kwargs, argnum)
        return jacobian(f)(_flat(args[argnum]))

    return wrapped


def second_derivative(func: Callable, argnum: int = 0) -> Callable:
    """x -> ∂/∂x vec[(∂y/∂x)ᵀ], MN×N: for a scalar y the Hessian.

    >>> second_derivative(lambda x: (x ** 3).sum())(tensor([1., 2.]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """

    @functools.wraps(func)
    def wrapped(*args, **kwargs):
        f = _vectorised(func, args, kwargs, argnum)
        v = _flat(args[argnum])
        stacked = jacfwd(jacrev(f))(v)  # M×N×N: row m of ∂y/∂x, differentiated
        m, n, _ = stacked.shape
        return op.reshape(stacked, shape=(m * n, n))

    return wrapped
