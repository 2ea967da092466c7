"""Memory: what a program takes, known before it runs: how much, when, and for what."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import show_site
from .amounts import shown
from .schedule.arena import peak
from .schedule.cost import nanoseconds_of

MOST = 12  # values that are printed


@dataclass
class Memory:
    """Bytes that a program takes; prints with what is alive at the peak."""

    inside: int  # values that live only while it runs, and room for products
    states: int
    results: int
    arguments: int
    when: str = ""  # the region at which most is alive
    alive: list[str] = field(default_factory=list)  # what is, the largest first
    again: list[str] = field(default_factory=list)  # what is computed a second time

    @property
    def peak(self) -> int:
        """All together."""
        return self.inside + self.states + self.results + self.arguments

    def __str__(self):
        names = "inside", "states", "results", "arguments", "peak"
        lines = [f"{n:<10}{getattr(self, n) / 1e6:12.3f} MB" for n in names]
        lines += _listed(f"at the peak, in {self.when}", self.alive)
        lines += _listed("computed again instead of kept", self.again)
        return "\n".join(lines)

    __repr__ = __str__


def _listed(title, lines) -> list[str]:
    more = len(lines) - MOST
    rest = [f"  and {more} more"] if more > 0 else []
    return [f"{title}:", *(f"  {x}" for x in lines[:MOST]), *rest] if lines else []


def at_peak(part) -> tuple[str, list[str]]:
    """(the region at which the most is alive inside, what is alive then, the largest first)."""
    _, when = peak(part.memory.tenants)
    alive = [t for t in part.memory.tenants if t.first <= when <= t.last]
    alive.sort(key=lambda t: -t.bytes)
    return _region(part, when), [_line(part, t) for t in alive]


def _region(part, number) -> str:
    """A region as people are told of it."""
    kernels = part.schedule.kernels
    if not kernels:
        return "no region"
    k = kernels[min(number, len(kernels) - 1)]
    where = show_site(k.roots[-1].site)
    return f"region {number + 1} of {len(kernels)} ({k.kind}, {where})"


def _line(part, tenant) -> str:
    o = part.schedule.maker.get(tenant.key)
    if o is None:
        return f"{shown(tenant.bytes):>8}  room that a region works in"
    return f"{shown(tenant.bytes):>8}  {_value(o, tenant.key)}"


def _value(o, v) -> str:
    return f"{o.prim.name} {v.spec}, {show_site(o.site)}"


def computed_again(part) -> list[str]:
    """What is computed a second time, and for whom; the largest first."""
    s = part.schedule
    found = sorted(part.graph.again, key=lambda v: (-v.spec.bytes, s.order(v)))
    return [_second(s, v) for v in found]


def _second(s, v) -> str:
    o = s.maker[v]
    cone = s.computed(o) if v in s.stored else [o]
    took = sum(map(nanoseconds_of, cone)) / 1e3
    readers = [p for p in s.readers[v] if p.outputs[0] not in s.graph.again]
    reader = f", for {readers[0].prim.name}" if readers else ""
    return f"{shown(v.spec.bytes):>8}  {_value(o, v)}: about {took:.3g} µs{reader}"
