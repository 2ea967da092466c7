"""Thirds: float32 operands as three bfloat16 each, for instructions that multiply those.

Of the nine products of two sums of three (`cutting`) six are added up, in float32; each of the
other three is at most the last bit of the product as a float32, mostly an eighth of that. AMX has
sixteen times the pace of float32's own instructions, so six products take less than half of one's
time.

What AMX takes for zero, numbers below 2^-126, and what h + m + l does not give, NaN and infinities,
is seen in a tile's sums: one that is not finite, or below `TINY`, and the tile is computed `again`
from its parts, by instructions for float32.
"""

from __future__ import annotations

from ..arithmetic.kinds import BFLOAT
from ..llvm import text as ir
from ..llvm.flow import loop, strides
from ..llvm.types import BIT, I64
from .cutting import (
    FLOATS,
    HIGH,
    PART,
    PARTS,
    ROW,
    SUMS,
    UPPER,
    VECTORS,
    WIDTH,
    Cutting,
    whole_lines,
)
from .pairing import LINES, PAIRS, SIDE

# Parts of A and of B that are multiplied, in an order in which one of both is there already.
PRODUCTS = (0, 2), (0, 1), (1, 1), (1, 0), (2, 0), (0, 0)
_DIGITS = 96
TINY = 2.0**-_DIGITS  # sums from here on are as exact as those of float32
_TINY = ir.Constant(LINES, (127 - _DIGITS << 23) - 1)  # its bits, less one
_ONE, _INFINITE = ir.Constant(LINES, 1), ir.Constant(LINES, 0x7F80_0000)
_MAGNITUDE = ir.Constant(LINES, 0x7FFF_FFFF)
ROWS = 4  # of a tile that is computed again


