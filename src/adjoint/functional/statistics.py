"""Quantiles, covariances, counts and histograms."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..core.bind import Box, at_bottom, dtype_of, floor
from ..core.dtype import to_real
from ..core.primitive import conjugate, number, op
from ..core.shape import reduced
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from ..ops.order import put_along, take_along
from .cumulative import part
from .face import cast, concrete, function, give, method, need_tensor, wrap
from .precision import lower, single
from .reductions import count_over, dims_of, need_some, start

# ---------------------------------------------------------------- quantiles


def _quantile(name, input, q, dim, keepdim, interpolation, out, skip):
    x = start(input, name)
    if dtype_of(x) not in (np.float32, np.float64):
        raise DtypeError(f"{name}: needs float32 or float64, got {dtype_of(x).name}")
    q = _need_fractions(name, q, dtype_of(x))
    if interpolation not in _BLENDS:
        raise ArgumentError(
            f"{name}: interpolation must be one of {', '.join(_BLENDS)}, "
            f"got {interpolation!r}"
        )
    dims = dims_of(x, dim)
    need_some(x, dims, name)
    y = _at_ranks(_rows_last(x, dims), q, interpolation, skip)
    shape = (*q.shape, *reduced(x.shape, dims, keepdim))
    return give(op.reshape(y, shape=shape), out)


def _need_fractions(name, q, d):
    if isinstance(q, (int, float)):
        q = np.array(q, d)
    if not isinstance(q, (Box, np.ndarray)) or q.ndim > 1:
        raise ArgumentError(f"{name}: q must be a number or a tensor of at most 1 dim")
    if dtype_of(q) != d:
        raise DtypeError(
            f"{name}: q must have the dtype of the input, got {dtype_of(q).name} and {d.name}"
        )
    value = q if isinstance(q, np.ndarray) else q.value
    if isinstance(value, np.ndarray) and not ((value >= 0) & (value <= 1)).all():
        raise ArgumentError(f"{name}: q must lie in [0, 1], got {value.tolist()}")
    return q


def _rows_last(x, dims):
    """`x` with the dims `dims` as one, the last."""
    rest = tuple(i for i in range(x.ndim) if i not in dims)
    y = op.permute(x, dims=(*rest, *dims))
    return op.reshape(y, shape=(*y.shape[: len(rest)], count_over(x, dims)))


# (rank rounded for the lower element, for the upper, weight of the upper)
_BLENDS = {
    "linear": (op.floor, op.ceil, lambda rank, low: rank - low),
    "lower": (op.floor, op.floor, None),
    "higher": (op.ceil, op.ceil, None),
    "nearest": (lambda r: op.round(r, decimals=0),) * 2 + (None,),
    "midpoint": (op.floor, op.ceil, lambda rank, low: op.ones_like(rank) / 2),
}


def _at_ranks(x, q, interpolation, skip):
    """The quantiles of the rows: of shape (len(q), rows)."""
    last = x.ndim - 1
    ranked = take_along(x, op.argsort(x, dim=last, descending=False), dim=last)
    q = op.reshape(q, shape=tuple(q.shape) or (1,))
    q = op.expand(q, shape=(*x.shape[:-1], q.shape[0]))
    rank = (_rank_of_good if skip else _rank_or_nan)(ranked, q)
    y = _blend(ranked, rank, last, *_BLENDS[interpolation])
    return op.permute(y, dims=(last, *range(last)))


def _rank_or_nan(ranked, q):
    """q of the way through the row; its last element if that is NaN."""
    n = ranked.shape[-1]
    end = number(n - 1, ranked)
    nan = op.isnan(part(ranked, ranked.ndim - 1, n - 1, n))
    return op.where(nan, end, q * end)


def _rank_of_good(ranked, q):
    """q of the way through the elements that are not NaN."""
    good = op.cast(op.logical_not(op.isnan(ranked)), dtype=dtype_of(ranked))
    count = op.sum(good, dim=(ranked.ndim - 1,), keepdim=True)
    return q * op.where(op.eq(count, op.zeros_like(count)), count, count - 1)


def _blend(ranked, rank, last, lower, upper, weight):
    low = lower(rank)
    a = _taken(ranked, low, last)
    if weight is None:
        return a
    b, w = _taken(ranked, upper(rank), last), weight(rank, low)
    near, far = a + (b - a) * w, b - (b - a) * (1 - w)  # exact at the end it is near
    return op.where(op.lt(w, number(0.5, w)), near, far)


def _taken(x, rank, last):
    at = op.cast(op.stop_gradient(rank), dtype=np.dtype("int64"))
    return take_along(x, at, dim=last)


@method
@single
def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    """The q-th quantiles of all elements, or along `dim`; NaN where one element is.

    >>> quantile(tensor([0., 1., 2., 3.]), 0.4)
    tensor(1.2000)
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, out, False)


