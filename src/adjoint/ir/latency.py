"""Latency: in a loop of few numbers each step waits for the one before, so the way is kept short.

Factors that do not come from the step before are multiplied with each other first. With w the
carry, w - a (2 (w x - y) x) then takes two operations after w is there instead of four. The other
factors must be numbers of usual size, so that nothing becomes too large or too small on the way,
and at most one value.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from ..core.primitive import op
from .alike import WIDEST
from .graph import Const, Graph
from .rewrite import Rewriter
from .tracer import Tracer

# A factor is at most so large, and at least its reciprocal: a fifth of the exponents of a float32,
# so that only values near the ends of these are lost on the way, and were not before.
USUAL = 2.0**24


def shortened(graph: Graph) -> Graph:
    """The program with the bodies of its scans so."""
    for i, o in enumerate(graph.operations):
        if o.prim.name == "scan":
            body = _Body(o.params["body"], o.params["carries"]).written()
            graph.operations[i] = o.changed(params={**o.params, "body": body})
    return graph


class _Body(Rewriter):
    """Writes the body of a loop with its products in another order."""

    def __init__(self, old: Graph, carries: int):
        super().__init__(old.name)
        self.old = old
        self.maker = {v: o for o in old.operations for v in o.outputs}
        self.read = Counter(v for o in old.operations for v in o.inputs)
        self.read.update(old.outputs)
        self.late = set(old.inputs[:carries])  # what comes from the step before
        for o in old.operations:
            if self.late.intersection(o.inputs):
                self.late.update(o.outputs)
        self.inside = {
            v
            for o in old.operations
            if _multiplies(o)
            for v in o.inputs
            if self.read[v] == 1 and self._product(v, o)
        }

    def _product(self, v, o) -> bool:
        made = self.maker.get(v)
        return made is not None and _multiplies(made) and v.spec == o.outputs[0].spec

    def written(self) -> Graph:
        """The new body; the old one if nothing is to be done."""
        found = {}
        for o in self.old.operations:
            if _multiplies(o) and o.outputs[0] not in self.inside:
                factors = self._better(o)
                if factors:
                    found[o] = factors
        return self._with(found) if found else self.old

    def _with(self, found) -> Graph:
        env: dict = {}
        for v in self.old.inputs:
            env[v] = Tracer(self, self.graph.add_input(v.name, v.spec))
        for c in self.old.consts:
            env[c] = Tracer(self, self.graph.const(c.value))
        for o in self.old.operations:
            self.follow(o)
            if o in found:
                number, early, late = found[o]
                rest = [env[v] for v in early]
                rest = [number, *rest] if number is not None else rest
                y = _product([*(env[v] for v in late), _product(rest)])
                env[o.outputs[0]] = y
                continue
            ys = o.prim(*(env[v] for v in o.inputs), **o.params)
            ys = ys if o.prim.outputs != 1 else (ys,)
            env.update(zip(o.outputs, ys, strict=True))
        self.graph.outputs = [env[v].var for v in self.old.outputs]
        return self.graph.without_dead()

    def _better(self, o):
        """(number, early factors, late factors) of a product with fewer late operations."""
        factors, waiting = [], 0
        todo = [o.outputs[0]]
        while todo:
            v = todo.pop()
            if v in self.inside or v is o.outputs[0]:
                p = self.maker[v]
                waiting += bool(self.late.intersection(p.inputs))
                todo += p.inputs[::-1]
            else:
                factors.append(v)
        numbers = [v for v in factors if isinstance(v, Const) and v.spec.size == 1]
        late = [v for v in factors if v in self.late]
        early = [v for v in factors if v not in self.late and v not in numbers]
        if len(early) > 1 or not late or not (numbers or early) or waiting <= len(late):
            return None
        number = _usual(numbers, o.outputs[0].spec.dtype)
        return None if numbers and number is None else (number, early, late)


def _multiplies(o) -> bool:
    y = o.outputs[0].spec
    floats = y.dtype.str[1:] in ("f4", "f8") and y.size <= WIDEST
    return o.prim.name == "mul" and floats


def _usual(numbers, dtype):
    """The product of numbers, if none is large or small; else None."""
    values = [float(c.value.reshape(())) for c in numbers]
    y = math.prod(values)
    if not values or not all(1 / USUAL <= abs(x) <= USUAL for x in (*values, y)):
        return None
    return np.array(y, dtype)


def _product(xs):
    y, *rest = xs
    for x in rest:
        y = op.mul(y, x)
    return y


__all__ = ["shortened"]
