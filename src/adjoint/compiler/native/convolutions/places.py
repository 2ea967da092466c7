"""Places: the results of a convolution as vectors, and what each meets in a frame.

A row of results that vectors do not fill is either left with idle lanes, or all rows are one
row and a vector that goes over the end of a row is loaded in several runs: whichever keeps
the multipliers busier. A table has an entry for each vector.
"""

from __future__ import annotations

import itertools
import math

from ..llvm.types import I64


class Places:
    """The vectors of `lanes` places of a grid of this size; `strides` are its steps.

    `takes` is how many products a loaded vector takes part in. An entry is where a vector is
    in the grid, how many of its lanes are, where its first run lies in the frame, and for
    each other run where it begins, in lanes and in the frame. The first `full` entries are
    of vectors all of whose lanes are in the grid.
    """

    def __init__(self, frame, size, strides, lanes, takes):
        self.width, self.lanes = size[-1], lanes
        lead = zip(size[:-1], strides[:-1], strict=True)
        self.rows = frame.offsets(*([i * s for i in range(n)] for n, s in lead), [0])
        self.total = math.prod(size)
        found, runs = self._flat(), self._runs()
        alone = self.width / (-(-self.width // lanes) * lanes)
        if runs > 1 and alone >= takes / (takes + runs - 1):
            found, runs = self._by_row(), 1
        found = sorted(found, key=lambda place: place[1] < lanes)
        self.runs, self.entry, self.count = runs, 2 * runs + 1, len(found)
        self.full = sum(count >= lanes for _, count in found)
        self.table = list(itertools.chain(*(self._entry(*place) for place in found)))

    def _flat(self):
        return [(i, self.total - i) for i in range(0, self.total, self.lanes)]

    def _by_row(self):
        starts = range(0, self.width, self.lanes)
        rows = range(0, self.total, self.width)
        return [(row + x, self.width - x) for row in rows for x in starts]

    def _runs(self) -> int:
        """The most rows that a vector of neighbouring places has a part in."""
        starts = {i % self.width for i in range(0, self.total, self.lanes)}
        end = min(self.lanes, self.total) - 1
        return min(len(self.rows), max((x + end) // self.width + 1 for x in starts))

    def _entry(self, place, count):
        row, x = divmod(place, self.width)
        yield from (place, min(count, self.lanes), self.rows[row] + x)
        for i in range(1, self.runs):
            begin = i * self.width - x
            known = row + i < len(self.rows) and begin < self.lanes
            yield from (begin, self.rows[row + i] - begin) if known else (self.lanes, 0)

    def read(self, v, b, table, i):
        """The place in the i-th entry of a table, `v` the vectors it is loaded by."""
        i = I64(i) if isinstance(i, int) else i
        start = b.mul(i, I64(self.entry))
        entry = [
            b.load(b.gep(table, [b.add(start, I64(k))])) for k in range(self.entry)
        ]
        return _Place(v, b, *entry)


class _Place:
    """One vector: `to` is where it is in the grid, `mask` its lanes there."""

    def __init__(self, v, b, to, count, at, *runs):
        self.to, self.at = to, at
        self.mask = v.below(b, count)
        self.runs = [
            (v.above(b, begin), start)
            for begin, start in zip(runs[::2], runs[1::2], strict=True)
        ]

    def load(self, v, b, image, masked=False):
        """What it meets in an image; only its own lanes if `masked`."""
        x = v.load(b, b.gep(image, [self.at]), self.mask if masked else None)
        for lanes, start in self.runs:
            lanes = b.and_(lanes, self.mask) if masked else lanes
            x = v.load(b, b.gep(image, [start]), lanes, other=x)
        return x
