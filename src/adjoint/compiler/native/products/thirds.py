"""Thirds: float32 operands as three bfloat16 each, for instructions that multiply those.

x = h + m + l, exactly: h is x cut off behind its first 8 bits, m what is left rounded to 8, l the
rest. Of the nine products of two such sums six are added up, in float32; each of the other three is
at most the last bit of the product as a float32, mostly an eighth of that. AMX has sixteen times
the pace of float32's own instructions, so six products take less than half of one's time.

Lines of the three lie one after the other, as `pairing` packs them, for each 32 numbers of k.

What AMX takes for zero, numbers below 2^-126, and what h + m + l does not give, NaN and infinities,
is seen in a tile's sums: one that is not finite, or below `TINY`, and the tile is computed `again`
from its parts, by instructions for float32.
"""

from __future__ import annotations

from ..arithmetic.kinds import BFLOAT, FLOAT
from ..llvm import text as ir
from ..llvm.flow import least, loop, strides
from ..llvm.types import BIT, I32, I64
from .pairing import LINES, PAIRS, SIDE, Pairing

HIGH, VECTORS = 32, 2  # rows of a tile, and its vectors of columns
WIDTH = VECTORS * SIDE  # its columns, and numbers of k that a line holds
PARTS, PART = 3, SIDE * WIDTH  # of each number; pairs of a panel's line
# Parts of A and of B that are multiplied, in an order in which one of both is there already.
PRODUCTS = (0, 2), (0, 1), (1, 1), (1, 0), (2, 0), (0, 0)
FLOATS, SUMS = FLOAT.as_pointer(), ir.VectorType(FLOAT, SIDE)
_SHORTS = ir.VectorType(BFLOAT, 2 * SIDE)
_UPPER = ir.Constant(LINES, 0xFFFF_0000)  # a bfloat16's bits in a float32
_HALF = ir.Constant(LINES, 0x8000)  # half of its last one
_DIGITS = 96
TINY = 2.0**-_DIGITS  # sums from here on are as exact as those of float32
_TINY = ir.Constant(LINES, (127 - _DIGITS << 23) - 1)  # its bits, less one
_ONE, _INFINITE = ir.Constant(LINES, 1), ir.Constant(LINES, 0x7F80_0000)
_MAGNITUDE = ir.Constant(LINES, 0x7FFF_FFFF)
ROWS = 4  # of a tile that is computed again
AHEAD = 64  # rows, or numbers of one, that are asked for before they are packed


