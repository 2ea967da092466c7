"""Elementwise primitives: arithmetic, exponential, trigonometric, rounding, comparison.

One record an operation: NumPy's function and a line of calculus. `dx(t, ...)` applies the
partial derivative to `t`; it names what else it reads (y, x, x1 ...).
"""

from __future__ import annotations

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import Elementwise, guarded, number, op, recorded
from ..errors import ArgumentError
from .complex_inverse import (
    acos_parts,
    acosh_parts,
    asin_parts,
    asinh_parts,
    atan_parts,
    atanh_parts,
    expm1_parts,
    log1p_parts,
)


def _real(*shapes, low=-2.0, high=2.0):
    """A sampler of random real inputs of these shapes."""
    return lambda rng: [(tuple(rng.uniform(low, high, s) for s in shapes), {})]


any1 = _real((3, 2))
positive1 = _real((3, 2), low=0.2, high=3.0)
unit1 = _real((3, 2), low=-0.9, high=0.9)
any2 = _real((3, 2), (2,))
positive2 = _real((3, 2), (3, 1), low=0.3, high=2.5)


def by_zero(name):
    """The error of a division of integers by zero."""
    return ArgumentError(
        f"{name}: integer division by zero",
        hint="where(b == 0, 1, b) beforehand, or floating tensors",
    )


def _whole(ufunc):
    """`ufunc`, a division; for integers by zero, which have no result, the error."""

    def eager(x1, x2):
        if x1.dtype.kind in "iu" and x2.dtype.kind in "iu" and not x2.all():
            raise by_zero(ufunc.__name__)
        return ufunc(x1, x2)

    return staticmethod(eager)


# ---------------------------------------------------------------- arithmetic


class Add(Elementwise):
    """Sum, y = x₁ + x₂.

    >>> tensor([1., 2.]) + 1
    tensor([2., 3.])
    """

    lowers = "buif"
    eager = np.add
    symbol = "{} + {}"
    samples = any2

    def dx1(t):
        return t

    def dx2(t):
        return t

    def lower(b, x1, x2):
        return b.add(x1, x2)

    def parts(x1, x2):
        (a, b), (c, d) = x1, x2
        return a + c, b + d


class Sub(Elementwise):
    """Difference, y = x₁ − x₂.

    >>> tensor([1., 2.]) - 1
    tensor([0., 1.])
    """

    lowers = "uif"
    symbol = "{} - {}"
    samples = any2
    eager = np.subtract

    def dx1(t):
        return t

    def dx2(t):
        return -t

    def lower(b, x1, x2):
        return b.sub(x1, x2)

    def parts(x1, x2):
        (a, b), (c, d) = x1, x2
        return a - c, b - d


class Mul(Elementwise):
    """Product, y = x₁ x₂.

    >>> tensor([1., 2.]) * tensor([3., 4.])
    tensor([3., 8.])
    """

    lowers = "buif"
    eager = np.multiply
    symbol = "{} * {}"
    samples = any2

    def dx1(t, x2):
        return t * x2

    def dx2(t, x1):
        return t * x1

    def lower(b, x1, x2):
        return b.mul(x1, x2)

    def parts(x1, x2):
        return _product(x1, x2)


class Div(Elementwise):
    """Quotient, y = x₁ / x₂; integers give floating results.

    >>> tensor([1., 2.]) / 4
    tensor([0.2500, 0.5000])
    """

    eager = np.true_divide
    symbol = "{} / {}"
    inexact = singular = True
    samples = positive2

    def dx1(t, x2):
        return t / x2

    def dx2(t, y, x2):
        return -t * y / x2

    def lower(b, x1, x2):
        return b.div(x1, x2)

    def parts(x1, x2):
        return _quotient(x1, x2)


class Neg(Elementwise):
    """Negation, y = −x.

    >>> -tensor([1., -2.])
    tensor([-1.,  2.])
    """

    lowers = "uif"
    eager = np.negative
    symbol = "-{}"
    samples = any1
    takes = "uifc"

    def dx(t):
        return -t

    def lower(b, x):
        return b.neg(x)

    def parts(x):
        return -x[0], -x[1]


