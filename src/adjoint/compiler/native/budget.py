"""Budget: a program that keeps within so much memory, by computing some values again.

What is planned in `ir.again` on the loops of the program as it was captured is planned again
on the loops that come of it; where those take more than was thought, the aim is lowered.
"""

from __future__ import annotations

import numpy as np

from ...errors import ArgumentError
from ...ir.again import Choice, Life, Plan, chosen, computed_again
from ..cost import LOOPS, nanoseconds_of
from .arena import peak
from .part import Part

TRIES = 5
CLOSE = 0.01  # of the difference between what is needed and what could be


def within(graph, renewed, room: int | None) -> Part:
    """The program, of which at most so many bytes live inside if that can be."""
    part = Part(graph, renewed)
    if room is None or part.inside <= room:
        return part
    plan, best, aim = planned(part), part, room
    for _ in range(TRIES):
        tried = _part(graph, renewed, chosen(plan, aim - part.scratch()))
        best = min(best, tried, key=lambda p: p.inside)
        if best.inside <= room:
            break
        aim -= tried.inside - room
    return best


def _part(graph, renewed, choice: Choice) -> Part:
    return Part(computed_again(graph, choice), renewed)


def least(graph, renewed) -> Part:
    """The program with as little inside as computing again can bring it to."""
    part = Part(graph, renewed)
    plan, low, high = planned(part), 0, part.inside
    best = part
    while high - low > CLOSE * part.inside:
        middle = (low + high) // 2
        tried = within(graph, renewed, middle)
        best = min(best, tried, key=lambda p: p.inside)
        low, high = (low, middle) if tried.inside <= middle else (middle, high)
    return best


def planned(part: Part) -> Plan:
    """The lives of a part's values."""
    s, last = part.schedule, part.last_reads()
    number, lives, rest = s.number, {}, np.zeros(len(s.kernels) + 1, np.int64)
    gone = {h: number[s.kernel_of[r]] for r, h in part.homes.items() if h is not None}
    reads: dict = {}
    for i, k in enumerate(s.kernels):
        for v in k.reads:
            reads.setdefault(v, []).append(i)
    for t in part.tenants(shared=False):
        if t.key in s.kernel_of:
            continue
        rest[t.first : t.last + 1] += t.bytes
    for k in s.kernels:
        for v in k.made:
            if v in part.homes:
                continue
            times = reads.get(v, [])
            if last[v] == len(s.kernels):
                times = [*times, last[v]]
            lives[v] = _life(part, v, number[k], times, gone)
    for v, life in lives.items():
        life.sources = tuple(u for u in _met(s, v) if u in lives and u is not v)
    time = {o: number[k] for k in s.kernels for o in k.roots}
    stored = {v for v in s.stored if v not in s.alias}
    ordered = dict(sorted(lives.items(), key=lambda pair: s.order(pair[0])))
    return Plan(ordered, rest, time, stored)


def _met(s, v):
    return s.accesses(s.maker[v])


def _life(part, v, made, times, gone) -> Life:
    s = part.schedule
    local = v in s.local
    cone = list(s.computed(s.maker[v]))
    known = not any(
        p.prim.calls_back or p.prim.outputs != 1 or p.prim.name in LOOPS for p in cone
    )
    return Life(
        bytes=0 if local else part.size(v),
        made=made,
        reads=times,
        cost=sum(map(nanoseconds_of, cone)) if known else None,
        kept=not local,
        until=min((gone[u] for u in _met(s, v) if u in gone), default=float("inf")),
    )
