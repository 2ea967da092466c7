"""Shorts: floats of two bytes made wider and narrower; by their bits where processors cannot."""

from __future__ import annotations

from ..llvm import text as ir
from ..llvm.machine import converts_halves
from .kinds import FLOAT, HALF, INT32, alike, element_of

# Of a float16, in the bits of a float32: between its exponents and those of a float32, its
# smallest normal number, its infinity, and what lies beyond all of a float32's.
MOVED, LEAST, MOST, END = 112 << 23, 113 << 23, 143 << 23, 255 << 23


def widened(b, x):
    """A float of two bytes as one of four."""
    is_half, kind = element_of(x.type) == HALF, alike(x.type, FLOAT)
    if is_half and converts_halves():
        return b.fpext(x, kind)
    if is_half:
        x = b.bitcast(x, alike(x.type, ir.IntType(16)))
    bits = b.zext(x, alike(x.type, INT32))
    bits = _of_half(b, bits) if is_half else b.shl(bits, _number(bits, 16))
    return b.bitcast(bits, kind)


def _of_half(b, bits):
    size = b.shl(b.and_(bits, _number(bits, 0x7FFF)), _number(bits, 13))
    moved = b.add(size, _number(bits, MOVED))
    endless = b.icmp_signed(">=", size, _number(bits, MOST - MOVED))
    usual = b.select(endless, b.add(moved, _number(bits, MOVED)), moved)
    # A denormal one as the fraction of the smallest normal number, which is then taken off.
    lifted = b.bitcast(
        b.add(moved, _number(bits, LEAST - MOVED)), alike(bits.type, FLOAT)
    )
    tiny = b.fsub(lifted, _number(lifted, 2.0**-14))
    small = b.icmp_signed("<", size, _number(bits, LEAST - MOVED))
    y = b.select(small, b.bitcast(tiny, bits.type), usual)
    sign = b.and_(bits, _number(bits, 0x8000))
    return b.or_(y, b.shl(sign, _number(bits, 16)))


def narrowed(b, x):
    """A float as one of two bytes that is a float16: to the nearest, halves to even."""
    kind = alike(x.type, HALF)
    if converts_halves():
        return b.fptrunc(x, kind)
    bits = _to_half(b, b.bitcast(x, alike(x.type, INT32)))
    return b.bitcast(b.trunc(bits, alike(x.type, ir.IntType(16))), kind)


def _to_half(b, bits):
    size = b.and_(bits, _number(bits, 0x7FFF_FFFF))
    odd = b.and_(b.lshr(size, _number(bits, 13)), _number(bits, 1))
    usual = b.add(b.add(size, odd), _number(bits, 0xFFF - MOVED))
    usual = b.lshr(usual, _number(bits, 13))
    # Below the smallest normal number: added to ½, its last bit is that of a float16.
    x = b.bitcast(size, alike(bits.type, FLOAT))
    near = b.bitcast(b.fadd(x, _number(x, 0.5)), bits.type)
    small = b.sub(near, _number(bits, 126 << 23))
    fraction = b.lshr(b.and_(size, _number(bits, 0x7F_FFFF)), _number(bits, 13))
    nan = b.or_(fraction, _number(bits, 0x7E00))
    over = b.icmp_signed(">", size, _number(bits, END))
    large = b.select(over, nan, _number(bits, 0x7C00))
    y = b.select(b.icmp_signed("<", size, _number(bits, LEAST)), small, usual)
    y = b.select(b.icmp_signed(">=", size, _number(bits, MOST)), large, y)
    sign = b.and_(b.lshr(bits, _number(bits, 16)), _number(bits, 0x8000))
    return b.or_(y, sign)


def _number(like, value):
    return ir.Constant(like.type, value)
