"""Budget: a program that keeps within so much memory, by computing some values again.

What is planned in `ir.economy` on the loops of the program as it was captured is planned again
on the loops that come of it; where those take more than was thought, the aim is lowered.
"""

from __future__ import annotations

import numpy as np

from ...errors import ArgumentError
from ...ir.graph import LOOPS
from ..amounts import shown
from ..late import memory as told
from ..schedule.cost import BYTE, nanoseconds, nanoseconds_of
from .late import economy
from .part import Part

TRIES = 5
LARGE = 2**26  # bytes inside from which on memory is saved unasked, where it costs
HARDLY = 0.008  # of a program's time
SHOWN = 5  # values that an error names


def within(graph, renewed, memory: int | None, outside: dict[str, list]) -> Part:
    """The program with places for its values; with `outside` it takes at most `memory` bytes."""
    whole = Part(graph, renewed)
    cheap = _cheaper(whole, renewed)
    if memory is None:
        return cheap
    room = memory - sum(v.spec.bytes for vs in outside.values() for v in vs)
    part = cheap if cheap.inside <= room else _smaller(whole, renewed, room)
    if part.inside > room:
        part = _smaller(whole, renewed, economy.least(planned(whole)) + whole.scratch())
    if part.inside > room:
        raise _too_little(part, memory, outside)
    return part


def _cheaper(part: Part, renewed) -> Part:
    """Of a large program, one without what takes next to no time to compute again."""
    if part.bytes < LARGE:
        return part
    plan, best = planned(part), None
    least = HARDLY * sum(nanoseconds(k, part.schedule) for k in part.schedule.kernels)
    for percent in range(95, 0, -5):
        room = part.bytes * percent // 100
        choice = economy.chosen(plan, room)
        if choice.peak > room or choice.cost > least:
            break
        best = choice
    return Part(economy.computed_again(part.graph, best), renewed) if best else part


def _smaller(part: Part, renewed, room: int) -> Part:
    """The same program with at most `room` bytes inside, or as near as was found."""
    plan, best, aim = planned(part), part, room - part.scratch()
    for _ in range(TRIES):
        choice = economy.chosen(plan, aim)
        tried = Part(economy.computed_again(part.graph, choice), renewed)
        best = min(best, tried, key=lambda p: p.inside)
        if best.inside <= room or choice.peak > aim:
            break
        aim -= tried.inside - room
    return best


def _too_little(part: Part, memory: int, outside) -> ArgumentError:
    """The error that tells how little can be, and what takes it."""
    sizes = {name: sum(v.spec.bytes for v in vs) for name, vs in outside.items()}
    sizes["inside"] = part.inside
    total = sum(sizes.values())
    taken = ", ".join(f"{shown(n)} {name}" for name, n in sizes.items())
    lines = [
        f"compile: memory is {shown(memory)}, but {part.graph} takes at least {shown(total)}"
    ]
    when, alive = told.at_peak(part)
    lines.append(f"  {taken}; of that, in {when}")
    lines += [f"  {x}" for x in alive[:SHOWN]]
    hint = f"memory={total} can be kept; a smaller batch takes less"
    return ArgumentError("\n".join(lines), hint=hint)


def planned(part: Part):
    """The lives of a part's values."""
    s, last = part.schedule, part.memory.last_reads()
    number, lives, rest = s.number, {}, np.zeros(len(s.kernels) + 1, np.int64)
    gone = {h: number[s.kernel_of[r]] for r, h in part.homes.items() if h is not None}
    reads: dict = {}
    for i, k in enumerate(s.kernels):
        for v in k.reads:
            reads.setdefault(v, []).append(i)
    for t in part.memory.tenants:
        if t.key not in s.kernel_of:
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
    return economy.Plan(ordered, rest, time, stored)


def _cost(v, cone, sources) -> float:
    """Nanoseconds of computing it again."""
    moved = v.spec.bytes + sum(u.spec.bytes for u in sources)
    return max(moved * BYTE, sum(map(nanoseconds_of, cone)))


def _met(s, v):
    return s.accesses(s.maker[v])


def _repeatable(o) -> bool:
    """Whether it may run twice: it has no effect, and is no loop."""
    p = o.prim
    return not p.calls_back and p.outputs == 1 and p.name not in LOOPS


def _life(part, v, made, times, gone):
    s = part.schedule
    local = v in s.local
    cone = list(s.computed(s.maker[v]))
    sliced = s.kernel_of[v].kind == "together" and local
    known = not sliced and all(map(_repeatable, cone))
    return economy.Life(
        bytes=0 if local else part.memory.size(v),
        made=made,
        reads=times,
        cost=_cost(v, cone, _met(s, v)) if known else None,
        kept=not local,
        until=min((gone[u] for u in _met(s, v) if u in gone), default=float("inf")),
    )
