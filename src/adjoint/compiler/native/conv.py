"""Convolutions and their adjoints: register-blocked sums over kernel places, in frames.

The image's frame has every place's element where an offset table says, so one tile serves
all kernels: results (and input gradients, convolutions with the flipped kernel) as channels by
vectors of neighbouring places, weight gradients as channels by kernel elements, each a vector
of partial sums over places.
"""

from __future__ import annotations

import math

from llvmlite import ir

from .frame import Frame
from .machine import vector_bits
from .vectors import BIT, I64, Vectors, loop, repeat

ROWS, TILES, DEPTH = 8, 24, 1024
IMAGES = 2**19  # bytes of frames that stay in the second cache level


def scratch(o) -> int:
    """Bytes of memory that a convolution needs beside its operands."""
    return _KINDS[o.prim.name](o).bytes


class _Shape:
    """The sizes of one convolution, x (N,C,·) to y (N,O,·) by w (O,C/groups,·)."""

    def __init__(self, o):
        p, name = o.params, o.prim.name
        first, second, third = (v.spec.shape for v in (*o.inputs, *o.outputs))
        x, w, y = {
            "conv": (first, second, third),
            "conv_data": (third, second, first),
            "conv_weight": (first, third, second),
        }[name]
        self.size, self.kernel, self.out = x[2:], w[2:], y[2:]
        self.stride, self.padding, self.dilation = (
            p[k] for k in ("stride", "padding", "dilation")
        )
        if self._pointwise():
            self._flatten()
        self.n, self.groups = x[0], p["groups"]
        self.o, self.c = y[1] // self.groups, w[1]
        self.taps, self.places = math.prod(self.kernel), math.prod(self.out)
        self.item = o.outputs[0].spec.dtype.itemsize
        self.lanes = vector_bits() // 8 // self.item

    def _pointwise(self) -> bool:
        """Every place meets one element, its own: all dims are one."""
        plain = {*self.kernel, *self.stride} == {1}
        return plain and not any(map(any, self.padding))

    def _flatten(self):
        self.size = self.out = (math.prod(self.size),)
        self.kernel = self.stride = self.dilation = (1,)
        self.padding = ((0, 0),)

    def reach(self):
        """From the first to the last element that a kernel meets, in each dim."""
        return [d * (k - 1) for k, d in zip(self.kernel, self.dilation, strict=True)]

    def frame(self) -> Frame:
        """That of the input."""
        extents = [
            (m - 1) * s + r + 1
            for m, s, r in zip(self.out, self.stride, self.reach(), strict=True)
        ]
        starts = tuple(lo for lo, _ in self.padding)
        ones, channels = (1,) * len(starts), self.groups * self.c
        return Frame(channels, self.size, tuple(extents), starts, ones, self.stride[-1])

    def back_frame(self) -> Frame:
        """That of the result's gradient, over which the flipped kernel slides."""
        extents = [n + r for n, r in zip(self.size, self.reach(), strict=True)]
        starts = [r - lo for r, (lo, _) in zip(self.reach(), self.padding, strict=True)]
        channels = self.groups * self.o
        return Frame(channels, self.out, tuple(extents), tuple(starts), self.stride, 1)

    def tap_offsets(self, frame):
        """Where the kernel's elements lie, seen from its first."""
        taps = [
            [k * d for k in range(n)]
            for n, d in zip(self.kernel, self.dilation, strict=True)
        ]
        return frame.offsets(*taps)


