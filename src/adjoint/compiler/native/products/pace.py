"""Pace: how fast tiles of pairs are whose operands are at hand: the peak of such products."""

from __future__ import annotations

import ctypes
import functools
import time

import numpy as np

from ..arithmetic.kinds import FLOAT
from ..llvm import text as ir
from ..llvm.flow import loop
from ..llvm.machine import Library, machine_code, pairs
from ..llvm.types import BIT, I64
from .cutting import PARTS
from .paired import PAIR_TILES, PAIRS, SIDE, Paired

DEPTH, TIMES, TRIES = 256, 200, 30  # numbers of k, tiles of a run, runs
ONES = np.int32(0x3F80_3F80)  # two bfloat16


@functools.cache
def pace(by: str = "") -> float:
    """Operations a second by one core: of bfloat16, or of what `by` names; 0 where no
    instruction takes them.
    """
    here = pairs()
    by = by or here
    if not here or (by == "thirds" and here != "tiles"):
        return 0.0
    rows, vectors = PAIR_TILES[by]
    spent = _seconds(by, rows, vectors * SIDE)
    return 2 * DEPTH * rows * vectors * SIDE * TIMES / spent


def _seconds(by, rows, width) -> float:
    """Of the best of some runs."""
    library = Library(machine_code(str(_code(by, rows, width))))
    run = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(library.address("pace"))
    numbers = (PARTS * rows * DEPTH, PARTS * width * DEPTH, 2 * rows * width)
    memory = [np.full(n + SIDE, ONES) for n in numbers]
    places = [m.ctypes.data + -m.ctypes.data % 64 for m in memory]
    spent = []
    for _ in range(TRIES):
        start = time.perf_counter()
        run(*places)
        spent.append(time.perf_counter() - start)
    return max(min(spent), 1e-9)


def _code(by, rows, width):
    """A module with a function of packed rows of A, a panel of B, and what a tile makes."""
    module = ir.Module("pace")
    p, floats = Paired(module, FLOAT), FLOAT.as_pointer()
    f, b = p.function("pace", PAIRS, PAIRS, floats)
    f.linkage = "external"
    a, panel, c = f.args
    numbers = map(I64, (width, rows, width))
    args = [a, panel, c, I64(DEPTH), BIT(1), *numbers, c]
    with p.ready(b, by), loop(b, 0, TIMES, 1):
        b.call(p.pair_tile(by), args)
    b.ret_void()
    return module
