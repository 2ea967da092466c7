"""Paired: products of bfloat16, by instructions that multiply two numbers of k at a time.

Each takes pairs of neighbours in k, of a row of A and of a column of B, and adds both products to a
float32. So both operands are packed: panels of B hold rows of pairs, a line of memory for 16
columns; of A, a line holds 16 pairs of a row, and the rows of a tile follow each other. What is
missing of the last line is zero.

AMX has registers of 16 such lines, two for A, two for B and four for sums; AVX-512 has one pair
of A in all lanes.
"""

from __future__ import annotations

import itertools

from ..arithmetic.kinds import BFLOAT, FLOAT
from ..llvm import text as ir
from ..llvm.flow import least, loop, repeat, strides
from ..llvm.types import BIT, BYTE, I32, I64, POINTER, VOID
from .panels import Panels

PAIR_TILES = {"tiles": (32, 2), "vectors": (8, 3)}  # rows, and vectors of columns
TOGETHER = 4  # panels that are packed at once: the lines of a row are fetched together
SIDE = 16  # rows of a register of AMX, pairs of a line, numbers of a vector of sums
SHORTS, PAIRS = BFLOAT.as_pointer(), I32.as_pointer()
SUMS, LINES = ir.VectorType(FLOAT, SIDE), ir.VectorType(I32, SIDE)
# Its eight registers: 16 rows of 64 bytes. (The first byte: these are the only tiles there are.)
_SHAPES = [1, 0, *[0x0040_0040_0040_0040] * 2, 0, 0, 0x1010_1010_1010_1010, 0]


