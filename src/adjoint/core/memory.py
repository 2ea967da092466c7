"""Memory of arrays: where it lies; copies that share theirs as what they copy does."""

from __future__ import annotations

import numpy as np


def address(x: np.ndarray) -> int:
    """Where the first element lies."""
    return x.__array_interface__["data"][0]


def copied(value: np.ndarray, memo: dict) -> np.ndarray:
    """A copy of `value`; `memo` has the copies of what owns memory, by the owner's id.

    >>> x, memo = np.arange(3), {}
    >>> y, part = copied(x, memo), copied(x[1:], memo)
    >>> np.shares_memory(y, part), np.shares_memory(x, part)
    (True, False)
    """
    owner = value
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    if id(owner) not in memo:
        memo[id(owner)] = owner.copy(order="K")
    copy = memo[id(owner)]
    if owner is value:
        return copy
    if copy.strides != owner.strides or not owner.flags.forc:
        return value.copy(order="K")
    start = address(value) - address(owner)
    memory = copy.reshape(-1, order="A").view(np.uint8)
    return np.ndarray(value.shape, value.dtype, memory, start, value.strides)
