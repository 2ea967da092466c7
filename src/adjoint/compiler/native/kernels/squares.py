"""Squares: what a map reads across its rows is turned, a square of numbers after the other.

Read in the order of the results, every number of a transposed matrix lies in a line of its own,
and lines that lie a power of two apart leave the cache before their next number is asked for.
So each vector of columns goes down some rows, for which whole lines are read, and turned.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ..arithmetic.kinds import stored_element
from ..llvm import text as ir
from ..llvm.flow import least
from ..llvm.types import I64
from ..sharing import Stage, pieces
from .affine import ZERO, Affine
from .drawing import Drawing
from .nests import vectored, vectors

ROWS = 64  # that a vector goes down: so many numbers of a line, and of the next ones, are read
LARGE = 2**14  # bytes of what is read across from which on it is worth it


class Crossing(NamedTuple):
    """Values whose last dim is counted by dim `dim` of a space, which is not its last one."""

    dim: int
    reads: list  # (value, the dim of the space that counts each of its dims)


def crossing(s, k) -> Crossing | None:
    """What a map reads across its rows, if that is worth turning."""
    if k.pieces or len(k.space) < 2 or k.space[-1] < vectors():
        return None
    found: dict = {}
    for o in k.roots:
        for v, tags in s.places(o):
            if _crosses(s, v, tags, k.space):
                found.setdefault(tags[-1], {})[v, tags] = None
    if not found:
        return None
    dim = max(found, key=lambda d: len(found[d]))
    return Crossing(dim, list(found[dim]))


def _crosses(s, v, tags, space) -> bool:
    """Whether a value is read across a space, all of it."""
    shape, last = tuple(v.spec.shape), len(space) - 1
    if v in s.local or v in s.views or v.spec.bytes < LARGE or last not in tags[:-1]:
        return False
    if any(t is not None and type(t) is not int for t in tags):
        return False
    known = all(t is None or n == space[t] for t, n in zip(tags, shape, strict=True))
    return known and tags[-1] is not None and shape[-1] >= vectors()


class Squares(Drawing):
    """Maps that go down some rows for each vector of columns."""

    def __init__(self, *args):
        super().__init__(*args)
        self.squares: dict = {}  # (value, where its square begins) -> its turned numbers
        self.down = None  # what counts the rows of squares

    def _crossed_stage(self, k, found, chunks):
        """The stage of a map that reads across its rows."""
        d, w = found.dim, vectors()
        whole = k.space[d] // w * w  # rows in squares
        sizes = [*vectored(k.space)[:-1], 1]
        sizes[d] = -(-whole // ROWS)
        cut = pieces(sizes, chunks)

        def write(e, chunk):
            spans = list(e.spans(sizes, cut, chunk)) or [None] * len(sizes)
            blocks = spans[d] or (I64(0), I64(sizes[d]))

            def some_rows(index):
                with e.loop(*blocks) as i:
                    e._down_rows(k, found, (*index, Affine({i.mark: ROWS})), whole)
                if whole < k.space[d]:
                    with e.last(sizes[d], spans[d]):
                        e._rows_across(k, d, index, (whole, k.space[d]))

            e.nest(k.space[:d], (), some_rows, spans[:d])

        return Stage(math.prod(cut), write)

    def _rows_across(self, k, d, index, rows):
        """Rows that fill no square, as they are."""
        with self.loop(*rows) as i:
            at = (*index, Affine({i.mark: 1}))
            self.nest(k.space[d + 1 : -1], at, lambda at: self._row_along(k, at))

    def _row_along(self, k, outer):
        """A row of results."""
        for (i,) in self.groups(k.space[-1], 1):
            self._store_roots(k, (*outer, i))

    def _down_rows(self, k, found, first, whole):
        """Some rows from the first on, one vector of columns after the other."""
        d = found.dim
        left = self.b.sub(I64(whole), self.number(first[d]))
        count = least(self.b, left, I64(ROWS))

        def columns(outer):
            for (i,) in self.groups(k.space[-1], 1):
                index = (*outer, i)
                if self.lanes.width == self.vectors:
                    self._turn(found, index, count)
                with self.loop(0, count) as r:
                    self.down = r.mark
                    row = index[d] + Affine({r.mark: 1})
                    self._store_roots(k, (*index[:d], row, *index[d + 1 :]))
                self.squares, self.down = {}, None

        self.nest(k.space[d + 1 : -1], first, columns)

    def _turn(self, found, index, count):
        """Turn the squares of all that is read across, `count` numbers of each lane."""
        for v, tags in found.reads:
            at = tuple(ZERO if t is None else index[t] for t in tags)
            key = self._begins(v, at)
            if key not in self.squares:
                kind = stored_element(v.spec.dtype)
                with self.b.goto_entry_block():
                    room = self.b.alloca(kind, ROWS * self.vectors)
                p, step = self.address(v, at)
                with self.loop(0, count, self.vectors) as i:
                    self._square(self.b.gep(p, [self.at[i.mark]]), step, room, i.mark)
                self.squares[key] = room

    def _square(self, p, step, room, mark):
        """Lines that lie `step` numbers apart, turned, to their place in a room."""
        w = self.vectors
        kind = ir.VectorType(p.type.pointee, w)
        places = [self.b.gep(p, [I64(j * step)]) for j in range(w)]
        xs = [
            self.b.load(self.b.bitcast(q, kind.as_pointer()), align=1) for q in places
        ]
        start = self.b.mul(self.at[mark], I64(w))
        for r, x in enumerate(self._turned_square(xs)):
            q = self.b.gep(room, [self.b.add(start, I64(r * w))])
            self.b.store(x, self.b.bitcast(q, kind.as_pointer()), align=1)

    def _turned_square(self, xs):
        """Lane i of vector j as lane j of vector i: halves change places, then quarters, ..."""
        w = len(xs)
        half = w // 2
        while half:
            low = [j ^ half ^ w if j & half else j for j in range(w)]
            high = [j | w if j & half else j ^ half for j in range(w)]
            for i in [i for i in range(w) if not i & half]:
                x, y = xs[i], xs[i + half]
                xs[i], xs[i + half] = (self._lanes_of(x, y, n) for n in (low, high))
            half //= 2
        return xs

    def _begins(self, v, index):
        """The square of which an element is: its value, and where the first row has it."""
        flat = self.flat(v, index)
        terms = {k: c for k, c in flat.terms.items() if k is not self.down}
        return self.schedule.root(v), Affine(terms, flat.const).key()

    def load_turned(self, v, index):
        """v[index] in all lanes from its square; None if it was not turned."""
        room = self.squares.get(self._begins(v, index))
        if room is None or self.flat(v, index).terms.get(self.down) != 1:
            return None
        place = self.b.mul(self.at[self.down], I64(self.vectors))
        return self.load_from(self.b.gep(room, [place]), 1, v.spec.dtype)


__all__ = ["Squares", "crossing"]
