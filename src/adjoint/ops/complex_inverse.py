"""Inverse circular and hyperbolic functions of complex numbers, in real and imaginary parts.

They are computed in double precision, as the sizes in them would overflow in single. Signs of
zero choose the side of a cut; what infinities and NaN give is as in annex G of the C standard.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import op

_DOUBLE = np.dtype("float64")
_EPSILON = 2.0**-53
_LARGE = 1e8  # from where on 1 is nothing beside the square


def in_double(rule):
    """A rule for parts, computed in double precision."""

    def parts(z):
        d = dtype_of(z[0])
        y = rule(*(op.cast(x, dtype=_DOUBLE) for x in z))
        return tuple(op.cast(x, dtype=d) for x in y)

    return parts


def _arcs(x, y):
    """(arcsine, arccosine, size of the imaginary part) of x + iy with x, y ≥ 0.

    Hull, Fairgrieve and Tang, Implementing the complex arcsine and arccosine functions using
    exception handling, 1997: with a = (|z + 1| + |z - 1|)/2, what a - x and a - 1 are without
    cancellation, on either side of x = 1.
    """
    right, left = op.hypot(x + 1.0, y), op.hypot(x - 1.0, y)
    a, square = (right + left) * 0.5, y * y
    near, far = right + (x + 1.0), left + op.abs(x - 1.0)
    inside = op.lt(x, np.array(1.0))
    over = op.sqrt((a + x) * (1.0 / near + 1.0 / far) * 0.5)
    base = op.where(x <= 1.0, op.sqrt((square / near + far) * (a + x) * 0.5), y * over)
    more = square / near + op.where(inside, square / far, far)
    height = op.log1p(0.5 * more + op.sqrt(0.5 * more * (a + 1.0)))
    flat = op.logical_and(inside, y <= _EPSILON * op.abs(x - 1.0))
    height = op.where(flat, y / base, height)
    large = op.logical_or(x > _LARGE, y > _LARGE)
    base = op.where(large, y, base)
    height = op.where(large, _log_twice(x, y), height)
    axis, zero = x == 0.0, op.zeros_like(x)
    sine = op.where(axis, zero, op.atan2(x, base))
    cosine = op.where(axis, zero + 0.5 * math.pi, op.atan2(base, x))
    return sine, cosine, height


def _log_twice(x, y):
    """ln 2|z| of a large z; halves do not overflow."""
    return op.log(op.hypot(0.5 * x, 0.5 * y)) + 2 * math.log(2)


def _asinh(x, y):
    sine, _, height = _arcs(op.abs(y), op.abs(x))
    return op.copysign(height, x), op.copysign(sine, y)


def _acos(x, y):
    _, cosine, height = _arcs(op.abs(x), op.abs(y))
    cosine = op.where(op.signbit(x), math.pi - cosine, cosine)
    return cosine, op.copysign(height, -y)


def _acosh(x, y):
    cosine, height = _acos(x, y)
    return op.abs(height), op.copysign(cosine, y)


def _atanh(x, y):
    """Kahan's formulas; near ±1 the square of a small y would be lost."""
    a, square, size = op.abs(x), y * y, op.hypot(x, y)
    gap, zero = 1.0 - a, op.zeros_like(x)
    real = 0.25 * op.log1p(4.0 * a / (gap * gap + square))
    at_pole = op.logical_and(gap == 0.0, op.abs(y) < 1 / _LARGE)
    real = op.where(at_pole, 0.5 * op.log(2.0 / op.abs(y)), real)
    large, endless = size > _LARGE, op.isinf(size)
    far = op.where(endless, zero, a / size / size)
    real = op.where(a == 0.0, zero, op.where(large, far, real))
    rise = op.where(op.logical_and(endless, y == y), zero, op.abs(y) / size)
    near = op.atan2(2.0 * op.abs(y), gap * (1.0 + a) - square)
    imag = 0.5 * op.where(large, op.atan2(2.0 * rise, -size), near)
    return op.copysign(real, x), op.copysign(imag, y)


def _turned(rule):
    """f(iz)/i of an f: the circular function of a hyperbolic one."""
    return lambda x, y: rule(y, x)[::-1]


def _log1p(x, y):
    """Where |1 + z| is near 1, from what |1 + z|² has above it."""
    more = _above_one(x, y)
    near = 0.5 * op.log1p(more)
    far = op.log.parts((x + 1.0, y))
    return op.where(op.logical_and(more > -0.5, more < 1.0), near, far[0]), far[1]


def log1p_of(z):
    """The same by NumPy, whose own loses what is small beside 1."""
    x, y = (part.astype(np.float64) for part in (z.real, z.imag))
    more = _above_one(x, y)
    near = (more > -0.5) & (more < 1)
    out = np.empty_like(z)
    out.real = np.where(near, 0.5 * np.log1p(more), np.log(np.hypot(x + 1, y)))
    out.imag = np.arctan2(y, x + 1)
    return out


def _above_one(x, y):
    """|1 + x + iy|² - 1 = 2x + x² + y² with what is lost of squares and sums (Dekker, Knuth)."""
    first, second = x * x, y * y
    lost = _lost_of_square(x, first) + _lost_of_square(y, second)
    total = 2.0 * x
    for term in (first, second):
        larger = total + term
        grown = larger - total
        lost = lost + ((total - (larger - grown)) + (term - grown))
        total = larger
    return total + lost


def _lost_of_square(x, square):
    """x² - square, of doubles, in halves of x."""
    wide = x * 134217729.0
    high = wide - (wide - x)
    low = x - high
    return ((high * high - square) + 2.0 * (high * low)) + low * low


def expm1_parts(z):
    """Parts of eᶻ − 1: eˣ cos y − 1 = (eˣ − 1) cos y − 2 sin²(y/2)."""
    x, y = z
    half = op.sin(y * 0.5)
    return op.expm1(x) * op.cos(y) - 2.0 * half * half, op.exp(x) * op.sin(y)


asinh_parts = in_double(_asinh)
asin_parts = in_double(_turned(_asinh))
acos_parts = in_double(_acos)
acosh_parts = in_double(_acosh)
atanh_parts = in_double(_atanh)
atan_parts = in_double(_turned(_atanh))
log1p_parts = in_double(_log1p)
