"""Where the maxima of windows lie.

Pooling by maxima is `pick` at these places; averages are convolutions or tables (resize.py).
"""

from __future__ import annotations

import functools
import itertools
import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import Primitive, op, with_batch
from ..core.shape import Spec
from .resize import even_span, even_table
from .windows import merge_batch, padded, split_batch, tap_keys

MANY = 32  # taps; larger windows stay loops of NumPy's


class Windows(NamedTuple):
    """Windows over spatial dims of the sizes `size`, `out` of them along each."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    out: tuple[int, ...]

    def places(self) -> list[np.ndarray]:
        """For each dim where every window's taps lie, outside too: (windows, taps)."""
        return [
            np.arange(m)[:, None] * s - lo + np.arange(k) * d
            for k, s, (lo, _), d, m in zip(*self[1:], strict=True)
        ]

    def around(self) -> tuple[tuple[int, int], ...]:
        """The padding, more of it at the end where the last window reaches further."""
        return tuple(
            (lo, max(hi, (m - 1) * s + d * (k - 1) + 1 - n - lo))
            for n, k, s, (lo, hi), d, m in zip(*self, strict=True)
        )

    def starts(self) -> list[np.ndarray]:
        """For each dim where the first tap of every window that is inside lies."""
        first = [at[:, 0] for at in self.places()]
        return [
            np.minimum(at + (-np.minimum(at, 0) + d - 1) // d * d, n - 1)
            for at, d, n in zip(first, self.dilation, self.size, strict=True)
        ]

    def taps(self):
        """The positions within a window, the last dim the fastest."""
        return itertools.product(*map(range, self.kernel))


@lru_cache(64)
def _taps(windows):
    """The number of each window's first element, and tap by tap of what it meets: its numbers,
    and the slices of the padded input. Training asks for the same again and again."""
    first, places = _numbers(windows.size, windows.starts()), windows.places()
    numbers = [
        _numbers(windows.size, [at[:, k] for at, k in zip(places, tap, strict=True)])
        for tap in windows.taps()
    ]
    _, kernel, stride, _, dilation, out = windows
    return first, numbers, list(tap_keys(kernel, stride, dilation, out))


def _insides(windows):
    """Tap by tap, in which windows it meets the input rather than padding."""
    ranges = zip(windows.places(), windows.size, strict=True)
    inside = [(at >= 0) & (at < n) for at, n in ranges]
    return [
        functools.reduce(
            np.logical_and.outer, [x[:, k] for x, k in zip(inside, tap, strict=True)]
        )
        for tap in windows.taps()
    ]


def _numbers(size, places):
    """Row-major numbers of the elements at the grid of `places`, a row of them a dim."""
    total = np.zeros((), np.int64)
    for n, at in zip(size, places, strict=True):
        total = total[..., None] * n + at
    return total


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

    def eager(x, **params):
        windows, least = Windows(x.shape[2:], **params), _lowest(x.dtype)
        x = padded(x, windows.around(), least)
        first, numbers, keys = _taps(windows)
        index = np.broadcast_to(first, (*x.shape[:2], *windows.out)).copy()
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

    def expand(x, **params):
        windows = Windows(x.shape[2:], **params)
        if math.prod(windows.kernel) > MANY:
            return op.pool_argmax(x, **params)
        return _tap_by_tap(x, windows)


def _tap_by_tap(x, windows):
    """The places of maxima by comparing elements, one of each window at a time.

    A place is kept as its distance from where the window starts, the same in all windows.
    """
    first, numbers, keys = _taps(windows)
    best = np.array(_lowest(x.dtype), x.dtype)
    at = first - numbers[0]
    x = _zero_padded(x, windows.around())
    for number, inside, key in zip(numbers, _insides(windows), keys, strict=True):
        found = op.slice(x, key=_bounds(x.shape, key))
        better = _better(found, best)
        if not inside.all():
            better = op.logical_and(better, inside)
        best = op.where(better, found, best)
        distance = (number - numbers[0]).flat[0]
        at = op.where(better, np.array(distance), at)
    return op.add(at, numbers[0])


def _better(found, best):
    """Larger, or NaN."""
    larger = op.gt(found, best)
    if dtype_of(found).kind not in "fV":
        return larger
    return op.logical_or(larger, op.ne(found, found))


def _zero_padded(x, around):
    """`x` among zeros, for programs: `padded` is for arrays."""
    if not any(map(any, around)):
        return x
    around = ((0, 0), (0, 0), *around)
    sides = list(zip(x.shape, around, strict=True))
    shape = tuple(lo + n + hi for n, (lo, hi) in sides)
    return op.unslice(
        x, shape=shape, key=tuple((lo, lo + n, 1) for n, (lo, _) in sides)
    )


def _bounds(shape, key):
    """Slices of the last dims as the record `slice` has them."""
    spans = [(s.start, s.stop, s.step) for s in key[1:]]
    return (*((0, n, 1) for n in shape[:2]), *spans)


def _lowest(dtype):
    if dtype.kind in "fV":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min


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
                k = np.arange(n)
                near = (k >= i * n // m) & (k < -(-(i + 1) * n // m))
                inside &= near.reshape([-1 if d == e else 1 for e in range(len(out))])
            seen = np.where(inside, x, -np.inf).reshape(*x.shape[:2], -1)
            y[(..., *p)] = seen.argmax(-1)
        return y

    def eager(x, *, out):
        size = x.shape[2:]
        index = np.empty((*x.shape[:2], *out), np.int64)
        for p in itertools.product(*map(range, out)):
            spans = [even_span(i, n, m) for i, n, m in zip(p, size, out, strict=True)]
            window = x[(..., *(slice(*s) for s in spans))]
            places = _numbers(size, [np.arange(*s) for s in spans]).ravel()
            window = window.reshape(*x.shape[:2], len(places))
            index[(..., *p)] = places[window.argmax(-1)]
        return index

    def expand(x, *, out):
        if dtype_of(x).kind == "c" or 0 in (*x.shape, *out):
            return op.adaptive_argmax(x, out=out)
        size = x.shape[2:]
        rows = [even_table(n, m)[0] for n, m in zip(size, out, strict=True)]
        for d in reversed(range(len(out))):
            x = op.index(x, rows[d], dim=2 + d)
        order = (0, 1, *(2 + d for d in _windows_first(len(out))))
        taps = tuple(range(2 + len(out), 2 + 2 * len(out)))
        best = op.argmax.expand(op.permute(x, dims=order), dim=taps, keepdim=False)
        places = _numbers_of(size, rows)
        start = np.arange(math.prod(out)).reshape(out) * places.shape[-1]
        return op.index(places.reshape(-1), best + start, dim=0)

    def infer(self, x, *, out):
        return Spec((*x.shape[:2], *out), np.dtype("int64"))


def _windows_first(n: int):
    """The order of dims that makes (out, taps, out, taps, ...) of n dims (outs, taps)."""
    return (*range(0, 2 * n, 2), *range(1, 2 * n, 2))


def _numbers_of(size, rows):
    """The number of the place of each tap of each window: (windows, taps)."""
    grid = _numbers(size, [row.ravel() for row in rows])
    grid = grid.reshape([n for row in rows for n in row.shape])
    windows = math.prod(len(row) for row in rows)
    return grid.transpose(_windows_first(len(rows))).reshape(windows, -1)