class Pow(Elementwise):
    """Power, y = x₁^x₂; 0⁰ = 1.

    >>> tensor([2., 3.]) ** tensor([3., 2.])
    tensor([8., 9.])
    """

    symbol = "{}**{}"
    singular = True
    takes = "uifc"
    lowers = "uif"
    samples = positive2
    reference = np.float_power

    def eager(x1, x2):
        if x2.dtype.kind == "i" and (x2 < 0).any():
            return _int_power(x1, x2)
        return np.power(x1, x2)

    def dx1(t, x1, x2):
        flat = op.logical_and(x2 == 0, op.logical_or(x1 == 0, op.isnan(x1)))
        one = np.ones((), dtype_of(x2))
        return t * op.where(
            flat, number(0, x1), x2 * op.pow(x1, op.where(flat, one, x2 - 1))
        )

    def dx2(t, y, x1, x2):
        real = op.real(x2) if dtype_of(x2).kind == "c" else x2
        flat = op.logical_and(x1 == 0, op.ge(real, number(0, real)))
        return t * op.where(flat, number(0, y), y * op.log(x1))

    def lower(b, x1, x2):
        return b.pow(x1, x2)

    def parts(x1, x2):
        log, none = op.log.parts(x1), op.logical_not(_is_nonzero(x1))
        y = op.exp.parts(_product(x2, log))
        zero = op.where(_is_nonzero(x2), op.zeros_like(y[0]), op.ones_like(y[0]))
        return op.where(none, zero, y[0]), op.where(none, op.zeros_like(y[1]), y[1])


def _int_power(x1, x2):
    """Integers to integer powers, negative ones rounded towards 0: ±1 stays, the rest is 0."""
    y = np.power(x1, np.where(x2 < 0, x2 & 1, x2))  # ±1 need only the parity
    return np.where((x2 >= 0) | (x1 == 1) | (x1 == -1), y, 0).astype(y.dtype)


class PowScalar(Elementwise):
    """Power with a fixed exponent, y = x^n.

    >>> tensor([2., 3.]) ** 2
    tensor([4., 9.])
    """

    lowers = "uif"
    symbol = "{}**{exponent}"
    reference = staticmethod(lambda x, exponent: np.float_power(x, exponent))

    def samples(rng):
        x = rng.uniform(0.3, 2, (3, 2))
        return [((x,), {"exponent": n}) for n in (2, 3, 0.5, -1, -1.5, 0)] + [
            ((-x,), {"exponent": 3})
        ]

    def eager(x, *, exponent):
        if exponent == 2:
            return np.square(x)
        if exponent == 1:
            return np.positive(x)
        return np.power(x, np.asarray(exponent, x.dtype))

    def dx(t, x, exponent):
        if exponent == 0:
            return op.zeros_like(t)
        if not recorded(
            x
        ):  # else zeros of higher order stay in the graph, as in PyTorch
            if exponent == 2:
                return t * (x + x)
            if exponent == 1:
                return t
        out = t * (exponent * op.pow_scalar(x, exponent=exponent - 1))
        smooth = not isinstance(exponent, complex) and exponent > 1
        return out if smooth else guarded(t, out)

    def lower(b, x, exponent):
        return b.power(x, exponent)

    def parts(x, exponent):
        n = exponent
        if isinstance(n, complex) or n != int(n) or abs(n) > 100:
            n = np.asarray(n, np.complex128)
            d = dtype_of(x[0])
            return op.pow.parts(x, (n.real.astype(d), n.imag.astype(d)))
        y, n = (op.ones_like(x[0]), op.zeros_like(x[0])), int(n)
        square = x
        for bit in reversed(f"{abs(n):b}"):
            y = _product(y, square) if bit == "1" else y
            square = _product(square, square)
        return _quotient((op.ones_like(x[0]), op.zeros_like(x[0])), y) if n < 0 else y


