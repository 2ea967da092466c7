"""Stored: which values of a program have memory, and what computing an operation reads.

An operation on elements or on indices is computed where it is read, unless it is an output,
has several readers, or feeds what needs memory.
"""

from __future__ import annotations

import math
from collections import defaultdict

from ...core.dtype import is_short
from ...ir.graph import Const, Graph, Var
from ...ops.random import Draw
from .regions import (
    ARITHMETIC,
    FREE,
    LOOKING,
    REDUCTIONS,
    SEEN,
    SIMPLE,
    TABLES,
    VIEWS,
    inline,
    is_own,
    kind_of,
    shows,
    spaced,
    through,
)
from .views import View, moved, readable, whole

AGAIN = 3  # operations that are done again rather than stored for several readers
DEEPEST = 60  # operations that are computed where they are read, one in the other


class Stored:
    """The values of a graph: those that have memory, and who makes and reads each."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.maker = {v: o for o in graph.operations for v in o.outputs}
        self.readers = defaultdict(list)
        for o in graph.operations:
            for v in dict.fromkeys(o.inputs):
                self.readers[v].append(o)
        self.stored: set = set(graph.inputs) | {
            c for c in graph.consts if c.value.size > 1
        }
        self._order: dict | None = None
        self._accessed: dict = {}
        self._computed: dict = {}
        self._places: dict = {}
        self.alias: dict = {}  # a reshaped value shows another's memory
        self.views: dict[Var, View] = {}  # parts of others, which only products read
        self._decide()

    def steps(self, v):
        """The steps of its dims if it is a view of another, else None."""
        return self.views[v].steps if v in self.views else None

    def root(self, v):
        """The value whose memory `v` is."""
        while v in self.alias:
            v = self.alias[v]
        return v

    def computed(self, o) -> list:
        """An operation and all that are computed with it, where it reads them."""
        if o in self._computed:
            return self._computed[o]
        todo, found = [o], self._computed.setdefault(o, [])
        while todo:
            p = todo.pop()
            found.append(p)
            todo += [
                self.maker[v]
                for v in p.inputs
                if v in self.maker and v not in self.stored and v not in self.alias
            ]
        return found

    def order(self, v) -> int:
        """A number for each value, in the order of the program."""
        if self._order is None:
            made = [v for o in self.graph.operations for v in o.outputs]
            values = [*self.graph.inputs, *self.graph.consts, *made]
            self._order = {v: i for i, v in enumerate(values)}
        return self._order[v]

    def places(self, o) -> list:
        """(stored value, which dim of the space counts each of its dims) of all that `o` reads."""
        if o not in self._places:
            self._places[o] = list(self._read_places(o))
        return self._places[o]

    def _read_places(self, o):
        sums = o.prim.name in REDUCTIONS
        whole = o.inputs[0] if sums else o.outputs[0]  # what is as large as the space
        tags = tuple(d if n != 1 else None for d, n in enumerate(whole.spec.shape))
        todo = [(o, tags)]
        while todo:
            p, tags = todo.pop()
            for i, v in enumerate(p.inputs):
                read = tags if p is o and sums else through(p, i, tags)
                if v in self.stored or v in self.alias:
                    yield v, read
                elif not isinstance(v, Const):
                    todo.append((self.maker[v], read))

    def accesses(self, o) -> dict:
        """Stored values that computing `o` reads -> whether only at its own index."""
        if o not in self._accessed:
            self._accessed[o] = self._accesses(o)
        return self._accessed[o]

    def _accesses(self, o):
        out: dict = {}
        size = o.outputs[0].spec.size
        todo = [(v, is_own(o)) for v in o.inputs]
        while todo:
            v, own = todo.pop()
            r = self.root(v)
            if v in self.stored or r is not v:
                out[r] = out.get(r, True) and own and v.spec.size == size
            elif not isinstance(v, Const):
                p = self.maker[v]
                todo += [(x, own and is_own(p)) for x in p.inputs]
        return out

    # ------------------------------------------------------------ decisions

    def _decide(self):
        seen_through = self._find_views()
        inlined = {o for o in self.graph.operations if inline(o)}
        self._store_results(inlined)
        self._store_shown(inlined, seen_through)
        self._cut_chains(inlined)
        for o in self.graph.operations:
            known = self.root(o.inputs[0]) in self.stored if o.inputs else False
            if known and (o.prim.name == "reshape" or shows(o)):
                self.alias[o.outputs[0]] = self.root(o.inputs[0])
        self.alias.update((v, self.root(w.root)) for v, w in self.views.items())

    def _store_results(self, inlined):
        """Store what is not computed where it is read, and what that needs in memory."""
        outputs = set(self.graph.outputs)
        for o in self.graph.operations:
            if o not in inlined:
                self.stored.update(o.outputs)
                self._store_inputs(o)
            elif outputs.intersection(o.outputs) or self._shared(o):
                self.stored.update(o.outputs)
            if spaced(o):
                self._store_lookups(o)

    def _store_shown(self, inlined, seen_through):
        """Store what is shown in other shapes, and what tables are read from."""
        for o in reversed(self.graph.operations):
            if o in inlined and shows(o):
                if o.prim.name in VIEWS:
                    self.stored.add(o.inputs[0])  # constants too, which have no parts
                elif o.outputs[0] not in seen_through:
                    self.store(o.inputs[0])
            elif o in inlined and o.prim.name in TABLES:
                self.stored.add(o.inputs[0])

    def _find_views(self) -> set:
        """Note what only products read and is a part of an array; what is seen through."""
        chain: dict = {}
        for o in self.graph.operations:
            if len(o.inputs) == 1 and not isinstance(o.inputs[0], Const):
                (x,) = o.inputs
                found = moved(o, chain.get(x) or whole(x))
                if found is not None:
                    chain[o.outputs[0]] = found
        passed: set = set()
        for v in reversed(chain):
            if self._passes(v, chain[v], passed):
                passed.add(v)
        for v in chain:
            if v in passed and any(r.prim.name == "contract" for r in self.readers[v]):
                self.views[v] = chain[v]
                self.store(chain[v].root)
        return passed

    def _passes(self, v, view, passed) -> bool:
        """Whether products alone read it, or what is seen through it."""
        products = [r for r in self.readers[v] if r.prim.name == "contract"]
        rest = [r for r in self.readers[v] if r.outputs[0] not in passed]
        if v in self.graph.outputs or not self.readers[v]:
            return False
        if any(r.outputs[0].spec.dtype.str[1:] not in ("f4", "f8") for r in products):
            return False  # NumPy's, not ours
        if not all(kind_of(r) == "contract" for r in {*products, *rest}):
            return False
        return not products or readable(view, v.spec)

    def _cut_chains(self, inlined):
        """Store a value now and then of long chains: their code is written by recursion."""
        depth: dict = {}
        self.cost: dict = {}  # operation -> how many are computed for it where they are read
        inside: dict = {}
        for o in self.graph.operations:
            n = 1 + max((depth.get(v, 0) for v in o.inputs), default=0)
            self.cost[o] = 1 + sum(inside.get(v, 0) for v in o.inputs)
            if n > DEEPEST and o in inlined:
                self.stored.update(o.outputs)
            for v in o.outputs:
                depth[v] = 0 if v in self.stored else n
                inside[v] = 0 if v in self.stored else self.cost[o]

    def store(self, v):
        """Give `v` memory."""
        if not isinstance(v, Const):
            self.stored.add(v)

    def _store_inputs(self, o):
        kind = kind_of(o)
        if kind in ("reduce", "rows", "place", "scatter", "gather", "run"):
            return
        for v in o.inputs:
            known = isinstance(v, Const) and kind == "call"  # NumPy has its constants
            if not known and v not in self.views:
                self.stored.add(v)

    def _shared(self, o) -> bool:
        """Read in more than one place, or more often than it has elements."""
        if o.prim.name in FREE | VIEWS or o.prim.name == "undiagonal":
            return False
        (v,) = o.outputs
        size, readers = math.prod(v.spec.shape), self._readers_of(o)
        if all(isinstance(r.prim, Draw) for r in readers):
            return False  # the state of a stream, which a kernel reads once
        if any(r.outputs[0].spec.size > size and not spaced(r) for r in readers):
            return True
        several = len(readers) > 1 and size > 1
        cheap = o.prim.name == "cast" and not is_short(v.spec.dtype)
        return several and not cheap and not self._again(o)

    def _readers_of(self, o) -> list:
        """Who reads the result; of floats of two bytes, who reads it widened."""
        (v,) = o.outputs
        found = []
        for r in self.readers[v]:
            widens = is_short(v.spec.dtype) and r.prim.name == "cast"
            found += self.readers[r.outputs[0]] if widens else [r]
        return list(dict.fromkeys(found))

    def _again(self, o) -> bool:
        """Whether doing it again costs less than memory: little arithmetic on one value."""
        todo, count, large, size = [o], 0, set(), o.outputs[0].spec.size
        while todo:
            p = todo.pop()
            count += p.prim.name in ARITHMETIC
            if p.prim.name not in SIMPLE or p.prim.name in LOOKING:
                return False
            for v in p.inputs:
                if v not in self.stored and v in self.maker:
                    todo.append(self.maker[v])
                elif v in self.stored and 8 * v.spec.size > size:
                    large.add(v)
            if count > AGAIN or len(large) > 1:
                return False
        return True

    def _store_lookups(self, o):
        """Store what reads memory by itself on the way to `o`, which reads by a mask."""
        todo = [v for v in o.inputs if v in self.maker and v not in self.stored]
        while todo:
            p = self.maker[todo.pop()]
            if p.prim.name in LOOKING or isinstance(p.prim, Draw):
                self.stored.update(p.outputs)
                continue
            todo += [v for v in p.inputs if v in self.maker and v not in self.stored]

    # ------------------------------------------------------------ products

    def is_product(self, v, beside) -> bool:
        """Whether v is one that is computed where it is read, perhaps seen through views.

        What it is added to must not be made of it: x - max(x) is 0 at the largest x.
        """
        while v in self.maker and v not in self.stored and v not in self.alias:
            o = self.maker[v]
            if o.prim.name == "mul":
                return not self._is_made_of(beside, v)
            if o.prim.name not in SEEN:
                return False
            v = o.inputs[0]
        return False

    def _is_made_of(self, v, part) -> bool:
        first, todo, seen = self.order(part), [v], {v}
        while todo:
            v = todo.pop()
            if v is part:
                return True
            inputs = self.maker[v].inputs if v in self.maker else ()
            later = {x for x in inputs if self.order(x) >= first} - seen
            seen |= later
            todo += later
        return False
