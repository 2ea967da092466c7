"""Forms of matrix products: what is multiplied, and how that is cut, known before any code.

A form says how many independent tasks there are and what memory a worker needs. No task
shares a sum with another.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

from ..llvm.machine import cache, vector_bits
from .cutting import HIGH, PARTS, SQUARE, UNITS, WIDTH, Beside
from .grids import Grid, best
from .matmul import DEPTH, VECTORS, tile_rows, together
from .paired import PAIR_TILES

LONG = 2**12  # numbers of a row whose products are summed at a time, over lanes
DOTS = 4  # rows of A up to which B's columns are not turned
FEW, MANY = 16, 128  # rows of A up to which B may be read where it lies
# Bytes between rows of B, and columns of A, from which on they are packed.
FAR, APART = 2**12, 2**9
SHORT = frozenset({"f2", "V2"})  # floats of two bytes, which are widened on their way
PAIRED = 4, 16  # rows of A, and numbers of k, from which on pairs of k are packed
# Units of a line of k that are cut beside a round's products at the most.
MOST = {"lines": 16, "rows": 8, "columns": 8}
GATHERED = 4  # tiles of columns of A that are packed together
# Parts of B from which on A is cut before, and how many bytes of its thirds at the most.
OFTEN, KEPT = 3, 2**23
# Cycles: to cut a vector of float32s that lie side by side into thirds, or that do not, and to
# look at a tile's sums; multiply-adds of float32 in a cycle. What of a cut remains that is made
# beside products, and what may be lost to thirds.
CUT, LOOKED, MULTIPLIED, LEFT, SMALL = (7, 10), 250, 29, 0.25, 0.22
PAIR_DEPTH = 512  # numbers of k of such a panel at the most: 16 KiB for 16 columns
LINE = 32  # bfloat16s in a line of memory
NEAR = 2**15  # bytes of an operand that the first level of caches holds beside another
ASKING = 32  # rows, and numbers of k, from which on tiles ask for what comes next


class Rooms(NamedTuple):
    """Numbers of pairs that a worker has room for."""

    panels: int  # of B
    lines: int  # of rows of A
    turning: int  # before they are packed
    sums: int  # of a tile that is not whole, or that may be computed again


@dataclass(frozen=True)
class Form:
    """C = A B with all sizes and steps: c[i, j] = Σ a[i, k] b[k, j], perhaps many times.

    `a` are the steps of A's rows and columns, `b` those of B's; C's columns lie side by side,
    its rows `c` apart. `batch` counts products, (size, steps in A, B and C); `sums` are further
    dims that are summed, (size, steps in A and B). `kinds` says of A and B that they are floats of
    two bytes, `by` what multiplies pairs of them, or float32s as "thirds".
    """

    m: int
    n: int
    k: int
    a: tuple[int, int]
    b: tuple[int, int]
    c: int
    batch: tuple[tuple[int, int, int, int], ...]
    sums: tuple[tuple[int, int, int], ...]
    item: int
    kinds: tuple[str, str] = ("", "")
    by: str = ""

    @property
    def name(self) -> str:
        """All that the code depends on."""
        dims = ("_".join(map(str, d)) for d in (*self.batch, *self.sums))
        numbers = (self.m, self.n, self.k, *self.a, *self.b, self.c, self.item)
        return ".".join([*map(str, numbers), *dims, *self.kinds, self.by])

    @property
    def count(self) -> int:
        """How many products."""
        return math.prod(size for size, *_ in self.batch)

    @property
    def lanes(self) -> int:
        return vector_bits() // 8 // self.item

    @property
    def kind(self) -> str:
        """dots: sums over lanes; beside: B is read where it lies; panels: it is packed;
        pairs: both are, two numbers of k side by side.
        """
        if self._paired():
            return "pairs"
        if self.m <= DOTS and self.a[1] == 1 == self.b[0] and self.k >= self.lanes:
            return "dots"
        if self.k == 0 or (self.b[1] == 1 and self._near()):
            return "beside"
        return "panels"

    @property
    def in_thirds(self) -> bool:
        """Whether float32s are cut into thirds."""
        return self.by == "thirds" and self.kind == "pairs"

    def _paired(self) -> bool:
        """Whether pairs are worth to be packed."""
        if self.by == "thirds":
            return self._thirds()
        return bool(self.by) and self.m > PAIRED[0] and self.k >= PAIRED[1]

    def _thirds(self) -> bool:
        """Whether what thirds cost beside their products is a small part of the work: to pack
        them, to look at sums, and rows and columns of tiles that are not there.
        """
        m, n, k = self.m, self.n, self.k
        if not min(m, n, k):
            return False
        tiles = -(-m // HIGH) * -(-n // WIDTH)
        a, b = self.cut(m, n)
        packed = k * (m * a + n * b)
        looked = tiles * -(-k // PAIR_DEPTH) * LOOKED
        absent = tiles * HIGH * WIDTH - m * n
        plain = m * n * k / MULTIPLIED
        return packed + looked + absent * k / MULTIPLIED <= SMALL * plain

    def cut(self, m, n) -> tuple[float, float]:
        """Cycles that it takes to cut a number of A and of B for so many rows and columns, not
        counting what AMX hides.
        """
        a, b = (CUT[step != 1] / self.lanes for step in (self.a[1], self.b[1]))
        if self.m <= self.n:  # as if it descended
            return a, b * (LEFT if 1 in self.b and m > HIGH else 1)
        return a * (LEFT if self.a[1] == 1 and n > WIDTH else 1), b

    def _near(self) -> bool:
        """Whether B's rows are as good as a panel: few read them, or they lie close together."""
        return self.m <= FEW or (self.m <= MANY and self.b[0] * self.item < FAR)

    @functools.cached_property
    def tile(self) -> tuple[int, int]:
        """Rows of a tile, and its vectors of columns."""
        if self.kind == "pairs":
            return PAIR_TILES[self.by]
        most = tile_rows()
        if self.kind == "dots":
            return 1, 1
        if self.kind == "beside" and self.m < most:
            few = max(VECTORS, min(most * VECTORS // self.m, 16))
            return self.m, min(few, -(-self.n // self.lanes))
        return min(self.m, most), VECTORS

    @functools.cached_property
    def grid(self) -> Grid:
        """How a result is cut into tasks."""
        return best(self)

    @functools.cached_property
    def tasks(self) -> int:
        """Parts of the results that can be computed in any order, or at once."""
        if 0 in (self.m, self.n):
            return 0
        return self.grid.down * self.grid.across * self.count

    @property
    def width(self) -> int:
        """Columns of a tile."""
        return self.tile[1] * self.lanes

    @property
    def depth(self) -> int:
        """How much of k goes into a tile at a time."""
        most = {"dots": LONG, "pairs": PAIR_DEPTH}.get(self.kind, DEPTH)
        parts, some = max(1, -(-self.k // most)), LINE if self.kind == "pairs" else 4
        return max(some, -(-self.k // parts // some) * some)

    @property
    def slivers(self) -> bool:
        """Whether A is packed: its rows' numbers lie far apart, and are read often."""
        far = self.a[0] == 1 and self.a[1] * self.item >= APART
        return far and self.kind == "panels" and self.n > self.width and self.m > 1

    @property
    def widens(self) -> bool:
        """Whether rows of A are copied as floats of four bytes: they are read often."""
        rows = self.kinds[0] and self.a[1] == 1 and self.n > self.width
        return bool(rows) and self.kind == "panels" and self.m > 1

    @property
    def asks(self) -> bool:
        """Whether tiles ask for what comes next: enough of them, for what is not at hand."""
        large = self.k * max(self.m, self.n) * self.item > NEAR
        return large and not any(self.kinds) and self.m >= ASKING and self.k >= ASKING

    @property
    def rows(self) -> int:
        """Rows of A that stay in a quarter of the second cache level."""
        rows = cache(2) // 4 // (self.depth * self.item)
        return max(self.tile[0], rows // self.tile[0] * self.tile[0])

    @property
    def in_turns(self) -> bool:
        """Whether a group of slivers is packed while the one before is multiplied."""
        return self._close() and not self.narrow

    @property
    def group(self) -> int:
        """Rows of such a group: they fill lines."""
        return self.tile[0] * together(self.tile[0], self.item)

    @property
    def block(self) -> int:
        """Rows that are gone through together: those that are copied, or all."""
        return self.rows if self.slivers or self.widens else self.m

    @property
    def narrow(self) -> bool:
        """Whether all rows stay in the cache: then a panel is used at once.

        Of rows that can be packed in turns half as many: that costs less than to wait for them.
        """
        return self.m <= (self.rows // 2 if self._close() else self.rows)

    def _close(self) -> bool:
        """Whether A is packed from columns that neither meet in the cache nor have a page each."""
        return self.slivers and self.a[1] * self.item < FAR and not self.kinds[0]

    @property
    def strip(self) -> int:
        """Columns that are gone through together, their panels packed before."""
        if self.kind == "pairs":
            whole = self.descends or self.kept
            return self._all_columns() if whole else self.fitting
        if self.narrow or self.kind != "panels":
            return self._all_columns()
        return self.fitting

    @property
    def fitting(self) -> int:
        """Columns, in parts as even as can be, whose panels stay in the second level."""
        column, size = self.depth * self.item, cache(2) // 2
        if self.kind == "pairs":
            column, size = 4 * self.pairs, cache(2) * 5 // 8
        panels = -(-self.n // self.width)
        parts = -(-panels // max(1, size // (column * self.width)))
        return -(-panels // parts) * self.width

    def _all_columns(self) -> int:
        return -(-self.n // self.width) * self.width

    @property
    def packed(self) -> int:
        """Columns in packed panels at a time."""
        return self.width if self.narrow else self.strip

    @property
    def room(self) -> int:
        """Elements of a packed sliver; so many that slivers do not meet in the cache."""
        return self.depth * self.tile[0] + 16

    @functools.cached_property
    def bytes(self) -> int:
        """What a worker needs beside the operands."""
        if 0 in (self.m, self.n, self.k) or self.kind not in ("panels", "pairs"):
            return 0
        if self.kind == "pairs":
            return 4 * sum(self.rooms_down if self.descends else self.rooms_across)
        return self.item * (self.packed * self.depth + self._a_room())

    @property
    def pairs(self) -> int:
        """Pairs of a column of B, or of a row of A: those of three parts, or of one."""
        return self.depth // 2 * (PARTS if self.by == "thirds" else 1)

    @property
    def descends(self) -> bool:
        """Whether thirds of all rows of A stay in the cache: then a panel is used at once."""
        fits = self.m * 4 * self.pairs <= cache(2) // 2
        return self.in_thirds and fits and self.m <= self.n

    @property
    def beside_panels(self) -> Beside | None:
        """What tiles cut of the next panel beside the products of this one, where A is at hand."""
        way = "rows" if self.b[1] == 1 else "columns" if self.b[0] == 1 else ""
        return self._beside(way, (self.grid.rows, self.m), self.tile[0])

    @property
    def beside_rows(self) -> Beside | None:
        """What tiles cut of the next rows beside the products of these."""
        way = "lines" if self.a[1] == 1 else ""
        sizes = (min(n, self.fitting) for n in (self.grid.columns, self.n))
        return self._beside(way, sizes, self.width)

    def _beside(self, way, sizes, one) -> Beside | None:
        """A share for each tile of `one` row or column, of so many in a task, or in all."""
        few = self.k < LINE or 0 < self.k % self.depth < SQUARE
        if self.by != "thirds" or not way or few:
            return None
        for size in sizes:
            share = -(-UNITS[way] // -(-size // one))
            number = 1 << max(0, share - 1).bit_length()  # a part of all units
            if number <= MOST[way]:
                return Beside(way, number)
        return None

    def stays(self, grid: Grid) -> bool:
        """Whether what a worker packs for one task of a grid serves all of them: an operand of
        which each of them reads all, and at once.
        """
        if self.batch or self.sums or not 0 < self.k <= self.depth:
            return False
        if self.descends:
            return grid.down == 1
        partly = {"pairs": self.kept, "panels": self.narrow}.get(self.kind, True)
        return not partly and grid.across == 1 and self.n <= self.strip

    @property
    def kept(self) -> int:
        """Rows, in parts as even as can be, that are cut once for all columns, though they do not
        stay in the cache: they take long to cut, and nothing hides it.
        """
        often = self.n > OFTEN * self.fitting
        if not (self.in_thirds and often) or self.descends or self.a[1] == 1:
            return 0
        tiles = -(-self.m // self.gathered)
        parts = -(-tiles // max(1, KEPT // (4 * self.pairs * self.gathered)))
        return -(-tiles // parts) * self.gathered

    @property
    def gathered(self) -> int:
        """Rows of A that are packed together if all are: those of a tile, or of some where
        what lies side by side is of different rows.
        """
        some = GATHERED if self.by == "thirds" and self.a[1] != 1 else 1
        return some * self.tile[0]

    @property
    def rooms_down(self) -> Rooms:
        """All rows of A are packed, and a panel at a time; one and the next are cut in turns."""
        (rows, _), width = self.tile, self.width
        columns = 2 * width if self.beside_panels else width
        return self._pair_rooms(columns, -(-self.m // rows) * rows)

    @property
    def rooms_across(self) -> Rooms:
        """As many panels as fit, and some rows; they and the next are cut in turns."""
        rows = 2 * self.tile[0] if self.beside_rows else self.kept or self.gathered
        return self._pair_rooms(self.fitting, rows)

    def _pair_rooms(self, columns, packed) -> Rooms:
        (rows, _), width = self.tile, self.width
        turned, sums = width * self.depth // 2, rows * width
        if self.by == "thirds":
            turned, sums = 2 * turned, sums + (rows + width) * self.depth
        return Rooms(columns * self.pairs, packed * self.pairs, turned, sums)

    def _a_room(self) -> int:
        rows = 2 * self.group if self.in_turns else min(self.rows, self.m)
        some = -(-rows // self.tile[0])
        if self.widens:
            return rows * self.depth
        return some * self.room if self.slivers else 0


def swapped(f: Form) -> Form:
    """A column as a row."""
    batch = tuple((n, sb, sa, sc) for n, sa, sb, sc in f.batch)
    sums = tuple((n, sb, sa) for n, sa, sb in f.sums)
    a, b = (0, f.b[0]), (f.a[1], f.a[0])
    return Form(1, f.m, f.k, a, b, 1, batch, sums, f.item, f.kinds[::-1], f.by)
