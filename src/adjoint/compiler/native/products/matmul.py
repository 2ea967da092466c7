"""Tiles of matrix products: what a few rows of A and a few vectors of B's columns add to C.

A tile stays in registers while k runs, for DEPTH rows of B at the most; what further ones give
is added to C. So every element's sum is the same, whatever tile, task or thread computes it.
"""

from __future__ import annotations

from typing import NamedTuple

from ..llvm import text as ir
from ..llvm.flow import least, most, repeat, strides
from ..llvm.machine import masks, registers
from ..llvm.types import BIT, I64
from .vectors import Vectors

VECTORS, DEPTH = 3, 384
# Rows of B in its place that are asked for before they are needed: from the second level of
# caches, where they were asked for before, or from memory.
NEARER, AHEAD = 8, 32
BUSY = 3  # rows of a tile from which on there is time for that
_PARTS = {1: 8, 2: 4, 3: 2, 4: 2}  # partial sums of so many columns' dot products


def tile_rows() -> int:
    """Rows of a tile, which with three vectors fills most registers."""
    return 8 if registers() >= 32 else 4


def together(rows, item) -> int:
    """Slivers of so many rows that a line of memory fills."""
    return max(1, 64 // (rows * item))


class Asking(NamedTuple):
    """What a tile asks for on its way, a line a round: from the `first` of all to the `last`.

    2**inner of them lie `near` apart, then as many `far` from these.
    """

    place: ir.Value
    near: ir.Value
    far: ir.Value
    inner: ir.Value
    first: ir.Value
    last: ir.Value

    name = "asks"


class Copying(NamedTuple):
    """What a tile copies on its way, a row a round: slivers that are read next."""

    source: ir.Value
    step: ir.Value  # of its columns
    target: ir.Value
    room: ir.Value  # from one sliver to the next

    name = "copies"


class Tiles(Vectors):
    """Products of a few rows with a few vectors of columns."""

    def kernel(self, rows, vectors, left=None, also=None):
        """The function for a tile of this size over a packed panel, shared by all products.

        (a, panel, c, how deep, whether at first, steps of a's rows, of its columns and of c's
        rows, lanes of the last vector). It may be told what it does `also`, `Asking` or `Copying`.
        `left` is the type of a place in A, if that is packed or not of the scalar.
        """
        return self._kernel("product", rows, vectors, True, left, also)

    def kernel_beside(self, rows, vectors, left=None, also=None, whole=False):
        """The same over B where it is; the step of its rows follows the lanes.

        Of `whole` vectors there is a function of its own where processors load no parts of them.
        """
        name = "whole" if whole and not masks() else "beside"
        return self._kernel(name, rows, vectors, False, left, also)

    def _kernel(self, name, rows, vectors, packed, left, also):
        kinds = self._kinds(packed, left, also)
        said = also.name if also else ""
        f, b = self.tile(name + said, (rows, vectors), *kinds)
        if b is None:
            return f
        a, right, c, count, first, a_row, a_step, c_row, lanes, *told = f.args
        last = None if name == "whole" else self.below(b, lanes)
        there = [*[None] * (vectors - 1), last]
        if packed:
            row_of = self._row_of_panel(b, right, vectors)
        else:
            b_row, ahead = told.pop(0), NEARER if isinstance(also, Asking) else AHEAD
            row_of = self._row_in_place(b, right, b_row, there, ahead, rows >= BUSY)
        also = type(also)(*told) if also else None

        def step(k, acc):
            if isinstance(also, Copying):
                self._copy(b, k, rows, also)
            ys, xs = row_of(k), self._column(b, a, k, a_step, a_row, rows)
            return self.products(b, [self.splat(b, x) for x in xs], ys, acc)

        spots = self._spots(b, c, c_row, rows, there)
        start, acc = self._nearing(b, c, c_row, (rows, vectors), count, step)
        if isinstance(also, Asking):
            start, acc = self._asking(b, start, count, acc, step, also)
        acc = repeat(b, start, count, 1, acc, step)
        self.add_to(b, acc, spots, first)
        b.ret_void()
        return f

    def _kinds(self, packed, left, also) -> list:
        """The types of a kernel's arguments, in the order in which `kernel` names them."""
        p, right = self.scalar.as_pointer(), self.operands[1]
        kinds = [left or p, p if packed else right, p, I64, BIT]
        return [*kinds, *[I64] * (4 if packed else 5), *(x.type for x in also or ())]

    def _column(self, b, a, k, step, row, rows) -> list:
        """The numbers of column k of A's rows."""
        ak = b.gep(a, [b.mul(k, step)])
        places = (b.gep(ak, [b.mul(I64(i), row)]) for i in range(rows))
        return [self.number(b, place) for place in places]

    def _spots(self, b, c, row, rows, there) -> list:
        """Where the vectors of a tile of C lie, and the lanes of each that are there."""
        return [
            (b.gep(c, [b.add(b.mul(I64(i), row), I64(j * self.w))]), mask)
            for i in range(rows)
            for j, mask in enumerate(there)
        ]

    def _row_of_panel(self, b, panel, vectors):
        """k -> the vectors of that row of a packed panel."""

        def row_of(k):
            row = b.gep(panel, [b.mul(k, I64(vectors * self.w))])
            places = (b.gep(row, [I64(j * self.w)]) for j in range(vectors))
            return [self.load(b, p, None, self.vector_bytes) for p in places]

        return row_of

    def _row_in_place(self, b, right, step, there, ahead, asks: bool):
        """k -> the vectors of that row of B where it lies; one some rows `ahead` is asked for."""

        def row_of(k):
            row = b.gep(right, [b.mul(k, step)])
            ys = [
                self.load(b, b.gep(row, [I64(j * self.w)]), mask)
                for j, mask in enumerate(there)
            ]
            for j in range(len(there) if asks else 0):
                at = b.add(b.mul(step, I64(ahead)), I64(j * self.w))
                b.prefetch(b.gep(row, [at]))
            return ys

        return row_of

    def _nearing(self, b, c, c_row, size, count, step):
        """The first rounds, of which each asks for a line of C: as `_asking`."""
        rows, vectors = size
        shift = (vectors - 1).bit_length()

        def ask(k, acc):
            row, vector = b.lshr(k, I64(shift)), b.and_(k, I64(2**shift - 1))
            at = b.add(b.mul(row, c_row), b.mul(vector, I64(self.w)))
            b.prefetch(b.gep(c, [at]), write=True)
            return step(k, acc)

        end = least(b, I64(rows << shift), count)
        acc = [self.zero] * (rows * vectors)
        return end, repeat(b, I64(0), end, 1, acc, ask)

    def _copy(self, b, k, rows, told: Copying):
        """Number k of the rows of the next slivers, which fill a line."""
        kind = ir.VectorType(self.scalar, rows).as_pointer()
        of = b.gep(told.source, [b.mul(k, told.step)])
        to = b.gep(told.target, [b.mul(k, I64(rows))])
        ahead = b.mul(told.step, I64(AHEAD))
        b.prefetch(b.gep(of, [ahead]), level=2)
        for i in range(together(rows, self.bits // 8)):
            x = b.load(b.bitcast(b.gep(of, [I64(i * rows)]), kind), align=4)
            there = b.gep(to, [b.mul(I64(i), told.room)])
            b.store(x, b.bitcast(there, kind), align=4)

    def _asking(self, b, start, count, acc, step, told: Asking):
        """The next rounds, of which each asks for a line; where they end, and the sums."""
        mask = b.sub(b.shl(I64(1), told.inner), I64(1))
        stop = least(b, b.add(start, b.sub(told.last, told.first)), count)
        shift = b.sub(told.first, start)

        def ask(k, acc):
            q = b.add(k, shift)
            inner = b.mul(b.and_(q, mask), told.near)
            at = b.add(inner, b.mul(b.ashr(q, told.inner), told.far))
            b.prefetch(b.gep(told.place, [at]), level=2)
            return step(k, acc)

        acc = repeat(b, start, stop, 1, acc, ask)
        return most(b, stop, start), acc

    def add_to(self, b, xs, spots, first):
        """Sums to memory: as they are at first, added to what is there later."""
        with b.if_else(first) as (then, otherwise):
            with then:
                for x, (to, mask) in zip(xs, spots, strict=True):
                    self.store(b, x, to, mask)
            with otherwise:
                for x, (to, mask) in zip(xs, spots, strict=True):
                    self.store(b, b.fadd(self.load(b, to, mask), x), to, mask)

    def dots(self, columns):
        """c[j] (+)= Σ a[k] w[j, k], for up to a vector of rows of w whose numbers lie side by side.

        (a, w, c, how deep, whether at first, step of w's rows).
        """
        kinds = *self.operands, self.scalar.as_pointer(), I64, BIT, I64
        f, b = self.tile("dots", (1, columns), *kinds)
        if b is None:
            return f
        a, right, c, count, first, row = f.args
        rows = [b.gep(right, [b.mul(I64(j), row)]) for j in range(columns)]

        def step(k, acc, mask=None):
            x = self.load(b, b.gep(a, [k]), mask)
            ys = [self.load(b, b.gep(r, [k]), mask) for r in rows]
            return [self.fma(b, x, y, t) for y, t in zip(ys, acc, strict=True)]

        (sums,) = self.totals(b, self._along(b, count, columns, step))
        self.add_to(b, [sums], [(c, self.first(columns % self.w))], first)
        b.ret_void()
        return f

    def _along(self, b, count, columns, step):
        """The sums of step(k, sums, mask) over vectors of k, `columns` of them.

        Some vectors are taken at a time, each to partial sums of its own: one would wait for the
        next.
        """
        parts = _PARTS.get(columns, 1)

        def some(k, acc):
            for i in range(parts):
                at = b.add(k, I64(i * self.w))
                acc = [*acc[columns:], *step(at, acc[:columns])]
            return acc

        def rest(k, acc):
            return step(k, acc, self.below(b, b.sub(count, k)))

        wide = parts * self.w
        whole = b.sub(count, b.urem(count, I64(wide)))
        acc = [self.zero] * (parts * columns)
        acc = strides(b, I64(0), whole, wide, acc, some)
        while len(acc) > columns:
            half = len(acc) // 2
            acc = [*map(b.fadd, acc[:half], acc[half:])]
        return strides(b, whole, count, self.w, acc, rest)
