"""Activations with a bend, softmax and its kin, standardization: where a formula over other
operations would lose the derivative at a kink, precision, or a pass over memory.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import bind, dtype_of
from ..core.dtype import widened
from ..core.primitive import Elementwise, Primitive, batch_to_front, number, op, total
from ..core.shape import reduced
from .blockwise import blockwise, rowwise
from .erf import (
    density_array,
    gelu_slope_single,
    ndtr_array,
    ndtr_single,
    normal_density,
)
from .samples import uniform

_ANY = np.array([[-7.0, -1.3], [-0.4, 0.3], [0.9, 6.5]])


def _with(**params):
    """A sampler that stays clear of kinks at 0, ±1, ±3 and 6."""
    return lambda rng: [((_ANY + rng.uniform(-0.2, 0.2, (3, 2)),), params)]


def flat(t, x):
    """What is constant in x between kinks: a value with a place in its graph, as `relu`'s."""
    return op.held(t, x)


class LeakyRelu(Elementwise):
    """x where x > 0, slope · x elsewhere, at 0 too.

    >>> nn.functional.leaky_relu(tensor([-1., 2.]), 0.1)
    tensor([-0.1000,  2.0000])
    """

    takes = "f"
    samples = _with(slope=0.2)
    reference = staticmethod(
        lambda x, slope: np.clip(x, 0, None) + slope * np.clip(x, None, 0)
    )

    def eager(x, *, slope):
        bent = x * np.asarray(slope, x.dtype) if slope else np.zeros((), x.dtype)
        return np.maximum(x, bent) if slope <= 1 else np.minimum(x, bent)

    def dx(t, x, slope):
        return flat(t * op.where(x > 0, number(1, x), number(slope, x)), x)

    def lower(b, x, slope):
        if slope == 0:
            return b.maximum(x, 0.0)
        return b.select(b.compare(">", x, 0.0), x, b.mul(x, slope))


class Elu(Elementwise):
    """scale · x where x > 0, scale · α (e^(rate x) − 1) elsewhere; elu, celu and selu.

    >>> nn.functional.elu(tensor([-1., 2.]))
    tensor([-0.6321,  2.0000])
    """

    takes = "f"
    samples = _with(alpha=1.5, scale=1.2, rate=0.8)
    reference = staticmethod(
        lambda x, alpha, scale, rate: (
            scale
            * (np.clip(x, 0, None) + alpha * (np.exp(rate * np.clip(x, None, 0)) - 1))
        )
    )

    def eager(x, *, alpha, scale, rate):
        a, s, r = (np.asarray(v, x.dtype) for v in (alpha * scale, scale, rate))
        bent = np.asarray(np.minimum(x, 0))
        bent *= r
        np.expm1(bent, out=bent)
        bent *= a
        bent += s * np.maximum(x, 0)
        return bent

    def dx(t, x, alpha, scale, rate):
        bent = (alpha * scale * rate) * op.exp(rate * op.minimum(x, number(0, x)))
        return op.where(x <= 0, t * bent, t * scale)

    def lower(b, x, alpha, scale, rate):
        bent = b.mul(b.expm1(b.mul(b.minimum(x, 0.0), rate)), alpha * scale)
        return b.fma(b.maximum(x, 0.0), scale, bent)


class Hardtanh(Elementwise):
    """x limited to [low, high]; the derivative is 0 from the limits on.

    >>> nn.functional.hardtanh(tensor([-3., 0.5, 3.]))
    tensor([-1.0000,  0.5000,  1.0000])
    """

    lowers = "uif"
    takes = "uif"
    samples = _with(low=-1.0, high=3.0)
    reference = staticmethod(
        lambda x, low, high: np.sort([x, low + 0 * x, high + 0 * x], 0)[1]
    )

    def eager(x, *, low, high):
        low, high = np.asarray(low, x.dtype), np.asarray(high, x.dtype)
        return np.minimum(np.maximum(x, low), high)

    def dx(t, x, low, high):
        inside = op.logical_and(x > number(low, x), x < number(high, x))
        return flat(op.where(inside, t, number(0, t)), x)

    def lower(b, x, low, high):
        return b.minimum(b.maximum(x, low), high)