class Remainder(Elementwise):
    """Remainder with the sign of the divisor, y = x₁ − ⌊x₁/x₂⌋ x₂.

    >>> tensor([-3., 3.]) % 2
    tensor([1., 1.])
    """

    lowers = "uif"
    eager = _whole(np.remainder)
    reference = np.remainder
    symbol = "{} % {}"
    samples = positive2
    takes = "uif"

    def dx1(t):
        return t

    def dx2(t, x1, x2):
        return -t * op.floor_divide(x1, x2)

    def lower(b, x1, x2):
        return b.remainder(x1, x2)


class Fmod(Elementwise):
    """Remainder with the sign of the dividend, y = x₁ − trunc(x₁/x₂) x₂.

    >>> fmod(tensor([-3., 3.]), 2)
    tensor([-1.,  1.])
    """

    lowers = "uif"
    eager = _whole(np.fmod)
    reference = np.fmod
    samples = positive2
    takes = "uif"

    def dx1(t):
        return t

    def dx2(t, x1, x2):
        return -t * op.trunc(x1 / x2)

    def lower(b, x1, x2):
        return b.fmod(x1, x2)


class FloorDivide(Elementwise):
    """Quotient rounded down, y = ⌊x₁/x₂⌋.

    >>> tensor([7, -7]) // 2
    tensor([ 3, -4])
    """

    lowers = "uif"
    eager = _whole(np.floor_divide)
    reference = np.floor_divide
    symbol = "{} // {}"
    samples = positive2
    takes = "uif"

    def dx1(t):
        return op.zeros_like(t)

    def dx2(t):
        return op.zeros_like(t)

    def lower(b, x1, x2):
        return b.floor_divide(x1, x2)


# ---------------------------------------------------------------- exponential


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
        return _log_size(*x), op.atan2(x[1], x[0])


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
        a, b = op.log.parts(x)
        return a / number(np.log(2), a), b / number(np.log(2), b)


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
        a, b = op.log.parts(x)
        return a / number(np.log(10), a), b / number(np.log(10), b)


class Log1p(Elementwise):
    """y = ln(1 + x), accurate near 0.

    >>> log1p(tensor([0., 1.]))
    tensor([0.0000, 0.6931])
    """

    eager = np.log1p
    inexact = singular = True
    samples = positive1

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
        return _root(*x)


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
        a, b = _root(*x)
        return _quotient((op.ones_like(a), op.zeros_like(a)), (a, b))


class Reciprocal(Elementwise):
    """y = 1/x.

    >>> reciprocal(tensor([4.]))
    tensor([0.2500])
    """

    eager = np.reciprocal
    inexact = singular = True
    samples = positive1

    def dx(t, y):
        return t * (-y * y)

    def lower(b, x):
        return b.div(1.0, x)

    def parts(x):
        return _quotient((op.ones_like(x[0]), op.zeros_like(x[0])), x)


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
        one = op.ones_like(a)
        return _quotient((one, op.zeros_like(a)), (one + a, b))


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


# ---------------------------------------------------------------- trigonometric


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
        a, b = _tanh(-x[1], x[0])  # tan z = -i tanh iz
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
        return _tanh(*x)


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
    samples = _real((3, 2), low=1.3, high=3.0)

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


# ---------------------------------------------------------------- rounding, sign, selection


class Abs(Elementwise):
    """Magnitude, |x|; the derivative at 0 is 0.

    >>> abs(tensor([-1., 2.]))
    tensor([1., 2.])
    """

    lowers = "buif"
    eager = np.abs
    out = "real"
    samples = any1

    def dx(t, x):
        s = op.sgn(x)
        return op.real(t * op.conj(s)) if dtype_of(s).kind == "c" else t * s

    def pull(t, x):
        s = op.sgn(x)
        return op.cast(t, dtype=dtype_of(s)) * s if dtype_of(s).kind == "c" else t * s

    def lower(b, x):
        return b.abs(x)

    def parts(x):
        return op.hypot(*x)


class Sign(Elementwise):
    """−1, 0 or 1 by the sign; 0 for NaN, as in PyTorch.

    >>> sign(tensor([-2., 0., 3.]))
    tensor([-1.,  0.,  1.])
    """

    lowers = "buif"
    samples = positive1
    takes = "buif"
    reference = np.sign

    def eager(x):
        return _sign(x)

    def dx(t):
        return op.zeros_like(t)

    def lower(b, x):
        return b.sign(x)


