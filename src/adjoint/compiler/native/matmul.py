"""Matrix products: a register-blocked kernel over packed panels of the right operand.

C tiles of 8 rows by 3 vectors stay in registers while k runs; a panel of B, as many rows as fit
the second cache level, is copied so that its loads are aligned and in order.
"""

from __future__ import annotations

from contextlib import contextmanager

from llvmlite import ir

from .machine import vector_bits

I64, BIT = ir.IntType(64), ir.IntType(1)
ROWS, VECTORS, DEPTH, UNROLL = 8, 3, 512, 4


class Product:
    """C = A B with sizes and strides known; one function in the module."""

    def __init__(self, module, name, scalar, sizes, a_steps, b_steps, c_row):
        self.module, self.scalar = module, scalar
        self.m, self.n, self.k = sizes
        self.a, self.bs, self.c_row = a_steps, b_steps, c_row
        bits = 64 if scalar == ir.DoubleType() else 32
        self.w = vector_bits() // bits
        self.vector = ir.VectorType(scalar, self.w)
        self.name, self.kernels = name, {}
        self.depth = -(-self.k // -(-self.k // DEPTH))
        self.depth = -(-self.depth // UNROLL) * UNROLL
        self.function = self._outer()

    # ------------------------------------------------------------ small tools

    def _intrinsic(self, name, result, *args):
        found = self.module.globals.get(name)
        return found or ir.Function(self.module, ir.FunctionType(result, args), name)

    def _mask(self, rest):
        lanes = [i < (rest or self.w) for i in range(self.w)]
        return ir.Constant(ir.VectorType(BIT, self.w), lanes)

    def _suffix(self):
        return f"v{self.w}f{64 if self.scalar == ir.DoubleType() else 32}"

    def _load(self, b, p, rest=0, align=4):
        p = b.bitcast(p, self.vector.as_pointer())
        if not rest:
            return b.load(p, align=align)
        mask = self._mask(rest)
        f = self._intrinsic(
            f"llvm.masked.load.{self._suffix()}.p0",
            self.vector,
            p.type,
            ir.IntType(32),
            mask.type,
            self.vector,
        )
        zero = ir.Constant(self.vector, [0.0] * self.w)
        return b.call(f, [p, ir.IntType(32)(align), mask, zero])

    def _store(self, b, x, p, rest=0, align=4):
        p = b.bitcast(p, self.vector.as_pointer())
        if not rest:
            b.store(x, p, align=align)
            return
        mask = self._mask(rest)
        f = self._intrinsic(
            f"llvm.masked.store.{self._suffix()}.p0",
            ir.VoidType(),
            self.vector,
            p.type,
            ir.IntType(32),
            mask.type,
        )
        b.call(f, [x, p, ir.IntType(32)(align), mask])

    # ------------------------------------------------------------ the kernel

    def kernel(self, rows, vectors, rest):
        """The function for a tile of this size; the last vector may have `rest` lanes."""
        key = rows, vectors, rest
        if key not in self.kernels:
            self.kernels[key] = self._tile(*key)
        return self.kernels[key]

    def _tile(self, rows, vectors, rest):
        p = self.scalar.as_pointer()
        f = ir.Function(
            self.module,
            ir.FunctionType(ir.VoidType(), [p, p, p, I64, BIT]),
            f"{self.name}.tile{rows}x{vectors}.{rest}",
        )
        f.linkage = "internal"
        f.attributes.add("nounwind")
        f.attributes.add("noinline")
        for x in f.args[:3]:
            x.add_attribute("noalias")
        a, panel, c, count, first = f.args
        b = ir.IRBuilder(f.append_basic_block())
        fma = self._intrinsic(
            f"llvm.fma.{self._suffix()}", self.vector, *[self.vector] * 3
        )

        def step(k, acc):
            row = b.gep(panel, [b.mul(k, I64(vectors * self.w))])
            bs = [
                self._load(b, b.gep(row, [I64(j * self.w)]), align=64)
                for j in range(vectors)
            ]
            ak = b.gep(a, [b.mul(k, I64(self.a[1]))])
            out = []
            for i in range(rows):
                x = _splat(b, b.load(b.gep(ak, [I64(i * self.a[0])])), self.vector)
                for j in range(vectors):
                    out.append(b.call(fma, [x, bs[j], acc[i * vectors + j]]))
            return out

        acc = [ir.Constant(self.vector, [0.0] * self.w)] * (rows * vectors)
        whole = b.and_(count, I64(-UNROLL))
        acc = _repeat(b, I64(0), whole, UNROLL, acc, step)
        acc = _repeat(b, whole, count, 1, acc, step)
        for i in range(rows):
            for j in range(vectors):
                place = b.gep(c, [I64(i * self.c_row + j * self.w)])
                tail = rest if j == vectors - 1 else 0
                before = self._load(b, place, tail)
                total = b.fadd(before, acc[i * vectors + j])
                self._store(
                    b, b.select(first, acc[i * vectors + j], total), place, tail
                )
        b.ret_void()
        return f

    # ------------------------------------------------------------ around it

    def _outer(self):
        p = self.scalar.as_pointer()
        f = ir.Function(
            self.module, ir.FunctionType(ir.VoidType(), [p, p, p, p]), self.name
        )
        f.linkage = "internal"
        a, bm, c, panel = f.args
        b = ir.IRBuilder(f.append_basic_block())
        width = VECTORS * self.w
        with _loop(b, 0, self.k, self.depth) as k0:
            rest = b.sub(I64(self.k), k0)
            count = b.select(
                b.icmp_signed("<", rest, I64(self.depth)), rest, I64(self.depth)
            )
            first = b.icmp_signed("==", k0, I64(0))
            part = a, bm, c, panel, k0, count, first
            if self.n >= width:
                with _loop(b, 0, self.n // width * width, width) as n0:
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
            with _loop(b, 0, whole, ROWS) as m0:
                ai = b.gep(a, [b.mul(m0, I64(self.a[0]))])
                ci = b.gep(c, [b.add(b.mul(m0, I64(self.c_row)), n0)])
                b.call(self.kernel(ROWS, vectors, rest), [ai, panel, ci, count, first])
        if self.m > whole:
            ai = b.gep(a, [I64(whole * self.a[0])])
            ci = b.gep(c, [b.add(I64(whole * self.c_row), n0)])
            f = self.kernel(self.m - whole, vectors, rest)
            b.call(f, [ai, panel, ci, count, first])

    def _pack(self, b, bm, panel, k0, count, n0, vectors, rest):
        source = b.gep(
            bm, [b.add(b.mul(k0, I64(self.bs[0])), b.mul(n0, I64(self.bs[1])))]
        )
        width = vectors * self.w
        if self.bs[1] == 1:
            with _loop(b, 0, count, 1) as k:
                row = b.gep(source, [b.mul(k, I64(self.bs[0]))])
                out = b.gep(panel, [b.mul(k, I64(width))])
                for j in range(vectors):
                    tail = rest if j == vectors - 1 else 0
                    x = self._load(b, b.gep(row, [I64(j * self.w)]), tail)
                    self._store(b, x, b.gep(out, [I64(j * self.w)]), align=64)
            return
        with _loop(b, 0, width - self.w + rest if rest else width, 1) as j:
            column = b.gep(source, [b.mul(j, I64(self.bs[1]))])
            with _loop(b, 0, count, 1) as k:
                x = b.load(b.gep(column, [b.mul(k, I64(self.bs[0]))]))
                b.store(x, b.gep(panel, [b.add(b.mul(k, I64(width)), j)]))


def panel_bytes() -> int:
    """Memory for one packed panel."""
    return (DEPTH + UNROLL) * VECTORS * vector_bits() // 8 * 2


def _splat(b, x, kind):
    undefined = ir.Constant(kind, ir.Undefined)
    first = b.insert_element(undefined, x, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return b.shuffle_vector(first, undefined, zeros)


def _repeat(b, start, stop, step, acc, body):
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
    now = phis
    for u in range(step):
        now = body(b.add(i, I64(u)), now)
    j = b.add(i, I64(step))
    i.add_incoming(j, b.block)
    for phi, x in zip(phis, now, strict=True):
        phi.add_incoming(x, b.block)
    after = b.block
    b.cbranch(b.icmp_signed("<", j, stop), head, done)
    b.position_at_end(done)
    out = []
    for x, y in zip(acc, now, strict=True):
        phi = b.phi(x.type)
        phi.add_incoming(x, before)
        phi.add_incoming(y, after)
        out.append(phi)
    return out


@contextmanager
def _loop(b, start, stop, step):
    stop = I64(stop) if isinstance(stop, int) else stop
    before = b.block
    head, done = b.append_basic_block("loop"), b.append_basic_block("done")
    b.branch(head)
    b.position_at_end(head)
    i = b.phi(I64)
    i.add_incoming(I64(start), before)
    yield i
    j = b.add(i, I64(step))
    i.add_incoming(j, b.block)
    b.cbranch(b.icmp_signed("<", j, stop), head, done)
    b.position_at_end(done)
