"""Running sums, products, extremes along `dim`, and the linear recurrence under them."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from ..core.bind import bind
from ..core.dtype import widened
from ..core.primitive import (
    Linear,
    Primitive,
    batch_to_front,
    conjugate,
    number,
    op,
    total,
    with_batch,
)
from ..core.shape import Spec
from .product import shifted
from .reduce import accumulator, exp_below


def _rows(*shapes, low=-1.5, high=1.5, **params):
    return lambda rng: [
        (tuple(rng.uniform(low, high, s) for s in shapes), {"dim": d, **params})
        for d in range(len(shapes[0]))
    ]


def _in_int64(x):
    return x if x.dtype.kind in "fcV" else x._replace(dtype=np.dtype("int64"))


def _running(ufunc, x, dim):
    """`ufunc.accumulate` in a dtype wide enough, the result in PyTorch's dtype for it."""
    wide = accumulator(x.dtype)
    y = ufunc.accumulate(x, axis=dim, dtype=wide)
    return y if wide is None or wide.kind == "i" else y.astype(x.dtype)


class _Scan(Primitive, abstract=True):
    """Keeps the shape; under vmap the dim moves one place."""

    def infer(self, x, *, dim):
        return x

    def batch(self, size, xs, dims, params):
        x = batch_to_front(xs[0], dims[0])
        return bind(self, x, **{**params, "dim": params["dim"] + 1}), 0


class Cumsum(Linear):
    """Running sum along `dim`.

    >>> cumsum(tensor([1., 2., 3.]), 0)
    tensor([1., 3., 6.])
    """

    reference = staticmethod(
        lambda x, dim: np.moveaxis(
            np.tril(np.ones((x.shape[dim],) * 2)) @ np.moveaxis(x, dim, -2), -2, dim
        )
    )

    def samples(rng):
        return [((rng.normal(size=(3, 4)),), {"dim": 1})]

    def eager(x, *, dim):
        return _running(np.add, x, dim)

    def shape(x, *, dim):
        return _in_int64(x)

    def transpose(g, x, *, dim):
        return op.flip(op.cumsum(op.flip(g, dims=(dim,)), dim=dim), dims=(dim,))

    def batched(x, *, dim):
        return op.cumsum(x, dim=dim + 1)


class Recurrence(Primitive):
    """y(i) = a(i) y(i−1) + b(i) along `dim` from y = 0 before; `reverse` runs from the end.

    Its adjoint is again a recurrence, the other way with a one place on: all that the
    derivatives of running products and log-sums need, with neither division nor overflow.

    >>> op.recurrence(tensor([0., 2., 2.]), tensor([1., 1., 1.]), dim=0, reverse=False)
    tensor([1., 3., 7.])
    """

    def samples(rng):
        a, b = rng.normal(size=(2, 3, 4))
        wide = rng.normal(size=(2, 3, 20))
        return [
            ((a, b), {"dim": 1, "reverse": False}),
            ((a, b), {"dim": 0, "reverse": True}),
            (tuple(wide), {"dim": 0, "reverse": False}),
            ((a + 1j * b, b - 0.5j * a), {"dim": 1, "reverse": True}),
        ]

    def reference(a, b, dim, reverse):
        a, b = np.moveaxis(a, dim, 0), np.moveaxis(b, dim, 0)
        n = len(a)
        y = np.zeros_like(b)
        for i in range(n):
            for j in range(i, n) if reverse else range(i + 1):
                between = a[i:j] if reverse else a[j + 1 : i + 1]
                y[i] = y[i] + b[j] * between.prod(0)
        return np.moveaxis(y, 0, dim)

    def eager(a, b, *, dim, reverse):
        a, b = (_along_front(x, dim, reverse) for x in (a, b))
        rows = b[:1].size
        run = _by_row if rows < 16 else _by_step
        y = run(a.reshape(len(a), rows), b.reshape(len(b), rows)).reshape(b.shape)
        y = np.moveaxis(y[::-1] if reverse else y, 0, dim)
        return np.ascontiguousarray(y)

    def infer(self, a, b, *, dim, reverse):
        return b

    def vjp(self, g, y, xs, params, need):
        dim, back = params["dim"], 1 if params["reverse"] else -1
        a = shifted(conjugate(xs[0]), dim, back, op.zeros_like)
        gb = op.recurrence(a, g, dim=dim, reverse=not params["reverse"])
        ga = gb * shifted(conjugate(y), dim, -back, op.zeros_like) if need[0] else None
        return ga, gb if need[1] else None

    def jvp(self, ts, y, xs, params):
        (ta, tb), dim = ts, params["dim"]
        if ta is not None:
            before = shifted(y, dim, -1 if params["reverse"] else 1, op.zeros_like)
            tb = total(tb, ta * before)
        return op.recurrence(xs[0], tb, **params)

    def batch(self, size, xs, dims, params):
        a, b = (with_batch(x, d, size) for x, d in zip(xs, dims, strict=True))
        return op.recurrence(a, b, **{**params, "dim": params["dim"] + 1}), 0

    def parts(a, b, *, dim, reverse):
        return op.recurrence_of_parts(*a, *b, dim=dim, reverse=reverse)


