"""Pairing: bfloat16 operands, packed so that neighbours in k lie side by side.

A line of memory holds 16 pairs: in panels of B of 16 columns, row of pairs after row; of A, of a
row, and the rows of a tile follow each other. What is missing of the last line is zero.
"""

from __future__ import annotations

import itertools

from ..arithmetic.kinds import BFLOAT, FLOAT
from ..llvm import text as ir
from ..llvm.flow import least, loop, strides
from ..llvm.types import I32, I64
from .panels import Panels

SIDE = 16  # rows of a register of AMX, pairs of a line, numbers of a vector of sums
SHORTS, PAIRS = BFLOAT.as_pointer(), I32.as_pointer()
LINES = ir.VectorType(I32, SIDE)


class Pairing(Panels):
    """Functions that pack pairs, shared by all products."""

    def pair_rows(self, vectors, panels=1):
        """Rows two by two, their numbers side by side, to rows of `vectors` lines.

        (source, lines, how many rows, their step, that of panels, how many numbers of each). Of
        several panels all lines are whole.
        """
        kinds = SHORTS, PAIRS, *[I64] * 4
        f, b = self.tile("pair.rows", (panels, vectors), *kinds)
        if b is None:
            return f
        source, lines, count, step, apart, some = f.args
        numbers = (b.sub(some, I64(j * SIDE)) for j in range(vectors))
        masks = [None if panels > 1 else self.below(b, n) for n in numbers]

        def row(k, here):
            """Two rows, or one and nothing: the second is the upper half of each pair."""
            of, to = b.gep(source, [b.mul(k, step)]), b.lshr(k, I64(1))
            to = b.gep(lines, [b.mul(to, I64(vectors * SIDE))])
            for i, (j, mask) in itertools.product(range(panels), enumerate(masks)):
                place = I64((i * vectors + j) * SIDE)
                at = [b.gep(p, [place]) for p in (of, b.gep(of, [step]))[:here]]
                xs = [b.zext(self.shorts(b, p, SIDE, mask), LINES) for p in at]
                if here == 2:
                    xs = [xs[0], b.shl(xs[1], ir.Constant(LINES, 16))]
                line = b.or_(*xs) if here == 2 else xs[0]
                panel = b.gep(to, [b.mul(apart, I64(i))])
                self._line(b, line, b.gep(panel, [I64(j * SIDE)]))

        self._by_two(b, count, row)
        for i in range(panels):
            self._nothing(b, b.gep(lines, [b.mul(apart, I64(i))]), count, vectors)
        b.ret_void()
        return f

    def _by_two(self, b, count, row):
        """row(k, 2) for each two of a count, and row(k, 1) for what is left."""
        whole = b.and_(count, I64(-2))

        def two(k, _):
            row(k, 2)
            return ()

        strides(b, I64(0), whole, 2, (), two)
        with b.if_then(b.icmp_signed("<", whole, count)):
            row(whole, 1)

    def _nothing(self, b, lines, count, vectors):
        """Zeros for the pairs that are missing of the last line."""
        pairs = b.lshr(b.add(count, I64(1)), I64(1))
        end = b.and_(b.add(pairs, I64(SIDE - 1)), I64(-SIDE))

        def row(k, _):
            for j in range(vectors):
                at = b.add(b.mul(k, I64(vectors * SIDE)), I64(j * SIDE))
                self._line(b, ir.Constant(LINES, [0] * SIDE), b.gep(lines, [at]))
            return ()

        strides(b, pairs, end, 1, (), row)

    def pair_columns(self, vectors):
        """Columns whose numbers lie side by side, to the same rows of lines.

        (source, lines, how many rows, the step of columns, how many columns).
        """
        f, b = self.tile("pair.columns", (1, vectors), SHORTS, PAIRS, I64, I64, I64)
        if b is None:
            return f
        source, lines, count, step, some = f.args
        last, width = b.sub(some, I64(1)), I64(vectors * SIDE)
        whole = b.lshr(count, I64(1))
        for j in range(vectors):
            numbers = (least(b, I64(j * SIDE + i), last) for i in range(SIDE))
            columns = [b.gep(source, [b.mul(i, step)]) for i in numbers]
            floats = [b.bitcast(p, FLOAT.as_pointer()) for p in columns]
            to = b.gep(lines, [I64(j * SIDE)])
            self._turn(b, floats, b.bitcast(to, FLOAT.as_pointer()), whole, width)
            with b.if_then(b.icmp_signed("==", b.and_(count, I64(1)), I64(1))):
                row = b.gep(to, [b.mul(whole, width)])
                for i, column in enumerate(columns):
                    x = b.load(b.gep(column, [b.sub(count, I64(1))]))
                    b.store(b.zext(x, I32), b.gep(row, [I64(i)]))
        self._nothing(b, lines, count, vectors)
        b.ret_void()
        return f

    def pair_any(self, vectors):
        """The same from anywhere: the step of columns follows that of rows."""
        kinds = SHORTS, PAIRS, I64, I64, I64, I64
        f, b = self.tile("pair.any", (1, vectors), *kinds)
        if b is None:
            return f
        source, lines, count, row_step, column_step, some = f.args

        def row(k, here):
            to = b.gep(lines, [b.mul(b.lshr(k, I64(1)), I64(vectors * SIDE))])
            of = b.gep(source, [b.mul(k, row_step)])
            with loop(b, 0, some, 1) as j:
                at = b.gep(of, [b.mul(j, column_step)])
                x = b.zext(b.load(at), I32)
                if here == 2:
                    y = b.zext(b.load(b.gep(at, [row_step])), I32)
                    x = b.or_(x, b.shl(y, I32(16)))
                b.store(x, b.gep(to, [j]))

        self._by_two(b, count, row)
        self._nothing(b, lines, count, vectors)
        b.ret_void()
        return f

    def pair_lines(self, rows):
        """Rows of A whose numbers lie side by side, line by line.

        (source, lines, how many numbers, the step of rows, how many rows).
        """
        f, b = self.tile("pair.lines", (rows, 1), SHORTS, PAIRS, I64, I64, I64)
        if b is None:
            return f
        source, lines, count, step, some = f.args
        kind = ir.VectorType(BFLOAT, 2 * SIDE)
        whole = b.and_(count, I64(-2 * SIDE))
        with loop(b, 0, some, 1) as i:
            row = b.gep(source, [b.mul(i, step)])
            to = b.gep(lines, [b.mul(i, I64(SIDE))])

            def line(k, mask):
                x = self.shorts(b, b.gep(row, [k]), 2 * SIDE, mask)
                there = b.gep(to, [b.mul(k, I64(rows // 2))])
                b.store(x, b.bitcast(there, kind.as_pointer()), align=64)
                return ()

            strides(b, I64(0), whole, 2 * SIDE, (), lambda k, _: line(k, None))
            with b.if_then(b.icmp_signed("<", whole, count)):
                line(whole, self.below(b, b.sub(count, whole), 2 * SIDE))
        b.ret_void()
        return f

    def pair_turned(self, rows):
        """Rows of lines, as `pair_rows` makes them of A's columns, to lines of A's rows.

        (rows of lines, lines, how many numbers of k).
        """
        f, b = self.tile("pair.turned", (rows, 1), PAIRS, PAIRS, I64)
        if b is None:
            return f
        source, lines, count = f.args
        width = -(-rows // SIDE) * SIDE
        of, to = (b.bitcast(p, FLOAT.as_pointer()) for p in (source, lines))
        with loop(b, 0, count, 2 * SIDE) as k:
            first = b.gep(of, [b.mul(k, I64(width // 2))])
            columns = [b.gep(first, [I64(i * width)]) for i in range(SIDE)]
            there = b.gep(to, [b.mul(k, I64(rows // 2))])
            self._turn(b, columns, there, I64(rows), I64(SIDE))
        b.ret_void()
        return f

    def _line(self, b, x, p):
        b.store(x, b.bitcast(p, LINES.as_pointer()), align=64)
