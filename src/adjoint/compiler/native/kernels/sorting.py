"""Sorting: which places of a row come first, in functions that a module has once.

An element becomes a pair in one integer: a number without sign that is ordered as it is, and
below it its place. No two pairs are equal, so that every order of them is a stable one. They
are sorted by bytes, the lowest first; who has a certain rank is found from the highest byte
on, by leaving out all that have another one there. Bytes that all have in common cost nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..arithmetic.kinds import stored_element
from ..arithmetic.lanes import Lanes
from ..llvm import text as ir
from ..llvm.flow import either, loop, strides
from ..llvm.types import I32, I64, POINTER

DIGITS = 256
SHORT = 24  # pairs that are put in order one by one


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
        self.module, self.order = module, order
        self.key = ir.IntType(order.half)
        self.pair = ir.IntType(2 * order.half)
        self.pairs = self.pair.as_pointer()
        self.counts = I32.as_pointer()

    def _function(self, name, result, *kinds):
        """(a function, a builder for it if it is new)."""
        found = self.module.globals.get(name)
        if found is not None:
            return found, None
        f = self.module.internal(name, result, kinds, "nounwind", "noinline")
        return f, ir.IRBuilder(f.append_basic_block())

    # ------------------------------------------------------------ rows

    @property
    def call(self):
        """function(elements, places, room, first row, the one after the last)."""
        order = self.order
        element = stored_element(order.dtype).as_pointer()
        name = f"adjoint.sorting.{order.dtype.name} {order[1:]}"
        kinds = element, I64.as_pointer(), POINTER, I64, I64
        f, b = self._function(name, ir.VoidType(), *kinds)
        if b is None:
            return f
        x, y, room, first, last = f.args
        half = order.n * order.size
        places = room, b.gep(room, [I64(half)]), b.gep(room, [I64(2 * half)])
        kinds = self.pairs, self.pairs, self.counts
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
            found = b.call(self._ranked(), [pairs, spare, counts, I64(order.n), rank])
            b.store(self._place(b, found), y)
            return
        if 2 * order.made <= order.n:
            self._choose(b, pairs, spare, counts)
            pairs, spare = spare, pairs
        n = order.n if 2 * order.made > order.n else order.made
        found = b.call(self._sorted(), [pairs, spare, counts, I64(n)])
        with loop(b, 0, order.made, 1) as i:
            place = self._place(b, self._at(b, found, i))
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
        b, wide = lanes.b, lanes.vector(self.pair)
        kind = lanes.vector(x.type.pointee)
        x = b.load(b.bitcast(x, kind.as_pointer()), align=1)
        key = b.zext(self._key(lanes, x, first), wide)
        place = lanes.counting(self._fit(b, i, self.pair))
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

    def _fit(self, b, i, kind):
        if kind.width == i.type.width:
            return i
        return (b.zext if kind.width > i.type.width else b.trunc)(i, kind)

    def _at(self, b, pairs, i):
        return b.load(b.gep(pairs, [i]), align=8)

    def _place(self, b, pair):
        """The place in a pair."""
        return self._fit(b, b.trunc(pair, self.key), I64)

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
        last = b.call(self._ranked(), [pairs, spare, counts, n, made])

        def keep(i, acc):
            x = self._at(b, pairs, i)
            b.store(x, b.gep(spare, [acc[0]]), align=8)
            return [b.add(acc[0], b.zext(b.icmp_unsigned("<=", x, last), I64))]

        strides(b, I64(0), n, 1, [I64(0)], keep)

    # ------------------------------------------------------------ bytes

    def _digit(self, b, pairs, i, byte):
        """A byte of the key of a pair."""
        size = self.order.size
        at = b.add(b.mul(i, I64(size)), b.add(byte, I64(size // 2)))
        p = b.gep(b.bitcast(pairs, POINTER), [at])
        return b.zext(b.load(p), I64)

    def _varying(self, b, pairs, n):
        """The bits of keys that are not the same in all."""
        first = self._at(b, pairs, I64(0))

        def differ(i, acc):
            return [b.or_(acc[0], b.xor(self._at(b, pairs, i), first))]

        (bits,) = strides(b, I64(0), n, 1, [self.pair(0)], differ)
        return b.trunc(b.lshr(bits, self.pair(self.order.half)), self.key)

    def _varies(self, b, bits, byte):
        shift = self._fit(b, b.mul(byte, I64(8)), self.key)
        one = b.and_(b.lshr(bits, shift), self.key(DIGITS - 1))
        return b.icmp_unsigned("!=", one, self.key(0))

    def _count(self, b, pairs, counts, n, byte):
        """How many pairs have which number there."""
        zeros = ir.Constant(ir.VectorType(I32, 16), None)
        with loop(b, 0, DIGITS, 16) as i:
            p = b.bitcast(b.gep(counts, [i]), zeros.type.as_pointer())
            b.store(zeros, p, align=4)

        def one(i, acc):
            p = b.gep(counts, [self._digit(b, pairs, i, byte)])
            b.store(b.add(b.load(p), I32(1)), p)
            return acc

        strides(b, I64(0), n, 1, [], one)

    def _sorted(self):
        """function(pairs, as much room, counts, n): where the pairs are in order."""
        kinds = self.pairs, self.pairs, self.counts, I64
        f, b = self._function(f"adjoint.sorted{self.order.half}", self.pairs, *kinds)
        if b is None:
            return f
        pairs, spare, counts, n = f.args
        with b.if_then(b.icmp_signed("<=", n, I64(SHORT))):
            self._insert(b, pairs, n)
            b.ret(pairs)
            b.position_at_end(b.append_basic_block("never"))
        bits = self._varying(b, pairs, n)

        def by(byte, places):
            source, target = places
            before = b.block
            with b.if_then(self._varies(b, bits, byte)):
                self._count(b, source, counts, n, byte)
                self._start(b, counts)
                self._deal(b, source, target, counts, n, byte)
                after = b.block
            ways = (source, target), (target, source)
            return [either(b, x, before, y, after) for x, y in ways]

        last = I64(self.order.half // 8)
        found, _ = strides(b, I64(0), last, 1, [pairs, spare], by)
        b.ret(found)
        return f

    def _start(self, b, counts):
        """Counts become where each number's pairs begin."""

        def one(i, acc):
            p = b.gep(counts, [i])
            n = b.load(p)
            b.store(acc[0], p)
            return [b.add(acc[0], n)]

        strides(b, I64(0), I64(DIGITS), 1, [I32(0)], one)

    def _deal(self, b, source, target, counts, n, byte):
        """Each pair to the next place of those with its number."""

        def one(i, acc):
            p = b.gep(counts, [self._digit(b, source, i, byte)])
            at = b.load(p)
            to = b.gep(target, [b.zext(at, I64)])
            b.store(self._at(b, source, i), to, align=8)
            b.store(b.add(at, I32(1)), p)
            return acc

        strides(b, I64(0), n, 1, [], one)

    def _insert(self, b, pairs, n):
        """A few pairs in order: each goes back to where it belongs."""

        def one(i, acc):
            x, before = self._at(b, pairs, i), b.block
            head, go, done = (b.append_basic_block(s) for s in ("back", "go", "there"))
            b.branch(head)
            b.position_at_end(head)
            k = b.phi(I64)
            k.add_incoming(i, before)
            found = b.append_basic_block("look")
            b.cbranch(b.icmp_signed(">", k, I64(0)), found, done)
            b.position_at_end(found)
            j = b.sub(k, I64(1))
            y = self._at(b, pairs, j)
            b.cbranch(b.icmp_unsigned(">", y, x), go, done)
            b.position_at_end(go)
            b.store(y, b.gep(pairs, [k]), align=8)
            k.add_incoming(j, go)
            b.branch(head)
            b.position_at_end(done)
            b.store(x, b.gep(pairs, [k]), align=8)
            return acc

        strides(b, I64(1), n, 1, [], one)

    def _ranked(self):
        """function(pairs, as much room, counts, n, rank): the pair of this rank."""
        kinds = self.pairs, self.pairs, self.counts, I64, I64
        f, b = self._function(f"adjoint.ranked{self.order.half}", self.pair, *kinds)
        if b is None:
            return f
        pairs, spare, counts, n, rank = f.args
        bits = self._varying(b, pairs, n)
        last = I64(self.order.half // 8)

        def by(i, state):
            byte, before = b.sub(b.sub(last, I64(1)), i), b.block
            source, n, rank = state
            more = b.icmp_signed(">", n, I64(1))
            with b.if_then(b.and_(more, self._varies(b, bits, byte))):
                self._count(b, source, counts, n, byte)
                digit, below = self._bucket(b, counts, rank)
                count = self._keep(b, source, spare, n, byte, digit)
                after = b.block
                new = spare, count, b.sub(rank, below)
            return [
                either(b, x, before, y, after) for x, y in zip(state, new, strict=True)
            ]

        source, _, rank = strides(b, I64(0), last, 1, [pairs, n, rank], by)
        b.ret(self._at(b, source, rank))
        return f

    def _bucket(self, b, counts, rank):
        """(the number that the pair of a rank has, how many have smaller ones)."""
        before = b.block
        head, done = b.append_basic_block("next"), b.append_basic_block("found")
        b.branch(head)
        b.position_at_end(head)
        digit, below = b.phi(I64), b.phi(I64)
        upto = b.add(below, b.zext(b.load(b.gep(counts, [digit])), I64))
        pairs = (digit, b.add(digit, I64(1))), (below, upto)
        for x, y in pairs:
            x.add_incoming(I64(0), before)
            x.add_incoming(y, head)
        b.cbranch(b.icmp_signed("<=", upto, rank), head, done)
        b.position_at_end(done)
        return digit, below

    def _keep(self, b, source, target, n, byte, digit):
        """How many pairs have this number there: those are kept, in their order."""

        def one(i, acc):
            here = b.icmp_unsigned("==", self._digit(b, source, i, byte), digit)
            b.store(self._at(b, source, i), b.gep(target, [acc[0]]), align=8)
            return [b.add(acc[0], b.zext(here, I64))]

        (count,) = strides(b, I64(0), n, 1, [I64(0)], one)
        return count


__all__ = ["Order", "Sorting", "order_of"]
