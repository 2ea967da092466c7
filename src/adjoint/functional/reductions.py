"""Functions that reduce dims; `dim` is a number, a tuple or None, as in PyTorch.

NumPy's `axis` and `keepdims` are taken for `dim` and `keepdim`, as PyTorch does.
"""

from __future__ import annotations

import math
from collections import namedtuple
from typing import NamedTuple

import numpy as np

from ..autodiff import straight
from ..core.bind import Box, dtype_of
from ..core.primitive import number, op
from ..core.shape import norm_dim, norm_dims
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from . import linalg
from .face import (
    cast,
    function,
    give,
    inexact,
    method,
    need_bool,
    need_tensor,
    np_dtype,
    promote,
)
from .precision import single


class ValuesIndices(NamedTuple):
    """Elements and their places."""

    values: object
    indices: object


def dims_of(x, dim) -> tuple[int, ...]:
    """`dim` as a tuple counted from the front; a 0-d tensor has none to reduce."""
    n = x.ndim
    if dim is None:
        return tuple(range(n))
    if type(dim) is int and -n <= dim < n:
        return (dim % n,)
    dims = norm_dims(dim, n)
    return dims if n else ()


def working(dtype, out):
    """The dtype in which sums and products are taken: asked for, or that of `out`."""
    return dtype if dtype is not None or not isinstance(out, Box) else out.dtype


def as_asked(y, x, dtype):
    """A sum or product of `x`, in its dtype if one was asked for: of small integers it is wider."""
    return y if dtype is None else cast(y, dtype_of(x))


def start(x, name, dtype=None, *, floating=False):
    """The tensor `x`, in `dtype` if given, else in a floating one if asked."""
    x = need_tensor(x, name)
    if dtype is not None:
        x = cast(x, np_dtype(dtype))
    return inexact(x) if floating else x


def need_inexact(x, name) -> None:
    """The error for integers where PyTorch has no result for them."""
    if dtype_of(x).kind in "bui":
        raise DtypeError(
            f"{name}: needs a floating or complex dtype, got {dtype_of(x).name}",
            hint=f"x.float().{name}()",
        )


def need_ordered(x, name) -> None:
    """The error for complex numbers, which have no order."""
    if dtype_of(x).kind == "c":
        raise DtypeError(
            f"{name}: complex numbers have no order, got {dtype_of(x).name}"
        )


def count_over(x, dims) -> int:
    """How many elements each result of a reduction sees."""
    return math.prod(x.shape[d] for d in dims)


