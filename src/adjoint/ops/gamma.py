"""The gamma function's logarithm, its derivatives, and the zeta function."""

from __future__ import annotations

import math

import numpy as np

from ..core.primitive import Elementwise, op
from ..errors import GradError
from . import chebyshev as table
from .blockwise import (
    blockwise,
    numeric,
    pieces,
    pieces_of,
    poly,
    repeated,
    same_in_lanes,
)
from .chebyshev import series
from .samples import uniform

_BERNOULLI = (
    1 / 6,
    -1 / 30,
    1 / 42,
    -1 / 30,
    5 / 66,
    -691 / 2730,
    7 / 6,
    -3617 / 510,
    43867 / 798,
    -174611 / 330,
    854513 / 138,
    -236364091 / 2730,
)


_STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI[:9], 1))


_DIGAMMA_TAIL = tuple(b / (2 * k) for k, b in enumerate(_BERNOULLI[:9], 1))


_DIGAMMA_ROOT = (1.4616321449683622, 9.549995429965697e-17)


def stirling(x):
    """lgamma(x) − (x − ½) ln x + x − ½ ln 2π, for x ≥ 10."""
    z = 1 / x
    return z * poly(z * z, _STIRLING[::-1])


def _lgamma_large(x):
    y = (x - 0.5) * np.log(x) - x + 0.5 * math.log(2 * math.pi) + stirling(x)
    return np.where(x == np.inf, x, y)


def _lgamma_middle(x):
    """For 3 ≤ x < 10: down to [2, 3) by Γ(x) = (x − 1) Γ(x − 1)."""
    product = np.ones(x.shape)
    for _ in range(7):
        down = x >= 3
        x = np.where(down, x - 1, x)
        product = np.where(down, product * x, product)
    return _lgamma_near(x) + np.log(product)


def _lgamma_near(x):
    return (x - 1) * (x - 2) * series(table.LGAMMA, x, 1, 3) + 0.0  # 0, not -0, at 1


def _sine_pi(x):
    """sin(πx), exact at integers."""
    n = np.round(x)
    return np.where(n % 2 == 0, 1, -1) * np.sin(np.pi * (x - n))


def _lgamma_negative(x):
    return np.log(np.pi / np.abs(_sine_pi(x))) - lgamma_array(1 - x)


def lgamma_array(x):
    """lgamma of a flat float64 array."""
    if not isinstance(x, np.ndarray):
        return x.native("lgamma")
    return pieces(
        x,
        (x >= 10, _lgamma_large),
        (x >= 3, _lgamma_middle),
        (x >= 1, _lgamma_near),
        (x > 0, lambda x: _lgamma_near(x + 1) - np.log(x)),
        (x == np.floor(x), lambda x: np.full(x.shape, np.inf)),
        (x < 0, _lgamma_negative),
    )


def _digamma_large(x):
    z = 1 / (x * x)
    return np.log(x) - 0.5 / x - z * poly(z, _DIGAMMA_TAIL[::-1])


def _digamma_middle(x):
    shift = np.zeros(x.shape)
    for _ in range(7):
        up = x < 10
        shift = np.where(up, shift + 1 / x, shift)
        x = np.where(up, x + 1, x)
    return _digamma_large(x) - shift


def _digamma_near(x):
    high, low = _DIGAMMA_ROOT
    return ((x - high) - low) * series(table.DIGAMMA, x, 1, 3)


def _digamma_negative(x):
    r = x - np.round(x)
    return digamma_array(1 - x) - np.pi / np.tan(np.pi * r)


def digamma_array(x):
    """digamma of a flat float64 array; −∞ at 0, NaN at the other poles."""
    if not isinstance(x, np.ndarray):
        return x.native("digamma")
    return pieces(
        x,
        (x == np.inf, lambda x: x),
        (x >= 10, _digamma_large),
        (x >= 3, _digamma_middle),
        (x >= 1, _digamma_near),
        (x > 0, lambda x: _digamma_near(x + 1) - 1 / x),
        (x == 0, lambda x: np.copysign(np.inf, -x)),
        ((x < 0) & (x != np.floor(x)), _digamma_negative),
    )


class Lgamma(Elementwise):
    """ln |Γ(x)|.

    >>> lgamma(tensor([1., 5., 0.5]))
    tensor([0.0000, 3.1781, 0.5724])
    """

    inexact = True
    takes = "f"
    samples = uniform((3, 2), low=0.3, high=6)
    reference = numeric(math.lgamma)
    eager = blockwise(lgamma_array)

    def dx(t, x):
        return t * op.digamma(x)

    def lower(b, x):
        return b.lgamma(x)


