"""Capture: run a function once on values without numbers, and find the state it works on.

Tensors from outside that are read become inputs of the program, those that are written, and
gradients that are set, become outputs. Nothing outside changes while the function is traced.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..autodiff.tape import BASE
from ..core import tree
from ..core.bind import Box, floor
from ..core.primitive import op, spec_of
from ..errors import TraceError
from ..ir.graph import Graph
from ..ir.tracer import TraceLevel, Tracer


class Held(NamedTuple):
    """A tensor from outside: the object, and the memory it had when the program was traced."""

    tensor: Box
    array: np.ndarray


class Capture(TraceLevel):
    """The floor while a function is captured."""

    def __init__(self, name: str):
        super().__init__(name)
        self.held: dict[int, Held] = {}  # by the identity of the array
        self.inputs: dict[int, object] = {}  # the same: its variable at the start
        self.now: dict[int, object] = {}  # and its value so far, once written
        self.nodes: dict[int, tuple] = {}  # tensors whose place in the graph changed
        self.grads: dict[int, tuple] = {}  # tensors whose .grad was set, with the old one
        self.draws: dict[int, list] = {}  # generators: [generator, variable, blocks]

    # ------------------------------------------------------------ reading

    def see(self, args) -> None:
        for x in args:
            if isinstance(x, Box) and x.level is BASE and type(x.value) is np.ndarray:
                self.hold(x)

    def hold(self, x) -> None:
        """Make a tensor from outside an input."""
        key = id(x.value)
        if key not in self.held:
            self.held[key] = Held(x, x.value)
            self.inputs[key] = self.graph.add_input(f"s{len(self.held)}", spec_of(x))

    def var(self, x):
        if type(x) is np.ndarray and id(x) in self.held:
            return self.now.get(id(x), self.inputs[id(x)])
        return super().var(x)

    def constant(self, value):
        return Tracer(self, self.graph.const(value))

    def take(self, generator, blocks: int):
        """The state of a generator, of which `blocks` blocks are used up."""
        entry = self.draws.get(id(generator))
        if entry is None:
            spec = spec_of(np.zeros(2, np.int64))
            var = self.graph.add_input(f"r{len(self.draws) + 1}", spec)
            entry = self.draws[id(generator)] = [generator, var, 0]
        start = Tracer(self, entry[1])
        state = op.add(start, np.array([0, entry[2]])) if entry[2] else start
        entry[2] += blocks
        return state

    # ------------------------------------------------------------ writing

    def holds(self, x) -> bool:
        return x.level is BASE and type(x.value) is np.ndarray

    def write(self, x, new) -> None:
        """The memory of `x` will hold `new`."""
        self.hold(x)
        self.nodes.setdefault(id(x), (x, x.node))
        value = new.value if isinstance(new, Box) and new.level is BASE else new
        self.now[id(x.value)] = self.var(value)

    def rebind(self, x) -> None:
        """The .grad of `x` is about to be set."""
        self.grads.setdefault(id(x), (x, x.__dict__.get("_grad")))


class Captured(NamedTuple):
    """A program with what it reads and writes besides its arguments."""

    graph: Graph
    arguments: int  # how many of the inputs are arguments
    held: list[Held]
    draws: list
    results: tree.TreeDef
    writes: list[tuple[Held, int]]  # what is written, and the number of the output
    grads: list[tuple[Box, int | None]]


def capture(func, args, name: str) -> Captured:
    """Trace func(*args); `args` are containers of tensors and static values."""
    leaves, shape = tree.flatten(args)
    level = Capture(name)
    boxed, given = [], 0
    for x in leaves:
        if isinstance(x, Box):
            given += 1
            var = level.graph.add_input(f"x{given}", spec_of(x))
            box = Box.level.wrap(Tracer(level, var))
            x = box.requires_grad_() if x.requires_grad else box
        boxed.append(x)
    token = floor.set(level)
    try:
        result = func(*tree.unflatten(shape, boxed))
        outputs, out_shape = tree.flatten(result)
        ends = [_end(level, y) for y in outputs]
        changed = {i: (x, x.__dict__.get("_grad")) for i, (x, _) in level.grads.items()}
        grads = [(x, None if g is None else _end(level, g)) for x, g in changed.values()]
    finally:
        floor.reset(token)
        for x, node in level.nodes.values():
            x.node = node
        for x, old in level.grads.values():
            x.__dict__["_grad"] = old
    return _finished(level, given, out_shape, ends, grads)


def _end(level, y):
    """The variable of a result."""
    if not isinstance(y, Box):
        raise TraceError(
            f"compile: the function must return tensors, got {type(y).__name__}"
        )
    if y.base is not None:
        y.sync()
    level.see((y,))
    while isinstance(y, Box) and not isinstance(y, Tracer):
        y = y.value
    return level.var(y)


def _finished(level, given, shape, ends, grads) -> Captured:
    g = level.graph
    g.outputs = list(ends)
    writes = []
    for key, var in level.now.items():
        writes.append((level.held[key], len(g.outputs)))
        g.outputs.append(var)
    placed = []
    for x, var in grads:
        placed.append((x, None if var is None else len(g.outputs)))
        if var is not None:
            g.outputs.append(var)
    order = {id(v): i for i, v in enumerate(g.inputs)}
    held = sorted(level.held.items(), key=lambda kv: order[id(level.inputs[kv[0]])])
    return Captured(
        g.without_dead(), given, [h for _, h in held], list(level.draws.values()),
        shape, writes, placed,
    )