def _sign(x):
    """NumPy's sign, but 0 for NaN, and for truth values."""
    if x.dtype.kind in "bu":
        return (x > 0).astype(x.dtype)
    return np.subtract(x > 0, x < 0, dtype=np.int8).astype(x.dtype)


class Sgn(Elementwise):
    """x/|x|, 0 at 0; `sign` for complex numbers too.

    >>> sgn(tensor([3+4j]))
    tensor([0.6000+0.8000j])
    """

    lowers = "buif"
    samples = positive1
    singular = True
    reference = np.sign

    def eager(x):
        return np.sign(x) if x.dtype.kind == "c" else _sign(x)

    def dx(t, y, x):
        if dtype_of(x).kind != "c":
            return op.zeros_like(t)
        zero = op.eq(x, op.zeros_like(x))
        r = op.where(zero, op.ones_like(x), op.cast(op.abs(x), dtype=dtype_of(x)))
        dy = (t - y * op.cast(op.real(op.conj(y) * t), dtype=dtype_of(x))) / r
        return op.where(zero, op.zeros_like(dy), dy)

    def pull(t, y, x):
        return Sgn.dx(t, y, x)

    def lower(b, x):
        return b.sign(x)

    def parts(x):
        size = op.hypot(*x)
        none = op.eq(size, op.zeros_like(size))
        size = op.where(none, op.ones_like(size), size)
        return x[0] / size, x[1] / size


class Floor(Elementwise):
    """Largest integer not above x.

    >>> floor(tensor([1.5, -1.5]))
    tensor([ 1., -2.])
    """

    lowers = "uif"
    eager = np.floor
    samples = _real((3, 2), low=0.1, high=0.9)
    takes = "uif"

    def dx(t):
        return op.zeros_like(t)

    def lower(b, x):
        return b.floor(x)


class Ceil(Elementwise):
    """Smallest integer not below x.

    >>> ceil(tensor([1.5, -1.5]))
    tensor([ 2., -1.])
    """

    lowers = "uif"
    eager = np.ceil
    samples = _real((3, 2), low=0.1, high=0.9)
    takes = "uif"

    def dx(t):
        return op.zeros_like(t)

    def lower(b, x):
        return b.ceil(x)


class Trunc(Elementwise):
    """The integer part, towards 0.

    >>> trunc(tensor([1.5, -1.5]))
    tensor([ 1., -1.])
    """

    lowers = "uif"
    eager = np.trunc
    samples = _real((3, 2), low=0.1, high=0.9)
    takes = "uif"

    def dx(t):
        return op.zeros_like(t)

    def lower(b, x):
        return b.trunc(x)


class Round(Elementwise):
    """Nearest integer, halves to even; `decimals` places.

    >>> round(tensor([0.5, 1.5, 1.234]), decimals=1)
    tensor([0.5000, 1.5000, 1.2000])
    """

    takes = "uif"
    reference = staticmethod(lambda x, decimals: np.around(x, decimals))

    def samples(rng):
        return [((rng.uniform(0.1, 0.4, (3, 2)),), {"decimals": 0})]

    def eager(x, *, decimals):
        return np.round(x, decimals)

    def dx(t):
        return op.zeros_like(t)

    def lower(b, x, decimals):
        return b.round_to(x, decimals)


class Maximum(Elementwise):
    """The larger of two; NaN wins, and at a tie each side takes half of the gradient.

    >>> maximum(tensor([1., 5.]), tensor([3., 2.]))
    tensor([3., 5.])
    """

    lowers = "buif"
    eager = np.maximum
    samples = any2
    takes = "buif"

    def dx1(t, x1, x2):
        return op.where(x1 == x2, t * 0.5, op.where(x1 < x2, number(0, t), t))

    def dx2(t, x1, x2):
        return op.where(x1 == x2, t * 0.5, op.where(x2 < x1, number(0, t), t))

    def lower(b, x1, x2):
        return b.maximum(x1, x2)


