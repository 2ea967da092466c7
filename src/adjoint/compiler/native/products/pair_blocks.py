"""Blocks of products of pairs: panels of B, then a tile's rows of A meet all of them; or the other
way round, if A is small.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

from ..arithmetic.kinds import FLOAT
from ..llvm import text as ir
from ..llvm.flow import least, loop, strides
from ..llvm.types import BIT, I64
from .cutting import SQUARE, UNITS, Beside
from .paired import TOGETHER
from .pairing import PAIRS, SIDE


class Turns(NamedTuple):
    """Rows, or a panel, and the next ones, which the tiles of these cut in turns, if any are."""

    beside: Beside | None
    b: ir.Builder
    apart: int  # pairs between both places
    end: ir.Value  # of all rows or columns,
    size: int  # so many of which are next
    tiles: tuple  # the first and the last row or column of those beside which they are cut,
    one: int  # so many for each

    def start(self, place):
        """(place, that of the next, whether it is cut already)."""
        other = self.b.gep(place, [I64(self.apart)]) if self.beside else place
        return place, other, BIT(0)

    def cuts(self, after):
        """Whether those that follow are cut: if they are whole, and beside enough tiles."""
        if not self.beside:
            return BIT(0)
        b, (first, last) = self.b, self.tiles
        shares = UNITS[self.beside.way] // self.beside.number
        enough = b.icmp_signed(">", b.sub(last, first), I64((shares - 1) * self.one))
        whole = b.icmp_signed("<=", b.add(after, I64(self.size)), self.end)
        return b.and_(whole, enough)

    def share(self, cuts, place, source, to, step):
        """(whether the tile at a place cuts a share, of what, what it is told); None: none do."""
        if not self.beside:
            return None
        b, number = self.b, self.beside.number
        tile = b.udiv(b.sub(place, self.tiles[0]), I64(self.one))
        unit = b.mul(tile, I64(number))
        here = b.and_(cuts, b.icmp_signed("<", unit, I64(UNITS[self.beside.way])))
        return here, self.beside, [source, to, I64(step), unit]


class PairedBlock:
    """A block of C for some of k."""

    def _pairs(self):
        form, b = self.form, self.b
        if form.descends:
            self._pair_down()
            return
        if not form.kept:
            with self.once():
                self.pair_panels()
            self.pair_tiles()
            return
        with loop(b, self.m0, self.m1, form.kept) as m0:
            m1 = least(b, b.add(m0, I64(form.kept)), self.m1)
            self._part(m0, m1, self.j0, self.j1).cut_rows(form.rooms_across)
            with loop(b, self.j0, self.j1, form.fitting) as j0:
                j1 = least(b, b.add(j0, I64(form.fitting)), self.j1)
                part = self._part(m0, m1, j0, j1)
                part.pair_panels()
                part.pair_tiles()

    def _part(self, m0, m1, j0, j1):
        """Some rows and columns of this block, for the same of k."""
        part = copy.copy(self)
        part.m0, part.m1, part.j0, part.j1 = m0, m1, j0, j1
        part.columns = self.b.sub(j1, j0)
        return part

    def cut_rows(self, rooms):
        """All rows to the lines of these rooms."""
        b, group = self.b, self.form.gathered
        _, lines, turning, _ = self._places(rooms)
        with loop(b, self.m0, self.m1, group) as i:
            to = self._lines(lines, i)
            self._pair_rows(i, least(b, b.sub(self.m1, i), I64(group)), to, turning)

    def _lines(self, lines, i):
        """Where row i is, if all rows are packed."""
        return self.offset(lines, (self.b.sub(i, self.m0), self.form.pairs))

    def _pair_down(self):
        """All rows of A are packed; then they meet one panel after the other."""
        form, b, rows, width = self.form, self.b, self.form.tile[0], self.form.width
        panels, lines, turning, room = self._places(form.rooms_down)
        beside = form.beside_panels if self.depth is None else None
        tiles = (self.m0, self.m1), rows
        turns = Turns(beside, b, width * form.pairs, self.columns, width, *tiles)
        columns = beside is not None and beside.way == "columns"
        with self.once():
            self.cut_rows(form.rooms_down)

        def down(j, state):
            """A panel and all rows."""
            panel, other, ready = state
            with b.if_then(b.not_(ready)):
                self._pair_panel(j, panel, turning)
            if columns and form.k % SQUARE:
                with b.if_then(ready):
                    places = self._column(j), panel, self._floats(turning)
                    self.p.third_rest(b, form.b[1], places, self.count, I64(width))
            after = b.add(j, I64(width))
            cuts = turns.cuts(after)
            following = self._column(after), other, form.b[columns]
            with loop(b, self.m0, self.m1, rows) as i:
                share = turns.share(cuts, i, *following)
                self._pair_tile(
                    self._lines(lines, i), panel, (i, self.m1), j, room, share
                )
            return other, panel, cuts

        with self.p.ready(b, form.by):
            strides(b, I64(0), self.columns, width, turns.start(panels), down)

    def pair_tiles(self):
        """All rows of A meet the panels: those of a tile, or of some, are packed before, unless
        they are kept for all panels.
        """
        form, b, rows, group = self.form, self.b, self.form.tile[0], self.form.gathered
        panels, lines, turning, room = self._places(form.rooms_across)
        tiles = (I64(0), self.columns), form.width
        turns = Turns(form.beside_rows, b, rows * form.pairs, self.m1, group, *tiles)

        def across(start, state):
            """Some rows and all panels."""
            here, other, ready = state
            after = b.add(start, I64(group))
            end = least(b, after, self.m1)
            if form.kept:
                here = self._lines(lines, start)
            else:
                with b.if_then(b.not_(ready)):
                    self._pair_rows(start, b.sub(end, start), here, turning)
            cuts = turns.cuts(after)
            following = self.offset(self.ak, (after, form.a[0])), other, form.a[0]
            with loop(b, start, end, rows) as i:
                left = self.offset(here, (b.sub(i, start), form.pairs))

                def tile(j, _, left=left, i=i):
                    right = self.offset(panels, (j, form.pairs))
                    share = turns.share(cuts, j, *following)
                    self._pair_tile(left, right, (i, end), j, room, share)
                    return ()

                strides(b, I64(0), self.columns, form.width, (), tile)
            return other, state[0], cuts

        with self.p.ready(b, form.by):
            strides(b, self.m0, self.m1, group, turns.start(lines), across)

    def _pair_tile(self, left, right, down, j, room, share):
        """A tile at (row, end of rows) and a column; beside it its share of what is next."""
        (i, end), b, form = down, self.b, self.form
        high = least(b, b.sub(end, i), I64(form.tile[0]))
        to, some = self._to(i, j), least(b, b.sub(self.columns, j), I64(form.width))
        args = [left, right, to, self.count, self.first, I64(form.c), high, some, room]
        plain = self.p.pair_tile(form.by, parts=bool(form.sums))
        if share is None:
            b.call(plain, args)
            return
        here, beside, told = share
        with b.if_else(here) as (cuts, only):
            with cuts:
                b.call(self.p.pair_tile(form.by, beside), [*args, *told])
            with only:
                b.call(plain, args)

    def pair_panels(self):
        """All of B: where rows lie in order, some panels at a time, for whole lines of memory."""
        form, b, p = self.form, self.b, self.p
        width, done = form.width, I64(0)
        panels, _, turning, _ = self._places(form.rooms_across)
        together = TOGETHER * width
        if form.b[1] == 1 and form.n >= together:
            done = b.sub(self.columns, b.urem(self.columns, I64(together)))

            def pack(j, _):
                of, to = self._column(j), self.offset(panels, (j, form.pairs))
                p.pair_together(b, form, of, to, self.count)
                return ()

            strides(b, I64(0), done, together, (), pack)

        def one(j, _):
            self._pair_panel(j, self.offset(panels, (j, form.pairs)), turning)
            return ()

        strides(b, done, self.columns, width, (), one)

    def _column(self, j):
        """Where column j of the strip begins."""
        return self.offset(self.bk, (self.b.add(self.j0, j), self.form.b[1]))

    def _pair_panel(self, j, panel, turning):
        """The columns from j on."""
        form, b, p = self.form, self.b, self.p
        some = least(b, b.sub(self.columns, j), I64(form.width))
        if form.by == "thirds":
            places = self._column(j), panel, self._floats(turning)
            fours = self.depth is None and form.k % SQUARE == 0
            p.third_panel(b, form.b, places, self.count, some, fours)
            return
        pack, steps = _way(p, *form.b, form.tile[1])
        b.call(pack, [self._column(j), panel, self.count, *map(I64, steps), some])

    def _pair_rows(self, i, high, lines, turning):
        """A tile's rows of A, or those of some tiles."""
        form, b, p = self.form, self.b, self.p
        of, rows = self.offset(self.ak, (i, form.a[0])), form.tile[0]
        if form.by == "thirds":
            steps, places = form.a[::-1], (of, lines, self._floats(turning))
            p.third_tiles(b, steps, places, self.count, high, form.pairs)
            return
        if form.a[1] == 1:
            args = [of, lines, self.count, I64(form.a[0]), high]
            b.call(p.pair_lines(rows), args)
            return
        f, steps = _way(p, form.a[1], form.a[0], -(-rows // SIDE))
        b.call(f, [of, turning, self.count, *map(I64, steps), high])
        b.call(p.pair_turned(rows), [turning, lines, self.count])

    def _floats(self, place):
        return self.b.bitcast(place, FLOAT.as_pointer())

    def _places(self, rooms):
        """Where panels, lines of rows, what is turned, and sums have their rooms."""
        b, place, found = self.b, self.b.bitcast(self.scratch, PAIRS), []
        if self.panels is not None:
            found, rooms = [b.bitcast(self.panels, PAIRS)], rooms[1:]
        for n in rooms:
            found.append(place)
            place = b.gep(place, [I64(n)])
        *pairs, room = found
        return *pairs, self._floats(room)


def _way(p, row, column, vectors):
    """What packs numbers with these steps of k and of columns, and which steps it is told."""
    if column == 1:
        return p.pair_rows(vectors), (row, 0)
    if row == 1:
        return p.pair_columns(vectors), (column,)
    return p.pair_any(vectors), (row, column)
