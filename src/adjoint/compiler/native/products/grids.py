"""Grids: the parts of a product's result that are tasks, for some threads or for one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from ..llvm.machine import cache

if TYPE_CHECKING:
    from .form import Form

# Operations of a task at least, and tasks of a product at the most.
TASK, TASKS = 2**18, 48
RANGES, WORKERS = 12, 5  # of tasks that are taken of a product, by so many, about
TIMES = {"tiles": 8, "vectors": 8, "thirds": 2}  # as many where pairs are multiplied
# What a number costs to be copied or fetched, turned, or picked, in products of two numbers.
PACKED = 4.0, 12.0, 32.0
THIRDS = 58  # products of thirds in a cycle


class Grid(NamedTuple):
    """Parts of the rows and of the columns, and the rows and columns of a part."""

    down: int
    across: int
    rows: int
    columns: int


def best(f: Form) -> Grid:
    """The grid that loses least."""
    return min(_possible(f), key=lambda grid: _loss(f, grid))


def _possible(f: Form) -> Iterator[Grid]:
    """Those of which each task is worth being one; where a core's cache does not hold B, as
    few columns as can be, so that no part of B is packed often. To cut A costs as much.
    """
    flop = 2 * f.m * f.n * max(1, f.k) * math.prod(s[0] for s in f.sums)
    task = TASK * (TIMES[f.by] if f.kind == "pairs" else 1)
    wanted = max(1, min(TASKS, flop // task))
    panels, tiles = -(-f.n // f.width), -(-f.m // f.tile[0])
    large = not f.in_thirds and f.k * f.n * f.item > cache(2)
    for columns in range(-(-panels // wanted), panels + 1):
        across = -(-panels // columns)
        most = wanted // across
        downs = [max(1, min(most, tiles // 8))] if large else range(1, most + 1)
        for rows in {-(-tiles // d) for d in downs}:
            down = -(-tiles // rows)
            yield Grid(down, across, rows * f.tile[0], columns * f.width)
        if large:
            return


def _loss(f: Form, grid: Grid) -> float:
    """What tasks lose, as a part of the work: each packs, or fetches, what it reads; some
    threads wait for the last ones.
    """
    down, across, rows, columns = grid
    number = down * across * f.count
    rows, columns = min(rows, f.m), min(columns, f.n)
    a, b = _packing(f, grid)
    often_a, often_b = _often(f, grid)
    packed = a * often_a / f.n + b * often_b / f.m
    uneven = down * rows * across * columns / (f.m * f.n) - 1
    waits = sum(-number % cores for cores in (4, 8)) / (2 * number)
    return packed + 1 / number + (uneven + waits) / 2


def _often(f: Form, grid: Grid) -> tuple[int, int]:
    """How often a row of A and a column of B are packed: once for each range of tasks that a
    worker takes, in which those of the same columns follow each other.
    """
    down, across, *_ = grid
    if not f.in_thirds:
        return across, down
    calls = WORKERS if f.stays(grid) else RANGES
    often_a = across if down > 1 else min(across, calls)
    return often_a, min(down, max(1, calls // across))


def _packing(f: Form, grid: Grid) -> tuple[float, float]:
    """What a number of A and of B costs a task, in products of two numbers."""
    if f.in_thirds:  # nothing hides what comes from other cores
        a, b = f.cut(f.m if grid.down == 1 else 1, f.n if grid.across == 1 else 1)
        return THIRDS * a, THIRDS * b
    beside = f.kind == "beside" or f.b[1] == 1
    way = 0 if beside else 1 if f.b[0] == 1 else 2
    return PACKED[1 if f.slivers else 0], PACKED[way] / 2  # once for a few tasks