class Minimum(Elementwise):
    """The smaller of two; NaN wins, and at a tie each side takes half of the gradient.

    >>> minimum(tensor([1., 5.]), tensor([3., 2.]))
    tensor([1., 2.])
    """

    lowers = "buif"
    eager = np.minimum
    samples = any2
    takes = "buif"

    def dx1(t, x1, x2):
        return op.where(x1 == x2, t * 0.5, op.where(x1 > x2, number(0, t), t))

    def dx2(t, x1, x2):
        return op.where(x1 == x2, t * 0.5, op.where(x2 > x1, number(0, t), t))

    def lower(b, x1, x2):
        return b.minimum(x1, x2)


class Relu(Elementwise):
    """max(x, 0); the derivative at 0 is 0.

    >>> relu(tensor([-1., 2.]))
    tensor([0., 2.])
    """

    lowers = "uif"
    takes = "uif"
    samples = _real((3, 2), low=0.1, high=2.0)
    reference = staticmethod(lambda x: np.where(x > 0, x, 0))

    def eager(x):
        return np.maximum(x, 0)

    def dx(t, y):
        return op.gate(t, y)

    def lower(b, x):
        return b.select(b.compare("<=", x, 0), 0, x)


class Gate(Elementwise):
    """What `relu` lets through of the tangent x₁: 0 where x₂ ≤ 0. It is flat in x₂.

    >>> op.gate(tensor([3., 4.]), tensor([-1., 2.]))
    tensor([0., 4.])
    """

    samples = any2
    takes = "f"
    reference = staticmethod(lambda x1, x2: x1 * (x2 > 0))

    def eager(x1, x2):
        return np.where(x2 <= 0, np.zeros((), x1.dtype), x1)

    def dx1(t, x2):
        return op.gate(t, x2)

    def dx2(t):
        return op.zeros_like(t)

    def lower(b, x1, x2):
        return b.select(b.compare("<=", x2, 0), 0, x1)


class Clamp(Elementwise):
    """x limited to [low, high], numbers or None; the derivative is 1 at the limits too.

    >>> clamp(tensor([-2., 0.5, 2.]), -1, 1)
    tensor([-1.0000,  0.5000,  1.0000])
    """

    lowers = "uif"
    takes = "uif"
    reference = staticmethod(
        lambda x, low, high: np.where(x < low, low, np.where(x > high, high, x))
    )

    def samples(rng):
        x = rng.uniform(-0.9, 0.9, (3, 2)) + np.array([0.0, 2.0])
        return [((x,), {"low": -1.0, "high": 1.0})]

    def eager(x, *, low, high):
        y = x if low is None else np.maximum(x, np.asarray(low, x.dtype))
        return y if high is None else np.minimum(y, np.asarray(high, x.dtype))

    def dx(t, x, low, high):
        sides = []
        if low is not None:
            sides.append(x >= number(low, x))
        if high is not None:
            sides.append(x <= number(high, x))
        inside = sides[0] if len(sides) == 1 else op.logical_and(*sides)
        return op.where(inside, t, number(0, t))

    def lower(b, x, low, high):
        y = x if low is None else b.maximum(x, low)
        return y if high is None else b.minimum(y, high)


class Where(Elementwise):
    """x₂ where x₁ holds, x₃ elsewhere; a zero cotangent stays zero on the side not taken.

    >>> where(tensor([True, False]), tensor([1., 2.]), tensor([3., 4.]))
    tensor([1., 4.])
    """

    lowers = "buif"
    decides = 1

    def samples(rng):
        return [
            (
                (
                    rng.random((3, 2)) > 0.5,
                    rng.normal(size=(3, 2)),
                    rng.normal(size=(2,)),
                ),
                {},
            )
        ]

    reference = staticmethod(lambda c, a, b: np.choose(c, np.broadcast_arrays(b, a)))

    def eager(x1, x2, x3):
        return np.where(x1, x2, x3)

    def dx2(t, x1):
        return op.where(x1, t, number(0, t))

    def dx3(t, x1):
        return op.where(x1, number(0, t), t)

    def lower(b, x1, x2, x3):
        return b.select(b.truth(x1), x2, x3)

    def parts(x1, x2, x3):
        return tuple(op.where(x1, a, b) for a, b in zip(x2, x3, strict=True))


