"""Statistics, searching, sorting, sets and sums by the standard's names."""

from __future__ import annotations

from collections import namedtuple

from ..core.bind import dtype_of
from ..core.dtype import uint64
from ..core.primitive import op
from ..core.shape import norm_dims
from ..errors import ShapeError
from ..functional.face import FUNCTIONS, cast, np_dtype
from .elementwise import need_array, unified

_f = FUNCTIONS


def sum(x, /, *, axis=None, dtype=None, keepdims=False):
    """Sum over axes; integers are summed as int64, those without a sign as uint64."""
    return _f["sum"](x, axis, keepdims, dtype=total_dtype(x, dtype))


def total_dtype(x, dtype):
    """The dtype of sums and products of `x`: asked for, or None for that of our functions."""
    unsigned = dtype is None and dtype_of(need_array(x, "sum")).kind == "u"
    return uint64 if unsigned else dtype


def prod(x, /, *, axis=None, dtype=None, keepdims=False):
    """Product over axes; integers as int64, those without a sign as uint64."""
    dims = norm_dims(axis, need_array(x, "prod").ndim)
    return _f["prod"](x, dims, keepdims, dtype=total_dtype(x, dtype))


def mean(x, /, *, axis=None, keepdims=False):
    """Mean over axes."""
    return _f["mean"](x, axis, keepdims)


def std(x, /, *, axis=None, correction=0.0, keepdims=False):
    """Standard deviation over axes; of all elements unless `correction` says otherwise."""
    return _f["std"](x, axis, correction=correction, keepdim=keepdims)


def var(x, /, *, axis=None, correction=0.0, keepdims=False):
    """Variance over axes; of all elements unless `correction` says otherwise."""
    return _f["var"](x, axis, correction=correction, keepdim=keepdims)


def max(x, /, *, axis=None, keepdims=False):
    """Largest element over axes."""
    return _f["amax"](x, () if axis is None else axis, keepdims)


def min(x, /, *, axis=None, keepdims=False):
    """Smallest element over axes."""
    return _f["amin"](x, () if axis is None else axis, keepdims)


def all(x, /, *, axis=None, keepdims=False):
    """Every element over axes is true."""
    return cast(_f["all"](x, axis, keepdims), np_dtype(bool))


def any(x, /, *, axis=None, keepdims=False):
    """Some element over axes is true."""
    return cast(_f["any"](x, axis, keepdims), np_dtype(bool))


def count_nonzero(x, /, *, axis=None, keepdims=False):
    """How many elements over axes are not zero."""
    return sum(
        cast(op.ne(x, op.zeros_like(x)), np_dtype(int)), axis=axis, keepdims=keepdims
    )


def argmax(x, /, *, axis=None, keepdims=False):
    """Where the first largest element is."""
    return _place("argmax", x, axis, keepdims)


def argmin(x, /, *, axis=None, keepdims=False):
    """Where the first smallest element is."""
    return _place("argmin", x, axis, keepdims)


def _place(name, x, axis, keepdims):
    y = _f[name](x, axis, keepdims if axis is not None else False)
    whole = axis is None and keepdims
    return op.reshape(y, shape=(1,) * x.ndim) if whole else y


def argsort(x, /, *, axis=-1, descending=False, stable=True):
    """The order in which the elements are sorted."""
    return _f["argsort"](x, axis, descending, stable)


def sort(x, /, *, axis=-1, descending=False, stable=True):
    """Sorted along an axis."""
    return _f["sort"](x, axis, descending, stable)[0]


def nonzero(x, /):
    """For each axis the indices of the elements that are not zero."""
    if need_array(x, "nonzero").ndim == 0:
        raise ShapeError("nonzero: a 0-d array has no axes", hint="reshape it to (1,)")
    return _f["nonzero"](x, as_tuple=True)


def searchsorted(x1, x2, /, *, side="left", sorter=None):
    """Where the elements of x2 would go into the sorted x1."""
    x1, x2 = unified(x1, x2)
    return _f["searchsorted"](x1, x2, side=side, sorter=sorter)


def where(condition, x1, x2, /):
    """x1 where the condition holds, x2 elsewhere."""
    return op.where(need_array(condition, "where"), *unified(x1, x2))


def cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False):
    """Sums of the first elements along an axis; with `include_initial` 0 comes first."""
    return _running("cumsum", x, axis, dtype, include_initial, op.zeros_like)


def cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False):
    """Products of the first elements along an axis; with `include_initial` 1 comes first."""
    return _running("cumprod", x, axis, dtype, include_initial, op.ones_like)


def _running(name, x, axis, dtype, include_initial, start):
    dtype = total_dtype(x, dtype)
    if axis is None and x.ndim != 1:
        raise ShapeError(f"{name}: axis is needed for an array of {x.ndim} dims")
    axis = 0 if axis is None else axis
    y = _f[name](x, axis, dtype=dtype)
    if not include_initial:
        return y
    shape = tuple(1 if i == axis % x.ndim else n for i, n in enumerate(x.shape))
    first = op.expand(start(op.reshape(y, shape=(-1,))[:0].sum()), shape=shape)
    return op.cat(cast(first, dtype_of(y)), y, dim=axis % x.ndim)


def diff(x, /, *, axis=-1, n=1, prepend=None, append=None):
    """Differences of neighbours, n times."""
    return _f["diff"](x, n, axis, prepend, append)


# ---------------------------------------------------------------- sets

UniqueAll = namedtuple("UniqueAll", "values indices inverse_indices counts")
UniqueCounts = namedtuple("UniqueCounts", "values counts")
UniqueInverse = namedtuple("UniqueInverse", "values inverse_indices")


def unique_all(x, /):
    """The different values, where each is first, which is at each place, how often."""
    values, inverse, counts = _f["unique"](x, return_inverse=True, return_counts=True)
    order = _f["argsort"](op.reshape(inverse, shape=(x.size_of(),)), stable=True)
    first = _f["cumsum"](counts, 0) - counts
    return UniqueAll(values, order[first], inverse, counts)


def unique_counts(x, /):
    """The different values, and how often each is there."""
    return UniqueCounts(*_f["unique"](x, return_counts=True))


def unique_inverse(x, /):
    """The different values, and which of them is at each place."""
    return UniqueInverse(*_f["unique"](x, return_inverse=True))


def unique_values(x, /):
    """The different values."""
    return _f["unique"](x)


__all__ = [
    *("all", "any", "argmax", "argmin", "argsort", "count_nonzero", "cumulative_prod"),
    *(
        "cumulative_sum",
        "diff",
        "max",
        "mean",
        "min",
        "nonzero",
        "prod",
        "searchsorted",
    ),
    *("sort", "std", "sum", "unique_all", "unique_counts", "unique_inverse"),
    *("unique_values", "var", "where"),
]
