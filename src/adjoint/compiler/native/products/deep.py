"""Deep: products that sum over many rows to a small result, cut along the sum for threads.

A gradient of weights sums over rows that threads have just made, each some. Cut along its
result, every thread fetches most of them from other cores; cut along the sum, it reads those
that lie near, and what the parts have summed up is joined in order. A thread that does all
adds part after part to the result, as a product does, which comes to the same bits.
So are weights that few rows read before they are updated: a thread updates those that it alone
has read, and no other core has to give up its copy.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from ..llvm import text as ir
from ..llvm.flow import least, loop, most, strides
from ..llvm.types import BIT, I64
from ..sharing import JOINED
from .form import Form
from .tasks import Product
from .vectors import Vectors

FEWEST, MOST = 4, 8  # parts
SUMS = 2**24  # bytes of the sums of all parts at the most
SHALLOW = 128  # rows of a part at least
CHUNKS = 4  # of a part


class Deep(NamedTuple):
    """A product whose sum is cut: the form of a part, that of all of it, and how many parts."""

    part: Form
    whole: Form
    parts: int

    @property
    def bytes(self) -> int:
        """What a worker needs beside the operands."""
        return max(self.part.bytes, self.whole.bytes)

    @property
    def sums(self) -> int:
        """Bytes of the sums of all parts."""
        return self.parts * self.part.m * self.part.n * self.part.item

    @property
    def chunks(self) -> int:
        return self.parts * CHUNKS


def deep(form, updated: bool) -> Deep | None:
    """How to cut it, if that is worth it: one product that sums over rows of both operands,
    or over those of weights that are `updated` later.
    """
    one = form.m > 1 and form.c == form.n and not (form.batch or form.sums)
    if not one or form.b[1] != 1:
        return None
    for parts in range(FEWEST, MOST + 1):
        k = form.k // parts
        worth = form.a[0] == 1 or (updated and form.m <= k)
        part = replace(form, k=k)
        if worth and form.k % parts == 0 and SHALLOW <= k <= part.depth:
            steps = k * form.a[1], k * form.b[0]
            found = Deep(part, replace(part, sums=((parts, *steps),)), parts)
            fits = found.sums <= SUMS and part.tasks >= CHUNKS
            return found if fits else None
    return None


class Parts:
    """The code of a deep product, in one module."""

    def __init__(self, module, cut: Deep):
        scalar = ir.DoubleType() if cut.part.item == 8 else ir.FloatType()
        self.cut, self.v = cut, Vectors(module, scalar)
        self.part, self.whole = (Product(module, scalar, f) for f in cut[:2])

    def some(self, b, places, own, done, ends):
        """Chunks of the product, x and y and what they make; `own` are the sums of parts.

        Who does all of them sums up in the result at once, and says so in `done`.
        """
        x, y, z, room = places
        first, last = ends
        all_ = b.and_(
            b.icmp_signed("==", first, I64(0)),
            b.icmp_signed("==", last, I64(self.cut.chunks)),
        )
        with b.if_else(all_) as (alone, some):
            with alone:
                self.whole.whole(b, (x, y, z), room)
                b.store(I64(1), done)
            with some:
                self._of_parts(b, x, y, own, room, first, last)

    def _of_parts(self, b, x, y, own, room, first, last):
        form, tasks = self.cut.part, self.cut.part.tasks
        steps = form.k * form.a[1], form.k * form.b[0], form.m * form.n
        start = b.udiv(first, I64(CHUNKS))
        end = b.udiv(b.sub(last, I64(1)), I64(CHUNKS))
        with loop(b, start, b.add(end, I64(1)), 1) as i:
            at = [
                b.gep(p, [b.mul(i, I64(n))])
                for p, n in zip((x, y, own), steps, strict=True)
            ]
            before = b.mul(i, I64(CHUNKS))
            t0 = b.sub(first, before)
            t0 = most(b, t0, I64(0))
            t1 = least(b, b.sub(last, before), I64(CHUNKS))
            t0, t1 = (b.udiv(b.mul(t, I64(tasks)), I64(CHUNKS)) for t in (t0, t1))
            b.call(self.part.call, [*at, room, t0, t1, BIT(0)])

    @property
    def joints(self) -> int:
        """Chunks in which the sums of parts are joined."""
        return max(1, self.cut.sums // JOINED)

    def join(self, b, own, z, ends):
        """Chunks of the result: the sums of parts, in order."""
        size, w = self.cut.part.m * self.cut.part.n, self.v.w
        vectors = -(-size // w)
        start, stop = (
            b.mul(b.udiv(b.mul(i, I64(vectors)), I64(self.joints)), I64(w))
            for i in ends
        )
        whole = least(b, stop, I64(size // w * w))

        def go(i, _, mask=None):
            total = self.v.load(b, b.gep(own, [i]), mask)
            for n in range(1, self.cut.parts):
                p = b.gep(own, [b.add(i, I64(n * size))])
                total = b.fadd(total, self.v.load(b, p, mask))
            self.v.store(b, total, b.gep(z, [i]), mask)
            return ()

        strides(b, start, whole, w, (), go)
        if size % w:
            with b.if_then(b.icmp_signed(">", stop, I64(size))):
                go(I64(size // w * w), (), self.v.first(size % w))
