"""Gamma and Bessel functions in lanes of doubles, each as one function of the module."""

from __future__ import annotations

import math

from ....ops import chebyshev
from . import coefficients as table
from .circular import Circular
from .formula import written
from .kinds import DOUBLE
from .logarithm import Logarithm


class Special(Circular, Logarithm):
    """Floats go by way of doubles: these functions are long, and rarely in a hurry."""

    def _in_double(self, name, write, *xs):
        wide = [self.cast(x, DOUBLE) for x in xs]
        return self.cast(self.shared(name, write, *wide), self.element(xs[-1]))

    def formula(self, rule, xs, params):
        """What a record says in NumPy, of doubles."""
        name = f"{rule.__qualname__} {params}"
        return self._in_double(name, lambda b, *xs: written(b, rule, xs, params), *xs)

    def lgamma(self, x):
        """ln |Γ(x)|."""
        return self._in_double("lgamma", _lgamma, x)

    def digamma(self, x):
        """The derivative of ln Γ; -∞ at 0, NaN at the other poles."""
        return self._in_double("digamma", _digamma, x)

    def i0(self, x):
        """Modified Bessel function of the first kind, of order 0."""
        return self._in_double("i0", lambda b, x: _grown(b, x, _i0e(b, x)), x)

    def i0e(self, x):
        """e^-|x| of it."""
        return self._in_double("i0e", _i0e, x)

    def i1(self, x):
        """The one of order 1, which is odd."""
        return self._in_double("i1", lambda b, x: _grown(b, x, _i1e(b, x)), x)

    def i1e(self, x):
        """e^-|x| of it."""
        return self._in_double("i1e", _i1e, x)

    def series(self, coefficients, x, low, high):
        """Σ c_k T_k of x scaled from [low, high] to [-1, 1], by Clenshaw's recurrence."""
        scale = 2 / (high - low)
        t = self.fma(x, scale, -low * scale - 1)
        twice = self.add(t, t)
        y = before = self.number(0.0, x)
        for c in coefficients[:0:-1]:
            y, before = self.fma(twice, y, self.sub(c, before)), y
        return self.fma(t, y, self.sub(coefficients[0], before))


# ---------------------------------------------------------------- gamma


def _lgamma(b: Special, x):
    """On [1, 3) by a series, to which the recurrence leads; from 10 on by Stirling's."""
    negative = b.compare("<", x, 0.0)
    a = b.select(negative, b.sub(1.0, x), x)
    small, large = b.compare("<", a, 1.0), b.compare(">=", a, 10.0)
    y, product = _brought_down(b, b.select(small, b.add(a, 1.0), a))
    near = b.mul(
        b.mul(b.sub(y, 1.0), b.sub(y, 2.0)), b.series(chebyshev.LGAMMA, y, 1, 3)
    )
    log = b.log(b.choose((large, a), (small, a), product))
    near = b.add(near, b.select(small, b.neg(log), log))
    z = b.div(1.0, a)
    rest = b.fma(z, b.horner(b.mul(z, z), table.STIRLING), 0.5 * math.log(2 * math.pi))
    far = b.add(b.fma(b.sub(a, 0.5), b.sub(log, 1.0), -0.5), rest)
    y = b.select(large, far, near)
    turn = b.abs(b.sin(b.mul(b.sub(x, b.round(x)), math.pi)))
    y = b.select(negative, b.sub(b.log(b.div(math.pi, turn)), y), y)
    pole = b.logical_and(b.compare("<=", x, 0.0), b.compare("==", b.floor(x), x))
    ends = b.b.or_(pole, b.isinf(x))
    return b.choose((b.isnan(x), x), (ends, math.inf), y)


def _brought_down(b, x):
    """(y, (x - 1) (x - 2) ... y) with y = x - n in [2, 3), for 3 ≤ x < 10; else (x, 1)."""
    product = b.number(1.0, x)
    for _ in range(7):
        down = b.compare(">=", x, 3.0)
        x = b.select(down, b.sub(x, 1.0), x)
        product = b.select(down, b.mul(product, x), product)
    return x, product


def _digamma(b: Special, x):
    """Below 3 by a series with the root split off; above asymptotically, from 10 on."""
    negative = b.compare("<", x, 0.0)
    a = b.select(negative, b.sub(1.0, x), x)
    small = b.compare("<", a, 1.0)
    y = b.select(small, b.add(a, 1.0), a)
    high, low = table.DIGAMMA_ROOT
    near = b.mul(b.sub(b.sub(y, high), low), b.series(chebyshev.DIGAMMA, y, 1, 3))
    near = b.select(small, b.sub(near, b.div(1.0, a)), near)
    y, shift = a, b.number(0.0, a)
    for _ in range(7):
        up = b.compare("<", y, 10.0)
        shift = b.select(up, b.add(shift, b.div(1.0, y)), shift)
        y = b.select(up, b.add(y, 1.0), y)
    z = b.div(1.0, y)
    square = b.mul(z, z)
    far = b.fma(b.neg(square), b.horner(square, table.DIGAMMA_TAIL), b.mul(z, -0.5))
    far = b.add(b.log(y), b.sub(far, shift))
    y = b.select(b.compare("<", a, 3.0), near, far)
    part = b.sub(x, b.round(x))
    turned = b.sub(y, b.div(math.pi, b.tan(b.mul(part, math.pi))))
    y = b.select(negative, b.select(b.compare("==", part, 0.0), math.nan, turned), y)
    return b.choose(
        (b.isnan(x), x),
        (b.compare("==", x, 0.0), b.copysign(math.inf, b.neg(x))),
        (b.compare("==", x, math.inf), x),
        y,
    )


# ---------------------------------------------------------------- Bessel


def _scaled(b, x, near, far):
    """The two series of e^-|x| Iₙ(x): in |x| up to 8, in 8/|x| beyond."""
    a = b.abs(x)
    beyond = b.compare(">", a, 8.0)
    small = b.series(near, b.select(beyond, 8.0, a), 0, 8)
    large = b.series(far, b.div(8.0, b.select(beyond, a, 8.0)), 0, 1)
    return beyond, small, b.div(large, b.sqrt(a))


def _i0e(b: Special, x):
    beyond, small, large = _scaled(b, x, chebyshev.I0_NEAR, chebyshev.I0_FAR)
    return b.select(b.isnan(x), x, b.select(beyond, large, small))


def _i1e(b: Special, x):
    beyond, small, large = _scaled(b, x, chebyshev.I1_NEAR, chebyshev.I1_FAR)
    return b.select(beyond, b.copysign(large, x), b.mul(small, x))


def _grown(b, x, y):
    """e^|x| y in two steps: it overflows before their product does."""
    half = b.exp(b.mul(b.abs(x), 0.5))
    grown = b.mul(b.mul(y, half), half)
    return b.select(b.isinf(x), b.copysign(math.inf, y), grown)
