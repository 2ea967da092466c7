"""Where the maxima of windows lie, and resizing along a dim by a sparse table of weights.

Pooling by maxima is `pick` at these places; averages are convolutions or tables.
"""

from __future__ import annotations

import functools
import itertools
import math
from functools import lru_cache

import numpy as np

from ..core.bind import dtype_of
from ..core.dtype import widened
from ..core.primitive import Linear, Primitive, op, with_batch
from ..core.shape import Spec
from .conv import merge_batch, padded, split_batch, tap_keys
from .order import put_along, take_along


class _Places(Primitive, abstract=True):
    """Numbers of places of the spatial dims of (N,C,·)."""

    differentiable = False

    def batch(self, size, xs, dims, params):
        x = with_batch(xs[0], dims[0], size)
        return split_batch(self(merge_batch(x), **params), size), 0


class PoolArgmax(_Places):
    """The number of the place of the largest element of each window; `out` windows a dim.

    NaN counts as largest, as in PyTorch; padding never wins.

    >>> x = tensor([[[1., 5., 2., 3.]]])
    >>> p = dict(padding=((0, 0),), dilation=(1,), out=(2,))
    >>> op.pool_argmax(x, kernel=(2,), stride=(2,), **p)
    tensor([[[1, 3]]])
    """

    def samples(rng):
        x = rng.normal(size=(2, 2, 5, 6))
        p = {"kernel": (2, 3), "stride": (2, 1), "dilation": (2, 1)}
        return [((x,), {**p, "padding": ((1, 1), (1, 1)), "out": (3, 6)})]

    def reference(x, kernel, stride, padding, dilation, out):
        y = np.zeros((*x.shape[:2], *out), int)
        numbers = np.arange(np.prod(x.shape[2:])).reshape(x.shape[2:])
        for p in itertools.product(*map(range, out)):
            places = []
            for tap in itertools.product(*map(range, kernel)):
                at = [
                    i * s + k * d - lo
                    for i, s, k, d, (lo, _) in zip(
                        p, stride, tap, dilation, padding, strict=True
                    )
                ]
                if all(0 <= i < n for i, n in zip(at, x.shape[2:], strict=True)):
                    places.append(numbers[tuple(at)])
            flat = x.reshape(*x.shape[:2], -1)[..., places]
            y[(..., *p)] = np.array(places)[flat.argmax(-1)]
        return y

    def eager(x, *, kernel, stride, padding, dilation, out):
        size, least = x.shape[2:], _lowest(x.dtype)
        around = _reaching(size, kernel, stride, padding, dilation, out)
        x = padded(x, around, least) if any(map(any, around)) else x
        first, numbers, keys = _taps(size, kernel, stride, padding, dilation, out)
        index = np.broadcast_to(first, (*x.shape[:2], *out)).copy()
        best = np.full(index.shape, least, x.dtype)
        nans = x.dtype.kind in "fV" and x.size > 0 and bool(np.isnan(x.max()))
        for number, key in zip(numbers, keys, strict=True):
            found = x[key]
            better = found > best
            if nans:
                better |= np.isnan(found)
            np.copyto(best, found, where=better)
            np.copyto(index, number, where=better)
        return index

    def infer(self, x, *, out, **params):
        return Spec((*x.shape[:2], *out), np.dtype("int64"))

    def expand(x, *, kernel, stride, padding, dilation, out):
        plan = kernel, stride, padding, dilation, out
        if math.prod(kernel) > MANY:
            names = ("kernel", "stride", "padding", "dilation", "out")
            return op.pool_argmax(x, **dict(zip(names, plan, strict=True)))
        return _tap_by_tap(x, *plan)


MANY = 32  # taps; larger windows stay loops of NumPy's
ROW = 512  # elements of a row up to which all pairs are compared


def _tap_by_tap(x, kernel, stride, padding, dilation, out):
    """The places of maxima by comparing elements, one of each window at a time.

    A place is kept as its distance from where the window starts, the same in all windows.
    """
    size, around = (
        x.shape[2:],
        _reaching(x.shape[2:], kernel, stride, padding, dilation, out),
    )
    first, numbers, keys = _taps(size, kernel, stride, padding, dilation, out)
    insides = _insides(size, kernel, stride, padding, dilation, out)
    starts = numbers[0]
    best = np.array(_lowest(x.dtype), x.dtype)
    at = first - starts
    x = _zero_padded(x, around)
    for number, inside, key in zip(numbers, insides, keys, strict=True):
        found = op.slice(x, key=_bounds(x.shape, key))
        better = _better(found, best)
        if not inside.all():
            better = op.logical_and(better, inside)
        best = op.where(better, found, best)
        distance = (number - starts).flat[0]
        at = op.where(better, np.array(distance), at)
    return op.add(at, starts)