class RecurrenceOfParts(Primitive):
    """The recurrence of complex numbers a + ib, c + id, given and made in their parts.

    >>> a, b, c, d = zeros(2), ones(2), ones(2), zeros(2)
    >>> op.recurrence_of_parts(a, b, c, d, dim=0, reverse=False)
    (tensor([1., 1.]), tensor([0., 1.]))
    """

    outputs = 2
    differentiable = False  # it stands in programs, whose derivatives are taken before

    def samples(rng):
        return [(tuple(rng.normal(size=(4, 3, 2))), {"dim": 0, "reverse": True})]

    def reference(a, b, c, d, **params):
        y = Recurrence.reference(a + 1j * b, c + 1j * d, **params)
        return y.real, y.imag

    def eager(a, b, c, d, *, dim, reverse):
        y = op.recurrence.eager(a + 1j * b, c + 1j * d, dim=dim, reverse=reverse)
        return y.real.copy(), y.imag.copy()

    def infer(self, a, b, c, d, **params):
        return c, d


def _along_front(x, dim, reverse):
    x = np.moveaxis(x, dim, 0)
    return x[::-1] if reverse else x


def _by_step(a, b):
    """All rows together, a step at a time."""
    y = b.copy()
    for i in range(1, len(y)):
        y[i] += a[i] * y[i - 1]
    return y


def _by_row(a, b):
    """A row at a time in Python numbers: NumPy's calls cost more than short rows."""
    wide = complex if b.dtype.kind == "c" else float
    y = np.empty_like(b)
    for j in range(b.shape[1]):
        columns = (x[:, j].astype(wide).tolist() for x in (a, b))
        run = accumulate(
            zip(*columns, strict=True), lambda y, ab: ab[0] * y + ab[1], initial=0.0
        )
        y[:, j] = list(run)[1:]
    return y


class Cumprod(_Scan):
    """Running product along `dim`; its derivatives are right where elements are zero too.

    >>> cumprod(tensor([1., 2., 3.]), 0)
    tensor([1., 2., 6.])
    """

    samples = _rows((3, 4))

    def reference(x, dim):
        x = np.moveaxis(x, dim, 0)
        return np.moveaxis(
            np.stack([x[: i + 1].prod(0) for i in range(len(x))]), 0, dim
        )

    def eager(x, *, dim):
        return _running(np.multiply, x, dim)

    def parts(x, *, dim):
        """The recurrence of which the first factor is 0, and nothing is added after it."""
        n, rest = x[0].shape[dim], (1,) * (x[0].ndim - dim - 1)
        first = (np.arange(n) == 0).reshape(n, *rest)
        factors = [op.where(first, op.zeros_like(part), part) for part in x]
        start = [op.where(first, part, op.zeros_like(part)) for part in x]
        return op.recurrence_of_parts(*factors, *start, dim=dim, reverse=False)

    def infer(self, x, *, dim):
        return _in_int64(x)

    def vjp(self, g, y, xs, params, need):
        dim, x = params["dim"], conjugate(xs[0])
        before = shifted(conjugate(y), dim, 1, op.ones_like)
        after = shifted(x, dim, -1, op.zeros_like)
        return (before * op.recurrence(after, g, dim=dim, reverse=True),)

    def jvp(self, ts, y, xs, params):
        dim = params["dim"]
        before = shifted(y, dim, 1, op.ones_like)
        return op.recurrence(xs[0], before * ts[0], dim=dim, reverse=False)


