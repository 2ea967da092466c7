"""Grids: the parts of a product's result that are tasks, for some threads or for one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..llvm.machine import cache

if TYPE_CHECKING:
    from .form import Form

# Operations of a task at least, and tasks of a product at the most.
TASK, TASKS = 2**18, 48
TIMES = {"tiles": 8, "vectors": 8, "thirds": 2}  # as many where pairs are multiplied
# What a number costs to be copied or fetched, turned, or picked, in products of two numbers.
PACKED = 4.0, 12.0, 32.0
THIRDS = 58  # products of thirds in a cycle


def best(form: Form) -> tuple[int, int, int, int]:
    """(parts of the rows, of the columns, rows and columns of a part) that lose least."""
    return min(_possible(form), key=lambda grid: _loss(form, grid))


def _possible(form):
    """Those of which each task is worth being one; where a core's cache does not hold B, as few
    columns as can be, so that no part of B is packed often. To cut A costs as much.
    """
    flop = 2 * form.m * form.n * max(1, form.k) * math.prod(s[0] for s in form.sums)
    task = TASK * (TIMES[form.by] if form.kind == "pairs" else 1)
    wanted = max(1, min(TASKS, flop // task))
    panels, tiles = -(-form.n // form.width), -(-form.m // form.tile[0])
    large = not form.in_thirds and form.k * form.n * form.item > cache(2)
    for columns in range(-(-panels // wanted), panels + 1):
        across = -(-panels // columns)
        most = wanted // across
        downs = [max(1, min(most, tiles // 8))] if large else range(1, most + 1)
        for rows in {-(-tiles // d) for d in downs}:
            down = -(-tiles // rows)
            yield down, across, rows * form.tile[0], columns * form.width
        if large:
            return


def _loss(form, grid) -> float:
    """What tasks lose, as a part of the work: each packs, or fetches, what it reads; some threads
    wait for the last ones.
    """
    down, across, *size = grid
    number = down * across * math.prod(s[0] for s in form.batch)
    rows, columns = min(size[0], form.m), min(size[1], form.n)
    a, b = _packed(form, rows, columns)
    packed = a * across / form.n + b * down / form.m
    uneven = down * rows * across * columns / (form.m * form.n) - 1
    waits = sum(-number % cores for cores in (4, 8)) / (2 * number)
    return packed + 1 / number + (uneven + waits) / 2


def _packed(form, rows, columns) -> tuple[float, float]:
    """What a number of A and of B costs a task, in products of two numbers."""
    if form.in_thirds:
        return tuple(THIRDS * x for x in form.cut(rows, columns))
    beside = form.kind == "beside" or form.b[1] == 1
    way = 0 if beside else 1 if form.b[0] == 1 else 2
    return PACKED[1 if form.slivers else 0], PACKED[way] / 2  # once for a few tasks
