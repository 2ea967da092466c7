"""Arena: places in one piece of memory, which values share that never live at the same time.

All lives are known before. The largest value is placed first, each at the lowest place that is
free for all of its life; the small ones fill what is left between.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

ALIGN = 64


class Tenant(NamedTuple):
    """What needs so many bytes from a kernel to another, both included."""

    key: Hashable
    bytes: int
    first: int
    last: int


def whole(n) -> int:
    """Bytes in whole lines."""
    return max(ALIGN, -(-n // ALIGN) * ALIGN)


def lives(members, values, leaves, size) -> list[Tenant]:
    """These values, of so many bytes, from the kernel that makes each to the last that reads it,
    of some that run one after the other; `leaves` are who reads it.
    """
    number = {k: i for i, k in enumerate(members)}
    return [
        Tenant(v, whole(size(v)), number[k], max(number[j] for j in leaves[v]))
        for k in members
        for v in k.made
        if v in values
    ]


def settled(tenants: Sequence[Tenant]) -> tuple[dict, int]:
    """(where each begins, the bytes that they need together)."""
    order = sorted(tenants, key=lambda t: (-t.bytes, t.first - t.last, t.first))
    size, first, last = (
        np.array([getattr(t, name) for t in order], np.int64)
        for name in ("bytes", "first", "last")
    )
    start, end = np.zeros_like(size), np.zeros_like(size)
    for i in range(len(order)):
        met = np.flatnonzero((first[:i] <= last[i]) & (first[i] <= last[:i]))
        start[i] = _lowest(start[met], end[met], size[i])
        end[i] = start[i] + size[i]
    places = {t.key: int(p) for t, p in zip(order, start, strict=True)}
    return places, int(end.max(initial=0))


def _lowest(start, end, size) -> int:
    """The lowest place of that size between what is taken."""
    order = np.argsort(start)
    taken = np.concatenate([[0], np.maximum.accumulate(end[order])])
    gaps = np.append(start[order], np.iinfo(np.int64).max) - taken
    return int(taken[np.argmax(gaps >= size)])


def peak(tenants: Sequence[Tenant]) -> tuple[int, int]:
    """(the most bytes that live at a time, the first kernel when they do): no arena is less."""
    until = max((t.last for t in tenants), default=0) + 2
    change = np.zeros(until, np.int64)
    for t in tenants:
        change[t.first] += t.bytes
        change[t.last + 1] -= t.bytes
    lives = np.cumsum(change)
    at = int(np.argmax(lives))
    return int(lives[at]), at
