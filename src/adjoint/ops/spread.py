"""Variances, and norms of vectors."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import bind, dtype_of
from ..core.dtype import to_real, widened
from ..core.primitive import Primitive, batch_to_front, number, op
from ..core.shape import Spec, reduced
from .extremes import share_ties
from .reduce import count_of


class _Weighted(Primitive, abstract=True):
    """dy = Re Σ conj(w) dx, where w = rule(y, x, dim=..., ...), y's reduced dims kept."""

    family = "reduction"

    def infer(self, x, *, dim, keepdim, **params):
        return Spec(reduced(x.shape, dim, keepdim), to_real(x.dtype))

    def _weights(self, y, x, params):
        if self.saves_y:
            y = op.reshape(y, shape=reduced(x.shape, params["dim"], True))
        return self.rule(y, x, **{k: v for k, v in params.items() if k != "keepdim"})

    def vjp(self, g, y, xs, params, need):
        (x,) = xs
        g = op.reshape(g, shape=reduced(x.shape, params["dim"], True))
        return (as_kind(g, dtype_of(x)) * self._weights(y, x, params),)

    def jvp(self, ts, y, xs, params):
        w = self._weights(y, xs[0], params)
        if dtype_of(w).kind == "c":
            w = op.conj(w)
        t = ts[0] * w
        t = op.real(t) if dtype_of(t).kind == "c" else t
        return op.sum(t, dim=params["dim"], keepdim=params["keepdim"])

    def batch(self, size, xs, dims, params):
        x = batch_to_front(xs[0], dims[0])
        dim = tuple(d + 1 for d in params["dim"])
        return bind(self, x, **{**params, "dim": dim}), 0


def as_kind(x, d):
    """Real `x` as complex where `d` is."""
    return op.cast(x, dtype=d) if d.kind == "c" else x


class _Spread(_Weighted, abstract=True):
    """Over what is left of the degrees of freedom, n − correction."""

    _static = Primitive._static | {"rule"}

    def samples(rng):
        x = rng.normal(size=(3, 4, 2))
        return [
            ((x,), {"dim": (1,), "keepdim": False, "correction": 1}),
            ((x,), {"dim": (0, 2), "keepdim": True, "correction": 0}),
            ((x + 1j * x**2,), {"dim": (0, 1, 2), "keepdim": False, "correction": 1}),
        ]


def _centred(x, dim):
    return x - op.mean(x, dim=dim, keepdim=True)


def _freedom(x, dim, correction):
    return max(0, count_of(x, dim) - correction)


def _variance(x, dim, keepdim, correction):
    """Two passes: the mean, then the squares of what differs from it."""
    wide = np.float32 if x.dtype.itemsize == 2 else x.dtype
    mean = np.add.reduce(x, axis=dim, keepdims=True, dtype=wide)
    c = x - mean / _count_array(x, dim, wide)
    c = (
        c.real**2 + c.imag**2
        if c.dtype.kind == "c"
        else np.square(c, out=c if c.ndim else None)
    )
    y = np.add.reduce(c, axis=dim, keepdims=keepdim)
    return y / np.array(_freedom(x, dim, correction), y.dtype)


def _count_array(x, dim, d):
    return np.array(count_of(x, dim), d)


def _spread(x, dim, keepdim, correction):
    """The same in simpler operations."""
    y = op.sum(_square(_centred(x, dim)), dim=dim, keepdim=keepdim)
    return y / number(_freedom(x, dim, correction), y)


class Var(_Spread):
    """Σ |x − mean|² / (n − correction), in two passes.

    >>> tensor([1., 2., 3.]).var()
    tensor(1.)
    """

    saves_y = False
    reference = staticmethod(
        lambda x, dim, keepdim, correction: np.var(
            x, axis=dim, keepdims=keepdim, ddof=correction
        )
    )

    def eager(x, *, dim, keepdim, correction):
        return _variance(x, dim, keepdim, correction).astype(to_real(x.dtype))

    def expand(x, *, dim, keepdim, correction):
        if not dim:
            return op.var(x, dim=dim, keepdim=keepdim, correction=correction)
        return _spread(x, dim, keepdim, correction)

    def rule(y, x, dim, correction):
        free = number(_freedom(x, dim, correction) / 2, x)
        return op.div(_centred(x, dim), free)


