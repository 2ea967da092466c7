"""Vectors: what kernels that keep tiles in registers are written with."""

from __future__ import annotations

from contextlib import contextmanager

from ..llvm import text as ir
from ..llvm.machine import vector_bits

I64, I32, BIT = ir.IntType(64), ir.IntType(32), ir.IntType(1)


class Vectors:
    """Loads, stores and arithmetic of one scalar type's vectors, in one module."""

    def __init__(self, module, scalar):
        self.module, self.scalar = module, scalar
        self.bits = 64 if scalar == ir.DoubleType() else 32
        self.w = vector_bits() // self.bits
        self.vector = ir.VectorType(scalar, self.w)
        self.zero = ir.Constant(self.vector, [0.0] * self.w)
        self.suffix = f"v{self.w}f{self.bits}"

    def intrinsic(self, name, result, *args):
        """LLVM's function of this name."""
        return self.module.declared(name, result, args)

    def function(self, name, *args):
        """A new function of the module, seen only there, that returns nothing."""
        f = ir.Function(self.module, ir.FunctionType(ir.VoidType(), args), name)
        f.linkage = "internal"
        f.mark("nounwind", "noinline")
        return f, ir.IRBuilder(f.append_basic_block())

    def first(self, count):
        """The mask of the first `count` lanes, where that is not all."""
        if not count:
            return None
        lanes = [i < count for i in range(self.w)]
        return ir.Constant(ir.VectorType(BIT, self.w), lanes)

    def below(self, b, count):
        """The mask of the first `count` lanes, a number known when it runs."""
        return self._compared(b, "<", count)

    def above(self, b, start):
        """The mask of the lanes from `start` on."""
        return self._compared(b, ">=", start)

    def _compared(self, b, sign, count):
        kind = ir.VectorType(I32, self.w)
        lanes = ir.Constant(kind, list(range(self.w)))
        return b.icmp_signed(sign, lanes, splat(b, b.trunc(count, I32), kind))

    def load(self, b, p, mask=None, align=4, other=None):
        """A vector from memory; where the mask is off, `other` or zero."""
        p = b.bitcast(p, self.vector.as_pointer())
        if mask is None:
            return b.load(p, align=align)
        name = f"llvm.masked.load.{self.suffix}.p0"
        f = self.intrinsic(name, self.vector, p.type, I32, mask.type, self.vector)
        return b.call(f, [p, I32(align), mask, other or self.zero])

    def store(self, b, x, p, mask=None, align=4):
        """A vector to memory where the mask is on."""
        p = b.bitcast(p, self.vector.as_pointer())
        if mask is None:
            b.store(x, p, align=align)
            return
        name = f"llvm.masked.store.{self.suffix}.p0"
        f = self.intrinsic(name, ir.VoidType(), self.vector, p.type, I32, mask.type)
        b.call(f, [x, p, I32(align), mask])

    def prefetch(self, b, p, write=False, level=1):
        """Ask for a line of memory that is needed soon, in a level of caches."""
        byte = ir.IntType(8).as_pointer()
        f = self.intrinsic("llvm.prefetch.p0", ir.VoidType(), byte, I32, I32, I32)
        b.call(f, [b.bitcast(p, byte), I32(int(write)), I32(4 - level), I32(1)])

    def fma(self, b, x, y, z):
        """x y + z."""
        name = f"llvm.fma.{self.suffix}"
        return b.call(self.intrinsic(name, self.vector, *[self.vector] * 3), [x, y, z])

    def splat(self, b, x):
        """One number in all lanes."""
        return splat(b, x, self.vector)

    def totals(self, b, xs):
        """Vectors whose lanes, in order, are the sums over the lanes of each of xs."""
        xs = [*xs, *[self.zero] * (-len(xs) % self.w)]
        for _ in range(self.w.bit_length() - 1):
            pairs = zip(xs[::2], xs[1::2], strict=True)
            xs = [b.fadd(*self.phases(b, x, y)) for x, y in pairs]
        return xs

    def phases(self, b, x, y):
        """Of two vectors, one after the other, the even and the odd elements."""
        kind = ir.VectorType(I32, self.w)
        return [
            b.shuffle_vector(x, y, ir.Constant(kind, [*range(i, 2 * self.w, 2)]))
            for i in range(2)
        ]

    def clear(self, b, p, count):
        """Zeros, in whole vectors."""
        with loop(b, 0, -(-count // self.w) * self.w, self.w) as i:
            self.store(b, self.zero, b.gep(p, [i]))

    # ------------------------------------------------------------ tiles

    def tile(self, name, sizes, *args):
        """(the tile's function, a builder for it if it is new): what it works on lies apart."""
        name = f"{name}{sizes[0]}x{sizes[1]}.{self.suffix}"
        found = self.module.globals.get(name)
        if found is not None:
            return found, None
        f, b = self.function(name, *args)
        for x in f.args:
            if x.type == self.scalar.as_pointer():
                x.mark("noalias")
        return f, b

    def begin(self, b, first, spots):
        """What a tile's sums start from: zeros at first, then what is in memory."""
        block = b.block
        with b.if_then(b.not_(first)):
            before = [self.load(b, *spot) for spot in spots]
            later = b.block
        return [either(b, self.zero, block, x, later) for x in before]

    def products(self, b, xs, ys, acc):
        """acc plus each x times each y."""
        pairs = [(x, y) for x in xs for y in ys]
        return [self.fma(b, x, y, t) for (x, y), t in zip(pairs, acc, strict=True)]


def splat(b, x, kind):
    """One number in all lanes of a vector of this type."""
    undefined = ir.Constant(kind, ir.Undefined)
    first = b.insert_element(undefined, x, I32(0))
    zeros = ir.Constant(ir.VectorType(I32, kind.count), [0] * kind.count)
    return b.shuffle_vector(first, undefined, zeros)


def repeat(b, start, stop, step, acc, body):
    """body(k, acc) for k in range(start, stop), `step` of them at a time, perhaps never."""

    def some(k, acc):
        for u in range(step):
            acc = body(b.add(k, I64(u)), acc)
        return acc

    return strides(b, start, stop, step, acc, some)


def strides(b, start, stop, step, acc, body):
    """body(k, acc) for k in range(start, stop, step), perhaps never."""
    before = b.block
    head, done = b.append_basic_block("k"), b.append_basic_block("end")
    b.cbranch(b.icmp_signed("<", start, stop), head, done)
    b.position_at_end(head)
    i = b.phi(I64)
    i.add_incoming(start, before)
    phis = [b.phi(x.type) for x in acc]
    for phi, x in zip(phis, acc, strict=True):
        phi.add_incoming(x, before)
    now = body(i, phis)
    j = b.add(i, I64(step))
    i.add_incoming(j, b.block)
    for phi, x in zip(phis, now, strict=True):
        phi.add_incoming(x, b.block)
    after = b.block
    b.cbranch(b.icmp_signed("<", j, stop), head, done)
    b.position_at_end(done)
    pairs = zip(acc, now, strict=True)
    return [either(b, x, before, y, after) for x, y in pairs]


def either(b, x, first, y, second):
    """x for who comes from the first block, y from the second."""
    phi = b.phi(x.type)
    phi.add_incoming(x, first)
    phi.add_incoming(y, second)
    return phi


def least(b, x, y):
    """The smaller of two numbers."""
    return b.select(b.icmp_signed("<", x, y), x, y)


@contextmanager
def loop(b, start, stop, step):
    """for i in range(start, stop, step), which runs at least once."""
    start, stop = (I64(x) if isinstance(x, int) else x for x in (start, stop))
    before = b.block
    head, done = b.append_basic_block("loop"), b.append_basic_block("done")
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(I64)
    i.add_incoming(start, before)
    yield i
    j = b.add(i, I64(step))
    i.add_incoming(j, b.block)
    b.cbranch(b.icmp_signed("<", j, stop), head, done)
    b.position_at_end(done)


def split(b, count, size, body):
    """body(start, its size) for `count` in parts of `size`, the rest a smaller one."""
    whole = count // size * size
    if whole:
        with loop(b, 0, whole, size) as i:
            body(i, size)
    if count > whole:
        body(I64(whole), count - whole)


def split_between(b, first, last, count, size, body):
    """What `split` does, from `first` to `last`: they are multiples of the size, or the end."""
    whole = count // size * size
    if whole:
        end = b.select(b.icmp_signed("<", last, I64(whole)), last, I64(whole))
        with b.if_then(b.icmp_signed("<", first, end)), loop(b, first, end, size) as i:
            body(i, size)
    if count > whole:
        with b.if_then(b.icmp_signed(">", last, I64(whole))):
            body(I64(whole), count - whole)
