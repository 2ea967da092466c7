"""Arithmetic: sums, products, quotients with and without a rest, powers.

One record an operation: NumPy's function and a line of calculus. `dx(t, ...)` applies the
partial derivative to `t`; it names what else it reads (y, x, x1 ...).
"""

from __future__ import annotations

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import Elementwise, guarded, number, op, recorded
from ..errors import ArgumentError
from .complex_parts import is_nonzero, one_over, product, quotient
from .samples import any1, any2, positive1, positive2


def by_zero(name, site=None):
    """The error of a division of integers by zero."""
    return ArgumentError(
        f"{name}: integer division by zero",
        hint="where(b == 0, 1, b) beforehand, or floating tensors",
        site=site,
    )


def _whole(ufunc):
    """`ufunc`, a division; for integers by zero, which have no result, the error."""

    def eager(x1, x2):
        if x1.dtype.kind in "iu" and x2.dtype.kind in "iu" and not x2.all():
            raise by_zero(ufunc.__name__)
        return ufunc(x1, x2)

    return staticmethod(eager)


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
        return product(x1, x2)


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
        return quotient(x1, x2)


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
        if x2.dtype.kind == "f" and x1.shape != x2.shape and (x2 == 0.5).any():
            # Of an exponent for several numbers NumPy takes the root, which is NaN at -inf.
            x2 = np.broadcast_to(x2, np.broadcast_shapes(x1.shape, x2.shape)).copy()
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
        log, none = op.log.parts(x1), op.logical_not(is_nonzero(x1))
        y = op.exp.parts(product(x2, log))
        zero = op.where(is_nonzero(x2), op.zeros_like(y[0]), op.ones_like(y[0]))
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
        if exponent == 0.5:
            return np.sqrt(x)  # NaN at -inf, as in PyTorch
        return np.power(x, np.asarray(exponent, x.dtype))

    def dx(t, x, exponent):
        if exponent == 0:
            return op.zeros_like(t)
        if not recorded(x):  # else zeros of higher order stay, as in PyTorch
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
            y = product(y, square) if bit == "1" else y
            square = product(square, square)
        return one_over(y) if n < 0 else y


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
        return one_over(x)
