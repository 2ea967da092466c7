"""Convolution by small tiles: 3x3 kernels in 16 products where the sum needs 36.

Four neighbouring results of a row and column pair depend on 4x4 elements. With three linear maps
(input to 16 numbers, kernel to 16 numbers, their products, summed over channels, to 4 results)
they take 16 multiplications a channel: Winograd's F(2x2, 3x3). The maps only add and halve, so
that a result is about as accurate as the plain sum. An infinity would spoil its neighbours:
an image with results that are not finite is done again by plain sums.
"""

from __future__ import annotations

import functools
import math

from llvmlite import ir

from .frame import Frame
from .geometry import Shape
from .matmul import Tiles
from .vectors import I32, I64, loop, repeat, split

SIDE, PLACES = 2, 16  # results of a tile along a side, and numbers that it becomes
CHANNELS, TILES = 16, 64  # from which on it pays
ROWS, COLUMNS = 8, 3  # of the products, in registers
ROOM = 3 * 2**18  # bytes of tiles that stay in the second cache level


def fits(o) -> bool:
    """Whether a convolution, or the gradient of its input, is done in tiles."""
    if o.prim.name == "conv_weight" or o.outputs[0].spec.dtype != "float32":
        return False
    s = Shape(o)
    plain = s.kernel == (3, 3) and {*s.stride, *s.dilation} == {1}
    size = s.size if o.prim.name == "conv_data" else s.out
    tiles = s.n * math.prod(-(-n // SIDE) for n in size)
    return plain and min(s.c, s.o) >= CHANNELS and tiles >= TILES


class Winograd(Tiles):
    """y(n,m,·) = Σ w(m,c) x(n,c,·), and for gradients with m and c changed about.

    `plain` is the same convolution of one image by plain sums.
    """

    def __init__(self, o, plain):
        self.plain, plain.shape.n = plain, 1
        self.shape = s = Shape(o)
        self.back = o.prim.name == "conv_data"
        self.m, self.c = (s.c, s.o) if self.back else (s.o, s.c)
        self.size = s.size if self.back else s.out
        frame, grids = s.backward() if self.back else s.forward()
        grid = grids[0] if self.back else grids
        order = sorted(zip(grid.offsets, grid.taps, strict=True))
        self.taps = [tap for _, tap in order]  # by the place that they meet
        self.down, self.across = (-(-n // SIDE) for n in self.size)
        extents = (SIDE * self.down + 2, SIDE * self.across + 2)
        self.frame = Frame(frame.channels, frame.sizes, extents, frame.starts, SIDE)
        row = PLACES * (self.m + self.c) * self.across * s.item
        self.deep = -(-self.down // -(-self.down // max(1, ROOM // row)))
        lanes = s.lanes
        self.tiles = -(-self.deep * self.across // lanes) * lanes  # of a block, rounded
        self.spots = self.tiles + lanes  # and what stores beyond a row's end may reach
        self.plane_in, self.plane_out = (
            n * self.tiles + 3 * lanes for n in (self.c, self.m)
        )
        self.images = -(-self.frame.elements // lanes) * lanes + 4 * lanes
        self.weights = s.groups * PLACES * self.m * self.c
        parts = self.images, PLACES * self.plane_in, PLACES * self.plane_out
        parts = *parts, -(-self.weights // lanes) * lanes
        self.starts = [sum(parts[:i]) for i in range(5)]
        self.bytes = self.starts[-1] * s.item + plain.bytes

    def build(self, module, scalar, name):
        """function(first operand, second, result, scratch), which computes it."""
        super().__init__(module, scalar)
        self.name = name
        p = scalar.as_pointer()
        f, b = self.function(name, p, p, p, p)
        plain = self.plain.build(module, scalar, f"{name}.plain")
        self._write(b, plain, *f.args)
        b.ret_void()
        return f

    def _write(self, b, plain, source, w, y, room):
        s, frame = self.shape, self.frame
        tiles, sums, weights, rest = (b.gep(room, [I64(n)]) for n in self.starts[1:])
        with loop(b, 0, self.images, self.w) as i:
            self.store(b, self.zero, b.gep(room, [i]))
        self._weights(b, w, weights)
        size, plane = frame.channels * math.prod(frame.sizes), math.prod(self.size)
        with b.goto_entry_block():
            odd = b.alloca(self.vector)
        with loop(b, 0, s.n, 1) as n:
            image = b.gep(source, [b.mul(n, I64(size))])
            frame.fill(self, b, image, room)
            b.store(self.zero, odd)
            to = b.gep(y, [b.mul(n, I64(s.groups * self.m * plane))])
            with loop(b, 0, s.groups, 1) as g:
                yg = b.gep(to, [b.mul(g, I64(self.m * plane))])
                of = b.gep(room, [b.mul(g, I64(self.c * frame.plane))])
                ws = b.gep(weights, [b.mul(g, I64(PLACES * self.m * self.c))])

                def block(t0, deep):
                    self._spread(b, of, tiles, t0, deep)
                    self._multiply(b, ws, tiles, sums, deep * self.across)
                    self._gather(b, sums, yg, t0, deep, odd)

                split(b, self.down, self.deep, block)
            with b.if_then(self._spoilt(b, odd), likely=False):
                b.call(plain, [image, w, to, rest])

    def _spoilt(self, b, odd):
        """Whether a lane of what was found is not a number."""
        x = b.load(odd)
        bits = ir.IntType(self.w)
        return b.icmp_unsigned(
            "!=", b.bitcast(b.fcmp_unordered("uno", x, x), bits), bits(0)
        )

    # ------------------------------------------------------------ the three maps

    def _weights(self, b, w, out):
        """Kernels as 16 numbers each: (place, tile of rows, channel, row)."""
        s = self.shape
        step_m, step_c = (len(self.taps), s.c * len(self.taps))
        if not self.back:
            step_m, step_c = step_c, step_m
        with loop(b, 0, s.groups, 1) as g:
            of = b.gep(w, [b.mul(g, I64(self.m * self.c * len(self.taps)))])
            to = b.gep(out, [b.mul(g, I64(PLACES * self.m * self.c))])

            def tile(m0, rows):
                with loop(b, 0, self.c, 1) as c, loop(b, 0, rows, 1) as r:
                    at = b.mul(b.add(m0, r), I64(step_m))
                    here = b.gep(of, [b.add(at, b.mul(c, I64(step_c)))])
                    g = [b.load(b.gep(here, [I64(k)])) for k in self.taps]
                    at = b.add(b.mul(m0, I64(self.c)), b.mul(c, I64(rows)))
                    there = b.gep(to, [b.add(at, r)])
                    spread = _both(functools.partial(_kernel, b), g, 3)
                    for i, x in enumerate(spread):
                        b.store(x, b.gep(there, [I64(i * self.m * self.c)]))

            split(b, self.m, ROWS, tile)

    def _spread(self, b, frame, tiles, t0, deep):
        """Elements to 16 numbers a tile: (place, channel, tile).

        Vectors go over the end of a row of tiles; the next row comes after.
        """
        f = self.frame
        with loop(b, 0, self.c, 1) as c, loop(b, 0, deep, 1) as t:
            down = b.mul(b.add(t0, t), I64(SIDE * f.steps[0]))
            of = b.gep(frame, [b.add(b.mul(c, I64(f.plane)), down)])
            at = b.add(b.mul(c, I64(self.tiles)), b.mul(t, I64(self.across)))
            to = b.gep(tiles, [at])
            with loop(b, 0, self.across, self.w) as i:
                xs = [
                    self.load(b, b.gep(of, [b.add(i, I64(f.offset(row, column)))]))
                    for row in range(4)
                    for column in range(4)
                ]
                for k, x in enumerate(_both(functools.partial(_input, b), xs, 4)):
                    p = b.gep(to, [b.add(i, I64(k * self.plane_in))])
                    self.store(b, x, p)

    def _gather(self, b, sums, y, t0, deep, odd):
        """The sums of 16 numbers to results: pairs of rows, whose columns interleave.

        `odd` has NaN added where a result is not finite.
        """
        (height, width), w = self.size, self.w
        with loop(b, 0, self.m, 1) as m, loop(b, 0, deep, 1) as t:
            at = b.add(b.mul(m, I64(self.tiles)), b.mul(t, I64(self.across)))
            of = b.gep(sums, [at])
            row = b.mul(b.add(t0, t), I64(SIDE))
            to = b.add(b.mul(m, I64(height)), row)
            to = b.gep(y, [b.mul(to, I64(width))])
            with loop(b, 0, self.across, w) as i:
                xs = [
                    self.load(b, b.gep(of, [b.add(i, I64(k * self.plane_out))]))
                    for k in range(PLACES)
                ]
                ys = _both(functools.partial(_output, b), xs, 4)
                mask = self.below(b, b.sub(I64(self.across), i))
                total = b.fmul(functools.reduce(b.fadd, ys), self.zero)
                total = b.select(mask, total, self.zero)
                b.store(b.fadd(b.load(odd), total), odd)
                y00, y01, y10, y11 = ys
                column = b.mul(i, I64(SIDE))
                here = b.gep(to, [column])
                left = b.sub(I64(width), column)
                self._pair(b, y00, y01, here, left)
                below = b.icmp_signed("<", b.add(row, I64(1)), I64(height))
                with b.if_then(below):
                    self._pair(b, y10, y11, b.gep(here, [I64(width)]), left)

    def _pair(self, b, even, odd, to, left):
        """Two vectors interleaved, as far as `left` elements go."""
        w = self.w
        for i in range(2):
            start = i * w // 2
            order = [j for k in range(start, start + w // 2) for j in (k, w + k)]
            x = b.shuffle_vector(even, odd, ir.Constant(ir.VectorType(I32, w), order))
            mask = self.below(b, b.sub(left, I64(i * w)))
            self.store(b, x, b.gep(to, [I64(i * w)]), mask)

    # ------------------------------------------------------------ products

    def _multiply(self, b, weights, tiles, sums, count):
        """For each of the 16 places: rows by channels times channels by tiles."""
        vectors = -(-count // self.w)
        parts = -(-vectors // COLUMNS)
        with loop(b, 0, PLACES, 1) as k:
            a = b.gep(weights, [b.mul(k, I64(self.m * self.c))])
            of = b.gep(tiles, [b.mul(k, I64(self.plane_in))])
            to = b.gep(sums, [b.mul(k, I64(self.plane_out))])

            def tile(m0, rows):
                am = b.gep(a, [b.mul(m0, I64(self.c))])
                tm = b.gep(to, [b.mul(m0, I64(self.tiles))])
                start = 0
                for i in range(parts):
                    many = (vectors - start) // (parts - i)
                    at = I64(start * self.w)
                    args = [am, b.gep(of, [at]), b.gep(tm, [at])]
                    args += [I64(self.c), I64(self.tiles)]
                    b.call(self._product(rows, many), args)
                    start += many

            split(b, self.m, ROWS, tile)

    def _product(self, rows, many):
        """(a, x, y, how deep, step of the rows of x and y): y = a x for one tile of y."""
        p = self.scalar.as_pointer()
        f, b = self.tile("winograd", (rows, many), p, p, p, I64, I64)
        if b is None:
            return f
        for pointer in f.args[:3]:
            pointer.add_attribute("noalias")
        a, x, y, deep, step = f.args

        def go(k, acc):
            row = b.gep(x, [b.mul(k, step)])
            xs = [
                self.load(b, b.gep(row, [I64(j * self.w)]), align=64)
                for j in range(many)
            ]
            ak = b.gep(a, [b.mul(k, I64(rows))])
            ws = [self.splat(b, b.load(b.gep(ak, [I64(i)]))) for i in range(rows)]
            return self.products(b, ws, xs, acc)

        acc = repeat(b, I64(0), deep, 1, [self.zero] * (rows * many), go)
        for n, t in enumerate(acc):
            i, j = divmod(n, many)
            at = b.add(b.mul(I64(i), step), I64(j * self.w))
            self.store(b, t, b.gep(y, [at]), align=64)
        b.ret_void()
        return f


def _both(f, xs, n):
    """f along the columns, then along the rows, of an n-column matrix given row by row."""
    columns = [f(xs[j::n]) for j in range(n)]
    rows = zip(*columns, strict=True)
    return [x for row in rows for x in f(list(row))]


def _input(b, d):
    return [
        b.fsub(d[0], d[2]),
        b.fadd(d[1], d[2]),
        b.fsub(d[2], d[1]),
        b.fsub(d[1], d[3]),
    ]


def _kernel(b, g):
    half = ir.Constant(g[0].type, 0.5)
    ends, middle = (b.fmul(x, half) for x in (b.fadd(g[0], g[2]), g[1]))
    return [g[0], b.fadd(ends, middle), b.fsub(ends, middle), g[2]]


def _output(b, m):
    return [
        b.fadd(b.fadd(m[0], m[1]), m[2]),
        b.fsub(b.fsub(m[1], m[2]), m[3]),
    ]
