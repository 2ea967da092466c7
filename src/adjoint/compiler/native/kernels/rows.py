"""Rows: a space row by row, each in passes, with sums of rows and of columns."""

from __future__ import annotations

import math

from ..arithmetic.kinds import element
from ..llvm.flow import least
from ..llvm.types import I64
from ..sharing import LINE, Stage, few, pieces
from .affine import ZERO, Affine, broadcast, padded
from .nests import lined, vectored
from .sums import HOW, Sums

MOST, NEAR = 8, 2**9  # rows at a time, and elements of so many at the most


class Rows(Sums):
    """Kernels in which what one pass over a row sums up is there for the next."""

    def _rows_stages(self, k, chunks):
        """Rows in chunks; sums of columns are each chunk's own and joined at the end."""
        if not k.rank and math.prod(whole_cut(k, chunks)) > 1:
            yield from self._whole_stages(k, chunks)
            return
        sizes, columns = k.space[: k.rank], columns_of(k)
        cut = rows_cut(k, chunks)
        count, n = math.prod(cut), math.prod(sizes)

        def write(e, chunk):
            for o in columns:
                e.open(o, chunk)
            e._rows(k, e.spans(sizes, cut, chunk))

        yield Stage(count, write)
        for o in columns:
            yield from self.closing(o, count, n)

    def _whole_stages(self, k, chunks):
        """One row in chunks, pass by pass; the sums of a pass are joined before the next."""
        sizes, cut = vectored(lined(k.space)), whole_cut(k, chunks)
        count = math.prod(cut)
        for items in passes_of(k):
            looped = [o for o in items if role(k, o) != "row"]

            def write(e, chunk, looped=looped):
                found = e._pass(k, (), looped, e.spans(sizes, cut, chunk))
                for o, total in found:
                    e.pointers[o.outputs[0]] = e.own(o, chunk)
                    e._store_total(k, o, total)

            def finish(e, chunk, items=items):
                for o in items:
                    if role(k, o) == "sum":
                        e.close(o, count, math.prod(k.space))
                    elif role(k, o) == "row":
                        e._single(k, o, ())
                e.fixed = {}

            if looped:
                yield Stage(count, write)
            yield Stage(1, finish)

    def _rows(self, k, spans, part=()):
        """Row by row, or some rows at a time; what a pass sums up is there for the next.

        `part` are the ends of the dims of a row, if not all of it is there.
        """
        many = at_once(k)
        if many == 1:
            self.nest(k.space[: k.rank], (), lambda at: self._one(k, at, part), spans)
            return
        *before, span = spans or [None] * k.rank
        start, stop = span or (I64(0), I64(k.space[k.rank - 1]))

        def rows(outer):
            with self.loop(start, stop, many) as i:
                count = least(self.b, self.b.sub(stop, self.at[i.mark]), I64(many))
                self._some(k, (*outer, Affine({i.mark: 1})), count, part)

        self.nest(k.space[: k.rank - 1], (), rows, before)

    def _one(self, k, outer, part):
        """A row, all passes."""
        self.fixed = {}
        for items in passes_of(k):
            self._items(k, outer, items, part)
        self.fixed = {}

    def _some(self, k, first, count, part):
        """Rows from the first on, pass by pass.

        What a short row sums up comes late to it, and meanwhile the others go on.
        """
        before: list = []
        for items in passes_of(k):
            with self.loop(0, count) as i:
                *outer, row = first
                at = (*outer, row + (here := Affine({i.mark: 1})))
                with self.turn(here):
                    self.fixed = {v: self.load(v, _first(k, v, at)) for v in before}
                    self._items(k, at, items, part)
            before += [o.outputs[0] for o in items if role(k, o) in ("sum", "row")]
        self.fixed = {}

    def _items(self, k, outer, items, part):
        """What a pass computes of a row, then what a row has one of."""
        looped = [o for o in items if role(k, o) != "row"]
        for o, total in self._pass(k, outer, looped, part):
            n, how = math.prod(k.space[k.rank :]), HOW[o.prim.name]
            self.fixed[o.outputs[0]] = total = how.finish(self.lanes, total, n)
            self._store_total(k, o, total, outer)
        for o in items:
            if role(k, o) == "row":
                self._single(k, o, outer)

    def _column(self, y, inner):
        """The index of a column's sum."""
        return (*(ZERO,) * (len(y.spec.shape) - len(inner)), *inner)

    def _single(self, k, o, outer):
        """A value that each row has one of."""
        v = o.outputs[0]
        at = _first(k, v, outer)
        x = self.compute(o, at)
        self.fixed[v] = x
        self.store(x, v, at)

    def add_all(self, k, part):
        """A part of the only row, of one pass; what it sums up is added to what is there."""
        for o, total in self._pass(k, (), k.roots, part):
            before = self.load(o.outputs[0], _first(k, o.outputs[0], ()))
            total = HOW[o.prim.name].join(self.lanes, before, total)
            self._store_total(k, o, total)

    def _pass(self, k, outer, items, part=()):
        """One loop over a row, or a part of it: elements are computed and stored; its sums."""
        if not items:
            return []
        sums = [o for o in items if role(k, o) == "sum"]
        sizes = lined(k.space[k.rank :])
        spans = self._spans(sizes[-1])
        kinds = [element(o.outputs[0].spec.dtype) for o in sums]
        starts = [
            [self._start(o, kind, step) for o, kind in zip(sums, kinds, strict=True)]
            for _, _, step in spans
        ]
        many, strip = self.abreast(items, sizes), self._strip(k, items)
        # A light pass whose row a later one reads again does not ask for the next: it would be
        # more lines at once than the processor keeps track of (docs/notes/large_arrays.md).
        self.asks = many == 1 or k.levels[items[0]] == max(k.levels.values())
        totals = self._summed(sizes, spans, starts, outer, strip, part, many)
        self.asks = True
        pairs = zip(sums, *totals, strict=True)
        return [(o, self._total(parts, HOW[o.prim.name])) for o, *parts in pairs]

    def _strip(self, k, items):
        """What a pass does at an index: the totals of its sums become those with its elements."""
        over = self._written_over(k, items)

        def strip(_, index, totals):
            index = padded(index, len(k.space))
            for v in over:
                self.value(v, index)
            before, after = iter(totals), []
            for o in items:
                if role(k, o) == "sum":
                    after.append(self._with_element(o, next(before), index))
                elif role(k, o) == "column":
                    self._add_to_column(k, o, index)
                else:
                    self._each(o, index)
            return after

        return strip

    def _written_over(self, k, items):
        """What a pass reads and perhaps puts results in place of: it is read first."""
        values = sorted(self.renewed.get(k, ()), key=self.schedule.order)
        read = {v for o in items for v in self.schedule.accesses(o)}
        return [v for v in values if v in read]

    def _with_element(self, o, total, index):
        """A sum with the element of an index."""
        kind = element(o.outputs[0].spec.dtype)
        x = self.lanes.cast(self.value(o.inputs[0], index), kind)
        return HOW[o.prim.name].join(self.lanes, total, x)

    def _each(self, o, index):
        """The element of an index, which the rest of the pass need not load."""
        (v,) = o.outputs
        x = self.compute(o, index)
        self.known[v, tuple(a.key() for a in broadcast(v, index))] = x
        self.store(x, v, index)

    def _store_total(self, k, o, total, outer=()):
        """What a row, or a part of it, was reduced to."""
        v = o.outputs[0]
        self.store(total, v, _first(k, v, outer))

    def _add_to_column(self, k, o, index):
        y, how = o.outputs[0], HOW[o.prim.name]
        x = self.lanes.cast(self.value(o.inputs[0], index), element(y.spec.dtype))
        at = self._column(y, index[k.rank :])
        self.store(how.join(self.lanes, self.load(y, at), x), y, at)


