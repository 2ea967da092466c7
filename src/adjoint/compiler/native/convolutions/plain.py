"""What plain sums over the places of a kernel share: a function over frames, and its tiles.

The image's frame has every place's element where an offset table says, so one tile serves
all kernels.
"""

from __future__ import annotations

from ..llvm import text as ir
from ..llvm.types import I64
from ..products.matmul import VECTORS, Tiles, tile_rows
from .geometry import Shape


class Plain(Tiles):
    """A convolution as a function over (frames, operands, result).

    The bytes of scratch that it needs are known at once; its module comes when it is built, and
    then what a kind of it has: `tables` to look things up in, what is to `prepare` in the
    scratch, and how to `write` the sums of some images.
    """

    many = 1  # images that are gone through together

    def __init__(self, o):
        self.o, self.shape = o, Shape(o)

    def build(self, module, scalar, name):
        """function(first operand, second, result, scratch, first image, the one after the last).

        Images are all, or some that begin and end at multiples of `many`.
        """
        f, b = self._begun(module, scalar, name)
        self.prepare(b, f.args[1], f.args[3])
        self.write(b, *f.args)
        b.ret_void()
        return f

    def in_two(self, module, scalar, name):
        """The same as two functions: one prepares the scratch, the other can then be called for
        some images after others.
        """
        ready, b = self._begun(module, scalar, f"{name}.ready")
        self.prepare(b, ready.args[1], ready.args[3])
        b.ret_void()
        some, b = self.function(name, *(a.type for a in ready.args))
        self.write(b, *some.args)
        b.ret_void()
        return ready, some

    def _begun(self, module, scalar, name):
        """(a function, its builder), with the tables that it looks things up in."""
        Tiles.__init__(self, module, scalar)
        self.name = name
        self.tables()
        p = scalar.as_pointer()
        return self.function(name, p, p, p, p, I64, I64)

    def table(self, what, numbers):
        """Numbers that the code looks up."""
        table = self.module.table(f"{self.name}.{what}", numbers)
        return ir.Value(I64.as_pointer(), table.text)


def tile_sizes(m):
    """Rows of a tile, and the columns that registers are left for."""
    rows = min(m, tile_rows())
    return rows, max(VECTORS, min(2 * VECTORS, tile_rows() * VECTORS // rows))


def in_vectors(elements, lanes):
    """Elements in whole vectors, and one more, for loads may go beyond the last."""
    return -(-elements // lanes) * lanes + lanes
