"""Exponentials, logarithms, roots, and the logistic function."""

from __future__ import annotations

import numpy as np

from ..core.primitive import Elementwise, number, op
from .complex_inverse import expm1_parts, log1p_of, log1p_parts
from .complex_parts import log_size, one_over, root
from .samples import any1, any2, positive1


class Exp(Elementwise):
    """Exponential, y = eˣ.

    >>> exp(tensor([0., 1.]))
    tensor([1.0000, 2.7183])
    """

    eager = np.exp
    inexact = True
    samples = any1

    def dx(t, y):
        return t * y

    def lower(b, x):
        return b.exp(x)

    def parts(x):
        size = op.exp(x[0])
        return size * op.cos(x[1]), size * op.sin(x[1])


class Exp2(Elementwise):
    """Power of two, y = 2ˣ.

    >>> exp2(tensor([3.]))
    tensor([8.])
    """

    eager = np.exp2
    inexact = True
    samples = any1

    def dx(t, y):
        return t * (y * np.log(2).item())

    def lower(b, x):
        return b.exp2(x)

    def parts(x):
        two = number(np.log(2), x[0])
        return op.exp.parts((x[0] * two, x[1] * two))


class Expm1(Elementwise):
    """y = eˣ − 1, accurate near 0.

    >>> expm1(tensor([0., 1.]))
    tensor([0.0000, 1.7183])
    """

    eager = np.expm1
    inexact = True
    samples = any1

    def dx(t, y):
        return t * (y + 1)

    def lower(b, x):
        return b.expm1(x)

    parts = expm1_parts


class Log(Elementwise):
    """Natural logarithm, y = ln x.

    >>> log(tensor([1., 10.]))
    tensor([0.0000, 2.3026])
    """

    eager = np.log
    inexact = singular = True
    samples = positive1

    def dx(t, x):
        return t / x

    def lower(b, x):
        return b.log(x)

    def parts(x):
        return log_size(*x), op.atan2(x[1], x[0])


def _log_parts(x, base):
    return tuple(a / number(np.log(base), a) for a in op.log.parts(x))


class Log2(Elementwise):
    """Logarithm to base 2.

    >>> log2(tensor([8.]))
    tensor([3.])
    """

    eager = np.log2
    inexact = singular = True
    samples = positive1

    def dx(t, x):
        return t / (x * np.log(2).item())

    def lower(b, x):
        return b.log2(x)

    def parts(x):
        return _log_parts(x, 2)


class Log10(Elementwise):
    """Logarithm to base 10.

    >>> log10(tensor([10.]))
    tensor([1.])
    """

    eager = np.log10
    inexact = singular = True
    samples = positive1

    def dx(t, x):
        return t / (x * np.log(10).item())

    def lower(b, x):
        return b.log10(x)

    def parts(x):
        return _log_parts(x, 10)


class Log1p(Elementwise):
    """y = ln(1 + x), accurate near 0.

    >>> log1p(tensor([0., 1.]))
    tensor([0.0000, 0.6931])
    """

    inexact = singular = True
    samples = positive1
    reference = staticmethod(np.log1p)

    def eager(x):
        return log1p_of(x) if x.dtype.kind == "c" else np.log1p(x)

    def dx(t, x):
        return t / (x + 1)

    def lower(b, x):
        return b.log1p(x)

    parts = log1p_parts


class Sqrt(Elementwise):
    """Square root.

    >>> sqrt(tensor([4., 9.]))
    tensor([2., 3.])
    """

    eager = np.sqrt
    inexact = singular = True
    samples = positive1

    def dx(t, y):
        return t / (y + y)

    def lower(b, x):
        return b.sqrt(x)

    def parts(x):
        return root(*x)


class Rsqrt(Elementwise):
    """y = 1/√x.

    >>> rsqrt(tensor([4.]))
    tensor([0.5000])
    """

    inexact = singular = True
    samples = positive1
    reference = staticmethod(lambda x: x**-0.5)

    def eager(x):
        return np.reciprocal(np.sqrt(x))

    def dx(t, y):
        return t * (-0.5 * y * y * y)

    def lower(b, x):
        return b.div(1.0, b.sqrt(x))

    def parts(x):
        return one_over(root(*x))


class Sigmoid(Elementwise):
    """Logistic function, y = 1/(1 + e⁻ˣ).

    >>> sigmoid(tensor([0., 2.]))
    tensor([0.5000, 0.8808])
    """

    inexact = True
    samples = any1
    reference = staticmethod(lambda x: 1 / (1 + np.exp(-x)))

    def eager(x):
        return np.reciprocal(np.exp(-x) + np.ones((), x.dtype))

    def dx(t, y):
        return t * (y * (1 - y))

    def lower(b, x):
        return b.sigmoid(x)

    def parts(x):
        a, b = op.exp.parts((-x[0], -x[1]))
        return one_over((op.ones_like(a) + a, b))


class LogSigmoid(Elementwise):
    """y = ln σ(x) = min(x, 0) − ln(1 + e^−|x|), exact for large |x|.

    >>> log_sigmoid(tensor([0., -1e4]))
    tensor([-6.9315e-01, -1.0000e+04])
    """

    inexact = True
    samples = any1
    takes = "f"
    reference = staticmethod(lambda x: -np.log1p(np.exp(-x)))

    def eager(x):
        return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))

    def dx(t, x):
        return t * op.sigmoid(-x)

    def lower(b, x):
        soft = b.log1p(b.exp(b.neg(b.abs(x))))
        return b.sub(b.minimum(x, 0.0), soft)


class Logaddexp(Elementwise):
    """y = ln(e^x₁ + e^x₂).

    >>> logaddexp(tensor([0.]), tensor([0.]))
    tensor([0.6931])
    """

    eager = np.logaddexp
    inexact = True
    samples = any2
    takes = "f"

    def dx1(t, x1, x2):
        return t * op.sigmoid(x1 - x2)

    def dx2(t, x1, x2):
        return t * op.sigmoid(x2 - x1)

    def lower(b, x1, x2):
        return b.logaddexp(x1, x2)


class Logaddexp2(Elementwise):
    """y = log₂(2^x₁ + 2^x₂).

    >>> logaddexp2(tensor([1.]), tensor([1.]))
    tensor([2.])
    """

    eager = np.logaddexp2
    inexact = True
    samples = any2
    takes = "f"

    def dx1(t, x1, x2):
        return t * op.sigmoid((x1 - x2) * np.log(2).item())

    def dx2(t, x1, x2):
        return t * op.sigmoid((x2 - x1) * np.log(2).item())

    def lower(b, x1, x2):
        return b.logaddexp2(x1, x2)
