"""Sorting: which places of a row come first, in functions that a module has once.

An element becomes a pair in one integer: a number without sign that is ordered as it is, and
below it its place. No two pairs are equal, so that every order of them is a stable one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..arithmetic.kinds import stored_element
from ..arithmetic.lanes import Lanes
from ..llvm import text as ir
from ..llvm.flow import loop, strides
from ..llvm.types import I64, POINTER
from .radix import DIGITS, Pairs, fit


class Order(NamedTuple):
    """What is asked of the rows of an array: `made` places of each, in order."""

    dtype: np.dtype
    rows: int
    n: int  # elements of a row
    step: int  # from one of them to the next
    made: int
    down: bool  # the largest first
    rank: int | None  # or only the place of this one,
    middle: str  # of the middle, of all or of those that are numbers

    @property
    def half(self) -> int:
        """Bits of a key, and of a place."""
        return 32 if self.dtype.itemsize <= 4 else 64

    @property
    def size(self) -> int:
        """Bytes of a pair."""
        return self.half // 4

    @property
    def bytes(self) -> int:
        """What a thread needs: the pairs twice, and how often there is each byte."""
        return 2 * self.n * self.size + 4 * DIGITS


def order_of(o) -> Order:
    """The order of an operation that asks for places."""
    x, p = o.inputs[0].spec, o.params
    d, name = p["dim"], o.prim.name
    n, step = x.shape[d], math.prod(x.shape[d + 1 :])
    down = p.get("descending", False) or p.get("largest", False)
    middle = ("numbers" if p["skip"] else "all") if name == "median_index" else ""
    return Order(
        x.dtype,
        math.prod(x.shape) // max(n, 1),
        n,
        step,
        o.outputs[0].spec.shape[d],
        down,
        p.get("rank"),
        middle,
    )


class Sorting:
    """The functions of one order in a module."""

    def __init__(self, module, order: Order):
        self.order, self.pairs = order, Pairs(module, order.half)

    @property
    def call(self):
        """function(elements, places, room, first row, the one after the last)."""
        order = self.order
        element = stored_element(order.dtype).as_pointer()
        name = f"adjoint.sorting.{order.dtype.name} {order[1:]}"
        kinds = element, I64.as_pointer(), POINTER, I64, I64
        f, b = self.pairs.function(name, ir.VoidType(), *kinds)
        if b is None:
            return f
        x, y, room, first, last = f.args
        half = order.n * order.size
        places = room, b.gep(room, [I64(half)]), b.gep(room, [I64(2 * half)])
        kinds = (self.pairs.pointer,) * 2 + (self.pairs.counts,)
        room = [b.bitcast(p, kind) for p, kind in zip(places, kinds, strict=True)]
        with loop(b, first, last, 1) as row:
            outer, inner = b.udiv(row, I64(order.step)), b.urem(row, I64(order.step))
            of, to = (
                b.gep(p, [b.add(b.mul(outer, I64(n * order.step)), inner)])
                for p, n in ((x, order.n), (y, order.made))
            )
            self._row(b, of, to, *room)
        b.ret_void()
        return f

    def _row(self, b, x, y, pairs, spare, counts):
        order = self.order
        self._make(b, x, pairs)
        if order.rank is not None or order.middle:
            rank = self._middle(b, x) if order.middle else I64(order.rank)
            rooms = pairs, spare, counts
            found = b.call(self.pairs.ranked(), [*rooms, I64(order.n), rank])
            b.store(self.pairs.place(b, found), y)
            return
        n = order.n
        if 2 * order.made <= n:
            self._choose(b, pairs, spare, counts)
            n, pairs, spare = order.made, spare, pairs
        found = b.call(self.pairs.sorted(), [pairs, spare, counts, I64(n)])
        with loop(b, 0, order.made, 1) as i:
            place = self.pairs.place(b, self.pairs.at(b, found, i))
            b.store(place, b.gep(y, [b.mul(i, I64(order.step))]))

    def _make(self, b, x, pairs):
        """The pairs of a row, of some elements at a time where they lie side by side."""
        order = self.order
        width = 8 if order.step == 1 and order.half == 32 else 1
        whole = order.n // width * width
        first = self._first(b, x) if order.dtype.kind in "iu" else None
        for start, stop, w in ((0, whole, width), (whole, order.n, 1)):
            if start < stop:
                with loop(b, start, stop, w) as i:
                    p = b.gep(x, [b.mul(i, I64(order.step))])
                    self._pair(Lanes(b, w), p, i, first, b.gep(pairs, [i]))

    def _pair(self, lanes, x, i, first, to):
        b, wide = lanes.b, lanes.vector(self.pairs.pair)
        kind = lanes.vector(x.type.pointee)
        x = b.load(b.bitcast(x, kind.as_pointer()), align=1)
        key = b.zext(self._key(lanes, x, first), wide)
        place = lanes.counting(fit(b, i, self.pairs.pair))
        pair = b.or_(b.shl(key, lanes.number(self.order.half, key)), place)
        b.store(pair, b.bitcast(to, wide.as_pointer()), align=8)

    def _first(self, b, x):
        """The whole number that comes first."""
        sign = ">" if self.order.down else "<"
        compare = b.icmp_signed if self.order.dtype.kind == "i" else b.icmp_unsigned

        def better(i, acc):
            y = b.load(b.gep(x, [b.mul(i, I64(self.order.step))]), align=1)
            return [b.select(compare(sign, y, acc[0]), y, acc[0])]

        return strides(b, I64(0), I64(self.order.n), 1, [b.load(x, align=1)], better)[0]

    def _key(self, lanes, x, first):
        """A number without sign that is ordered as x; that of NaN is the last.

        Whole numbers are counted from the first one: most have their high bytes in common.
        """
        b, order = lanes.b, self.order
        if first is not None:
            first = lanes.splat(first)
            return b.sub(first, x) if order.down else b.sub(x, first)
        key = x if order.dtype.kind == "b" else self._ordered(lanes, x)
        return lanes.bit_not(key) if order.down else key

    def _ordered(self, lanes, x):
        """The bits of a float, of which those of negative numbers are turned."""
        b, n = lanes.b, 8 * self.order.dtype.itemsize - 1
        x = b.fadd(x, lanes.number(0.0, x))  # -0 becomes 0
        bits = lanes.as_int(x)
        ones = b.ashr(bits, lanes.number(n, bits))
        key = lanes.bit_xor(bits, lanes.bit_or(ones, 1 << n))
        return lanes.select(lanes.isnan(x), -1, key)

    def _middle(self, b, x):
        """The rank of the lower middle element; of the first NaN, if they are not left out."""
        n = self.order.n
        if self.order.dtype.kind != "f":
            return I64((n - 1) // 2)

        def count(i, acc):
            y = b.load(b.gep(x, [b.mul(i, I64(self.order.step))]), align=1)
            return [b.add(acc[0], b.zext(b.fcmp_ordered("ord", y, y), I64))]

        (good,) = strides(b, I64(0), I64(n), 1, [I64(0)], count)
        none = b.icmp_signed("==", good, I64(0))
        rank = b.select(none, I64(0), b.lshr(b.sub(good, I64(1)), I64(1)))
        if self.order.middle == "all":
            rank = b.select(b.icmp_signed("<", good, I64(n)), good, rank)
        return rank

    def _choose(self, b, pairs, spare, counts):
        """The pairs that come first, as they stand in the row, to `spare`."""
        n, made = I64(self.order.n), I64(self.order.made - 1)
        last = b.call(self.pairs.ranked(), [pairs, spare, counts, n, made])

        def keep(i, acc):
            x = self.pairs.at(b, pairs, i)
            b.store(x, b.gep(spare, [acc[0]]), align=8)
            return [b.add(acc[0], b.zext(b.icmp_unsigned("<=", x, last), I64))]

        strides(b, I64(0), n, 1, [I64(0)], keep)


__all__ = ["Order", "Sorting", "order_of"]
