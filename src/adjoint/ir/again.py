"""Again: matrices of scores are computed anew where they are needed late, and never stored.

What a wide product (its result is larger than both operands) and elementwise operations make
is read by another product, whose result is as small as the operands were. Long after, the
reverse reads it once more. Memory for it would grow with the square of a sequence's length;
instead it is made again, of the operands and of what was small on the way, as sums of rows.
"""

from __future__ import annotations

from ..core.primitive import Elementwise
from ..ops.contract import letters_of, multiplications, sides
from ..ops.random import Draw
from .graph import Const, Graph, Var

KEPT = 2**19  # bytes of a value that are kept
SMALL = 2  # times as large are wide values, at least
SHORT = 32  # numbers summed for an element of a value that costs less than its memory
LAYER = 128  # columns of what a layer makes of its rows, at the most: groups of kernels keep those
_MOVES = frozenset({"cast", "contiguous", "stop_gradient", "expand"})


def redone(graph: Graph) -> Graph:
    """The program without wide values that live long."""
    given = set(graph.inputs)
    todo = [o for o in graph.operations if _wide(o) and _many(o, given)]
    while todo:
        todo += _Wide(graph, todo.pop(0)).divide()
    return graph.without_dead()


def _wide(o) -> bool:
    if o.prim.name != "contract":
        return False
    y = o.outputs[0].spec
    return y.bytes > KEPT and all(SMALL * v.spec.size <= y.size for v in o.inputs)


def _many(o, given) -> bool:
    """Whether it is many products, a short one of two large sides, or one of what was computed:
    no layer's weight.
    """
    left, right, out = letters_of(o.params["spec"])
    sizes = list(zip(out, o.outputs[0].spec.shape, strict=True))
    if any(n > 1 and c in left and c in right for c, n in sizes):
        return True
    count = multiplications(o.params["spec"], [v.spec.shape for v in o.inputs])
    least = min(sides(o.params["spec"], o.outputs[0].spec.shape).values(), default=0)
    short = count <= SHORT * o.outputs[0].spec.size and least > LAYER
    return short or not given.intersection(o.inputs)


class _Wide:
    """A wide product, with what is made of it before other products read that."""

    def __init__(self, graph, o):
        self.graph, self.o = graph, o
        self.size = o.outputs[0].spec.size
        self.maker = {v: p for p in graph.operations for v in p.outputs}
        self.derived = self._derived()
        self.concerned = self._concerned()

    def _derived(self) -> set:
        """The wide values that depend on the result."""
        found = set(self.o.outputs)
        for p in self.graph.operations:
            if not found.isdisjoint(p.inputs) and self._again(p):
                found.update(p.outputs)
        return found

    def _concerned(self) -> set:
        """Those, and the wide values that they are made of, as masks are."""
        found = set(self.derived)
        for p in reversed(self.graph.operations):
            if not found.isdisjoint(p.outputs):
                found.update(v for v in p.inputs if not self._kept(v))
        return found

    def _again(self, p) -> bool:
        simple = isinstance(p.prim, (Elementwise, Draw)) or p.prim.name in _MOVES
        return simple and p.outputs[0].spec.size == self.size

    def divide(self) -> list:
        """Let what comes after the first product that reads them read others; new products."""
        late = self._late()
        self.new: dict = {}
        self.written: list = []
        out, products = [], []
        for p in self.graph.operations:
            if p in late:
                inputs = tuple(map(self._renewed, p.inputs))
                p = p if inputs == p.inputs else p.changed(inputs=inputs)
                out += self.written
                products += [q for q in self.written if q.prim.name == "contract"]
                self.written.clear()
            out.append(p)
        self.graph.operations = out
        return products

    def _late(self) -> set:
        """The operations that depend on a product of what is derived."""
        late, values, derived = set(), set(), self.derived
        for p in self.graph.operations:
            if not values.isdisjoint(p.inputs):
                late.add(p)
                values.update(p.outputs)
            elif p.prim.name == "contract" and not derived.isdisjoint(p.inputs):
                values.update(p.outputs)
        self.after = values
        return late

    def _renewed(self, v):
        """`v`, or the same made again if it is wide and was made before."""
        if v in self.after or v not in self.concerned or not self._possible(v):
            return v
        return self._made(v)

    def _possible(self, v) -> bool:
        """Whether it can be made again of what is kept."""
        todo, seen = [v], set()
        while todo:
            v = todo.pop()
            if self._kept(v) or v in seen:
                continue
            seen.add(v)
            p = self.maker[v]
            if not (self._again(p) or _wide(p)):
                return False
            todo += p.inputs
        return True

    def _kept(self, v) -> bool:
        small = SMALL * v.spec.size <= self.size
        return small or v not in self.maker or isinstance(v, Const)

    def _made(self, v):
        """The result of the same operations, written anew."""
        if self._kept(v) or v in self.after:
            return v
        if v not in self.new:
            p = self.maker[v]
            outputs = tuple(Var(f"{y.name}_again", y.spec) for y in p.outputs)
            inputs = tuple(map(self._made, p.inputs))
            self.written.append(p.changed(inputs=inputs, outputs=outputs))
            self.new.update(zip(p.outputs, outputs, strict=True))
        return self.new[v]
