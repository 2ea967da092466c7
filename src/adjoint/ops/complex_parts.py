"""Complex numbers as their real and imaginary parts: conjugates, and what formulas share."""

from __future__ import annotations

import numpy as np

from ..core.primitive import Elementwise, number, op
from .samples import any1


class Conj(Elementwise):
    """Complex conjugate.

    >>> conj(tensor([1+2j]))
    tensor([1.-2.j])
    """

    lowers = "uif"
    eager = np.conjugate
    samples = any1

    def dx(t):
        return op.conj(t)

    def pull(t):
        return op.conj(t)

    def lower(b, x):
        return x

    def parts(x):
        return x[0], -x[1]


def is_nonzero(x):
    """Whether a part is not zero."""
    a, b = x
    return op.logical_or(op.ne(a, op.zeros_like(a)), op.ne(b, op.zeros_like(b)))


def product(x, y):
    """(a + ib)(c + id)."""
    (a, b), (c, d) = x, y
    return a * c - b * d, a * d + b * c


def quotient(x, y):
    """By Smith's method: the smaller part of the divisor over the larger first."""
    (a, b), (c, d) = x, y
    turned = op.lt(op.abs(c), op.abs(d))
    low, high = op.where(turned, c, d), op.where(turned, d, c)
    none = op.eq(high, op.zeros_like(high))
    ratio = op.where(none, op.zeros_like(low), low / high)
    size = high + low * ratio
    real = op.where(turned, a, b) * ratio + op.where(turned, b, a)
    cross = op.where(turned, b * ratio - a, b - a * ratio)
    return real / size, cross / size


def one_over(x):
    """1/(a + ib)."""
    return quotient((op.ones_like(x[0]), op.zeros_like(x[0])), x)


def log_size(a, b):
    """ln |z|, also near |z| = 1, where the logarithm of a rounded size is nothing."""
    a, b = op.abs(a), op.abs(b)
    size, most, least = op.hypot(a, b), op.maximum(a, b), op.minimum(a, b)
    one = op.ones_like(a)
    near = op.log1p((most - one) * (most + one) + least * least) / number(2, a)
    close = op.logical_and(op.gt(size, number(0.5, a)), op.lt(size, number(3, a)))
    return op.where(close, near, op.log(size))


def root(a, b):
    """√z with a part that is not negative; no sum cancels."""
    half, zero = number(0.5, a), op.zeros_like(a)
    t = op.sqrt((op.abs(a) + op.hypot(a, b)) * half)
    other = op.where(op.eq(t, zero), zero, b / (t + t))
    left = op.lt(a, zero)
    real = op.where(left, op.abs(other), t)
    return real, op.where(left, op.copysign(t, b), op.where(op.eq(t, zero), b, other))


def tanh_of_parts(a, b):
    """Kahan's: no product overflows before the quotient is near ±1."""
    t, s = op.tan(b), op.sinh(a)
    beta, rho = op.ones_like(a) + t * t, op.sqrt(op.ones_like(a) + s * s)
    size = op.ones_like(a) + beta * s * s
    far = op.gt(op.abs(a), number(20, a))
    tail = number(4, a) * op.sin(b) * op.cos(b) * op.exp(-op.abs(a) - op.abs(a))
    return (
        op.where(far, op.copysign(op.ones_like(a), a), beta * rho * s / size),
        op.where(far, tail, t / size),
    )
