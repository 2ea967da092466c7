"""Resizing along a dim by a sparse table of weights: interpolation, averages of even windows."""

from __future__ import annotations

import functools
from functools import lru_cache

import numpy as np

from ..core.bind import dtype_of
from ..core.dtype import to_real, widened
from ..core.primitive import Linear, op
from ..core.shape import Spec


def even_span(i, n, m):
    """Start and end of window i of m even ones over n elements."""
    return i * n // m, -(-(i + 1) * n // m)


@lru_cache(256)
def table(n, size, rule):
    """(index, weight), each (size, taps): y[o] = Σ weight[o,k] x[index[o,k]].

    `rule` is (mode, align_corners, ratio of input to output steps or None).
    """
    mode, align, ratio = rule
    if mode == "adaptive":
        return even_table(n, size)
    if mode in ("nearest", "nearest-exact"):
        step = np.float32(n / size if ratio is None else ratio)
        return _nearest(n, size, step, 0.5 if mode == "nearest-exact" else 0)
    at = _places_between(n, size, align, ratio)
    return _of_two(n, at) if mode == "linear" else _of_four(n, at)


def _places_between(n, size, align, ratio):
    """Where the elements of the result lie among those of the input."""
    o = np.arange(size)
    if align:
        return o * ((n - 1) / (size - 1) if size > 1 else 0.0)
    return (o + 0.5) * (n / size if ratio is None else ratio) - 0.5


def _nearest(n, size, step, shift):
    """One element each, in single precision as PyTorch chooses it."""
    at = np.floor((np.arange(size, dtype=np.float32) + np.float32(shift)) * step)
    return np.minimum(at.astype(np.int64), n - 1)[:, None], np.ones((size, 1))


def _of_two(n, at):
    """The neighbours on both sides, by their nearness."""
    at = np.maximum(at, 0)
    low = np.minimum(np.floor(at).astype(np.int64), n - 1)
    part = np.minimum(at - low, 1)
    index = np.stack([low, np.minimum(low + 1, n - 1)], 1)
    return index, np.stack([1 - part, part], 1)


def _of_four(n, at):
    """Two neighbours on each side, by a cubic convolution."""
    low = np.floor(at).astype(np.int64)
    index = np.clip(low[:, None] + np.arange(-1, 3), 0, n - 1)
    return index, np.stack(cubic(at - low), 1)


def cubic(part, a=-0.75):
    """Weights of Keys' cubic convolution for the four neighbours, `part` past the second."""

    def inner(t):
        return ((a + 2) * t - (a + 3)) * t * t + 1

    def outer(t):
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    return outer(part + 1), inner(part), inner(1 - part), outer(2 - part)


def even_table(n, size):
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


def _sample(shape, dim, size):
    def samples(rng):
        rules = [
            ("linear", False, None),
            ("linear", True, None),
            ("cubic", False, 0.7),
            ("nearest", False, None),
            ("adaptive", False, None),
        ]
        return [
            ((rng.normal(size=shape),), {"dim": dim, "size": size, "rule": rule})
            for rule in rules
        ]

    return samples


def _matrix(n, size, rule):
    """The table as a matrix of weights: the oracle's form of it."""
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

    samples = _sample((2, 5, 3), 1, 7)
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
    weight = weight.T.astype(to_real(x.dtype))
    return weight.reshape(len(weight), -1, *(1,) * (x.ndim - dim - 1))


class ResizeBack(Linear):
    """The adjoint of `resize`: each element's share added to those it was made of.

    >>> op.resize_back(ones(4), dim=0, size=2, rule=("nearest", False, None))
    tensor([2., 2.])
    """

    samples = _sample((2, 7, 3), 1, 5)
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
        share = weight[rows, taps].astype(to_real(y.dtype))
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
