"""Conversion of lanes from one type to another."""

from __future__ import annotations

from .estimate import Estimate
from .kinds import (
    BIT,
    DOUBLE,
    FLOAT,
    FORMATS,
    HALF,
    INT32,
    Brain,
    element_of,
    is_int,
    is_int_type,
    is_unsigned,
)
from .shorts import narrowed, widened


class Conversion(Estimate):
    """Floats of two bytes are rounded once, to nearest; whole numbers wrap around."""

    def cast(self, x, kind):
        """x as another element type, as C converts."""
        was = element_of(x.type)
        if was is kind:
            return x
        if isinstance(was, Brain) or was == HALF:
            return self.cast(widened(self.b, x), kind)
        if isinstance(kind, Brain) or kind == HALF:
            return self._narrowed(self._to_single(x), kind)
        if kind == BIT:
            return self.truth(x)
        to_int = is_int_type(kind)
        if is_int(x):
            return self._resized(x, kind) if to_int else self._floated(x, kind)
        if to_int:
            return self._to_whole(x, kind)
        if was == kind:
            return x
        to = self.vector(kind)
        return self.b.fpext(x, to) if kind == DOUBLE else self.b.fptrunc(x, to)

    def _resized(self, x, kind):
        was, to = element_of(x.type), self.vector(kind)
        if was.width == kind.width:
            return self.b.bitcast(x, to)
        if was.width > kind.width:
            return self.b.trunc(x, to)
        return (self.b.zext if is_unsigned(x) else self.b.sext)(x, to)

    def _floated(self, x, kind):
        emit = self.b.uitofp if is_unsigned(x) else self.b.sitofp
        return emit(x, self.vector(kind))

    def _to_whole(self, x, kind):
        """Small integers by way of larger ones, whose lower bits they are."""
        wide = self.b.fptosi(x, self.vector(kind if kind.width > 32 else INT32))
        return wide if kind.width >= 32 else self._resized(wide, kind)

    def _to_single(self, x):
        """As a float; a double is rounded to odd, so that it can be rounded once more."""
        if element_of(x.type) != DOUBLE:
            return self.cast(x, FLOAT)
        y = self.b.fptrunc(x, self.vector(FLOAT))
        back = self.b.fpext(y, x.type)
        bits = self.as_int(y)
        above = self.compare(">", self.abs(back), self.abs(x))
        odd = self.bit_or(self.select(above, self.sub(bits, 1), bits), 1)
        inexact = self.b.fcmp_ordered("!=", back, x)
        return self.as_float(self.select(inexact, odd, bits), FORMATS["float"])

    def _narrowed(self, x, kind):
        """A float as one of two bytes, to the nearest, halves to even."""
        if kind == HALF:
            return narrowed(self.b, x)
        bits = self.as_int(x)
        sixteen = self.number(16, bits)
        top = self.b.lshr(bits, sixteen)
        carry = self.add(self.bit_and(top, 1), 0x7FFF)
        rounded = self.b.lshr(self.add(bits, carry), sixteen)
        rounded = self.select(self.isnan(x), self.bit_or(top, 0x40), rounded)
        return self.b.trunc(rounded, self.vector(kind))