class Softplus(Elementwise):
    """ln(1 + e^(βx)) / β, linear where βx exceeds `threshold`.

    >>> nn.functional.softplus(tensor([0., 1000.]))
    tensor([6.9315e-01, 1.0000e+03])
    """

    takes = "f"
    samples = _with(beta=1.5, threshold=20.0)
    reference = staticmethod(
        lambda x, beta, threshold: np.log(1 + np.exp(beta * x)) / beta
    )

    def eager(x, *, beta, threshold):
        b = np.asarray(beta, x.dtype)
        z = x * b
        soft = np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))
        return np.where(z > threshold, x, soft / b)

    def dx(t, x, beta, threshold):
        z = x * beta
        return op.where(z > threshold, t, t * op.sigmoid(z))

    def lower(b, x, beta, threshold):
        z = b.mul(x, beta)
        soft = b.add(b.maximum(z, 0.0), b.log1p(b.exp(b.neg(b.abs(z)))))
        return b.select(b.compare(">", z, threshold), x, b.div(soft, beta))


class Silu(Elementwise):
    """x σ(x), "swish".

    >>> nn.functional.silu(tensor([0., 2.]))
    tensor([0.0000, 1.7616])
    """

    takes = "f"
    samples = uniform((3, 2), low=-6, high=6)
    reference = staticmethod(lambda x: x / (1 + np.exp(-x)))

    def eager(x):
        return x / (1 + np.exp(-x))

    def dx(t, x):
        s = op.sigmoid(x)
        return t * (s * (1 + x * (1 - s)))

    def lower(b, x):
        return b.silu(x)


class Gelu(Elementwise):
    """x Φ(x), with Φ the normal distribution function.

    >>> nn.functional.gelu(tensor([0., 2.]))
    tensor([0.0000, 1.9545])
    """

    takes = "f"
    samples = uniform((3, 2), low=-4, high=4)
    reference = staticmethod(
        np.vectorize(lambda x: x * math.erfc(-x / math.sqrt(2)) / 2, otypes=[float])
    )

    eager = blockwise(lambda x: x * ndtr_array(x), lambda x: x * ndtr_single(x))

    def dx(t, x):
        return t * op.gelu_slope(x)

    def lower(b, x):
        return b.gelu(x)


class GeluSlope(Elementwise):
    """Φ(x) + x φ(x), the derivative of `gelu`; 1 and 0 at infinities.

    >>> op.gelu_slope(tensor([0., 2.]))
    tensor([0.5000, 1.0852])
    """

    takes = "f"
    samples = uniform((3, 2), low=-4, high=4)
    reference = staticmethod(
        np.vectorize(
            lambda x: (
                math.erfc(-x / math.sqrt(2)) / 2
                + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
            ),
            otypes=[float],
        )
    )

    eager = blockwise(
        lambda x: ndtr_array(x) + np.clip(x, -40, 40) * density_array(x),
        gelu_slope_single,
    )

    def dx(t, x):
        return t * (normal_density(x) * (2 - x * x))

    def lower(b, x):
        return b.gelu_slope(x)


class Threshold(Elementwise):
    """`value` where x ≤ threshold, else x.

    >>> nn.functional.threshold(tensor([-1., 2.]), 0.5, 9.)
    tensor([9., 2.])
    """

    takes = "uif"
    samples = _with(threshold=0.6, value=-2.0)
    reference = staticmethod(
        lambda x, threshold, value: np.choose(x > threshold, [value, x])
    )

    def eager(x, *, threshold, value):
        return np.where(x <= threshold, np.asarray(value, x.dtype), x)

    def dx(t, x, threshold):
        return flat(op.where(x <= threshold, number(0, t), t), x)

    def lower(b, x, threshold, value):
        return b.select(b.compare("<=", x, threshold), value, x)

    def expand(x, *, threshold, value):
        if dtype_of(x).kind not in "ui":
            return op.threshold(x, threshold=threshold, value=value)
        below = op.le(op.cast(x, dtype=np.dtype("float64")), np.array(float(threshold)))
        return op.where(below, np.asarray(value, dtype_of(x)), x)


