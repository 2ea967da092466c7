"""Schedule: which values are stored, and which loops compute them.

An operation on elements or on indices is computed where it is read, unless it is an output,
has several readers, or feeds what needs memory. Stored values of one shape share a loop when
each reads of the others only its own element.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from ..ir.graph import Const, Graph, Operation, Var
from ..ops.random import Draw
from .positions import doubtful
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
    is_row,
    kind_of,
    same_but_ones,
    shows,
    space_of,
    spaced,
    sums_columns,
    through,
)
from .views import View, moved, readable, whole

AGAIN = 3  # operations that are done again rather than stored for several readers
DEEPEST = 60  # operations that are computed where they are read, one in the other
LARGEST = 240  # operations of one loop nest: LLVM is slow on long ones
NUMBERS = 1920  # of one without a loop: what waits for one of them must not wait for two nests
ALONE = 2**14  # elements of a loop from which on it is shared only where data are


@dataclass(eq=False)
class Kernel:
    """One loop nest: the operations whose results it stores, and its space.

    A map has one loop over its space. `rows` go through their space row by row, the first
    `rank` dims, and each row in passes: what is summed in one can be read in the next.
    """

    kind: str  # as regions.kind_of names it, or "together"
    roots: list[Operation]
    space: tuple[int, ...]
    reads: set = field(default_factory=set)
    rank: int = 0
    cost: int = 0  # operations in it
    levels: dict = field(default_factory=dict)  # operation -> its pass
    pieces: int = 0  # of its first dim, in which it is cut as a member of a chain

    @property
    def made(self) -> list:
        """The values that it stores."""
        return [v for o in self.roots for v in o.outputs]

    def become_rows(self, rank: int) -> None:
        """A map goes row by row: what it has is of the first pass."""
        self.kind, self.rank = "rows", rank
        self.levels = dict.fromkeys(self.roots, 0)

    def takes(self, cost) -> bool:
        """Whether there is room for as many operations."""
        return self.cost + cost <= (LARGEST if math.prod(self.space) > 1 else NUMBERS)


class Schedule:
    """The kernels of a program in order; `stored` are the values that have memory."""

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
        self.alias: dict = {}  # a reshaped value shows another's memory
        self.views: dict[Var, View] = {}  # parts of others, which only products read
        self._decide()
        self.constants = [c for c in graph.consts if c in self.stored]
        self.kernels: list[Kernel] = []
        self.number: dict = {}  # the place of each in the order in which they run
        self.kernel_of: dict = {}
        for o in graph.operations:
            if any(v in self.stored for v in o.outputs if v not in self.alias):
                self._place(o)
        self.leaves = defaultdict(set)  # value -> the loop nests that read it
        for k in self.kernels:
            for v in k.reads:
                self.leaves[v].add(k)
        self.checked: dict = {}  # (positions, size) -> the kernel that looks at them
        self.local: dict = {}  # value -> how many dims it has no memory for
        self.rows: dict = {}  # those of which the rows at hand have memory -> their kernel
        self._find_local()

    def move(self, kernel, place: int) -> None:
        """Let a kernel run before the one that has this place."""
        kernels = [k for k in self.kernels if k is not kernel]
        self.arrange([*kernels[:place], kernel, *kernels[place:]])

    def arrange(self, kernels: list[Kernel]) -> None:
        """Let these kernels run, in this order."""
        self.kernels = kernels
        self.number = {k: i for i, k in enumerate(kernels)}

    def computed(self, o):
        """An operation and all that are computed with it, where it reads them."""
        todo = [o]
        while todo:
            p = todo.pop()
            yield p
            todo += [
                self.maker[v]
                for v in p.inputs
                if v in self.maker and v not in self.stored and v not in self.alias
            ]

    def last_check(self, fails) -> int:
        """The number of the last kernel that looks at positions, or that `fails`; or -1."""
        last, seen = -1, set()
        for i, k in enumerate(self.kernels):
            pairs = {
                c
                for o in k.roots
                for p in self.computed(o)
                for c in doubtful(p, self.maker)
            }
            if fails(k) or pairs - seen:
                last = i
            seen |= pairs
        return last

    def order(self, v) -> int:
        """A number for each value, in the order of the program."""
        if self._order is None:
            made = [v for o in self.graph.operations for v in o.outputs]
            values = [*self.graph.inputs, *self.graph.consts, *made]
            self._order = {v: i for i, v in enumerate(values)}
        return self._order[v]

    def operations(self, kernel) -> list:
        """Of a kernel, those computed where they are read among them, in order."""
        found = {p for o in kernel.roots for p in self.computed(o)}
        return sorted(found, key=lambda o: self.order(o.outputs[0]))

    # ------------------------------------------------------------ what is stored

    def _decide(self):
        outputs = set(self.graph.outputs)
        passed = self._find_views()
        for o in self.graph.operations:
            if not inline(o):
                self.stored.update(o.outputs)
                self._store_inputs(o)
            elif outputs.intersection(o.outputs) or self._shared(o):
                self.stored.update(o.outputs)
            if spaced(o):
                self._store_lookups(o)
        for o in reversed(self.graph.operations):
            if inline(o) and shows(o):
                if o.prim.name in VIEWS:
                    self.stored.add(o.inputs[0])  # constants too, which have no parts
                elif o.outputs[0] not in passed:
                    self.store(o.inputs[0])
            elif inline(o) and o.prim.name in TABLES:
                self.stored.add(o.inputs[0])
        self._cut_chains()
        for o in self.graph.operations:
            known = self.root(o.inputs[0]) in self.stored if o.inputs else False
            if known and (o.prim.name == "reshape" or shows(o)):
                self.alias[o.outputs[0]] = self.root(o.inputs[0])
        self.alias.update((v, self.root(w.root)) for v, w in self.views.items())

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
        floats = v.spec.dtype.str[1:] in ("f4", "f8")  # of which products are ours
        if v in self.graph.outputs or not self.readers[v] or not floats:
            return False
        if not all(kind_of(r) == "contract" for r in {*products, *rest}):
            return False
        return not products or readable(view, v.spec)

    def _cut_chains(self):
        """Store a value now and then of long chains: their code is written by recursion."""
        depth: dict = {}
        self.cost: dict = {}  # operation -> how many are computed for it where they are read
        inside: dict = {}
        for o in self.graph.operations:
            n = 1 + max((depth.get(v, 0) for v in o.inputs), default=0)
            self.cost[o] = 1 + sum(inside.get(v, 0) for v in o.inputs)
            if n > DEEPEST and inline(o):
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
        size, readers = math.prod(v.spec.shape), self.readers[v]
        if all(isinstance(r.prim, Draw) for r in readers):
            return False  # the state of a stream, which a kernel reads once
        if any(r.outputs[0].spec.size > size and not spaced(r) for r in readers):
            return True
        several = len(readers) > 1 and size > 1 and o.prim.name != "cast"
        return several and not self._again(o)

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

    def steps(self, v):
        """The steps of its dims if it is a view of another, else None."""
        return self.views[v].steps if v in self.views else None

    def root(self, v):
        """The value whose memory `v` is."""
        while v in self.alias:
            v = self.alias[v]
        return v

    # ------------------------------------------------------------ which loop

    def _place(self, o):
        kind, reads = kind_of(o), self.accesses(o)
        kernel = self._home(o, kind, reads)
        if kernel is None:
            space = space_of(o, kind)
            kernel = Kernel(kind, [], space)
            if kind == "rows":
                kernel.rank = _own_rank(o, kind)
            self.number[kernel] = len(self.kernels)
            self.kernels.append(kernel)
        elif kernel.kind == "map" and kind != "map":
            kernel.become_rows(_own_rank(o, kind))
        kernel.roots.append(o)
        kernel.cost += self.cost[o]
        kernel.reads |= set(reads)
        if kernel.kind == "rows":
            kernel.levels[o] = self._level(kernel, o)
        self.kernel_of.update(dict.fromkeys(o.outputs, kernel))

    def _home(self, o, kind, reads):
        """The latest loop that `o` can be computed in, after all that it reads."""
        if kind not in ("map", "rows") and not sums_columns(o, kind):
            return None
        after = max(
            (self.number[self.kernel_of[v]] for v in reads if v in self.kernel_of),
            default=-1,
        )
        if o.outputs[0] in self.graph.again:  # not sooner than it is needed
            after = max(after, len(self.kernels) - 1)
        for i in range(len(self.kernels) - 1, max(after, 0) - 1, -1):
            k = self.kernels[i]
            inside = [v for v in reads if self.kernel_of.get(v) is k]
            if k.takes(self.cost[o]) and self._fits(k, o, kind, reads, inside):
                return k
        return None

    def _fits(self, k, o, kind, reads, inside) -> bool:
        """Whether `o` can join a kernel of whose results it reads those `inside`."""
        space = space_of(o, kind)
        if k.kind == "map" and kind == "map":
            near = inside or math.prod(space) < ALONE or _share(k.reads, reads, space)
            return k.space == space and near and all(reads[v] for v in inside)
        shares = inside or (k.kind == "rows" and k.reads.intersection(reads))
        if k.kind not in ("map", "rows") or not shares:
            return False
        own = k.rank if kind == "map" else _own_rank(o, kind)
        rank = k.rank if k.kind == "rows" else own
        if kind != "map" and (k.space != space or rank != own):
            return False
        if kind == "map" and not (k.space == space or is_row(space, k.space, rank)):
            return False
        if not all(self._own_row(o, v, k.space, rank) for v in inside):
            return False
        # Columns are summed up when all rows are done.
        return all(kind_of(self.maker[v]) != "reduce" for v in inside)

    def _own_row(self, o, v, space, rank) -> bool:
        """Whether all that `o` reads of v lies in its own row of the space."""
        dims = [d for d in range(rank) if space[d] != 1]
        for w, tags in self.places(o):
            if self.root(w) is not v:
                continue
            if w is not v and not same_but_ones(w.spec.shape, v.spec.shape):
                return False
            seen = [t for t, n in zip(tags, w.spec.shape, strict=True) if n != 1]
            if seen[: len(dims)] != dims:
                return False
        return True

    def _level(self, k, o) -> int:
        """The pass of an operation: after those whose sums it reads."""
        shape = tuple(o.outputs[0].spec.shape)
        row = o.prim.name not in REDUCTIONS and is_row(shape, k.space, k.rank)
        level = 0
        for w, tags in self.places(o):
            p = self.maker.get(self.root(w))
            if p is None or self.kernel_of.get(self.root(w)) is not k or p is o:
                continue
            whole = p.prim.name not in REDUCTIONS and not is_row(
                tuple(p.outputs[0].spec.shape), k.space, k.rank
            )
            seen = [t for t, n in zip(tags, w.spec.shape, strict=True) if n != 1]
            own = seen == [d for d, n in enumerate(k.space) if n != 1]
            same = row or (whole and own)
            level = max(level, k.levels[p] + (not same))
        return level

    def places(self, o):
        """(stored value, which dim of the space counts each of its dims) of all that `o` reads."""
        shape = (
            o.inputs[0].spec.shape
            if o.prim.name in REDUCTIONS
            else o.outputs[0].spec.shape
        )
        tags = tuple(d if n != 1 else None for d, n in enumerate(shape))
        todo = [(o, tags)]
        while todo:
            p, index = todo.pop()
            for i, v in enumerate(p.inputs):
                at = index if p.prim.name in REDUCTIONS else through(p, i, index)
                if v in self.stored or v in self.alias:
                    yield v, at
                elif not isinstance(v, Const):
                    todo.append((self.maker[v], at))

    def _find_local(self) -> None:
        """Values that only their own kernel reads, row by row, need the memory of a few rows."""
        shown = set(self.alias.values()) | {self.root(v) for v in self.graph.outputs}
        for k in self.kernels:
            rows = math.prod(k.space[: k.rank])
            if k.kind != "rows" or rows == 1:
                continue
            for o in k.roots:
                (v,) = o.outputs
                others = any(v in j.reads for j in self.kernels if j is not k)
                if v.spec.shape == k.space and v not in shown and not others:
                    self.local[v] = k.rank
                    self.rows[v] = k

    def accesses(self, o) -> dict:
        """Stored values that computing `o` reads -> whether only at its own index."""
        if o not in self._accessed:
            self._accessed[o] = self._accesses(o)
        return self._accessed[o]

    def _accesses(self, o):
        out: dict = {}
        todo = [(v, is_own(o)) for v in o.inputs]
        while todo:
            v, own = todo.pop()
            if isinstance(v, Const) and v not in self.stored:
                continue
            r = self.root(v)
            if v in self.stored or r is not v:
                own = own and math.prod(v.spec.shape) == math.prod(
                    o.outputs[0].spec.shape
                )
                out[r] = out.get(r, True) and own
                continue
            p = self.maker[v]
            todo += [(x, own and is_own(p)) for x in p.inputs]
        return out


def _own_rank(o, kind) -> int:
    """How many dims of its space a reduction goes through row by row."""
    count = len(o.params["dim"])
    return len(space_of(o, kind)) - count if kind == "rows" else count


def _share(some, others, space) -> bool:
    """Whether both read one value that is about as large as their loop."""
    return any(2 * v.spec.size >= math.prod(space) for v in some & others.keys())


__all__ = ["Kernel", "Schedule"]
