"""Schedule: which values are stored, and which loops compute them.

An operation on elements or on indices is computed where it is read, unless it is an output,
has several readers, or feeds what needs memory. Stored values of one shape share a loop when
each reads of the others only its own element.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from ..core.primitive import Elementwise
from ..ir.graph import Const, Graph, Operation, Var

_MOVES = "expand permute slice select flip cast contiguous stop_gradient reshape real"
_MAKES = "ones_like zeros_like put pick"
INDEXED = frozenset([*_MOVES.split(), *_MAKES.split()])
_LANES = frozenset({"f4", "f8", "b1", "u1", "i1", "i2", "i4", "i8"})  # in registers
_BOOL = np.dtype(bool)
LOOPS = frozenset({"scan", "branch", "repeat_while"})
REDUCTIONS = frozenset({"sum", "mean", "amax", "amin"})


@dataclass(eq=False)
class Kernel:
    """One loop nest: the operations whose results it stores, and its space."""

    kind: str  # map, reduce, contract, call
    roots: list[Operation]
    space: tuple[int, ...]
    reads: set = field(default_factory=set)

    @property
    def made(self) -> list:
        """The values that it stores."""
        return [v for o in self.roots for v in o.outputs]

    __hash__ = object.__hash__


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
        self.alias: dict = {}  # a reshaped value shows another's memory
        self._decide()
        self.constants = [c for c in graph.consts if c in self.stored]
        self.kernels: list[Kernel] = []
        self.kernel_of: dict = {}
        for o in graph.operations:
            if any(v in self.stored for v in o.outputs if v not in self.alias):
                self._place(o)
        self.number = {k: i for i, k in enumerate(self.kernels)}

    def work(self) -> int:
        """About how many operations on numbers it takes."""
        return sum(_work(o) for o in self.graph.operations)

    # ------------------------------------------------------------ what is stored

    def _decide(self):
        outputs = set(self.graph.outputs)
        for o in self.graph.operations:
            if not inline(o):
                self.stored.update(o.outputs)
                self._store_inputs(o)
            elif outputs.intersection(o.outputs) or self._shared(o):
                self.stored.update(o.outputs)
        for o in reversed(self.graph.operations):
            if inline(o) and (
                o.prim.name == "pick"
                or (o.prim.name == "reshape" and not _only_ones(o))
            ):
                self.store(o.inputs[0])
        for o in self.graph.operations:
            if o.prim.name == "reshape" and self.root(o.inputs[0]) in self.stored:
                self.alias[o.outputs[0]] = self.root(o.inputs[0])

    def store(self, v):
        """Give `v` memory."""
        if not isinstance(v, Const):
            self.stored.add(v)

    def _store_inputs(self, o):
        kind = _kind(o)
        if kind == "reduce":
            return
        for v in o.inputs:
            if not isinstance(v, Const) or kind != "call":  # NumPy has its constants
                self.stored.add(v)

    def _shared(self, o) -> bool:
        """Read in more than one place, or more often than it has elements."""
        if o.prim.name in INDEXED and o.prim.name != "cast":
            return False
        (v,) = o.outputs
        size, readers = math.prod(v.spec.shape), self.readers[v]
        if any(math.prod(r.outputs[0].spec.shape) > size for r in readers):
            return True
        return len(readers) > 1 and size > 1 and o.prim.name != "cast"

    def root(self, v):
        """The value whose memory `v` is."""
        while v in self.alias:
            v = self.alias[v]
        return v

    # ------------------------------------------------------------ which loop

    def _place(self, o):
        space = tuple(o.outputs[0].spec.shape)
        kind = _kind(o)
        reads = self.accesses(o)
        if kind == "map":
            home = self._home(space, reads)
            if home is not None:
                home.roots.append(o)
                home.reads |= set(reads)
                self.kernel_of.update(dict.fromkeys(o.outputs, home))
                return
        kernel = Kernel(kind, [o], space, set(reads))
        self.kernels.append(kernel)
        self.kernel_of.update(dict.fromkeys(o.outputs, kernel))

    def _home(self, space, reads):
        """The latest loop of this space in which all that is read is there."""
        after = -1
        for v, own in reads.items():
            kernel = self.kernel_of.get(v)
            if kernel is None:
                continue
            i = self._index(kernel)
            same = own and kernel.kind == "map" and kernel.space == space
            after = max(after, i if same else i + 1)
        for i in range(len(self.kernels) - 1, max(after, 0) - 1, -1):
            k = self.kernels[i]
            if k.kind == "map" and k.space == space:
                return k
        return None

    def _index(self, kernel):
        return next(i for i, k in enumerate(self.kernels) if k is kernel)

    def accesses(self, o) -> dict:
        """Stored values that computing `o` reads -> whether only at its own index."""
        out: dict = {}
        todo = [(v, _own(o, i)) for i, v in enumerate(o.inputs)]
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
            todo += [(x, own and _own(p, i)) for i, x in enumerate(p.inputs)]
        return out


def inline(o: Operation) -> bool:
    """Whether an operation can be computed where it is read."""
    p = o.prim
    if p.name == "put" and o.inputs[0].spec.shape[-1] != 1:
        return False
    dtypes = [v.spec.dtype for v in (*o.inputs, *o.outputs)]
    if not all(d.str[1:] in _LANES for d in dtypes):
        return False
    return p.name in INDEXED or _lowered(o)


def _lowered(o) -> bool:
    """Whether the record writes native code for these dtypes: whole numbers are of one."""
    p = o.prim
    if not isinstance(p, Elementwise) or p.lower is None:
        return False
    numbers = [v.spec.dtype for v in o.inputs[p.decides :]]
    whole = {d for d in numbers if d.kind != "f"}
    alone = len(whole) < 2 and (whole != {_BOOL} or all(d == _BOOL for d in numbers))
    return alone and all(d.kind in p.lowers for d in numbers)


def _reducible(o) -> bool:
    """Floats of one format, or the count of a mask."""
    x, y = o.inputs[0].spec.dtype, o.outputs[0].spec.dtype
    if not o.params["dim"]:
        return False
    floats = x == y and x.str[1:] in ("f4", "f8")
    return floats or (o.prim.name == "sum" and x.kind in "bi" and y == "int64")


def _work(o) -> int:
    sizes = [math.prod(v.spec.shape) for v in (*o.inputs, *o.outputs)]
    if o.prim.name in LOOPS:
        bodies = [g for g in o.params.values() if isinstance(g, Graph)]
        return o.params.get("length", 100) * sum(
            _work(p) for g in bodies for p in g.operations
        )
    if o.prim.name != "contract":
        return max(sizes)
    return 2 * math.isqrt(math.prod(max(n, 1) for n in sizes))


def _own(o, i) -> bool:
    """Whether element n of the result needs element n of input i alone (broadcast: any)."""
    if isinstance(o.prim, Elementwise):
        return True
    return o.prim.name in ("cast", "contiguous", "stop_gradient", "reshape", "expand")


def _only_ones(o) -> bool:
    """A reshape that adds and drops dims of size 1."""
    a, b = o.inputs[0].spec.shape, o.outputs[0].spec.shape
    return [n for n in a if n != 1] == [n for n in b if n != 1]


def _kind(o) -> str:
    if inline(o):
        return "map"
    if o.prim.name in REDUCTIONS and _reducible(o):
        return "reduce"
    if o.prim.name == "contract":
        return "contract"
    return "loop" if o.prim.name in LOOPS else "call"


__all__ = ["Kernel", "Schedule", "Var", "inline"]
