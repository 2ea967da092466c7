"""compile: the face. Programs by signature, the state they work on, and calling them."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from ..autodiff.modes import no_grad
from ..autodiff.tape import BASE, versioned
from ..core import tree
from ..core.bind import NUMPY, Box, floor
from .capture import Captured, capture
from .native.program import Native


def compile(func: Callable | None = None, *, backend: str = "native"):
    """Make one native program of a function of tensors, its state found by itself.

    >>> @compile
    ... def f(x):
    ...     return (x * x).sum()
    >>> f(tensor([1., 2.])), f(tensor([3., 4.]))
    (tensor(5.), tensor(25.))
    """
    if func is None:
        return functools.partial(compile, backend=backend)
    return Compiled(func, backend)


class Compiled:
    """A function that runs as a program: first eagerly, to make what state it makes."""

    def __init__(self, func, backend):
        functools.update_wrapper(self, func)
        self.func, self.backend = func, backend
        self.programs: dict = {}
        self.warm = False

    def __call__(self, *args):
        if not self.warm or floor.get() is not NUMPY:
            self.warm = True
            return self.func(*args)
        leaves, shape = tree.flatten(args)
        key = (shape, tuple(map(_kind, leaves)))
        program = self.programs.get(key)
        if program is None or not program.fits():
            name = getattr(self.func, "__name__", "f")
            program = Step(capture(self.func, args, name), self.backend)
            self.programs[key] = program
        return program([x.value for x in leaves if isinstance(x, Box)])


def _kind(x):
    """What of an argument makes another program."""
    if isinstance(x, Box):
        return x.shape, x.value.dtype, x.requires_grad
    return x


class Step:
    """A captured program with the state it is bound to."""

    def __init__(self, captured: Captured, backend: str):
        self.captured = captured
        self.run = (Native if backend == "native" else Interpreted)(captured)
        placed = [x for x, i in captured.grads if i is not None]
        self.placed, self.cleared = placed, [x for x, i in captured.grads if i is None]
        self.versions = [versioned(h.tensor) for h, _ in captured.writes]

    def fits(self) -> bool:
        """Whether the state is still what was captured."""
        for tensor, array in self.captured.held:
            if tensor.value is not array:
                return False
        return True

    def __call__(self, arrays):
        c = self.captured
        outputs = self.run(arrays, [g.take(blocks) for g, _, blocks in c.draws])
        for version in self.versions:
            version.n += 1
        count = len(outputs) - len(self.placed)
        for x, g in zip(self.placed, outputs[count:], strict=True):
            x._grad = BASE.wrap(g)
        for x in self.cleared:
            x._grad = None
        return tree.unflatten(c.results, [BASE.wrap(y) for y in outputs[:count]])


class Interpreted:
    """The program run by NumPy, operation by operation: the oracle, and the way without LLVM."""

    def __init__(self, captured):
        self.captured = captured

    def __call__(self, arrays, draws):
        c = self.captured
        with no_grad():
            ys = c.graph.run([*arrays, *(h.array for h in c.held), *draws])
        ys = [np.array(y) for y in ys]
        written = {}
        for held, i in c.writes:
            np.copyto(held.array, ys[i])
            written[i] = True
        return [y for i, y in enumerate(ys) if i not in written]
