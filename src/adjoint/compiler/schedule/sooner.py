"""Sooner: states get their new values as soon as all for them is there.

A gradient is then still in the caches when its parameter is updated, and its memory is free
for what comes after.
"""

from __future__ import annotations


def sooner(s, renewed: dict, safe: int) -> None:
    """Move the maps of a schedule that make the new value of a state; `renewed` maps values
    to the states that they replace.

    None goes before the kernel number `safe`, the first from which on nothing fails, nor
    before another that reads the old value: its result could no longer be written there.
    """
    for k in [k for k in s.kernels if k.kind == "map"]:
        old = {renewed[v] for v in k.made if v in renewed}
        if not old:
            continue
        place = s.kernels.index(k)
        before = [
            i
            for i, other in enumerate(s.kernels[:place])
            if i < safe or not k.reads.isdisjoint(other.made) or old & other.reads
        ]
        s.move(k, max(before, default=-1) + 1)
