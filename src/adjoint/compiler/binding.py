"""Binding: a captured program and the memory of its states, however it is run."""

from __future__ import annotations

import ctypes

import numpy as np

from ..autodiff.modes import no_grad
from ..core.bind import Box, changed, moved, remade

MISS = object()  # the answer of a quick call that has to be looked at


class Binding:
    """What a program works on, and whether that is still what was captured."""

    def __init__(self, captured):
        self.captured = captured
        self.calls, self.moved, self.changed = (ctypes.c_int64(0) for _ in range(3))
        self.changed.value, self.remade = changed.value, remade.value
        self.stirred: set = set()  # options that were found changed
        self.point_to_states()

    def point_to_states(self) -> None:
        """Find the memory that the states have now."""
        states = self.captured.states
        self.arrays = [None if s.tensor is None else s.tensor.value for s in states]
        self.moved.value = moved.value

    def fits(self) -> bool:
        """Whether the world is as it was captured; states may have moved."""
        c = self.captured
        if remade.value != self.remade:
            return False
        self.changed.value = changed.value  # modes alone: this is the program for them
        if any(x._grad is not None for x in c.absent):
            return False
        if moved.value != self.moved.value:
            held = [s for s in c.states if s.tensor is not None]
            if not all(_is(s.tensor, s.var.spec) for s in held):
                return False
            self.point_to_states()
        self.stirred = {
            (id(group), k) for group, seen in c.options for k in _changes(group, seen)
        }
        if self.stirred:
            return False
        owned = [s for s in c.states if s.owner is not None]
        return all(_is(s.owner._grad, s.var.spec) for s in owned)

    def memory(self) -> list:
        """The arrays of all states, gradients that owners have among them."""
        return [s.source().value for s in self.captured.states]

    def extras(self) -> list:
        """The arrays of the other inputs: states of generators, and numbers."""
        c = self.captured
        draws = [generator.take(n) for generator, n in c.draws]
        return [*draws, *(np.array(number(*n)) for n in c.numbers)]

    def give(self, gradients) -> None:
        """These tensors were made the gradients."""


def number(group, name, place) -> float:
    """An option, or one of a tuple of them."""
    x = group[name]
    return float(x if place is None else x[place])


def _changes(group, seen) -> list:
    """The names of options that are not what they were."""
    return [k for k, v in seen.items() if k not in group or not _equal(group[k], v)]


def _equal(x, y) -> bool:
    return x is y or (not (isinstance(x, Box) or isinstance(y, Box)) and x == y)


def _is(x, spec) -> bool:
    """Whether a tensor is an array of this shape and dtype."""
    y = x.value if isinstance(x, Box) else None
    return isinstance(y, np.ndarray) and y.shape == spec.shape and y.dtype == spec.dtype


class Interpreted(Binding):
    """The program run by NumPy, operation by operation: the oracle, and the way without LLVM."""

    def __call__(self, arrays, extras):
        """(arrays of the results, of the gradients) from those of arguments and other inputs."""
        c, states = self.captured, self.memory()
        with no_grad():
            ys = [np.array(y) for y in c.graph.run([*arrays, *states, *extras])]
        for s, x in zip(c.states, states, strict=True):
            if s.written is not None:
                np.copyto(x, ys[s.written])
        made = [ys[g.output] for g in c.gradients if g.output is not None]
        return ys[: c.count], made
