"""Schedule: which loops compute the values that are stored.

Those of one shape share a loop when each reads of the others only its own element, or its own
row.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

from ...ir.graph import Graph, Operation
from ...ir.positions import doubtful
from .regions import (
    REDUCTIONS,
    is_row,
    kind_of,
    same_but_ones,
    space_of,
    summed,
    sums_columns,
)
from .stored import Stored

LARGEST = 240  # operations of one loop nest: LLVM is slow on long ones
NUMBERS = 1920  # of one without a loop: what waits for one of them must not wait for two nests
MANY, LONG, FAR = 128, 2**11, 2**20  # rows, bytes of one and of all, summed row by row
ALONE = 2**14  # elements of a loop from which on it is shared only where data are


@dataclass(eq=False, repr=False)
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
        """It goes row by row: what it has is of the first pass."""
        self.kind, self.rank = "rows", rank
        self.levels = dict.fromkeys(self.roots, 0)

    def takes(self, cost) -> bool:
        """Whether there is room for as many operations."""
        return self.cost + cost <= (LARGEST if math.prod(self.space) > 1 else NUMBERS)


class Schedule(Stored):
    """The kernels of a program in order."""

    def __init__(self, graph: Graph):
        super().__init__(graph)
        self.constants = [c for c in graph.consts if c in self.stored]
        self.kernels: list[Kernel] = []
        self.number: dict = {}  # the place of each in the order in which they run
        self.kernel_of: dict = {}
        for o in graph.operations:
            if any(v in self.stored for v in o.outputs if v not in self.alias):
                self._place(o)
        self._place_again()
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

    def put_off(self, kernel, roots) -> list[Kernel]:
        """Let these operations of a kernel run after it, those of one shape at a time."""
        every, place = kernel.roots, self.number[kernel] + 1
        for v in kernel.reads:
            self.leaves[v].discard(kernel)
        kernel.roots, kernel.reads, kernel.cost = [], set(), 0
        later: list[Kernel] = []
        for o in every:
            space = space_of(o, "map")
            if o in roots and not (later and later[-1].space == space):
                later.append(Kernel("map", [], space))
            self._join(later[-1] if o in roots else kernel, o, "map")
        for k in (kernel, *later):
            for v in k.reads:
                self.leaves[v].add(k)
        self.arrange([*self.kernels[:place], *later, *self.kernels[place:]])
        return later

    def arrange(self, kernels: list[Kernel]) -> None:
        """Let these kernels run, in this order."""
        self.kernels = kernels
        self.number = {k: i for i, k in enumerate(kernels)}

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

    def operations(self, kernel) -> list:
        """Of a kernel, those computed where they are read among them, in order."""
        found = {p for o in kernel.roots for p in self.computed(o)}
        return sorted(found, key=lambda o: self.order(o.outputs[0]))

    # ------------------------------------------------------------ which loop

    def _place(self, o):
        kind = kind_of(o)
        kernel = self._home(o, kind, self.kernels)
        if kernel is None:
            kernel = Kernel(kind, [], space_of(o, kind))
            if kind == "rows":
                kernel.rank = _own_rank(o, kind)
            self.number[kernel] = len(self.kernels)
            self.kernels.append(kernel)
        self._join(kernel, o, kind)

    def _place_again(self):
        """Loops of nothing but sums of columns join one that reads their rows by now."""
        for j in [k for k in self.kernels if sums_columns(k.roots[0], k.kind)]:
            kernels = [k for k in self.kernels if k is not j]
            readers = [i for i, k in enumerate(kernels) if k.reads.intersection(j.made)]
            before = kernels[: min(readers, default=None)]
            homes = {self._home(o, j.kind, before) for o in j.roots}
            if len(homes) == 1 and None not in homes:
                for o in j.roots:
                    self._join(*homes, o, j.kind)
                self.arrange(kernels)
            elif _row_by_row(j):
                j.become_rows(len(summed(j.roots[0])))

    def _join(self, kernel, o, kind):
        if kernel.kind == "map" and kind != "map":
            kernel.become_rows(_own_rank(o, kind))
        kernel.roots.append(o)
        kernel.cost += self.cost[o]
        kernel.reads |= set(self.accesses(o))
        if kernel.kind == "rows":
            kernel.levels[o] = self._level(kernel, o)
        self.kernel_of.update(dict.fromkeys(o.outputs, kernel))

    def _home(self, o, kind, kernels):
        """The latest of the loops that `o` can be computed in, after all that it reads."""
        if kind not in ("map", "rows", "reduce"):
            return None
        reads = self.accesses(o)
        makers = [self.kernel_of[v] for v in reads if v in self.kernel_of]
        after = max((self.number[k] for k in makers), default=0)
        if o.outputs[0] in self.graph.again:  # not sooner than it is needed
            after = max(after, len(self.kernels) - 1)
        for k in reversed(kernels):
            if self.number[k] < after:
                break
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
        if k.kind == kind == "reduce":
            alike = k.space == space and summed(k.roots[0]) == summed(o)
            return alike and not inside and _share(k.reads, reads, space)
        shares = inside or (k.kind == "rows" and k.reads.intersection(reads))
        if k.kind not in ("map", "rows") or not shares:
            return False
        if kind == "reduce" and not sums_columns(o, kind):
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
        """The pass of an operation: that of what it reads, or the next where that is a sum."""
        level = 0
        for w, tags in self.places(o):
            p = self.maker.get(self.root(w))
            if p is not None and p is not o and self.kernel_of.get(self.root(w)) is k:
                same = self._once_a_row(o, k) or self._element_by_element(p, k, w, tags)
                level = max(level, k.levels[p] + (not same))
        return level

    def _once_a_row(self, o, k) -> bool:
        """Whether it is computed at the end of a pass, as the sums of rows are then there."""
        return not _sums(o) and is_row(o.outputs[0].spec.shape, k.space, k.rank)

    def _element_by_element(self, p, k, w, tags) -> bool:
        """Whether `w`, a result of p, has an element for each of the space, read in its place."""
        own = _own_place(k, w, tags)
        return own and not _sums(p) and not self._once_a_row(p, k)

    def read_before(self, k, u, v) -> bool:
        """Whether a kernel of rows reads elements of u for their own, in no pass after v's."""
        if _sums(self.maker[v]) or self._once_a_row(self.maker[v], k):
            return False
        return all(
            w is u and _own_place(k, w, tags) and k.levels[o] <= k.levels[self.maker[v]]
            for o in k.roots
            for w, tags in self.places(o)
            if self.root(w) is u
        )

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


def _own_place(k, w, tags) -> bool:
    """Whether dims counted so give each place of a kernel's space an element of its own."""
    seen = [t for t, n in zip(tags, w.spec.shape, strict=True) if n != 1]
    return seen == [d for d, n in enumerate(k.space) if n != 1]


def _row_by_row(k) -> bool:
    """Whether columns are summed as rows come: many long ones, each in a page of its own."""
    (x, *_), dims = k.roots[0].inputs, summed(k.roots[0])
    rows = math.prod(x.spec.shape[: len(dims)])
    return rows >= MANY and x.spec.bytes >= max(FAR, LONG * rows)


def _sums(o) -> bool:
    return o.prim.name in REDUCTIONS


def _own_rank(o, kind) -> int:
    """How many dims of its space a reduction goes through row by row."""
    return summed(o)[0] if kind == "rows" else len(summed(o))


def _share(some, others, space) -> bool:
    """Whether both read one value that is about as large as their loop."""
    return any(2 * v.spec.size >= math.prod(space) for v in some & others.keys())


__all__ = ["Kernel", "Schedule"]
