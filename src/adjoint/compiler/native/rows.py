"""Rows: a space row by row, each in passes, with sums of rows and of columns."""

from __future__ import annotations

import functools
import math

from .affine import ZERO
from .elements import element
from .sums import HOW, Sums


class Rows(Sums):
    """Kernels in which what one pass over a row sums up is there for the next."""

    def _emit_rows(self, k):
        """Row by row, each in passes; what a pass sums up is there for the next."""
        top = max(k.levels.values())
        passes = [[o for o in k.roots if k.levels[o] == p] for p in range(top + 1)]
        names = {o: self._role(k, o) for o in k.roots}

        columns = [o for o in k.roots if names[o] == "column"]
        for o in columns:
            how = HOW[o.prim.name]
            self._each_column(
                k, o, lambda x, how=how: self.lanes.number(how.first(x.type), x)
            )

        def row(outer):
            self.fixed = {}
            for items in passes:
                self._pass(k, outer, [o for o in items if names[o] != "row"], names)
                for o in items:
                    if names[o] == "row":
                        self._single(k, o, outer)
            self.fixed = {}

        self.nest(k.space[: k.rank], (), row)
        n = math.prod(k.space[: k.rank])
        for o in columns:
            if o.prim.name == "mean":
                self._each_column(k, o, lambda x: HOW["mean"].finish(self.lanes, x, n))

    def _each_column(self, k, o, f):
        """Change every element of the sums of columns."""
        y = o.outputs[0]

        def go(index):
            at = self._column(y, index)
            self.store(f(self.load(y, at)), y, at)

        self.over(k.space[k.rank :], go)

    def _column(self, y, inner):
        """The index of a column's sum."""
        return (*(ZERO,) * (len(y.spec.shape) - len(inner)), *inner)

    def _role(self, k, o) -> str:
        """sum: of each row; column: of each column; row: one element a row; all: every one."""
        if o.prim.name in HOW:
            return "column" if 0 in o.params["dim"] and k.rank else "sum"
        shape = tuple(o.outputs[0].spec.shape)
        return "all" if shape == k.space else "row"

    def _single(self, k, o, outer):
        """A value that each row has one of."""
        v = o.outputs[0]
        at = (*outer, *(ZERO,) * (len(v.spec.shape) - k.rank))
        x = self.compute(o, at)
        self.fixed[v] = x
        self.store(x, v, at)

    def _pass(self, k, outer, items, names):
        """One loop over a row: elements are computed and stored, sums are summed."""
        if not items:
            return
        sums = [o for o in items if names[o] == "sum"]
        kinds = [element(o.outputs[0].spec.dtype) for o in sums]
        sizes = k.space[k.rank :]
        spans = self._spans(sizes[-1])
        starts = [
            [self._start(o, kind, step) for o, kind in zip(sums, kinds, strict=True)]
            for _, _, step in spans
        ]

        def strip(i, index, accs):
            after = []
            for o in items:
                v = o.outputs[0]
                if names[o] == "column":
                    self._add_to_column(k, o, index)
                elif names[o] == "sum":
                    x = self.value(o.inputs[0], index)
                    j = len(after)
                    how = HOW[o.prim.name]
                    after.append(
                        how.join(self.lanes, accs[j], self.lanes.cast(x, kinds[j]))
                    )
                else:
                    x = self.compute(o, index)
                    self.known[v, tuple(a.key() for a in index)] = x
                    self.store(x, v, index)
            return after

        totals = self._summed(sizes, spans, starts, outer, strip)
        for j, o in enumerate(sums):
            how, v = HOW[o.prim.name], o.outputs[0]
            parts = [self._fold(acc[j], how) for acc in totals]
            total = functools.reduce(lambda a, b: how.join(self.lanes, a, b), parts)
            total = how.finish(self.lanes, total, math.prod(k.space[k.rank :]))
            self.fixed[v] = total
            self.store(total, v, (*outer, *(ZERO,) * (len(v.spec.shape) - k.rank)))

    def _add_to_column(self, k, o, index):
        y, how = o.outputs[0], HOW[o.prim.name]
        x = self.lanes.cast(self.value(o.inputs[0], index), element(y.spec.dtype))
        at = self._column(y, index[k.rank :])
        self.store(how.join(self.lanes, self.load(y, at), x), y, at)
