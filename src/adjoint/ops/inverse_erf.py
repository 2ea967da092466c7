"""Inverses of the error function and of the normal distribution."""

from __future__ import annotations

import math

import numpy as np

from ..core.primitive import Elementwise, op
from .blockwise import blockwise, numeric, pieces, poly, same_in_lanes
from .erf import TWO_OVER_ROOT_PI, erf_array, erfcx_positive
from .samples import uniform

# M. Giles, Approximating the erfinv function, 2010: seven digits, which two steps of
# Halley's iteration double and double again.
_GILES_NEAR = (
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)


_GILES_FAR = (
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)


def _giles(w):
    """erfinv(x)/x of w = −ln(1 − x²)."""
    return np.where(
        w < 5,
        poly(w - 2.5, _GILES_NEAR),
        poly(np.sqrt(np.maximum(w, 5)) - 3, _GILES_FAR),
    )


def _erfinv_middle(x):
    y = _giles(-np.log1p(-x * x)) * x
    for _ in range(2):
        error = (erf_array(y) - x) / (TWO_OVER_ROOT_PI * np.exp(-y * y))
        y = y - error / (1 + y * error)
    return y


def _erfcinv_tail(q):
    """y > 0 with erfc(y) = q < 1/2, by Newton's iteration on the logarithm."""
    log_q = np.log(q)
    start = _giles(np.minimum(-np.log(q * (2 - q)), 15)) * (1 - q)
    far = np.maximum(-log_q - 0.5 * np.log(np.maximum(-log_q, 1) * np.pi), 1)
    y = np.where(log_q < -15, np.sqrt(far), start)
    for _ in range(4):
        scaled = erfcx_positive(y)
        y = y + (np.log(scaled) - y * y - log_q) * scaled / TWO_OVER_ROOT_PI
    return y


def _erfcinv(q):
    """Where erfc is q; that of 2 − q is its negative."""
    p = np.minimum(q, 2 - q)
    y = pieces(
        p,
        (p == 0, lambda p: np.full(p.shape, np.inf)),
        ((p > 0) & (p < 0.5), _erfcinv_tail),
        (p >= 0.5, lambda p: _erfinv_middle(1 - p)),
    )
    return np.where(q > 1, -y, y)


class Erfinv(Elementwise):
    """The inverse of the error function.

    >>> erfinv(tensor([0., 0.8427, 1.]))
    tensor([0.0000, 1.0000,    inf])
    """

    inexact = singular = True
    takes = "f"
    samples = uniform((3, 2), low=-0.95, high=0.95)
    reference = numeric(lambda x: _bisected(math.erf, x))

    @blockwise
    def eager(x):
        a = np.abs(x)
        return pieces(
            x,
            (a <= 0.5, _erfinv_middle),
            (a < 1, lambda x: np.copysign(_erfcinv_tail(1 - np.abs(x)), x)),
            (a == 1, lambda x: x * np.inf),
        )

    lower = same_in_lanes(eager)

    def dx(t, y):
        return t * (1 / TWO_OVER_ROOT_PI * op.exp(y * y))


class Ndtri(Elementwise):
    """The inverse of the normal distribution function.

    >>> special.ndtri(tensor([0.5, 0.9772]))
    tensor([0.0000, 1.9991])
    """

    inexact = singular = True
    takes = "f"
    samples = uniform((3, 2), low=0.05, high=0.95)
    reference = numeric(lambda x: math.sqrt(2) * _bisected(math.erf, 2 * x - 1))

    @blockwise
    def eager(x):
        return 0.0 - math.sqrt(2) * _erfcinv(2 * x)

    lower = same_in_lanes(eager)

    def dx(t, y):
        return t * (math.sqrt(2 * math.pi) * op.exp(0.5 * y * y))


def _bisected(f, value, low=-9.0, high=9.0):
    """Where an increasing function takes a value."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if f(middle) < value else (low, middle)
    return middle