def _better(found, best):
    """Larger, or NaN."""
    larger = op.gt(found, best)
    if dtype_of(found).kind not in "fV":
        return larger
    return op.logical_or(larger, op.ne(found, found))


def _insides(size, kernel, stride, padding, dilation, out):
    """For each kernel element, where it meets the input rather than padding."""
    dims = []
    for n, k, s, (lo, _), d, m in zip(
        size, kernel, stride, padding, dilation, out, strict=True
    ):
        places = np.arange(k)[:, None] * d + np.arange(m) * s - lo
        dims.append((places >= 0) & (places < n))
    return [
        functools.reduce(np.logical_and.outer, tap) for tap in itertools.product(*dims)
    ]


def _zero_padded(x, around):
    if not any(map(any, around)):
        return x
    size = x.shape[2:]
    shape = [n + lo + hi for n, (lo, hi) in zip(size, around, strict=True)]
    key = [(lo, lo + n, 1) for n, (lo, _) in zip(size, around, strict=True)]
    lead = x.shape[:2]
    key = (*((0, n, 1) for n in lead), *key)
    return op.unslice(x, shape=(*lead, *shape), key=key)


def _bounds(shape, key):
    """Slices of the last dims as the record `slice` has them."""
    spans = [(s.start, s.stop, s.step) for s in key[1:]]
    return (*((0, n, 1) for n in shape[:2]), *spans)


def _lowest(dtype):
    if dtype.kind in "fV":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min


def _reaching(size, kernel, stride, padding, dilation, out):
    """Padding enlarged at the end so that the last window fits."""
    need = (
        (m - 1) * s + d * (k - 1) + 1 - n - lo
        for n, k, s, (lo, _), d, m in zip(
            size, kernel, stride, padding, dilation, out, strict=True
        )
    )
    return tuple(
        (lo, max(hi, more)) for (lo, hi), more in zip(padding, need, strict=True)
    )


