"""Order along a dim: where sorted, largest, k-th, middle and most frequent elements are.

These give places (integers, without derivative); `take_along` fetches the elements, and
the derivative goes back to where they came from. And which of equal elements is the last.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ..core.bind import bind, dtype_of
from ..core.primitive import Primitive, batch_to_front, op
from ..core.shape import Spec
from .extremes import comparable

# Elements of a row up to which programs compare all with all: to sort it, to find some, to
# find the last of equals.
PAIRS, FEW, ALL_PAIRS = 64, 32, 512


@lru_cache(1024)
def _steps(size, before, after):
    steps = np.arange(size).reshape((1,) * before + (size,) + (1,) * after)
    steps.flags.writeable = False
    return steps


def mesh(index, dim) -> tuple:
    """Positions for every dim: those of `dim` from `index`, the others where they stand."""
    last = index.ndim - 1
    grid = [_steps(size, d, last - d) for d, size in enumerate(index.shape)]
    grid[dim] = index
    return tuple(grid)


def take_along(x, index, dim):
    """y = x[index] along `dim`, row by row."""
    return op.index(x, *mesh(index, dim), dim=0)


def take_one(x, index, dim):
    """y = x[index] along `dim`, which goes: one place a row."""
    last = index.ndim - 1
    grid = [_steps(size, d, last - d) for d, size in enumerate(index.shape)]
    return op.index(x, *grid[:dim], index, *grid[dim:], dim=0)


def put_along(y, index, dim, size):
    """x[index] += y along `dim` from zeros of `size`: the adjoint of `take_along`."""
    shape = (*y.shape[:dim], size, *y.shape[dim + 1 :])
    return op.unindex(y, *mesh(index, dim), dim=0, shape=shape)


# ---------------------------------------------------------------- places


class _Places(Primitive, abstract=True):
    """Places along `dim`, as integers."""

    differentiable = False

    def infer(self, x, *, dim, k=1, **params):
        return Spec((*x.shape[:dim], k, *x.shape[dim + 1 :]), np.dtype("int64"))

    def batch(self, size, xs, dims, params):
        x = batch_to_front(xs[0], dims[0])
        return bind(self, x, **{**params, "dim": params["dim"] + 1}), 0


def _row_samples(*options):
    return lambda rng: [((rng.normal(size=(3, 5, 2)),), p) for p in options]


def _part(x, dim, start, stop):
    return x[(slice(None),) * dim + (slice(start, stop),)]


def _ranked(x, dim, largest=False):
    """Places by ascending or descending order, NaN as the largest, equals as they come."""
    x = comparable(x)
    if not largest:
        return _stable(x, dim)
    return x.shape[dim] - 1 - np.flip(_stable(np.flip(x, dim), dim), dim)


def _stable(x, dim):
    """Stable order. The quick sort of floats costs a quarter of NumPy's stable one, so
    that is taken, and the places of equals are put in order in rows that have some."""
    if x.dtype.kind != "f" or x.size < 1024:
        return np.argsort(x, dim, kind="stable")
    x = np.moveaxis(x, dim, -1)
    places = np.argsort(x, -1)
    y = np.take_along_axis(x, places, -1)
    tied = ~(y[..., :-1] < y[..., 1:]).all(-1)
    if tied.any():
        places[tied] = _untied(y[tied], places[tied])
    return np.moveaxis(places, -1, dim)


def _untied(y, places):
    """The places within each run of equals (or of NaNs) of sorted rows in order."""
    start = np.zeros(y.shape, np.int64)
    start[..., 1:] = ~((y[..., 1:] == y[..., :-1]) | (y[..., :-1] != y[..., :-1]))
    start = np.cumsum(start, -1) * y.shape[-1]
    return np.sort(start + places, -1) - start


def _key(x, descending):
    """Whole numbers that are ordered as x, with room for one above: NaN is the largest."""
    d = dtype_of(x)
    if d.kind in "bui":
        key = op.cast(x, dtype=np.dtype("int32" if d.itemsize < 4 else "int64"))
    else:
        whole = np.dtype(f"int{8 * d.itemsize}")
        bits = op.bits(op.add(x, np.array(0, d)), dtype=whole)  # of 0.0 for -0.0
        most = np.array(np.iinfo(whole).max, whole)
        negative = op.lt(bits, np.array(0, whole))
        key = op.where(negative, op.bitwise_xor(bits, most), bits)
        key = op.where(op.ne(x, x), most - np.array(1, whole), key)
    return op.bitwise_not(key) if descending else key


def _ahead(x, y, earlier):
    """Whether x comes before y, which of equals the earlier one does."""
    if dtype_of(x) == np.int64:  # which may be the largest there is
        return op.logical_or(op.lt(x, y), op.logical_and(op.eq(x, y), earlier > 0))
    return op.lt(x, op.add(y, earlier))


def _placed(x, dim, k, descending):
    """The first k places, by counting for each element how many come before it."""
    n, order = x.shape[dim], [d for d in range(x.ndim) if d != dim]
    rows = op.permute(x, dims=(*order, dim))
    lead = rows.shape[:-1]
    x = _key(op.reshape(rows, shape=(math.prod(lead), n)), descending)
    one, other = (op.reshape(x, shape=(x.shape[0], *s)) for s in ((n, 1), (1, n)))
    earlier = np.tri(n, k=-1, dtype=dtype_of(x))  # of equals, that comes before
    ahead = op.cast(_ahead(other, one, earlier), dtype=np.dtype("float32"))
    rank = op.cast(op.sum(ahead, dim=(2,), keepdim=False), dtype=np.dtype("int64"))
    rank = op.reshape(rank, shape=(x.shape[0], 1, n))
    numbers = op.add(op.zeros_like(rank), np.arange(n))
    places = op.reshape(op.put(numbers, rank, size=k), shape=(*lead, k))
    back = sorted(range(len(order) + 1), key=[*order, dim].__getitem__)
    return op.permute(places, dims=tuple(back))


def _countable(x, dim, most=PAIRS) -> bool:
    small = 0 < x.shape[dim] <= most and math.prod(x.shape) > 0
    return small and dtype_of(x).kind != "c"


class Argsort(_Places):
    """Places in ascending or descending order along `dim`; NaN is largest, equals stay in order.

    >>> op.argsort(tensor([3., 1., 2.]), dim=0, descending=False)
    tensor([1, 2, 0])
    """

    samples = _row_samples(
        {"dim": 1, "descending": False},
        {"dim": 0, "descending": True},
    )
    reference = staticmethod(
        lambda x, dim, descending: np.argsort(-x if descending else x, dim)
    )

    def eager(x, *, dim, descending):
        return _ranked(x, dim, descending)

    def expand(x, *, dim, descending):
        if not _countable(x, dim):
            return op.argsort(x, dim=dim, descending=descending)
        return _placed(x, dim, x.shape[dim], descending)

    def infer(self, x, *, dim, descending):
        return Spec(x.shape, np.dtype("int64"))


class TopkIndex(_Places):
    """Places of the k largest or smallest elements along `dim`, best first.

    >>> op.topk_index(tensor([3., 1., 2.]), k=2, dim=0, largest=True)
    tensor([0, 2])
    """

    samples = _row_samples(
        {"k": 2, "dim": 1, "largest": True}, {"k": 3, "dim": 0, "largest": False}
    )
    reference = staticmethod(
        lambda x, k, dim, largest: _part(
            np.argsort(-x if largest else x, dim), dim, 0, k
        )
    )

    def eager(x, *, k, dim, largest):
        n, x = x.shape[dim], comparable(x)
        if 2 * k > n or k == 0:
            return _part(_ranked(x, dim, largest), dim, 0, k)
        places = _first_places(np.moveaxis(x, dim, -1), k, largest)
        return np.moveaxis(places, -1, dim)

    def expand(x, *, k, dim, largest):
        if not _countable(x, dim, FEW) or k == 0:
            return op.topk_index(x, k=k, dim=dim, largest=largest)
        return _placed(x, dim, k, largest)


def _first_places(rows, k, largest):
    """The places of the best k of each row; of equals, the first."""
    n = rows.shape[-1]
    parted = np.argpartition(rows, n - k if largest else k - 1, -1)
    some = np.sort(parted[..., n - k :] if largest else parted[..., :k], -1)
    found = np.take_along_axis(rows, some, -1)
    order = _ranked(found, -1, largest)
    places = np.take_along_axis(some, order, -1)
    worst = np.take_along_axis(rows, places[..., -1:], -1)
    left_out = _same(rows, worst).sum(-1) > _same(found, worst).sum(-1)
    if left_out.any():
        places[left_out] = _ranked(rows[left_out], -1, largest)[..., :k]
    return places


def _same(x, y):
    same = x == y
    return same | ((x != x) & (y != y)) if x.dtype.kind == "f" else same


class KthIndex(_Places):
    """The place of the element of rank `rank` (from 0) along `dim`; NaN is largest.

    >>> op.kth_index(tensor([3., 1., 2.]), rank=1, dim=0)
    tensor([2])
    """

    samples = _row_samples({"rank": 2, "dim": 1}, {"rank": 0, "dim": 0})
    reference = staticmethod(
        lambda x, rank, dim: np.take(np.argsort(x, dim), [rank], dim)
    )

    def eager(x, *, rank, dim):
        rows = np.moveaxis(comparable(x), dim, -1)
        place = np.argpartition(rows, rank, -1)[..., rank : rank + 1].copy()
        many = _same(rows, np.take_along_axis(rows, place, -1)).sum(-1) > 1
        if many.any():  # of equals, the one whose turn it is
            place[many] = _ranked(rows[many], -1)[..., rank : rank + 1]
        return np.moveaxis(place, -1, dim)

    def expand(x, *, rank, dim):
        if not _countable(x, dim, FEW):
            return op.kth_index(x, rank=rank, dim=dim)
        places = _placed(x, dim, rank + 1, False)
        key = [(0, n, 1) for n in places.shape]
        key[dim] = (rank, rank + 1, 1)
        return op.slice(places, key=tuple(key))


class MedianIndex(_Places):
    """The place of the lower middle element; of a NaN if there is one, or NaNs left out.

    >>> op.median_index(tensor([4., 1., 3., 2.]), dim=0, skip=False)
    tensor([3])
    """

    samples = _row_samples({"dim": 1, "skip": False}, {"dim": 2, "skip": True})
    reference = staticmethod(
        lambda x, dim, skip: np.take(np.argsort(x, dim), [(x.shape[dim] - 1) // 2], dim)
    )

    def eager(x, *, dim, skip):
        n = x.shape[dim]
        good = np.add.reduce(x == x, axis=dim, keepdims=True, dtype=np.int64)
        if good.min(initial=n) == n:
            return KthIndex.eager(x, rank=(n - 1) // 2, dim=dim)
        ranked = _ranked(x, dim)
        middle = np.maximum(good - 1, 0) // 2
        if not skip:
            middle = np.where(good < n, good, middle)
        return np.take_along_axis(ranked, middle, dim)

    def expand(x, *, dim, skip):
        if not _countable(x, dim, FEW):
            return op.median_index(x, dim=dim, skip=skip)
        n, places = x.shape[dim], _placed(x, dim, x.shape[dim], False)
        good = op.sum(op.eq(x, x), dim=(dim,), keepdim=True)
        most = op.maximum(good - np.array(1), np.array(0))
        middle = op.floor_divide(most, np.array(2))
        if not skip:
            middle = op.where(op.lt(good, np.array(n)), good, middle)
        here = op.eq(_steps(n, dim, x.ndim - dim - 1), middle)
        kept = op.where(here, places, np.array(0))
        return op.sum(kept, dim=(dim,), keepdim=True)


class ModeIndex(_Places):
    """The last place of the most frequent element along `dim`, the smallest of several.

    >>> op.mode_index(tensor([3., 1., 3., 2.]), dim=0)
    tensor([2])
    """

    def samples(rng):
        x = rng.integers(0, 3, (3, 6, 2)).astype(float)
        return [((x,), {"dim": 1}), ((x,), {"dim": 0})]

    def reference(x, dim):
        def last(row):
            values, counts = np.unique(row, return_counts=True)
            return np.flatnonzero(row == values[counts.argmax()])[-1:]

        return np.apply_along_axis(last, dim, x)

    def eager(x, *, dim):
        places = np.moveaxis(_ranked(x, dim), dim, -1)
        rows = np.take_along_axis(np.moveaxis(comparable(x), dim, -1), places, -1)
        n = rows.shape[-1]
        starts = np.ones(rows.shape, bool)
        starts[..., 1:] = rows[..., 1:] != rows[..., :-1]
        begun = np.maximum.accumulate(np.where(starts, np.arange(n), 0), axis=-1)
        run = np.arange(n) - begun
        longest = np.argmax(run, -1)[..., None]
        return np.moveaxis(np.take_along_axis(places, longest, -1), -1, dim)

    def expand(x, *, dim):
        n = x.shape[dim]
        if not math.prod(x.shape) or dtype_of(x).kind == "c":
            return op.mode_index(x, dim=dim)
        places = op.argsort.expand(x, dim=dim, descending=False)
        row, steps = take_along(x, places, dim), _steps(n, dim, x.ndim - dim - 1)
        back = op.roll(row, shifts=(1,), dims=(dim,))
        new = op.logical_or(op.ne(row, back), steps == 0)
        begun = op.where(new, steps + 1, np.array(0))
        run = steps - op.cummax_index(begun, dim=dim)
        longest = op.argmax.expand(run, dim=(dim,), keepdim=True)
        return take_along(places, longest, dim)


# ---------------------------------------------------------------- who comes last


class LastWriter(Primitive):
    """Whether no later element of the row has the same index: who wins when all write.

    >>> op.last_writer(tensor([[[2, 0, 2]]]))
    tensor([[[False,  True,  True]]])
    """

    differentiable = False

    def samples(rng):
        return [((rng.integers(0, 4, (2, 3, 5)),), {})]

    def reference(index):
        same = index[..., :, None] == index[..., None, :]
        return ~np.triu(same, 1).any(-1)

    def eager(index):
        rows = index.reshape(-1, index.shape[-1])
        first = np.arange(len(rows))[:, None] * (rows.max(initial=0) + 1)
        flat = (rows + first).ravel()
        writer = np.zeros(flat.max(initial=0) + 1, np.int64)
        writer[flat] = np.arange(flat.size)
        return (writer[flat] == np.arange(flat.size)).reshape(index.shape)

    def expand(index):
        *lead, n = index.shape
        if n > ALL_PAIRS:
            return _last_in_order(index)
        pair = (*lead, n, 1), (*lead, 1, n)
        same = op.eq(*(op.reshape(index, shape=s) for s in pair))
        later = op.logical_and(same, np.triu(np.ones((n, n), bool), 1))
        return op.logical_not(op.amax(later, dim=(len(lead) + 1,), keepdim=False))

    def infer(self, index):
        return Spec(index.shape, np.dtype(bool))

    def batch(self, size, xs, dims, params):
        return op.last_writer(batch_to_front(xs[0], dims[0])), 0


def _last_in_order(index):
    """The last of each run of equals, when the rows are sorted."""
    d, n = index.ndim - 1, index.shape[-1]
    places = op.argsort.expand(index, dim=d, descending=False)
    row = take_along(index, places, d)
    last = op.ne(row, op.roll(row, shifts=(-1,), dims=(d,)))
    last = op.logical_or(last, np.arange(n) == n - 1)
    marks = put_along(op.cast(last, dtype=np.dtype("int64")), places, d, n)
    return op.ne(marks, np.array(0))
