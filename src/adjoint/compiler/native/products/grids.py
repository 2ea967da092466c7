"""Grids: the parts of a product's result that are tasks, for some threads or for one."""

from __future__ import annotations

import functools
import math
from typing import Any

from ..llvm.machine import cache

# Operations of a task at least, and tasks of a product at the most.
TASK, TASKS = 2**18, 48
RANGES, WORKERS = 12, 5  # of tasks that are taken of a product, by so many, about
TIMES = {"tiles": 8, "vectors": 8, "thirds": 2}  # as many where pairs are multiplied
# What a number costs to be copied or fetched, turned, or picked, in products of two numbers.
PACKED = 4.0, 12.0, 32.0
THIRDS = 58  # products of thirds in a cycle


class Grids:
    """How a product is shared out; what is multiplied, and with what tiles, a `Form` says."""

    m: int
    n: int
    k: int
    b: tuple[int, int]
    batch: tuple
    sums: tuple
    item: int
    by: str
    kind: Any
    in_thirds: Any
    descends: Any
    stays: Any
    slivers: Any
    tile: Any
    width: Any
    cut: Any

    @functools.cached_property
    def grid(self) -> tuple[int, int, int, int]:
        """(parts of the rows, of the columns, rows and columns of a part) that lose least."""
        return min(self._possible(), key=self._loss)

    @functools.cached_property
    def tasks(self) -> int:
        """Parts of the result that can be computed in any order, or at once."""
        if 0 in (self.m, self.n):
            return 0
        down, across, *_ = self.grid
        return down * across * math.prod(s[0] for s in self.batch)

    def _possible(self):
        """Those of which each task is worth being one; where a core's cache does not hold B, as
        few columns as can be, so that no part of B is packed often. To cut A costs as much.
        """
        flop = 2 * self.m * self.n * max(1, self.k) * math.prod(s[0] for s in self.sums)
        task = TASK * (TIMES[self.by] if self.kind == "pairs" else 1)
        wanted = max(1, min(TASKS, flop // task))
        panels, tiles = -(-self.n // self.width), -(-self.m // self.tile[0])
        large = not self.in_thirds and self.k * self.n * self.item > cache(2)
        for columns in range(-(-panels // wanted), panels + 1):
            across = -(-panels // columns)
            most = wanted // across
            downs = [max(1, min(most, tiles // 8))] if large else range(1, most + 1)
            for rows in {-(-tiles // d) for d in downs}:
                down = -(-tiles // rows)
                yield down, across, rows * self.tile[0], columns * self.width
            if large:
                return

    def _loss(self, grid) -> float:
        """What tasks lose, as a part of the work: each packs, or fetches, what it reads; some
        threads wait for the last ones.
        """
        down, across, *size = grid
        number = down * across * math.prod(s[0] for s in self.batch)
        rows, columns = min(size[0], self.m), min(size[1], self.n)
        a, b = self._packing(down, across, rows, columns)
        often_a, often_b = self._often(down, across)
        packed = a * often_a / self.n + b * often_b / self.m
        uneven = down * rows * across * columns / (self.m * self.n) - 1
        waits = sum(-number % cores for cores in (4, 8)) / (2 * number)
        return packed + 1 / number + (uneven + waits) / 2

    def _often(self, down, across) -> tuple[int, int]:
        """How often a row of A and a column of B are packed: once for each range of tasks that a
        worker takes, in which those of the same columns follow each other.
        """
        if not self.in_thirds:
            return across, down
        calls = WORKERS if self.stays(down, across) else RANGES
        often_a = across if down > 1 else min(across, calls)
        return often_a, min(down, max(1, calls // across))

    def _packing(self, down, across, rows, columns) -> tuple[float, float]:
        """What a number of A and of B costs a task, in products of two numbers."""
        if self.in_thirds:  # nothing hides what comes from other cores
            a, b = self.cut(rows if down == 1 else 1, columns if across == 1 else 1)
            return THIRDS * a, THIRDS * b
        beside = self.kind == "beside" or self.b[1] == 1
        way = 0 if beside else 1 if self.b[0] == 1 else 2
        return PACKED[1 if self.slivers else 0], PACKED[way] / 2  # once for a few tasks
