"""Matrix products: a register-blocked kernel over packed panels of the right operand.

C tiles of 8 rows by 3 vectors stay in registers while k runs; a panel of B, as many rows as fit
the second cache level, is copied so that its loads are aligned and in order.
"""

from __future__ import annotations

from .machine import vector_bits
from .vectors import BIT, I64, Vectors, loop, repeat, split

ROWS, VECTORS, DEPTH, UNROLL = 8, 3, 512, 4


class Tiles(Vectors):
    """Products of a few rows with a packed panel."""

    def kernel(self, rows, vectors):
        """The function for a tile of this size, which all products share.

        (a, panel, c, how deep, whether at first, steps of a's rows, of its columns and of c's
        rows, lanes of the last vector).
        """
        p = self.scalar.as_pointer()
        kinds = [p, p, p, I64, BIT, *[I64] * 4]
        f, b = self.tile("product", (rows, vectors), *kinds)
        if b is None:
            return f
        for x in f.args[:3]:
            x.add_attribute("noalias")
        a, panel, c, count, first, a_row, a_step, c_row, lanes = f.args

        def step(k, acc):
            row = b.gep(panel, [b.mul(k, I64(vectors * self.w))])
            bs = [
                self.load(b, b.gep(row, [I64(j * self.w)]), align=64)
                for j in range(vectors)
            ]
            ak = b.gep(a, [b.mul(k, a_step)])
            xs = [b.load(b.gep(ak, [b.mul(I64(i), a_row)])) for i in range(rows)]
            return self.products(b, [self.splat(b, x) for x in xs], bs, acc)

        masks = [*[None] * (vectors - 1), self.below(b, lanes)]
        spots = [
            (b.gep(c, [b.add(b.mul(I64(i), c_row), I64(j * self.w))]), mask)
            for i in range(rows)
            for j, mask in enumerate(masks)
        ]
        whole = b.and_(count, I64(-UNROLL))
        acc = self.begin(b, first, spots)
        acc = repeat(b, I64(0), whole, UNROLL, acc, step)
        acc = repeat(b, whole, count, 1, acc, step)
        for x, (to, mask) in zip(acc, spots, strict=True):
            self.store(b, x, to, mask)
        b.ret_void()
        return f


class Product(Tiles):
    """C = A B with sizes and strides known; one function in the module."""

    def __init__(self, module, name, scalar, sizes, a_steps, b_steps, c_row):
        super().__init__(module, scalar)
        self.m, self.n, self.k = sizes
        self.a, self.bs, self.c_row = a_steps, b_steps, c_row
        self.name = name
        self.depth = -(-self.k // -(-self.k // DEPTH))
        self.depth = -(-self.depth // UNROLL) * UNROLL
        self.call = self._outer()

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
        steps = [I64(n) for n in (*self.a, self.c_row, rest or self.w)]

        def tile(m0, rows):
            ai = b.gep(a, [b.mul(m0, I64(self.a[0]))])
            ci = b.gep(c, [b.add(b.mul(m0, I64(self.c_row)), n0)])
            f = self.kernel(rows, vectors)
            b.call(f, [ai, panel, ci, count, first, *steps])

        split(b, self.m, ROWS, tile)

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
