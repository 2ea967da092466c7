"""Reducing: sums over dims of which the last is not one alone."""

from __future__ import annotations

import math

from ...schedule.regions import summed
from ..arithmetic.kinds import element
from ..sharing import Stage, few, pieces
from .affine import ZERO, Affine
from .nests import vectored, vectors
from .sums import HOW, Sums

FEW = 8  # chunks of results that are enough
TOGETHER = 8  # vectors of columns


class Reduced:
    """One of the sums of a kernel: of x, given as y."""

    def __init__(self, o):
        self.o, self.x, self.y = o, o.inputs[0], o.outputs[0]
        self.how, self.kind = HOW[o.prim.name], element(self.y.spec.dtype)


class Reduction:
    """A kernel that sums over `dims` and has results for each index of those `kept`."""

    def __init__(self, k):
        self.sums = list(map(Reduced, k.roots))
        (dims,) = set(map(summed, k.roots))
        self.dims = list(dims)
        self.kept = [d for d in range(len(k.space)) if d not in self.dims]
        self.sizes = [k.space[d] for d in self.dims]
        self.results = [k.space[d] for d in self.kept]
        self.n = math.prod(self.sizes)  # elements of a sum

    @property
    def in_lanes(self) -> bool:
        """Whether the last dim is summed: the last of all is computed in lanes."""
        return self.dims[-1:] > self.kept[-1:]

    @property
    def together(self) -> int:
        """How many vectors of columns are added up at a time: whole lines of memory are near."""
        most = TOGETHER // len(self.sums)
        return max(1, min(most, self.results[-1] // vectors()))

    def place(self, outer, inner) -> tuple:
        """Where the element of a result's index, and of the dims that are summed, lies."""
        at = dict(zip(self.kept, outer, strict=True))
        at |= zip(self.dims, inner, strict=True)
        return tuple(at[d] for d in range(len(at)))

    def result(self, s, outer) -> tuple:
        """Where a result lies."""
        if not s.o.params["keepdim"]:
            return tuple(outer)
        at = dict(zip(self.kept, outer, strict=True))
        return tuple(at.get(d, ZERO) for d in range(len(s.x.spec.shape)))

    def spaces(self):
        """The sizes of both, the dim in lanes in vectors."""
        if self.in_lanes:
            return tuple(self.results), vectored(self.sizes)
        return vectored(self.results, self.together), tuple(self.sizes)

    def cut(self, k, chunks):
        """In how many pieces the dims that are kept and those that are summed are cut."""
        kept, dims = self.spaces()
        if k.pieces:
            return (1,) * len(kept), (k.pieces, *(1 for _ in dims[1:]))
        across = pieces(kept, chunks)
        if math.prod(across) >= min(chunks, FEW):
            return across, (1,) * len(dims)
        along = few(chunks, sum(s.y.spec.bytes for s in self.sums))
        return (1,) * len(kept), pieces(dims, along)


class Reducing(Sums):
    """Kernels that reduce over any dims, or over no elements at all."""

    def _reduce_stages(self, k, chunks):
        """Results in chunks; or, if they are few, parts of what each is the sum of."""
        r = Reduction(k)
        if 0 in k.space:
            yield Stage(1, lambda e, chunk: e._reduce_nothing(r))
            return
        across, along = r.cut(k, chunks) if chunks > 1 else ((), ())
        count, apart = math.prod(across) * math.prod(along), math.prod(along) > 1

        def write(e, chunk):
            for s in r.sums if apart else ():
                e.pointers[s.y] = e.own(s.o, chunk)
            sizes = [n for space in r.spaces() for n in space]
            spans = e.spans(sizes, (*across, *along), chunk)
            reduce = e._reduce_lanes if r.in_lanes else e._reduce_columns
            reduce(r, spans[: len(across)], spans[len(across) :], not apart)

        yield Stage(count, write)
        for s in r.sums if apart else ():
            yield from self.closing(s.o, count, r.n)

    def _reduce_nothing(self, r):
        """Over no elements, of perhaps no results."""

        def give(at):
            for s in r.sums:
                self._give(r, s, self._none(s), at)

        if 0 not in r.results:
            self.nest(r.results, (), give)

    def _reduce_lanes(self, r, cut, part, whole):
        """The last dim among others: its lanes are summed when all else is."""
        spans = self._spans(r.sizes[-1])

        def row(outer):
            def strip(_, index, accs):
                place = r.place(outer, index)
                return [self._with(*x, place) for x in zip(r.sums, accs, strict=True)]

            starts = [
                [self._start(s.o, s.kind, step) for s in r.sums] for *_, step in spans
            ]
            many = self.abreast([s.o for s in r.sums], r.sizes)
            accs = self._summed(r.sizes, spans, starts, (), strip, part, many)
            for s, *parts in zip(r.sums, *accs, strict=True):
                self._give(r, s, self._total(parts, s.how), outer, whole)

        self.nest(r.results, (), row, cut)

    def _reduce_columns(self, r, cut, part, whole):
        """Dims before the last: several vectors of columns go down together."""
        *rows, n = r.results

        def inner(index):
            for some in self.groups(n, r.together, *cut[-1:]):
                pairs = [((*index, i), s) for i in some for s in r.sums]
                totals = [self._none(s) for _, s in pairs]
                if r.n:
                    totals = self._down(r, pairs, r.sizes, totals, (), part)
                for total, (outer, s) in zip(totals, pairs, strict=True):
                    self._give(r, s, total, outer, whole)

        self.nest(rows, (), inner, cut)

    def _down(self, r, pairs, sizes, totals, inner, part):
        """Some columns' totals with all elements of `sizes`, inside of what `inner` counts."""
        if not sizes:
            found = zip(pairs, totals, strict=True)
            return [self._with(s, t, r.place(at, inner)) for (at, s), t in found]
        end, *part = part or [None] * len(sizes)
        with self.loop(*(end or (0, sizes[0]))) as i:
            now, at = i.carry(*totals), (*inner, Affine({i.mark: 1}))
            i.next(*self._down(r, pairs, sizes[1:], now, at, part))
        return i.results

    def _none(self, s):
        """What nothing is summed up to."""
        kind = self.lanes.vector(s.kind)
        return self.lanes.number(s.how.first(kind), kind)

    def _with(self, s, total, place):
        """A total with the element of a place."""
        x = self.lanes.cast(self.value(s.x, place), s.kind)
        return s.how.join(self.lanes, total, x)

    def _give(self, r, s, total, outer, whole=True):
        """The result of an index; of a part of its elements as it is."""
        total = s.how.finish(self.lanes, total, r.n) if whole else total
        self.store(total, s.y, r.result(s, outer))


def own_sums(k, chunks):
    """(operation, places) of what chunks sum up on their own."""
    count = 0 in k.space or math.prod(Reduction(k).cut(k, chunks)[1])
    return [(o, count) for o in k.roots]
