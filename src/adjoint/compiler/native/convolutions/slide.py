"""Results of convolutions, and gradients of inputs, which are convolutions by the flipped kernel:
tiles of channels by vectors of neighbouring places.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from ..llvm import text as ir
from ..llvm.flow import least, loop, repeat, split
from ..llvm.types import BIT, I64
from .places import Places
from .plain import Plain, in_vectors, tile_sizes

DEPTH = 1024  # elements of the kernel that a result is summed over at once
MANY = 32  # channels for which vectors of several runs are packed before


class Slide(Plain):
    """y(n,m,p) = Σ a(m,k) frame(n, k, p): results, or input gradients, grid by grid."""

    def __init__(self, o):
        super().__init__(o)
        s = self.shape
        self.back = o.prim.name == "conv_data"
        self.m, self.c = (s.c, s.o) if self.back else (s.o, s.c)
        self.size = s.size if self.back else s.out
        if self.back:
            self.frame, self.grids = s.backward()
        else:
            self.frame, grid = s.forward()
            self.grids = [grid]
        self.images = in_vectors(self.frame.elements, s.lanes)
        self.spare = in_vectors(self.m * math.prod(self.size), s.lanes) * self._spread()
        deep = max(DEPTH, s.taps) if self.m >= MANY else 0
        self.panel = deep * tile_sizes(self.m)[1] * s.lanes
        weights = s.groups * self.m * self.c * s.taps
        self.bytes = (self.images + self.spare + self.panel + weights) * s.item

    def _spread(self) -> bool:
        """Whether a grid's results do not lie side by side."""
        return self.grids[0].size != tuple(self.size)

    def tables(self):
        """What the code of each grid reads; its weights lie behind the panel."""
        self.parts, start = [], self.images + self.spare + self.panel
        for i, grid in enumerate(self.grids):
            self.parts.append(_Part(self, grid, i, start))
            start += self.shape.groups * self.m * self.c * len(grid.taps)

    def prepare(self, b, w, room):
        for part in self.parts:
            if part.grid.taps:
                self._pack(b, w, part, b.gep(room, [I64(part.start)]))
        self.clear(b, room, self.images)

    def write(self, b, source, _w, y, room, start, stop):
        s, frame = self.shape, self.frame
        spare = b.gep(room, [I64(self.images)])
        with loop(b, start, stop, 1) as n:
            frame.fill(self, b, b.gep(source, [b.mul(n, I64(frame.source))]), room)
            with loop(b, 0, s.groups, 1) as g:
                image = b.add(b.mul(n, I64(s.groups)), g)
                to = b.gep(y, [b.mul(image, I64(self.m * math.prod(self.size)))])
                of = b.gep(room, [b.mul(g, I64(self.c * frame.plane))])
                for part in self.parts:
                    self._group(b, part, g, of, spare if self.spare else to, room)
                    if self.spare:
                        self._put(b, part.grid, spare, to)

    def _put(self, b, grid, of, to):
        """A grid's results, or zeros, to their places."""
        with loop(b, 0, self.m, 1) as m:
            source = b.gep(of, [b.mul(m, I64(math.prod(grid.size)))])
            target = b.gep(to, [b.mul(m, I64(math.prod(self.size)))])
            self._put_dim(b, grid, source, target, 0)

    def _put_dim(self, b, grid, of, to, d):
        if d == len(grid.size):
            b.store(b.load(of) if grid.taps else self.scalar(0.0), to)
            return
        rest, step = math.prod(grid.size[d + 1 :]), math.prod(self.size[d + 1 :])
        to = b.gep(to, [I64(grid.firsts[d] * step)])
        with loop(b, 0, grid.size[d], 1) as i:
            source = b.gep(of, [b.mul(i, I64(rest))])
            target = b.gep(to, [b.mul(i, I64(grid.spaces[d] * step))])
            self._put_dim(b, grid, source, target, d + 1)

    # ------------------------------------------------------------ weights

    def _pack(self, b, w, part, room):
        """Weights in the order in which tiles read them: (tile, k, row)."""
        s, taps = self.shape, len(part.grid.taps)
        step_m, step_c = s.c * s.taps, s.taps
        if self.back:
            step_m, step_c = step_c, step_m
        with loop(b, 0, s.groups, 1) as g:
            of = b.gep(w, [b.mul(g, I64(self.m * self.c * s.taps))])
            to = b.gep(room, [b.mul(g, I64(self.m * part.k))])

            def tile(m0, rows):
                with loop(b, 0, self.c, 1) as c, loop(b, 0, taps, 1) as t:
                    k = b.add(b.mul(c, I64(taps)), t)
                    here = b.load(b.gep(part.taps, [t]))
                    here = b.add(b.mul(c, I64(step_c)), here)
                    row = b.add(b.mul(m0, I64(part.k)), b.mul(k, I64(rows)))
                    for r in range(rows):
                        at = b.add(here, b.mul(b.add(m0, I64(r)), I64(step_m)))
                        to_r = b.gep(to, [b.add(row, I64(r))])
                        b.store(b.load(b.gep(of, [at])), to_r)

            split(b, self.m, tile_sizes(self.m)[0], tile)

    # ------------------------------------------------------------ tiles

    def _group(self, b, part, g, frame, y, room):
        """A grid's results of one image and group, a few channels deep at a time."""
        if not part.grid.taps:
            return
        columns, taps = tile_sizes(self.m)[1], I64(len(part.grid.taps))
        weights = b.add(I64(part.start), b.mul(g, I64(self.m * part.k)))
        weights = b.gep(room, [weights])
        panel = b.gep(room, [I64(self.images + self.spare)])
        with loop(b, 0, self.c, part.depth) as c0:
            some = least(b, b.sub(I64(self.c), c0), I64(part.depth))
            deep, skip = b.mul(some, taps), b.mul(c0, taps)
            first = b.icmp_signed("==", c0, I64(0))
            source = b.gep(frame, [b.mul(c0, I64(self.frame.plane))])
            of = _Some(weights, skip, source, panel, y, deep, first)

            def strip(v0, many, of=of):
                self._strip(b, part, of, v0, many)

            split(b, part.places.count, columns, strip)

    def _strip(self, b, part, of, v0, many):
        """All channels of results at `many` vectors of places from v0 on."""
        table = b.gep(part.table, [b.mul(v0, I64(part.places.entry))])
        plane = I64(math.prod(part.grid.size))
        if part.packed:
            self._gather(b, part, of, table, many)

        def tile(m0, height):
            a = b.add(b.mul(m0, I64(part.k)), b.mul(of.skip, I64(height)))
            a, y = b.gep(of.weights, [a]), b.gep(of.y, [b.mul(m0, plane)])
            if part.packed:
                self._from_panel(b, of, (height, many), a, y, v0, plane)
                return
            args = [a, of.source, y, table, part.offsets, of.deep, plane, of.first]
            b.call(self._tile(part.places, height, many), args)

        split(b, self.m, tile_sizes(self.m)[0], tile)

    def _from_panel(self, b, of, size, a, y, v0, plane):
        """A tile as one of a product: its places lie side by side, up to the plane's end."""
        height, many = size
        to = b.mul(v0, I64(self.w))
        last = b.add(to, I64((many - 1) * self.w))
        sizes = [I64(1), I64(height), plane, b.sub(plane, last)]
        args = [a, of.panel, b.gep(y, [to]), of.deep, of.first, *sizes]
        b.call(self.kernel(height, many), args)

    def _gather(self, b, part, of, table, many):
        """What a strip of results meets, row by row in a panel."""
        places = [part.places.read(self, b, table, j) for j in range(many)]
        with loop(b, 0, of.deep, 1) as k:
            image = b.gep(of.source, [b.load(b.gep(part.offsets, [k]))])
            row = b.gep(of.panel, [b.mul(k, I64(many * self.w))])
            for j, place in enumerate(places):
                self.store(b, place.load(self, b, image), b.gep(row, [I64(j * self.w)]))

    def _tile(self, places, rows, columns):
        """The function for a tile of this size whose places are not packed.

        (weights, image, results, entries of the places, offsets of what they meet, how many,
        results of a channel, whether at first).
        """
        p, table = self.scalar.as_pointer(), I64.as_pointer()
        kinds = [p, p, p, table, table, I64, I64, BIT]
        f, b = self.tile(f"slide{places.runs}.", (rows, columns), *kinds)
        if b is None:
            return f
        a, source, y, vectors, offsets, count, step, first = f.args
        places = [places.read(self, b, vectors, j) for j in range(columns)]

        def go(k, acc):
            image = b.gep(source, [b.load(b.gep(offsets, [k]))])
            xs = [place.load(self, b, image) for place in places]
            row = b.gep(a, [b.mul(k, I64(rows))])
            ws = [self.splat(b, b.load(b.gep(row, [I64(i)]))) for i in range(rows)]
            return self.products(b, ws, xs, acc)

        spots = [
            (b.gep(y, [b.add(b.mul(I64(i), step), place.to)]), place.mask)
            for i, place in itertools.product(range(rows), places)
        ]
        acc = repeat(b, I64(0), count, 1, self.begin(b, first, spots), go)
        for x, spot in zip(acc, spots, strict=True):
            self.store(b, x, *spot)
        b.ret_void()
        return f


class _Some(NamedTuple):
    """Some channels of an image and group: what its tiles read, and add to."""

    weights: ir.Value
    skip: ir.Value  # channels and taps of weights before these
    source: ir.Value
    panel: ir.Value
    y: ir.Value
    deep: ir.Value  # channels and taps
    first: ir.Value  # whether nothing was added before


class _Part:
    """What the code of one grid reads: its weights from `start` of the scratch on, and tables."""

    def __init__(self, kernel, grid, i, start):
        self.grid, self.k = grid, kernel.c * len(grid.taps)
        self.start = start
        if not grid.taps:
            return
        many, frame = kernel.m >= MANY, kernel.frame
        takes = kernel.m if many else tile_sizes(kernel.m)[0]
        self.places = Places(frame, grid.size, grid.strides, kernel.shape.lanes, takes)
        self.packed = many and self.places.runs > 1
        self.depth = max(1, DEPTH // len(grid.taps))
        channels = range(min(self.depth, kernel.c))
        offsets = [c * frame.plane + t for c in channels for t in grid.offsets]
        self.offsets = kernel.table(f"offsets{i}", offsets)
        self.taps = kernel.table(f"taps{i}", grid.taps)
        self.table = kernel.table(f"places{i}", self.places.table)