class Prelu(Elementwise):
    """x₁ where x₁ > 0, x₂ x₁ elsewhere, at 0 too.

    >>> nn.functional.prelu(tensor([-1., 2.]), tensor(0.5))
    tensor([-0.5000,  2.0000])
    """

    takes = "f"

    def samples(rng):
        (x,), _ = _with()(rng)[0]
        return [((x, rng.normal(size=2)), {})]

    reference = staticmethod(
        lambda x1, x2: np.clip(x1, 0, None) + x2 * np.clip(x1, None, 0)
    )

    def eager(x1, x2):
        return np.where(x1 > 0, x1, x2 * x1)

    def dx1(t, x1, x2):
        return flat(op.where(x1 > number(0, x1), t, x2 * t), x1)

    def dx2(t, x1):
        return t * op.where(x1 > number(0, x1), number(0, x1), x1)

    def lower(b, x1, x2):
        return b.select(b.compare(">", x1, 0.0), x1, b.mul(x2, x1))


class Hardshrink(Elementwise):
    """x outside [−λ, λ], 0 inside.

    >>> nn.functional.hardshrink(tensor([-1., 0.3, 2.]), 0.5)
    tensor([-1.,  0.,  2.])
    """

    takes = "f"
    samples = _with(lambd=0.6)
    reference = staticmethod(lambda x, lambd: x * (np.abs(x) > lambd))

    def eager(x, *, lambd):
        inside = (x >= np.asarray(-lambd, x.dtype)) & (x <= np.asarray(lambd, x.dtype))
        return np.where(inside, np.zeros((), x.dtype), x)

    def dx(t, x, lambd):
        return flat(op.where(_within(x, lambd), number(0, t), t), x)

    def lower(b, x, lambd):
        return b.select(_inside(b, x, lambd), 0.0, x)


class Softshrink(Elementwise):
    """x moved towards 0 by λ, 0 inside [−λ, λ].

    >>> nn.functional.softshrink(tensor([-1., 0.3, 2.]), 0.5)
    tensor([-0.5000,  0.0000,  1.5000])
    """

    takes = "f"
    samples = _with(lambd=0.6)
    reference = staticmethod(
        lambda x, lambd: np.sign(x) * np.clip(np.abs(x) - lambd, 0, None)
    )

    def eager(x, *, lambd):
        step = np.asarray(lambd, x.dtype)
        inside = (x >= -step) & (x <= step)
        return np.where(inside, np.zeros((), x.dtype), x - step * np.sign(x))

    def dx(t, x, lambd):
        return flat(op.where(_within(x, lambd), number(0, t), t), x)

    def lower(b, x, lambd):
        moved = b.select(b.compare(">", x, 0.0), b.sub(x, lambd), b.add(x, lambd))
        return b.select(_inside(b, x, lambd), 0.0, moved)


def _within(x, limit):
    return op.logical_and(x >= number(-limit, x), x <= number(limit, x))


def _inside(b, x, limit):
    """The same in native code."""
    return b.compare("<=", b.abs(x), limit)


class Huber(Elementwise):
    """x²/2 for |x| < δ, δ (|x| − δ/2) beyond; the derivative is x limited to [−δ, δ].

    >>> op.huber(tensor([0.5, 3.]), delta=1.0)
    tensor([0.1250, 2.5000])
    """

    takes = "f"
    samples = _with(delta=1.0)
    reference = staticmethod(
        lambda x, delta: (
            np.trapezoid(
                np.clip(np.linspace(0, 1, 200001)[:, None, None] * x, -delta, delta),
                dx=5e-6,
                axis=0,
            )
            * x
        )
    )

    def eager(x, *, delta):
        size = np.asarray(np.abs(x))
        near = np.asarray(np.minimum(size, np.asarray(delta, x.dtype)))
        size -= near * np.asarray(0.5, x.dtype)
        size *= near
        return size

    def dx(t, x, delta):
        return t * op.hardtanh(x, low=-delta, high=delta)

    def lower(b, x, delta):
        size = b.abs(x)
        near = b.minimum(size, delta)
        return b.mul(b.sub(size, b.mul(near, 0.5)), near)


class BinaryCrossEntropy(Elementwise):
    """−x₂ ln x₁ − (1 − x₂) ln(1 − x₁) of a probability, its logarithms at least −100.

    >>> nn.functional.binary_cross_entropy(tensor([0.8]), tensor([1.]))
    tensor(0.2231)
    """

    takes = "f"
    samples = uniform((3, 2), (3, 2), low=0.1, high=0.9)
    reference = staticmethod(
        lambda p, t: -np.log(p**t * (1 - p) ** (1 - t)),
    )

    def eager(x1, x2):
        miss = np.maximum(np.log1p(-x1), -100)
        return (x2 - 1) * miss - x2 * np.maximum(np.log(x1), -100)

    def dx1(t, x1, x2):
        spread = op.maximum((1 - x1) * x1, number(1e-12, x1))
        return t * ((x1 - x2) / spread)

    def dx2(t, x1):
        floor = number(-100, x1)
        return t * (op.maximum(op.log1p(-x1), floor) - op.maximum(op.log(x1), floor))

    def lower(b, x1, x2):
        miss = b.maximum(b.log1p(b.neg(x1)), -100.0)
        hit = b.mul(x2, b.maximum(b.log(x1), -100.0))
        return b.sub(b.mul(b.sub(x2, 1.0), miss), hit)


