"""Tenancy: what of a part needs memory inside, from which kernel to which, and where it lies."""

from __future__ import annotations

import itertools
import math

from ..schedule.arena import ALIGN, Tenant, settled, whole
from .kernels import reducing, rows
from .late import conv, lots, slices, sorting
from .sharing import Sum, apart

SUMS = {
    "rows": rows.own_sums,
    "reduce": reducing.own_sums,
    "conv": lambda *args: conv.own_sums(*args),
    "together": lambda *args: slices.own_sums(*args),
}
ROOMS = {  # what a kernel needs to work in
    "conv": lambda o: conv.kernel(o).bytes,
    "order": lambda o: sorting.order_of(o).bytes,
}
OWN = {"contract", "loop", *ROOMS}  # kernels that are not loops over their space


class Tenancy:
    """The memory of all that lives only inside of a part; lives that do not meet share it."""

    def __init__(self, part):
        self.part, self.s = part, part.schedule
        self.offsets: dict = {}  # what lives inside -> where it lies
        self.rooms: dict = {}  # shared kernel -> bytes that each thread needs
        self.within: dict = {}  # chain -> where in a worker's room what it needs lies
        self.first: dict = {}  # a value that lies where another did -> the first there
        self.tenants = self._tenants()
        self.bytes = self._settle()

    def _settle(self) -> int:
        """Places of what lives inside; the bytes that it takes."""
        places, size = settled(self.tenants)
        self.offsets |= places
        for v, first in self.first.items():
            self.offsets[v] = places[first]
        for k, chain in self.part.chains.items():
            self.offsets[k] = start = places[chain.members[0]]
            for v in chain.inside_of(k):
                self.offsets[v] = start + self.within[chain][v]
        return size

    def _tenants(self) -> list[Tenant]:
        """What needs memory inside, and from which kernel to which."""
        last, found = self.last_reads(), {}
        during = self._during()
        for k, chain in self.part.chains.items():
            chain.inside.difference_update(self._followed(k, last))
        for i, k in enumerate(self.s.kernels):
            after = self._successors(k, i, last, found)
            for v, n in self._needed(k):
                place, until = v, last.get(v, i)
                if v in after:
                    self.first[v] = place = self.first.get(after[v], after[v])
                begin = found[place].first if place in found else i
                life = during[begin].start, during[until].stop - 1
                found[place] = Tenant(place, whole(n), *life)
        return list(found.values())

    def _needed(self, k) -> list:
        """(what, bytes) of all that a kernel makes and works in."""
        p, (o, *_) = self.part, k.roots
        needed = [(v, self.size(v)) for v in k.made if self._placed(v)]
        if k.kind == "together":
            needed = self._group_room(k, needed)
        elif k in p.chains:
            needed += self._chain_room(k)
        elif k in p.shares and k.kind not in OWN:
            needed = self._roomed(k, needed)
        needed += self._inside(k)
        if k.kind in ROOMS and k not in p.chains:
            needed.append((k, ROOMS[k.kind](o)))
        if k in p.shares and k.kind in SUMS:
            needed += self._sums(k)
        if k in p.deep:
            needed += [(Sum(o), p.deep[k].sums), ((k, "done"), ALIGN)]
        return needed

    def _during(self) -> list[range]:
        """The numbers of the kernels that run at the time of each: those of its chain."""
        number, kernels = self.s.number, self.s.kernels
        found = [range(i, i + 1) for i in range(len(kernels) + 1)]
        for k, chain in self.part.chains.items():
            ends = (number[chain.members[i]] for i in (0, -1))
            found[number[k]] = range(next(ends), next(ends) + 1)
        return found

    def _followed(self, k, last):
        """What a kernel of a chain can put a value in place of that others read: that is all of
        its memory, so it needs none for pieces.
        """
        inside, i = self.part.chains[k].inside, self.s.number[k]
        for v in k.made if k.kind == "map" else ():
            dead = sorted(inside.intersection(k.reads), key=self.s.order)
            if v not in inside and v not in self.part.homes:
                fits = (u for u in dead if last[u] == i and self._follows(k, u, v))
                yield from itertools.islice(fits, 1)

    def _successors(self, k, i, last, placed) -> dict:
        """value of a kernel -> a value that it reads for the last time, whose memory it takes.

        The last one made if there are some: older ones all cores may have read, and to write over
        lines that all have takes long (docs/notes/threads.md).
        In a chain, where kernels run at once, it is one that the chain has made.
        """
        chain = self.part.chains.get(k)
        if k.kind != "map" and (k.kind != "rows" or not k.rank or chain):
            return {}
        beside = {v for m in chain.members for v in m.made} if chain else k.reads
        out: dict = {}
        for v in k.made:
            for u in sorted(k.reads, key=self.s.order, reverse=True):
                mine = (u in self.first or u in placed) and u in beside
                free = mine and last[u] == i and u not in out.values()
                if free and self._follows(k, u, v):
                    out[v] = u
                    break
        self.part.renewed.setdefault(k, set()).update(out.values())
        return out

    def _follows(self, k, u, v) -> bool:
        """Whether a kernel may write v where u is: it reads each element of u for its own."""
        s = self.s
        if v in self.part.homes or not u.spec.shape == v.spec.shape == k.space:
            return False
        if u.spec.dtype.itemsize != v.spec.dtype.itemsize or u in s.local:
            return False
        if k.kind == "rows":
            return v not in s.local and v not in s.rows and s.read_before(k, u, v)
        if not all(s.accesses(o).get(u, True) for o in k.roots):
            return False
        read = {x for o in s.operations(k) for x in o.inputs}
        return all(x is u for x in read if s.root(x) is u)

    def _inside(self, k):
        """(what, bytes) of what a loop or branch needs for its parts."""
        parts = self.part.inner.get(k, {}).values()
        if k not in self.part.lots:
            return [(part, part.bytes) for part in parts]
        (body,) = parts
        self.rooms[k] = body.whole + body.scratch()
        sums = [
            ((k, i), self.part.shares[k] * apart(v.spec.bytes))
            for i, v in enumerate(k.made)
            if self.part.lots[k].outputs[i] == lots.SUMMED
        ]
        return [(k, self.rooms[k]), *sums]

    def _placed(self, v) -> bool:
        """Whether it has memory of its own, inside of this part."""
        chain = self.part.chains.get(self.s.kernel_of.get(v))
        return v not in self.part.homes and not (chain and v in chain.inside)

    def _chain_room(self, k):
        """(what, bytes) of what a chain works in, which its first kernel has."""
        chain = self.part.chains[k]
        if k is not chain.members[0]:
            return []
        self.within[chain], self.rooms[k] = chain.room(self.s.leaves, ROOMS["conv"])
        return [(k, self.rooms[k])]

    def _group_room(self, k, needed):
        """What lies between members, and panels of products, lie in each thread's room."""
        panels = slices.panels(self.s, k)
        top = whole(panels) if panels else 0
        places, size = k.room(self.s, self.size)
        self.offsets.update((v, top + place) for v, place in places.items())
        self.rooms[k] = top + size
        return [*(x for x in needed if x[0] not in self.s.local), (k, top + size)]

    def _roomed(self, k, needed):
        """What only one row of needs memory lies in each thread's room."""
        top, rest = 0, []
        for v, n in needed:
            if v in self.s.local:
                self.offsets[v], top = top, top + whole(n)
            else:
                rest.append((v, n))
        self.rooms[k] = top
        return [*rest, (k, top)]

    def _sums(self, k):
        """(sums, bytes) of what chunks have of their own."""
        for o, count in SUMS[k.kind](k, self.part.shares[k]):
            if count > 1:
                yield Sum(o), count * apart(o.outputs[0].spec.bytes)

    def size(self, v) -> int:
        """Bytes of a value, or of what there is of it at a time."""
        rank = self.s.local.get(v, 0)
        size = math.prod(v.spec.shape[rank:]) * v.spec.dtype.itemsize
        k = self.s.kernel_of.get(v)
        if v in self.s.rows:
            return size * rows.at_once(self.s.rows[v])
        if k is not None and k.kind == "together" and k.band and v in k.inside:
            return -(-size // k.band.height) * k.band.block
        return size

    def last_reads(self) -> dict:
        """value -> the number of the last kernel that has to do with it."""
        last: dict = {}
        for i, k in enumerate(self.s.kernels):
            for v in (*k.reads, *k.made):
                last[v] = i
        inside = [r for r in self.part.outputs if r not in self.part.homes]
        last.update(dict.fromkeys(inside, len(self.s.kernels)))
        return last