@method
def sum(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """Sum of all elements, or over `dim`.

    >>> sum(tensor([[1., 2.], [3., 4.]]), dim=1)
    tensor([3., 7.])
    """
    if out is not None:
        dtype = working(dtype, out)
    x = start(input, "sum", dtype)
    keepdim = need_bool(keepdim, "sum", "keepdim")
    params = {"dim": dims_of(x, dim), "keepdim": keepdim}
    y = _sum(x, params)
    if y is None:
        y = op.sum(x, **params)
    return give(as_asked(y, x, dtype), out)


_sum = straight.unary(op.sum, "biufcV")


def _without_nan(x):
    """`x` with 0 for NaN."""
    if dtype_of(x).kind in "bui":
        return x
    return op.where(op.isnan(x), op.zeros_like(x), x)


@method
def nansum(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """Sum of the elements that are not NaN.

    >>> nansum(tensor([1., nan, 2.]))
    tensor(3.)
    """
    dtype = working(dtype, out)
    x = start(input, "nansum", dtype)
    need_ordered(x, "nansum")
    x = _without_nan(x)
    y = op.sum(x, dim=dims_of(x, dim), keepdim=keepdim)
    return give(as_asked(y, x, dtype), out)


@method
def mean(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """Mean of all elements, or over `dim`.

    >>> mean(tensor([1., 2., 3.]))
    tensor(2.)
    """
    x = start(input, "mean", dtype)
    need_inexact(x, "mean")
    keepdim = need_bool(keepdim, "mean", "keepdim")
    y = mean_of(x, dims_of(x, dim), keepdim)
    return give(y, out)


_mean = straight.unary(op.mean, "fcV")


def mean_of(x, dims, keepdim=False):
    """The mean of floating numbers over `dims`, a tuple."""
    y = _mean(x, {"dim": dims, "keepdim": keepdim})
    return op.mean(x, dim=dims, keepdim=keepdim) if y is None else y


@method
def nanmean(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """Mean of the elements that are not NaN.

    >>> nanmean(tensor([1., nan, 2.]))
    tensor(1.5000)
    """
    x = start(input, "nanmean", dtype)
    need_inexact(x, "nanmean")
    over = {"dim": dims_of(x, dim), "keepdim": keepdim}
    count = op.sum(op.cast(op.logical_not(op.isnan(x)), dtype=dtype_of(x)), **over)
    return give(op.div(op.sum(_without_nan(x), **over), count), out)


@method
@single
def prod(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """Product of all elements, or over `dim`.

    >>> prod(tensor([[1., 2.], [3., 4.]]), dim=1)
    tensor([ 2., 12.])
    """
    dtype = working(dtype, out)
    x = start(input, "prod", dtype)
    y = op.prod(x, dim=dims_of(x, dim), keepdim=keepdim)
    return give(as_asked(y, x, dtype), out)


# ---------------------------------------------------------------- spread


def _spread(prim, input, dim, unbiased, keepdim, correction, out=None):
    x = start(input, prim.name)
    need_inexact(x, prim.name)
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None:
        correction = int(unbiased)
    correction = 1 if correction is None else correction
    y = prim(x, dim=dims_of(x, dim), keepdim=keepdim, correction=correction)
    return give(y, out)


@method
def var(input, dim=None, unbiased=None, keepdim=False, *, correction=None, out=None):
    """Variance, Σ |x − mean|² / (n − correction); `unbiased` False is correction 0.

    >>> var(tensor([1., 2., 3.]))
    tensor(1.)
    """
    return _spread(op.var, input, dim, unbiased, keepdim, correction, out)


@method
def std(input, dim=None, unbiased=None, keepdim=False, *, correction=None, out=None):
    """Standard deviation, √var.

    >>> std(tensor([1., 2., 3.]))
    tensor(1.)
    """
    return _spread(op.std, input, dim, unbiased, keepdim, correction, out)


@function
def var_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """Variance and mean.

    >>> var_mean(tensor([1., 2., 3.]))
    (tensor(1.), tensor(2.))
    """
    y = var(input, dim, unbiased, keepdim, correction=correction)
    return y, mean(input, None if isinstance(dim, bool) else dim, keepdim)


@function
def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """Standard deviation and mean.

    >>> std_mean(tensor([1., 2., 3.]))
    (tensor(1.), tensor(2.))
    """
    y = std(input, dim, unbiased, keepdim, correction=correction)
    return y, mean(input, None if isinstance(dim, bool) else dim, keepdim)


# ---------------------------------------------------------------- lengths


def _order(p, name) -> float:
    if p is None or p == "fro":
        return 2
    if isinstance(p, (bool, str)) or not isinstance(p, (int, float, np.number)):
        raise ArgumentError(
            f"{name}: p must be a number, inf, -inf, 'fro' or 'nuc', got {p!r}"
        )
    return float(p)


@method
def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    """The p-norm of the elements, (Σ |x|^p)^(1/p); p = ±inf is the extreme, 0 the count.

    p = "nuc" is the sum of the singular values of the matrix in two dims.

    >>> norm(tensor([[3., 4.], [6., 8.]]), dim=1)
    tensor([ 5., 10.])
    """
    x = start(input, "norm", dtype)
    need_inexact(x, "norm")
    if p == "nuc":
        dims = tuple(range(x.ndim)) if dim is None else dim
        return linalg.matrix_norm(x, "nuc", dims, keepdim, out=out)
    p, dims = _order(p, "norm"), dims_of(x, dim)
    if p < 0:
        need_some(x, dims, "norm")
    return give(op.vector_norm(x, dim=dims, keepdim=keepdim, p=p), out)


@method
def dist(input, other, p=2):
    """The p-norm of input − other.

    >>> dist(tensor([1., 2.]), tensor([4., 6.]))
    tensor(5.)
    """
    a, b = promote("dist", input, other)
    return norm(inexact(a - b), p)


@method
def renorm(input, p, dim, maxnorm, *, out=None):
    """Slices along `dim` whose p-norm exceeds `maxnorm` scaled down to it.

    >>> renorm(tensor([[3., 4.], [0.3, 0.4]]), 2, 0, 1)
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    x = start(input, "renorm")
    need_inexact(x, "renorm")
    if x.ndim < 2:
        raise ShapeError(f"renorm: needs 2 dims at least, got shape {tuple(x.shape)}")
    if p <= 0 or maxnorm < 0:
        raise ArgumentError(
            f"renorm: needs p > 0 and maxnorm >= 0, got p={p} and maxnorm={maxnorm}"
        )
    dim = norm_dim(dim, x.ndim)
    rest = tuple(i for i in range(x.ndim) if i != dim)
    length = op.vector_norm(x, dim=rest, keepdim=True, p=_order(p, "renorm"))
    one, top = (number(v, length) for v in (1, maxnorm))
    scale = op.where(op.gt(length, top), top / (length + 1e-7), one)
    return give(x * cast(scale, dtype_of(x)), out)


# ---------------------------------------------------------------- extremes, logic


def need_some(x, dims, name) -> None:
    """The error for a reduction over nothing that has no value."""
    if count_over(x, dims) == 0:
        raise ShapeError(
            f"{name}: expected reduction dim to have non-zero size, got shape {tuple(x.shape)}",
        )


def _extreme(prim, input, dim, keepdim, out=None):
    x = start(input, prim.name)
    need_ordered(x, prim.name)
    dims = dims_of(x, dim)
    need_some(x, dims, prim.name)
    return give(prim(x, dim=dims, keepdim=keepdim), out)


@method
def amax(input, dim=(), keepdim=False, *, out=None):
    """Largest element over `dim`; ties share the gradient.

    >>> amax(tensor([[1., 5.], [7., 2.]]), 1)
    tensor([5., 7.])
    """
    return _extreme(op.amax, input, dim, keepdim, out)


@method
def amin(input, dim=(), keepdim=False, *, out=None):
    """Smallest element over `dim`; ties share the gradient.

    >>> amin(tensor([[1., 5.], [7., 2.]]), 1)
    tensor([1., 2.])
    """
    return _extreme(op.amin, input, dim, keepdim, out)


MinMax = namedtuple("MinMax", ["min", "max"])


@method
def aminmax(input, *, dim=None, keepdim=False, out=None):
    """Smallest and largest element.

    >>> aminmax(tensor([3., 1., 2.]))
    MinMax(min=tensor(1.), max=tensor(3.))
    """
    return give(MinMax(amin(input, dim, keepdim), amax(input, dim, keepdim)), out)


@method
def logsumexp(input, dim, keepdim=False, *, out=None):
    """ln Σ eˣ over `dim`, without overflow.

    >>> logsumexp(tensor([1000., 1000.]), 0)
    tensor(1000.6932)
    """
    x = start(input, "logsumexp", floating=True)
    return give(op.logsumexp(x, dim=dims_of(x, dim), keepdim=keepdim), out)


def _decide(prim, input, dim, keepdim, out=None):
    x = start(input, prim.name)
    if isinstance(dim, (tuple, list)) and not dim:  # of no dims: each element by itself
        y = op.ne(x, number(0, x))
    else:
        y = prim(x, dim=dims_of(x, dim), keepdim=keepdim)
    if dtype_of(x) == np.uint8:  # PyTorch's old booleans
        y = op.cast(y, dtype=np.dtype("uint8"))
    return give(y, out)


@method
def all(input, dim=None, keepdim=False, *, out=None):
    """Every element is non-zero.

    >>> all(tensor([True, False]))
    tensor(False)
    """
    return _decide(op.all, input, dim, keepdim, out)


@method
def any(input, dim=None, keepdim=False, *, out=None):
    """Some element is non-zero.

    >>> any(tensor([True, False]))
    tensor(True)
    """
    return _decide(op.any, input, dim, keepdim, out)


@method
def count_nonzero(input, dim=None):
    """How many elements are not zero.

    >>> count_nonzero(tensor([[0, 1], [2, 3]]), 0)
    tensor([1, 2])
    """
    x = need_tensor(input, "count_nonzero")
    return op.count_nonzero(x, dim=dims_of(x, dim), keepdim=False)


@method
def argmax(input, dim=None, keepdim=False, *, out=None):
    """The place of the largest element, of all row by row or along `dim`.

    >>> argmax(tensor([[1., 5.], [7., 2.]]), 1)
    tensor([1, 0])
    """
    return give(_place(op.argmax, input, dim, keepdim), out)


@method
def argmin(input, dim=None, keepdim=False, *, out=None):
    """The place of the smallest element, of all row by row or along `dim`.

    >>> argmin(tensor([[1., 5.], [7., 2.]]), 1)
    tensor([0, 1])
    """
    return give(_place(op.argmin, input, dim, keepdim), out)


def _place(prim, input, dim, keepdim):
    x = start(input, prim.name)
    need_ordered(x, prim.name)
    if isinstance(dim, (tuple, list)):
        raise ArgumentTypeError(
            f"{prim.name}: dim must be an integer or None, not {dim}"
        )
    dims = dims_of(x, dim)
    need_some(x, dims, prim.name)
    return prim(x, dim=dims, keepdim=keepdim)
