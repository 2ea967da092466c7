"""Matrix products: a register-blocked kernel over packed panels of the right operand.

C tiles of 8 rows by 3 vectors stay in registers while k runs; a panel of B, as many rows as fit
the second cache level, is copied so that its loads are aligned and in order.
"""

from __future__ import annotations

from .machine import vector_bits
from .vectors import BIT, I64, Vectors, loop, repeat

ROWS, VECTORS, DEPTH, UNROLL = 8, 3, 512, 4


class Product(Vectors):
    """C = A B with sizes and strides known; one function in the module."""

    def __init__(self, module, name, scalar, sizes, a_steps, b_steps, c_row):
        super().__init__(module, scalar)
        self.m, self.n, self.k = sizes
        self.a, self.bs, self.c_row = a_steps, b_steps, c_row
        self.name = name
        self.depth = -(-self.k // -(-self.k // DEPTH))
        self.depth = -(-self.depth // UNROLL) * UNROLL
        self.call = self._outer()

    # ------------------------------------------------------------ the kernel

    def kernel(self, rows, vectors, rest):
        """The function for a tile of this size; the last vector may have `rest` lanes.

        All products of a module share it. The steps of A are arguments, but for one that is 1
        and so can be part of the loads' addresses; so is the step between rows of C.
        """
        lies = "rows" if self.a[1] == 1 else "columns" if self.a[0] == 1 else "any"
        name = f"tile.{self.scalar}.{lies}.{rows}x{vectors}.{rest}"
        return self.module.globals.get(name) or self._tile(
            name, lies, rows, vectors, rest
        )

    def tile(self, b, size, a, panel, c, count, first):
        """C's tile at `c` (+)= A's rows at `a` times the panel."""
        steps = I64(self.a[0]), I64(self.a[1]), I64(self.c_row)
        b.call(self.kernel(*size), [a, panel, c, count, first, *steps])

    def _tile(self, name, lies, rows, vectors, rest):
        p = self.scalar.as_pointer()
        f, b = self.function(name, p, p, p, I64, BIT, I64, I64, I64)
        for x in f.args[:3]:
            x.add_attribute("noalias")
        a, panel, c, count, first, down, along, c_row = f.args
        down = I64(1) if lies == "columns" else down
        along = I64(1) if lies == "rows" else along
        starts = [b.gep(a, [b.mul(I64(i), down)]) for i in range(rows)]

        def step(k, acc):
            row = b.gep(panel, [b.mul(k, I64(vectors * self.w))])
            bs = [
                self.load(b, b.gep(row, [I64(j * self.w)]), align=64)
                for j in range(vectors)
            ]
            at, out = b.mul(k, along), []
            for i in range(rows):
                x = self.splat(b, b.load(b.gep(starts[i], [at])))
                for j in range(vectors):
                    out.append(self.fma(b, x, bs[j], acc[i * vectors + j]))
            return out

        acc = [self.zero] * (rows * vectors)
        whole = b.and_(count, I64(-UNROLL))
        acc = repeat(b, I64(0), whole, UNROLL, acc, step)
        acc = repeat(b, whole, count, 1, acc, step)
        for i in range(rows):
            line = b.gep(c, [b.mul(I64(i), c_row)])
            for j in range(vectors):
                place = b.gep(line, [I64(j * self.w)])
                tail = self.first(rest) if j == vectors - 1 else None
                before = self.load(b, place, tail)
                total = b.fadd(before, acc[i * vectors + j])
                self.store(b, b.select(first, acc[i * vectors + j], total), place, tail)
        b.ret_void()
        return f

    # ------------------------------------------------------------ around it

    def _outer(self):
        p = self.scalar.as_pointer()
        f, b = self.function(self.name, p, p, p, p)
        a, bm, c, panel = f.args
        width = VECTORS * self.w
        with loop(b, 0, self.k, self.depth) as k0:
            rest = b.sub(I64(self.k), k0)
            count = b.select(
                b.icmp_signed("<", rest, I64(self.depth)), rest, I64(self.depth)
            )
            first = b.icmp_signed("==", k0, I64(0))
            part = a, bm, c, panel, k0, count, first
            if self.n >= width:
                with loop(b, 0, self.n // width * width, width) as n0:
                    self._panel(b, part, n0, VECTORS, 0)
            left = self.n % width
            if left:
                n0 = I64(self.n - left)
                self._panel(b, part, n0, -(-left // self.w), left % self.w)
        b.ret_void()
        return f

    def _panel(self, b, part, n0, vectors, rest):
        a, bm, c, panel, k0, count, first = part
        self._pack(b, bm, panel, k0, count, n0, vectors, rest)
        a = b.gep(a, [b.mul(k0, I64(self.a[1]))])
        whole = self.m // ROWS * ROWS
        if whole:
            with loop(b, 0, whole, ROWS) as m0:
                ai = b.gep(a, [b.mul(m0, I64(self.a[0]))])
                ci = b.gep(c, [b.add(b.mul(m0, I64(self.c_row)), n0)])
                self.tile(b, (ROWS, vectors, rest), ai, panel, ci, count, first)
        if self.m > whole:
            ai = b.gep(a, [I64(whole * self.a[0])])
            ci = b.gep(c, [b.add(I64(whole * self.c_row), n0)])
            size = self.m - whole, vectors, rest
            self.tile(b, size, ai, panel, ci, count, first)

    def _pack(self, b, bm, panel, k0, count, n0, vectors, rest):
        source = b.gep(
            bm, [b.add(b.mul(k0, I64(self.bs[0])), b.mul(n0, I64(self.bs[1])))]
        )
        width = vectors * self.w
        if self.bs[1] == 1:
            with loop(b, 0, count, 1) as k:
                row = b.gep(source, [b.mul(k, I64(self.bs[0]))])
                out = b.gep(panel, [b.mul(k, I64(width))])
                for j in range(vectors):
                    tail = self.first(rest) if j == vectors - 1 else None
                    x = self.load(b, b.gep(row, [I64(j * self.w)]), tail)
                    self.store(b, x, b.gep(out, [I64(j * self.w)]), align=64)
            return
        with loop(b, 0, width - self.w + rest if rest else width, 1) as j:
            column = b.gep(source, [b.mul(j, I64(self.bs[1]))])
            with loop(b, 0, count, 1) as k:
                x = b.load(b.gep(column, [b.mul(k, I64(self.bs[0]))]))
                b.store(x, b.gep(panel, [b.add(b.mul(k, I64(width)), j)]))


def panel_bytes() -> int:
    """Memory for one packed panel."""
    return (DEPTH + UNROLL) * VECTORS * vector_bits() // 8 * 2
