"""Paired: products of bfloat16, by instructions that multiply two numbers of k at a time.

Each takes pairs of neighbours in k, of a row of A and of a column of B, and adds both products to a
float32. So both operands are packed, as `pairing` has it; those of float32 by `thirds`.

AMX has registers of 16 lines, two for A, two for B and four for sums; AVX-512 has one pair of A in
all lanes.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager

from ..llvm import text as ir
from ..llvm.flow import least, loop, repeat, strides
from ..llvm.types import BIT, BYTE, I64, POINTER, VOID
from .cutting import FLOATS, HIGH, PANEL, PARTS, ROW, SUMS, VECTORS, WIDTH
from .pairing import PAIRS, SIDE
from .thirds import PRODUCTS, Thirds

# Rows, and vectors of columns. "thirds" are tiles of float32.
PAIR_TILES = {"tiles": (32, 2), "vectors": (8, 3), "thirds": (HIGH, VECTORS)}
TOGETHER = 4  # panels that are packed at once: the lines of a row are fetched together
# What a tile is told: see `pair_tile`.
TOLD = PAIRS, PAIRS, FLOATS, I64, BIT, I64, I64, I64, FLOATS
# Its eight registers: 16 rows of 64 bytes. (The first byte: these are the only tiles there are.)
_SHAPES = [1, 0, *[0x0040_0040_0040_0040] * 2, 0, 0, 0x1010_1010_1010_1010, 0]


def _round():
    """(sums, what is loaded then) for each product of a round: a register as soon as it has met
    all that it has to, so that some products are left while the next part comes.

    What is loaded is (register, part, whether of the next line of k).
    """
    for n, parts in enumerate(PRODUCTS):
        more = n + 1 == len(PRODUCTS)
        after = PRODUCTS[0] if more else PRODUCTS[n + 1]
        changes = [x != y or more for x, y in zip(parts, after, strict=True)]
        sums = (0, 2, 1, 3) if changes[1] else (0, 1, 2, 3)
        for i, t in enumerate(sums):
            left = {r for s in sums[i + 1 :] for r in (4 + s // 2, 6 + s % 2)}
            free = (r for r in (6 + t % 2, 4 + t // 2) if r not in left)
            yield t, [(r, after[r // 6], more) for r in free if changes[r // 6]]


_ROUND = tuple(_round())


def _evenly(things):
    """Some of them beside each product of a round."""
    things, n = [*things], len(_ROUND)
    ends = [len(things) * i // n for i in range(n + 1)]
    return [things[i:j] for i, j in itertools.pairwise(ends)]


class Paired(Thirds):
    """Tiles that multiply pairs, shared by all products."""

    def pair_tile(self, by, beside=None):
        """(lines of A, panel, c, numbers of k, whether at first, step of c's rows, rows, columns,
        room): what a tile, or the part of it that c has, is or gets more.

        One of thirds may cut `Beside` its products what is next, and is told of that.
        """
        kinds = [*TOLD, *[FLOATS, PAIRS, I64, I64] * bool(beside)]
        name = f"pair.{by}.{beside}" if beside else f"pair.{by}"
        f, b = self.tile(name, PAIR_TILES[by], *kinds)
        if b is not None:
            more = [beside] * (by == "thirds")
            n = len(TOLD)
            getattr(self, f"_by_{by}")(b, *f.args[:n], *more, *f.args[n:])
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
        self, b, a, panel, c, count, first, c_row, rows, columns, room, beside, *told
    ):
        """Sums of all parts' products in four registers; they are looked at in the room."""
        for t in range(4):
            self._tiles(b, "zero", t)

        def operands(k):
            return b.gep(a, [b.mul(k, I64(ROW))]), b.gep(panel, [b.mul(k, I64(PANEL))])

        def line(k, _):
            after = b.add(k, I64(WIDTH))
            later = b.select(b.icmp_signed("<", after, count), after, k)
            here, there = operands(k), operands(later)
            lines = _evenly(self._next_ones(b, k, here, c, c_row))
            cuts = _evenly(self.units(b, beside, k, count, told) if beside else ())
            for (t, loads), asked, units in zip(_ROUND, lines, cuts, strict=True):
                self._tiles(b, "multiply", t, 4 + t // 2, 6 + t % 2)
                for register, part, more in loads:
                    self._load_part(b, register, part, *(there if more else here))
                for p, way in asked:
                    b.prefetch(p, **way)
                for cut in units:
                    cut()
            return ()

        for register in range(4, 8):
            part = PRODUCTS[0][register // 6]
            self._load_part(b, register, part, *operands(I64(0)))
        strides(b, I64(0), count, 2 * SIDE, (), line)
        for t in range(4):
            place = I64((t // 2 * WIDTH + t % 2) * SIDE)
            self._move(b, "store", t, b.gep(room, [place]), I64(WIDTH))
        args = a, panel, c, count, first, c_row, rows, columns, room
        b.call(self._looked_at(), args)

    def _looked_at(self):
        """What tiles of thirds do with their sums; told as these are."""
        f, b = self.tile("third.sums", PAIR_TILES["thirds"], *TOLD)
        if b is None:
            return f
        a, panel, c, count, first, c_row, rows, columns, room = f.args
        masks = [self._first(b, b.sub(columns, I64(j * SIDE))) for j in range(2)]
        doubtful, zero = self.doubtful(b, room, rows, masks)
        with b.if_then(doubtful, likely=False):
            more = b.gep(room, [I64(HIGH * WIDTH)])
            b.call(self.again(), [a, panel, room, count, more, zero])
        self._from_room(b, room, I64(WIDTH), (c, c_row), (rows, columns), first)
        b.ret_void()
        return f

    def _load_part(self, b, register, part, a, panel):
        """16 rows of a part of A, or 16 columns of B's."""
        if register < 6:
            place = I64((part * HIGH + (register - 4) * SIDE) * SIDE)
            self._move(b, "load", register, b.gep(a, [place]), I64(SIDE))
        else:
            place = I64((part * WIDTH + register - 6) * SIDE)
            self._move(b, "load", register, b.gep(panel, [place]), I64(WIDTH))

    def _next_ones(self, b, k, operands, c, c_row):
        """(place, how) of lines that a round asks for: of both operands what the next one loads,
        of C some that are stored to.
        """
        for i in range(PARTS * WIDTH):
            for x in operands:
                yield b.gep(x, [I64((PARTS * WIDTH + i) * SIDE)]), {}
        start = b.and_(b.lshr(k, I64(2)), I64(HIGH - 1))
        row = b.gep(c, [b.mul(start, c_row)])
        for _ in range(SIDE // VECTORS):
            for j in range(VECTORS):
                yield b.gep(row, [I64(j * SIDE)]), {"write": True}
            row = b.gep(row, [c_row])

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
