"""Inverses and roots that begin with the processor's estimate.

A division keeps one of two units busy for ten cycles (float32) to sixteen; AVX-512's estimate,
which is the same bits for any number of lanes, takes two, and each step after it doubles the
digits for two fused products.
"""

from __future__ import annotations

import functools

from ..llvm import text as ir
from ..llvm.machine import has, vector_bits
from .basic import Arithmetic
from .kinds import FLOAT, INT32, element_of

REGISTERS = (128, 512)  # bits of the smallest and the largest that it works on
_LEAST = 2.0**-100  # roots of less need what lies below the smallest float
_TINY, _RANGE = 27 << 23, 228 << 23  # its bits, and from there to those of infinity


@functools.cache
def _estimates() -> bool:
    """Whether the processor estimates 1/x to 2^-14."""
    return vector_bits() == 512 and has("avx512vl")


class Estimate(Arithmetic):
    """√x, and 1/x for the denominators of functions, which are neither 0 nor near what
    overflows."""

    def rough_inverse(self, x):
        """1/x with half of the digits at least: for who makes good what it lacks."""
        if not _estimates():
            return self.div(1.0, x)
        y = self._estimated(x)
        return y if self.format(x).bits == 32 else self._closer(x, y)

    def inverse(self, x):
        """1/x within 0.57 ulp."""
        if not _estimates():
            return self.div(1.0, x)
        return self._closer(x, self.rough_inverse(x))

    def sqrt(self, x):
        """Square root, rounded once."""
        whole = self.width * 32 == REGISTERS[1] and element_of(x.type) == FLOAT
        if not (whole and _estimates()):
            return self.call("sqrt", x)
        n = self.as_int(x)
        usual = self.b.icmp_unsigned("<", self.sub(n, _TINY), self.number(_RANGE, n))
        rare = self.b.and_(self.b.not_(usual), self.compare("!=", x, 0))
        return self.rarely(rare, lambda: (self.call("sqrt", x),), self._root(x))[0]

    def _root(self, x):
        """√x of floats that are 0 or from 2⁻¹⁰⁰ on.

        From 14 bits of 1 / √x, by Newton's steps; the last one adds what was rounded off
        (Markstein). The unit that divides takes 12 cycles for a root, this takes 9 of others.
        """
        mask, kind = ir.IntType(16), x.type
        f = self.function("llvm.x86.avx512.rsqrt14.ps.512", kind, [kind, kind, mask])
        y = self.select(self.compare(">", x, _LEAST), x, _LEAST)
        y = self.b.call(f, [y, x, mask(-1)])
        g, h = self.b.fmul(x, y), self.b.fmul(y, self.number(0.5, y))
        r = self.fma(self.neg(g), h, 0.5)
        g, h = self.fma(g, r, g), self.fma(h, r, h)
        return self.fma(self.fma(self.neg(g), g, x), h, g)

    def _closer(self, x, y):
        """Newton's step: y + y (1 - x y)."""
        return self.fma(y, self.fma(self.neg(x), y, 1.0), y)

    def _estimated(self, x):
        bits = self.format(x).bits
        least, most = (size // bits for size in REGISTERS)
        return self.by_registers(self._of_register, least, most, x)

    def _of_register(self, x):
        kind, count = x.type, x.type.count
        letter, bits = ("s", 32) if kind.element == FLOAT else ("d", 64)
        mask = ir.IntType(max(8, count))
        name = f"llvm.x86.avx512.rcp14.p{letter}.{bits * count}"
        f = self.function(name, kind, [kind, kind, mask])
        return self.b.call(f, [x, ir.Constant(kind, None), mask(-1)])

    def by_registers(self, f, least, most, *xs):
        """f(*xs), for lanes of any number, of an f that takes from `least` to `most`."""
        size = max(least, 1 << (self.width - 1).bit_length())
        if self.width == 1:
            first = INT32(0)
            empty = (ir.Constant(ir.VectorType(x.type, size), ir.Undefined) for x in xs)
            pairs = zip(empty, xs, strict=True)
            y = f(*(self.b.insert_element(e, x, first) for e, x in pairs))
            return self.b.extract_element(y, first)
        y = self._in_halves(f, most, *(self._lanes(x, x, 0, size) for x in xs))
        return self._lanes(y, y, 0, self.width)

    def _in_halves(self, f, most, *xs):
        count = xs[0].type.count
        if count <= most:
            return f(*xs)
        starts = 0, count // 2
        low, high = ([self._lanes(x, x, i, count // 2) for x in xs] for i in starts)
        halves = self._in_halves(f, most, *low), self._in_halves(f, most, *high)
        return self._lanes(*halves, 0, count)

    def _lanes(self, x, y, start, count):
        """`count` lanes from `start` on of x with y behind it; past them, any."""
        if start == 0 and count == x.type.count:
            return x
        last = 2 * x.type.count - 1
        places = [min(start + i, last) for i in range(count)]
        return self.b.shuffle_vector(
            x, y, ir.Constant(ir.VectorType(INT32, count), places)
        )
