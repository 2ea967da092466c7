"""Floats by their parts: exponents, neighbours, lengths, in lanes."""

from __future__ import annotations

import math

from .conversion import Conversion
from .kinds import DOUBLE, INT32, is_int


class Floating(Conversion):
    """What looks into the bits of a float."""

    def hypot(self, x, y):
        """√(x² + y²), scaled by a power of two so that nothing overflows."""
        x, y = self.both(x, y)
        x, y = self.abs(x), self.abs(y)
        f = self.format(x)
        ends = self.logical_or(
            self.compare("==", x, math.inf), self.compare("==", y, math.inf)
        )
        if f.bits == 32:
            wide = [self.cast(v, DOUBLE) for v in (x, y)]
            z = self.cast(self._length(*wide), f.type)
        else:
            bits = self.as_int(self.maximum(x, y))
            n = self.b.ashr(bits, self.number(f.mantissa, bits))
            n = self.clamp(self.sub(n, f.bias), 2 - f.bias, f.bias - 2)
            down, up = self.power_of_two(self.neg(n), f), self.power_of_two(n, f)
            z = self.mul(self._length(self.mul(x, down), self.mul(y, down)), up)
        return self.select(ends, math.inf, z)

    def _length(self, x, y):
        return self.sqrt(self.fma(x, x, self.mul(y, y)))

    def nextafter(self, x, y):
        """The number next to x towards y."""
        x, y = self.both(x, y)
        f = self.format(x)
        bits = self.as_int(x)
        outward = self.b.xor(self.compare("<", x, y), self.compare("<", x, 0.0))
        step = self.select(outward, self.number(1, bits), -1)
        tiny = self.copysign(self.as_float(self.number(1, bits), f), y)
        return self.choose(
            (self.b.fcmp_unordered("uno", x, y), self.add(x, y)),
            (self.compare("==", x, y), y),
            (self.compare("==", x, 0.0), tiny),
            self.as_float(self.add(bits, step), f),
        )

    def exponent(self, x):
        """The e with x = m 2ᵉ and ½ ≤ |m| < 1, as 32 bits; 0 for 0, infinity and NaN."""
        f = self.format(x)
        a = self.abs(x)
        tiny = self.compare("<", a, math.ldexp(1.0, 1 - f.bias))
        a = self.select(tiny, self.mul(a, 2.0 ** (f.mantissa + 1)), a)
        bits = self.as_int(a)
        e = self.sub(self.b.lshr(bits, self.number(f.mantissa, bits)), f.bias - 1)
        e = self.select(tiny, self.sub(e, f.mantissa + 1), e)
        plain = self.logical_and(self.isfinite(x), self.compare("!=", x, 0.0))
        return self.cast(self.select(plain, e, 0), INT32)

    def ldexp(self, x, n):
        """x 2ⁿ for a whole n."""
        f = self.format(x)
        n = n if is_int(n) else self.cast(self.clamp(n, -5000.0, 5000.0), f.int)
        n = self.cast(self.clamp(n, -5000, 5000), f.int) if _fits(n) else n
        most = 2 * (f.bias - 1)
        first = self.clamp(n, -most, most)
        more = self.clamp(self.sub(n, first), -f.bias, f.bias - 1)
        return self.times_power(self.times_power(x, first), more)


def _fits(n) -> bool:
    """Whether 5000 is a number of this integer type."""
    kind = n.type.element if hasattr(n.type, "element") else n.type
    return kind.width > 13
