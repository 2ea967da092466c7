"""Bits of integers and truth values; sign, exponent and neighbours of floating numbers."""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import dtype_of
from ..core.primitive import Elementwise, op
from ..core.shape import Spec, broadcast
from .samples import uniform

_INT32 = np.dtype("int32")


def _integers(*shapes, low=-40, high=40):
    return lambda rng: [(tuple(rng.integers(low, high, s) for s in shapes), {})]


class _Bits(Elementwise, abstract=True):
    lowers = "bui"
    takes = "bui"
    samples = _integers((3, 2), (2,))


class BitwiseAnd(_Bits):
    """Bits that both have; of truth values, whether both hold.

    >>> tensor([12, 10]) & 6
    tensor([4, 2])
    """

    eager = np.bitwise_and
    symbol = "{} & {}"

    def lower(b, x1, x2):
        return b.bit_and(x1, x2)


class BitwiseOr(_Bits):
    """Bits that one at least has; of truth values, whether one holds.

    >>> tensor([12, 10]) | 6
    tensor([14, 14])
    """

    eager = np.bitwise_or
    symbol = "{} | {}"

    def lower(b, x1, x2):
        return b.bit_or(x1, x2)


class BitwiseXor(_Bits):
    """Bits that just one has; of truth values, whether they differ.

    >>> tensor([12, 10]) ^ 6
    tensor([10, 12])
    """

    eager = np.bitwise_xor
    symbol = "{} ^ {}"

    def lower(b, x1, x2):
        return b.bit_xor(x1, x2)


class BitwiseNot(_Bits):
    """All bits turned; of a truth value, its contrary.

    >>> ~tensor([0, 5])
    tensor([-1, -6])
    """

    eager = np.bitwise_not
    symbol = "~{}"
    samples = _integers((3, 2))

    def lower(b, x):
        return b.bit_not(x)


class _Shift(_Bits, abstract=True):
    takes = "ui"

    def samples(rng):
        return [((rng.integers(-40, 40, (3, 2)), rng.integers(0, 9, (2,))), {})]


def _too_far(x1, x2):
    return (x2 < 0) | (x2 >= 8 * x1.dtype.itemsize)


class BitwiseLeftShift(_Shift):
    """x₁ · 2^x₂ in its bits; 0 when all are shifted out.

    >>> tensor([1, 3]) << 2
    tensor([ 4, 12])
    """

    symbol = "{} << {}"
    reference = staticmethod(lambda x, n: x * 2**n)

    def eager(x1, x2):
        far = _too_far(x1, x2)
        return np.where(
            far, x1.dtype.type(0), x1 << np.where(far, x2.dtype.type(0), x2)
        )

    def lower(b, x1, x2):
        return b.shift_left(x1, x2)


class BitwiseRightShift(_Shift):
    """⌊x₁ / 2^x₂⌋; the sign alone when all bits are shifted out.

    >>> tensor([12, -12]) >> 2
    tensor([ 3, -3])
    """

    symbol = "{} >> {}"
    reference = staticmethod(lambda x, n: np.floor(x / 2**n).astype(int))

    def eager(x1, x2):
        most = x2.dtype.type(8 * x1.dtype.itemsize - 1)
        return x1 >> np.where(_too_far(x1, x2), most, x2)

    def lower(b, x1, x2):
        return b.shift_right(x1, x2)


class Gcd(_Bits):
    """The greatest common divisor.

    >>> gcd(tensor([12, -8]), 18)
    tensor([6, 2])
    """

    eager = np.gcd
    takes = lowers = "ui"

    def lower(b, x1, x2):
        return b.gcd(x1, x2)


class Lcm(_Bits):
    """The least common multiple.

    >>> lcm(tensor([4, 5]), 6)
    tensor([12, 30])
    """

    eager = np.lcm
    takes = lowers = "ui"

    def lower(b, x1, x2):
        return b.lcm(x1, x2)


# ---------------------------------------------------------------- floating numbers


class Copysign(Elementwise):
    """|x₁| with the sign of x₂.

    >>> copysign(tensor([1., -2.]), tensor([-0., 3.]))
    tensor([-1.,  2.])
    """

    eager = np.copysign
    inexact = True
    takes = "f"
    samples = uniform((3, 2), (3, 2), low=0.2, high=2)

    def dx1(t, x1, x2):
        return t * (op.sgn(x1) * op.copysign(np.ones((), dtype_of(x2)), x2))

    def dx2(t):
        return op.zeros_like(t)

    def lower(b, x1, x2):
        return b.copysign(x1, x2)


class Nextafter(Elementwise):
    """The floating number next to x₁ towards x₂.

    >>> (nextafter(tensor([1.]), tensor([2.])) - 1) * 2**23
    tensor([1.])
    """

    eager = np.nextafter
    takes = "f"
    samples = uniform((3, 2), (3, 2))

    def lower(b, x1, x2):
        return b.nextafter(x1, x2)


class Heaviside(Elementwise):
    """0 for negative x₁, 1 for positive, x₂ at 0.

    >>> heaviside(tensor([-1., 0., 2.]), tensor(0.5))
    tensor([0.0000, 0.5000, 1.0000])
    """

    lowers = "buif"
    takes = "buif"
    samples = uniform((3, 2), (2,))
    reference = np.heaviside

    def eager(x1, x2):
        step = np.where(x1 > 0, np.ones((), x2.dtype), np.zeros((), x2.dtype))
        step = np.where(x1 == 0, x2, step)
        return np.where(x1 != x1, x1, step)

    def lower(b, x1, x2):
        positive = b.select(b.compare(">", x1, 0), b.number(1, x1), 0)
        return b.choose((b.isnan(x1), x1), (b.compare("==", x1, 0), x2), positive)


class Exponent(Elementwise):
    """The e with x = m 2^e and ½ ≤ |m| < 1; 0 for 0 and what is not finite.

    >>> op.exponent(tensor([3., 0.5, 0.]))
    tensor([2, 0, 0], dtype=adjoint.int32)
    """

    lowers = "f"
    takes = "f"
    samples = uniform((3, 2), low=0.1, high=9)
    reference = staticmethod(
        np.vectorize(lambda x: math.frexp(x)[1], otypes=[np.int32])
    )

    def eager(x):
        return np.frexp(x if x.dtype.kind == "f" else x.astype(np.float32))[1]

    def infer(self, x):
        return Spec(x.shape, _INT32)

    def lower(b, x):
        return b.exponent(x)


class Ldexp(Elementwise):
    """x₁ · 2^x₂ for an integer x₂, without rounding.

    >>> ldexp(tensor([1., 2.]), tensor([1, 2]))
    tensor([2., 8.])
    """

    lowers = "if"
    takes = "f"

    def samples(rng):
        return [((rng.normal(size=(3, 2)), rng.integers(-3, 4, (2,))), {})]

    reference = staticmethod(lambda x, n: x * 2.0**n)

    def eager(x1, x2):
        wide = x1 if x1.dtype.kind == "f" else x1.astype(np.float32)
        n = np.clip(x2, -5000, 5000).astype(_INT32)
        return np.ldexp(wide, n).astype(x1.dtype, copy=False)

    def infer(self, x1, x2):
        return Spec(broadcast(x1.shape, x2.shape, name="ldexp"), x1.dtype)

    def dx1(t, x2):
        return op.ldexp(t, x2)

    def lower(b, x1, x2):
        return b.ldexp(x1, x2)