class Logcumsumexp(_Scan):
    """Running ln Σ eˣ along `dim`, without overflow.

    >>> logcumsumexp(tensor([1000., 1000.]), 0)
    tensor([1000.0000, 1000.6932])
    """

    samples = _rows((3, 4))
    reference = staticmethod(lambda x, dim: np.log(np.cumsum(np.exp(x), dim)))

    def eager(x, *, dim):
        if x.dtype.kind == "c":
            return np.moveaxis(_complex_logs(np.moveaxis(x, dim, 0)), 0, dim)
        y = np.logaddexp.accumulate(widened(x), axis=dim)
        return y.astype(x.dtype, copy=False)

    def vjp(self, g, y, xs, params, need):
        dim = params["dim"]
        later = shifted(conjugate(_decay(y, dim)), dim, -1, op.zeros_like)
        return (
            conjugate(exp_below(xs[0], y))
            * op.recurrence(later, g, dim=dim, reverse=True),
        )

    def jvp(self, ts, y, xs, params):
        dim, decay = params["dim"], _decay(y, params["dim"])
        return op.recurrence(decay, exp_below(xs[0], y) * ts[0], dim=dim, reverse=False)

    def parts(x, *, dim):
        """Taken out is the sum of the sizes, |eᶻ|, which is above all."""
        top = op.logcumsumexp(x[0], dim=dim)
        top = op.where(op.eq(top, number(np.inf, top)), op.zeros_like(top), top)
        decay, size = _decay(top, dim), exp_below(x[0], top)
        shares = size * op.cos(x[1]), size * op.sin(x[1])
        sums = (op.recurrence(decay, c, dim=dim, reverse=False) for c in shares)
        real, imaginary = op.log.parts(tuple(sums))
        return real + top, imaginary


def _decay(y, dim):
    """What the sum before each element is of that with it; the first has none before."""
    return exp_below(
        shifted(y, dim, 1, lambda x: op.zeros_like(x) + number(-np.inf, x)), y
    )


def _complex_logs(x):
    """NumPy has no logaddexp of complex numbers: the larger modulus is taken out by hand."""
    y = x.copy()
    for i in range(1, len(x)):
        top = np.maximum(y[i - 1].real, x[i].real)
        top = np.where(np.isfinite(top), top, 0)
        y[i] = np.log(np.exp(y[i - 1] - top) + np.exp(x[i] - top)) + top
    return y


# ---------------------------------------------------------------- running extremes


class _LastPlace(_Scan, abstract=True):
    """Where the running extreme is, the last place at ties; the first NaN stays."""

    differentiable = False
    samples = _rows((3, 4))

    def infer(self, x, *, dim):
        return Spec(x.shape, np.dtype("int64"))


def _last_place(ufunc, x, dim):
    y = ufunc.accumulate(x, axis=dim)
    new = (x == y) | (x != x)
    steps = np.arange(x.shape[dim]).reshape(-1, *(1,) * (x.ndim - dim - 1))
    return np.maximum.accumulate(np.where(new, steps, 0), axis=dim)


def _place_by_loop(pick, x, dim):
    x = np.moveaxis(x, dim, 0)
    places = [i - pick(x[i::-1], 0) for i in range(len(x))]
    return np.moveaxis(np.stack(places), 0, dim)


class CummaxIndex(_LastPlace):
    """The place of the largest element so far along `dim`.

    >>> op.cummax_index(tensor([1., 3., 2., 3.]), dim=0)
    tensor([0, 1, 1, 3])
    """

    reference = staticmethod(lambda x, dim: _place_by_loop(np.argmax, x, dim))

    def eager(x, *, dim):
        return _last_place(np.maximum, x, dim)


class CumminIndex(_LastPlace):
    """The place of the smallest element so far along `dim`.

    >>> op.cummin_index(tensor([3., 1., 2., 1.]), dim=0)
    tensor([0, 1, 1, 3])
    """

    reference = staticmethod(lambda x, dim: _place_by_loop(np.argmin, x, dim))

    def eager(x, *, dim):
        return _last_place(np.minimum, x, dim)
