"""Plan: where every stored value of a program lies in memory, known before it runs.

Arguments, states and outputs lie where the caller says; what lives only inside lies in one
arena, in which values whose lives do not overlap share a place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .matmul import panel_bytes

ALIGN = 64


def size_of(v) -> int:
    """Bytes of a value."""
    return math.prod(v.spec.shape) * v.spec.dtype.itemsize


@dataclass
class Plan:
    """Numbers of the pointers in the table that a program is given, and offsets in the arena."""

    slots: dict = field(default_factory=dict)
    offsets: dict = field(default_factory=dict)
    panel: int = 0
    bytes: int = 0

    def slot(self, key) -> int:
        """The number of this pointer, a new one at first."""
        return self.slots.setdefault(key, len(self.slots))


def plan(schedule, homes: dict) -> Plan:
    """`homes` maps outputs to the input in whose memory they are computed, or to None."""
    p = Plan()
    for v in (*schedule.graph.inputs, *schedule.constants):
        p.slot(v)
    for v, home in homes.items():
        p.slots[v] = p.slots[home] if home is not None else p.slot(v)
    p.bytes = _place(p, schedule, homes)
    p.panel, p.bytes = p.bytes, p.bytes + panel_bytes()
    return p


def _place(p, schedule, homes) -> int:
    """Offsets of what lives inside, first come first placed; the bytes that it takes."""
    last, free, ends, top = _last_reads(schedule), [], {}, 0
    for i, k in enumerate(schedule.kernels):
        free += ends.pop(i, [])
        for v in k.made:
            if v in homes or v in p.slots:
                continue
            n = max(ALIGN, -(-size_of(v) // ALIGN) * ALIGN)
            place = min((f for f in free if f[0] >= n), default=None)
            if place:
                free.remove(place)
            else:
                place, top = (n, top), top + n
            p.slot(v)
            p.offsets[v] = place[1]
            ends.setdefault(last[v] + 1, []).append(place)
    return top


def _last_reads(schedule) -> dict:
    last: dict = {}
    for i, k in enumerate(schedule.kernels):
        for v in (*k.reads, *k.made):
            last[v] = i
    return last
