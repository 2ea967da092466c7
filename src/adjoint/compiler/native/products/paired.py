"""Paired: products of bfloat16, by instructions that multiply two numbers of k at a time.

Each takes pairs of neighbours in k, of a row of A and of a column of B, and adds both products to a
float32. So both operands are packed, as `pairing` has it; those of float32 by `thirds`.

AMX has registers of 16 lines, two for A, two for B and four for sums; AVX-512 has one pair of A in
all lanes.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..llvm import text as ir
from ..llvm.flow import least, loop, repeat, strides
from ..llvm.types import BIT, BYTE, I64, POINTER, VOID
from .cutting import FLOATS, HIGH, PANEL, PARTS, ROW, SUMS, VECTORS, WIDTH
from .pairing import PAIRS, SIDE
from .thirds import PRODUCTS, Thirds

# Rows, and vectors of columns. "thirds" are tiles of float32.
PAIR_TILES = {"tiles": (32, 2), "vectors": (8, 3), "thirds": (HIGH, VECTORS)}
TOGETHER = 4  # panels that are packed at once: the lines of a row are fetched together
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


class Told(NamedTuple):
    """What a tile is told; it is, or gets more by, the products of its lines and its panel."""

    a: Any  # lines of A
    panel: Any
    c: Any
    count: Any  # numbers of k
    first: Any  # whether C has nothing yet
    step: Any  # of C's rows
    rows: Any  # that C has of the tile's,
    columns: Any  # and columns
    room: Any


_KINDS = Told(
    a=PAIRS,
    panel=PAIRS,
    c=FLOATS,
    count=I64,
    first=BIT,
    step=I64,
    rows=I64,
    columns=I64,
    room=FLOATS,
)


class Paired(Thirds):
    """Tiles that multiply pairs, shared by all products."""

    def pair_tile(self, by, beside=None, parts=False):
        """The function of a tile, which is `Told` what it multiplies and where that goes.

        One of thirds may cut `Beside` its products what is next, and is told of that too. Of a
        sum in `parts` each is summed up by itself, then added, as if threads had made them.
        """
        kinds = [*_KINDS, *[FLOATS, PAIRS, I64, I64] * bool(beside)]
        parts = parts and by == "tiles"  # others always do so
        ending = f".{beside}" if beside else ".parts" * parts
        f, b = self.tile(f"pair.{by}{ending}", PAIR_TILES[by], *kinds)
        if b is not None:
            of, rest = Told(*f.args[: len(_KINDS)]), f.args[len(_KINDS) :]
            if by == "thirds":
                self._by_thirds(b, of, beside, rest)
            elif by == "tiles":
                self._by_tiles(b, of, parts)
            else:
                self._by_vectors(b, of)
            b.ret_void()
        return f

    def _by_vectors(self, b, of):
        """Sums in registers; one pair of A in all lanes meets a row of the panel."""
        high, vectors = PAIR_TILES["vectors"]
        brains = ir.VectorType(ir.BrainType(), 2 * SIDE)
        multiply = self.intrinsic(
            "llvm.x86.avx512bf16.dpbf16ps.512", SUMS, SUMS, brains, brains
        )

        def step(k, acc):
            line, at = b.lshr(k, I64(4)), b.and_(k, I64(SIDE - 1))
            ak = b.gep(of.a, [b.add(b.mul(line, I64(high * SIDE)), at)])
            row = b.gep(of.panel, [b.mul(k, I64(vectors * SIDE))])
            places = (b.gep(row, [I64(j * SIDE)]) for j in range(vectors))
            ys = [b.load(b.bitcast(p, brains.as_pointer()), align=64) for p in places]

            def sums_of_row(i):
                x = b.splat(b.load(b.gep(ak, [I64(i * SIDE)])), SIDE)
                x, sums = b.bitcast(x, brains), acc[i * vectors : (i + 1) * vectors]
                pairs = zip(sums, ys, strict=True)
                return [b.call(multiply, [t, x, y]) for t, y in pairs]

            return [t for i in range(high) for t in sums_of_row(i)]

        acc = [ir.Constant(SUMS, [0.0] * SIDE)] * (high * vectors)
        pairs = b.lshr(b.add(of.count, I64(1)), I64(1))
        acc = repeat(b, I64(0), pairs, 1, acc, step)
        masks = self._masks(b, of, vectors)
        for i in range(high):
            with b.if_then(b.icmp_signed("<", I64(i), of.rows)):
                row = b.gep(of.c, [b.mul(I64(i), of.step)])
                spots = [(b.gep(row, [I64(j * SIDE)]), m) for j, m in enumerate(masks)]
                self.add_to(b, acc[i * vectors : (i + 1) * vectors], spots, of.first)

    def _by_tiles(self, b, of, parts):
        """Four registers of sums; those of a tile that is not whole, or of a part that is added to
        others, go to the room first.
        """
        width = I64(PAIR_TILES["tiles"][1] * SIDE)
        full = [b.icmp_signed("==", x, I64(2 * SIDE)) for x in (of.rows, of.columns)]
        whole = b.and_(*full)
        whole = b.and_(whole, of.first) if parts else whole
        to, step = b.select(whole, of.c, of.room), b.select(whole, of.step, width)
        spots = [
            b.gep(to, [b.add(b.mul(I64(i * SIDE), step), I64(j * SIDE))])
            for i in range(2)
            for j in range(2)
        ]
        with b.if_else(b.and_(whole, b.not_(of.first))) as (more, begin):
            with more:
                for t, p in enumerate(spots):
                    self._move(b, "load", t, p, step)
            with begin:
                self._clear_sums(b)
        self._lines_of_tiles(b, of)
        for t, p in enumerate(spots):
            self._move(b, "store", t, p, step)
        with b.if_then(b.not_(whole)):
            self._from_room(b, of, step)

    def _lines_of_tiles(self, b, of):
        """All of k; the first rounds ask for half of what the next tile stores to, too."""
        vectors = PAIR_TILES["tiles"][1]

        def ask(k, _):
            for i in range(SIDE):
                row = b.mul(b.add(b.lshr(k, I64(1)), I64(i)), of.step)
                for j in range(vectors):
                    at = b.add(row, I64((vectors + j) * SIDE))
                    b.prefetch(b.gep(of.c, [at]), write=True)
            return line(k, _)

        def line(k, _):
            self._line_of_tiles(b, of, k)
            return ()

        first_two = least(b, of.count, I64(4 * SIDE))
        strides(b, I64(0), first_two, 2 * SIDE, (), ask)
        strides(b, I64(4 * SIDE), of.count, 2 * SIDE, (), line)

    def _line_of_tiles(self, b, of, k):
        """Products of 32 numbers of k, beside which the panel's next ones are asked for."""
        high, vectors = PAIR_TILES["tiles"]
        width = vectors * SIDE
        ak = b.gep(of.a, [b.mul(k, I64(high // 2))])
        bk = b.gep(of.panel, [b.mul(k, I64(width // 2))])
        for i in range(2):
            self._move(b, "load", 4 + i, b.gep(ak, [I64(i * SIDE * SIDE)]), I64(SIDE))
            self._move(b, "load", 6 + i, b.gep(bk, [I64(i * SIDE)]), I64(width))
        for t in range(4):
            self._multiply(b, t)
            for i in range(width // 4):
                at = (width + t * width // 4 + i) * SIDE
                b.prefetch(b.gep(bk, [I64(at)]))

    def _by_thirds(self, b, of, beside, told):
        """Sums of all parts' products in four registers; they are looked at in the room."""

        def operands(k):
            pairs = (of.a, ROW), (of.panel, PANEL)
            return [b.gep(p, [b.mul(k, I64(n))]) for p, n in pairs]

        def line(k, _):
            after = b.add(k, I64(WIDTH))
            later = b.select(b.icmp_signed("<", after, of.count), after, k)
            here, there = operands(k), operands(later)
            lines = _evenly(self._next_ones(b, of, k, here))
            cuts = _evenly(self.units(b, beside, k, of.count, told) if beside else ())
            for (t, loads), asked, units in zip(_ROUND, lines, cuts, strict=True):
                self._multiply(b, t)
                for register, part, more in loads:
                    self._load_part(b, register, part, *(there if more else here))
                for p, way in asked:
                    b.prefetch(p, **way)
                for cut in units:
                    cut()
            return ()

        self._clear_sums(b)
        for register in range(4, 8):
            part = PRODUCTS[0][register // 6]
            self._load_part(b, register, part, *operands(I64(0)))
        strides(b, I64(0), of.count, 2 * SIDE, (), line)
        for t in range(4):
            place = I64((t // 2 * WIDTH + t % 2) * SIDE)
            self._move(b, "store", t, b.gep(of.room, [place]), I64(WIDTH))
        b.call(self._looked_at(), of)

    def _looked_at(self):
        """What tiles of thirds do with their sums; told as these are."""
        f, b = self.tile("third.sums", PAIR_TILES["thirds"], *_KINDS)
        if b is None:
            return f
        of = Told(*f.args)
        doubtful, zero = self.doubtful(b, of.room, of.rows, self._masks(b, of, VECTORS))
        with b.if_then(doubtful, likely=False):
            more = b.gep(of.room, [I64(HIGH * WIDTH)])
            b.call(self.again(), [of.a, of.panel, of.room, of.count, more, zero])
        self._from_room(b, of, I64(WIDTH))
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

    def _next_ones(self, b, of, k, operands):
        """(place, how) of lines that a round asks for: of both operands what the next one loads,
        of C some that are stored to.
        """
        for i in range(PARTS * WIDTH):
            for x in operands:
                yield b.gep(x, [I64((PARTS * WIDTH + i) * SIDE)]), {}
        start = b.and_(b.lshr(k, I64(2)), I64(HIGH - 1))
        row = b.gep(of.c, [b.mul(start, of.step)])
        for _ in range(SIDE // VECTORS):
            for j in range(VECTORS):
                yield b.gep(row, [I64(j * SIDE)]), {"write": True}
            row = b.gep(row, [of.step])

    def _from_room(self, b, of, step):
        """What there is of a tile that is not whole, from the room to its place."""
        masks, places = self._masks(b, of, 2), [I64(j * SIDE) for j in range(2)]
        with loop(b, 0, of.rows, 1) as i:
            here = b.gep(of.room, [b.mul(i, step)])
            there = b.gep(of.c, [b.mul(i, of.step)])
            xs = [self.load(b, b.gep(here, [j])) for j in places]
            to = [b.gep(there, [j]) for j in places]
            self.add_to(b, xs, [*zip(to, masks, strict=True)], of.first)

    def _masks(self, b, of, vectors):
        """Which lanes there are of each vector of columns."""
        return [self.below(b, b.sub(of.columns, I64(j * SIDE))) for j in range(vectors)]

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

    def _clear_sums(self, b):
        for t in range(4):
            self._tiles(b, "zero", t)

    def _multiply(self, b, t):
        """Add to sums the products of two of A's rows and of B's columns."""
        self._tiles(b, "multiply", t, 4 + t // 2, 6 + t % 2)

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