class Guard(Elementwise):
    """The derivative x₂ of something along the tangent x₁: 0, not NaN or ∞, where x₁ is 0.

    Holds `grad(where(x > 0, sqrt(x), 0))` at 0 to 0, where 0 · ∞ would be NaN. What is finite
    passes: the derivative of x₂ itself need not vanish with x₁.

    >>> op.guard(tensor([0., 1.]), tensor([inf, 2.]))
    tensor([0., 2.])
    """

    reference = staticmethod(lambda t, x: x + 0 * t)

    def samples(rng):
        t = rng.normal(size=(3, 2))
        return [((a, rng.normal(size=s)), {}) for a in (t, 0 * t) for s in ((3, 2), 2)]

    def eager(x1, x2):
        finite = np.isfinite(x2)
        if x1.shape == x2.shape and finite.all():
            return x2
        return np.where((x1 == 0) & ~finite, np.zeros((), x2.dtype), x2)

    def dx2(t, x1):
        return op.guard(x1, t)

    def lower(b, x1, x2):
        still = b.logical_and(b.compare("==", x1, 0), b.logical_not(b.isfinite(x2)))
        return b.select(still, 0, x2)

    def parts(x1, x2):
        still = op.logical_not(_is_nonzero(x1))
        finite = op.logical_and(op.isfinite(x2[0]), op.isfinite(x2[1]))
        none = op.logical_and(still, op.logical_not(finite))
        return tuple(op.where(none, op.zeros_like(a), a) for a in x2)


# ---------------------------------------------------------------- complex


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


# ---------------------------------------------------------------- comparison, logic, bits


class _Comparison(Elementwise, abstract=True):
    lowers = "buif"
    out = "bool"


class Eq(_Comparison):
    """x₁ = x₂.

    >>> tensor([1, 2]) == 1
    tensor([ True, False])
    """

    eager = np.equal
    symbol = "{} == {}"
    samples = any2

    def lower(b, x1, x2):
        return b.compare("==", x1, x2)

    def parts(x1, x2):
        return op.logical_and(op.eq(x1[0], x2[0]), op.eq(x1[1], x2[1]))


class Ne(_Comparison):
    """x₁ ≠ x₂.

    >>> tensor([1, 2]) != 1
    tensor([False,  True])
    """

    eager = np.not_equal
    symbol = "{} != {}"
    samples = any2

    def lower(b, x1, x2):
        return b.compare("!=", x1, x2)

    def parts(x1, x2):
        return op.logical_or(op.ne(x1[0], x2[0]), op.ne(x1[1], x2[1]))


class Lt(_Comparison):
    """x₁ < x₂.

    >>> tensor([1, 2]) < 2
    tensor([ True, False])
    """

    takes = "buif"
    eager = np.less
    symbol = "{} < {}"
    samples = any2

    def lower(b, x1, x2):
        return b.compare("<", x1, x2)


class Le(_Comparison):
    """x₁ ≤ x₂.

    >>> tensor([1, 2]) <= 1
    tensor([ True, False])
    """

    takes = "buif"
    eager = np.less_equal
    symbol = "{} <= {}"
    samples = any2

    def lower(b, x1, x2):
        return b.compare("<=", x1, x2)


class Gt(_Comparison):
    """x₁ > x₂.

    >>> tensor([1, 2]) > 1
    tensor([False,  True])
    """

    takes = "buif"
    eager = np.greater
    symbol = "{} > {}"
    samples = any2

    def lower(b, x1, x2):
        return b.compare(">", x1, x2)


class Ge(_Comparison):
    """x₁ ≥ x₂.

    >>> tensor([1, 2]) >= 2
    tensor([False,  True])
    """

    takes = "buif"
    eager = np.greater_equal
    symbol = "{} >= {}"
    samples = any2

    def lower(b, x1, x2):
        return b.compare(">=", x1, x2)