class _Kernel(Vectors):
    """What the maps share: a function over (frames, operands, result)."""

    def __init__(self, o):
        self.o, self.shape = o, _Shape(o)

    def build(self, module, scalar, name):
        """function(first operand, second, result, scratch), which computes it."""
        Vectors.__init__(self, module, scalar)
        self.name = name
        p = scalar.as_pointer()
        f, b = self.function(name, p, p, p, p)
        self.write(b, *f.args)
        b.ret_void()
        return f

    def table(self, what, numbers):
        """Numbers that the code looks up."""
        kind = ir.ArrayType(I64, len(numbers))
        g = ir.GlobalVariable(self.module, kind, f"{self.name}.{what}")
        g.linkage, g.global_constant = "internal", True
        g.initializer = ir.Constant(kind, list(numbers))
        return g.gep([I64(0), I64(0)])

    def clear(self, b, p, count):
        """Zeros."""
        with loop(b, 0, -(-count // self.w) * self.w, self.w) as i:
            self.store(b, self.zero, b.gep(p, [i]))

    def tile(self, name, sizes, *args):
        """(the tile's function, a builder for it if it is new)."""
        name = f"{name}{sizes[0]}x{sizes[1]}.{self.suffix}"
        found = self.module.globals.get(name)
        return (found, None) if found else self.function(name, *args)

    def put(self, b, p, x, first, mask=None):
        """x to memory, or added to what is there."""
        before = self.load(b, p, mask)
        self.store(b, b.select(first, x, b.fadd(before, x)), p, mask)


def _tile_sizes(m):
    """Rows of a tile, and the columns that registers are left for."""
    rows = min(m, ROWS)
    return rows, max(3, min(6, TILES // rows))


def _split(b, count, size, body):
    """body(start, its size) for `count` in parts of `size`, the rest a smaller one."""
    whole = count // size * size
    if whole:
        with loop(b, 0, whole, size) as i:
            body(i, size)
    if count > whole:
        body(I64(whole), count - whole)


class _Slide(_Kernel):
    """y(n,m,p) = Σ a(m,k) frame(n, k, p): results, or input gradients."""

    def __init__(self, o):
        super().__init__(o)
        s = self.shape
        self.back = o.prim.name == "conv_data"
        self.frame = s.back_frame() if self.back else s.frame()
        self.m, self.c = (s.c, s.o) if self.back else (s.o, s.c)
        self.k, self.size = self.c * s.taps, s.size if self.back else s.out
        strides = (1,) * len(s.stride) if self.back else s.stride
        lead = list(zip(self.size[:-1], strides[:-1], strict=True))
        self.rows = [[i * t for i in range(n)] for n, t in lead]
        self.images = -(-self.frame.elements // s.lanes) * s.lanes + s.lanes
        self.bytes = (self.images + s.groups * self.m * self.k) * s.item

    def write(self, b, source, w, y, room):
        s, frame = self.shape, self.frame
        weights = b.gep(room, [I64(self.images)])
        self.offsets = self._offsets()
        self.starts = self.table("rows", frame.offsets(*self.rows, [0]))
        self._pack(b, w, weights)
        self.clear(b, room, self.images)
        plane = math.prod(frame.sizes)
        with loop(b, 0, s.n, 1) as n:
            frame.fill(
                self, b, b.gep(source, [b.mul(n, I64(frame.channels * plane))]), room
            )
            with loop(b, 0, s.groups, 1) as g:
                image = b.add(b.mul(n, I64(s.groups)), g)
                size = self.m * math.prod(self.size)
                self._group(
                    b,
                    b.gep(weights, [b.mul(g, I64(self.m * self.k))]),
                    b.gep(room, [b.mul(g, I64(self.c * frame.plane))]),
                    b.gep(y, [b.mul(image, I64(size))]),
                )

    def _offsets(self):
        taps = self.shape.tap_offsets(self.frame)
        self.depth = max(1, DEPTH // self.shape.taps)
        channels = range(min(self.depth, self.c))
        return self.table(
            "taps", [c * self.frame.plane + t for c in channels for t in taps]
        )

    # ------------------------------------------------------------ weights

    def _pack(self, b, w, out):
        """Weights in the order in which tiles read them: (tile, k, row)."""
        s = self.shape
        step_m, step_c = s.c * s.taps, s.taps
        if self.back:
            step_m, step_c = step_c, step_m
        with loop(b, 0, s.groups, 1) as g:
            start = b.mul(g, I64(self.m * self.k))
            of, to = b.gep(w, [start]), b.gep(out, [start])

            def tile(m0, rows):
                with loop(b, 0, self.c, 1) as c, loop(b, 0, s.taps, 1) as t:
                    k = b.add(b.mul(c, I64(s.taps)), t)
                    t = b.sub(I64(s.taps - 1), t) if self.back else t
                    here = b.add(b.mul(c, I64(step_c)), t)
                    row = b.add(b.mul(m0, I64(self.k)), b.mul(k, I64(rows)))
                    with loop(b, 0, rows, 1) as r:
                        at = b.add(here, b.mul(b.add(m0, r), I64(step_m)))
                        b.store(b.load(b.gep(of, [at])), b.gep(to, [b.add(row, r)]))

            _split(b, self.m, _tile_sizes(self.m)[0], tile)

    # ------------------------------------------------------------ tiles

    def _group(self, b, a, frame, y):
        """All results of one image and group, a few channels deep at a time."""
        rows, columns = _tile_sizes(self.m)
        across = -(-self.size[-1] // self.w)
        count = math.prod(self.size[:-1]) * across
        with loop(b, 0, self.c, self.depth) as c0:
            left = b.sub(I64(self.c), c0)
            some = b.select(
                b.icmp_signed("<", left, I64(self.depth)), left, I64(self.depth)
            )
            deep = b.mul(some, I64(self.shape.taps))
            skip = b.mul(c0, I64(self.shape.taps))
            first = b.icmp_signed("==", c0, I64(0))
            source = b.gep(frame, [b.mul(c0, I64(self.frame.plane))])

            def strip(v0, many):
                places = [
                    self._place(b, b.add(v0, I64(i)), across) for i in range(many)
                ]

                def tile(m0, height):
                    ap = b.add(b.mul(m0, I64(self.k)), b.mul(skip, I64(height)))
                    yp = b.gep(y, [b.mul(m0, I64(math.prod(self.size)))])
                    args = [b.gep(a, [ap]), self.offsets, deep, first]
                    args.append(I64(math.prod(self.size)))
                    for at, to, lanes in places:
                        args += [b.gep(source, [at]), b.gep(yp, [to]), lanes]
                    b.call(self._tile(height, many), args)

                _split(b, self.m, rows, tile)

            _split(b, count, columns, strip)

    def _place(self, b, v, across):
        """Of vector v: where it starts in the frame and in a plane of results; its lanes."""
        row = b.udiv(v, I64(across))
        x = b.mul(b.sub(v, b.mul(row, I64(across))), I64(self.w))
        start = b.load(b.gep(self.starts, [row]))
        to = b.add(b.mul(row, I64(self.size[-1])), x)
        return b.add(start, x), to, b.sub(I64(self.size[-1]), x)

    def _tile(self, rows, columns):
        p = self.scalar.as_pointer()
        table = I64.as_pointer()
        kinds = [p, table, I64, BIT, I64, *[p, p, I64] * columns]
        f, b = self.tile("slide", (rows, columns), *kinds)
        if b is None:
            return f
        a, offsets, count, first, step, *places = f.args
        sources, results, lanes = places[::3], places[1::3], places[2::3]

        def go(k, acc):
            at = b.load(b.gep(offsets, [k]))
            xs = [self.load(b, b.gep(source, [at])) for source in sources]
            row = b.gep(a, [b.mul(k, I64(rows))])
            ws = [self.splat(b, b.load(b.gep(row, [I64(i)]))) for i in range(rows)]
            pairs = [(w, x) for w in ws for x in xs]
            return [self.fma(b, w, x, t) for (w, x), t in zip(pairs, acc, strict=True)]

        acc = repeat(b, I64(0), count, 1, [self.zero] * (rows * columns), go)
        for j in range(columns):
            mask = self.below(b, lanes[j])
            for i in range(rows):
                to = b.gep(results[j], [b.mul(I64(i), step)])
                self.put(b, to, acc[i * columns + j], first, mask)
        b.ret_void()
        return f


class _Weights(_Kernel):
    """w(o,k) = Σ y(n,o,p) frame(n,k,p)."""

    def __init__(self, o):
        super().__init__(o)
        s = self.shape
        self.frame = s.frame()
        self.k = s.c * s.taps
        each = self.frame.elements * s.item
        self.many = max(1, min(s.n, IMAGES // each))
        self.images = self.many * self.frame.elements
        self.images = -(-self.images // s.lanes) * s.lanes + s.lanes
        self.bytes = self.images * s.item

    def write(self, b, x, y, w, room):
        s, frame = self.shape, self.frame
        taps = s.tap_offsets(frame)
        self.offsets = self.table(
            "taps", [c * frame.plane + t for c in range(s.c) for t in taps]
        )
        lead = zip(s.out[:-1], s.stride[:-1], strict=True)
        rows = [[i * t for i in range(n)] for n, t in lead]
        self.starts = self.table("rows", frame.offsets(*rows, [0]))
        self.clear(b, room, self.images)
        size = frame.channels * math.prod(frame.sizes)

        def some(n0, many):
            with loop(b, 0, many, 1) as i:
                of = b.gep(x, [b.mul(b.add(n0, i), I64(size))])
                to = b.gep(room, [b.mul(i, I64(frame.elements))])
                frame.fill(self, b, of, to)
            with loop(b, 0, s.groups, 1) as g:
                here = b.add(b.mul(n0, I64(s.groups)), g)
                self._group(
                    b,
                    b.gep(y, [b.mul(here, I64(s.o * s.places))]),
                    b.gep(room, [b.mul(g, I64(s.c * frame.plane))]),
                    b.gep(w, [b.mul(g, I64(s.o * self.k))]),
                    I64(many),
                    b.icmp_signed("==", n0, I64(0)),
                )

        _split(b, s.n, self.many, some)

    def _group(self, b, y, frame, w, images, first):
        """All weights of one group, from some images."""
        s = self.shape
        rows, columns = _tile_sizes(s.o)
        sizes = [images, I64(self.frame.elements), I64(s.groups * s.o * s.places)]
        sizes += [I64(s.places // s.out[-1]), I64(s.out[-1]), I64(s.places)]

        def strip(o0, height):
            yp = b.gep(y, [b.mul(o0, I64(s.places))])

            def tile(k0, width):
                taps = [
                    b.load(b.gep(self.offsets, [b.add(k0, I64(j))]))
                    for j in range(width)
                ]
                to = b.gep(w, [b.add(b.mul(o0, I64(self.k)), k0)])
                sources = [b.gep(frame, [t]) for t in taps]
                args = [yp, self.starts, *sizes, to, I64(self.k), first, *sources]
                b.call(self._tile(height, width), args)

            _split(b, self.k, columns, tile)

        _split(b, s.o, rows, strip)

    def _tile(self, rows, columns):
        """Over images, their rows and the vectors in these; then lanes are summed."""
        p = self.scalar.as_pointer()
        kinds = [p, I64.as_pointer(), *[I64] * 6, p, I64, BIT, *[p] * columns]
        f, b = self.tile("weigh", (rows, columns), *kinds)
        if b is None:
            return f
        y, starts, images, x_image, y_image, height, width, plane = f.args[:8]
        w, step, first, *sources = f.args[8:]
        whole = b.and_(width, I64(-self.w))
        mask = self.below(b, b.sub(width, whole))

        def some(at, to, acc, mask=None):
            xs = [self.load(b, b.gep(x, [at]), mask) for x in sources]
            row = b.gep(y, [to])
            ys = [
                self.load(b, b.gep(row, [b.mul(I64(i), plane)]), mask)
                for i in range(rows)
            ]
            pairs = [(v, x) for v in ys for x in xs]
            return [self.fma(b, v, x, t) for (v, x), t in zip(pairs, acc, strict=True)]

        def image(n, acc):
            xn, yn = b.mul(n, x_image), b.mul(n, y_image)

            def row(r, acc):
                at = b.add(xn, b.load(b.gep(starts, [r])))
                to = b.add(yn, b.mul(r, width))

                def go(i, acc):
                    return some(b.add(at, i), b.add(to, i), acc)

                acc = self._vectors(b, whole, acc, go)
                end = b.add(at, whole), b.add(to, whole)
                rest = b.select(b.icmp_signed("<", whole, width), I64(1), I64(0))
                return repeat(
                    b, I64(0), rest, 1, acc, lambda _, acc: some(*end, acc, mask)
                )

            return repeat(b, I64(0), height, 1, acc, row)

        acc = [self.zero] * (rows * columns)
        acc = repeat(b, I64(0), images, 1, acc, image)
        for i in range(rows):
            for j in range(columns):
                to = b.gep(w, [b.add(b.mul(I64(i), step), I64(j))])
                x = self.total(b, acc[i * columns + j])
                b.store(b.select(first, x, b.fadd(b.load(to), x)), to)
        b.ret_void()
        return f

    def _vectors(self, b, whole, acc, go):
        count = b.udiv(whole, I64(self.w))
        return repeat(
            b, I64(0), count, 1, acc, lambda i, acc: go(b.mul(i, I64(self.w)), acc)
        )


_KINDS = {"conv": _Slide, "conv_data": _Slide, "conv_weight": _Weights}


def function(o, module, scalar, name):
    """function(first operand, second, result, scratch) of this convolution."""
    return _KINDS[o.prim.name](o).build(module, scalar, name)
