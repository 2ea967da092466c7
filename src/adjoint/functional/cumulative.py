"""Running sums, products and extremes, differences and integrals along a dim."""

from __future__ import annotations

import numpy as np

from ..core.bind import Box, dtype_of
from ..core.primitive import op
from ..core.shape import norm_dim, norm_dims
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from .face import SCALARS, alias, function, give, inexact, method, need_tensor, promote
from .ordering import fetch, ordered
from .reductions import as_asked, start, working


def _run(prim, x, dim):
    """`prim` along `dim`; a 0-d tensor runs as one of a single element."""
    dim = norm_dim(dim, x.ndim)
    if x.ndim:
        return prim(x, dim=dim)
    return op.reshape(prim(op.reshape(x, shape=(1,)), dim=0), shape=())


def _total(prim, input, dim, dtype, out):
    """The running sum or product, in the dtype asked for."""
    dtype = working(dtype, out)
    x = start(input, prim.name, dtype)
    return give(as_asked(_run(prim, x, dim), x, dtype), out)


@method
def cumsum(input, dim, *, dtype=None, out=None):
    """Running sum along `dim`.

    >>> cumsum(tensor([1., 2., 3.]), 0)
    tensor([1., 3., 6.])
    """
    return _total(op.cumsum, input, dim, dtype, out)


@method
def cumprod(input, dim, *, dtype=None, out=None):
    """Running product along `dim`.

    >>> cumprod(tensor([1., 2., 3.]), 0)
    tensor([1., 2., 6.])
    """
    return _total(op.cumprod, input, dim, dtype, out)


@method
def logcumsumexp(input, dim, *, out=None):
    """Running ln Σ eˣ along `dim`, without overflow.

    >>> logcumsumexp(tensor([0., 0., 0.]), 0)
    tensor([0.0000, 0.6931, 1.0986])
    """
    x = start(input, "logcumsumexp", floating=True)
    return give(_run(op.logcumsumexp, x, dim), out)


@method
def cummax(input, dim, *, out=None):
    """The largest element so far along `dim`, and its last place.

    >>> cummax(tensor([1., 3., 2.]), 0)
    ValuesIndices(values=tensor([1., 3., 3.]), indices=tensor([0, 1, 1]))
    """
    x = ordered(input, "cummax")
    return fetch(x, dim, lambda x, d: op.cummax_index(x, dim=d), out)


@method
def cummin(input, dim, *, out=None):
    """The smallest element so far along `dim`, and its last place.

    >>> cummin(tensor([3., 1., 2.]), 0)
    ValuesIndices(values=tensor([3., 1., 1.]), indices=tensor([0, 1, 1]))
    """
    x = ordered(input, "cummin")
    return fetch(x, dim, lambda x, d: op.cummin_index(x, dim=d), out)


# ---------------------------------------------------------------- differences


def part(x, dim, start, stop):
    """The elements from `start` to `stop` along `dim`; numbers below 0 from the end."""
    n = x.shape[dim]
    start, stop, _ = slice(start, stop).indices(n)
    key = [(0, m, 1) for m in x.shape]
    key[dim] = (start, stop if stop > start else start, 1)
    return op.slice(x, key=tuple(key))


def _step(x, dim):
    """Each element less the one before; of booleans whether they differ."""
    a, b = part(x, dim, 1, None), part(x, dim, None, -1)
    return op.logical_xor(a, b) if dtype_of(x) == np.bool_ else a - b


def _need_dims(x, name):
    if x.ndim == 0:
        raise ShapeError(f"{name}: expects a tensor of at least one dimension")
    return x


@method
def diff(input, n=1, dim=-1, prepend=None, append=None, *, out=None):
    """Differences of neighbours along `dim`, `n` times.

    >>> diff(tensor([1., 4., 9.]))
    tensor([3., 5.])
    """
    x = _need_dims(need_tensor(input, "diff"), "diff")
    if n < 0:
        raise ArgumentError(f"diff: order n must not be negative, got {n}")
    dim = norm_dim(dim, x.ndim)
    x = _joined(x, dim, prepend, append)
    for _ in range(min(n, x.shape[dim])):
        x = _step(x, dim)
    return give(x, out)


def _joined(x, dim, prepend, append):
    parts = [y for y in (prepend, x, append) if y is not None]
    if len(parts) == 1:
        return x
    parts = promote("diff", *(need_tensor(y, "diff") for y in parts))
    return op.cat(*parts, dim=dim)


# ---------------------------------------------------------------- integrals


def _areas(name, y, x, dx, dim):
    """Twice the area of each trapezoid."""
    y = _need_dims(inexact(need_tensor(y, name, "y")), name)
    dim = norm_dim(dim, y.ndim)
    if x is not None and dx is not None:
        raise ArgumentError(f"{name}: x and dx exclude each other, got both")
    twice = part(y, dim, 1, None) + part(y, dim, None, -1)
    if x is None:
        return twice if dx is None else twice * _width(dx, name), dim
    return twice * _widths(name, need_tensor(x, name, "x"), y, dim), dim


