"""Capture: run a function once on values without numbers, and find the state it works on.

Tensors from outside that are read become inputs of the program, those that are written, and
gradients that are set, become outputs. Nothing outside changes while the function is traced.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..autodiff.backward import reachable
from ..autodiff.function import FunctionNode
from ..autodiff.modes import recording
from ..autodiff.tape import BASE, RELEASED, Leaf
from ..core import tree
from ..core.bind import Box, floor
from ..core.dtype import is_inexact
from ..core.primitive import op, spec_of
from ..core.shape import Spec
from ..errors import TraceError
from ..ir.graph import Const, Graph, Var
from ..ir.section import Stateful
from ..ir.tracer import TraceLevel, Tracer


@dataclass(eq=False)
class State:
    """Memory from outside that the program reads: a tensor's, or that of an owner's gradient."""

    var: Var
    tensor: Box | None  # None: whatever gradient the owner has when the program runs
    owner: Box | None
    written: int | None = None  # the number of the output that is its new value

    def source(self) -> Any:
        """The tensor that has the memory now."""
        return self.tensor if self.owner is None else self.owner._grad


class Options:
    """A group of options as a program sees it: those that move are variables."""

    def __init__(self, group):
        self.group, self.lifted = group, dict(group)
        self.numbers: list = []  # (name, place in a tuple or None, variable)

    def lift(self, name, variable) -> None:
        """Make an option an input: a number, or each number of a tuple."""
        x = self.group.get(name)
        if type(x) in (int, float):
            self.lifted[name] = self._number(name, None, variable)
        elif type(x) is tuple and all(type(v) is float for v in x):
            self.lifted[name] = tuple(
                self._number(name, i, variable) for i in range(len(x))
            )

    def _number(self, name, place, variable):
        tracer = variable(name)
        self.numbers.append((name, place, tracer.var))
        return BASE.wrap(tracer)

    def others(self) -> dict:
        """What the program took as it was."""
        skip = {"params", *(name for name, _, _ in self.numbers)}
        return {k: v for k, v in self.group.items() if k not in skip}


@dataclass(eq=False)
class Gradient:
    """A tensor whose `.grad` the program sets: to an output, or to None.

    A number stands for an argument, to whose gradient the output is added.
    """

    tensor: Box | int
    output: int | None


@dataclass(eq=False)
class Captured:
    """A program with what it reads and writes besides its arguments."""

    graph: Graph
    arguments: int  # how many of the inputs are arguments
    states: list[State]
    draws: list  # (generator, blocks used up)
    numbers: list  # (group, name, place in a tuple or None) of options that are inputs
    options: list  # (group, all its other options)
    gradients: list[Gradient]
    absent: list[Box]  # tensors whose .grad was read and was None
    results: tree.TreeDef
    fixed: dict[int, Any] = field(default_factory=dict)  # leaves that are no tensors
    live: frozenset = frozenset()  # results in a graph that was not walked back
    bespoke: bool = False  # whose way back has hooks, or rules that a user wrote
    count: int = 0  # how many outputs are results


class Capture(TraceLevel):
    """The floor while a function is captured."""

    def __init__(self, name: str, moving=frozenset()):
        super().__init__(name)
        self.moving = moving  # (id of a group, name): options that are inputs
        self.held: dict[int, tuple] = {}  # id of an array -> (its tensor, variable)
        self.now: dict[int, object] = {}  # and its value so far, once written
        self.places: dict[int, tuple] = {}  # tensors whose place in the graph changed
        self.grads: dict[
            int, tuple
        ] = {}  # tensors whose .grad was set, with the old one
        self.owners: dict[int, Box] = {}  # id of a gradient's array -> whose it is
        self.absent: dict[int, Box] = {}  # tensors whose missing .grad was read
        self.draws: dict[int, list] = {}  # generators: [generator, variable, blocks]
        self.given: dict[int, int] = {}  # id of an argument -> its number
        self.groups: dict[int, Options] = {}  # of parameters, whose options were read
        self.fixed: set = set()  # variables that depend on nothing with a derivative
        self.cut: tuple = ()  # which inputs of the next operation are cut off
        self.sections = 0  # that are written down, in which no state may change

    # ------------------------------------------------------------ operations

    def process(self, prim, args, params):
        """Write an operation down; what its node has no parent for passes no derivative."""
        cut, self.cut = self.cut, ()
        if True in cut:
            args = [
                self._cut_off(x) if c else x for x, c in zip(args, cut, strict=True)
            ]
        y: Any = super().process(prim, args, params)
        if all(self._is_fixed(x) for x in args):
            self.fixed.update(v.var for v in (y if prim.outputs != 1 else (y,)))
        return y

    def _is_fixed(self, x) -> bool:
        var = self.var(x)
        return var in self.fixed or isinstance(var, Const)

    def _cut_off(self, x):
        if self._is_fixed(x) or not is_inexact(spec_of(x).dtype):
            return x
        return Tracer(self, self.graph.add(op.stop_gradient, [self.var(x)], {})[0])

    # ------------------------------------------------------------ reading

    def see(self, args) -> None:
        for x in args:
            if isinstance(x, Box) and self.holds(x):
                self.hold(x)
        inside = [isinstance(x, Box) and x.node is not None for x in args]
        if True in inside and recording.get():
            self.cut = tuple(not i for i in inside)

    def knows(self, value) -> bool:
        """Whether it is a value of this program, or memory that it holds."""
        if isinstance(value, Tracer):
            return value.level is self
        return id(value) in self.held or id(value) in self.now

    def hold(self, x) -> None:
        """Make a tensor from outside an input; a view is one of its base."""
        key = id(x.value)
        if key in self.held or key in self.now:
            self._prefer(key, x)
            return
        base = x.base
        if base is not None and self.holds(base):
            self.hold(base)
            value = Tracer(self, self.var(base.value))
            for prim, params, _ in x.chain:
                value = prim(value, **params)
            self.now[key] = value.var
            self._remember(x)
            return
        var = self.graph.add_input(f"s{len(self.held) + 1}", spec_of(x))
        self.held[key] = x, var

    def _prefer(self, key, x):
        """Of the tensors that share memory, that with a gradient stands for it."""
        first, var = self.held.get(key, (x, None))
        if first.node is None and x.node is not None:
            self.held[key] = x, var

    def var(self, x):
        if type(x) is np.ndarray:
            if id(x) in self.now:
                return self.now[id(x)]
            if id(x) in self.held:
                return self.held[id(x)][1]
        return super().var(x)

    def constant(self, value):
        return Tracer(self, self.graph.const(value))

    def take(self, generator, blocks: int):
        """The state of a generator, of which `blocks` blocks are used up."""
        self._need_whole("random numbers are drawn")
        entry = self.draws.get(id(generator))
        if entry is None:
            spec = spec_of(np.zeros(2, np.int64))
            var = self.graph.add_input(f"r{len(self.draws) + 1}", spec)
            entry = self.draws[id(generator)] = [generator, var, 0]
        start = Tracer(self, entry[1])
        state = op.add(start, np.array([0, entry[2]])) if entry[2] else start
        entry[2] += blocks
        return state

    def options(self, group):
        """Its learning rate is an input, and what else was seen to change between calls."""
        found = self.groups.get(id(group))
        if found is None:
            found = self.groups[id(group)] = Options(group)
            for name in group:
                if name == "lr" or (id(group), name) in self.moving:
                    found.lift(name, self._real)
        return found.lifted

    def _real(self, name):
        """A number that is an input."""
        count = sum(len(o.numbers) for o in self.groups.values())
        spec = Spec((), np.dtype(np.float64))
        return Tracer(self, self.graph.add_input(f"{name}{count + 1}", spec))

    def read_grad(self, x) -> None:
        """The .grad of `x` is about to be read."""
        if id(x) in self.grads or not self.holds(x):
            return
        g = x.__dict__.get("_grad")
        if g is None:
            self.absent[id(x)] = x
        elif self.holds(g):
            self.owners[id(g.value)] = x

    # ------------------------------------------------------------ writing

    def holds(self, x) -> bool:
        return x.level is BASE and type(x.value) is np.ndarray

    inner: Callable  # captures the body of a loop that changes state

    def loop(self, *about):
        """The body of a loop that changes state; `inner` says of what."""
        self._need_whole("state is changed by a loop inside")
        return self.inner(self, *about)

    @contextmanager
    def apart(self):
        """Inside, what changes state raises `Stateful`."""
        self.sections += 1
        try:
            yield
        finally:
            self.sections -= 1

    def _need_whole(self, what):
        if self.sections:
            raise Stateful(
                f"{what} in a part of a program that runs under a condition, or many times",
                hint="return what is new as a value; in scan, state may change",
            )

    def write(self, x, new) -> None:
        """The memory of `x` will hold `new`."""
        self._need_whole(f"a tensor of shape {tuple(x.shape)} is written in place")
        self.hold(x)
        self._remember(x)
        self.see((new,))
        value = new.value if isinstance(new, Box) and new.level is BASE else new
        self.now[id(x.value)] = self.var(value)

    def _remember(self, x):
        self.places.setdefault(id(x), (x, (x.node, x.seen, x.writes)))

    def rebind(self, x) -> None:
        """The .grad of `x` is about to be set."""
        if id(x) in self.given or self.holds(x):
            self._need_whole(f"the gradient of a {tuple(x.shape)} tensor is set")
            self.grads.setdefault(id(x), (x, x.__dict__.get("_grad")))

    # ------------------------------------------------------------ the end

    def undo(self) -> None:
        """Give all tensors from outside back what they had."""
        for x, place in self.places.values():
            x.node, x.seen, x.writes = place
        for x, old in self.grads.values():
            if old is None:
                x.__dict__.pop("_grad", None)
            else:
                x.__dict__["_grad"] = old


def capture(func, leaves, shape, name: str, moving=frozenset()) -> Captured:
    """Trace func(*args, **kwargs) on containers of these leaves: tensors and static values."""
    level = Capture(name, moving)
    boxed, given = [], 0
    for x in leaves:
        if isinstance(x, Box):
            given += 1
            var = level.graph.add_input(f"x{given}", spec_of(x))
            box = BASE.wrap(Tracer(level, var))
            if not x.requires_grad:
                level.fixed.add(var)
            x = box.requires_grad_() if x.requires_grad else box
            level.given[id(x)] = given - 1
        boxed.append(x)
    token = floor.set(level)
    try:
        args, kwargs = tree.unflatten(shape, boxed)
        results, out_shape = tree.flatten(func(*args, **kwargs))
        made = Captured(level.graph, given, [], [], [], [], [], [], out_shape)
        tensors = [y for y in results if isinstance(y, Box)]
        made.live = frozenset(i for i, y in enumerate(tensors) if _in_graph(y))
        made.bespoke = _bespoke([tensors[i].node for i in made.live])
        level.graph.outputs = _results(level, results, made)
        set_to = {i: x.__dict__.get("_grad") for i, (x, _) in level.grads.items()}
        grads = {i: None if g is None else _end(level, g) for i, g in set_to.items()}
    finally:
        floor.reset(token)
        level.undo()
    level.closed = True
    return _finished(level, made, grads)


def _in_graph(y) -> bool:
    """Whether the gradient of a result may still be asked for: no part was walked back."""
    if y.node is None:
        return False
    return all(n.saved is not RELEASED for n in reachable([y.node]))


def _bespoke(nodes) -> bool:
    """Whether on the way back something happens that the program does not show."""
    return any(
        isinstance(n, FunctionNode)
        or (not isinstance(n, Leaf) and (n.hooks or n.prehooks or n.before))
        for n in reachable(nodes)
    )


def _results(level, results, made) -> list:
    """Variables of the results that are tensors; the others stay as they are."""
    out = []
    for i, y in enumerate(results):
        if isinstance(y, Box):
            out.append(_end(level, y))
        else:
            made.fixed[i] = y
    made.count = len(out)
    return out


def _end(level, y):
    """The variable of a result."""
    if y.base is not None:
        y.sync()
    level.see((y,))
    while isinstance(y, Box) and not isinstance(y, Tracer):
        y = y.value
    return level.var(y)


def _finished(level, made, grads) -> Captured:
    g = level.graph
    for key, (x, var) in level.held.items():
        owner = level.owners.get(key)
        state = State(var, x if owner is None else None, owner)
        new = level.now.get(key)
        if owner is not None and grads.get(id(owner)) is not None:
            new = grads.pop(id(owner))  # added to: its memory holds the sum
        if new is not None and new is not var:
            state.written = len(g.outputs)
            g.outputs.append(new)
        made.states.append(state)
    for key, var in grads.items():
        x = level.grads[key][0]
        made.gradients.append(Gradient(level.given.get(id(x), x), None))
        if var is not None:
            made.gradients[-1].output = len(g.outputs)
            g.outputs.append(var)
    groups = level.groups.values()
    made.numbers = [(o.group, *n[:2]) for o in groups for n in o.numbers]
    made.options = [(o.group, o.others()) for o in groups]
    made.draws = [(generator, n) for generator, _, n in level.draws.values()]
    made.absent = list(level.absent.values())
    order = [*g.inputs[: made.arguments], *(s.var for s in made.states)]
    draws = [var for _, var, _ in level.draws.values()]
    g.inputs = [*order, *draws, *(n[2] for o in groups for n in o.numbers)]
    made.graph = g.without_dead()
    return made


__all__ = ["Capture", "Captured", "Gradient", "State", "TraceError", "capture"]
