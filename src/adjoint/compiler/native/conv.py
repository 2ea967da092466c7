"""Convolutions and their adjoints: register-blocked sums over kernel places, in frames.

The image's frame has every place's element where an offset table says, so one tile serves
all kernels: results (and input gradients, convolutions with the flipped kernel) as channels by
vectors of neighbouring places, weight gradients as channels by kernel elements, each a vector
of partial sums over places.
"""

from __future__ import annotations

import itertools
import math

from llvmlite import ir

from .frame import Frame
from .machine import vector_bits
from .places import Places
from .vectors import BIT, I64, Vectors, loop, repeat

ROWS, TILES, DEPTH = 8, 24, 1024
IMAGES = 5 * 2**17  # bytes of frames that stay in the second cache level


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

    def begin(self, b, first, spots):
        """What a tile's sums start from: zeros at first, then what is in memory."""
        block = b.block
        with b.if_then(b.not_(first)):
            before = [self.load(b, *spot) for spot in spots]
            later = b.block
        out = []
        for x in before:
            phi = b.phi(self.vector)
            phi.add_incoming(self.zero, block)
            phi.add_incoming(x, later)
            out.append(phi)
        return out

    def products(self, b, xs, ys, acc):
        """acc plus each x times each y."""
        pairs = [(x, y) for x in xs for y in ys]
        return [self.fma(b, x, y, t) for (x, y), t in zip(pairs, acc, strict=True)]


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
        self.places = Places(
            self.frame, self.size, strides, s.lanes, _tile_sizes(self.m)[0]
        )
        self.images = _room(self.frame.elements, s.lanes)
        self.bytes = (self.images + s.groups * self.m * self.k) * s.item

    def write(self, b, source, w, y, room):
        s, frame = self.shape, self.frame
        weights = b.gep(room, [I64(self.images)])
        self.offsets = self._offsets()
        self.vectors = self.table("places", self.places.table)
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
        count, plane = self.places.count, I64(math.prod(self.size))
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
                start = b.mul(v0, I64(self.places.entry))

                def tile(m0, height):
                    ap = b.add(b.mul(m0, I64(self.k)), b.mul(skip, I64(height)))
                    args = [b.gep(a, [ap]), source, b.gep(y, [b.mul(m0, plane)])]
                    args += [b.gep(self.vectors, [start]), self.offsets, deep]
                    b.call(self._tile(height, many), [*args, plane, first])

                _split(b, self.m, rows, tile)

            _split(b, count, columns, strip)

    def _tile(self, rows, columns):
        p, table = self.scalar.as_pointer(), I64.as_pointer()
        runs = self.places.runs
        kinds = [p, p, p, table, table, I64, I64, BIT]
        f, b = self.tile(f"slide{runs}", (rows, columns), *kinds)
        if b is None:
            return f
        a, source, y, vectors, offsets, count, step, first = f.args
        places = [self.places.read(self, b, vectors, j) for j in range(columns)]

        def go(k, acc):
            image = b.gep(source, [b.load(b.gep(offsets, [k]))])
            xs = [place.load(self, b, image) for place in places]
            row = b.gep(a, [b.mul(k, I64(rows))])
            ws = [self.splat(b, b.load(b.gep(row, [I64(i)]))) for i in range(rows)]
            return self.products(b, ws, xs, acc)

        spots = [
            (b.gep(y, [b.add(b.mul(I64(i), step), place.to)]), place.mask)
            for i in range(rows)
            for place in places
        ]
        acc = repeat(b, I64(0), count, 1, self.begin(b, first, spots), go)
        for x, (to, mask) in zip(acc, spots, strict=True):
            self.store(b, x, to, mask)
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
        self.images = _room(self.many * self.frame.elements, s.lanes)
        self.places = Places(self.frame, s.out, s.stride, s.lanes, _tile_sizes(s.o)[0])
        self.bytes = self.images * s.item

    def write(self, b, x, y, w, room):
        s, frame = self.shape, self.frame
        taps = s.tap_offsets(frame)
        self.offsets = self.table(
            "taps", [c * frame.plane + t for c in range(s.c) for t in taps]
        )
        self.vectors = self.table("places", self.places.table)
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
        sizes += [I64(self.places.full), I64(self.places.count), I64(s.places)]

        def strip(o0, height):
            yp = b.gep(y, [b.mul(o0, I64(s.places))])

            def tile(k0, width):
                taps = [
                    b.load(b.gep(self.offsets, [b.add(k0, I64(j))]))
                    for j in range(width)
                ]
                to = b.gep(w, [b.add(b.mul(o0, I64(self.k)), k0)])
                sources = [b.gep(frame, [t]) for t in taps]
                args = [yp, self.vectors, *sizes, to, I64(self.k), first, *sources]
                b.call(self._tile(height, width), args)

            _split(b, self.k, columns, tile)

        _split(b, s.o, rows, strip)

    def _tile(self, rows, columns):
        """Over images and the vectors of their places; then lanes are summed."""
        p = self.scalar.as_pointer()
        kinds = [p, I64.as_pointer(), *[I64] * 6, p, I64, BIT, *[p] * columns]
        name = f"weigh{self.places.runs}."
        f, b = self.tile(name, (rows, columns), *kinds)
        if b is None:
            return f
        y, vectors, images, x_image, y_image, full, count, plane = f.args[:8]
        w, step, first, *sources = f.args[8:]

        def image(n, acc):
            xn, yn = b.mul(n, x_image), b.gep(y, [b.mul(n, y_image)])
            frames = [b.gep(x, [xn]) for x in sources]

            def go(v, acc, masked=False):
                place = self.places.read(self, b, vectors, v)
                xs = [place.load(self, b, x, masked) for x in frames]
                mask, row = place.mask if masked else None, b.gep(yn, [place.to])
                ys = [
                    self.load(b, b.gep(row, [b.mul(I64(i), plane)]), mask)
                    for i in range(rows)
                ]
                return self.products(b, ys, xs, acc)

            acc = repeat(b, I64(0), full, 1, acc, go)
            return repeat(b, full, count, 1, acc, lambda v, acc: go(v, acc, True))

        acc = [self.zero] * (rows * columns)
        acc = repeat(b, I64(0), images, 1, acc, image)
        self._add(b, w, step, self.totals(b, acc), first, (rows, columns))
        b.ret_void()
        return f

    def _add(self, b, w, step, sums, first, sizes):
        """A tile's sums, one after the other in the lanes of vectors, to memory."""
        rows, columns = sizes
        with b.goto_entry_block():
            spare = b.alloca(self.scalar, len(sums) * self.w)
        for i, x in enumerate(sums):
            self.store(b, x, b.gep(spare, [I64(i * self.w)]))
        for i, j in itertools.product(range(rows), range(columns)):
            x = b.load(b.gep(spare, [I64(i * columns + j)]))
            to = b.gep(w, [b.add(b.mul(I64(i), step), I64(j))])
            b.store(b.select(first, x, b.fadd(b.load(to), x)), to)


def _room(elements, lanes):
    """Elements in whole vectors, and one more, for loads may go beyond the last."""
    return -(-elements // lanes) * lanes + lanes


_KINDS = {"conv": _Slide, "conv_data": _Slide, "conv_weight": _Weights}


def function(o, module, scalar, name):
    """function(first operand, second, result, scratch) of this convolution."""
    return _KINDS[o.prim.name](o).build(module, scalar, name)