def _first(size, kernel, stride, padding, dilation, out):
    """Number of each window's first element inside; where each tap lies, a dim at a time."""
    starts, steps = [], []
    for n, k, s, (lo, _), d, m in zip(
        size, kernel, stride, padding, dilation, out, strict=True
    ):
        place = np.arange(m)[:, None] * s - lo + np.arange(k) * d
        steps.append(place)
        start = place[:, 0]
        starts.append(
            np.minimum(start + (-np.minimum(start, 0) + d - 1) // d * d, n - 1)
        )
    return _combine(size, starts), steps


@lru_cache(64)
def _taps(size, kernel, stride, padding, dilation, out):
    """Each window's first element, and for each kernel element what it meets: its numbers, and
    the slices of the padded input. Training asks for the same again and again."""
    first, steps = _first(size, kernel, stride, padding, dilation, out)
    numbers = [
        _combine(size, [s[:, k] for s, k in zip(steps, tap, strict=True)])
        for tap in itertools.product(*map(range, kernel))
    ]
    return first, numbers, list(tap_keys(kernel, stride, dilation, out))


def _combine(size, places):
    """Row-major numbers of a grid of places."""
    total = np.zeros((), np.int64)
    for n, p in zip(size, places, strict=True):
        total = total[..., None] * n + p
    return total


class AdaptiveArgmax(_Places):
    """The number of the place of the largest element of each of `out` even windows.

    >>> op.adaptive_argmax(tensor([[[1., 5., 2., 3.]]]), out=(2,))
    tensor([[[1, 3]]])
    """

    def samples(rng):
        return [((rng.normal(size=(2, 2, 5, 7)),), {"out": (2, 3)})]

    def reference(x, out):
        y = np.zeros((*x.shape[:2], *out), int)
        for p in itertools.product(*map(range, out)):
            inside = np.full(x.shape[2:], True)
            for d, (i, m, n) in enumerate(zip(p, out, x.shape[2:], strict=True)):
                near = (np.arange(n) >= i * n // m) & (
                    np.arange(n) < -(-(i + 1) * n // m)
                )
                inside &= near.reshape([-1 if d == e else 1 for e in range(len(out))])
            y[(..., *p)] = (
                np.where(inside, x, -np.inf).reshape(*x.shape[:2], -1).argmax(-1)
            )
        return y

    def eager(x, *, out):
        size = x.shape[2:]
        index = np.empty((*x.shape[:2], *out), np.int64)
        for p in itertools.product(*map(range, out)):
            spans = [even_span(i, n, m) for i, n, m in zip(p, size, out, strict=True)]
            window = x[(..., *(slice(*s) for s in spans))]
            places = _combine(size, [np.arange(*s) for s in spans]).ravel()
            window = window.reshape(*x.shape[:2], len(places))
            index[(..., *p)] = places[window.argmax(-1)]
        return index

    def expand(x, *, out):
        if dtype_of(x).kind == "c" or 0 in (*x.shape, *out):
            return op.adaptive_argmax(x, out=out)
        size = x.shape[2:]
        rows = [_even_table(n, m)[0] for n, m in zip(size, out, strict=True)]
        for d in reversed(range(len(out))):
            x = op.index(x, rows[d], dim=2 + d)
        m = len(out)  # now (N, C, out, taps, out, taps, ...)
        order = (0, 1, *range(2, 2 + 2 * m, 2), *range(3, 3 + 2 * m, 2))
        taps = tuple(range(2 + m, 2 + 2 * m))
        best = op.argmax.expand(op.permute(x, dims=order), dim=taps, keepdim=False)
        places = _numbers_of(size, rows)
        start = np.arange(math.prod(out)).reshape(out) * places.shape[-1]
        return op.index(places.reshape(-1), best + start, dim=0)

    def infer(self, x, *, out):
        return Spec((*x.shape[:2], *out), np.dtype("int64"))


def _numbers_of(size, rows):
    """The number of the place of each tap of each window: (windows, taps)."""
    places = np.zeros((1, 1), np.int64)
    for n, row in zip(size, rows, strict=True):
        places = places[:, None, :, None] * n + row[None, :, None, :]
        places = places.reshape(-1, places.shape[2] * places.shape[3])
    return places


class LastWriter(_Places):
    """Whether no later element of the row has the same index: who wins when all write.

    >>> op.last_writer(tensor([[[2, 0, 2]]]))
    tensor([[[False,  True,  True]]])
    """

    def samples(rng):
        return [((rng.integers(0, 4, (2, 3, 5)),), {})]

    def reference(index):
        same = index[..., :, None] == index[..., None, :]
        return ~np.triu(same, 1).any(-1)

    def eager(index):
        rows = index.reshape(-1, index.shape[-1])
        flat = (
            rows + np.arange(len(rows))[:, None] * (rows.max(initial=0) + 1)
        ).ravel()
        writer = np.zeros(flat.max(initial=0) + 1, np.int64)
        writer[flat] = np.arange(flat.size)
        return (writer[flat] == np.arange(flat.size)).reshape(index.shape)

    def expand(index):
        *lead, n = index.shape
        if n > ROW:
            return _last_in_order(index)
        pair = (*lead, n, 1), (*lead, 1, n)
        same = op.eq(*(op.reshape(index, shape=s) for s in pair))
        later = op.logical_and(same, np.triu(np.ones((n, n), bool), 1))
        return op.logical_not(op.amax(later, dim=(len(lead) + 1,), keepdim=False))

    def infer(self, index):
        return Spec(index.shape, np.dtype(bool))


def _last_in_order(index):
    """The last of each run of equals, when the rows are sorted."""
    d, n = index.ndim - 1, index.shape[-1]
    places = op.argsort.expand(index, dim=d, descending=False)
    row = take_along(index, places, d)
    last = op.ne(row, op.roll(row, shifts=(-1,), dims=(d,)))
    last = op.logical_or(last, np.arange(n) == n - 1)
    marks = put_along(op.cast(last, dtype=np.dtype("int64")), places, d, n)
    return op.ne(marks, np.array(0))


def even_span(i, n, m):
    """Start and end of window i of m even ones over n elements."""
    return i * n // m, -(-(i + 1) * n // m)


# ---------------------------------------------------------------- resizing


@lru_cache(256)
def table(n, size, rule):
    """(index, weight), each (size, taps): y[o] = Σ weight[o,k] x[index[o,k]].

    `rule` is (mode, align_corners, ratio of input to output steps or None).
    """
    mode, align, ratio = rule
    if mode == "adaptive":
        return _even_table(n, size)
    if mode in ("nearest", "nearest-exact"):
        step = np.float32(n / size if ratio is None else ratio)
        shift = np.float32(0.5 if mode == "nearest-exact" else 0)
        at = np.floor((np.arange(size, dtype=np.float32) + shift) * step).astype(
            np.int64
        )
        return np.minimum(at, n - 1)[:, None], np.ones((size, 1))
    at = _places_between(n, size, align, ratio)
    if mode == "linear":
        at = np.maximum(at, 0)
        low = np.minimum(np.floor(at).astype(np.int64), n - 1)
        part = np.minimum(at - low, 1)
        return np.stack([low, np.minimum(low + 1, n - 1)], 1), np.stack(
            [1 - part, part], 1
        )
    low = np.floor(at).astype(np.int64)
    index = np.clip(low[:, None] + np.arange(-1, 3), 0, n - 1)
    return index, np.stack(cubic(at - low), 1)


def _places_between(n, size, align, ratio):
    o = np.arange(size)
    if align:
        return o * ((n - 1) / (size - 1) if size > 1 else 0.0)
    return (o + 0.5) * (n / size if ratio is None else ratio) - 0.5


def cubic(part, a=-0.75):
    """Weights of Keys' cubic convolution for the four neighbours, `part` past the second."""

    def inner(t):
        return ((a + 2) * t - (a + 3)) * t * t + 1

    def outer(t):
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    return outer(part + 1), inner(part), inner(1 - part), outer(2 - part)


def _even_table(n, size):
    """Averages of even windows. Short windows take their first element more than once, at
    a share of its weight: a weight of zero would make NaN of an infinity."""
    spans = [even_span(o, n, size) for o in range(size)]
    taps = max(b - a for a, b in spans)
    index, weight = np.empty((size, taps), np.int64), np.empty((size, taps))
    for o, (a, b) in enumerate(spans):
        spare = taps - (b - a)
        index[o] = [a] * spare + list(range(a, b))
        weight[o] = 1 / (b - a)
        weight[o, : spare + 1] /= spare + 1
    return index, weight


def _sample(shape, dim, n, size):
    def samples(rng):
        rules = [
            ("linear", False, None),
            ("linear", True, None),
            ("cubic", False, 0.7),
            ("nearest", False, None),
            ("adaptive", False, None),
        ]
        return [
            ((rng.normal(size=shape),), {"dim": dim, **n, "size": size, "rule": rule})
            for rule in rules
        ]

    return samples


def _matrix(n, size, rule):
    out = np.zeros((size, n))
    for o, (index, weight) in enumerate(zip(*table(n, size, rule), strict=True)):
        for i, w in zip(index, weight, strict=True):
            out[o, i] += w
    return out


class Resize(Linear):
    """Along `dim` to `size` elements, each a weighted sum of a few by the `rule`'s table.

    >>> op.resize(tensor([1., 3.]), dim=0, size=4, rule=("linear", False, None))
    tensor([1.0000, 1.5000, 2.5000, 3.0000])
    """

    samples = _sample((2, 5, 3), 1, {}, 7)
    reference = staticmethod(
        lambda x, dim, size, rule: np.moveaxis(
            np.tensordot(_matrix(x.shape[dim], size, rule), x, (1, dim)), 0, dim
        )
    )

    def eager(x, *, dim, size, rule):
        index, weight = table(x.shape[dim], size, rule)
        if rule[0].startswith("nearest"):
            return np.take(x, index[:, 0], dim)
        wide = widened(x)
        weight = _beside(weight, wide, dim)
        y = np.take(wide, index[:, 0], dim) * weight[0]
        for k in range(1, index.shape[1]):
            y += np.take(wide, index[:, k], dim) * weight[k]
        return y.astype(x.dtype, copy=False)

    def shape(x, *, dim, size, rule):
        return Spec((*x.shape[:dim], size, *x.shape[dim + 1 :]), x.dtype)

    def expand(x, *, dim, size, rule):
        n = x.shape[dim]
        if rule[0] != "adaptive" or n % size:
            return _by_taps(x, dim, size, rule)
        parts = (*x.shape[:dim], size, n // size, *x.shape[dim + 1 :])
        parts = op.reshape(x, shape=parts)
        return op.mean(parts, dim=(dim + 1,), keepdim=False)

    def transpose(g, x, *, dim, size, rule):
        return op.resize_back(g, dim=dim, size=x.shape[dim], rule=rule)

    def batched(x, *, dim, size, rule):
        return op.resize(x, dim=dim + 1, size=size, rule=rule)


def _by_taps(x, dim, size, rule):
    """Each tap's elements at their positions, which are known, times its weights."""
    index, weight = table(x.shape[dim], size, rule)
    taps = [np.ascontiguousarray(column) for column in index.T]
    if rule[0].startswith("nearest"):
        return op.index(x, taps[0], dim=dim)
    if dtype_of(x).kind in "bui":
        return op.resize(x, dim=dim, size=size, rule=rule)
    terms = [
        op.index(x, tap, dim=dim) * w
        for tap, w in zip(taps, _beside(weight, x, dim), strict=True)
    ]
    return functools.reduce(lambda a, b: a + b, terms)


def _to_taps(y, dim, size, rule):
    """The adjoint: every element's share to each of its positions."""
    index, weight = table(size, y.shape[dim], rule)
    shape = (*y.shape[:dim], size, *y.shape[dim + 1 :])
    if rule[0].startswith("nearest"):
        index = np.ascontiguousarray(index[:, 0])
        return op.unindex(y, index, dim=dim, shape=shape)
    if dtype_of(y).kind in "bui":
        return op.resize_back(y, dim=dim, size=size, rule=rule)
    weight = _beside(weight, y, dim)
    weight = np.ascontiguousarray(np.moveaxis(weight, 0, 1))
    each = op.reshape(y, shape=(*y.shape[: dim + 1], 1, *y.shape[dim + 1 :]))
    return op.unindex(each * weight, index, dim=dim, shape=shape)


def _beside(weight, x, dim):
    """Weights by tap, shaped to multiply x along `dim`, in its precision."""
    weight = weight.T.astype(np.zeros((), x.dtype).real.dtype)
    return weight.reshape(len(weight), -1, *(1,) * (x.ndim - dim - 1))


class ResizeBack(Linear):
    """The adjoint of `resize`: each element's share added to those it was made of.

    >>> op.resize_back(ones(4), dim=0, size=2, rule=("nearest", False, None))
    tensor([2., 2.])
    """

    samples = _sample((2, 7, 3), 1, {}, 5)
    reference = staticmethod(
        lambda y, dim, size, rule: np.moveaxis(
            np.tensordot(_matrix(size, y.shape[dim], rule), y, (0, dim)), 0, dim
        )
    )

    def eager(y, *, dim, size, rule):
        index, weight = table(size, y.shape[dim], rule)
        x = np.zeros((size, *y.shape[:dim], *y.shape[dim + 1 :]), y.dtype)
        order = np.argsort(index, axis=None, kind="stable")
        if not len(order):
            return np.moveaxis(x, 0, dim)
        rows, taps = np.divmod(order, index.shape[1])
        share = weight[rows, taps].astype(np.zeros((), y.dtype).real.dtype)
        parts = np.moveaxis(y, dim, 0)[rows] * share.reshape(-1, *(1,) * (y.ndim - 1))
        found, starts = np.unique(index.ravel()[order], return_index=True)
        x[found] = np.add.reduceat(parts, starts, axis=0)
        return np.moveaxis(x, 0, dim)

    def shape(y, *, dim, size, rule):
        return Spec((*y.shape[:dim], size, *y.shape[dim + 1 :]), y.dtype)

    def expand(y, *, dim, size, rule):
        n = y.shape[dim]
        if rule[0] != "adaptive" or size % n:
            return _to_taps(y, dim, size, rule)
        shape = (*y.shape[: dim + 1], 1, *y.shape[dim + 1 :])
        share = op.mul(op.reshape(y, shape=shape), np.array(n / size, dtype_of(y)))
        parts = (*y.shape[: dim + 1], size // n, *y.shape[dim + 1 :])
        whole = (*y.shape[:dim], size, *y.shape[dim + 1 :])
        return op.reshape(op.expand(share, shape=parts), shape=whole)

    def transpose(g, y, *, dim, size, rule):
        return op.resize(g, dim=dim, size=y.shape[dim], rule=rule)

    def batched(y, *, dim, size, rule):
        return op.resize_back(y, dim=dim + 1, size=size, rule=rule)