def _width(dx, name):
    if isinstance(dx, (Box, *SCALARS)):
        return dx
    raise ArgumentTypeError(f"{name}: dx must be a number, got {type(dx).__name__}")


def _widths(name, x, y, dim):
    x = _need_dims(x, name)
    if x.ndim == 1:
        if x.shape[0] != y.shape[dim]:
            raise ShapeError(
                f"{name}: there must be one x for each sample point, got "
                f"x {tuple(x.shape)} for y {tuple(y.shape)} along dim {dim}"
            )
        x = op.reshape(x, shape=(x.shape[0], *(1,) * (y.ndim - dim - 1)))
        return _step(x, 0)
    return _step(x, norm_dim(dim - y.ndim, x.ndim))


@function
def trapezoid(y, x=None, *, dx=None, dim=-1):
    """The integral of y along `dim` by the trapezoidal rule.

    >>> trapezoid(tensor([1., 5., 10.]))
    tensor(10.5000)
    """
    areas, dim = _areas("trapezoid", y, x, dx, dim)
    dim = areas.ndim - (y.ndim - dim)
    return op.sum(areas, dim=(dim,), keepdim=False) / 2


alias("trapz", "trapezoid")


@function
def cumulative_trapezoid(y, x=None, *, dx=None, dim=-1):
    """The running integral of y along `dim` by the trapezoidal rule.

    >>> cumulative_trapezoid(tensor([1., 5., 10.]))
    tensor([ 3.0000, 10.5000])
    """
    areas, dim = _areas("cumulative_trapezoid", y, x, dx, dim)
    dim = areas.ndim - (y.ndim - dim)
    return op.cumsum(areas, dim=dim) / 2


# ---------------------------------------------------------------- numerical derivative


@function
def gradient(input, *, spacing=1, dim=None, edge_order=1):
    """Derivatives along `dim` by second-order differences, one tensor a dim.

    `spacing` is a step, a step a dim, or the coordinates a dim.

    >>> gradient(tensor([1., 4., 9., 16.]))
    (tensor([3., 4., 6., 7.]),)
    """
    x = inexact(need_tensor(input, "gradient"))
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order must be 1 or 2, got {edge_order}")
    dims = norm_dims(dim, x.ndim)
    spaces = _spaces(spacing, len(dims))
    for d in dims:
        if _need_dims(x, "gradient").shape[d] < edge_order + 1:
            raise ShapeError(
                f"gradient: each dim needs edge_order + 1 = {edge_order + 1} elements, "
                f"got shape {tuple(x.shape)}"
            )
    return tuple(_slope(x, d, h, edge_order) for d, h in zip(dims, spaces, strict=True))


def _spaces(spacing, count):
    many = isinstance(spacing, (tuple, list))
    spaces = list(spacing) if many else [spacing] * count
    if len(spaces) == 1 < count:
        spaces *= count
    if len(spaces) != count:
        raise ArgumentError(
            f"gradient: expected a spacing for each of {count} dims, got {len(spaces)}"
        )
    return spaces


def _slope(x, dim, space, edge_order):
    """Three-point differences inside, one- or two-step differences at the ends."""
    h = _steps(space, x, dim)
    a, b, c = part(x, dim, None, -2), part(x, dim, 1, -1), part(x, dim, 2, None)
    low, high = part(h, dim, None, -1), part(h, dim, 1, None)
    if isinstance(space, Box) and space.ndim:
        inner = ((b - a) / low * high + (c - b) / high * low) / (low + high)
    else:
        inner = (c - a) / (low + high)
    ends = _ends(_step(x, dim) / h, h, dim, edge_order)
    return op.cat(ends[0], inner, ends[1], dim=dim)


def _steps(space, x, dim):
    """The steps between neighbours, along `dim`."""
    n = x.shape[dim]
    shape = tuple(n - 1 if i == dim else 1 for i in range(x.ndim))
    if not isinstance(space, Box):
        return np.full(shape, space, dtype_of(x))
    if tuple(space.shape) not in ((), (n,)):
        raise ShapeError(
            f"gradient: dim {dim} has {n} elements but coordinates of shape "
            f"{tuple(space.shape)}"
        )
    (space, _) = promote("gradient", space, x)
    if space.ndim == 0:
        return op.expand(space, shape=shape)
    return op.reshape(_step(space, 0), shape=shape)


def _ends(slope, h, dim, edge_order):
    first, last = part(slope, dim, None, 1), part(slope, dim, -1, None)
    if edge_order == 1:
        return first, last
    second, before = part(slope, dim, 1, 2), part(slope, dim, -2, -1)
    h0, h1 = part(h, dim, None, 1), part(h, dim, 1, 2)
    k0, k1 = part(h, dim, -1, None), part(h, dim, -2, -1)
    return (
        first + (first - second) * (h0 / (h0 + h1)),
        last + (last - before) * (k0 / (k0 + k1)),
    )