class Paired(Panels):
    """Functions that pack pairs, and tiles that multiply them, shared by all products."""

    # ------------------------------------------------------------ packing

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
        masks = [None if panels > 1 else self._first(b, n) for n in numbers]

        def row(k, here):
            """Two rows, or one and nothing: the second is the upper half of each pair."""
            of, to = b.gep(source, [b.mul(k, step)]), b.lshr(k, I64(1))
            to = b.gep(lines, [b.mul(to, I64(vectors * SIDE))])
            for i, (j, mask) in itertools.product(range(panels), enumerate(masks)):
                place = I64((i * vectors + j) * SIDE)
                at = [b.gep(p, [place]) for p in (of, b.gep(of, [step]))[:here]]
                xs = [b.zext(self._shorts(b, p, SIDE, mask), LINES) for p in at]
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
                x = self._shorts(b, b.gep(row, [k]), 2 * SIDE, mask)
                there = b.gep(to, [b.mul(k, I64(rows // 2))])
                b.store(x, b.bitcast(there, kind.as_pointer()), align=64)
                return ()

            strides(b, I64(0), whole, 2 * SIDE, (), lambda k, _: line(k, None))
            with b.if_then(b.icmp_signed("<", whole, count)):
                line(whole, self._first(b, b.sub(count, whole), 2 * SIDE))
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

    def _first(self, b, count, lanes=SIDE):
        """The mask of the first `count` of so many lanes."""
        kind = ir.VectorType(I32, lanes)
        numbers = ir.Constant(kind, [*range(lanes)])
        return b.icmp_signed("<", numbers, b.splat(b.trunc(count, I32), lanes))

    def _shorts(self, b, p, lanes, mask=None):
        kind = ir.VectorType(BFLOAT, lanes)
        p = b.bitcast(p, kind.as_pointer())
        if mask is None:
            return b.load(p, align=2)
        name = f"llvm.masked.load.v{lanes}i16.p0"
        f = self.intrinsic(name, kind, p.type, I32, mask.type, kind)
        return b.call(f, [p, I32(2), mask, ir.Constant(kind, [0] * lanes)])

    def _line(self, b, x, p):
        b.store(x, b.bitcast(p, LINES.as_pointer()), align=64)

    # ------------------------------------------------------------ multiplying

    def pair_tile(self, by):
        """(lines of A, panel, c, numbers of k, whether at first, step of c's rows, rows, columns,
        room): what a tile, or the part of it that c has, is or gets more.
        """
        floats = FLOAT.as_pointer()
        kinds = PAIRS, PAIRS, floats, I64, BIT, I64, I64, I64, floats
        f, b = self.tile(f"pair.{by}", PAIR_TILES[by], *kinds)
        if b is not None:
            getattr(self, f"_by_{by}")(b, *f.args)
            b.ret_void()
        return f

    def _by_vectors(self, b, a, panel, c, count, first, c_row, rows, columns, _):
        high, vectors = PAIR_TILES["vectors"]
        brains = ir.VectorType(ir.BrainType(), 2 * SIDE)
        multiply = self.intrinsic(
            "llvm.x86.avx512bf16.dpbf16ps.512", SUMS, SUMS, brains, brains
        )

        def step(k, acc):
            line, at = b.lshr(k, I64(4)), b.and_(k, I64(SIDE - 1))
            ak = b.gep(a, [b.add(b.mul(line, I64(high * SIDE)), at)])
            row = b.gep(panel, [b.mul(k, I64(vectors * SIDE))])
            places = (b.gep(row, [I64(j * SIDE)]) for j in range(vectors))
            ys = [b.load(b.bitcast(p, brains.as_pointer()), align=64) for p in places]
            xs = [b.load(b.gep(ak, [I64(i * SIDE)])) for i in range(high)]
            xs = [b.bitcast(b.splat(x, SIDE), brains) for x in xs]
            pairs = [(x, y) for x in xs for y in ys]
            return [
                b.call(multiply, [t, x, y])
                for t, (x, y) in zip(acc, pairs, strict=True)
            ]

        acc = [ir.Constant(SUMS, [0.0] * SIDE)] * (high * vectors)
        pairs = b.lshr(b.add(count, I64(1)), I64(1))
        acc = repeat(b, I64(0), pairs, 1, acc, step)
        masks = [self._first(b, b.sub(columns, I64(j * SIDE))) for j in range(vectors)]
        for i in range(high):
            with b.if_then(b.icmp_signed("<", I64(i), rows)):
                row = b.gep(c, [b.mul(I64(i), c_row)])
                spots = [(b.gep(row, [I64(j * SIDE)]), m) for j, m in enumerate(masks)]
                self.add_to(b, acc[i * vectors : (i + 1) * vectors], spots, first)

    def _by_tiles(self, b, a, panel, c, count, first, c_row, rows, columns, room):
        """Four registers of sums; those of a tile that is not whole go to the room first."""
        high, vectors = PAIR_TILES["tiles"]
        full = [b.icmp_signed("==", x, I64(2 * SIDE)) for x in (rows, columns)]
        whole = b.and_(*full)
        to = b.select(whole, c, room)
        step = b.select(whole, c_row, I64(vectors * SIDE))
        spots = [
            b.gep(to, [b.add(b.mul(I64(i * SIDE), step), I64(j * SIDE))])
            for i in range(2)
            for j in range(2)
        ]
        with b.if_else(b.and_(whole, b.not_(first))) as (more, begin):
            with more:
                for t, p in enumerate(spots):
                    self._move(b, "load", t, p, step)
            with begin:
                for t in range(4):
                    self._tiles(b, "zero", t)

        def line(k, _):
            ak = b.gep(a, [b.mul(k, I64(high // 2))])
            bk = b.gep(panel, [b.mul(k, I64(vectors * SIDE // 2))])
            for i in range(2):
                place = b.gep(ak, [I64(i * SIDE * SIDE)])
                self._move(b, "load", 4 + i, place, I64(SIDE))
                place = b.gep(bk, [I64(i * SIDE)])
                self._move(b, "load", 6 + i, place, I64(vectors * SIDE))
            for t in range(4):
                self._tiles(b, "multiply", t, 4 + t // 2, 6 + t % 2)
                for i in range(SIDE * vectors // 4):  # what the next round loads
                    at = (vectors * SIDE + t * SIDE * vectors // 4 + i) * SIDE
                    b.prefetch(b.gep(bk, [I64(at)]))
            return ()

        def ask(k, _):
            """Also for half of what the next tile stores to."""
            for i in range(SIDE):
                row = b.mul(b.add(b.lshr(k, I64(1)), I64(i)), c_row)
                for j in range(vectors):
                    at = b.add(row, I64((vectors + j) * SIDE))
                    b.prefetch(b.gep(c, [at]), write=True)
            return line(k, _)

        first_two = least(b, count, I64(4 * SIDE))
        strides(b, I64(0), first_two, 2 * SIDE, (), ask)
        strides(b, I64(4 * SIDE), count, 2 * SIDE, (), line)
        for t, p in enumerate(spots):
            self._move(b, "store", t, p, step)
        with b.if_then(b.not_(whole)):
            self._from_room(b, room, step, (c, c_row), (rows, columns), first)

    def _from_room(self, b, room, step, c, size, first):
        """What there is of a tile that is not whole, from the room to its place."""
        (c, c_row), (rows, columns) = c, size
        masks = [self._first(b, b.sub(columns, I64(j * SIDE))) for j in range(2)]
        with loop(b, 0, rows, 1) as i:
            of, to = b.gep(room, [b.mul(i, step)]), b.gep(c, [b.mul(i, c_row)])
            places = [I64(j * SIDE) for j in range(2)]
            xs = [self.load(b, b.gep(of, [j])) for j in places]
            to = [b.gep(to, [j]) for j in places]
            self.add_to(b, xs, [*zip(to, masks, strict=True)], first)

    def configure(self, b):
        """Make AMX ready for tiles of this kind."""
        name = "shapes.of.tiles"
        shapes = self.module.globals.get(name) or self.module.table(name, _SHAPES)
        place = b.bitcast(shapes, POINTER)
        load = self.intrinsic("llvm.x86.ldtilecfg", VOID, POINTER)
        b.call(load, [place])

    def release(self, b):
        """Nothing in its registers is needed: the system need not keep it for this thread."""
        b.call(self.intrinsic("llvm.x86.tilerelease", VOID), [])

    def _tiles(self, b, what, *tiles):
        name = {"zero": "tilezero", "multiply": "tdpbf16ps"}[what]
        f = self.intrinsic(f"llvm.x86.{name}", VOID, *[BYTE] * len(tiles))
        b.call(f, [BYTE(t) for t in tiles])

    def _move(self, b, what, tile, p, step):
        """16 lines that lie `step` numbers of four bytes apart."""
        kinds = BYTE, POINTER, I64
        name = f"llvm.x86.tile{what}d64"
        f = self.intrinsic(name, VOID, *kinds)
        step = b.shl(step, I64(2)) if isinstance(step, ir.Value) else step
        b.call(f, [BYTE(tile), b.bitcast(p, POINTER), step])


class PairedBlock:
    """A block of C for some of k: panels of B, then a tile's rows of A meet all of them."""

    def _pairs(self):
        self.pair_panels()
        self.pair_tiles()

    def pair_tiles(self):
        """All rows of A, those of a tile packed before they meet the panels."""
        form, b, p = self.form, self.b, self.p
        rows, width = form.tile[0], I64(form.width)
        panels, lines, turning, room = self._rooms()
        if form.by == "tiles":
            p.configure(b)
        multiply = p.pair_tile(form.by)
        with loop(b, self.m0, self.m1, rows) as i:
            high = least(b, b.sub(self.m1, i), I64(rows))
            self._pair_rows(i, high, lines, turning)

            def tile(j, _):
                right = self.offset(panels, (j, form.depth // 2))
                some = least(b, b.sub(self.columns, j), width)
                args = lines, right, self._to(i, j), self.count, self.first
                b.call(multiply, [*args, I64(form.c), high, some, room])
                return ()

            strides(b, I64(0), self.columns, form.width, (), tile)
        if form.by == "tiles":
            p.release(b)

    def pair_panels(self):
        """All of B: where rows lie in order, some panels at a time, for whole lines of memory."""
        form, b, p = self.form, self.b, self.p
        width, done, (panels, *_) = form.width, I64(0), self._rooms()

        def pack(j, f, steps):
            of = self.offset(self.bk, (b.add(self.j0, j), form.b[1]))
            to = self.offset(panels, (j, form.depth // 2))
            some = least(b, b.sub(self.columns, j), I64(width))
            b.call(f, [of, to, self.count, *map(I64, steps), some])
            return ()

        if form.b[1] == 1 and form.n >= TOGETHER * width:
            many = p.pair_rows(form.tile[1], TOGETHER)
            steps = form.b[0], form.depth // 2 * width
            done = b.urem(self.columns, I64(TOGETHER * width))
            done = b.sub(self.columns, done)
            some = TOGETHER * width
            strides(b, I64(0), done, some, (), lambda j, _: pack(j, many, steps))
        one, steps = _way(p, *form.b, form.tile[1])
        strides(b, done, self.columns, width, (), lambda j, _: pack(j, one, steps))

    def _pair_rows(self, i, high, lines, turning):
        """A tile's rows of A."""
        form, b, p = self.form, self.b, self.p
        of, rows = self.offset(self.ak, (i, form.a[0])), form.tile[0]
        if form.a[1] == 1:
            args = [of, lines, self.count, I64(form.a[0]), high]
            b.call(p.pair_lines(rows), args)
            return
        f, steps = _way(p, form.a[1], form.a[0], -(-rows // SIDE))
        b.call(f, [of, turning, self.count, *map(I64, steps), high])
        b.call(p.pair_turned(rows), [turning, lines, self.count])

    def _rooms(self):
        b, place, found = self.b, self.b.bitcast(self.scratch, PAIRS), []
        for n in self.form.pair_rooms:
            found.append(place)
            place = b.gep(place, [I64(n)])
        *pairs, room = found
        return *pairs, b.bitcast(room, FLOAT.as_pointer())


def _way(p, row, column, vectors):
    """What packs numbers with these steps of k and of columns, and which steps it is told."""
    if column == 1:
        return p.pair_rows(vectors), (row, 0)
    if row == 1:
        return p.pair_columns(vectors), (column,)
    return p.pair_any(vectors), (row, column)
