"""Alike: operations that do the same at the same depth of a program, each on its own values.

Values have colours: those from outside are given theirs, results of one operation on values of
equal colours have one. What is added up is seen as one sum of all its terms, whatever their
order, so that gradients that arrived in another order are still alike.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from ..core.primitive import Elementwise
from ..ops.random import Draw
from .graph import Const, Graph, frozen

LEAST = 4  # operations from which on they are worth being one
WIDEST = 64  # elements of a value
_OTHERS = "cast reshape expand ones_like zeros_like stop_gradient contiguous"
_BATCHED = frozenset(_OTHERS.split())
_ADDS = frozenset({"add", "sub", "neg"})
_EITHER = frozenset({"mul", "maximum", "minimum"})  # whose operands may change places


class Node:
    """One operation, or a sum written as several: `terms` are (sign, value), in order."""

    __slots__ = ("colours", "depth", "key", "operations", "terms")

    def __init__(self, key, terms, operations):
        self.key, self.terms, self.operations = key, terms, operations
        self.depth, self.colours = 0, ()

    @property
    def last(self):
        """The operation whose results are the node's."""
        return self.operations[-1]

    @property
    def is_sum(self) -> bool:
        return self.key[0] == "sum"

    def values(self) -> list:
        return [v for _, v in self.terms]


def lane_of(o):
    """(array, dim, place) if an operation takes one slice of an array, else None."""
    if o.prim.name == "select":
        return o.inputs[0], o.params["dim"], o.params["index"]
    if o.prim.name != "slice":
        return None
    x, key = o.inputs[0], o.params["key"]
    numbers = [d for d, k in enumerate(key) if isinstance(k, int)]
    if len(numbers) != 1 or None in key or len(key) > len(x.spec.shape):
        return None
    (d,) = numbers
    rest = [(k, n) for k, n in zip(key, x.spec.shape, strict=False) if k != key[d]]
    whole = all(k == (0, n, 1) for k, n in rest) and len(rest) == len(key) - 1
    return (x, d, key[d] % x.spec.shape[d]) if whole else None


class Alike:
    """The nodes of a program and those that are alike; `given` are colours of its inputs."""

    def __init__(self, graph: Graph, given: dict | None = None):
        self.graph = graph
        self.maker = {v: o for o in graph.operations for v in o.outputs}
        self.read = Counter(v for o in graph.operations for v in o.inputs)
        self.read.update(graph.outputs)
        self.inside = self._inside()
        self.nodes = [
            self._node(o) for o in graph.operations if o.outputs[0] not in self.inside
        ]
        self.node_of = {v: n for n in self.nodes for v in n.last.outputs}
        self._numbers: dict = {}
        given = given or {}
        self.colour = {
            v: self._number(given.get(v, ("input", v.spec))) for v in graph.inputs
        }
        self.classes = self._classes()

    # ------------------------------------------------------------ nodes

    def _inside(self) -> set:
        """Values that are terms of one sum and nothing else."""
        found = set()
        for o in self.graph.operations:
            if _adds(o):
                found.update(
                    v
                    for v in o.inputs
                    if v in self.maker
                    and self.read[v] == 1
                    and _adds(self.maker[v])
                    and v.spec == o.outputs[0].spec
                )
        return found

    def _node(self, o):
        single = o.prim.name == "neg" and o.inputs[0] not in self.inside
        if not _adds(o) or single:
            key = o.prim, frozen(o.params), _specs(o.inputs), _specs(o.outputs)
            return Node(key, [(1, v) for v in o.inputs], [o])
        terms, operations = [], []
        todo = [(1, o.outputs[0])]
        while todo:
            sign, v = todo.pop()
            p = self.maker.get(v)
            if v in self.inside or v is o.outputs[0]:
                operations.append(p)
                signs = {"add": (1, 1), "sub": (1, -1), "neg": (-1,)}[p.prim.name]
                parts = zip(signs, p.inputs, strict=True)
                todo += [(sign * s, x) for s, x in parts][::-1]
            else:
                terms.append((sign, v))
        key = "sum", len(terms), sum(s for s, _ in terms), o.outputs[0].spec
        return Node(key, terms, operations[::-1])

    # ------------------------------------------------------------ colours

    def _classes(self) -> list[list[Node]]:
        """The nodes that are alike, those of each depth in turn."""
        at = defaultdict(list)
        depth: dict = {}
        for n in self.nodes:
            n.depth = 1 + max((depth.get(v, 0) for v in n.values()), default=0)
            depth.update(dict.fromkeys(n.last.outputs, n.depth))
            at[n.depth].append(n)
        out = []
        for d in sorted(at):
            out += self._of_depth(at[d])
        return out

    def _of_depth(self, nodes):
        found = defaultdict(list)
        for n in nodes:
            n.colours = tuple((s, self._colour(v)) for s, v in n.terms)
            order = sorted(n.colours) if _commutes(n) else n.colours
            found[n.key, tuple(order)].append(n)
        return [self._coloured(ns) for ns in _together(list(found.values()))]

    def _coloured(self, nodes):
        """The nodes of one class, after their results have one colour."""
        for n in nodes:
            lane = lane_of(n.last)
            for i, v in enumerate(n.last.outputs):
                mine = (id(lane[0]), lane[1], "slice") if lane else (id(nodes[0]), i)
                self.colour[v] = self._number(mine)
        return nodes

    def _colour(self, v) -> int:
        if isinstance(v, Const):
            return self._number(("constant", v.spec))
        return self.colour[v]

    def _number(self, colour) -> int:
        return self._numbers.setdefault(colour, len(self._numbers))