class Thirds(Pairing):
    """Functions that pack thirds, and that look at sums of them, shared by all products."""

    # ------------------------------------------------------------ packing

    def third_rows(self):
        """Rows whose numbers lie side by side, two by two, to whole lines of each part.

        (source, lines, first row, how many, their step, how many numbers of each, pairs that a
        column has in a panel).
        """
        f, b = self.tile("third.rows", (1, VECTORS), FLOATS, PAIRS, *[I64] * 5)
        if b is None:
            return f
        source, lines, start, count, step, some, pairs = f.args
        ahead = b.mul(step, I64(AHEAD // 2))

        def two(k, _):
            """Of rows behind the last one nothing is read."""
            numbers = k, b.add(k, I64(1))
            rows = [b.gep(source, [b.mul(i, step)]) for i in numbers]
            last = b.sub(count, I64(1))
            there = [
                b.select(b.icmp_signed("<=", i, last), some, I64(0)) for i in numbers
            ]
            pair = self._pair(b, lines, k)

            def panel(c, _):
                to = b.gep(pair, [b.mul(c, pairs)])
                for j in range(0, WIDTH, SIDE):
                    at, xs = b.add(c, I64(j)), []
                    for row, inside in zip(rows, there, strict=True):
                        p = b.gep(row, [at])
                        b.prefetch(b.gep(p, [ahead]), level=2)
                        mask = self.below(b, b.sub(inside, at))
                        xs.append(self.parts(b, self.load(b, p, mask)))
                    self._line_of_parts(b, xs, b.gep(to, [I64(j)]))
                return ()

            strides(b, I64(0), some, WIDTH, (), panel)
            return ()

        strides(b, start, _whole(b, count), 2, (), two)
        b.ret_void()
        return f

    def third_columns(self):
        """A vector of columns whose numbers lie side by side; of k whole fours, then zeros.

        (source, lines, how many rows, the step of columns, how many columns).
        """
        f, b = self.tile("third.columns", (1, 1), FLOATS, PAIRS, I64, I64, I64)
        if b is None:
            return f
        source, lines, count, step, some = f.args
        last, side = b.sub(some, I64(1)), 128 // self.bits
        numbers = (least(b, I64(i), last) for i in range(SIDE))
        columns = [b.gep(source, [b.mul(i, step)]) for i in numbers]
        fours = b.and_(count, I64(-side))

        def square(k, _):
            for column in columns:
                b.prefetch(b.gep(column, [b.add(k, I64(AHEAD))]), level=2)
            xs = [self.parts(b, x) for x in self._square(b, columns, k)]
            for i in range(0, side, 2):
                to = self._pair(b, lines, b.add(k, I64(i)))
                self._line_of_parts(b, xs[i : i + 2], to)
            return ()

        def nothing(k, _):
            none = [[ir.Constant(LINES, None)] * PARTS] * 2
            self._line_of_parts(b, none, self._pair(b, lines, k))
            return ()

        strides(b, I64(0), fours, side, (), square)
        strides(b, fours, _whole(b, count), 2, (), nothing)
        b.ret_void()
        return f

    def _pair(self, b, lines, k):
        """Where in a panel the pair begins whose first number is k."""
        before = b.mul(b.lshr(k, I64(5)), I64((PARTS - 1) * PART))
        return b.gep(lines, [b.add(before, b.mul(b.lshr(k, I64(1)), I64(WIDTH)))])

    def _line_of_parts(self, b, two, place):
        """Of each part the pairs of two vectors."""
        for n, (low, high) in enumerate(zip(*two, strict=True)):
            high = b.and_(high, _UPPER)  # what is denormal has bits below
            line = b.or_(b.lshr(low, ir.Constant(LINES, SIDE)), high)
            self._line(b, line, b.gep(place, [I64(n * PART)]))

    def third_lines(self):
        """Rows of A whose numbers lie side by side, line by line.

        (source, lines, how many numbers, the step of rows, how many rows).
        """
        f, b = self.tile("third.lines", (HIGH, 1), FLOATS, PAIRS, I64, I64, I64)
        if b is None:
            return f
        source, lines, count, step, some = f.args
        upper = ir.Constant(ir.VectorType(I32, WIDTH), [*range(1, 2 * WIDTH, 2)])

        def line(k, _):
            to, of = (
                b.gep(lines, [b.mul(k, I64(PARTS * HIGH // 2))]),
                b.gep(source, [k]),
            )
            left = b.sub(count, k)
            masks = [self.below(b, b.sub(left, I64(n * SIDE))) for n in range(2)]
            with loop(b, 0, some, 1) as i:
                row, xs = b.gep(of, [b.mul(i, step)]), []
                for n, mask in enumerate(masks):
                    b.prefetch(b.gep(row, [I64(AHEAD + n * SIDE)]), level=2)
                    x = self.load(b, b.gep(row, [I64(n * SIDE)]), mask)
                    xs.append(self.parts(b, x))
                here = b.gep(to, [b.mul(i, I64(SIDE))])
                for n, two in enumerate(zip(*xs, strict=True)):
                    x = b.shuffle_vector(*(b.bitcast(x, _SHORTS) for x in two), upper)
                    there = b.gep(here, [I64(n * HIGH * SIDE)])
                    b.store(x, b.bitcast(there, _SHORTS.as_pointer()), align=64)
            return ()

        strides(b, I64(0), count, WIDTH, (), line)
        b.ret_void()
        return f

    def parts(self, b, x):
        """The bits of h, m and l, in the upper halves of 32."""
        h = b.and_(b.bitcast(x, LINES), _UPPER)
        left = b.fsub(x, b.bitcast(h, SUMS))
        m = b.and_(b.add(b.bitcast(left, LINES), _HALF), _UPPER)
        return h, m, b.bitcast(b.fsub(left, b.bitcast(m, SUMS)), LINES)

    def third_panel(self, b, steps, places, count, some, fours):
        """Columns of B to a panel: these steps of k and of columns, (source, panel, room).

        `fours` says that k is known to be whole fours.
        """
        (source, panel, room), (row, column) = places, steps
        done = I64(0)
        if column == 1:
            args = source, panel, done, count, I64(row), some, I64(0)
            b.call(self.third_rows(), args)
            return
        if row == 1:
            for j, here in self._vectors(b, some):
                of = b.gep(source, [I64(j * column)])
                args = of, b.gep(panel, [I64(j)]), count, I64(column), here
                b.call(self.third_columns(), args)
            done = b.and_(count, I64(-4))
        if row == 1 and fours:
            return
        rest = b.sub(count, done)
        with b.if_then(b.icmp_signed(">", rest, I64(0))):
            of = b.gep(source, [b.mul(done, I64(row))])
            of = self.straight(b, steps, (of, room), rest, some)
            of = b.gep(of, [b.mul(done, I64(-WIDTH))])
            args = of, panel, done, count, I64(WIDTH), some, I64(0)
            b.call(self.third_rows(), args)

    def third_tiles(self, b, steps, places, count, high, pairs):
        """Rows of A to lines: these steps of k and of rows, (source, lines, room).

        Each row has so many `pairs`; of several tiles those numbers are near that lie so.
        """
        (source, lines, room), (number, row) = places, steps
        if number == 1:
            b.call(self.third_lines(), [source, lines, count, I64(row), high])
            return
        with loop(b, 0, count, WIDTH) as k:
            some = least(b, b.sub(count, k), I64(WIDTH))
            of = b.gep(source, [b.mul(k, I64(number))])
            to = b.gep(lines, [b.mul(k, I64(PARTS * HIGH // 2))])
            with loop(b, 0, high, HIGH) as i:
                here = b.gep(of, [b.mul(i, I64(row))])
                self._ask(b, here, number)
                rows = least(b, b.sub(high, i), I64(HIGH))
                here = self.straight(b, (row, number), (here, room), rows, some)
                there = b.gep(to, [b.mul(i, I64(pairs))])
                b.call(self.third_lines(), [here, there, some, I64(WIDTH), rows])

    def _ask(self, b, place, step):
        """For the rows, `step` apart, that follow those of a line of k, as wide as a tile."""
        with loop(b, WIDTH, 2 * WIDTH, 1) as i:
            row = b.gep(place, [b.mul(i, I64(step))])
            for n in range(0, WIDTH, SIDE):
                b.prefetch(b.gep(row, [I64(n)]), level=2)

    def straight(self, b, steps, places, count, some):
        """A panel's columns whose numbers do not lie side by side, so in a room."""
        (source, room), (row, column) = places, steps
        if row != 1:
            lanes = b.sub(some, I64(SIDE))
            steps = I64(row), I64(column)
            b.call(self.picked(VECTORS), [source, room, count, *steps, lanes])
            return room
        for j, here in self._vectors(b, some):
            of, to = b.gep(source, [I64(j * column)]), b.gep(room, [I64(j)])
            b.call(self.turned(), [of, to, count, I64(column), here, I64(WIDTH)])
        return room

    def _vectors(self, b, some):
        """(first column, how many) of each vector that there is of some columns."""
        for j in range(0, WIDTH, SIDE):
            here = least(b, b.sub(some, I64(j)), I64(SIDE))
            with b.if_then(b.icmp_signed(">", here, I64(0))):
                yield j, here

    # ------------------------------------------------------------ sums that are not sure

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
        deep = _whole(b, count)
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
            of = b.gep(lines, [b.mul(k, I64(PARTS * HIGH // 2))])
            with loop(b, 0, HIGH, 1) as i:
                to = b.gep(left, [b.add(b.mul(i, deep), k)])
                at = b.gep(of, [b.mul(i, I64(SIDE))])
                for n, x in enumerate(self._joined_parts(b, at, HIGH * SIDE)):
                    self.store(b, x, b.gep(to, [I64(n * SIDE)]))

    def _floats_of_panel(self, b, panel, right, count):
        """Rows of B in the same order, and zeros behind the last one."""
        with loop(b, 0, _whole(b, count), 2) as k:
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
            bits = [b.shl(x, up) if up else b.and_(x, _UPPER) for x in found]
            h, m, low = (b.bitcast(x, SUMS) for x in bits)
            whole = b.fadd(b.fadd(h, m), low)
            bits = b.and_(bits[0], _MAGNITUDE)
            ends = b.icmp_signed("==", bits, _INFINITE)
            yield b.select(ends, h, whole)


def _whole(b, count):
    """So many numbers of k as fill lines."""
    return b.and_(b.add(count, I64(WIDTH - 1)), I64(-WIDTH))
