"""Reading and writing at positions that are values: gather, scatter.

All index by `indices` the dims that start at `dim`: x[:, .., :, i, j, ..., :]. The faces
bring every NumPy key into this form; negative positions count from the end.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import bind, dtype_of
from ..core.primitive import Linear, Primitive, batch_to_front, op, total, with_batch
from ..core.shape import Spec, broadcast
from ..errors import ArgumentError, DimError, DtypeError, ShapeError


def _at(dim, indices):
    return (*(slice(None),) * dim, *indices)


def _check_bounds(shape, dim, indices):
    """The error with the value that lies outside, if one does."""
    for d, i in enumerate(indices, dim):
        n = shape[d]
        outside = i[(i < -n) | (i >= n)]
        if outside.size:
            raise out_of_bounds(outside.flat[0], d, n)


# What a position is for, in the place of its dim, where it is not for a dim of a tensor.
CLASS, TARGET, ROW, LENGTH, LAW = -1, -2, -3, -4, -5
_OUTSIDE = {
    CLASS: (ArgumentError, "{by}: classes must lie in [0, {n}), got {i}"),
    TARGET: (DimError, "{by}: target {i} is out of bounds: it must lie in [0, {most}]"),
    ROW: (DimError, "{by}: index {i} is out of bounds for a table of {n} rows"),
    LENGTH: (ArgumentError, "{by} must lie between 0 and {most}, got {i}"),
    LAW: (ArgumentError, "{by}"),
}
# What is wrong with the parameters of a law of random numbers, by what programs call it.
LAWS = {
    "bernoulli": "bernoulli: probabilities must be in [0, 1]",
    "binomial": "binomial: p is not in [0, 1]",
    "count": "binomial: a count is negative",
    "multinomial": "multinomial: probability tensor contains either `inf`, `nan` or element < 0",
    "nothing": "invalid multinomial distribution (sum of probabilities <= 0)",
    "normal": "normal expects all elements of std >= 0.0",
    "poisson": "invalid Poisson rate, expected rate to be non-negative",
}


def out_of_bounds(i, d, n, by="", site=None):
    """The error of a position outside of a dim, or of what else `d` says."""
    if d < 0:
        kind, text = _OUTSIDE[d]
        by = LAWS.get(by, by) if d == LAW else by
        return kind(text.format(by=by, i=i, n=n, most=n - 1), site=site)
    by = f"{by}: " if by else ""
    text = f"{by}index {i} is out of bounds for dimension {d} with size {n}"
    return DimError(text, site=site)


def lawful(x, holds, law: str):
    """x, of which this holds everywhere; else the error of the law."""
    wrong = op.cast(op.logical_not(holds), dtype=np.dtype(np.int64))
    wrong = op.bounded(wrong, n=1, dim=LAW, by=law, but=None)
    return op.add(x, op.cast(wrong, dtype=dtype_of(x)))


class Bounded(Primitive):
    """The positions x as they are, if each is in 0 ≤ x < n, or is `but`; else an error.

    `dim` is that which they are for, or CLASS, TARGET, ROW, LENGTH, LAW; `by` is told in the error.

    >>> op.bounded(tensor([2, 0]), n=3, dim=0, by="take", but=None)
    tensor([2, 0])
    """

    differentiable = False

    def samples(rng):
        params = {"n": 3, "dim": 1, "by": "take"}
        some = np.array([2, -100, 0])
        return [
            ((rng.integers(0, 3, (2, 4)),), {**params, "but": None}),
            ((some,), {**params, "dim": TARGET, "but": -100}),
        ]

    reference = staticmethod(lambda x, n, dim, by, but: np.where(x == but, x, x % n))

    def errors():
        text = "index {} is out of bounds for dimension 1 with size 3"
        told = {
            1: (DimError, f"take: {text}"),
            CLASS: (ArgumentError, "take: classes must lie in [0, 3), got {}"),
            TARGET: (
                DimError,
                "take: target {} is out of bounds: it must lie in [0, 2]",
            ),
            ROW: (DimError, "take: index {} is out of bounds for a table of 3 rows"),
            LENGTH: (ArgumentError, "take must lie between 0 and 2, got {}"),
            LAW: (ArgumentError, "take"),
        }
        return [
            (
                (np.array([i]),),
                {"n": 3, "dim": dim, "by": "take", "but": 7},
                kind,
                text.format(i),
            )
            for dim, (kind, text) in told.items()
            for i in (3, -1)
        ]

    def eager(x, *, n, dim, by, but):
        # One pass: as unsigned numbers, negative ones are the largest.
        if x.size and x.view(f"u{x.itemsize}").max() >= n:
            outside = x[((x < 0) | (x >= n)) & (x != but)]
            if outside.size:
                raise out_of_bounds(outside.flat[0], dim, n, by)
        return x

    def infer(self, x, **params):
        return x

    def batch(self, size, xs, dims, params):
        return op.bounded(xs[0], **params), dims[0]


def _flat(indices, shape, dim):
    """Positions in the flattened dims that the indices address, none negative."""
    total = 0
    for d, i in enumerate(indices, dim):
        n = shape[d]
        if i.size and (i.min() < 0 or i.max() >= n):
            _check_bounds(shape, dim, indices)
            i = np.where(i < 0, i + n, i)
        total = total * n + i
    return total


def _places(indices, shape, dim):
    """Where in the flattened array of `shape` each element of the result lies."""
    stop = dim + len(indices)
    flat = np.asarray(_flat(indices, shape, dim), np.int64).ravel()
    lead, tail = math.prod(shape[:dim]), math.prod(shape[stop:])
    if lead != 1:
        rows = np.arange(lead)[:, None] * math.prod(shape[dim:stop])
        flat = (rows + flat).ravel()
    if tail != 1:
        flat = (flat[:, None] * tail + np.arange(tail)).ravel()
    return flat


def _result_shape(name, x, indices, dim):
    for i in indices:
        if i.dtype.kind not in "iu":
            raise DtypeError(f"{name}: indices must be integers, got {i.dtype.name}")
    shape = broadcast(*(i.shape for i in indices), name=name)
    return (*x.shape[:dim], *shape, *x.shape[dim + len(indices) :])


def _batch_at(x, d, k):
    """`x` with its batch dim `d` at place `k`."""
    order = [i for i in range(x.ndim) if i != d]
    order.insert(k, d)
    return x if order == list(range(x.ndim)) else op.permute(x, dims=tuple(order))


def _aligned(indices, dims, size):
    """Batched indices with the batch dim first, and the position in the batch before them."""
    rank = max(i.ndim - (d is not None) for i, d in zip(indices, dims, strict=True))
    out = [np.arange(size).reshape(size, *(1,) * rank)]
    for i, d in zip(indices, dims, strict=True):
        if d is not None:
            i = batch_to_front(i, d)
            pad = (1,) * (rank + 1 - i.ndim)
            i = op.reshape(i, shape=(size, *pad, *i.shape[1:])) if pad else i
        out.append(i)
    return out


def _samples(make):
    """Samples of a record: make(rng, shape of the result, indices) for an x of (4, 3, 5)."""

    def samples(rng):
        out, of = [], (4, 3, 5)
        for dim, shapes in ((0, [(6,)]), (1, [(2, 3)]), (1, [(2, 1), (3,)])):
            stop = dim + len(shapes)
            sizes = zip(of[dim:stop], shapes, strict=True)
            indices = [rng.integers(-n, n, shape) for n, shape in sizes]
            shape = (*of[:dim], *broadcast(*shapes), *of[stop:])
            args, params = make(rng, shape, indices)
            out.append((args, {**params, "dim": dim}))
        return out

    return samples


def _each(shape, indices, dim):
    """(place in the result, place in x) for every element: indexing spelled out."""
    spread = np.broadcast_arrays(*indices)
    n, stop = spread[0].ndim, dim + len(indices)
    result = (*shape[:dim], *spread[0].shape, *shape[stop:])
    for at in np.ndindex(*result):
        inner = tuple(int(i[at[dim : dim + n]]) for i in spread)
        yield at, (*at[:dim], *inner, *at[dim + n :])


class Index(Linear):
    """yₐᵢ꜀ = xₐ,ᵢₙ₍ᵢ₎,꜀: the elements at integer positions; advanced indexing.

    >>> tensor([1., 2., 3.])[tensor([2, 0, 2])]
    tensor([3., 1., 3.])
    """

    samples = _samples(lambda rng, y, i: ((rng.normal(size=(4, 3, 5)), *i), {}))

    def reference(x, *indices, dim):
        shape = _result_shape("index", x, indices, dim)
        y = np.zeros(shape)
        for at, source in _each(x.shape, indices, dim):
            y[at] = x[source]
        return y

    def errors():
        x = np.zeros((4, 3))
        return [
            (
                (x, np.array([0, 4])),
                {"dim": 0},
                DimError,
                "index 4 is out of bounds for dimension 0 with size 4",
            ),
            (
                (x, np.array([-4])),
                {"dim": 1},
                DimError,
                "index -4 is out of bounds for dimension 1 with size 3",
            ),
            ((x, np.array([0.5])), {"dim": 1}, DtypeError, "must be integers"),
        ]

    def eager(x, *indices, dim):
        try:
            if len(indices) == 1:
                return x.take(indices[0], dim)
            return x[_at(dim, indices)]
        except IndexError:
            _check_bounds(x.shape, dim, indices)
            raise

    def shape(x, *indices, dim):
        return Spec(_result_shape("index", x, indices, dim), x.dtype)

    def transpose(g, x, *indices, dim):
        return op.unindex(g, *indices, dim=dim, shape=tuple(x.shape))

    def batch(self, size, xs, dims, params):
        (x, *indices), (dx, *di), dim = xs, dims, params["dim"]
        if all(d is None for d in di):
            return op.index(batch_to_front(x, dx), *indices, dim=dim + 1), 0
        rows, *indices = _aligned(indices, di, size)
        if dx is None:
            return op.index(x, *indices, dim=dim), dim
        return op.index(_batch_at(x, dx, dim), rows, *indices, dim=dim), dim


class Unindex(Linear):
    """Zeros of `shape`, plus x at the positions that `index` reads, with `+=` where it meets.

    The adjoint of index. Sums run in the order of x, so the bits are the same every time.

    >>> op.unindex(tensor([1., 2., 4.]), tensor([2, 0, 2]), dim=0, shape=(3,))
    tensor([2., 0., 5.])
    """

    samples = _samples(
        lambda rng, y, i: ((rng.normal(size=y), *i), {"shape": (4, 3, 5)})
    )

    def reference(x, *indices, dim, shape):
        y = np.zeros(shape)
        for at, target in _each(shape, indices, dim):
            y[target] += x[at]
        return y

    def eager(x, *indices, dim, shape):
        y = np.zeros(shape, x.dtype)
        # One flat index: over seven shapes of problem the fastest of six ways by 1.3 to 5.
        np.add.at(y.reshape(-1), _places(indices, shape, dim), x.ravel())
        return y

    def shape(x, *indices, dim, shape):
        target = Spec(tuple(shape), x.dtype)
        _check_source("unindex", target, x, indices, dim)
        return target

    def transpose(g, x, *indices, dim, shape):
        return op.index(g, *indices, dim=dim)

    def batch(self, size, xs, dims, params):
        (x, *indices), (dx, *di), dim = xs, dims, params["dim"]
        shape = params["shape"]
        x = with_batch(x, dx, size)
        if all(d is None for d in di):
            return op.unindex(x, *indices, dim=dim + 1, shape=(size, *shape)), 0
        indices = _aligned(indices, di, size)
        shape = (*shape[:dim], size, *shape[dim:])
        return op.unindex(_batch_at(x, 0, dim), *indices, dim=dim, shape=shape), dim


def _check_source(name, x, v, indices, dim):
    want = _result_shape(name, x, indices, dim)
    if tuple(v.shape) != want:
        raise ShapeError(
            f"{name}: values of shape {tuple(v.shape)} do not fit the {want} positions"
        )


def _batch_write(prim, size, xs, dims, params):
    """The batching rule of the records that write v into x."""
    (x, v, *indices), (dx, dv, *di), dim = xs, dims, params["dim"]
    x, v = with_batch(x, dx, size), with_batch(v, dv, size)
    if all(d is None for d in di):
        return bind(prim, x, v, *indices, **{**params, "dim": dim + 1}), 0
    x, v = _batch_at(x, 0, dim), _batch_at(v, 0, dim)
    return bind(prim, x, v, *_aligned(indices, di, size), **params), dim


class IndexPut(Primitive):
    """x₁ with x₂ at the positions that `index` reads; of several values the last stays.

    Only what stayed has a derivative: the cotangent of an overwritten value is zero.

    >>> x = zeros(3); x[tensor([2, 0])] = tensor([1., 5.]); x
    tensor([5., 0., 1.])
    """

    saves_y = False
    samples = _samples(
        lambda rng, y, i: ((rng.normal(size=(4, 3, 5)), rng.normal(size=y), *i), {})
    )

    def reference(x, v, *indices, dim):
        y = np.array(x)
        for at, target in _each(x.shape, indices, dim):
            y[target] = v[at]
        return y

    def errors():
        x, i = np.zeros((4, 3)), np.array([0, 1])
        text = "values of shape (3,) do not fit the (2, 3) positions"
        return [
            ((x, np.zeros(4), i), {"dim": 0}, ShapeError, text.replace("3,)", "4,)"))
        ]

    def eager(x, v, *indices, dim):
        y = x.copy()
        write(y, v, indices, dim)
        return y

    def infer(self, x, v, *indices, dim):
        _check_source("index_put", x, v, indices, dim)
        return x

    def keeps(self, need, count):
        return (False, False, *(True,) * (count - 2))

    def vjp(self, g, y, xs, params, need):
        (x, _, *indices), dim = xs, params["dim"]
        at = op.index(g, *indices, dim=dim)
        zeros = op.zeros_like(at)
        gx = op.index_put(g, zeros, *indices, dim=dim) if need[0] else None
        if not need[1]:
            return (gx, None, *(None,) * len(indices))
        stayed = _stayed(tuple(x.shape), indices, dim)
        return (gx, op.where(stayed, at, zeros), *(None,) * len(indices))

    def jvp(self, ts, y, xs, params):
        tx, tv = (
            op.zeros_like(x) if t is None else t
            for t, x in zip(ts[:2], xs[:2], strict=True)
        )
        return op.index_put(tx, tv, *xs[2:], **params)

    def batch(self, size, xs, dims, params):
        return _batch_write(self, size, xs, dims, params)


def write(y, v, indices, dim):
    """y[.., indices, ..] ← v in place; positions are checked before anything changes."""
    try:
        y[_at(dim, indices)] = v
    except IndexError:
        _check_bounds(y.shape, dim, indices)
        raise


def add(y, v, indices, dim):
    """y[.., indices, ..] += v in place, once for each position that is named."""
    places = _places(indices, y.shape, dim)
    if y.flags.c_contiguous:
        np.add.at(y.reshape(-1), places, v.ravel())
    else:
        np.add.at(y, _at(dim, indices), v)


def _stayed(shape, indices, dim):
    """Whether each written value was not overwritten by a later one."""
    written = broadcast(*(tuple(i.shape) for i in indices))
    stop = dim + len(indices)
    names = np.arange(math.prod(written)).reshape(written)
    blank = np.zeros(shape[dim:stop], names.dtype)
    last = op.index_put(blank, names, *indices, dim=0)
    same = op.eq(op.index(last, *indices, dim=0), names)
    return op.reshape(same, shape=(*written, *(1,) * (len(shape) - stop)))


_UFUNCS = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


class IndexReduce(Primitive):
    """x₁ combined with x₂ at the positions that `index` reads, by prod, amax or amin.

    Ties share the gradient evenly; products have theirs, to second order, at zeros too.

    >>> zeros(2).scatter_reduce(0, tensor([1, 1]), tensor([3., 2.]), "amax")
    tensor([0., 3.])
    """

    def samples(rng):
        base = _samples(lambda rng, y, i: ((np.zeros((4, 3, 5)), np.zeros(y), *i), {}))
        out = []
        for how in _UFUNCS:
            for (x, v, *i), params in base(rng):
                both = 0.4 + rng.permutation(x.size + v.size) / (x.size + v.size)
                args = both[: x.size].reshape(x.shape), both[x.size :].reshape(v.shape)
                out.append(((*args, *i), {**params, "reduce": how}))
        return out

    def reference(x, v, *indices, dim, reduce):
        y = np.array(x)
        combine = {"prod": float.__mul__, "amax": max, "amin": min}[reduce]
        for at, target in _each(x.shape, indices, dim):
            y[target] = combine(float(y[target]), float(v[at]))
        return y

    def eager(x, v, *indices, dim, reduce):
        y = np.array(x, order="C")
        _UFUNCS[reduce].at(y.reshape(-1), _places(indices, x.shape, dim), v.ravel())
        return y

    def infer(self, x, v, *indices, dim, reduce):
        _check_source("index_reduce", x, v, indices, dim)
        return x

    def vjp(self, g, y, xs, params, need):
        (x, v, *indices), dim = xs, params["dim"]
        wx, wv = _shares(y, x, v, indices, dim, params["reduce"])
        gv = op.index(g, *indices, dim=dim) * op.conj(wv)
        return (g * op.conj(wx), gv, *(None,) * len(indices))

    def jvp(self, ts, y, xs, params):
        (x, v, *indices), dim = xs, params["dim"]
        wx, wv = _shares(y, x, v, indices, dim, params["reduce"])
        tx = None if ts[0] is None else ts[0] * wx
        if ts[1] is None:
            return tx
        tv = op.unindex(ts[1] * wv, *indices, dim=dim, shape=tuple(x.shape))
        return total(tx, tv)

    def batch(self, size, xs, dims, params):
        return _batch_write(self, size, xs, dims, params)


def _shares(y, x, v, indices, dim, reduce):
    """The partial derivatives of the result by each element of x and of v."""
    shape = tuple(x.shape)

    def gather(z):
        return op.index(z, *indices, dim=dim)

    def count(hit_x, hit_v):
        return hit_x + op.unindex(hit_v, *indices, dim=dim, shape=shape)

    d = dtype_of(x)
    if reduce != "prod":
        hit_x, hit_v = op.cast(x == y, dtype=d), op.cast(v == gather(y), dtype=d)
        n = count(hit_x, hit_v)
        return hit_x / n, hit_v / gather(n)
    return _shares_of_product(x, v, gather, count, indices, dim)


def _shares_of_product(x, v, gather, count, indices, dim):
    """The same of a product: `gather` reads at the positions, `count` adds up at them."""
    # A factor's partial is the product of the others: p, of those that are not zero, over
    # itself, times the others that are zero. Where that is one, it stands as their sum, so
    # that the partial has the right derivative too.
    zero_x, zero_v = x == op.zeros_like(x), v == op.zeros_like(v)
    x1, v1 = op.where(zero_x, op.ones_like(x), x), op.where(zero_v, op.ones_like(v), v)
    x0, v0 = (op.where(z, a, op.zeros_like(a)) for z, a in ((zero_x, x), (zero_v, v)))
    p = op.index_reduce(x1, v1, *indices, dim=dim, reduce="prod")
    zero_x, zero_v = (op.cast(z, dtype=dtype_of(x)) for z in (zero_x, zero_v))
    n, s = count(zero_x, zero_v), count(x0, v0)
    wx = p / x1 * _only_zero(n - zero_x, s - x0)
    wv = gather(p) / v1 * _only_zero(gather(n) - zero_v, gather(s) - v0)
    return wx, wv


def _only_zero(n, s):
    """The product of n zeros whose sum is s."""
    none, one = op.zeros_like(n), op.ones_like(n)
    return op.where(n == none, one, op.where(n == one, s, none))
