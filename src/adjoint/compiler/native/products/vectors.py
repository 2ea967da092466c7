"""Vectors: what kernels that keep tiles in registers are written with."""

from __future__ import annotations

from ..arithmetic.kinds import BFLOAT, HALF, element_of
from ..arithmetic.shorts import widened
from ..llvm import text as ir
from ..llvm.flow import either, loop
from ..llvm.machine import fuses, vector_bits
from ..llvm.types import BIT, I32


class Vectors:
    """Loads, stores and arithmetic of one scalar type's vectors, in one module."""

    def __init__(self, module, scalar):
        self.module, self.scalar = module, scalar
        self.kinds = scalar, scalar  # of the numbers of both operands in memory
        self.bits = 64 if scalar == ir.DoubleType() else 32
        self.vector_bytes = vector_bits() // 8
        self.w = vector_bits() // self.bits
        self.vector = ir.VectorType(scalar, self.w)
        self.zero = ir.Constant(self.vector, [0.0] * self.w)
        self.suffix = f"v{self.w}f{self.bits}"

    @property
    def operands(self):
        """The types of the places of both."""
        return tuple(kind.as_pointer() for kind in self.kinds)

    def intrinsic(self, name, result, *args):
        """LLVM's function of this name."""
        return self.module.declared(name, result, args)

    def function(self, name, *args):
        """A new function of the module, seen only there, that returns nothing."""
        marks = "nounwind", "noinline"
        f = self.module.internal(name, ir.VoidType(), args, *marks)
        return f, ir.IRBuilder(f.append_basic_block())

    def first(self, count):
        """The mask of the first `count` lanes, where that is not all."""
        if not count:
            return None
        lanes = [i < count for i in range(self.w)]
        return ir.Constant(ir.VectorType(BIT, self.w), lanes)

    def below(self, b, count, lanes=None):
        """The mask of the first `count` of so many lanes, or all, a number known when it runs."""
        return self._compared(b, "<", count, lanes or self.w)

    def above(self, b, start):
        """The mask of the lanes from `start` on."""
        return self._compared(b, ">=", start, self.w)

    def _compared(self, b, sign, count, lanes):
        numbers = ir.Constant(ir.VectorType(I32, lanes), [*range(lanes)])
        return b.icmp_signed(sign, numbers, b.splat(b.trunc(count, I32), lanes))

    def load(self, b, p, mask=None, align=4, other=None):
        """A vector from memory; where the mask is off, `other` or zero.

        Floats of two bytes are widened.
        """
        if is_short(p.type.pointee):
            return self.wide(b, self.shorts(b, p, self.w, mask))
        p = b.bitcast(p, self.vector.as_pointer())
        if mask is None:
            return b.load(p, align=align)
        return b.load_masked(p, mask, other or self.zero, align)

    def shorts(self, b, p, lanes, mask=None):
        """A vector of floats of two bytes."""
        kind = ir.VectorType(p.type.pointee, lanes)
        p = b.bitcast(p, kind.as_pointer())
        if mask is None:
            return b.load(p, align=2)
        return b.load_masked(p, mask, ir.Constant(kind, None), 2)

    def wide(self, b, x):
        """Numbers as they are summed."""
        return widened(b, x) if is_short(element_of(x.type)) else x

    def number(self, b, p):
        """One number from memory, as it is summed."""
        return self.wide(b, b.load(p))

    def store(self, b, x, p, mask=None, align=4):
        """A vector to memory where the mask is on."""
        p = b.bitcast(p, self.vector.as_pointer())
        if mask is None:
            b.store(x, p, align=align)
        else:
            b.store_masked(x, p, mask, align)

    def fma(self, b, x, y, z):
        """x y + z; with two roundings where the processor does not fuse them."""
        if not fuses():
            return b.fadd(b.fmul(x, y), z)
        name = f"llvm.fma.{self.suffix}"
        return b.call(self.intrinsic(name, self.vector, *[self.vector] * 3), [x, y, z])

    def splat(self, b, x):
        """One number in all lanes."""
        return b.splat(x, self.w)

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

    def apart(self, name, *args):
        """The same for what LLVM may work on without knowing its callers: they give nothing
        that the code is better for, but numbers that are written there.
        """
        f, b = self.function(name, *args)
        f.alone = True
        return f, b

    # ------------------------------------------------------------ tiles

    def tile(self, name, sizes, *args):
        """(the tile's function, a builder for it if it is new): what it works on lies apart."""
        kinds = [x.pointee for x in args if isinstance(x, ir.PointerType)]
        short = "".join(f".{x}" for x in kinds) if any(map(is_short, kinds)) else ""
        name = f"{name}{sizes[0]}x{sizes[1]}.{self.suffix}{short}"
        found = self.module.globals.get(name)
        if found is not None:
            return found, None
        f, b = self.function(name, *args)
        for x in f.args:
            if isinstance(x.type, ir.PointerType):
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


def is_short(kind) -> bool:
    """Whether numbers of this type are floats of two bytes."""
    return kind is BFLOAT or kind is HALF
