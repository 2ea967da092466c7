"""Circular and hyperbolic functions, their inverses, and the length of a side."""

from __future__ import annotations

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import Elementwise, number, op
from .complex_inverse import (
    acos_parts,
    acosh_parts,
    asin_parts,
    asinh_parts,
    atan_parts,
    atanh_parts,
)
from .complex_parts import tanh_of_parts
from .samples import any1, positive2, uniform, unit1


class Sin(Elementwise):
    """Sine.

    >>> sin(tensor([0., 1.]))
    tensor([0.0000, 0.8415])
    """

    eager = np.sin
    inexact = True
    samples = any1

    def dx(t, x):
        return t * op.cos(x)

    def lower(b, x):
        return b.sin(x)

    def parts(x):
        a, b = x
        return op.sin(a) * op.cosh(b), op.cos(a) * op.sinh(b)


class Cos(Elementwise):
    """Cosine.

    >>> cos(tensor([0., 1.]))
    tensor([1.0000, 0.5403])
    """

    eager = np.cos
    inexact = True
    samples = any1

    def dx(t, x):
        return t * -op.sin(x)

    def lower(b, x):
        return b.cos(x)

    def parts(x):
        a, b = x
        return op.cos(a) * op.cosh(b), -op.sin(a) * op.sinh(b)


class Tan(Elementwise):
    """Tangent.

    >>> tan(tensor([0., 1.]))
    tensor([0.0000, 1.5574])
    """

    eager = np.tan
    inexact = True
    samples = unit1

    def dx(t, y):
        return t * (1 + y * y)

    def lower(b, x):
        return b.tan(x)

    def parts(x):
        a, b = tanh_of_parts(-x[1], x[0])  # tan z = -i tanh iz
        return b, -a


class Asin(Elementwise):
    """Inverse sine.

    >>> asin(tensor([0., 1.]))
    tensor([0.0000, 1.5708])
    """

    eager = np.arcsin
    inexact = singular = True
    samples = unit1

    def dx(t, x):
        return t * op.rsqrt(1 - x * x)

    def lower(b, x):
        return b.asin(x)

    parts = asin_parts


class Acos(Elementwise):
    """Inverse cosine.

    >>> acos(tensor([1., 0.]))
    tensor([0.0000, 1.5708])
    """

    eager = np.arccos
    inexact = singular = True
    samples = unit1

    def dx(t, x):
        return t * -op.rsqrt(1 - x * x)

    def lower(b, x):
        return b.acos(x)

    parts = acos_parts


class Atan(Elementwise):
    """Inverse tangent.

    >>> atan(tensor([0., 1.]))
    tensor([0.0000, 0.7854])
    """

    eager = np.arctan
    inexact = True
    samples = any1

    def dx(t, x):
        return t / (1 + x * x)

    def lower(b, x):
        return b.atan(x)

    parts = atan_parts


class Atan2(Elementwise):
    """Angle of the point (x₂, x₁).

    >>> atan2(tensor([1.]), tensor([1.]))
    tensor([0.7854])
    """

    eager = np.arctan2
    inexact = singular = True
    samples = positive2
    takes = "f"

    def dx1(t, x1, x2):
        return t * _over_square(x2, x1, x2)

    def dx2(t, x1, x2):
        return t * _over_square(-x1, x1, x2)

    def lower(b, x1, x2):
        return b.atan2(x1, x2)


def _over_square(x, x1, x2):
    """x/(x₁² + x₂²), 0 at the origin."""
    square = x1 * x1 + x2 * x2
    one = np.ones((), dtype_of(square))
    return op.where(square == 0, number(0, x), x / op.where(square == 0, one, square))


class Sinh(Elementwise):
    """Hyperbolic sine.

    >>> sinh(tensor([0., 1.]))
    tensor([0.0000, 1.1752])
    """

    eager = np.sinh
    inexact = True
    samples = any1

    def dx(t, x):
        return t * op.cosh(x)

    def lower(b, x):
        return b.sinh(x)

    def parts(x):
        a, b = x
        return op.sinh(a) * op.cos(b), op.cosh(a) * op.sin(b)


class Cosh(Elementwise):
    """Hyperbolic cosine.

    >>> cosh(tensor([0., 1.]))
    tensor([1.0000, 1.5431])
    """

    eager = np.cosh
    inexact = True
    samples = any1

    def dx(t, x):
        return t * op.sinh(x)

    def lower(b, x):
        return b.cosh(x)

    def parts(x):
        a, b = x
        return op.cosh(a) * op.cos(b), op.sinh(a) * op.sin(b)


class Tanh(Elementwise):
    """Hyperbolic tangent, y = (eˣ − e⁻ˣ)/(eˣ + e⁻ˣ).

    >>> tanh(tensor([0., 1.]))
    tensor([0.0000, 0.7616])
    """

    eager = np.tanh
    inexact = True
    samples = any1

    def dx(t, y):
        return t - t * (y * y)

    def lower(b, x):
        return b.tanh(x)

    def parts(x):
        return tanh_of_parts(*x)


class Asinh(Elementwise):
    """Inverse hyperbolic sine.

    >>> asinh(tensor([0., 1.]))
    tensor([0.0000, 0.8814])
    """

    eager = np.arcsinh
    inexact = True
    samples = any1

    def dx(t, x):
        return t * op.rsqrt(x * x + 1)

    def lower(b, x):
        return b.asinh(x)

    parts = asinh_parts


class Acosh(Elementwise):
    """Inverse hyperbolic cosine.

    >>> acosh(tensor([1., 2.]))
    tensor([0.0000, 1.3170])
    """

    eager = np.arccosh
    inexact = singular = True
    samples = uniform((3, 2), low=1.3, high=3.0)

    def dx(t, x):
        return t * (op.rsqrt(x - 1) * op.rsqrt(x + 1))

    def lower(b, x):
        return b.acosh(x)

    parts = acosh_parts


class Atanh(Elementwise):
    """Inverse hyperbolic tangent.

    >>> atanh(tensor([0., 0.5]))
    tensor([0.0000, 0.5493])
    """

    eager = np.arctanh
    inexact = singular = True
    samples = unit1

    def dx(t, x):
        return t / (1 - x * x)

    def lower(b, x):
        return b.atanh(x)

    parts = atanh_parts


class Hypot(Elementwise):
    """y = √(x₁² + x₂²) without overflow.

    >>> hypot(tensor([3.]), tensor([4.]))
    tensor([5.])
    """

    eager = np.hypot
    singular = True
    samples = positive2
    takes = "f"

    def dx1(t, y, x1):
        return t * (x1 / y)

    def dx2(t, y, x2):
        return t * (x2 / y)

    def lower(b, x1, x2):
        return b.hypot(x1, x2)