class Digamma(Elementwise):
    """The derivative of ln Γ.

    >>> digamma(tensor([1., 0.5]))
    tensor([-0.5772, -1.9635])
    """

    inexact = True
    takes = "f"
    samples = uniform((3, 2), low=0.4, high=6)
    reference = numeric(
        lambda x: (math.lgamma(x + 1e-5) - math.lgamma(x - 1e-5)) / 2e-5
    )
    eager = blockwise(digamma_array)

    def dx(t, x):
        return t * op.polygamma(x, n=1)

    def lower(b, x):
        return b.digamma(x)


class Polygamma(Elementwise):
    """The derivative of order n of digamma, (−1)^(n+1) n! ζ(n + 1, x).

    >>> polygamma(1, tensor([1., 0.5]))
    tensor([1.6449, 4.9348])
    """

    inexact = True
    takes = "f"
    reference = staticmethod(
        lambda x, n: (
            (-1) ** (n + 1)
            * math.factorial(n)
            * _zeta_by_sum(float(n + 1), np.asarray(x))
        )
    )

    def samples(rng):
        return [((rng.uniform(0.6, 5, (3, 2)),), {"n": n}) for n in (1, 2, 3)]

    @blockwise
    def eager(x, *, n):
        if n == 0:
            return digamma_array(x)
        if n == 1:
            return pieces(
                x,
                (x < 0.5, _trigamma_reflected),
                (x >= 0.5, lambda x: _zeta(2.0, x)),
            )
        sign = (-1.0) ** (n + 1)
        return sign * math.exp(math.lgamma(n + 1)) * _zeta(n + 1.0, x)

    lower = same_in_lanes(eager)

    def dx(t, x, n):
        return t * op.polygamma(x, n=n + 1)


def _trigamma_reflected(x):
    """For x < ½ from 1 − x."""
    return (np.pi / _sine_pi(x)) ** 2 - _zeta(2.0, 1 - x)


def _zeta_by_sum(s, q, terms=4000):
    """Hurwitz's zeta by plain summation and the integral of what is left."""
    k = np.arange(terms).reshape(-1, *(1,) * np.ndim(q))
    n = q + terms
    return (
        ((k + q) ** -s).sum(0)
        + n ** (1 - s) / (s - 1)
        + 0.5 * n**-s
        + s / 12 * n ** (-s - 1)
    )


_LARGE_S = 200  # beyond, what follows the first terms is nothing


_FARTHEST = -1e4  # how far below 0 the terms of ζ(s, q) are summed one by one


def _zeta(s, q):
    """Hurwitz's zeta by Euler and Maclaurin's formula, started far enough up for s."""
    start = 10 + 0.75 * np.minimum(s, _LARGE_S)
    total, q = repeated(
        lambda total, q: q < start,
        lambda total, q: (total + q**-s, q + 1),
        np.zeros_like(q),
        np.where(q < _FARTHEST, np.nan, q),
    )
    return total + np.where(s > _LARGE_S, 0, _zeta_tail(s, q))


def _zeta_tail(s, q):
    power = q**-s
    total = power * q / (s - 1) + 0.5 * power
    factor, fall = s, power / q
    for k, b in enumerate(_BERNOULLI, 1):
        total = total + b / math.factorial(2 * k) * factor * fall
        factor = factor * (s + 2 * k - 1) * (s + 2 * k)
        fall = fall / (q * q)
    return total


class Zeta(Elementwise):
    """Hurwitz's zeta function, Σ over k ≥ 0 of (k + x₂)^(−x₁).

    >>> special.zeta(tensor([2.]), tensor([1.]))
    tensor([1.6449])
    """

    inexact = True
    takes = "f"
    decides = 1
    reference = staticmethod(_zeta_by_sum)

    def samples(rng):
        return [((rng.integers(2, 5, (3, 2)), rng.uniform(0.5, 4, (3, 2))), {})]

    @blockwise
    def eager(x1, x2):
        pole, whole = x2 == np.floor(x2), x1 == np.floor(x1)
        return pieces_of(
            (x1, x2),
            ((x1 == 1) | ((x1 > 1) & (x2 <= 0) & pole), _infinite),
            ((x1 > 1) & ((x2 > 0) | whole), _zeta),
        )

    lower = same_in_lanes(eager)

    def dx1(t):
        raise GradError("zeta: the derivative in the first argument is not implemented")

    def dx2(t, x1, x2):
        return t * (-x1 * op.zeta(x1 + 1, x2))


def _infinite(x1, x2):
    return np.full(x1.shape, np.inf)
