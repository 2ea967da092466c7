"""Sections: a part of a program, such as the body of a loop, traced as a program of its own.

A section is a level above all others, so an operation on one of its values comes to it first,
whatever else is among the operands: what is not its own becomes an input.
"""

from __future__ import annotations

import numpy as np

from ..core import tree
from ..core.bind import Box, Level, floor, new_level
from ..core.primitive import spec_of
from ..errors import TraceError, user_site
from .graph import Graph
from .tracer import Tracer


class Stateful(TraceError):
    """A section would change what lies outside."""


class Section(Level):
    """Writes down what is done with its values; `outside` are the others that it met."""

    def __init__(self, name: str):
        self.graph = Graph(name)
        self.outside: list = []
        self._inputs: dict[int, tuple] = {}
        self._arrays: dict[int, object] = {}

    def process(self, prim, args, params):
        inputs = [self.var(x) for x in args]
        outputs = self.graph.add(prim, inputs, params, user_site())
        boxes = tuple(self.wrap(Tracer(self, v)) for v in outputs)
        return boxes if prim.outputs != 1 else boxes[0]

    def wrap(self, value):
        """A tensor of this section around its traced value."""
        out = object.__new__(Box.face)
        out.level, out.value = self, value
        return out

    def input(self, name: str, spec):
        """A new input, as a tensor."""
        return self.wrap(Tracer(self, self.graph.add_input(name, spec)))

    def var(self, x):
        """The variable of a value: its own, a constant, or an input for one from outside."""
        if not isinstance(x, Box):
            known = self._arrays.get(id(x))
            return self.graph.const(np.asarray(x)) if known is None else known
        if x.level is self:
            x.sync()
            return x.var if isinstance(x, Tracer) else x.value.var
        if id(x) not in self._inputs:
            var = self.graph.add_input(f"o{len(self.outside) + 1}", spec_of(x))
            self._inputs[id(x)] = x, var
            self.outside.append(x)
            if x.plain:
                self._arrays[id(x.value)] = var  # rules may read the array itself
        return self._inputs[id(x)][1]


def section(func, specs, shape, over, name: str):
    """(program, values from outside, structure) of func(*args), args of these specs.

    `over` makes the level at which the function's own values are recorded, so that it may ask
    for gradients inside. The program's inputs are the arguments, then the values from outside.
    """
    with (
        new_level(Section(name)) as level,
        new_level(over()) as tape,
        floor.get().apart(),
    ):
        boxes = [tape.wrap(level.input(f"x{i + 1}", s)) for i, s in enumerate(specs)]
        results, out_shape = tree.flatten(func(*tree.unflatten(shape, boxes)))
        level.graph.outputs = [level.var(_below(y, tape)) for y in results]
    return level.graph.without_dead(), level.outside, out_shape


def _below(y, tape):
    if isinstance(y, Box):
        y.sync()
    while isinstance(y, Box) and y.level is tape:
        y = y.value
    return y
