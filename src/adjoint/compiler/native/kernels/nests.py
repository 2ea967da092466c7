"""Loops: what runs for all indices of a space, its last dim in lanes."""

from __future__ import annotations

import functools
import math
from contextlib import contextmanager, nullcontext

from ..arithmetic.lanes import Lanes
from ..llvm import text as ir
from ..llvm.machine import vector_bits
from ..llvm.types import I64
from ..sharing import Stage, pieces
from .affine import Affine
from .braid import braid, worth


def vectors() -> int:
    """Lanes that are computed together."""
    return vector_bits() // 32


def vectored(space, many=1) -> tuple[int, ...]:
    """A space with its last dim in vectors, or in so many together."""
    return (*space[:-1], space[-1] // (many * vectors())) if space else ()


def lined(space) -> tuple[int, ...]:
    """A space without the ones at its end, of which lanes would have nothing to count."""
    while len(space) > 1 and space[-1] == 1:
        space = space[:-1]
    return tuple(space)


def looped(space, body, chunks, free=None, lanes=True, many=1) -> Stage:
    """The stage of body(emitter, index) for all of a space, its last dim in lanes.

    `free` says of each dim whether its places can be computed in any order; `many` vectors
    are computed side by side where it helps.
    """
    sizes = vectored(space, many) if lanes else tuple(space)
    free = free or [True] * len(sizes)
    cut = pieces([n if f else 1 for n, f in zip(sizes, free, strict=True)], chunks)

    def write(e, chunk):
        spans = e.spans(sizes, cut, chunk)
        if lanes:
            e.over(space, lambda index: body(e, index), spans, many)
        else:
            e.nest(space, (), lambda index: body(e, index), spans)

    return Stage(math.prod(cut), write)


class Nests:
    """Loops at a builder's place, and the values of what they count."""

    def __init__(self, builder: ir.IRBuilder):
        self.b = builder
        self.at: dict = {}  # loop -> its LLVM value
        self.inner = None  # the loop whose lanes are computed together
        self.lanes = Lanes(builder, 1)
        self.known: dict = {}  # what this round of the loop has computed
        self.vectors = vectors()

    @contextmanager
    def loop(self, start, stop, step: int = 1):
        """for i in range(start, stop, step), which runs at least once."""
        b = self.b
        if isinstance(stop, int) and start + step >= stop:
            once = Loop(b, None, step)
            self.at[once.mark] = I64(start)
            yield once
            return
        start, stop = (I64(x) if isinstance(x, int) else x for x in (start, stop))
        i = Loop(b, b.block, step)
        head, done = b.append_basic_block("loop"), b.append_basic_block("done")
        b.branch(head)
        b.position_at_end(head)
        self.at[i.mark] = n = b.phi(I64)
        n.add_incoming(start, i.before)
        self.known = {}
        yield i
        after = b.add(n, I64(i.step))
        n.add_incoming(after, b.block)
        i.come_round()
        b.cbranch(b.icmp_signed("<", after, stop), head, done)
        b.position_at_end(done)
        self.known = {}

    @contextmanager
    def across(self, loop, width: int):
        """Inside, `width` lanes of `loop` are computed together."""
        before = self.inner, self.lanes
        self.inner, self.lanes = loop, Lanes(self.b, width)
        self.known = {}
        yield
        self.inner, self.lanes = before
        self.known = {}

    def over(self, space, body, spans=(), many=1):
        """Run body(index) for all of the space, the last dim in lanes; of `spans` a part."""
        if not space:
            with self.loop(0, 1):
                body(())
            return
        *outer, n = space

        def inner(index):
            for some in self.groups(n, many, *spans[len(outer) :]):
                self._side_by_side(some, lambda i: body((*index, i)))

        self.nest(outer, (), inner, spans)

    def _side_by_side(self, indices, body):
        """body(i) for these; only for the first, if the rest is better done on its own."""
        block, starts = self.b.block, [len(self.b.block.instructions)]
        body(indices[0])
        if self.b.block is not block or not worth(block.instructions[starts[0] :]):
            del indices[1:]
        for i in indices[1:]:
            starts.append(len(block.instructions))
            body(i)
        if len(indices) > 1:
            braid(block, starts)

    def groups(self, n: int, many: int, span=None):
        """Indices of a dim in lanes: `many` vectors at a time, then single ones of the rest.

        A span counts these groups; the rest belongs to the last. Who takes indices off the
        end of a group is given them in the next round.
        """
        w = self.vectors
        unit = many * w
        full = n // unit * unit
        if full:
            start, stop = (
                (self.b.mul(x, I64(unit)) for x in span) if span else (0, full)
            )
            with self.loop(start, stop, unit) as i, self.across(i.mark, w):
                group = [Affine({i.mark: 1}, k * w) for k in range(many)]
                yield group
                i.step = w * len(group)
        for start in range(full, n, w):
            width = min(w, n - start)
            with (
                self.last(n // unit, span),
                self.loop(start, start + width, width) as i,
                self.across(i.mark, width),
            ):
                yield [Affine({i.mark: 1})]

    def last(self, n: int, span):
        """What is inside runs if the span is the last one of n."""
        if span is None or n < 1:
            return nullcontext()
        return self.b.if_then(self.b.icmp_unsigned("==", span[1], I64(n)))

    def nest(self, sizes, index, body, spans=()):
        """Run body(index) in loops over `sizes`, inside of those that `index` counts."""
        if not sizes:
            body(index)
            return
        start, stop = spans[0] if spans and spans[0] else (0, sizes[0])
        with self.loop(start, stop) as i:
            self.nest(sizes[1:], (*index, Affine({i.mark: 1})), body, spans[1:])

    def spans(self, sizes, pieces, chunk):
        """(start, stop) of each dim for one chunk, None where it is not cut."""
        if chunk is None:
            return ()
        b, out = self.b, []
        for n, count in zip(reversed(sizes), reversed(pieces), strict=True):
            if count == 1:
                out.append(None)
                continue
            i, chunk = b.urem(chunk, I64(count)), b.udiv(chunk, I64(count))
            ends = i, b.add(i, I64(1))
            out.append(tuple(b.udiv(b.mul(x, I64(n)), I64(count)) for x in ends))
        return tuple(reversed(out))

    def number(self, index: Affine):
        """The LLVM value of an index."""
        parts = [
            self.at[loop] if c == 1 else self.b.mul(self.at[loop], I64(c))
            for loop, c in index.terms.items()
        ]
        if index.const or not parts:
            parts.append(I64(index.const))
        return functools.reduce(self.b.add, parts)

    def lane_numbers(self, index: Affine):
        """The index in each lane, as a vector of integers."""
        base, w = self.number(index), self.lanes.width
        c = index.terms.get(self.inner, 0)
        if w == 1:
            return base
        steps = ir.Constant(ir.VectorType(I64, w), [c * k for k in range(w)])
        return self.b.add(self.lanes.splat(base), steps)


class Loop:
    """A loop whose round is written: `mark` stands for what it counts, `step` may change.

    `before` is the block that leads to it; None if there is but one round.
    """

    def __init__(self, b, before, step: int):
        self.b, self.before, self.step = b, before, step
        self.mark = object()
        self.carried: list = []
        self.results: list = []  # what the last round gives

    def carry(self, *values):
        """Values that go round: what they are in this round."""
        now = list(values if self.before is None else map(self._carried, values))
        self.carried += now
        return now

    def _carried(self, x):
        phi = self.b.phi(x.type)
        phi.add_incoming(x, self.before)
        return phi

    def next(self, *values):
        """What the carried values are in the next round."""
        self.results = list(values)

    def come_round(self):
        """The round is written, and the next one begins with what it gives."""
        for phi, x in zip(self.carried, self.results, strict=True):
            phi.add_incoming(x, self.b.block)
