"""Parts: a program, or the body of a loop in one, all of which is decided before any code.

What comes from outside and what goes there lies where the caller says. What lives only inside
lies in one arena, in which values whose lives do not overlap share a place.
"""

from __future__ import annotations

import functools
import math

from ...ir.passes import prepared
from ..schedule.arena import ALIGN, whole
from ..schedule.schedule import Schedule
from ..schedule.sooner import sooner
from .homes import replaced, settled
from .late import chains, contractions, conv, deep, lots, slices, together
from .llvm.machine import cache
from .polling import polled
from .sharing import KINDS, unshared, wanted, worth
from .tenancy import Tenancy

STREAM = 2**24  # bytes of a result from which on it is written past the caches


class Part:
    """A scheduled program whose values have places; `renewed` maps outputs to inputs.

    An output that is the new value of an input is computed in its memory where that is safe;
    otherwise it is copied there at the end. All other outputs lie where the caller says.
    Kernels are cut in chunks if the program, of which this may be a loop's body, is `long`.
    """

    def __init__(self, graph, renewed: dict[int, int], kept=(), long=None):
        self.graph = graph
        self.schedule = s = _scheduled(graph)
        self.outputs = [s.root(v) for v in graph.outputs]
        fresh = {self.outputs[i]: graph.inputs[j] for i, j in renewed.items()}
        # Who computes it.
        self.long = worth(s) if long is None else long
        self.shares = wanted(s) if self.long else {}  # kernel -> about how many chunks
        self._slice_by_slice()
        self.deep = self._deep({graph.inputs[j] for j in renewed.values()})
        self.lots: dict = {}  # loop -> its rows in lots, if threads take some each
        self.inner = {k: self._inner(k) for k in s.kernels if k.kind == "loop"}
        self.by_lots = lots.by_lots(s, self.lots, self.outputs) if self.lots else set()
        # When.
        self.safe = s.last_check(self._may_fail) + 1  # from here on nothing fails
        sooner(s, fresh, self.safe)
        self.chains = self._chained(fresh)
        # Where.
        self.homes, self.copies = settled(self, renewed, kept)
        self.renewed = replaced(self)
        self.streamed: set = set()  # large results that are written past the caches
        self.memory = m = Tenancy(self)
        self.offsets, self.rooms, self.within = m.offsets, m.rooms, m.within

    def _deep(self, updated) -> dict:
        """kernel -> how its product is cut along its sum, of those that threads share so."""
        s, found = self.schedule, {}
        products = [k for k in self.shares if k.kind == "contract"]
        for k in products:
            form = contractions.form_of(k.roots[0], steps=s.steps)
            if self.shares[k] > 1 and form:
                weights = s.root(k.roots[0].inputs[0 if form[1] else 1])
                found[k] = deep.deep(form[0], weights in updated)
        return {k: cut for k, cut in found.items() if cut}

    def _slice_by_slice(self) -> None:
        """Groups have no more chunks than tasks: blocks that add up do so apart if they can."""
        for k, n in self.shares.items():
            if k.kind == "together":
                k.parts = slices.parts(self.schedule, k)
                self.shares[k] = min(n, k.tasks)

    def _chained(self, renewed) -> dict:
        """kernel -> the chain that it is in; those of a chain follow each other."""
        if not any(k.kind == "conv" for k in self.shares):
            return {}
        given = self.shares, renewed.keys(), conv.piecewise
        found = chains.chains(self.schedule, *given)
        for chain in found:
            self.shares.update(dict.fromkeys(chain.members, chain.pieces))
        if found:
            self.safe = self.schedule.last_check(self._may_fail) + 1
        return {k: chain for chain in found for k in chain.members}

    def _may_fail(self, k) -> bool:
        """Whether NumPy does it, it may be interrupted, or something inside of it may fail."""
        if k.kind == "contract":
            return contractions.form_of(k.roots[0], steps=self.schedule.steps) is None
        if k.kind == "call" or any(map(polled, k.roots)):
            return True
        return any(p.safe for p in self.inner.get(k, {}).values())

    def early(self, v) -> bool:
        """Whether something may still fail when an output has been computed."""
        kernel = self.schedule.kernel_of.get(v)
        return kernel is None or self.schedule.number[kernel] < self.safe

    def stream(self, results) -> None:
        """Of these results, those that are larger than caches and not read here bypass them."""
        read = {v for k in self.schedule.kernels for v in k.reads}
        for v in results:
            shape, size = v.spec.shape, v.spec.dtype.itemsize
            wide = math.prod(shape) * size >= STREAM and shape[-1] * size % ALIGN == 0
            if wide and v not in read and self.homes.get(v, v) is None:
                self.streamed.add(v)

    def _inner(self, k) -> dict[str, Part]:
        """The parts inside of a loop or branch, for some of its rows or for all."""
        return self._in_lots(k) or _bodies(k.roots[0], self.long)

    def _in_lots(self, k) -> dict[str, Part] | None:
        """The body for some rows, if a loop is long and its rows do not need each other."""
        (o,) = k.roots
        if not self.long or o.prim.name != "scan":
            return None
        found = lots.lots(o, cache(2) // 2)
        if found is None:
            return None
        around = {i: i for i in range(o.params["carries"])}
        body = Part(prepared(found.body, body=True), around, long=False)
        if any(j.kind not in KINDS for j in body.schedule.kernels):
            return None
        self.lots[k], self.shares[k] = found, found.count
        return {"body": body}

    def constants(self):
        """All constants that need memory, those of inner parts among them."""
        yield from self.schedule.constants
        for parts in self.inner.values():
            for part in parts.values():
                yield from part.constants()

    def threads(self, k) -> tuple[int, str]:
        """(about how many chunks of a kernel threads take, why it is not cut if it is not)."""
        chunks = self.shares.get(k, 1)
        parts = self.inner.get(k, {}).values()
        inside = any(part.cut for part in parts)
        return chunks, "" if chunks > 1 else unshared(k, self.long, inside)

    @property
    def cut(self) -> bool:
        """Whether threads share something in it."""
        inner = (part.cut for parts in self.inner.values() for part in parts.values())
        return any(n > 1 for n in self.shares.values()) or any(inner)

    def scratch(self) -> int:
        """Bytes that a worker needs for the products here and in inner parts, one at a time."""
        contracts = [k for k in self.schedule.kernels if k.kind == "contract"]
        steps = self.schedule.steps
        forms = [contractions.form_of(k.roots[0], steps=steps) for k in contracts]
        inner = [p.scratch() for parts in self.inner.values() for p in parts.values()]
        forms = [f[0] for f in forms if f]
        return max([0, *inner, *(f.bytes for f in (*forms, *self.deep.values()))])

    @property
    def bytes(self) -> int:
        """Bytes of what lives only inside, but for the products' own."""
        return self.memory.bytes

    @property
    def inside(self) -> int:
        """Bytes that it takes besides what comes from outside and goes there."""
        return self.bytes + self.scratch()

    @property
    def whole(self) -> int:
        """Its bytes, in whole lines."""
        return whole(self.bytes)

    def operations(self):
        """All operations that store something, those of inner parts among them."""
        for k in self.schedule.kernels:
            yield from k.roots
            for part in self.inner.get(k, {}).values():
                yield from part.operations()

    def layout(self) -> list:
        """What code for this part takes for granted of its memory."""
        kinds = [(k.kind, len(k.roots)) for k in self.schedule.kernels]
        inner = [p.layout() for ps in self.inner.values() for p in ps.values()]
        places = list(self.offsets.values()), list(self.rooms.values())
        return [self.bytes, self.scratch(), kinds, *places, inner]

    def place(self, v) -> int:
        """Where in the arena a value lies; one of a room, in the room of the caller."""
        kernel = self.schedule.kernel_of.get(v)
        inside = v in self.schedule.local and kernel in self.rooms
        return self.offsets[v] + (self.offsets[kernel] if inside else 0)


def _scheduled(graph) -> Schedule:
    """The loops that compute a program, those of products together."""
    s = Schedule(graph)
    if any(k.kind == "contract" for k in s.kernels):
        together.together(s, contractions.form_of)
    return s


def _bodies(o, long) -> dict[str, Part]:
    """The parts inside of a loop or branch."""
    p, k = o.params, o.params.get("carries", 0)
    around = {i: i for i in range(k)}
    make = functools.partial(Part, long=long)
    if o.prim.name == "scan":
        return {"body": make(prepared(p["body"], body=True), around)}
    if o.prim.name == "branch":
        return {name: make(prepared(p[name], body=True), {}) for name in ("yes", "no")}
    body, test = (prepared(p[name], body=True) for name in ("body", "test"))
    return {"test": make(test, {}, kept=(0,)), "body": make(body, around)}
