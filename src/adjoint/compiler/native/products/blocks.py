"""Blocks of products: with which panels of B, and slivers of A, tiles are put together to C."""

from __future__ import annotations

import contextlib
import functools

from ..llvm.flow import least, loop, strides
from ..llvm.types import BIT, I64
from .asking import next_columns, next_panel, next_rows
from .matmul import Copying
from .pair_blocks import PairedBlock

SLIVERS = 8  # that one call packs


class Block(PairedBlock):
    """Some columns of a block, for some of k at a time.

    `places` are those of A, of B, of C, and of scratch for what is packed; panels of pairs go to
    `panels`, if they have a place of their own. `depth` is how much of k there is if that is
    known when it runs, `begins` whether nothing was summed up before, `again` whether what
    serves all tasks is packed, if anything does.
    """

    def __init__(
        self,
        product,
        b,
        places,
        bounds,
        panels=None,
        depth=None,
        begins=None,
        again=None,
    ):
        self.p, self.form, self.b = product, product.form, b
        self.a, self.right, self.c, self.scratch = places
        self.panels = panels
        self.m0, self.m1, self.j0, self.j1 = bounds
        self.depth, self.again = depth, again
        self.begins = BIT(1) if begins is None else begins
        form = self.form
        self.left = form.n % form.width
        self.columns = b.sub(self.j1, self.j0)
        self.full = b.sub(self.columns, b.urem(self.columns, I64(form.width)))

    def offset(self, p, *terms):
        """p plus numbers times steps."""
        return self.p._offset(self.b, p, *terms)

    def summed(self, dims, before):
        """Loops over the dims that k does not count, and in them over k."""
        form, b = self.form, self.b
        if dims:
            (size, *_), *rest = dims
            with loop(b, 0, size, 1) as i:
                self.summed(rest, [*before, i])
            return
        a, right, first = self.a, self.right, self.begins
        follows = BIT(0)  # whether what is summed next is where k would go on
        for i, (size, sa, sb) in zip(before, form.sums, strict=True):
            a, right = self.offset(a, (i, sa)), self.offset(right, (i, sb))
            first = b.and_(first, b.icmp_signed("==", i, I64(0)))
            if (sa, sb) == (form.k * form.a[1], form.k * form.b[0]):
                follows = b.icmp_signed("<", i, I64(size - 1))
        depth = I64(max(form.k, 1)) if self.depth is None else self.depth
        with loop(b, 0, depth, form.depth) as k0:
            end = I64(form.k) if self.depth is None else self.depth
            self.count = least(b, b.sub(end, k0), I64(form.depth))
            self.first = b.and_(first, b.icmp_signed("==", k0, I64(0)))
            below = b.icmp_signed("<", b.add(k0, I64(form.depth)), end)
            self.more = b.or_(below, follows)
            self.ak = self.offset(a, (k0, form.a[1]))
            self.bk = self.offset(right, (k0, form.b[0]))
            getattr(self, f"_{form.kind}")()

    def at_once(self, count):
        """The block for all of k, of so many numbers: of one tile's depth."""
        self.ak, self.bk, self.count = self.a, self.right, count
        self.first, self.more = BIT(1), BIT(0)
        return self

    def once(self):
        """What is packed within it is packed for all tasks of a worker, if that can be."""
        if self.again is None:
            return contextlib.nullcontext()
        return self.b.if_then(self.b.not_(self.again))

    def _columns(self, body):
        """body(first column in the strip, vectors, lanes of the last) for all panels."""
        form, b = self.form, self.b
        vectors, w = form.tile[1], form.lanes

        def panel(j, _):
            body(j, vectors, w)
            return ()

        if form.n >= form.width:
            strides(b, I64(0), self.full, form.width, (), panel)
        if self.depth is not None:
            self._some_vectors(body)
        elif self.left:
            with b.if_then(b.icmp_signed("==", self.j1, I64(form.n))):
                body(self.full, -(-self.left // w), (self.left - 1) % w + 1)

    def _some_vectors(self, body):
        """The last panel of a band, which begins and ends with any vector, or the product."""
        form, b, w = self.form, self.b, self.form.lanes
        rest = b.sub(self.columns, self.full)
        for size in range(1, form.width):
            if size % w in (0, form.n % w):
                with b.if_then(b.icmp_signed("==", rest, I64(size))):
                    body(self.full, -(-size // w), (size - 1) % w + 1)

    def _rows(self, i0, i1, body):
        """body(first row, rows) for all tiles."""
        form, b = self.form, self.b
        rows = form.tile[0]
        size = b.sub(i1, i0)
        whole = b.add(i0, b.sub(size, b.urem(size, I64(rows))))

        def tile(i, _):
            body(i, rows)
            return ()

        strides(b, i0, whole, rows, (), tile)
        if form.m % rows:
            with b.if_then(b.icmp_signed("==", i1, I64(form.m))):
                body(whole, form.m % rows)

    def _to(self, i, j):
        """Where the result of row i and column j of the strip is."""
        column = self.b.add(self.j0, j)
        return self.offset(self.c, (i, self.form.c), (column, 1))

    # ------------------------------------------------------------ ways

    def _dots(self):
        form, b = self.form, self.b

        def panel(j, _, lanes):
            column = b.add(self.j0, j)

            def tile(i, _):
                args = [
                    self.offset(self.ak, (i, form.a[0])),
                    self.offset(self.bk, (column, form.b[1])),
                    self._to(i, j),
                    *(self.count, self.first, I64(form.b[1])),
                ]
                b.call(self.p.dots(lanes), args)

            self._rows(self.m0, self.m1, tile)

        self._columns(panel)

    def _beside(self):
        form, b = self.form, self.b

        def panel(j, vectors, lanes):
            right = self.offset(self.bk, (b.add(self.j0, j), 1))
            asked = next_panel(self, j)

            def tile(i, rows):
                steps = [*form.a, form.c, lanes, form.b[0]]
                a = self.offset(self.ak, (i, form.a[0]))
                args = [a, right, self._to(i, j), self.count, self.first]
                also = self._share(asked, i, self.m0, self.m1, form.tile[0])
                whole = lanes == form.lanes
                kernel = self.p.kernel_beside(rows, vectors, a.type, also, whole)
                b.call(kernel, [*args, *map(I64, steps), *(also or ())])

            self._rows(self.m0, self.m1, tile)

        self._columns(panel)

    def _panels(self):
        """Few rows: a panel is packed and used by all of them, then the next.

        Many: panels for half of the second cache level, then a tile's rows meet all of them.
        """
        form, b = self.form, self.b
        if form.narrow:
            slivers = self._packed(self.m0, self.m1)
            self._columns(lambda *panel: self._down(slivers, *panel))
            return
        with self.once():
            self._columns(lambda j, *size: self._pack(j, j, *size))
        if form.in_turns:
            self._groups()
            return
        with loop(b, self.m0, self.m1, form.block) as i0:
            i1 = least(b, b.add(i0, I64(form.block)), self.m1)
            slivers = self._packed(i0, i1)
            self._rows(i0, i1, lambda *tile: self._across(slivers, *tile))

    def _groups(self):
        """Slivers of a few rows meet all panels, while those of the next rows are packed."""
        form, b = self.form, self.b
        size, n = b.sub(self.m1, self.m0), I64(form.group)
        end = b.sub(self.m1, b.urem(size, n))
        with b.if_then(b.icmp_signed("<", self.m0, end)):
            self._slivers(self.m0, b.add(self.m0, n))

        def group(i, _):
            odd = b.urem(b.udiv(b.sub(i, self.m0), n), I64(2))
            here, there = (self._group(x) for x in (odd, b.sub(I64(1), odd)))
            after = b.add(i, n)
            more = b.icmp_signed("<", after, end)
            source = self.offset(self.ak, (after, 1))
            copied = Copying(source, I64(form.a[1]), there, I64(form.room))
            self._next_to(i, here, more, copied)
            return ()

        strides(b, self.m0, end, form.group, (), group)
        with b.if_then(b.icmp_signed("<", end, self.m1)):
            slivers = self._packed(end, self.m1)
            self._rows(end, self.m1, lambda *tile: self._across(slivers, *tile))

    def _next_to(self, i, slivers, more, copied):
        """A group and all panels; in its first tile, if there are more, the next is packed.

        The others ask for what is packed then.
        """
        form, b = self.form, self.b
        rows = form.tile[0]
        asked = next_columns(self, i)

        def panel(j, vectors, lanes, t):
            left = self.offset(slivers, (I64(t), form.room)), (1, rows)
            right = self.offset(self.scratch, (j, form.depth))
            place = (b.add(i, I64(t * rows)), rows), (j, vectors, lanes)
            if t:
                share = self._share(asked, j, I64(0), self.columns, form.width)
                self._tile(left, right, *place, share)
                return
            first = b.and_(more, b.icmp_signed("==", j, I64(0)))
            with b.if_else(first) as (then, other):
                with then:
                    self._tile(left, right, *place, copied)
                with other:
                    self._tile(left, right, *place)

        for t in range(form.group // rows):
            self._columns(functools.partial(panel, t=t))

    def _group(self, number):
        """Where one of two groups of slivers is, and the first of others."""
        form = self.form
        size = form.group // form.tile[0] * form.room
        return self.offset(self.scratch, (I64(form.packed), form.depth), (number, size))

    def _down(self, slivers, j, vectors, lanes):
        """A panel and all rows."""
        self._pack(j, I64(0), vectors, lanes)
        asked = next_panel(self, j)

        def tile(i, rows):
            left = self._left(i, slivers)
            share = self._share(asked, i, self.m0, self.m1, self.form.tile[0])
            self._tile(left, self.scratch, (i, rows), (j, vectors, lanes), share)

        self._rows(self.m0, self.m1, tile)

    def _across(self, slivers, i, rows):
        """A tile's rows and all panels."""
        left = self._left(i, slivers)
        asked = next_rows(self, i)

        def panel(j, vectors, lanes):
            right = self.offset(self.scratch, (j, self.form.depth))
            share = self._share(asked, j, I64(0), self.columns, self.form.width)
            self._tile(left, right, (i, rows), (j, vectors, lanes), share)

        self._columns(panel)

    def _share(self, asked, i, start, end, size):
        """What the tile at i asks for; None if nothing is.

        All tiles between two ends, of one size, ask for the whole.
        """
        if asked is None:
            return None
        b, size = self.b, I64(size)
        tile = b.udiv(b.sub(i, start), size)
        tiles = b.udiv(b.add(b.sub(end, start), b.sub(size, I64(1))), size)
        return asked.share(b, tile, tiles)

    def _tile(self, left, right, across, down, also=None):
        (a, steps), (i, rows), (j, vectors, lanes) = left, across, down
        args = [a, right, self._to(i, j), self.count, self.first]
        steps = [I64(x) for x in (*steps, self.form.c, lanes)]
        kernel = self.p.kernel(rows, vectors, a.type, also)
        self.b.call(kernel, [*args, *steps, *(also or ())])

    def _left(self, i, slivers):
        """Where row i of A starts, and its steps."""
        form, b = self.form, self.b
        if slivers is None:
            return self.offset(self.ak, (i, form.a[0])), form.a
        first, place = slivers
        if form.widens:
            return self.offset(place, (b.sub(i, first), form.depth)), (form.depth, 1)
        number = b.udiv(b.sub(i, first), I64(form.tile[0]))
        return self.offset(place, (number, form.room)), (1, form.tile[0])

    def _pack(self, j, at, vectors, lanes):
        """The columns from j on to the panel at a place."""
        form, b = self.form, self.b
        of = self.offset(self.bk, (b.add(self.j0, j), form.b[1]))
        to = self.offset(self.scratch, (at, form.depth))
        if form.b[0] == 1 != form.b[1]:
            column, rest = I64(form.b[1]), I64(lanes)
            self.p.turn(b, of, to, self.count, column, vectors, rest)
            return
        if form.b[1] == 1:
            f, steps = self.p.copied(vectors), form.b[:1]
        else:
            f, steps = self.p.picked(vectors), form.b
        b.call(f, [of, to, self.count, *map(I64, steps), I64(lanes)])

    def _packed(self, i0, i1):
        """(first row, where) of slivers, if A's rows are packed; of rows that are widened."""
        if self.form.widens:
            return i0, self._widened(i0, i1)
        return (i0, self._slivers(i0, i1)) if self.form.slivers else None

    def _widened(self, i0, i1):
        form, b = self.form, self.b
        to = self.offset(self.scratch, (I64(form.packed), form.depth))
        of = self.offset(self.ak, (i0, form.a[0]))
        steps = I64(form.a[0]), I64(form.depth)
        b.call(self.p.widened(), [of, to, self.count, b.sub(i1, i0), *steps])
        return to

    def _slivers(self, i0, i1):
        """Rows of A, packed."""
        form, b = self.form, self.b
        rows = form.tile[0]
        packed = self._group(I64(0))
        size = b.sub(i1, i0)
        whole = b.udiv(size, I64(rows))
        source = self.offset(self.ak, (i0, 1))

        def some(s, _):
            of = self.offset(source, (s, rows))
            to = self.offset(packed, (s, form.room))
            many = least(b, b.sub(whole, s), I64(SLIVERS))
            args = [of, to, self.count, I64(form.a[1]), many, I64(form.room)]
            b.call(self.p.slivers(rows), args)
            return ()

        strides(b, I64(0), whole, SLIVERS, (), some)
        rest = form.m % rows
        if rest:
            with b.if_then(b.icmp_signed("==", i1, I64(form.m))):
                self._last_sliver(source, packed, whole, rest)
        return packed

    def _last_sliver(self, source, packed, whole, rest):
        form, b = self.form, self.b
        of = self.offset(source, (whole, form.tile[0]))
        to = self.offset(packed, (whole, form.room))
        with loop(b, 0, self.count, 1) as k:
            column = self.offset(of, (k, form.a[1]))
            row = self.offset(to, (k, form.tile[0]))
            for i in range(rest):
                x = self.p.number(b, b.gep(column, [I64(i)]))
                b.store(x, b.gep(row, [I64(i)]))
