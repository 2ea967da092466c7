"""x log y and its kin, with the limits where a factor is zero."""

from __future__ import annotations

import math

import numpy as np

from ..core.primitive import Elementwise, number, op
from .blockwise import blockwise
from .samples import uniform


def _zero_where(condition, y):
    return op.where(condition, number(0, y), y)


def _times(x1, log, x2):
    """x₁ log(x₂), and 0 where x₁ is 0, unless x₂ is NaN."""
    y = x1 * log(x2)
    return np.where((x1 == 0) & ~np.isnan(x2), np.zeros((), y.dtype), y)


def _times_in_lanes(b, x1, log, x2):
    """The same in native code."""
    empty = b.logical_and(b.compare("==", x1, 0.0), b.logical_not(b.isnan(x2)))
    return b.select(empty, 0.0, b.mul(x1, log(x2)))


class Xlogy(Elementwise):
    """x₁ ln x₂, and 0 where x₁ is 0.

    >>> xlogy(tensor([0., 2.]), tensor([0., 2.]))
    tensor([0.0000, 1.3863])
    """

    inexact = singular = True
    takes = "f"
    samples = uniform((3, 2), (2,), low=0.2, high=3)
    reference = staticmethod(lambda x, y: np.log(y**x))

    def eager(x1, x2):
        return _times(x1, np.log, x2)

    def dx1(t, x1, x2):
        empty = op.logical_and(x1 == 0, x2 <= 0)
        return t * _zero_where(empty, op.log(x2))

    def dx2(t, x1, x2):
        return t * x1 / x2

    def lower(b, x1, x2):
        return _times_in_lanes(b, x1, b.log, x2)


class Xlog1py(Elementwise):
    """x₁ ln(1 + x₂), and 0 where x₁ is 0.

    >>> special.xlog1py(tensor([0., 2.]), tensor([-1., 1.]))
    tensor([0.0000, 1.3863])
    """

    inexact = singular = True
    takes = "f"
    samples = uniform((3, 2), (2,), low=0.2, high=3)
    reference = staticmethod(lambda x, y: np.log((1 + y) ** x))

    def eager(x1, x2):
        return _times(x1, np.log1p, x2)

    def dx1(t, x1, x2):
        empty = op.logical_and(x1 == 0, x2 <= -1)
        return t * _zero_where(empty, op.log1p(x2))

    def dx2(t, x1, x2):
        return t * x1 / (x2 + 1)

    def lower(b, x1, x2):
        return _times_in_lanes(b, x1, b.log1p, x2)


class Entr(Elementwise):
    """Entropy, −x ln x; 0 at 0 and −∞ below.

    >>> special.entr(tensor([0., 0.5, -1.]))
    tensor([0.0000, 0.3466,   -inf])
    """

    inexact = singular = True
    takes = "f"
    samples = uniform((3, 2), low=0.2, high=3)
    reference = staticmethod(lambda x: -np.log(x**x))

    def eager(x):
        y = np.where(x == 0, x, -x * np.log(x))
        return np.where(x < 0, np.asarray(-np.inf, x.dtype), y)

    def dx(t, x):
        return t * (-op.log(x) - 1)

    def lower(b, x):
        y = b.neg(b.mul(x, b.log(x)))
        zero, below = b.compare("==", x, 0.0), b.compare("<", x, 0.0)
        return b.choose((zero, x), (below, -math.inf), y)


class Logit(Elementwise):
    """ln(x / (1 − x)), the inverse of the logistic function.

    >>> logit(tensor([0.5, 0.8808]))
    tensor([0.0000, 2.0000])
    """

    inexact = singular = True
    takes = "f"
    samples = uniform((3, 2), low=0.1, high=0.9)
    reference = staticmethod(lambda x: np.log(x / (1 - x)))

    @blockwise
    def eager(x):
        middle = np.abs(x - 0.5) < 0.25
        return np.where(middle, 2 * np.arctanh(2 * x - 1), np.log(x) - np.log1p(-x))

    def dx(t, x):
        return t / (x * (1 - x))

    def lower(b, x):
        return b.logit(x)
