"""Loops: what runs for all indices of a space, its last dim in lanes."""

from __future__ import annotations

import functools
from contextlib import contextmanager

from llvmlite import ir

from .affine import Affine
from .lanes import Lanes
from .machine import vector_bits

I64 = ir.IntType(64)


class Nests:
    """Loops at a builder's place, and the values of what they count."""

    def __init__(self, builder: ir.IRBuilder):
        self.b = builder
        self.at: dict = {}  # loop -> its LLVM value
        self.inner = None  # the loop whose lanes are computed together
        self.lanes = Lanes(builder, 1)
        self.known: dict = {}  # what this round of the loop has computed
        self.vectors = vector_bits() // 32

    @contextmanager
    def loop(self, start: int, stop: int, step: int = 1):
        """for i in range(start, stop, step), which runs at least once."""
        b, mark = self.b, object()
        if start + step >= stop:
            yield from self._once(mark, start)
            return
        before = b.block
        head, done = b.append_basic_block("loop"), b.append_basic_block("done")
        b.branch(head)
        b.position_at_end(head)
        i = b.phi(I64)
        i.add_incoming(I64(start), before)
        self.at[mark] = i
        carried: list = []

        def carry(*values):
            for v in values:
                phi = b.phi(v.type)
                phi.add_incoming(v, before)
                carried.append([phi, None])
            return [c[0] for c in carried]

        mark_state = _Loop(mark, carry, carried)
        self.known = {}
        yield mark_state
        j = b.add(i, I64(step))
        i.add_incoming(j, b.block)
        for phi, after in carried:
            phi.add_incoming(after, b.block)
        mark_state.results = [after for _, after in carried]
        b.cbranch(b.icmp_signed("<", j, I64(stop)), head, done)
        b.position_at_end(done)
        self.known = {}

    def _once(self, mark, start):
        self.at[mark] = I64(start)
        carried: list = []

        def carry(*values):
            carried.extend([v, None] for v in values)
            return values

        state = _Loop(mark, carry, carried)
        yield state
        state.results = [after for _, after in carried]

    @contextmanager
    def across(self, loop, width: int):
        """Inside, `width` lanes of `loop` are computed together."""
        before = self.inner, self.lanes
        self.inner, self.lanes = loop, Lanes(self.b, width)
        self.known = {}
        yield
        self.inner, self.lanes = before
        self.known = {}

    def over(self, space, body):
        """Run body(index) for all of the space, the last dim in lanes."""
        if not space:
            with self.loop(0, 1):
                body(())
            return
        *outer, n = space

        def inner(index):
            for i in self.strips(n):
                body((*index, i))

        self.nest(outer, (), inner)

    def strips(self, n: int):
        """Indices of a dim in lanes: a loop over full vectors, then one vector of the rest."""
        full = n // self.vectors * self.vectors
        for start, stop, w in ((0, full, self.vectors), (full, n, n - full)):
            if start < stop:
                with self.loop(start, stop, w) as i, self.across(i.mark, w):
                    yield Affine({i.mark: 1})

    def nest(self, sizes, index, body):
        """Run body(index) in loops over `sizes`, inside of those that `index` counts."""
        if not sizes:
            body(index)
            return
        with self.loop(0, sizes[0]) as i:
            self.nest(sizes[1:], (*index, Affine({i.mark: 1})), body)

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
        return self.b.add(self.splat(base), steps)

    def splat(self, x):
        """One number in all lanes."""
        w = self.lanes.width
        if w == 1:
            return x
        kind = ir.VectorType(x.type, w)
        first = self.b.insert_element(
            ir.Constant(kind, ir.Undefined), x, ir.IntType(32)(0)
        )
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), w), [0] * w)
        return self.b.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)


class _Loop:
    def __init__(self, mark, carry, carried):
        self.mark, self.carry, self.carried = mark, carry, carried
        self.results: list = []

    def next(self, *values):
        """What the carried values are in the next round."""
        for entry, v in zip(self.carried, values, strict=True):
            entry[1] = v
