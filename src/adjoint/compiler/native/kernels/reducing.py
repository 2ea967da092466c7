"""Reducing: sums over dims of which the last is not one alone."""

from __future__ import annotations

import math

from ..sharing import Stage, few, pieces
from .affine import ZERO, Affine
from .elements import element
from .nests import vectored, vectors
from .sums import HOW, Sums

FEW = 8  # chunks of results that are enough
TOGETHER = 8  # vectors of columns


class Reducing(Sums):
    """Kernels that reduce over any dims, or over no elements at all."""

    def _reduce_stages(self, k, chunks):
        """Results in chunks; or, if they are few, parts of what each is the sum of."""
        (o,) = k.roots
        shape = o.inputs[0].spec.shape
        if 0 in shape or chunks == 1:
            yield Stage(1, lambda e, chunk: e._reduce(o))
            return
        across, along = reduce_cut(k, chunks)
        n = math.prod(shape[d] for d in _dims(o)[1])
        count, apart = math.prod(across) * math.prod(along), math.prod(along) > 1

        def write(e, chunk):
            if apart:
                e.pointers[o.outputs[0]] = e._own(o, chunk)
            e._reduce(o, *_spans_of(e, o, across, along, chunk), not apart)

        yield Stage(count, write)
        if apart:
            yield from self.closing(o, count, n)

    def _reduce(self, o, spans=(), part=(), whole=True):
        """Over dims that are not the last, or over no elements at all."""
        x, y = o.inputs[0], o.outputs[0]
        shape, (kept, dims) = x.spec.shape, _dims(o)
        if 0 in shape:
            self._reduce_nothing(o, y, dims, kept)
        elif len(shape) - 1 in dims:
            self._reduce_lanes(o, x, y, dims, kept, spans, part, whole)
        else:
            self._reduce_columns(o, x, y, dims, kept, spans, part, whole)

    def _at(self, shape, kept, outer, dims, inner):
        index = [ZERO] * len(shape)
        for d, i in zip(kept, outer, strict=True):
            index[d] = i
        for d, i in zip(dims, inner, strict=True):
            index[d] = i
        return tuple(index)

    def _out_index(self, o, shape, dims, outer):
        if not o.params["keepdim"]:
            return tuple(outer)
        outer = iter(outer)
        return tuple(ZERO if d in dims else next(outer) for d in range(len(shape)))

    def _nothing(self, how, kind):
        return self.lanes.number(how.first(kind), kind)

    def _reduce_nothing(self, o, y, dims, kept):
        """Over no elements, of perhaps no results."""
        shape, how = o.inputs[0].spec.shape, HOW[o.prim.name]
        sizes, n = [shape[d] for d in kept], math.prod(shape[d] for d in dims)

        def row(outer):
            total = self._nothing(how, element(y.spec.dtype))
            total = how.finish(self.lanes, total, n)
            self.store(total, y, self._out_index(o, shape, dims, outer))

        if 0 not in sizes:
            self.nest(sizes, (), row)

    def _reduce_lanes(self, o, x, y, dims, kept, cut, part, whole):
        """The last dim among others: its lanes are summed when all else is."""
        shape, kind, how = x.spec.shape, element(y.spec.dtype), HOW[o.prim.name]
        sizes = [shape[d] for d in dims]
        spans = self._spans(sizes[-1])

        def row(outer):
            def strip(_, index, accs):
                v = self.value(x, self._at(shape, kept, outer, dims, index))
                return [how.join(self.lanes, accs[0], self.lanes.cast(v, kind))]

            starts = [[self._start(o, kind, step)] for _, _, step in spans]
            many = self.abreast([o], sizes)
            accs = self._summed(sizes, spans, starts, (), strip, part, many)
            total = self._total([acc[0] for acc in accs], how)
            if whole:
                total = how.finish(self.lanes, total, math.prod(sizes))
            self.store(total, y, self._out_index(o, shape, dims, outer))

        self.nest([shape[d] for d in kept], (), row, cut)

    def _reduce_columns(self, o, x, y, dims, kept, cut, part, whole):
        """Dims before the last: several vectors of columns go down together."""
        shape, kind, how = x.spec.shape, element(y.spec.dtype), HOW[o.prim.name]
        sizes = [shape[d] for d in dims]
        *outer_sizes, n = [shape[d] for d in kept]

        def columns(outers):
            def nest(sizes, accs, index, part):
                if not sizes:
                    places = [self._at(shape, kept, at, dims, index) for at in outers]
                    values = (self.lanes.cast(self.value(x, p), kind) for p in places)
                    return [
                        how.join(self.lanes, *pair)
                        for pair in zip(accs, values, strict=True)
                    ]
                end, *part = part or [None] * len(sizes)
                with self.loop(*(end or (0, sizes[0]))) as i:
                    phis = i.carry(*accs)
                    i.next(*nest(sizes[1:], phis, (*index, Affine({i.mark: 1})), part))
                return i.results

            totals = [self._nothing(how, self.lanes.vector(kind)) for _ in outers]
            totals = nest(sizes, totals, (), part) if math.prod(sizes) else totals
            for total, outer in zip(totals, outers, strict=True):
                if whole:
                    total = how.finish(self.lanes, total, math.prod(sizes))
                self.store(total, y, self._out_index(o, shape, dims, outer))

        def inner(index):
            for some in self.groups(n, _together(n), *cut[-1:]):
                columns([(*index, i) for i in some])

        self.nest(outer_sizes, (), inner, cut)


def _together(n) -> int:
    """How many vectors of a row are added up at a time: whole lines of memory are near."""
    return max(1, min(TOGETHER, n // vectors()))


def _dims(o):
    """(kept, reduced) dims of a reduction; the last of one of them is computed in lanes."""
    count = len(o.inputs[0].spec.shape)
    dims = sorted(o.params["dim"])
    return [d for d in range(count) if d not in dims], dims


def _spaces(o):
    """The sizes of both, the dim in lanes in vectors."""
    shape = o.inputs[0].spec.shape
    kept, dims = ([shape[d] for d in ds] for ds in _dims(o))
    if len(shape) - 1 in _dims(o)[0]:
        return vectored(kept, _together(kept[-1])), tuple(dims)
    return tuple(kept), vectored(dims)


def reduce_cut(k, chunks):
    """In how many pieces kept and reduced dims are cut."""
    (o,) = k.roots
    kept, dims = _spaces(o)
    if k.pieces:
        return (1,) * len(kept), (k.pieces, *(1 for _ in dims[1:]))
    across = pieces(kept, chunks)
    if math.prod(across) >= min(chunks, FEW):
        return across, (1,) * len(dims)
    along = few(chunks, o.outputs[0].spec.bytes)
    return (1,) * len(kept), pieces(dims, along)


def own_sums(k, chunks):
    """(operation, places) of what chunks sum up on their own."""
    count = 0 in k.space or math.prod(reduce_cut(k, chunks)[1])
    return [(k.roots[0], count)]


def _spans_of(e, o, across, along, chunk):
    """The spans of kept and of reduced dims for a chunk."""
    spaces = [n for space in _spaces(o) for n in space]
    spans = e.spans(spaces, (*across, *along), chunk)
    return spans[: len(across)], spans[len(across) :]
