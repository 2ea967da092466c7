"""Reducing: sums over dims of which the last is not one alone."""

from __future__ import annotations

import math

from ..arithmetic.kinds import element
from ..sharing import Stage, few, pieces
from .affine import ZERO, Affine
from .nests import vectored, vectors
from .sums import HOW, Sums

FEW = 8  # chunks of results that are enough
TOGETHER = 8  # vectors of columns


class Reduction:
    """An operation that sums over `dims` and has results for each index of those `kept`."""

    def __init__(self, o):
        self.o, self.x, self.y = o, o.inputs[0], o.outputs[0]
        self.how, self.kind = HOW[o.prim.name], element(self.y.spec.dtype)
        shape = self.x.spec.shape
        self.dims = sorted(o.params["dim"])
        self.kept = [d for d in range(len(shape)) if d not in self.dims]
        self.sizes = [shape[d] for d in self.dims]
        self.results = [shape[d] for d in self.kept]
        self.n = math.prod(self.sizes)  # elements of a sum

    @property
    def in_lanes(self) -> bool:
        """Whether the last dim is summed: the last of all is computed in lanes."""
        return self.dims[-1:] > self.kept[-1:]

    def place(self, outer, inner) -> tuple:
        """Where the element of a result's index, and of the dims that are summed, lies."""
        at = dict(zip(self.kept, outer, strict=True))
        at |= zip(self.dims, inner, strict=True)
        return tuple(at[d] for d in range(len(at)))

    def result(self, outer) -> tuple:
        """Where a result lies."""
        if not self.o.params["keepdim"]:
            return tuple(outer)
        at = dict(zip(self.kept, outer, strict=True))
        return tuple(at.get(d, ZERO) for d in range(len(self.x.spec.shape)))

    def spaces(self):
        """The sizes of both, the dim in lanes in vectors."""
        if self.in_lanes:
            return tuple(self.results), vectored(self.sizes)
        return vectored(self.results, _together(self.results[-1])), tuple(self.sizes)

    def cut(self, k, chunks):
        """In how many pieces the dims that are kept and those that are summed are cut."""
        kept, dims = self.spaces()
        if k.pieces:
            return (1,) * len(kept), (k.pieces, *(1 for _ in dims[1:]))
        across = pieces(kept, chunks)
        if math.prod(across) >= min(chunks, FEW):
            return across, (1,) * len(dims)
        along = few(chunks, self.y.spec.bytes)
        return (1,) * len(kept), pieces(dims, along)


class Reducing(Sums):
    """Kernels that reduce over any dims, or over no elements at all."""

    def _reduce_stages(self, k, chunks):
        """Results in chunks; or, if they are few, parts of what each is the sum of."""
        (o,) = k.roots
        r = Reduction(o)
        if 0 in r.x.spec.shape:
            yield Stage(1, lambda e, chunk: e._reduce_nothing(r))
            return
        across, along = r.cut(k, chunks) if chunks > 1 else ((), ())
        count, apart = math.prod(across) * math.prod(along), math.prod(along) > 1

        def write(e, chunk):
            if apart:
                e.pointers[r.y] = e._own(o, chunk)
            sizes = [n for space in r.spaces() for n in space]
            spans = e.spans(sizes, (*across, *along), chunk)
            reduce = e._reduce_lanes if r.in_lanes else e._reduce_columns
            reduce(r, spans[: len(across)], spans[len(across) :], not apart)

        yield Stage(count, write)
        if apart:
            yield from self.closing(o, count, r.n)

    def _reduce_nothing(self, r):
        """Over no elements, of perhaps no results."""
        if 0 not in r.results:
            self.nest(r.results, (), lambda at: self._give(r, self._none(r), at))

    def _reduce_lanes(self, r, cut, part, whole):
        """The last dim among others: its lanes are summed when all else is."""
        spans = self._spans(r.sizes[-1])

        def row(outer):
            def strip(_, index, accs):
                return [self._with(r, accs[0], r.place(outer, index))]

            starts = [[self._start(r.o, r.kind, step)] for _, _, step in spans]
            many = self.abreast([r.o], r.sizes)
            accs = self._summed(r.sizes, spans, starts, (), strip, part, many)
            self._give(r, self._total([acc[0] for acc in accs], r.how), outer, whole)

        self.nest(r.results, (), row, cut)

    def _reduce_columns(self, r, cut, part, whole):
        """Dims before the last: several vectors of columns go down together."""
        *rows, n = r.results

        def inner(index):
            for some in self.groups(n, _together(n), *cut[-1:]):
                outers = [(*index, i) for i in some]
                totals = [self._none(r) for _ in outers]
                if r.n:
                    totals = self._down(r, outers, r.sizes, totals, (), part)
                for total, outer in zip(totals, outers, strict=True):
                    self._give(r, total, outer, whole)

        self.nest(rows, (), inner, cut)

    def _down(self, r, outers, sizes, totals, inner, part):
        """Some columns' totals with all elements of `sizes`, inside of what `inner` counts."""
        if not sizes:
            pairs = zip(totals, [r.place(at, inner) for at in outers], strict=True)
            return [self._with(r, *pair) for pair in pairs]
        end, *part = part or [None] * len(sizes)
        with self.loop(*(end or (0, sizes[0]))) as i:
            now, at = i.carry(*totals), (*inner, Affine({i.mark: 1}))
            i.next(*self._down(r, outers, sizes[1:], now, at, part))
        return i.results

    def _none(self, r):
        """What nothing is summed up to."""
        kind = self.lanes.vector(r.kind)
        return self.lanes.number(r.how.first(kind), kind)

    def _with(self, r, total, place):
        """A total with the element of a place."""
        x = self.lanes.cast(self.value(r.x, place), r.kind)
        return r.how.join(self.lanes, total, x)

    def _give(self, r, total, outer, whole=True):
        """The result of an index; of a part of its elements as it is."""
        total = r.how.finish(self.lanes, total, r.n) if whole else total
        self.store(total, r.y, r.result(outer))


def _together(n) -> int:
    """How many vectors of a row are added up at a time: whole lines of memory are near."""
    return max(1, min(TOGETHER, n // vectors()))


def own_sums(k, chunks):
    """(operation, places) of what chunks sum up on their own."""
    (o,) = k.roots
    return [(o, 0 in k.space or math.prod(Reduction(o).cut(k, chunks)[1]))]
