"""Paired: products of bfloat16, by instructions that multiply two numbers of k at a time.

Each takes pairs of neighbours in k, of a row of A and of a column of B, and adds both products to a
float32. So both operands are packed, as `pairing` has it; those of float32 by `thirds`.

AMX has registers of 16 lines, two for A, two for B and four for sums; AVX-512 has one pair of A in
all lanes.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager

from ..arithmetic.kinds import FLOAT
from ..llvm import text as ir
from ..llvm.flow import least, loop, repeat, strides
from ..llvm.types import BIT, BYTE, I64, POINTER, VOID
from .asking import next_panel, next_rows, nothing
from .pairing import PAIRS, SIDE
from .thirds import HIGH, PARTS, PRODUCTS, SUMS, VECTORS, WIDTH, Thirds

# Rows, and vectors of columns. "thirds" are tiles of float32.
PAIR_TILES = {"tiles": (32, 2), "vectors": (8, 3), "thirds": (HIGH, VECTORS)}
TOGETHER = 4  # panels that are packed at once: the lines of a row are fetched together
# Its eight registers: 16 rows of 64 bytes. (The first byte: these are the only tiles there are.)
_SHAPES = [1, 0, *[0x0040_0040_0040_0040] * 2, 0, 0, 0x1010_1010_1010_1010, 0]


class Paired(Thirds):
    """Tiles that multiply pairs, shared by all products."""

    def pair_tile(self, by):
        """(lines of A, panel, c, numbers of k, whether at first, step of c's rows, rows, columns,
        room): what a tile, or the part of it that c has, is or gets more.

        One of thirds asks for `Lines` of memory that are needed next.
        """
        floats = FLOAT.as_pointer()
        kinds = [PAIRS, PAIRS, floats, I64, BIT, I64, I64, I64, floats]
        kinds += [floats, *[I64] * 5] * (by == "thirds")
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

    def _by_thirds(
        self, b, a, panel, c, count, first, c_row, rows, columns, room, *asked
    ):
        """Sums of all parts' products in four registers; they are looked at in the room."""
        for t in range(4):
            self._tiles(b, "zero", t)

        def line(k, _):
            ak = b.gep(a, [b.mul(k, I64(PARTS * HIGH // 2))])
            bk = b.gep(panel, [b.mul(k, I64(PARTS * WIDTH // 2))])
            next_ones = iter(self._next_ones(b, k, bk, c, c_row, asked))
            before = None, None
            for parts in PRODUCTS:
                for i in range(2):
                    if parts[0] != before[0]:
                        place = I64((parts[0] * HIGH + i * SIDE) * SIDE)
                        self._move(b, "load", 4 + i, b.gep(ak, [place]), I64(SIDE))
                    if parts[1] != before[1]:
                        place = I64((parts[1] * WIDTH + i) * SIDE)
                        self._move(b, "load", 6 + i, b.gep(bk, [place]), I64(WIDTH))
                for t in range(4):
                    self._tiles(b, "multiply", t, 4 + t // 2, 6 + t % 2)
                    for p, way in itertools.islice(next_ones, 6):
                        b.prefetch(p, **way)
                before = parts
            return ()

        strides(b, I64(0), count, 2 * SIDE, (), line)
        for t in range(4):
            place = I64((t // 2 * WIDTH + t % 2) * SIDE)
            self._move(b, "store", t, b.gep(room, [place]), I64(WIDTH))
        masks = [self._first(b, b.sub(columns, I64(j * SIDE))) for j in range(2)]
        doubtful, zero = self.doubtful(b, room, rows, masks)
        with b.if_then(doubtful, likely=False):
            more = b.gep(room, [I64(HIGH * WIDTH)])
            b.call(self.again(), [a, panel, room, count, more, zero])
        self._from_room(b, room, I64(WIDTH), (c, c_row), (rows, columns), first)

    def _next_ones(self, b, k, panel, c, c_row, asked):
        """(place, how) of lines that a round asks for: of the panel what the next one loads, of
        C some that are stored to, and some of what others need.
        """
        for i in range(PARTS * WIDTH):
            yield b.gep(panel, [I64((PARTS * WIDTH + i) * SIDE)]), {}
        start = b.and_(b.lshr(k, I64(2)), I64(HIGH - 1))
        row = b.gep(c, [b.mul(start, c_row)])
        for _ in range(SIDE // VECTORS):
            for j in range(VECTORS):
                yield b.gep(row, [I64(j * SIDE)]), {"write": True}
            row = b.gep(row, [c_row])
        place, near, far, inner, begin, end = asked
        q = b.add(begin, b.lshr(k, I64(1)))
        mask = b.sub(b.shl(I64(1), inner), I64(1))
        at = b.add(b.mul(b.and_(q, mask), near), b.mul(b.ashr(q, inner), far))
        inside = b.icmp_signed("<", q, end)
        place = b.select(inside, b.gep(place, [at]), c)
        near = b.select(inside, near, I64(0))
        for _ in range(SIDE):
            yield place, {"level": 2}
            place = b.gep(place, [near])

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

    def pair_together(self, b, form, source, panels, count):
        """Some panels at once, of rows whose numbers lie side by side."""
        some, row = I64(TOGETHER * form.width), I64(form.b[0])
        if form.by == "thirds":
            args = source, panels, I64(0), count, row, some, I64(form.pairs)
            b.call(self.third_rows(), args)
            return
        args = source, panels, count, row, I64(form.pairs * form.width), some
        b.call(self.pair_rows(form.tile[1], TOGETHER), args)

    @contextmanager
    def ready(self, b, by):
        """Inside, tiles of this kind can be multiplied."""
        if by != "vectors":
            self.configure(b)
        yield
        if by != "vectors":
            self.release(b)

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
        if self.form.descends:
            self._pair_down()
            return
        self.pair_panels()
        self.pair_tiles()

    def _pair_down(self):
        """All rows of A are packed; then they meet one panel after the other."""
        form, b, rows = self.form, self.b, self.form.tile[0]
        panel, lines, turning, room = self._rooms(form.descends)

        def left(i):
            return self.offset(lines, (b.sub(i, self.m0), form.pairs))

        with loop(b, self.m0, self.m1, form.gathered) as i:
            high = least(b, b.sub(self.m1, i), I64(form.gathered))
            self._pair_rows(i, high, left(i), turning)

        def down(j, _):
            self._pair_panel(j, panel, turning)
            asked = next_panel(self, j)
            with loop(b, self.m0, self.m1, rows) as i:
                high = least(b, b.sub(self.m1, i), I64(rows))
                share = asked, i, self.m0, self.m1, rows
                self._pair_tile((left(i), panel), (i, high), j, room, share)
            return ()

        with self.p.ready(b, form.by):
            strides(b, I64(0), self.columns, form.width, (), down)

    def pair_tiles(self):
        """All rows of A, those of a tile, or of some, packed before they meet the panels."""
        form, b, rows = self.form, self.b, self.form.tile[0]
        panels, lines, turning, room = self._rooms()

        def across(i):
            """A tile's rows and all panels."""
            high = least(b, b.sub(self.m1, i), I64(rows))
            asked = next_rows(self, i)
            left = self.offset(lines, (b.sub(i, start), form.pairs))

            def tile(j, _):
                right = self.offset(panels, (j, form.pairs))
                share = asked, j, I64(0), self.columns, form.width
                self._pair_tile((left, right), (i, high), j, room, share)
                return ()

            strides(b, I64(0), self.columns, form.width, (), tile)

        with (
            self.p.ready(b, form.by),
            loop(b, self.m0, self.m1, form.gathered) as start,
        ):
            end = least(b, b.add(start, I64(form.gathered)), self.m1)
            self._pair_rows(start, b.sub(end, start), lines, turning)
            with loop(b, start, end, rows) as i:
                across(i)

    def _pair_tile(self, operands, across, j, room, asked):
        """A tile; `asked` are the lines that are needed next, and its share of them."""
        (i, high), b, form = across, self.b, self.form
        to, some = self._to(i, j), least(b, b.sub(self.columns, j), I64(form.width))
        args = [*operands, to, self.count, self.first, I64(form.c), high, some, room]
        if form.by == "thirds":
            _, lines = self._share(*asked)
            args += lines or nothing(to)
        b.call(self.p.pair_tile(form.by), args)

    def pair_panels(self):
        """All of B: where rows lie in order, some panels at a time, for whole lines of memory."""
        form, b, p = self.form, self.b, self.p
        width, done = form.width, I64(0)
        panels, _, turning, _ = self._rooms()
        together = TOGETHER * width
        if form.b[1] == 1 and form.n >= together:
            done = b.sub(self.columns, b.urem(self.columns, I64(together)))

            def pack(j, _):
                of, to = self._column(j), self.offset(panels, (j, form.pairs))
                p.pair_together(b, form, of, to, self.count)
                return ()

            strides(b, I64(0), done, together, (), pack)

        def one(j, _):
            self._pair_panel(j, self.offset(panels, (j, form.pairs)), turning)
            return ()

        strides(b, done, self.columns, width, (), one)

    def _column(self, j):
        """Where column j of the strip begins."""
        return self.offset(self.bk, (self.b.add(self.j0, j), self.form.b[1]))

    def _pair_panel(self, j, panel, turning):
        """The columns from j on."""
        form, b, p = self.form, self.b, self.p
        some = least(b, b.sub(self.columns, j), I64(form.width))
        if form.by == "thirds":
            room = b.bitcast(turning, FLOAT.as_pointer())
            places = self._column(j), panel, room
            fours = self.depth is None and form.k % 4 == 0
            p.third_panel(b, form.b, places, self.count, some, fours)
            return
        pack, steps = _way(p, *form.b, form.tile[1])
        b.call(pack, [self._column(j), panel, self.count, *map(I64, steps), some])

    def _pair_rows(self, i, high, lines, turning):
        """A tile's rows of A, or those of some tiles."""
        form, b, p = self.form, self.b, self.p
        of, rows = self.offset(self.ak, (i, form.a[0])), form.tile[0]
        if form.by == "thirds":
            room = b.bitcast(turning, FLOAT.as_pointer())
            steps, places = form.a[::-1], (of, lines, room)
            p.third_tiles(b, steps, places, self.count, high, form.pairs)
            return
        if form.a[1] == 1:
            args = [of, lines, self.count, I64(form.a[0]), high]
            b.call(p.pair_lines(rows), args)
            return
        f, steps = _way(p, form.a[1], form.a[0], -(-rows // SIDE))
        b.call(f, [of, turning, self.count, *map(I64, steps), high])
        b.call(p.pair_turned(rows), [turning, lines, self.count])

    def _rooms(self, descends=False):
        b, place, found = self.b, self.b.bitcast(self.scratch, PAIRS), []
        for n in self.form.pair_rooms(descends):
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