class Std(_Spread):
    """√var; the derivative where nothing varies is 0.

    >>> tensor([1., 2., 3.]).std()
    tensor(1.)
    """

    reference = staticmethod(
        lambda x, dim, keepdim, correction: np.std(
            x, axis=dim, keepdims=keepdim, ddof=correction
        )
    )

    def eager(x, *, dim, keepdim, correction):
        y = np.sqrt(_variance(x, dim, keepdim, correction))
        return y.astype(to_real(x.dtype))

    def expand(x, *, dim, keepdim, correction):
        if not dim:
            return op.std(x, dim=dim, keepdim=keepdim, correction=correction)
        return op.sqrt(_spread(x, dim, keepdim, correction))

    def rule(y, x, dim, correction):
        free = number(_freedom(x, dim, correction), y)
        y = op.where(op.eq(y, number(0, y)), op.ones_like(y), y) * free
        return op.div(_centred(x, dim), as_kind(y, dtype_of(x)))


class VectorNorm(_Weighted):
    """(Σ |x|^p)^(1/p) over dims; p = ±∞ the extreme, 0 the count. The derivative at 0 is 0.

    >>> norm(tensor([3., -4.]))
    tensor(5.)
    """

    _static = Primitive._static | {"rule"}
    reference = staticmethod(
        lambda x, dim, keepdim, p: np.linalg.vector_norm(
            x, axis=dim, keepdims=keepdim, ord=p
        )
    )

    def samples(rng):
        x = rng.uniform(0.3, 2, (3, 4, 2)) * rng.choice([-1, 1], (3, 4, 2))
        some, most = {"dim": (1,), "keepdim": False}, {"dim": (0, 2), "keepdim": True}
        return [
            *(((x,), {**some, "p": p}) for p in (2, 1, 3, 1.5, np.inf, 0)),
            *(((x,), {**most, "p": p}) for p in (2, 0.5, -1, -np.inf)),
            *(((x + 0.5j * x**2,), {**some, "p": p}) for p in (2, 1, 3, np.inf)),
        ]

    def eager(x, *, dim, keepdim, p):
        a = widened(x)
        if p == 2 and a.dtype.kind != "c":
            y = np.sqrt(_squares(a, dim, keepdim))
        else:
            y = _norm(np.abs(a), dim, keepdim, p)
        return y.astype(to_real(x.dtype), copy=False)

    def expand(x, *, dim, keepdim, p):
        if not dim or 0 in x.shape:
            return op.vector_norm(x, dim=dim, keepdim=keepdim, p=p)
        return _length(x, p, dim=dim, keepdim=keepdim)

    def rule(y, x, dim, p):
        none = op.eq(y, number(0, y))
        unit = op.where(none, op.ones_like(y), y)
        if p == 0:
            return op.zeros_like(x)
        if p == 2:
            return x / as_kind(unit, dtype_of(x))
        if p == 1:
            return op.sgn(x)
        a = op.abs(x)
        if math.isinf(p):
            w = share_ties(y, a, dim)
        else:
            flat = op.logical_or(none, op.eq(a, number(0, a)))
            a = op.pow_scalar(op.where(flat, op.ones_like(a), a / unit), exponent=p - 1)
            w = op.where(flat, op.zeros_like(a), a)
        return op.sgn(x) * as_kind(w, dtype_of(x))


def _length(x, p, **over):
    """`_norm` in simpler operations."""
    if p == 2:
        return op.sqrt(op.sum(_square(x), **over))
    a = op.abs(x)
    if math.isinf(p):
        return (op.amax if p > 0 else op.amin)(a, **over)
    if p == 0:
        return op.sum(op.cast(op.ne(a, number(0, a)), dtype=dtype_of(a)), **over)
    if p == 1:
        return op.sum(a, **over)
    return op.pow(op.sum(op.pow(a, number(p, a)), **over), number(1 / p, a))


def _square(x):
    """|x|², real."""
    if dtype_of(x).kind != "c":
        return x * x
    a, b = op.real(x), op.imag(x)
    return a * a + b * b


def _squares(a, dim, keepdim):
    """Σ a²; over all elements without a temporary."""
    if len(dim) < a.ndim:
        return np.add.reduce(np.square(a), axis=dim, keepdims=keepdim)
    a = a.ravel("K")
    return a.dot(a).reshape((1,) * len(dim) if keepdim else ())


def _norm(a, dim, keepdim, p):
    over = {"axis": dim, "keepdims": keepdim}
    if p == np.inf:
        return np.maximum.reduce(a, **over, initial=0)
    if p == -np.inf:
        return np.minimum.reduce(a, **over)
    if p == 0:
        return np.add.reduce(a != 0, **over, dtype=a.dtype)
    if p == 1:
        return np.add.reduce(a, **over)
    if p == 2:
        return np.sqrt(np.add.reduce(np.square(a), **over))
    p = np.array(p, a.dtype)
    return np.power(np.add.reduce(np.power(a, p), **over), 1 / p)