class LogicalAnd(_Comparison):
    """Both are non-zero.

    >>> logical_and(tensor([1, 0]), tensor([1, 1]))
    tensor([ True, False])
    """

    eager = np.logical_and
    samples = any2

    def lower(b, x1, x2):
        return b.logical_and(x1, x2)

    def parts(x1, x2):
        return op.logical_and(_is_nonzero(x1), _is_nonzero(x2))


class LogicalOr(_Comparison):
    """One at least is non-zero.

    >>> logical_or(tensor([1, 0]), tensor([0, 0]))
    tensor([ True, False])
    """

    eager = np.logical_or
    samples = any2

    def lower(b, x1, x2):
        return b.logical_or(x1, x2)

    def parts(x1, x2):
        return op.logical_or(_is_nonzero(x1), _is_nonzero(x2))


class LogicalXor(_Comparison):
    """Just one is non-zero.

    >>> logical_xor(tensor([1, 0]), tensor([1, 1]))
    tensor([False,  True])
    """

    eager = np.logical_xor
    samples = any2

    def lower(b, x1, x2):
        return b.logical_xor(x1, x2)

    def parts(x1, x2):
        return op.logical_xor(_is_nonzero(x1), _is_nonzero(x2))


class LogicalNot(_Comparison):
    """Is zero.

    >>> logical_not(tensor([1, 0]))
    tensor([False,  True])
    """

    eager = np.logical_not
    samples = any1

    def lower(b, x):
        return b.logical_not(x)

    def parts(x):
        return op.logical_not(_is_nonzero(x))


class Isnan(_Comparison):
    """Is not a number.

    >>> isnan(tensor([1., nan]))
    tensor([False,  True])
    """

    eager = np.isnan
    samples = any1

    def lower(b, x):
        return b.isnan(x)

    def parts(x):
        return op.logical_or(op.isnan(x[0]), op.isnan(x[1]))


class Isinf(_Comparison):
    """Is infinite.

    >>> isinf(tensor([1., inf]))
    tensor([False,  True])
    """

    eager = np.isinf
    samples = any1

    def lower(b, x):
        return b.isinf(x)

    def parts(x):
        return op.logical_or(op.isinf(x[0]), op.isinf(x[1]))


class Isfinite(_Comparison):
    """Is neither infinite nor NaN.

    >>> isfinite(tensor([1., inf]))
    tensor([ True, False])
    """

    eager = np.isfinite
    samples = any1

    def lower(b, x):
        return b.isfinite(x)

    def parts(x):
        return op.logical_and(op.isfinite(x[0]), op.isfinite(x[1]))


class Signbit(_Comparison):
    """Has its sign bit set.

    >>> signbit(tensor([-0., 1.]))
    tensor([ True, False])
    """

    takes = "buif"
    eager = np.signbit
    samples = any1

    def lower(b, x):
        return b.signbit(x)


# ---------------------------------------------------------------- of parts


def _is_nonzero(x):
    a, b = x
    return op.logical_or(op.ne(a, op.zeros_like(a)), op.ne(b, op.zeros_like(b)))


def _product(x, y):
    (a, b), (c, d) = x, y
    return a * c - b * d, a * d + b * c


def _quotient(x, y):
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


def _log_size(a, b):
    """ln |z|, also near |z| = 1, where the logarithm of a rounded size is nothing."""
    a, b = op.abs(a), op.abs(b)
    size, most, least = op.hypot(a, b), op.maximum(a, b), op.minimum(a, b)
    one = op.ones_like(a)
    near = op.log1p((most - one) * (most + one) + least * least) / number(2, a)
    close = op.logical_and(op.gt(size, number(0.5, a)), op.lt(size, number(3, a)))
    return op.where(close, near, op.log(size))


def _root(a, b):
    """√z with a part that is not negative; no sum cancels."""
    half, zero = number(0.5, a), op.zeros_like(a)
    t = op.sqrt((op.abs(a) + op.hypot(a, b)) * half)
    other = op.where(op.eq(t, zero), zero, b / (t + t))
    left = op.lt(a, zero)
    real = op.where(left, op.abs(other), t)
    return real, op.where(left, op.copysign(t, b), op.where(op.eq(t, zero), b, other))


def _tanh(a, b):
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
