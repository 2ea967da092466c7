"""Cutting: float32 operands as three bfloat16 each, cut as they are packed.

x = h + m + l, exactly: h is x cut off behind its first 8 bits, m what is left rounded to 8, l the
rest. Lines of the three lie one after the other, as `pairing` packs them, for each 32 numbers of k.

To cut takes units of the processor that AMX leaves idle. So the rounds of a tile, one for each 32
numbers of k, cut a few units of what is multiplied next between their products: `Beside`.
"""

from __future__ import annotations

from typing import NamedTuple

from ..arithmetic.kinds import BFLOAT, FLOAT
from ..llvm import text as ir
from ..llvm.flow import least, loop, strides
from ..llvm.types import I32, I64
from .pairing import LINES, PAIRS, SIDE, Pairing

HIGH, VECTORS = 32, 2  # rows of a tile, and its vectors of columns
WIDTH = VECTORS * SIDE  # its columns, and numbers of k that a line holds
PARTS, PART = 3, SIDE * WIDTH  # of each number; pairs of a panel's line
ROW = PARTS * HIGH // 2  # pairs of a tile's rows of A for a number of k,
PANEL = PARTS * WIDTH // 2  # and of a panel's columns of B
SQUARE = 4  # numbers of a column that are turned at once
FLOATS, SUMS = FLOAT.as_pointer(), ir.VectorType(FLOAT, SIDE)
UPPER = ir.Constant(LINES, 0xFFFF_0000)  # a bfloat16's bits in a float32
AHEAD = 64  # rows, or numbers of one, that are asked for before they are packed
_SHORTS = ir.VectorType(BFLOAT, 2 * SIDE)
_HALF = ir.Constant(LINES, 0x8000)  # half of its last one
_ODD = ir.Constant(ir.VectorType(I32, WIDTH), [*range(1, 2 * WIDTH, 2)])
# What a line of k consists of: rows of A, pairs of B's rows, or squares of its columns.
UNITS = {"lines": HIGH, "rows": WIDTH // 2, "columns": VECTORS * WIDTH // SQUARE}


class Beside(NamedTuple):
    """What a tile's rounds cut: so many units of a line of k, of rows of A (lines), or of a panel
    from rows or columns of B.
    """

    way: str
    number: int

    def __str__(self):
        return f"{self.way}{self.number}"


class Cutting(Pairing):
    """Functions that cut what they pack, shared by all products."""

    def parts(self, b, x):
        """The bits of h, m and l, in the upper halves of 32."""
        h = b.and_(b.bitcast(x, LINES), UPPER)
        left = b.fsub(x, b.bitcast(h, SUMS))
        m = b.and_(b.add(b.bitcast(left, LINES), _HALF), UPPER)
        return h, m, b.bitcast(b.fsub(left, b.bitcast(m, SUMS)), LINES)

    # ------------------------------------------------------------ panels of B

    def third_panel(self, b, steps, places, count, some, fours):
        """Columns of B to a panel: these steps of k and of columns, (source, panel, room).

        `fours` says that k is known to be whole fours.
        """
        (source, panel, _), (row, column) = places, steps
        if column == 1:
            args = source, panel, I64(0), count, I64(row), some, I64(0)
            b.call(self.third_rows(), args)
            return
        if row != 1:
            self._straightened(b, steps, places, (I64(0), count), some)
            return
        for j, here in self._vectors(b, some):
            of, to = b.gep(source, [I64(j * column)]), b.gep(panel, [I64(j)])
            args = of, to, count, I64(column), here
            b.call(self.third_columns(), args)
        self.third_rest(b, column, places, count, some, fours)

    def third_rest(self, b, column, places, count, some, fours=False):
        """What columns have behind whole fours of k, and zeros to whole lines."""
        done = b.and_(count, I64(-SQUARE))
        with b.if_then(b.icmp_signed("<", done, whole_lines(b, count))):
            self._straightened(b, (1, column), places, (done, count), some, fours)

    def _straightened(self, b, steps, places, rows, some, fours=False):
        """Rows from the first, laid side by side in the room before; whole `fours` leave none."""
        (source, panel, room), (row, _), (first, end) = places, steps, rows
        rest = b.sub(end, first)
        if not fours:
            with b.if_then(b.icmp_signed(">", rest, I64(0))):
                of = b.gep(source, [b.mul(first, I64(row))])
                self._straight(b, steps, (of, room), rest, some)
        of = b.gep(room, [b.mul(first, I64(-WIDTH))])
        args = of, panel, first, end, I64(WIDTH), some, I64(0)
        b.call(self.third_rows(), args)

    def third_rows(self):
        """Rows whose numbers lie side by side, two by two; zeros for those behind the last.

        (source, lines, first row, how many, their step, how many numbers of each, pairs that a
        column has in a panel).
        """
        f, b = self.tile("third.rows", (1, VECTORS), FLOATS, PAIRS, *[I64] * 5)
        if b is None:
            return f
        source, lines, start, count, step, some, pairs = f.args
        ahead, last = b.mul(step, I64(AHEAD // 2)), b.sub(count, I64(1))

        def two(k, _):
            """Of rows behind the last one nothing is read."""
            numbers = k, b.add(k, I64(1))
            rows = [b.gep(source, [b.mul(i, step)]) for i in numbers]
            there = [
                b.select(b.icmp_signed("<=", i, last), some, I64(0)) for i in numbers
            ]
            pair = self._pair(b, lines, k)

            def panel(c, _):
                to = b.gep(pair, [b.mul(c, pairs)])
                for j in range(0, WIDTH, SIDE):
                    at = b.add(c, I64(j))
                    masks = [self.below(b, b.sub(inside, at)) for inside in there]
                    places = [b.gep(row, [at]) for row in rows]
                    self._two_rows(b, places, masks, ahead, b.gep(to, [I64(j)]))
                return ()

            strides(b, I64(0), some, WIDTH, (), panel)
            return ()

        strides(b, start, whole_lines(b, count), 2, (), two)
        b.ret_void()
        return f

    def third_columns(self):
        """A vector of columns whose numbers lie side by side; of k whole fours.

        (source, lines, how many rows, the step of columns, how many columns).
        """
        f, b = self.tile("third.columns", (1, 1), FLOATS, PAIRS, I64, I64, I64)
        if b is None:
            return f
        source, lines, count, step, some = f.args
        last = b.sub(some, I64(1))
        numbers = (least(b, I64(i), last) for i in range(SIDE))
        columns = [b.gep(source, [b.mul(i, step)]) for i in numbers]

        def square(k, _):
            for column in columns:
                b.prefetch(b.gep(column, [b.add(k, I64(AHEAD))]), level=2)
            self._four_numbers(b, columns, k, self._pair(b, lines, k))
            return ()

        strides(b, I64(0), b.and_(count, I64(-SQUARE)), SQUARE, (), square)
        b.ret_void()
        return f

    def _two_rows(self, b, rows, masks, ahead, to):
        """A vector of two rows."""
        for row in rows:
            b.prefetch(b.gep(row, [ahead]), level=2)
        pairs = zip(rows, masks, strict=True)
        self._line_of_parts(b, [self.parts(b, self.load(b, *x)) for x in pairs], to)

    def _four_numbers(self, b, columns, k, to):
        """Those from k on of a vector of columns."""
        xs = [self.parts(b, x) for x in self._square(b, columns, k)]
        for i in range(0, SQUARE, 2):
            self._line_of_parts(b, xs[i : i + 2], b.gep(to, [I64(i // 2 * WIDTH)]))

    def _pair(self, b, lines, k):
        """Where in a panel the pair begins whose first number is k."""
        before = b.mul(b.lshr(k, I64(5)), I64((PARTS - 1) * PART))
        return b.gep(lines, [b.add(before, b.mul(b.lshr(k, I64(1)), I64(WIDTH)))])

    def _line_of_parts(self, b, two, place):
        """Of each part the pairs of two vectors."""
        for n, (low, high) in enumerate(zip(*two, strict=True)):
            high = b.and_(high, UPPER)  # what is denormal has bits below
            line = b.or_(b.lshr(low, ir.Constant(LINES, SIDE)), high)
            self._line(b, line, b.gep(place, [I64(n * PART)]))

    # ------------------------------------------------------------ rows of A

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
            to = b.gep(lines, [b.mul(k, I64(ROW))])
            with loop(b, 0, high, HIGH) as i:
                here = b.gep(of, [b.mul(i, I64(row))])
                self._ask(b, here, number)
                rows = least(b, b.sub(high, i), I64(HIGH))
                self._straight(b, (row, number), (here, room), rows, some)
                there = b.gep(to, [b.mul(i, I64(pairs))])
                b.call(self.third_lines(), [room, there, some, I64(WIDTH), rows])

    def _ask(self, b, place, step):
        """For the rows, `step` apart, that follow those of a line of k, as wide as a tile."""
        with loop(b, WIDTH, 2 * WIDTH, 1) as i:
            row = b.gep(place, [b.mul(i, I64(step))])
            for n in range(0, WIDTH, SIDE):
                b.prefetch(b.gep(row, [I64(n)]), level=2)

    def third_lines(self):
        """Rows of A whose numbers lie side by side, line by line.

        (source, lines, how many numbers, the step of rows, how many rows).
        """
        f, b = self.tile("third.lines", (HIGH, 1), FLOATS, PAIRS, I64, I64, I64)
        if b is None:
            return f
        source, lines, count, step, some = f.args

        def line(k, _):
            to = b.gep(lines, [b.mul(k, I64(ROW))])
            of, left = b.gep(source, [k]), b.sub(count, k)
            masks = self._of_line(b, left)
            with loop(b, 0, some, 1) as i:
                row = b.gep(of, [b.mul(i, step)])
                self._row(b, row, masks, I64(AHEAD), b.gep(to, [b.mul(i, I64(SIDE))]))
            return ()

        strides(b, I64(0), count, WIDTH, (), line)
        b.ret_void()
        return f

    def _of_line(self, b, count):
        """Masks of the numbers that there are of a line."""
        return [self.below(b, b.sub(count, I64(n))) for n in range(0, WIDTH, SIDE)]

    def _row(self, b, row, masks, ahead, to):
        """A line of a row."""
        xs = []
        for n, mask in enumerate(masks):
            p = b.gep(row, [I64(n * SIDE)])
            b.prefetch(b.gep(p, [ahead]), level=2)
            xs.append(self.load(b, p, mask))
        self._lines_of_row(b, xs, to)

    def _lines_of_row(self, b, two, to):
        """Of each part the line of two vectors."""
        parts = zip(*(self.parts(b, x) for x in two), strict=True)
        for n, xs in enumerate(parts):
            x = b.shuffle_vector(*(b.bitcast(x, _SHORTS) for x in xs), _ODD)
            place = b.gep(to, [I64(n * HIGH * SIDE)])
            b.store(x, b.bitcast(place, _SHORTS.as_pointer()), align=64)

    # ------------------------------------------------------------ numbers that lie apart

    def _straight(self, b, steps, places, count, some):
        """A panel's columns whose numbers do not lie side by side, so in a room."""
        (source, room), (row, column) = places, steps
        if row != 1:
            lanes = b.sub(some, I64(SIDE))
            steps = I64(row), I64(column)
            b.call(self.picked(VECTORS), [source, room, count, *steps, lanes])
            return
        for j, here in self._vectors(b, some):
            of, to = b.gep(source, [I64(j * column)]), b.gep(room, [I64(j)])
            b.call(self.turned(), [of, to, count, I64(column), here, I64(WIDTH)])

    def _vectors(self, b, some):
        """(first column, how many) of each vector that there is of some columns."""
        for j in range(0, WIDTH, SIDE):
            here = least(b, b.sub(some, I64(j)), I64(SIDE))
            with b.if_then(b.icmp_signed(">", here, I64(0))):
                yield j, here

    # ------------------------------------------------------------ beside products

    def units(self, b, beside, k, count, told):
        """Functions that cut a unit each of the line at k, and ask for it of what follows.

        Told are (source, lines or panel, step of rows or columns, first unit).
        """
        *places, first = told
        f = self._unit(beside.way)
        for n in range(beside.number):
            yield lambda n=n: b.call(f, [*places, k, count, b.add(first, I64(n))])

    def _unit(self, way):
        """(source, lines or panel, step of rows or columns, k, how many numbers of k, which unit).

        Of B what lies behind the last of them may be anything that can be read, for A has zeros
        there.
        """
        name, sizes = f"third.{way}.unit", (HIGH, VECTORS)
        f, b = self.tile(name, sizes, FLOATS, PAIRS, *[I64] * 4)
        if b is not None:
            getattr(self, f"_unit_of_{way}")(b, *f.args)
            b.ret_void()
        return f

    def _unit_of_lines(self, b, source, lines, step, k, count, n):
        """A row."""
        row = b.gep(source, [b.add(k, b.mul(n, step))])
        to = b.gep(lines, [b.add(b.mul(k, I64(ROW)), b.mul(n, I64(SIDE)))])
        masks = self._of_line(b, b.sub(count, k))
        self._row(b, row, masks, b.mul(step, I64(HIGH)), to)

    def _unit_of_rows(self, b, source, panel, step, k, count, n):
        """Two rows."""
        number, last = b.add(k, b.mul(n, I64(2))), b.sub(count, I64(1))
        numbers = (least(b, b.add(number, I64(i)), last) for i in range(2))
        rows = [b.gep(source, [b.mul(i, step)]) for i in numbers]
        to, masks = self._pair(b, panel, number), (None, None)
        for j in range(0, WIDTH, SIDE):
            here = [b.gep(row, [I64(j)]) for row in rows]
            self._two_rows(b, here, masks, I64(WIDTH), b.gep(to, [I64(j)]))

    def _unit_of_columns(self, b, source, panel, step, k, count, n):
        """Four numbers of 16 columns."""
        squares = I64(WIDTH // SQUARE)
        j = b.mul(b.udiv(n, squares), I64(SIDE))
        number = b.add(k, b.mul(b.urem(n, squares), I64(SQUARE)))
        last = b.sub(b.and_(count, I64(-SQUARE)), I64(SQUARE))
        at = b.add(b.mul(j, step), least(b, number, last))
        numbers = (b.add(b.mul(step, I64(i)), at) for i in range(SIDE))
        columns = [b.gep(source, [i]) for i in numbers]
        fourth = b.mul(b.urem(n, I64(SQUARE)), I64(SIDE // SQUARE))
        for i in range(SIDE // SQUARE):  # those that other squares of a line leave
            ahead = b.mul(step, b.add(fourth, I64(WIDTH + i)))
            b.prefetch(b.gep(source, [b.add(ahead, at)]), level=2)
        to = b.gep(self._pair(b, panel, number), [j])
        self._four_numbers(b, columns, I64(0), to)


def whole_lines(b, count):
    """So many numbers of k as fill lines."""
    return b.and_(b.add(count, I64(WIDTH - 1)), I64(-WIDTH))