def at_once(k) -> int:
    """How many rows are gone through at a time: short ones, each in more than one pass."""
    row = math.prod(k.space[k.rank :])
    if not k.rank or len(passes_of(k)) == 1 or not row:
        return 1
    return min(k.space[k.rank - 1], MOST) if row * MOST <= NEAR else 1


def _first(k, v, outer):
    """Where a row's values begin, or the one that it has."""
    return (*outer, *(ZERO,) * (len(v.spec.shape) - k.rank))


def role(k, o) -> str:
    """sum: of each row; column: of each column; row: one element a row; all: every one."""
    if o.prim.name in HOW:
        return "column" if 0 in o.params["dim"] and k.rank else "sum"
    shape = tuple(o.outputs[0].spec.shape)
    return "all" if shape == k.space else "row"


def passes_of(k) -> list:
    """The operations of each pass over a row."""
    top = max(k.levels.values())
    return [[o for o in k.roots if k.levels[o] == p] for p in range(top + 1)]


def own_sums(k, chunks):
    """(operation, places) of what chunks sum up on their own."""
    if not k.rank:
        sums = [o for o in k.roots if role(k, o) == "sum"]
        return [(o, math.prod(whole_cut(k, chunks))) for o in sums]
    return [(o, math.prod(rows_cut(k, chunks))) for o in columns_of(k)]


def columns_of(k) -> list:
    """The sums of columns of a kernel of rows."""
    return [o for o in k.roots if role(k, o) == "column"]


def rows_cut(k, chunks) -> tuple[int, ...]:
    """In how many pieces each dim of a kernel of rows is cut."""
    sums = [o.outputs[0].spec.bytes for o in columns_of(k)]
    return pieces(k.space[: k.rank], few(chunks, sum(sums)) if sums else chunks)


def whole_cut(k, chunks) -> tuple[int, ...]:
    """In how many pieces each dim of a single row is cut, the last in vectors."""
    return pieces(vectored(lined(k.space)), few(chunks, LINE))