class Thirds(Cutting):
    """Functions that look at sums of thirds, shared by all products."""

    def doubtful(self, b, sums, rows, masks):
        """(whether, of so many rows of a tile, some sum is not as float32 would have it,
        whether all are zero).
        """
        most, fewest = (
            self.intrinsic(f"llvm.{x}.v16i32", LINES, LINES, LINES)
            for x in ("umax", "umin")
        )
        start = [ir.Constant(LINES, n) for n in (0, 0xFFFF_FFFF)] * VECTORS

        def row(i, found):
            of, now = b.gep(sums, [b.mul(i, I64(WIDTH))]), []
            for j in range(VECTORS):
                x = self.load(b, b.gep(of, [I64(j * SIDE)]), None, 64)
                x = b.and_(b.bitcast(x, LINES), _MAGNITUDE)
                now.append(b.call(most, [found[2 * j], x]))
                now.append(b.call(fewest, [found[2 * j + 1], b.sub(x, _ONE)]))
            return now

        found, doubts = strides(b, I64(0), rows, 1, start, row), []
        for mask, large, small in zip(masks, found[::2], found[1::2], strict=True):
            bad = b.icmp_unsigned(">=", large, _INFINITE)
            bad = b.or_(bad, b.icmp_unsigned("<", small, _TINY))
            doubts.append(b.and_(bad, mask))
        doubts = b.icmp_unsigned("!=", b.bitcast(b.or_(*doubts), BFLOAT), BFLOAT(0))
        zero = self._is_nothing(b, b.or_(*found[::2]))
        return b.or_(doubts, zero), zero

    def _is_nothing(self, b, lines):
        """Whether all bits of a vector are zero."""
        kind = ir.IntType(32 * SIDE)
        return b.icmp_unsigned("==", b.bitcast(lines, kind), kind(0))

    def _has_nothing(self, b, lines, count):
        """Whether all of so many lines are zero."""
        lines = b.bitcast(lines, LINES.as_pointer())

        def line(i, found):
            return [b.or_(b.load(b.gep(lines, [i]), align=64), *found)]

        (found,) = strides(b, I64(0), count, 1, [ir.Constant(LINES, None)], line)
        return self._is_nothing(b, found)

    def again(self):
        """A tile's sums from the parts, by instructions for float32: small code, seldom run.

        (lines of A, panel, sums, how many numbers of k, room, whether the sums are zero: then
        it need not be, if A or B is).
        """
        kinds = PAIRS, PAIRS, FLOATS, I64, FLOATS, BIT
        f, b = self.tile("third.again", (HIGH, VECTORS), *kinds)
        if b is None:
            return f
        f.mark("minsize", "cold")
        lines, panel, sums, count, room, zero = f.args
        deep = whole_lines(b, count)
        some = b.mul(b.lshr(deep, I64(5)), I64(PARTS * HIGH))
        for operand in (lines, panel):
            with b.if_then(b.and_(zero, self._has_nothing(b, operand, some))):
                b.ret_void()
        left, right = room, b.gep(room, [b.mul(deep, I64(HIGH))])
        self._floats_of_rows(b, lines, left, deep)
        self._floats_of_panel(b, panel, right, count)
        with loop(b, 0, HIGH, ROWS) as i:
            rows = [b.gep(left, [b.mul(b.add(i, I64(n)), deep)]) for n in range(ROWS)]

            def step(k, acc, rows=rows):
                at = b.gep(right, [b.mul(k, I64(WIDTH))])
                ys = [self.load(b, b.gep(at, [I64(j * SIDE)])) for j in range(VECTORS)]
                xs = [self.splat(b, b.load(b.gep(row, [k]))) for row in rows]
                return self.products(b, xs, ys, acc)

            acc = strides(b, I64(0), deep, 1, [self.zero] * (ROWS * VECTORS), step)
            to = b.gep(sums, [b.mul(i, I64(WIDTH))])
            for n, x in enumerate(acc):
                self.store(b, x, b.gep(to, [I64(n * SIDE)]))
        b.ret_void()
        return f

    def _floats_of_rows(self, b, lines, left, deep):
        """Rows of floats; of each 32 numbers the even ones come before the odd ones."""
        with loop(b, 0, deep, WIDTH) as k:
            of = b.gep(lines, [b.mul(k, I64(ROW))])
            with loop(b, 0, HIGH, 1) as i:
                to = b.gep(left, [b.add(b.mul(i, deep), k)])
                at = b.gep(of, [b.mul(i, I64(SIDE))])
                for n, x in enumerate(self._joined_parts(b, at, HIGH * SIDE)):
                    self.store(b, x, b.gep(to, [I64(n * SIDE)]))

    def _floats_of_panel(self, b, panel, right, count):
        """Rows of B in the same order, and zeros behind the last one."""
        with loop(b, 0, whole_lines(b, count), 2) as k:
            pair = b.and_(b.lshr(k, I64(1)), I64(SIDE - 1))
            row = b.add(b.and_(k, I64(-WIDTH)), pair)
            at, to = self._pair(b, panel, k), b.gep(right, [b.mul(row, I64(WIDTH))])
            for j in range(0, WIDTH, SIDE):
                xs = self._joined_parts(b, b.gep(at, [I64(j)]), PART)
                for n, x in enumerate(xs):
                    inside = b.icmp_signed("<", b.add(k, I64(n)), count)
                    there = b.gep(to, [I64(n * PART + j)])
                    self.store(b, b.select(inside, x, self.zero), there)

    def _joined_parts(self, b, place, apart):
        """Even and odd numbers of a line, from those of their parts."""
        lines = LINES.as_pointer()
        places = (
            b.bitcast(b.gep(place, [I64(n * apart)]), lines) for n in range(PARTS)
        )
        found = [b.load(p, align=64) for p in places]
        for up in (ir.Constant(LINES, SIDE), None):
            bits = [b.shl(x, up) if up else b.and_(x, UPPER) for x in found]
            h, m, low = (b.bitcast(x, SUMS) for x in bits)
            whole = b.fadd(b.fadd(h, m), low)
            bits = b.and_(bits[0], _MAGNITUDE)
            ends = b.icmp_signed("==", bits, _INFINITE)
            yield b.select(ends, h, whole)
