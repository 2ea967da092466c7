"""Inner: the body of a loop that changes state, captured inside of another capture.

What every step writes goes round the loop with the carry: tensors from outside, gradients that
are set, streams of random numbers. After the loop they have what the last step gave them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...autodiff import inplace
from ...autodiff.backward import in_graph
from ...autodiff.modes import recording
from ...autodiff.node import Leaf
from ...autodiff.tape import BASE
from ...core import tree
from ...core.bind import Box, at_bottom, floor
from ...core.dtype import is_inexact
from ...core.primitive import op, spec_of
from ...errors import TraceError
from ...functional.bodies import need_shown
from ...ir.graph import Graph, Var
from ...ir.tracer import Tracer, next_number
from .capture import Capture
from .ending import end
from .unfit import Unfit


@dataclass(eq=False, repr=False)
class Round:
    """What goes round a loop besides the carry."""

    first: Callable[[], Any]
    before: Var  # inside of a step
    after: Any
    recorded: bool  # whether a step gives it a derivative
    finish: Callable  # what is done with the last value


@dataclass(eq=False, repr=False)
class Loop:
    """The body of a loop as a program of carries, rounds, rows and values from outside."""

    graph: Graph
    rounds: list[Round]
    outside: list
    results: tree.TreeDef
    recorded: list  # which results of a step may be differentiated
    cleared: list  # whose gradients are gone after a step

    def finish(self, values) -> None:
        """Give what went round its last values."""
        for r, y in zip(self.rounds, values, strict=True):
            r.finish(y)
        for x in self.cleared:
            _set_gradient(x, None)


class Inner(Capture):
    """The floor while the body of a loop is captured; values of `outer` are from outside."""

    def __init__(self, outer, length: int):
        super().__init__("scan", outer.groups.moving)
        self.outer, self.length = outer, length
        self.cleared: list = []
        self.outside.views = outer.outside.views  # it shows views for the whole program
        self.outside.known = outer.outside.known

    # ------------------------------------------------------------ what is outside

    def holds(self, x) -> bool:
        return x.level is BASE and self._foreign(x.value)

    def _foreign(self, value) -> bool:
        if isinstance(value, Tracer):
            return value.level is not self
        return type(value) is np.ndarray

    def knows(self, value) -> bool:
        return super().knows(value) or self.outer.knows(value)

    def var(self, x):
        known = self.outside.has(x)
        if not known and self._foreign(x) and self.outer.knows(x):
            self.hold(BASE.wrap(x))
        if isinstance(x, Tracer) and x.level is not self:
            return self.outside.var(x)
        return super().var(x)

    def write(self, x, new) -> None:
        super().write(x, new)
        if isinstance(x.value, Tracer):
            self.outside.stand(x)  # the one to be written afterwards

    def parts(self, x) -> None:
        self.outer.parts(x)
        super().parts(x)

    def options(self, group):
        return self.outer.options(group)

    def later(self, f, args, groups) -> bool:
        raise Unfit("a scheduler makes a step in a loop")

    def read_grad(self, x) -> None:
        if id(x) not in self.changed.grads and self.was_there(x):
            self.outer.read_grad(x)
        super().read_grad(x)

    # ------------------------------------------------------------ a step

    def step(self, func, specs, moving, shape):
        """(results, their structure) of one step on new values, of which some are `moving`."""
        boxes = []
        for i, (spec, moves) in enumerate(zip(specs, moving, strict=True)):
            var = self.graph.add_input(f"x{i + 1}", spec)
            box = BASE.wrap(Tracer(self, var))
            boxes.append(box)
            if moves and is_inexact(spec.dtype):
                box.node = Leaf(box)
            else:
                self.fixed.add(var)
        self.given_inputs = list(self.graph.inputs)
        self.begun = next_number()
        results, out = tree.flatten(func(*tree.unflatten(shape, boxes)))
        boxed = (y if isinstance(y, Box) else BASE.wrap(np.asarray(y)) for y in results)
        return list(boxed), out

    def result(self, y):
        """(the variable of a result, whether it may be differentiated)."""
        var, live = end(self, y), in_graph(y)
        return (var if live else self.passing(var, None, self.left)), live

    def changes(self, x) -> None:
        y = at_bottom(x if x.base is None else x.base)
        mine = isinstance(y, Tracer) and y.level is self
        if self.sections or (mine and y.order < self.begun):
            super().changes(x)

    def rounds(self) -> list[Round]:
        """All that a step changes; called while the changes are in place."""
        self.ends = {
            i: x.__dict__.get("_grad") for i, (x, _) in self.changed.grads.items()
        }
        out = []
        for key, (x, var) in list(self.outside.held.items()):
            owner = self.owners.get(key)
            new, finish = self.outside.now.get(key, var), lambda y, x=x: _write(x, y)
            if owner is not None and id(owner) in self.ends:
                last = self.ends.pop(id(owner))
                if last is None:
                    raise _uneven(owner)
                new = end(self, last)
                finish = lambda y, x=owner: _set_gradient(x, y)  # noqa: E731
            if new is not var:
                first = lambda x=x: self._as_it_is(x)  # noqa: E731
                out.append(Round(first, var, *self._ended(new, x), finish))
        return [*out, *self._new_gradients(), *map(self._draws, self.draws.values())]

    def _ended(self, var, x):
        """What a step leaves x with, and whether it may be differentiated."""
        place, *_ = self.changed.places.get(id(x), (x, (x.node,)))[1]
        live = x.node is not place and in_graph(x)
        return self.passing(var, x.node if live else None, self.left), live

    def _as_it_is(self, x):
        """The value that x has before the loop, which writes x."""
        self.outer.keep((x,))
        y = BASE.wrap(Tracer(self.outer, self.outer.var(x.value)))
        y.node = x.node
        return y

    def _new_gradients(self):
        """Those that steps set but never read."""
        for key, g in self.ends.items():
            x = self.changed.grads[key][0]
            if g is None:
                self.cleared.append(x)
                continue
            if key in self.absent:
                raise _uneven(x)
            var = self.graph.add_input("g", spec_of(g))
            yield Round(
                lambda x=x: op.zeros_like(x.detach()),
                var,
                end(self, g),
                False,
                lambda y, x=x: _set_gradient(x, y),
            )

    def _draws(self, entry):
        generator, var, blocks = entry
        after = op.add(Tracer(self, var), np.array([0, blocks]))

        def first():
            return BASE.wrap(self.outer.take(generator, blocks * self.length))

        return Round(first, var, self.var(after), False, lambda y: None)


def _uneven(x):
    return TraceError(
        f"scan: the gradient of a tensor of shape {tuple(x.shape)} is there in some steps and "
        "not in others",
        hint="zero_grad() as the first or as the last line of the step",
    )


def _write(x, y) -> None:
    """x ← y, after a loop that wrote x."""
    token = recording.set(recording.get() and y.node is not None)
    try:
        inplace.assign(x, y, "scan", fresh=True)
    finally:
        recording.reset(token)


def _set_gradient(x, y) -> None:
    floor.get().rebind(x)
    x._grad = y


def loop(outer, func, first, mapped, shape, length: int) -> Loop:
    """The body func(carry, row), whose first carries and rows are these tensors."""
    for x in (*first, *mapped):
        if x.level is not BASE:
            raise TraceError(
                "scan: a step that draws random numbers, or changes other state, cannot run "
                "under vmap, grad or jvp in a program",
                hint="draw before it, for all steps, and give scan the numbers as rows of xs; "
                "make other state part of the carry; or call backward()",
            )
    specs = [spec_of(x) for x in first]
    rows = [spec_of(x) for x in mapped]
    specs += [type(s)(tuple(s.shape[1:]), s.dtype) for s in rows]
    moving = [True] * len(first) + [x.requires_grad for x in mapped]
    return _traced(Inner(outer, length), func, specs, moving, shape, len(first))


def _traced(level, func, specs, moving, shape, carries) -> Loop:
    token = floor.set(level)
    try:
        results, out_shape = level.step(func, specs, moving, shape)
        if any(y.level is not BASE for y in results):
            raise TraceError("scan: a step that changes state met a value under vmap")
        need_shown([y.node for y in results if in_graph(y)])
        ends = [level.result(y) for y in results]
        rounds = level.rounds()
    finally:
        floor.reset(token)
        level.changed.undo()
    level.closed = True
    level.left.clear()
    return _made(level, carries, ends, rounds, out_shape)


def _made(level, carries, ends, rounds, out_shape) -> Loop:
    g = level.graph
    given = level.given_inputs
    taken = {r.before for r in rounds}
    held = [(x, v) for x, v in level.outside.held.values() if v not in taken]
    around = [*given[:carries], *(r.before for r in rounds)]
    g.inputs = [*around, *given[carries:], *(v for _, v in held)]
    g.outputs = [*(v for v, _ in ends), *(r.after for r in rounds)]
    level.outer.trims(g)
    for r in reversed(rounds):
        r.after = g.outputs.pop()
    outside, recorded = [x for x, _ in held], [r for _, r in ends]
    return Loop(g, rounds, outside, out_shape, recorded, level.cleared)


__all__ = ["Inner", "Loop", "Round", "loop"]