class LogisticLoss(Elementwise):
    """Binary cross entropy of the logit x₁ with the target x₂: ln(1 + e^x₁) − x₁ x₂.

    >>> nn.functional.binary_cross_entropy_with_logits(tensor([1e4]), tensor([1.]))
    tensor(0.)
    """

    takes = "f"
    samples = uniform((3, 2), (3, 2))
    reference = staticmethod(lambda x, t: np.log(1 + np.exp(x)) - x * t)

    def eager(x1, x2):
        return np.maximum(x1, 0) - x1 * x2 + np.log1p(np.exp(-np.abs(x1)))

    def dx1(t, x1, x2):
        return t * (op.sigmoid(x1) - x2)

    def dx2(t, x1):
        return t * -x1

    def lower(b, x1, x2):
        soft = b.log1p(b.exp(b.neg(b.abs(x1))))
        return b.add(b.sub(b.maximum(x1, 0.0), b.mul(x1, x2)), soft)


# ---------------------------------------------------------------- along dims


class _Along(Primitive, abstract=True):
    """A map whose Jacobian's rule reads y alone, along the dims of `dim`."""

    samples = staticmethod(
        lambda rng: [((rng.normal(size=(3, 4, 2)),), {"dim": d}) for d in (1, 2)]
    )

    def infer(self, x, **params):
        return x

    def keeps(self, need, count):
        return (False,)

    def batch(self, size, xs, dims, params):
        return bind(self, batch_to_front(xs[0], dims[0]), dim=params["dim"] + 1), 0


class Softmax(_Along):
    """eˣ / Σ eˣ along `dim`.

    >>> softmax(tensor([1000., 1000.]), 0)
    tensor([0.5000, 0.5000])
    """

    reference = staticmethod(
        lambda x, dim: np.exp(x) / np.exp(x).sum(dim, keepdims=True)
    )

    def expand(x, *, dim):
        y = op.exp(x - op.amax(x, dim=(dim,), keepdim=True))
        return y / op.sum(y, dim=(dim,), keepdim=True)

    def eager(x, *, dim):
        return rowwise(_softmax, (dim,), widened(x)).astype(x.dtype, copy=False)

    def vjp(self, g, y, xs, params, need):
        return (_softmax_map(g, y, params["dim"]),)

    def jvp(self, ts, y, xs, params):
        return _softmax_map(ts[0], y, params["dim"])


def _softmax(x, dim, out):
    np.subtract(x, _top(x, dim), out=out)
    np.exp(out, out=out)
    out /= np.add.reduce(out, dim, keepdims=True)


def _softmax_map(t, y, dim):
    """(diag y − y yᵀ) t: symmetric, so one map serves both modes."""
    if _at_hand(t, y):
        return rowwise(_softmax_rows, (dim,), t, y)
    ty = t * y
    return ty - y * op.sum(ty, dim=(dim,), keepdim=True)


def _softmax_rows(t, y, dim, out):
    np.multiply(t, y, out=out)
    out -= y * np.add.reduce(out, dim, keepdims=True)


def _at_hand(*xs) -> bool:
    """Whether all are NumPy's arrays, of one dtype that NumPy sums in itself."""
    d = xs[0].dtype
    alike = all(isinstance(x, np.ndarray) and x.dtype == d for x in xs)
    return alike and d.itemsize > 2


