"""Pairs of a key and a place, each in one integer, put in order by the bytes of their keys.

They are sorted from the lowest byte on; who has a certain rank is found from the highest on, by
leaving out all that have another byte there. Bytes that all have in common cost nothing. The
functions are those of a module, one of each for pairs of a size.
"""

from __future__ import annotations

from ..llvm import text as ir
from ..llvm.flow import either, loop, strides
from ..llvm.types import I32, I64, POINTER

DIGITS = 256
SHORT = 24  # pairs that are put in order one by one


class Pairs:
    """Code for pairs whose keys, and places, have `half` bits."""

    def __init__(self, module, half: int):
        self.module, self.half = module, half
        self.key, self.pair = ir.IntType(half), ir.IntType(2 * half)
        self.pointer, self.counts = self.pair.as_pointer(), I32.as_pointer()

    def function(self, name, result, *kinds):
        """(a function of the module, a builder for it if it is new)."""
        found = self.module.globals.get(name)
        if found is not None:
            return found, None
        f = self.module.internal(name, result, kinds, "nounwind", "noinline")
        return f, ir.IRBuilder(f.append_basic_block())

    def at(self, b, pairs, i):
        """The pair at a place of theirs."""
        return b.load(b.gep(pairs, [i]), align=8)

    def place(self, b, pair):
        """The place in a pair."""
        return fit(b, b.trunc(pair, self.key), I64)

    def _digit(self, b, pairs, i, byte):
        """A byte of the key of a pair."""
        size = self.half // 4
        at = b.add(b.mul(i, I64(size)), b.add(byte, I64(size // 2)))
        p = b.gep(b.bitcast(pairs, POINTER), [at])
        return b.zext(b.load(p), I64)

    def _varying(self, b, pairs, n):
        """The bits of keys that are not the same in all."""
        first = self.at(b, pairs, I64(0))

        def differ(i, acc):
            return [b.or_(acc[0], b.xor(self.at(b, pairs, i), first))]

        (bits,) = strides(b, I64(0), n, 1, [self.pair(0)], differ)
        return b.trunc(b.lshr(bits, self.pair(self.half)), self.key)

    def _varies(self, b, bits, byte):
        shift = fit(b, b.mul(byte, I64(8)), self.key)
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

    def sorted(self):
        """function(pairs, as much room, counts, n): where the pairs are in order."""
        kinds = self.pointer, self.pointer, self.counts, I64
        f, b = self.function(f"adjoint.sorted{self.half}", self.pointer, *kinds)
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

        last = I64(self.half // 8)
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
            b.store(self.at(b, source, i), to, align=8)
            b.store(b.add(at, I32(1)), p)
            return acc

        strides(b, I64(0), n, 1, [], one)

    def _insert(self, b, pairs, n):
        """A few pairs in order: each goes back to where it belongs."""

        def one(i, acc):
            x, before = self.at(b, pairs, i), b.block
            head, go, done = (b.append_basic_block(s) for s in ("back", "go", "there"))
            b.branch(head)
            b.position_at_end(head)
            k = b.phi(I64)
            k.add_incoming(i, before)
            found = b.append_basic_block("look")
            b.cbranch(b.icmp_signed(">", k, I64(0)), found, done)
            b.position_at_end(found)
            j = b.sub(k, I64(1))
            y = self.at(b, pairs, j)
            b.cbranch(b.icmp_unsigned(">", y, x), go, done)
            b.position_at_end(go)
            b.store(y, b.gep(pairs, [k]), align=8)
            k.add_incoming(j, go)
            b.branch(head)
            b.position_at_end(done)
            b.store(x, b.gep(pairs, [k]), align=8)
            return acc

        strides(b, I64(1), n, 1, [], one)

    def ranked(self):
        """function(pairs, as much room, counts, n, rank): the pair of this rank."""
        kinds = self.pointer, self.pointer, self.counts, I64, I64
        f, b = self.function(f"adjoint.ranked{self.half}", self.pair, *kinds)
        if b is None:
            return f
        pairs, spare, counts, n, rank = f.args
        bits = self._varying(b, pairs, n)
        last = I64(self.half // 8)

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
        b.ret(self.at(b, source, rank))
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
            b.store(self.at(b, source, i), b.gep(target, [acc[0]]), align=8)
            return [b.add(acc[0], b.zext(here, I64))]

        (count,) = strides(b, I64(0), n, 1, [I64(0)], one)
        return count


def fit(b, x, kind):
    """A whole number without sign as another type."""
    if kind.width == x.type.width:
        return x
    return (b.zext if kind.width > x.type.width else b.trunc)(x, kind)
