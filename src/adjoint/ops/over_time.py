"""A sequence step by step: rows in the order of time, and the loop over them.

`sizes` says how many rows each step has, never more than the step before, so that the first
rows of the state take part; `reverse` walks from the last step to the first.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

import numpy as np

from ..core.primitive import op


@lru_cache(1024)
def steps_of(sizes, reverse):
    """(place, first row, number of rows) of each step, in the order they are taken."""
    ends = accumulate(sizes)
    steps = [(k, e - n, n) for k, (e, n) in enumerate(zip(ends, sizes, strict=True))]
    return tuple(reversed(steps)) if reverse else tuple(steps)


def over_time(step, state, xs, sizes, reverse):
    """step(state, x) -> (state, y) at each step; the last state, and the rows of every y.

    `state`, `x` and `y` are tuples: of the rows that take part, of the rows of that step
    (None stays None), and of what is kept of it.
    """
    kept: list = [None] * len(sizes)
    for k, start, n in steps_of(sizes, reverse):
        here = tuple(rows_of(s, 0, n) for s in state)
        new, kept[k] = step(here, tuple(rows_of(x, start, n) for x in xs))
        state = tuple(_over(a, s) for a, s in zip(new, state, strict=True))
    return state, [_after(ys) for ys in zip(*kept, strict=True)]


def _after(parts):
    """Rows of all steps, one step after the other."""
    return op.cat(*parts, dim=0) if len(parts) > 1 else parts[0]


def rows_of(x, start, n):
    """The n rows of `x` from `start` on; None stays None."""
    if x is None or n == x.shape[0]:
        return x
    if isinstance(x, np.ndarray):
        return x[start : start + n]
    return op.slice(x, key=((start, start + n, 1), *((0, m, 1) for m in x.shape[1:])))


def _over(new, state):
    """`state`, its first rows replaced by `new`."""
    n, count = new.shape[0], state.shape[0]
    return new if n == count else op.cat(new, rows_of(state, n, count - n), dim=0)


def before_each(ys, start, sizes, reverse):
    """The state before each step: `start`, then what `ys` has after the step before."""
    parts, last = [], None
    for k, first, n in steps_of(sizes, reverse):
        before = start if last is None else _over(rows_of(ys, *last), start)
        parts.append((k, rows_of(before, 0, n)))
        last = (first, n)
    return _after([part for _, part in sorted(parts, key=lambda p: p[0])])


def columns_of(x, count):
    """The columns of `x` in `count` equal parts."""
    n = x.shape[1] // count
    if isinstance(x, np.ndarray):
        return [x[:, k * n : (k + 1) * n] for k in range(count)]
    rows = (0, x.shape[0], 1)
    return [op.slice(x, key=(rows, (k * n, (k + 1) * n, 1))) for k in range(count)]
