"""The check of positions and class numbers, made now or when a program runs."""

from __future__ import annotations

import numpy as np

from ..core.bind import NUMPY, floor
from ..core.primitive import op


def within(index, n, dim, by, but=None):
    """The positions, if each is in 0 ≤ i < n, or is `but`; else an error that names one.

    `dim` is that which they are for, or what ops.index names instead.
    """
    params = {"n": n, "dim": dim, "by": by, "but": but}
    if type(index) is np.ndarray:
        return op.bounded.eager(index, **params)
    value = index.__dict__.get("value")
    if type(value) is not np.ndarray or floor.get() is not NUMPY:
        return op.bounded(index, **params)
    op.bounded.eager(value, **params)
    return index
