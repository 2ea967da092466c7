"""Functions that reduce dims; `dim` is a number, a tuple or None, as in PyTorch."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import op
from ..core.shape import norm_dim, norm_dims
from ..errors import DtypeError, ShapeError
from .face import cast, function, inexact, method, need_tensor, np_dtype


def _start(x, name, dtype=None, *, floating=False):
    x = need_tensor(x, name)
    if dtype is not None:
        x = cast(x, np_dtype(dtype))
    return inexact(x) if floating else x


@method
def sum(input, dim=None, keepdim=False, *, dtype=None):
    """Sum of all elements, or over `dim`.

    >>> sum(tensor([[1., 2.], [3., 4.]]), dim=1)
    tensor([3., 7.])
    """
    x = _start(input, "sum", dtype)
    return op.sum(x, dim=norm_dims(dim, x.ndim), keepdim=keepdim)


@method
def prod(input, dim=None, keepdim=False, *, dtype=None):
    """Product of all elements, or over `dim`.

    >>> prod(tensor([[1., 2.], [3., 4.]]), dim=1)
    tensor([ 2., 12.])
    """
    x = _start(input, "prod", dtype)
    return op.prod(x, dim=norm_dims(dim, x.ndim), keepdim=keepdim)


def count_over(x, dims) -> int:
    """How many elements each result of a reduction sees."""
    return math.prod(x.shape[d] for d in dims)


@method
def mean(input, dim=None, keepdim=False, *, dtype=None):
    """Mean of all elements, or over `dim`.

    >>> mean(tensor([1., 2., 3.]))
    tensor(2.)
    """
    x = _start(input, "mean", dtype)
    if dtype_of(x).kind in "bui":
        raise DtypeError(
            f"mean: needs a floating or complex dtype, got {dtype_of(x).name}",
            hint="x.float().mean()",
        )
    dims = norm_dims(dim, x.ndim)
    n = np.array(count_over(x, dims), dtype_of(x))
    return op.div(op.sum(x, dim=dims, keepdim=keepdim), n)


@method
def var(input, dim=None, *, correction=1, keepdim=False, unbiased=None):
    """Variance, Σ(x − mean)² / (n − correction).

    >>> var(tensor([1., 2., 3.]))
    tensor(1.)
    """
    x = _start(input, "var")
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    correction = int(unbiased) if unbiased is not None else correction
    dims = norm_dims(dim, x.ndim)
    centred = x - mean(x, dims, True)
    squares = (
        centred * centred
        if dtype_of(x).kind != "c"
        else op.real(centred * op.conj(centred))
    )
    n = max(0, count_over(x, dims) - correction)
    return op.div(
        op.sum(squares, dim=dims, keepdim=keepdim), np.array(n, dtype_of(squares))
    )


@method
def std(input, dim=None, *, correction=1, keepdim=False, unbiased=None):
    """Standard deviation, √var.

    >>> std(tensor([1., 2., 3.]))
    tensor(1.)
    """
    return op.sqrt(
        var(input, dim, correction=correction, keepdim=keepdim, unbiased=unbiased)
    )


@function
def var_mean(input, dim=None, *, correction=1, keepdim=False):
    """Variance and mean.

    >>> var_mean(tensor([1., 2., 3.]))
    (tensor(1.), tensor(2.))
    """
    return var(input, dim, correction=correction, keepdim=keepdim), mean(
        input, dim, keepdim
    )


@function
def std_mean(input, dim=None, *, correction=1, keepdim=False):
    """Standard deviation and mean.

    >>> std_mean(tensor([1., 2., 3.]))
    (tensor(1.), tensor(2.))
    """
    return std(input, dim, correction=correction, keepdim=keepdim), mean(
        input, dim, keepdim
    )


def _need_some(x, dims, name):
    if count_over(x, dims) == 0:
        raise ShapeError(
            f"{name}: expected reduction dim to have non-zero size, got shape {tuple(x.shape)}"
        )


@method
def amax(input, dim=(), keepdim=False):
    """Largest element over `dim`; ties share the gradient.

    >>> amax(tensor([[1., 5.], [7., 2.]]), 1)
    tensor([5., 7.])
    """
    x = _start(input, "amax")
    dims = norm_dims(dim, x.ndim)
    _need_some(x, dims, "amax")
    return op.amax(x, dim=dims, keepdim=keepdim)


@method
def amin(input, dim=(), keepdim=False):
    """Smallest element over `dim`; ties share the gradient.

    >>> amin(tensor([[1., 5.], [7., 2.]]), 1)
    tensor([1., 2.])
    """
    x = _start(input, "amin")
    dims = norm_dims(dim, x.ndim)
    _need_some(x, dims, "amin")
    return op.amin(x, dim=dims, keepdim=keepdim)


@method
def logsumexp(input, dim, keepdim=False):
    """ln Σ eˣ over `dim`, without overflow.

    >>> logsumexp(tensor([1000., 1000.]), 0)
    tensor(1000.6932)
    """
    x = _start(input, "logsumexp", floating=True)
    return op.logsumexp(x, dim=norm_dims(dim, x.ndim), keepdim=keepdim)


@method
def all(input, dim=None, keepdim=False):
    """Every element is non-zero.

    >>> all(tensor([True, False]))
    tensor(False)
    """
    x = _start(input, "all")
    return op.all(x, dim=norm_dims(dim, x.ndim), keepdim=keepdim)


@method
def any(input, dim=None, keepdim=False):
    """Some element is non-zero.

    >>> any(tensor([True, False]))
    tensor(True)
    """
    x = _start(input, "any")
    return op.any(x, dim=norm_dims(dim, x.ndim), keepdim=keepdim)


@method
def cumsum(input, dim, *, dtype=None):
    """Running sum along `dim`.

    >>> cumsum(tensor([1., 2., 3.]), 0)
    tensor([1., 3., 6.])
    """
    x = _start(input, "cumsum", dtype)
    dim = norm_dim(dim, x.ndim)
    return op.cumsum(x, dim=dim) if x.ndim else x * 1
