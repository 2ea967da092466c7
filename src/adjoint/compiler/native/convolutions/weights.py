"""Gradients of a convolution's weights: tiles of channels by elements of the kernel, each a
vector of partial sums over places.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from ..llvm import text as ir
from ..llvm.flow import least, loop, repeat, split
from ..llvm.types import BIT, I64
from .places import Places
from .plain import Plain, in_vectors, tile_sizes

WORTH = 32  # vectors at least whose sum is worth adding its lanes


class Weights(Plain):
    """w(o,k) = Σ y(n,o,p) frame(n,k,p)."""

    def __init__(self, o):
        super().__init__(o)
        s = self.shape
        self.frame, self.grid = s.forward()
        self.k = s.c * s.taps
        rows = tile_sizes(s.o)[0]
        self.places = Places(self.frame, s.out, s.stride, s.lanes, rows)
        self.many = min(s.n, max(WORTH // self.places.count, 1))
        self.images = in_vectors(self.many * self.frame.elements, s.lanes)
        self.panel = self.many * rows * self.places.count * s.lanes
        self.bytes = (self.images + self.panel) * s.item

    def tables(self):
        s, plane = self.shape, self.frame.plane
        offsets = [c * plane + t for c in range(s.c) for t in self.grid.offsets]
        self.offsets = self.table("offsets", offsets)
        self.vectors = self.table("places", self.places.table)

    def prepare(self, b, _w, room):
        self.clear(b, room, self.images)

    def write(self, b, x, y, w, room, start, stop):
        s = self.shape
        panel = b.gep(room, [I64(self.images)])
        with loop(b, start, stop, self.many) as n0:
            images = least(b, b.sub(stop, n0), I64(self.many))
            self._fill(b, x, room, n0, images)
            with loop(b, 0, s.groups, 1) as g:
                here = b.add(b.mul(n0, I64(s.groups)), g)
                ys = b.gep(y, [b.mul(here, I64(s.o * s.places))])
                frame = b.gep(room, [b.mul(g, I64(s.c * self.frame.plane))])
                to = b.gep(w, [b.mul(g, I64(s.o * self.k))])
                first = b.icmp_signed("==", n0, start)
                self._group(b, _Some(ys, frame, panel, to, images, first))

    def _fill(self, b, x, room, n0, images):
        """Images from n0 on to their frames."""
        frame = self.frame
        with loop(b, 0, images, 1) as i:
            of = b.gep(x, [b.mul(b.add(n0, i), I64(frame.source))])
            to = b.gep(room, [b.mul(i, I64(frame.elements))])
            frame.fill(self, b, of, to)

    def _group(self, b, of):
        """All weights of one group, from some images."""
        rows, columns = tile_sizes(self.shape.o)
        sizes = [of.images, I64(self.frame.elements)]
        sizes += [I64(self.places.full), I64(self.places.count)]

        def strip(o0, height):
            self._gather(b, of, o0, height)

            def tile(k0, width):
                at = (b.gep(self.offsets, [b.add(k0, I64(j))]) for j in range(width))
                taps = [b.load(p) for p in at]
                to = b.gep(of.to, [b.add(b.mul(o0, I64(self.k)), k0)])
                args = [of.panel, self.vectors, *sizes, to, I64(self.k), of.first]
                args += [b.gep(of.frame, [t]) for t in taps]
                b.call(self._tile(height, width), args)

            split(b, self.k, columns, tile)

        split(b, self.shape.o, rows, strip)

    def _gather(self, b, of, o0, height):
        """A strip's rows of y in the order in which tiles read them: (image, vector, row)."""
        s = self.shape
        y = b.gep(of.ys, [b.mul(o0, I64(s.places))])
        with loop(b, 0, of.images, 1) as n, loop(b, 0, self.places.count, 1) as v:
            here = b.gep(y, [b.mul(n, I64(s.groups * s.o * s.places))])
            at = b.add(b.mul(n, I64(self.places.count)), v)
            to = b.gep(of.panel, [b.mul(at, I64(height * self.w))])
            place = self.places.read(self, b, self.vectors, v)
            for i in range(height):
                x = b.gep(here, [b.add(place.to, I64(i * s.places))])
                x = self.load(b, x, place.mask)
                self.store(b, x, b.gep(to, [I64(i * self.w)]), align=self.vector_bytes)

    def _tile(self, rows, columns):
        """The function for a tile of this size: over images and the vectors of their places,
        the last of which are masked; then lanes are summed.

        (panel, entries of the places, how many images, elements of a frame, whole vectors,
        all, weights, step of their rows, whether at first, what each column meets).
        """
        p = self.scalar.as_pointer()
        kinds = [p, I64.as_pointer(), *[I64] * 4, p, I64, BIT, *[p] * columns]
        f, b = self.tile(f"weigh{self.places.runs}.", (rows, columns), *kinds)
        if b is None:
            return f
        y, vectors, images, elements, full, count, w, step, first, *sources = f.args

        def image(n, acc):
            frames = [b.gep(x, [b.mul(n, elements)]) for x in sources]
            start = b.mul(n, count)

            def go(v, acc, masked=False):
                place = self.places.read(self, b, vectors, v)
                xs = [place.load(self, b, x, masked) for x in frames]
                ys = self._packed(b, y, b.add(start, v), rows)
                return self.products(b, ys, xs, acc)

            acc = repeat(b, I64(0), full, 1, acc, go)
            return repeat(b, full, count, 1, acc, lambda v, acc: go(v, acc, True))

        acc = repeat(b, I64(0), images, 1, [self.zero] * (rows * columns), image)
        self._add(b, w, step, self.totals(b, acc), first, (rows, columns))
        b.ret_void()
        return f

    def _packed(self, b, panel, v, rows):
        """What was gathered for a vector of places, row by row."""
        row = b.gep(panel, [b.mul(v, I64(rows * self.w))])
        places = (b.gep(row, [I64(i * self.w)]) for i in range(rows))
        return [self.load(b, p, align=self.vector_bytes) for p in places]

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


class _Some(NamedTuple):
    """Some images of a group: what their tiles read, and add to."""

    ys: ir.Value
    frame: ir.Value
    panel: ir.Value
    to: ir.Value
    images: ir.Value  # how many
    first: ir.Value  # whether nothing was added before