def _specs(values):
    return tuple(v.spec for v in values)


def _adds(o) -> bool:
    """An addition of values of one kind, whose terms may be added in another order."""
    if o.prim.name not in _ADDS or o.outputs[0].spec.dtype.kind not in "fiu":
        return False
    return all(v.spec == o.outputs[0].spec for v in o.inputs)


def bundles(o) -> bool:
    """Whether operations of this kind can be one, on values that are stacked."""
    if any(v.spec.dtype.kind == "c" for v in (*o.inputs, *o.outputs)):
        return False
    if any(v.spec.size > WIDEST for v in (*o.inputs, *o.outputs)):
        return False
    plain = isinstance(o.prim, Elementwise) and not isinstance(o.prim, Draw)
    return plain or (o.prim.name in _BATCHED and len(o.inputs) == 1)


def _commutes(n) -> bool:
    return n.is_sum or n.last.prim.name in _EITHER


def _together(classes):
    """Small classes with the largest that they resemble: same operation, a colour in common."""
    classes.sort(key=len, reverse=True)
    out: list = []
    for ns in classes:
        home = None
        if len(ns) < LEAST and bundles(ns[0].last):
            home = next((ms for ms in out if _resembles(ns[0], ms[0])), None)
        if home is None:
            out.append(list(ns))
        else:
            home += ns
    return out


def _resembles(n, m) -> bool:
    """Whether a node may stand beside those of a larger class."""
    if n.key != m.key:
        return False
    if _commutes(n):
        return bool(set(n.colours) & set(m.colours))
    return any(a == b for a, b in zip(n.colours, m.colours, strict=True))


def aligned(n, m) -> list:
    """The terms of a node in the order of those of another of its class."""
    if not _commutes(n):
        return list(n.terms)
    left = list(zip(n.colours, n.terms, strict=True))
    out: list = [None] * len(left)
    for exact in (True, False):
        for i, c in enumerate(m.colours):
            if out[i] is not None:
                continue
            fits = (p for p in left if (p[0] == c if exact else p[0][0] == c[0]))
            found = next(fits, None)
            if found is not None:
                left.remove(found)
                out[i] = found[1]
    return out


__all__ = ["LEAST", "Alike", "Node", "aligned", "bundles", "lane_of"]
