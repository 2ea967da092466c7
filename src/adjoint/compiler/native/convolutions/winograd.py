"""Convolution by small tiles: 3x3 kernels in 16 products where the plain sum has 36.

The 2x2 results of a tile depend on 4x4 elements. With three linear maps (elements to 16 numbers,
kernel to 16 numbers, their products, summed over channels, to 4 results) they take 16
multiplications a channel: Winograd's F(2x2, 3x3). The gradient of the kernel is the same read
backwards. The maps only add and halve, so that a result is about as accurate as the plain sum.
An infinity would spoil its neighbours: where a result is not finite, plain sums do it again.
"""

from __future__ import annotations

import functools
import math

from ..llvm import text as ir
from ..llvm.flow import least, loop, split, split_between
from ..llvm.types import BIT, I32, I64
from ..products.matmul import VECTORS, tile_rows
from ..products.panels import Panels
from .frame import Frame
from .geometry import Shape

SIDE, PLACES = 2, 16  # results of a tile along a side, and numbers that it becomes
CHANNELS, TILES = 16, 64  # from which on it pays
ROOM = 3 * 2**18  # bytes of tiles that stay in the second cache level


def fits(o) -> bool:
    """Whether a convolution, or one of its gradients, is done in tiles."""
    if o.outputs[0].spec.dtype != "float32":
        return False
    s = Shape(o)
    plain = s.kernel == (3, 3) and {*s.stride, *s.dilation} == {1}
    tiles = s.n * math.prod(-(-n // SIDE) for n in s.out)
    return plain and min(s.c, s.o) >= CHANNELS and tiles >= TILES


def kernel(o, plain):
    """What computes it; `plain` does so by plain sums."""
    return (_Weights if o.prim.name == "conv_weight" else _Results)(o, plain)


class _Small(Panels):
    """Images as tiles, some at a time: numbers (place, channel, tile), for `size` results."""

    def __init__(self, o, plain, size):
        self.shape, self.plain, self.size = Shape(o), plain, size
        self.down, self.across = (-(-n // SIDE) for n in size)
        self._blocks()

    def _blocks(self):
        """How many images, or rows of tiles of one, are together, and the room for a channel."""
        s, lanes = self.shape, self.shape.lanes
        both, image = s.o + s.c, self.down * self.across
        tiles = max(ROOM // (PLACES * both * s.item), s.o * s.c // both)
        self.many = max(1, min(s.n, tiles // image))
        parts = 1 if self.many > 1 else -(-image // tiles)
        self.deep = -(-self.down // min(parts, self.down))
        over = -(-self.across // lanes) * lanes - self.across
        count = self.many * self.deep * self.across
        self.row = -(-(count + over) // lanes) * lanes

    def plane(self, channels: int) -> int:
        """Elements of one place of all channels; planes do not meet in the cache."""
        return channels * self.row + 3 * self.shape.lanes

    def placed(self, *sizes: int) -> list[int]:
        """Where parts of these sizes begin in the scratch, and where the last ends."""
        lanes = self.shape.lanes
        sizes = [-(-n // lanes) * lanes for n in sizes]
        return [sum(sizes[:i]) for i in range(len(sizes) + 1)]

    def room(self, frame) -> int:
        """Elements of a frame, beyond whose end vectors are loaded too."""
        return frame.elements + 4 * self.shape.lanes

    def build(self, module, scalar, name):
        """function(first operand, second, result, scratch, first image, the one after the last)."""
        super().__init__(module, scalar)
        self.name = name
        p = scalar.as_pointer()
        f, b = self.function(name, p, p, p, p, I64, I64)
        plain = self.plain.build(module, scalar, f"{name}.plain")
        self.odd = b.alloca(self.vector)
        self.write(b, plain, *f.args)
        b.ret_void()
        return f

    def image(self, b, p, number, channels, size):
        """Where an image of a group begins."""
        return b.gep(p, [b.mul(number, I64(channels * math.prod(size)))])

    def spread(self, b, frame, of, to, how, block):
        """Elements in a frame to 16 numbers a tile, `how` the map of so many along a side.

        Vectors go over the end of a row of tiles; the next row comes after. The block is
        (its number among those together, first row, rows).
        """
        channels, plane = frame.channels, self.plane(frame.channels)
        number, t0, deep = block
        start = b.mul(number, I64(deep * self.across))
        change, n = how
        with loop(b, 0, channels, 1) as c, loop(b, 0, deep, 1) as t:
            first = b.mul(b.add(t0, t), I64(SIDE * frame.steps[0]))
            source = b.gep(of, [b.add(b.mul(c, I64(frame.plane)), first)])
            at = b.add(b.mul(c, I64(self.row)), b.mul(t, I64(self.across)))
            target = b.gep(to, [b.add(at, start)])
            with loop(b, 0, self.across, self.w) as i:
                places = [frame.offset(row, k) for row in range(n) for k in range(n)]
                xs = [self.load(b, b.gep(source, [b.add(i, I64(p))])) for p in places]
                for k, x in enumerate(_both(functools.partial(change, b), xs, n)):
                    self.store(b, x, b.gep(target, [b.add(i, I64(k * plane))]))

    def watch(self, b, xs, mask):
        """Add NaN to what is kept where one of these is not finite."""
        total = b.fmul(functools.reduce(b.fadd, xs), self.zero)
        total = b.select(mask, total, self.zero)
        b.store(b.fadd(b.load(self.odd), total), self.odd)

    def spoilt(self, b):
        """Whether a lane of what is kept is not a number."""
        x = b.load(self.odd)
        bits = ir.IntType(self.w)
        lanes = b.bitcast(b.fcmp_unordered("uno", x, x), bits)
        return b.if_then(b.icmp_unsigned("!=", lanes, bits(0)), likely=False)


class _Results(_Small):
    """y(n,m,·) = Σ w(m,c) x(n,c,·), and for gradients of x with m and c changed about."""

    def __init__(self, o, plain):
        s = Shape(o)
        self.back = o.prim.name == "conv_data"
        self.m, self.c = (s.c, s.o) if self.back else (s.o, s.c)
        super().__init__(o, plain, s.size if self.back else s.out)
        plain.shape.n = 1
        frame, grid = s.backward() if self.back else s.forward()
        grid = grid[0] if self.back else grid
        order = sorted(zip(grid.offsets, grid.taps, strict=True))
        self.taps = [tap for _, tap in order]  # by the place that they meet
        self.frame = _frame(self.c, frame, self.down, self.across, 2)
        planes = [PLACES * self.plane(n) for n in (self.c, self.m)]
        weights = s.groups * PLACES * self.m * self.c
        self.starts = self.placed(self.room(self.frame), *planes, weights)
        self.bytes = self.starts[-1] * s.item + plain.bytes

    def write(self, b, plain, source, w, y, room, start, stop):
        """All images of each group, some at a time."""
        s = self.shape
        tiles, sums, weights, rest = (b.gep(room, [I64(n)]) for n in self.starts[1:])
        self.clear(b, room, self.starts[1])
        self._weights(b, w, weights)
        with loop(b, 0, s.groups, 1) as g:
            ws = b.gep(weights, [b.mul(g, I64(PLACES * self.m * self.c))])

            def some(n0, many):
                b.store(self.zero, self.odd)
                self._some(b, (g, n0, many), (source, ws, y), (room, tiles, sums))
                with self.spoilt(b):
                    self._plainly(b, plain, (n0, many), (source, w, y, rest))

            split_between(b, start, stop, s.n, self.many, some)

    def _some(self, b, images, places, rooms):
        """`many` images from n0 on of a group, as they are unless something is not finite."""
        (g, n0, many), (source, ws, y), (room, tiles, sums) = images, places, rooms

        def number(i):
            return b.add(b.mul(b.add(n0, i), I64(self.shape.groups)), g)

        def fill(i):
            of = self.image(b, source, number(i), self.c, self.frame.sizes)
            self.frame.fill(self, b, of, room)

        def rows(t0, deep):
            with loop(b, 0, many, 1) as i:
                if many > 1:
                    fill(i)
                self.spread(b, self.frame, room, tiles, (_input, 4), (i, t0, deep))
            self._multiply(b, ws, tiles, sums, many * deep * self.across)
            with loop(b, 0, many, 1) as i:
                to = self.image(b, y, number(i), self.m, self.size)
                self._gather(b, sums, to, (i, t0, deep))

        if many == 1:
            fill(I64(0))
        split(b, self.down, self.deep, rows)

    def _plainly(self, b, plain, images, places):
        """The same images of all groups by plain sums."""
        (n0, many), (source, w, y, rest) = images, places
        groups = self.shape.groups
        with loop(b, 0, many, 1) as i:
            n = b.add(n0, i)
            of = self.image(b, source, n, groups * self.c, self.frame.sizes)
            to = self.image(b, y, n, groups * self.m, self.size)
            b.call(plain, [of, w, to, rest, I64(0), I64(1)])

    def _weights(self, b, w, out):
        """Kernels as 16 numbers each: (place, tile of rows, channel, row)."""
        s, taps = self.shape, len(self.taps)
        step_m, step_c = (taps, s.c * taps) if self.back else (s.c * taps, taps)
        with loop(b, 0, s.groups, 1) as g:
            of = b.gep(w, [b.mul(g, I64(self.m * self.c * taps))])
            to = b.gep(out, [b.mul(g, I64(PLACES * self.m * self.c))])

            def tile(m0, rows):
                kind = ir.VectorType(self.scalar, rows)
                with loop(b, 0, self.c, 1) as c:
                    at = b.add(b.mul(m0, I64(step_m)), b.mul(c, I64(step_c)))
                    here = b.gep(of, [at])
                    places = [[k + r * step_m for r in range(rows)] for k in self.taps]
                    xs = [_joined(b, here, kind, numbers) for numbers in places]
                    at = b.add(b.mul(m0, I64(self.c)), b.mul(c, I64(rows)))
                    there = b.gep(to, [at])
                    for i, x in enumerate(_both(functools.partial(_kernel, b), xs, 3)):
                        p = b.gep(there, [I64(i * self.m * self.c)])
                        b.store(x, b.bitcast(p, kind.as_pointer()), align=4)

            split(b, self.m, tile_rows(), tile)

    def _multiply(self, b, weights, tiles, sums, count):
        """For each of the 16 places: rows by channels times channels by tiles."""
        vectors = -(-count // self.w)
        parts = -(-vectors // VECTORS)
        widths = [(vectors + i) // parts for i in range(parts)]
        with loop(b, 0, PLACES, 1) as k:
            a = b.gep(weights, [b.mul(k, I64(self.m * self.c))])
            of = b.gep(tiles, [b.mul(k, I64(self.plane(self.c)))])
            to = b.gep(sums, [b.mul(k, I64(self.plane(self.m)))])

            def tile(m0, rows):
                am = b.gep(a, [b.mul(m0, I64(self.c))])
                tm = b.gep(to, [b.mul(m0, I64(self.row))])
                sizes = [I64(n) for n in (1, rows, self.row, self.w, self.row)]
                for i, many in enumerate(widths):
                    at = I64(sum(widths[:i]) * self.w)
                    args = [am, b.gep(of, [at]), b.gep(tm, [at]), I64(self.c), BIT(1)]
                    kernel = self.kernel_beside(rows, many, whole=True)
                    b.call(kernel, [*args, *sizes])

            split(b, self.m, tile_rows(), tile)

    def _gather(self, b, sums, y, block):
        """The sums of 16 numbers to results: pairs of rows, whose columns interleave."""
        (height, width), w, plane = self.size, self.w, self.plane(self.m)
        number, t0, deep = block
        start = b.mul(number, I64(deep * self.across))
        with loop(b, 0, self.m, 1) as m, loop(b, 0, deep, 1) as t:
            at = b.add(b.mul(m, I64(self.row)), b.mul(t, I64(self.across)))
            of = b.gep(sums, [b.add(at, start)])
            row = b.mul(b.add(t0, t), I64(SIDE))
            to = b.gep(y, [b.mul(b.add(b.mul(m, I64(height)), row), I64(width))])
            below = b.icmp_signed("<", b.add(row, I64(1)), I64(height))
            with loop(b, 0, self.across, w) as i:
                places = [b.add(i, I64(k * plane)) for k in range(PLACES)]
                xs = [self.load(b, b.gep(of, [p])) for p in places]
                ys = _both(functools.partial(_output, b), xs, 4)
                self.watch(b, ys, self.below(b, b.sub(I64(self.across), i)))
                column = b.mul(i, I64(SIDE))
                here, left = b.gep(to, [column]), b.sub(I64(width), column)
                self._pair(b, ys[:2], here, left)
                with b.if_then(below):
                    self._pair(b, ys[2:], b.gep(here, [I64(width)]), left)

    def _pair(self, b, xs, to, left):
        """Two vectors interleaved, as far as `left` elements go."""
        w = self.w
        for i in range(2):
            half = range(i * w // 2, (i + 1) * w // 2)
            order = [j for k in half for j in (k, w + k)]
            x = b.shuffle_vector(*xs, ir.Constant(ir.VectorType(I32, w), order))
            mask = self.below(b, b.sub(left, I64(i * w)))
            self.store(b, x, b.gep(to, [I64(i * w)]), mask)


class _Weights(_Small):
    """w(o,c,·) = Σ y(n,o,·) x(n,c,·)."""

    def __init__(self, o, plain):
        s = Shape(o)
        super().__init__(o, plain, s.out)
        frame, grid = s.forward()
        self.taps = grid.taps
        self.x = _frame(s.c, frame, self.down, self.across, 2)
        self.y = _frame(
            s.o, Frame(s.o, s.out, s.out, (0, 0), 1), self.down, self.across
        )
        self.channels = -(-s.c // s.lanes) * s.lanes
        frames = [self.room(f) for f in (self.x, self.y)]
        planes = [PLACES * self.plane(n) for n in (s.c, s.o)]
        panel, sums = self.row * VECTORS * s.lanes, PLACES * s.o * self.channels
        self.starts = self.placed(*frames, *planes, panel, sums)
        self.bytes = self.starts[-1] * s.item + plain.bytes

    def write(self, b, plain, x, y, w, room, start, stop):
        """The kernels of each group, from all images."""
        s = self.shape
        of_y, xs, ys, panel, sums, rest = (
            b.gep(room, [I64(n)]) for n in self.starts[1:]
        )
        sides = (
            (self.x, x, room, xs, (_input, 4)),
            (self.y, y, of_y, ys, (_turned_output, 2)),
        )
        self.clear(b, room, self.starts[2])
        b.store(self.zero, self.odd)
        with loop(b, 0, s.groups, 1) as g:

            def some(n0, many):
                self._some(b, (g, n0, many), sides, (ys, xs, panel, sums), start)

            split_between(b, start, stop, s.n, self.many, some)
            self._gather(b, sums, b.gep(w, [b.mul(g, I64(s.o * s.c * len(self.taps)))]))
        with self.spoilt(b):
            b.call(plain, [x, y, w, rest, start, stop])

    def _some(self, b, images, sides, places, start):
        """Add up `many` images from n0 on of a group; the first, `start`, is there alone."""
        g, n0, many = images

        def fill(i):
            number = b.add(b.mul(b.add(n0, i), I64(self.shape.groups)), g)
            for frame, source, to, *_ in sides:
                of = self.image(b, source, number, frame.channels, frame.sizes)
                frame.fill(self, b, of, to)

        def rows(t0, deep):
            with loop(b, 0, many, 1) as i:
                if many > 1:
                    fill(i)
                for frame, _, of, to, how in sides:
                    self.spread(b, frame, of, to, how, (i, t0, deep))
            first = b.icmp_signed("==", b.add(n0, t0), start)
            self._multiply(b, places, many * deep * self.across, first)

        if many == 1:
            fill(I64(0))
        split(b, self.down, self.deep, rows)

    def _multiply(self, b, places, count, first):
        """For each of the 16 places: rows by tiles times tiles by channels, added up."""
        s, wide = self.shape, VECTORS * self.w
        with loop(b, 0, PLACES, 1) as k:
            sizes = self.plane(s.o), self.plane(s.c), 0, s.o * self.channels
            ys, xs, panel, sums = (
                b.gep(p, [b.mul(k, I64(n))]) for p, n in zip(places, sizes, strict=True)
            )

            def columns(c0, many):
                vectors, lanes = -(-many // self.w), I64((many - 1) % self.w + 1)
                of = b.gep(xs, [b.mul(c0, I64(self.row))])
                self.turn(b, of, panel, I64(count), I64(self.row), vectors, lanes)

                def tile(m0, rows):
                    a = b.gep(ys, [b.mul(m0, I64(self.row))])
                    to = b.gep(sums, [b.add(b.mul(m0, I64(self.channels)), c0)])
                    steps = [I64(n) for n in (self.row, 1, self.channels)]
                    args = [a, panel, to, I64(count), first, *steps, lanes]
                    b.call(self.kernel(rows, vectors), args)

                split(b, s.o, tile_rows(), tile)

            split(b, s.c, wide, columns)

    def _gather(self, b, sums, w):
        """The sums of 16 numbers to the elements of kernels."""
        s, taps = self.shape, len(self.taps)
        with b.goto_entry_block():
            spare = b.alloca(self.scalar, taps * self.w)
        with loop(b, 0, s.o, 1) as m, loop(b, 0, s.c, self.w) as c:
            of = b.gep(sums, [b.add(b.mul(m, I64(self.channels)), c)])
            places = [I64(k * s.o * self.channels) for k in range(PLACES)]
            xs = [self.load(b, b.gep(of, [p])) for p in places]
            found = _both(functools.partial(_turned_kernel, b), xs, 4)
            left = b.sub(I64(s.c), c)
            self.watch(b, found, self.below(b, left))
            for tap, x in zip(self.taps, found, strict=True):
                self.store(b, x, b.gep(spare, [I64(tap * self.w)]))
            left = least(b, left, I64(self.w))
            to = b.gep(w, [b.mul(b.add(b.mul(m, I64(s.c)), c), I64(taps))])
            with loop(b, 0, left, 1) as i:
                for tap in range(taps):
                    x = b.load(b.gep(spare, [b.add(i, I64(tap * self.w))]))
                    b.store(x, b.gep(to, [b.add(b.mul(i, I64(taps)), I64(tap))]))


def _frame(channels, frame, down, across, beyond=0):
    """The frame in two phases, with room for whole tiles."""
    extents = (SIDE * down + beyond, SIDE * across + beyond)
    return Frame(channels, frame.sizes, extents, frame.starts, SIDE)


def _joined(b, source, kind, places):
    """A vector of numbers from anywhere."""
    x = ir.Constant(kind, ir.Undefined)
    for i, place in enumerate(places):
        x = b.insert_element(x, b.load(b.gep(source, [I64(place)])), I32(i))
    return x


# ------------------------------------------------------------ the maps, along one side


def _both(f, xs, n):
    """f along the columns, then along the rows, of an n-column matrix given row by row."""
    columns = [f(xs[j::n]) for j in range(n)]
    rows = zip(*columns, strict=True)
    return [x for row in rows for x in f(list(row))]


def _input(b, x):
    ends = b.fsub(x[0], x[2]), b.fsub(x[1], x[3])
    return [ends[0], b.fadd(x[1], x[2]), b.fsub(x[2], x[1]), ends[1]]


def _half(b, x):
    return b.fmul(x, ir.Constant(x.type, [0.5] * x.type.count))


def _kernel(b, x):
    ends, middle = (_half(b, t) for t in (b.fadd(x[0], x[2]), x[1]))
    return [x[0], b.fadd(ends, middle), b.fsub(ends, middle), x[2]]


def _output(b, x):
    return [b.fadd(b.fadd(x[0], x[1]), x[2]), b.fsub(b.fsub(x[1], x[2]), x[3])]


def _turned_output(b, x):
    return [x[0], b.fadd(x[0], x[1]), b.fsub(x[0], x[1]), b.fneg(x[1])]


def _turned_kernel(b, x):
    ends, middle = (_half(b, f(x[1], x[2])) for f in (b.fadd, b.fsub))
    return [b.fadd(x[0], ends), middle, b.fadd(ends, x[3])]
