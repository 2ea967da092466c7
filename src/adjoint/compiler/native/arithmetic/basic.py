"""Arithmetic on lanes: vectors of one width, written into an LLVM block.

Python numbers stand for vectors of that number. Products and sums may be contracted to
fused ones, except in what computes a rounding error; nothing else is reassociated.
"""

from __future__ import annotations

import math

from ..llvm.machine import fuses, is_arm, rounds, vector_bits
from ..llvm.types import mangled
from .fused import fused
from .kinds import (
    BIT,
    INT32,
    Format,
    element_of,
    is_int,
    is_mask,
    is_unsigned,
)
from .values import Values, shared_by_lanes
from .wholes import WAYS

_CONTRACT = ("contract",)


class Arithmetic(Values):
    """Operations on vectors of one width; the operands say of what."""

    # ------------------------------------------------------------ arithmetic

    def _two(self, name, x, y):
        x, y = self.both(x, y)
        if is_int(x):
            return getattr(self.b, name)(x, y)
        return getattr(self.b, f"f{name}")(x, y, flags=_CONTRACT)

    def rounded(self, name, x, y):
        """The sum, difference or product of floats on its own, never fused with another."""
        return getattr(self.b, f"f{name}")(*self.both(x, y))

    def add(self, x, y):
        """x + y; of truth values, whether one holds."""
        return self.b.or_(x, y) if is_mask(x) else self._two("add", x, y)

    def sub(self, x, y):
        """x - y."""
        return self._two("sub", x, y)

    def mul(self, x, y):
        """x y; of truth values, whether both hold."""
        return self.b.and_(x, y) if is_mask(x) else self._two("mul", x, y)

    def div(self, x, y):
        """x / y of floats; by the inverse where y was one number before the loop."""
        x, y = self.both(x, y)
        one = shared_by_lanes(y)
        if one is None or getattr(one, "parent", None) is self.b.block:
            return self.b.fdiv(x, y)
        return self._by_inverse(x, one)

    def _by_inverse(self, x, one):
        """x / y of a number y that was there before the loop, rounded as a division rounds.

        A quotient by the inverse is made good by what it leaves of x (Markstein): six
        instructions for the sixteen cycles that a unit divides a vector.
        """
        f = self.format(x)
        with self.at_the_end_of(one):
            unit = self._toward_one(one, f)
            one = self.b.fmul(one, unit)
            inverse = self.b.fdiv(f.type(1.0), one)
            y, inverse, unit = (self.splat(v) for v in (one, inverse, unit))
        z = self.b.fmul(x, inverse)
        rest = self.fma(self.neg(z), y, x)
        w = self.fma(rest, inverse, z)
        return self.b.fmul(self.select(self.isnan(w), z, w), unit)

    def _toward_one(self, x, f):
        """1 for most numbers; for the rest a power of 2 that makes the inverse normal."""
        b, far = self.b, 2.0 ** (f.bias // 2)
        size = b.shl(b.bitcast(x, f.int), f.int(1))
        low, high = (
            f.bias + k * (f.bias - f.mantissa) << f.mantissa + 1 for k in (-1, 1)
        )
        unit = b.select(
            b.icmp_unsigned("<", size, f.int(low)), f.type(far), f.type(1.0)
        )
        large = b.icmp_unsigned(">", size, f.int(high))
        return b.select(large, f.type(1 / far), unit)

    def neg(self, x):
        """-x."""
        return self.b.neg(x) if is_int(x) else self.b.fneg(x)

    def fma(self, x, y, z):
        """x y + z, rounded once."""
        return self.call("fma", x, y, z) if fuses() else fused(self, x, y, z)

    def mul_add(self, x, y, z):
        """x y + z, rounded once or, where the processor does not fuse them, twice."""
        if fuses():
            return self.call("fma", x, y, z)
        return self.rounded("add", self.rounded("mul", x, y), z)

    def abs(self, x):
        """Without its sign."""
        if not is_int(x):
            return self.call("fabs", x)
        if is_unsigned(x):
            return x
        return self.select(self.compare("<", x, 0), self.neg(x), x)

    def sign(self, x):
        """-1, 0 or 1; 0 for NaN."""
        above, below = self.compare(">", x, 0), self.compare("<", x, 0)
        return self.choose((above, self.number(1, x)), (below, -1), self.number(0, x))

    def copysign(self, x, y):
        """The size of x with the sign of y."""
        return self.call("copysign", *self.both(x, y))

    def _whole(self, name, x):
        if is_int(x):
            return x
        return self.call(name, x) if rounds() else WAYS[name](self, x)

    def round(self, x):
        """The nearest integer, halves to even."""
        return self._whole("roundeven", x)

    def round_to(self, x, decimals: int):
        """The nearest decimal number of so many places."""
        scale = 10.0 ** abs(decimals)
        if decimals < 0:
            return self.mul(self.round(self.div(x, scale)), scale)
        if decimals == 0:
            return self.round(x)
        return self.div(self.round(self.mul(x, scale)), scale)

    def floor(self, x):
        """The next integer below."""
        return self._whole("floor", x)

    def ceil(self, x):
        """The next integer above."""
        return self._whole("ceil", x)

    def trunc(self, x):
        """Without its fraction."""
        return self._whole("trunc", x)

    def _extreme(self, sign, x, y):
        """As NumPy has it: of zeros ARM knows the sign, others give the second."""
        x, y = self.both(x, y)
        if is_arm() and not is_int(x):
            return self.call("maximum" if sign == ">" else "minimum", x, y)
        chosen = self.select(self.compare(sign, x, y), x, y)
        return chosen if is_int(x) else self.select(self.isnan(x), x, chosen)

    def maximum(self, x, y):
        """The larger; NaN if either is."""
        return self._extreme(">", x, y)

    def minimum(self, x, y):
        """The smaller; NaN if either is."""
        return self._extreme("<", x, y)

    def largest(self, x, y):
        """The larger, NaN if either is; of zeros any."""
        if is_int(x):
            return self.maximum(x, y)
        return self.call("maximum", x, y, flags=("nsz",))

    def least(self, x, y):
        """The smaller, likewise."""
        if is_int(x):
            return self.minimum(x, y)
        return self.call("minimum", x, y, flags=("nsz",))

    def clamp(self, x, low, high):
        """x within two numbers; a NaN becomes one of them."""
        x = self.select(self.compare(">", x, low), x, low)
        return self.select(self.compare("<", x, high), x, high)

    def horner(self, x, coefficients):
        """c0 + x (c1 + x (c2 + ...)), fused where that is fast."""
        *rest, y = coefficients
        y = self.number(y, x)
        for c in reversed(rest):
            y = self.mul_add(y, x, c)
        return y

    # ------------------------------------------------------------ numbers in two parts

    def two_sum(self, x, y):
        """(x + y rounded, what that lost), for |x| ≥ |y| or x = 0."""
        x, y = self.both(x, y)
        s = self.b.fadd(x, y)
        return s, self.b.fsub(y, self.b.fsub(s, x))

    def two_product(self, x, y):
        """(x y rounded, what that lost)."""
        x, y = self.both(x, y)
        p = self.b.fmul(x, y)
        return p, self.fma(x, y, self.neg(p))

    # ------------------------------------------------------------ truth

    def compare(self, sign: str, x, y):
        """A mask; false where an operand is NaN, except for `!=`."""
        x, y = self.both(x, y)
        if is_int(x):
            signed = not is_unsigned(x)
            return (self.b.icmp_signed if signed else self.b.icmp_unsigned)(sign, x, y)
        emit = self.b.fcmp_unordered if sign == "!=" else self.b.fcmp_ordered
        return emit(sign, x, y)

    def nowhere(self):
        """A mask of no lane."""
        return self.number(0, self.vector(BIT))

    def isnan(self, x):
        """A mask of what is not a number."""
        return self.nowhere() if is_int(x) else self.b.fcmp_unordered("uno", x, x)

    def isfinite(self, x):
        """A mask of what is neither infinite nor NaN."""
        if is_int(x):
            return self.logical_not(self.nowhere())
        return self.compare("<", self.abs(x), math.inf)

    def isinf(self, x):
        """A mask of what is infinite."""
        if is_int(x):
            return self.nowhere()
        return self.compare("==", self.abs(x), math.inf)

    def signbit(self, x):
        """A mask of set signs, that of -0 and of NaN too."""
        return self.compare("<", x if is_int(x) else self.as_int(x), 0)

    def truth(self, x):
        """A mask of what is not zero."""
        return x if is_mask(x) else self.compare("!=", x, 0)

    def logical_and(self, x, y):
        """Both are not zero."""
        return self.b.and_(self.truth(x), self.truth(y))

    def logical_or(self, x, y):
        """One at least is not zero."""
        return self.b.or_(self.truth(x), self.truth(y))

    def logical_xor(self, x, y):
        """Just one is not zero."""
        return self.b.xor(self.truth(x), self.truth(y))

    def logical_not(self, x):
        """Is zero."""
        return self.b.not_(self.truth(x))

    def select(self, mask, x, y):
        """x where the mask holds, else y."""
        x, y = self.both(x, y)
        return self.b.select(mask, x, y)

    def choose(self, *cases):
        """The value of the first (mask, value) that holds; the last is for the rest."""
        *cases, y = cases
        for mask, x in reversed(cases):
            y = self.select(mask, x, y)
        return y

    # ------------------------------------------------------------ whole numbers

    def bit_and(self, x, y):
        """Bits that both have."""
        return self.b.and_(*self.both(x, y))

    def bit_or(self, x, y):
        """Bits that one at least has."""
        return self.b.or_(*self.both(x, y))

    def bit_xor(self, x, y):
        """Bits that just one has."""
        return self.b.xor(*self.both(x, y))

    def bit_not(self, x):
        """All bits turned."""
        return self.b.not_(x)

    def _too_far(self, x, n):
        """Where a shift would move all bits out."""
        bits = self.number(element_of(x.type).width, n)
        return self.b.icmp_unsigned(">=", n, bits)

    def shift_left(self, x, n):
        """x 2ⁿ in its bits; 0 when all are shifted out."""
        far = self._too_far(x, n)
        return self.select(far, 0, self.b.shl(x, self.select(far, 0, n)))

    def shift_right(self, x, n):
        """⌊x / 2ⁿ⌋; the sign alone when all bits are shifted out."""
        most = element_of(x.type).width - 1
        n = self.select(self._too_far(x, n), most, n)
        return (self.b.lshr if is_unsigned(x) else self.b.ashr)(x, n)

    def whole_power(self, x, n: int):
        """xⁿ by squares, for n ≥ 0."""
        y = None
        while n:
            if n & 1:
                y = x if y is None else self.mul(y, x)
            n >>= 1
            x = self.mul(x, x) if n else x
        return self.number(1, x) if y is None else y

    def any_power(self, x, n):
        """xⁿ of whole numbers; of negative n rounded towards 0, so that only ±1 is left."""
        x, n = self.both(x, n)
        below = self.compare("<", n, 0)
        unit = self.logical_or(self.compare("==", x, 1), self.compare("==", x, -1))
        n = self.select(below, self.bit_and(n, 1), n)
        name = "unsigned power" if is_unsigned(x) else "power"
        y = self.shared(name, _by_squares, x, n)
        return self.select(self.b.and_(below, self.logical_not(unit)), 0, y)

    # ------------------------------------------------------------ bits

    def as_int(self, x):
        """The bits of x."""
        return self.b.bitcast(x, self.vector(self.format(x).int))

    def as_float(self, n, f: Format):
        """The float of these bits."""
        return self.b.bitcast(n, self.vector(f.type))

    def to_int(self, x):
        """x, which is whole and small, as an integer of its size."""
        return self.b.fptosi(x, self.vector(self.format(x).int))

    def near_whole(self, x, scale=1.0):
        """(n, n as an integer) with n = x scale rounded, where that is small."""
        f = self.format(x)
        lifted = self.mul_add(x, scale, f.magic)
        n = self.b.fsub(lifted, self.number(f.magic, x))
        return n, self.sub(self.as_int(lifted), f.magic_bits)

    def power_of_two(self, n, f: Format):
        """2ⁿ for integers n whose result is a normal number."""
        lifted = self.add(n, f.bias)
        return self.as_float(self.b.shl(lifted, self.number(f.mantissa, n)), f)

    def times_power(self, x, n):
        """x 2ⁿ for integers n, also where 2ⁿ alone would overflow or be denormal; rounded once."""
        f = self.format(x)
        if vector_bits() == 512 and self.width * f.bits % 512 == 0:
            return self._scaled_at_once(x, n)
        half = self.b.ashr(n, self.number(1, n))
        x = self.mul(x, self.power_of_two(half, f))
        return self.mul(x, self.power_of_two(self.sub(n, half), f))

    def _scaled_at_once(self, x, n):
        """What AVX-512 has an instruction for."""
        n = n if self.element(n) == INT32 else self.b.trunc(n, self.vector(INT32))
        kinds = [x.type, n.type]
        name = f"llvm.ldexp.{'.'.join(map(mangled, kinds))}"
        return self.b.call(self.function(name, x.type, kinds), [x, n])


def _by_squares(b, x, n):
    def square(y, x, n):
        odd = b.compare("!=", b.bit_and(n, 1), 0)
        return b.select(odd, b.mul(y, x), y), b.mul(x, x), b.b.lshr(n, b.number(1, n))

    def more(y, x, n):
        return b.compare("!=", n, 0)

    return b.repeated(more, square, (b.number(1, x), x, n))[0]
