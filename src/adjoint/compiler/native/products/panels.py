"""Panels: parts of operands, copied in the order in which tiles of products read them."""

from __future__ import annotations

from ..llvm import text as ir
from ..llvm.flow import loop, repeat, strides
from ..llvm.types import I32, I64
from .matmul import Tiles
from .vectors import is_short


class Panels(Tiles):
    """Functions that copy `vectors` vectors of columns, shared by all products.

    (source, panel, how many rows, step of rows or columns, lanes of the last vector).
    """

    def _begun(self, name, vectors):
        kinds = self.operands[1], self.scalar.as_pointer(), I64, I64, I64
        return self.tile(name, (1, vectors), *kinds)

    def copied(self, vectors):
        """From rows whose numbers lie side by side."""
        f, b = self._begun("copied", vectors)
        if b is None:
            return f
        source, panel, count, step, lanes = f.args
        masks = [*[None] * (vectors - 1), self.below(b, lanes)]
        with loop(b, 0, count, 1) as k:
            row = b.gep(source, [b.mul(k, step)])
            out = b.gep(panel, [b.mul(k, I64(vectors * self.w))])
            for j, mask in enumerate(masks):
                x = self.load(b, b.gep(row, [I64(j * self.w)]), mask)
                self.store(b, x, b.gep(out, [I64(j * self.w)]), align=self.vector_bytes)
        b.ret_void()
        return f

    def turned(self):
        """A vector of them from columns whose numbers lie side by side.

        (source, place in the panel, how many rows, step of columns, lanes, columns of a panel).
        """
        kinds = self.operands[1], self.scalar.as_pointer(), *[I64] * 4
        f, b = self.tile("turned", (1, 1), *kinds)
        if b is None:
            return f
        source, to, count, step, lanes, width = f.args
        last = b.sub(lanes, I64(1))
        numbers = (
            b.select(b.icmp_signed("<", I64(i), last), I64(i), last)
            for i in range(self.w)
        )
        columns = [b.gep(source, [b.mul(i, step)]) for i in numbers]
        self._turn(b, columns, to, count, width)
        b.ret_void()
        return f

    def turn(self, b, source, panel, count, step, vectors, lanes):
        """Copy columns whose numbers lie side by side, `step` apart, to a panel."""
        for j in range(vectors):
            of = b.gep(source, [b.mul(step, I64(j * self.w))])
            inside = I64(self.w) if j < vectors - 1 else lanes
            to = b.gep(panel, [I64(j * self.w)])
            width = I64(vectors * self.w)
            b.call(self.turned(), [of, to, count, step, inside, width])

    def _turn(self, b, columns, to, count, width):
        side = 128 // self.bits
        whole = b.and_(count, I64(-side))

        def square(k, _):
            for i, x in enumerate(self._square(b, columns, k)):
                row = b.mul(b.add(k, I64(i)), width)
                self.store(b, x, b.gep(to, [row]), align=self.vector_bytes)
            return ()

        def one(k, _):
            row = b.gep(to, [b.mul(k, width)])
            for i, column in enumerate(columns):
                b.store(self.number(b, b.gep(column, [k])), b.gep(row, [I64(i)]))
            return ()

        strides(b, I64(0), whole, side, (), square)
        repeat(b, whole, count, 1, (), one)

    def _square(self, b, columns, k):
        """Number k of all columns, number k + 1, ...: as many as 16 bytes hold.

        16 bytes of each column are loaded, then small squares turned in all lanes at once.
        """
        side = 128 // self.bits
        places = [b.gep(column, [k]) for column in columns]
        xs = [self._joined(b, places[i::side]) for i in range(side)]
        if side == 2:
            return [self._mixed(b, *xs, high) for high in (0, 1)]
        pairs = [[self._mixed(b, *xs[i : i + 2], h) for i in (0, 2)] for h in (0, 1)]
        return [self._mixed(b, *pair, high, 2) for pair in pairs for high in (0, 1)]

    def _joined(self, b, places):
        """Numbers that fill 16 bytes from each place, one after the other."""
        stored = places[0].type.pointee
        kind = ir.VectorType(stored, 128 // self.bits).as_pointer()
        align = 2 if is_short(stored) else 4
        xs = [b.load(b.bitcast(p, kind), align=align) for p in places]
        xs = [self.wide(b, x) for x in xs]
        while len(xs) > 1:
            n = xs[0].type.count
            every = ir.Constant(ir.VectorType(I32, 2 * n), [*range(2 * n)])
            pairs = zip(xs[::2], xs[1::2], strict=True)
            xs = [b.shuffle_vector(x, y, every) for x, y in pairs]
        return xs[0]

    def _mixed(self, b, x, y, high, unit=1):
        """From the low or high half of each 16 bytes: `unit` numbers of x, as many of y."""
        side, numbers = 128 // self.bits, []
        for start in range(0, self.w, side):
            for i in range(0, side // 2, unit):
                at = start + high * side // 2 + i
                some = [*range(at, at + unit)]
                numbers += [*some, *(self.w + n for n in some)]
        return b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, self.w), numbers))

    def picked(self, vectors):
        """From anywhere, number by number: the step of columns follows that of rows."""
        kinds = self.operands[1], self.scalar.as_pointer(), *[I64] * 4
        f, b = self.tile("picked", (1, vectors), *kinds)
        if b is None:
            return f
        source, panel, count, row, column, lanes = f.args
        width = b.add(lanes, I64((vectors - 1) * self.w))
        with loop(b, 0, width, 1) as j:
            of, to = b.gep(source, [b.mul(j, column)]), b.gep(panel, [j])
            with loop(b, 0, count, 1) as k:
                x = self.number(b, b.gep(of, [b.mul(k, row)]))
                b.store(x, b.gep(to, [b.mul(k, I64(vectors * self.w))]))
        b.ret_void()
        return f

    def widened(self):
        """Rows of A as they are summed.

        (source, rows, how many numbers of each, how many, steps of rows there and here).
        """
        left, p = self.operands[0], self.scalar.as_pointer()
        f, b = self.tile("widened", (1, 1), left, p, *[I64] * 4)
        if b is None:
            return f
        source, rows, count, high, there, here = f.args
        whole = b.and_(count, I64(-self.w))
        rest = self.below(b, b.sub(count, whole))

        def some(i, k, mask):
            x = self.load(b, b.gep(source, [b.add(b.mul(i, there), k)]), mask)
            self.store(b, x, b.gep(rows, [b.add(b.mul(i, here), k)]), mask)
            return ()

        with loop(b, 0, high, 1) as i:
            strides(b, I64(0), whole, self.w, (), lambda k, _: some(i, k, None))
            with b.if_then(b.icmp_signed("<", whole, count)):
                some(i, whole, rest)
        b.ret_void()
        return f

    def slivers(self, rows):
        """Rows of A, `rows` of them together, from columns whose numbers lie side by side.

        (source, slivers, how many columns, their step, how many slivers, what a sliver takes).
        """
        left, p = self.operands[0], self.scalar.as_pointer()
        f, b = self.tile("slivers", (rows, 1), left, p, I64, I64, I64, I64)
        if b is None:
            return f
        source, target, count, step, slivers, room = f.args
        kind = ir.VectorType(self.scalar, rows).as_pointer()
        stored = ir.VectorType(left.pointee, rows).as_pointer()
        align = 2 if is_short(left.pointee) else 4
        with loop(b, 0, count, 1) as k:
            of = b.gep(source, [b.mul(k, step)])
            to = b.gep(target, [b.mul(k, I64(rows))])
            with loop(b, 0, slivers, 1) as i:
                here = b.bitcast(b.gep(of, [b.mul(i, I64(rows))]), stored)
                there = b.bitcast(b.gep(to, [b.mul(i, room)]), kind)
                b.store(self.wide(b, b.load(here, align=align)), there, align=4)
        b.ret_void()
        return f
