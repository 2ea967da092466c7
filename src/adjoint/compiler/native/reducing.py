"""Reducing: sums over dims of which the last is not one alone."""

from __future__ import annotations

import functools
import math

from .affine import ZERO, Affine
from .elements import element
from .sums import HOW, Sums


class Reducing(Sums):
    """Kernels that reduce over any dims, or over no elements at all."""

    def _emit_reduce(self, k):
        """Over dims that are not the last, or over no elements at all."""
        (o,) = k.roots
        x, y = o.inputs[0], o.outputs[0]
        dims, shape = o.params["dim"], x.spec.shape
        kept = [d for d in range(len(shape)) if d not in dims]
        if 0 not in shape and len(shape) - 1 not in dims:
            self._reduce_columns(o, x, y, dims, kept)
        elif 0 in shape:
            self._reduce_nothing(o, y, dims, kept)
        else:
            self._reduce_lanes(o, x, y, sorted(dims), kept)

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

    def _reduce_lanes(self, o, x, y, dims, kept):
        """The last dim among others: its lanes are summed when all else is."""
        shape, kind, how = x.spec.shape, element(y.spec.dtype), HOW[o.prim.name]
        sizes = [shape[d] for d in dims]
        spans = self._spans(sizes[-1])

        def row(outer):
            def strip(_, index, accs):
                v = self.value(x, self._at(shape, kept, outer, dims, index))
                return [how.join(self.lanes, accs[0], self.lanes.cast(v, kind))]

            starts = [[self._start(o, kind, step)] for _, _, step in spans]
            accs = self._summed(sizes, spans, starts, (), strip)
            parts = [self._fold(acc[0], how) for acc in accs]
            total = functools.reduce(lambda a, b: how.join(self.lanes, a, b), parts)
            total = how.finish(self.lanes, total, math.prod(sizes))
            self.store(total, y, self._out_index(o, shape, dims, outer))

        self.nest([shape[d] for d in kept], (), row)

    def _reduce_columns(self, o, x, y, dims, kept):
        shape, kind, how = x.spec.shape, element(y.spec.dtype), HOW[o.prim.name]
        sizes = [shape[d] for d in dims]
        *outer_sizes, n = [shape[d] for d in kept]

        def columns(outer):
            start = self._nothing(how, self.lanes.vector(kind))

            def nest(sizes, acc, index):
                if not sizes:
                    v = self.value(x, self._at(shape, kept, outer, dims, index))
                    return how.join(self.lanes, acc, self.lanes.cast(v, kind))
                with self.loop(0, sizes[0]) as i:
                    (phi,) = i.carry(acc)
                    i.next(nest(sizes[1:], phi, (*index, Affine({i.mark: 1}))))
                return i.results[0]

            total = nest(sizes, start, ()) if math.prod(sizes) else start
            total = how.finish(self.lanes, total, math.prod(sizes))
            self.store(total, y, self._out_index(o, shape, dims, outer))

        def inner(index):
            for i in self.strips(n):
                columns((*index, i))

        self.nest(outer_sizes, (), inner)