class LogSoftmax(_Along):
    """x − ln Σ eˣ along `dim`.

    >>> log_softmax(tensor([1e4, 0.]), 0)
    tensor([     0., -10000.])
    """

    reference = staticmethod(
        lambda x, dim: x - np.log(np.exp(x).sum(dim, keepdims=True))
    )

    def expand(x, *, dim):
        y = x - op.amax(x, dim=(dim,), keepdim=True)
        return y - op.log(op.sum(op.exp(y), dim=(dim,), keepdim=True))

    def eager(x, *, dim):
        return rowwise(_log_softmax, (dim,), widened(x)).astype(x.dtype, copy=False)

    def vjp(self, g, y, xs, params, need):
        whole = op.sum(g, dim=(params["dim"],), keepdim=True)
        return (g - op.exp(y) * whole,)

    def jvp(self, ts, y, xs, params):
        (t,) = ts
        return t - op.sum(op.exp(y) * t, dim=(params["dim"],), keepdim=True)


def _log_softmax(x, dim, out):
    np.subtract(x, _top(x, dim), out=out)
    out -= np.log(np.add.reduce(np.exp(out), dim, keepdims=True))


def _top(x, dim):
    return np.maximum.reduce(x, dim, keepdims=True, initial=-np.inf)


class Standardize(Primitive):
    """(x − mean) / √(variance + eps) over `dim`, the variance divided by n; and those two.

    >>> op.standardize(tensor([1., 3.]), dim=(0,), eps=0.0)[0]
    tensor([-1.,  1.])
    """

    outputs = 3

    def samples(rng):
        x = rng.normal(size=(3, 4, 2))
        return [((x,), {"dim": d, "eps": 0.1}) for d in ((1,), (0, 2))]

    def reference(x, dim, eps):
        mean, var = x.mean(dim, keepdims=True), x.var(dim, keepdims=True)
        return (x - mean) / np.sqrt(var + eps), mean, var

    def eager(x, *, dim, eps):
        mean = np.asarray(x.mean(dim, keepdims=True), x.dtype)
        y = np.asarray(x - mean)
        var = np.asarray(np.mean(y * y, dim, keepdims=True), x.dtype)
        y /= np.sqrt(var + np.asarray(eps, x.dtype))
        return y, mean, var

    def expand(x, *, dim, eps):
        mean = op.mean(x, dim=dim, keepdim=True)
        y = x - mean
        var = op.mean(y * y, dim=dim, keepdim=True)
        return y * op.rsqrt(var + eps), mean, var

    def infer(self, x, *, dim, eps):
        small = x._replace(shape=reduced(x.shape, dim, True))
        return x, small, small

    def keeps(self, need, count):
        return (False,)

    def vjp(self, g, ys, xs, params, need):
        y, _, var = ys
        gy, gmean, gvar = g
        dim, eps = params["dim"], params["eps"]
        gx = None if gy is None else _standard_map(gy, y, var, dim, eps)
        if gvar is not None:
            gx = total(gx, gvar * (y * op.sqrt(var + eps)) * (2 / _count(y, dim)))
        if gmean is not None:
            even = op.expand(gmean * (1 / _count(y, dim)), shape=tuple(y.shape))
            gx = total(gx, even)
        return (gx,)

    def jvp(self, ts, ys, xs, params):
        (t,), (y, _, var) = ts, ys
        dim, eps = params["dim"], params["eps"]
        ty = _standard_map(t, y, var, dim, eps)
        return ty, _mean(t, dim), _mean(t * y, dim) * (2 * op.sqrt(var + eps))

    def batch(self, size, xs, dims, params):
        x = batch_to_front(xs[0], dims[0])
        dim = tuple(d + 1 for d in params["dim"])
        return bind(self, x, dim=dim, eps=params["eps"]), (0, 0, 0)


def _count(x, dim):
    return max(1, math.prod(x.shape[d] for d in dim))


def _mean(x, dim):
    return op.sum(x, dim=dim, keepdim=True) * (1 / _count(x, dim))


def _standard_map(t, y, var, dim, eps):
    """(t − mean t − y mean(t y)) / √(var + eps): symmetric, one map for both modes."""
    if _at_hand(t, y, var):
        scale = 1 / np.sqrt(var + np.asarray(eps, var.dtype))
        return rowwise(_standard_rows, dim, t, y, scale)
    return (t - _mean(t, dim) - y * _mean(t * y, dim)) * op.rsqrt(var + eps)


def _standard_rows(t, y, scale, dim, out):
    share = out.dtype.type(1 / _count(t, dim))
    along = t * y
    np.multiply(y, np.add.reduce(along, dim, keepdims=True) * share, out=along)
    np.subtract(t, np.add.reduce(t, dim, keepdims=True) * share, out=out)
    out -= along
    out *= scale
