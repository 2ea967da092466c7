"""The incomplete gamma functions."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import Elementwise, op
from ..errors import GradError
from .blockwise import blockwise, numeric, pieces_of, poly, repeated, same_in_lanes
from .erf import erfc_array
from .gamma import lgamma_array, stirling

_EPS = 2.0**-53


def _mu_minus_log1p(m):
    """m − ln(1 + m), by a series where they nearly cancel."""
    r = m / (2 + m)
    z = r * r
    tail = poly(z, tuple(1 / (2 * k + 3) for k in range(14, -1, -1)))
    return np.where(np.abs(m) < 0.5, m * r - 2 * r * z * tail, m - np.log1p(m))


def gamma_front(a, x):
    """x^a e^(−x) / Γ(a + 1)."""
    small = np.exp(a * np.log(x) - x - lgamma_array(a + 1))
    big = np.maximum(a, 10)
    fall = np.exp(-big * _mu_minus_log1p((x - big) / big) - stirling(big))
    return np.where(a < 10, small, fall / np.sqrt(2 * np.pi * big))


def _lower_series(a, x):
    """P(a, x) by its power series, for x < a + 1."""

    def step(term, total, k):
        term = term * (x / (k + 1))
        return term, total + term, k + 1

    one = np.ones_like(a)
    _, total, _ = repeated(
        lambda term, total, k: (term > _EPS * total) & (k < a + _MOST_TERMS),
        step,
        *(one, one, a),
    )
    return total * gamma_front(a, x)


def _upper_fraction(a, x):
    """Q(a, x) by Legendre's continued fraction after Lentz, for x ≥ a + 1."""

    def step(i, b, c, d, h, change):
        i, b = i + 1, b + 2
        top = -i * (i - a)
        d, c = top * d + b, b + top / c
        d = 1 / np.where(d == 0, 1e-300, d)
        c = np.where(c == 0, 1e-300, c)
        return i, b, c, d, h * (c * d), c * d

    b, one = x + 1 - a, np.ones_like(a)
    *_, h, _ = repeated(
        lambda i, b, c, d, h, change: (
            (np.abs(change - 1) > 2 * _EPS) & (i < _MOST_TERMS)
        ),
        step,
        *(0 * one, b, 1e300 * one, 1 / b, 1 / b, 2 * one),
    )
    return h * a * gamma_front(a, x)


_MOST_TERMS = 4000


_LARGE_A = 1e4  # from here on Temme's expansion takes over


# N. M. Temme, The asymptotic expansion of the incomplete gamma functions, 1979.
_TEMME = (
    (
        -1 / 3,
        1 / 12,
        -2 / 135,
        1 / 864,
        0.00035273368606701940,
        -0.00017875514403292181,
        3.9192631785224378e-5,
        -2.1854485106799922e-6,
        -1.8540622107151600e-6,
    ),
    (
        -1 / 540,
        -1 / 288,
        0.0026455026455026455,
        -0.00099022633744855967,
        0.00020576131687242798,
        -4.0187757201646091e-7,
        -1.8098550334489978e-5,
    ),
    (0.0041335978835978836, -0.0026813271604938272, 0.00077160493827160494),
)


def _temme(a, x, upper):
    """P or Q for large a, uniformly in x/a."""
    m = (x - a) / a
    half_square = _mu_minus_log1p(m)
    eta = np.sign(m) * np.sqrt(2 * half_square)
    near = np.clip(eta, -0.5, 0.5)
    rest = sum(poly(near, c[::-1]) / a**k for k, c in enumerate(_TEMME))
    rest = rest * np.exp(-a * half_square) / np.sqrt(2 * np.pi * a)
    side = eta * np.sqrt(a / 2)
    return 0.5 * erfc_array(side) + rest if upper else 0.5 * erfc_array(-side) - rest


def _incomplete(a, x, upper):
    one = float(upper)

    def constant(value):
        return lambda a, x: np.full(a.shape, value)

    def lower_series(a, x):
        y = _lower_series(a, x)
        return 1 - y if upper else y

    def upper_fraction(a, x):
        y = _upper_fraction(a, x)
        return y if upper else 1 - y

    return pieces_of(
        (a, x),
        ((a < 0) | (x < 0) | ((a == 0) & (x == 0)), constant(np.nan)),
        ((a == np.inf) & (x == np.inf), constant(np.nan)),
        ((a == 0) | (x == np.inf), constant(1 - one)),
        ((x == 0) | (a == np.inf), constant(one)),
        (a > _LARGE_A, lambda a, x: _temme(a, x, upper)),
        (x < a + 1, lower_series),
        (x >= a + 1, upper_fraction),
    )


class _IncompleteGamma(Elementwise, abstract=True):
    inexact = True
    takes = "f"
    decides = 1

    def samples(rng):
        return [((rng.integers(1, 6, (3, 2)), rng.uniform(0.5, 8, (3, 2))), {})]


class Gammainc(_IncompleteGamma):
    """Regularized lower incomplete gamma function, ∫₀^x₂ s^(x₁−1) e^(−s) ds / Γ(x₁).

    >>> special.gammainc(tensor([2.]), tensor([1.]))
    tensor([0.2642])
    """

    reference = numeric(
        lambda a, x: 1 - math.exp(-x) * sum(x**k / math.factorial(k) for k in range(a))
    )

    @blockwise
    def eager(x1, x2):
        return _incomplete(x1, x2, False)

    lower = same_in_lanes(eager)

    def dx1(t):
        raise GradError("gammainc: the derivative in the first argument is unknown")

    def dx2(t, x1, x2):
        return t * _gamma_density(x1, x2)


class Gammaincc(_IncompleteGamma):
    """Regularized upper incomplete gamma function, 1 − gammainc.

    >>> special.gammaincc(tensor([2.]), tensor([1.]))
    tensor([0.7358])
    """

    reference = numeric(
        lambda a, x: math.exp(-x) * sum(x**k / math.factorial(k) for k in range(a))
    )

    @blockwise
    def eager(x1, x2):
        return _incomplete(x1, x2, True)

    lower = same_in_lanes(eager)

    def dx1(t):
        raise GradError("gammaincc: the derivative in the first argument is unknown")

    def dx2(t, x1, x2):
        return -t * _gamma_density(x1, x2)


def _gamma_density(a, x):
    """x^(a−1) e^(−x) / Γ(a)."""
    a = op.cast(a, dtype=dtype_of(x))
    return op.exp(op.xlogy(a - 1, x) - x - op.lgamma(a))
