"""Sections: a part of a program, such as the body of a loop, traced as a program of its own.

A section is a level above all others, so an operation on one of its values comes to it first,
whatever else is among the operands: what is not its own becomes an input.
"""

from __future__ import annotations

import numpy as np

from ..core.bind import Box
from ..core.level import Level
from ..core.primitive import op, spec_of
from ..errors import user_site
from .graph import Const, Graph
from .tracer import Follower, Tracer


class Section(Follower, Level):
    """Writes down what is done with its values; `outside` are the others that it met."""

    ground = True

    def __init__(self, name: str):
        self.graph = Graph(name)
        self.outside: list = []
        self.fixed: set = set()
        self._inputs: dict = {}
        self._arrays: dict[int, object] = {}

    def process(self, prim, args, params):
        inputs = [self.var(x) for x in args]
        outputs = self.graph.add(prim, inputs, params, user_site())
        if all(map(self.is_fixed, inputs)):
            self.fixed.update(outputs)
        boxes = tuple(self.boxed(v) for v in outputs)
        return boxes if prim.outputs != 1 else boxes[0]

    def boxed(self, var):
        """A variable as a tensor."""
        return self.wrap(Tracer(self, var))

    def wrap(self, value):
        """A tensor of this section around its traced value."""
        out = object.__new__(Box.face)
        out.level, out.value = self, value
        return out

    def input(self, name: str, spec):
        """A new input, as a tensor."""
        return self.boxed(self.graph.add_input(name, spec))

    def var(self, x):
        """The variable of a value: its own, a constant, or an input for one from outside."""
        if not isinstance(x, Box):
            known = self._arrays.get(id(x))
            return self.graph.const(np.asarray(x)) if known is None else known
        if x.level is self:
            if isinstance(x, Tracer):
                return x.var
            x.sync()
            return x.value.var
        x.sync()
        value = x.__dict__.get("value")
        key = id(x), id(value)  # what is traced may be given another value
        if key not in self._inputs:
            var = self.graph.add_input(f"o{len(self.outside) + 1}", spec_of(x))
            self._inputs[key] = x, value, var
            self.outside.append(_as_it_is(x) if isinstance(value, Box) else x)
            if x.plain:
                self._arrays[id(value)] = var  # rules may read the array itself
        return self._inputs[key][2]

    def stopped(self, value):
        """A traced value as one that no derivative passes, in the same memory."""
        if isinstance(value.var, Const):
            return value
        (var,) = self.graph.add(op.stop_gradient, [value.var], {})
        self.fixed.add(var)
        out = Tracer(self, var)
        out.order = value.order
        return out


def _as_it_is(x):
    """Another box for the value that x has now, in its place in the graph."""
    out = object.__new__(type(x))
    skip = ("base", "chain", "seen", "sharers")
    out.__dict__.update({k: v for k, v in x.__dict__.items() if k not in skip})
    return out
