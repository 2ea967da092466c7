"""trace: run a function on values without numbers and keep the program that it was.

The trace is the floor while it lasts, under the tape and all other levels, so gradients,
vmap and in-place writes inside the function become part of the program.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable

from ..core import tree
from ..core.bind import Box, floor
from ..core.primitive import spec_of
from ..errors import ArgumentTypeError
from .positions import tied
from .program import Program
from .tracer import TraceLevel, Tracer


def _names(func, args) -> list[str]:
    """A name for each leaf of the arguments, from the function's signature."""
    try:
        given = inspect.signature(func).bind(*args).arguments
    except (TypeError, ValueError):
        given = {f"x{i + 1}": x for i, x in enumerate(args)}
    out = []
    for name, value in given.items():
        parts = list(value) if isinstance(value, tuple) and name == "args" else [value]
        for i, part in enumerate(parts):
            stem = name if len(parts) == 1 else f"{name}{i + 1}"
            count = len(tree.flatten(part)[0])
            out += [stem] if count == 1 else [f"{stem}_{k + 1}" for k in range(count)]
    return out


def trace(func: Callable) -> Callable:
    """args -> the straight-line program of func(*args), as a `Program`.

    It has what the results are computed by, to be read and differentiated on paper. What happens
    beside that, `debug.print` and `debug.check`, is not part of it; in `compile` it is.

    >>> program = trace(lambda x1, x2: x1 ** 2 + x1 * x2)(tensor(2.), tensor(1.))
    >>> print(program)
    f(x1: float32[], x2: float32[]):
      z1 = x1**2
      z2 = x1 * x2
      z3 = z1 + z2
      return z3
    """

    @functools.wraps(func)
    def wrapped(*args):
        leaves, shape = tree.flatten(args)
        for x in leaves:
            if not isinstance(x, Box):
                raise ArgumentTypeError(f"trace: arguments must be Tensors, got {x!r}")
        name = getattr(func, "__name__", "f")
        name = name if name.isidentifier() else "f"
        level = TraceLevel(name)
        boxed = []
        for x, label in zip(leaves, _names(func, args), strict=True):
            var = level.graph.add_input(label, spec_of(x))
            box = Box.level.wrap(Tracer(level, var))
            boxed.append(box.requires_grad_() if x.requires_grad else box)
        token = floor.set(level)
        try:
            result = func(*tree.unflatten(shape, boxed))
        finally:
            floor.reset(token)
        outputs, out_shape = tree.flatten(result)
        made = [_output(y, level) for y in outputs]
        level.graph.outputs = tied(level.graph, made)
        return Program(level.graph.without_dead(), shape, out_shape)

    return wrapped


def _output(y, level):
    if not isinstance(y, Box):
        raise ArgumentTypeError(f"trace: the function must return Tensors, got {y!r}")
    y.sync()
    while isinstance(y, Box) and not isinstance(y, Tracer):
        y = y.value
    return level.var(y)