@method
@single
def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    """The q-th quantiles of the elements that are not NaN.

    >>> nanquantile(tensor([0., nan, 1., 2., 3.]), 0.4)
    tensor(1.2000)
    """
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, out, True)


# ---------------------------------------------------------------- covariance


def _weights_of(name, w, x, kinds):
    w = need_tensor(w, "cov", name)
    if w.ndim > 1 or (w.ndim == 1 and w.shape[0] != x.shape[1]):
        raise ShapeError(
            f"cov: {name} must have one weight an observation, got shape "
            f"{tuple(w.shape)} for {x.shape[1]} observations"
        )
    if dtype_of(w).kind not in kinds:
        raise DtypeError(f"cov: {name} has dtype {dtype_of(w).name}")
    return cast(w, np.dtype(dtype_of(x)) if dtype_of(x).kind != "c" else _real_of(x))


def _real_of(x):
    return to_real(dtype_of(x))


@method
def cov(input, *, correction=1, fweights=None, aweights=None):
    """The covariances of the rows, whose columns are observations.

    `fweights` are how often, `aweights` how weightily each observation counts.

    >>> cov(tensor([[0., 1., 2.], [2., 1., 0.]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    x = need_tensor(input, "cov")
    if x.ndim > 2:
        raise ShapeError(f"cov: needs at most 2 dims, got shape {tuple(x.shape)}")
    scalar = x.ndim < 2 or x.shape[0] == 1
    x = op.reshape(x, shape=(1, math.prod(x.shape))) if scalar else x
    if dtype_of(x).kind in "bui":
        x = cast(x, np.dtype("float32"))
    w = _weights(x, fweights, aweights)
    y = _covariance(x, w, correction, aweights)
    return op.reshape(y, shape=()) if scalar else y


def _weights(x, fweights, aweights):
    w = None if fweights is None else _weights_of("fweights", fweights, x, "iu")
    if aweights is not None:
        a = _weights_of("aweights", aweights, x, "fV")
        w = a if w is None else w * a
    return w


def _covariance(x, w, correction, aweights):
    d = dtype_of(x)
    if w is None:
        mean = op.mean(x, dim=(1,), keepdim=True)
        weighted = centred = x - mean
        free = np.array(max(0, x.shape[1] - correction), d)
    else:
        total = op.sum(w, dim=tuple(range(w.ndim)), keepdim=False)
        mean = op.sum(x * w, dim=(1,), keepdim=True) / total
        centred = x - mean
        weighted = centred * w
        free = cast(_free(w, total, correction, aweights), d)
    y = _products_of_rows(centred, conjugate(weighted))
    return op.div(y, cast(free, dtype_of(y)))


@lower
def _products_of_rows(a, b):
    return op.contract(a, b, spec="ik,jk->ij")


def _free(w, total, correction, aweights):
    less = correction
    if aweights is not None and correction:
        a = cast(aweights, dtype_of(w))
        less = op.sum(w * a, dim=tuple(range(w.ndim)), keepdim=False) / total
        less = less * correction
    free = total - less
    return op.where(op.lt(free, op.zeros_like(free)), op.zeros_like(free), free)


@method
def corrcoef(input):
    """The correlation coefficients of the rows, between −1 and 1.

    >>> corrcoef(tensor([[0., 1., 2.], [2., 1., 0.]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    c = cov(input)
    if c.ndim == 0:
        return c / c
    n = c.shape[0]
    places = np.arange(n)[:, None]
    spread = take_along(c, places, dim=1)
    spread = op.sqrt(op.real(spread) if dtype_of(c).kind == "c" else spread)
    spread = cast(spread, dtype_of(c))
    c = c / spread / op.permute(spread, dims=(1, 0))
    return _clipped(c)


def _clipped(c):
    if dtype_of(c).kind == "c":
        return c
    low, high = (number(v, c) for v in (-1, 1))
    c = op.where(op.gt(c, high), high, c)
    return op.where(op.lt(c, low), low, c)


# ---------------------------------------------------------------- counts


@method
def bincount(input, weights=None, minlength=0):
    """How often each number from 0 occurs, or the sum of its weights.

    >>> bincount(tensor([1, 3, 1]))
    tensor([0, 2, 0, 1])
    """
    x = need_tensor(input, "bincount")
    if dtype_of(x).kind not in "ui" or x.ndim != 1:
        raise ArgumentError(
            f"bincount: needs one dim of integers, got {dtype_of(x).name}{list(x.shape)}"
        )
    counted = "zeros(n).scatter_add(0, x, weights) counts the numbers below n"
    value = concrete(x, "the input", counted).astype(np.int64)
    if value.size and value.min() < 0:
        raise ArgumentError(
            f"bincount: numbers must not be negative, got {value.min()}"
        )
    if minlength < 0:
        raise ArgumentError(
            f"bincount: minlength must not be negative, got {minlength}"
        )
    size = max(int(minlength), int(value.max(initial=-1)) + 1)
    if weights is None:
        return wrap(np.bincount(value, minlength=size)[:size].astype(np.int64))
    return _weighted_counts(value, need_tensor(weights, "bincount", "weights"), size)


def _weighted_counts(value, w, size):
    if tuple(w.shape) != value.shape:
        raise ShapeError(
            f"bincount: weights must have the input's shape, got {tuple(w.shape)} "
            f"and {value.shape}"
        )
    if dtype_of(w) != np.float32:
        w = cast(w, np.dtype("float64"))
    return put_along(w, value, dim=0, size=size)


def _range(name, value, low, high, widen):
    """The range of a histogram: given, or that of the data; `widen` where it is a point."""
    if not high >= low:
        raise ArgumentError(f"{name}: max must not be below min, got [{low}, {high}]")
    if low == high and value.size:
        low, high = value.min().item(), value.max().item()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ArgumentError(f"{name}: the range [{low}, {high}] is not finite")
    return (low - widen, high + widen) if low == high else (low, high)


@method
def histc(input, bins=100, min=0, max=0, *, out=None):
    """How many elements lie in each of `bins` equal intervals from `min` to `max`.

    Where these are equal, from the smallest to the largest element.

    >>> histc(tensor([1., 2., 1.]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    x = need_tensor(input, "histc")
    if dtype_of(x).kind not in "fV":
        raise DtypeError(f"histc: needs a floating dtype, got {dtype_of(x).name}")
    _need_bins("histc", bins)
    value = _counted(x, "histc").ravel()
    low, high = _range("histc", value, min, max, 1)
    value = value[(value >= low) & (value <= high)].astype(np.float64)
    at = ((value - low) / (high - low) * bins).astype(np.int64)
    counts = np.bincount(np.minimum(at, bins - 1), minlength=bins)
    return give(wrap(counts.astype(dtype_of(x))), out)


def _counted(x, name) -> np.ndarray:
    """The numbers of x, which NumPy counts: no program stands for that."""
    if not isinstance(at_bottom(x), np.ndarray):
        floor.get().needs_python(f"{name} counts with NumPy")
    return x.numpy_of()


def _need_bins(name, bins):
    if isinstance(bins, bool) or not hasattr(bins, "__index__") or bins <= 0:
        raise ArgumentError(f"{name}: bins must be a positive integer, got {bins!r}")


class Histogram(NamedTuple):
    """Counts (or densities) and the edges between which they were counted."""

    hist: object
    bin_edges: object


@method
def histogram(input, bins, *, range=None, weight=None, density=False, out=None):
    """Counts of elements between edges: `bins` equal ones over `range`, or given edges.

    >>> histogram(tensor([1., 2., 1.]), bins=4, range=(0., 3.)).hist
    tensor([0., 2., 1., 0.])
    """
    x = need_tensor(input, "histogram")
    if dtype_of(x) not in (np.float32, np.float64):
        raise DtypeError(f"histogram: needs float32 or float64, got {dtype_of(x).name}")
    points = _counted(x, "histogram").reshape(-1, 1)
    counts, edges = _histogram(points, [bins], range, weight, density)
    pair = wrap(counts), wrap(edges[0])
    if out is not None:
        pair = tuple(give(y, o) for y, o in zip(pair, out, strict=True))
    return Histogram(*pair)


@function
def histogramdd(input, bins, *, range=None, weight=None, density=False):
    """Counts of the points (rows) in the cells of a grid.

    >>> histogramdd(tensor([[0., 1.], [1., 0.]]), bins=[2, 2], weight=tensor([1., 2.])).hist
    tensor([[0., 1.],
            [2., 0.]])
    """
    x = need_tensor(input, "histogramdd")
    if x.ndim < 2:
        raise ShapeError(f"histogramdd: needs 2 dims at least, got {tuple(x.shape)}")
    points = _counted(x, "histogramdd").reshape(-1, x.shape[-1])
    bins = bins if isinstance(bins, (tuple, list)) else [bins] * x.shape[-1]
    if len(bins) != x.shape[-1]:
        raise ArgumentError(
            f"histogramdd: needs bins for {x.shape[-1]} dims, got {len(bins)}"
        )
    counts, edges = _histogram(points, list(bins), range, weight, density)
    return Histogram(wrap(counts), tuple(wrap(e) for e in edges))


def _histogram(points, bins, span, weight, density):
    d = points.dtype
    columns = points.T
    spans = [None] * len(bins) if span is None else _pairs(span, len(bins))
    edges = [
        _edges(b, column, s) for b, column, s in zip(bins, columns, spans, strict=True)
    ]
    w = None if weight is None else weight.numpy_of().ravel().astype(np.float64)
    if w is not None and len(w) != len(points):
        raise ShapeError(
            f"histogram: there must be a weight for each of {len(points)} points, "
            f"got {len(w)}"
        )
    counts, _ = np.histogramdd(points, edges, weights=w, density=density)
    return counts.astype(d), [e.astype(d) for e in edges]


def _pairs(span, count):
    if len(span) != 2 * count:
        raise ArgumentError(f"histogram: range needs {2 * count} numbers, got {span}")
    return [tuple(span[2 * i : 2 * i + 2]) for i in range(count)]


def _edges(bins, column, span):
    if isinstance(bins, Box):
        if bins.ndim != 1:
            raise ShapeError(
                f"histogram: edges must have one dim, got {tuple(bins.shape)}"
            )
        return bins.numpy_of()
    if not hasattr(bins, "__index__"):
        raise ArgumentTypeError(
            f"histogram: bins must be an integer or edges, not {bins!r}"
        )
    _need_bins("histogram", bins)
    if span is None and not column.size:
        span = (0, 1)
    low, high = _range("histogram", column, *(span or (0, 0)), 0.5)
    return np.linspace(low, high, bins + 1, dtype=column.dtype)
