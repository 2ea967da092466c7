"""Frames: an image with the room around it that a kernel slides over.

Padding is zeros in memory; a stride along the last dim is undone by keeping the elements of
each phase together. So what the kernel meets for neighbouring results lies side by side.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from ..llvm.flow import loop
from ..llvm.types import I64


@dataclass
class Frame:
    """`channels` planes of the sizes `extents`, in which a source of the sizes `sizes` begins
    at `starts`; the last dim is kept in `phases`."""

    channels: int
    sizes: tuple[int, ...]
    extents: tuple[int, ...]
    starts: tuple[int, ...]
    phases: int

    def __post_init__(self):
        self.width = -(-self.extents[-1] // self.phases)
        row = self.width * self.phases
        shape = (*self.extents[:-1], row)
        self.steps = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
        self.plane = math.prod(shape)
        self.elements = self.channels * self.plane
        self.source = self.channels * math.prod(self.sizes)  # elements of an image

    def offset(self, *at: int) -> int:
        """Where a place of a plane lies in it."""
        *lead, last = at
        start = sum(i * n for i, n in zip(lead, self.steps, strict=False))
        return start + last % self.phases * self.width + last // self.phases

    def offsets(self, *dims) -> list[int]:
        """Where the places lie whose coordinates these are, the last fastest."""
        return [self.offset(*at) for at in itertools.product(*dims)]

    def inside(self, d):
        """The elements of a dim that have a place: range(first, last)."""
        start = self.starts[d]
        return max(0, -start), min(self.sizes[d], self.extents[d] - start)

    # ------------------------------------------------------------ code

    def fill(self, v, b, source, target) -> None:
        """Copy an image to its places, `v` the vectors; all else stays as it is."""
        spans = [self.inside(d) for d in range(len(self.sizes))]
        if any(first >= last for first, last in spans):
            return
        with loop(b, 0, self.channels, 1) as c:
            source = b.gep(source, [b.mul(c, I64(math.prod(self.sizes)))])
            target = b.gep(target, [b.mul(c, I64(self.plane))])
            self._dim(v, b, source, target, 0, spans)

    def _dim(self, v, b, source, target, d, spans):
        if d == len(spans) - 1:
            self._row(v, b, source, target, *spans[d])
            return
        with loop(b, *spans[d], 1) as i:
            of = b.gep(source, [b.mul(i, I64(math.prod(self.sizes[d + 1 :])))])
            at = b.mul(b.add(i, I64(self.starts[d])), I64(self.steps[d]))
            to = b.gep(target, [at])
            self._dim(v, b, of, to, d + 1, spans)

    def _row(self, v, b, source, target, first, last):
        start = self.starts[-1]
        if self.phases == 1:
            of, to = b.gep(source, [I64(first)]), b.gep(target, [I64(start + first)])
            copy(v, b, of, to, last - first)
            return
        if self.phases == 2:
            self._pairs(v, b, source, target, first, last)
            return
        for i in range(first, min(first + self.phases, last)):
            to, of = b.gep(target, [I64(self._at(i))]), b.gep(source, [I64(i)])
            with loop(b, 0, -(-(last - i) // self.phases), 1) as k:
                x = b.load(b.gep(of, [b.mul(k, I64(self.phases))]))
                b.store(x, b.gep(to, [k]))

    def _at(self, i) -> int:
        """Where in its row of the frame the element i of a row lies."""
        return self.offset(*[0] * (len(self.sizes) - 1), i + self.starts[-1])

    def _pairs(self, v, b, source, target, first, last):
        """A row in two phases: of each two vectors the even and the odd elements."""
        of = b.gep(source, [I64(first)])
        to = [b.gep(target, [I64(self._at(first + i))]) for i in range(2)]
        count = last - first
        whole = count // (2 * v.w) * (2 * v.w)

        def some(start, number, left):
            at = b.gep(of, [start])
            masks = [v.first(min(max(left - i * v.w, 0), v.w) % v.w) for i in range(2)]
            xs = [v.load(b, at, masks[0])]
            xs += [v.load(b, b.gep(at, [I64(v.w)]), masks[1]) if left > v.w else v.zero]
            for i, x in enumerate(v.phases(b, *xs)):
                n = min((left + 1 - i) // 2, v.w)
                if n:
                    v.store(b, x, b.gep(to[i], [number]), v.first(n % v.w))

        if whole:
            with loop(b, 0, whole, 2 * v.w) as start:
                some(start, b.lshr(start, I64(1)), 2 * v.w)
        if count > whole:
            some(I64(whole), I64(whole // 2), count - whole)


def copy(v, b, of, to, count: int) -> None:
    """`count` elements that lie side by side."""
    full = count // v.w * v.w
    if full:
        with loop(b, 0, full, v.w) as i:
            v.store(b, v.load(b, b.gep(of, [i])), b.gep(to, [i]))
    if count > full:
        mask = v.first(count - full)
        x = v.load(b, b.gep(of, [I64(full)]), mask)
        v.store(b, x, b.gep(to, [I64(full)]), mask)
