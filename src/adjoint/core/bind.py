"""bind: one operation, handed to the interpreter that its inputs ask for.

A `Box` is a value that a `Level` looks after (tape, dual, batch, trace). Levels nest;
each takes its own wrapping off and binds again, down to the floor, which is NumPy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

try:  # one C call instead of the 1 us of np.errstate; same effect
    from numpy._core.umath import _extobj_contextvar as _signals

    with np.errstate(all="ignore"):
        _QUIET = _signals.get()
except ImportError:  # pragma: no cover - other NumPy builds
    _signals = None


class Level:
    """An interpreter at one depth of nesting."""

    depth = 0

    def process(self, prim, args, params):
        """Carry out `prim` on `args`, of which at least one box is ours."""
        raise NotImplementedError


class Box:
    """A value with the level that looks after it; `value` is what lies one level below."""

    level: (
        Level  # the class's own is the base tape, which wraps what has no other level
    )
    face: type  # the class that levels make their values of: Tensor
    __array_ufunc__ = None  # ndarray * box asks the box


class NumpyLevel(Level):
    """The floor: NumPy does the arithmetic, silently as IEEE 754 defines it."""

    depth = -1

    def process(self, prim, args, params):
        token = _signals.set(_QUIET)
        try:
            return prim.eager(*args, **params)
        except Exception as error:
            prim.explain(error, args, params)
            raise
        finally:
            _signals.reset(token)


class PublicNumpyLevel(NumpyLevel):  # pragma: no cover - other NumPy builds
    """The same through NumPy's public switch."""

    def process(self, prim, args, params):
        with np.errstate(all="ignore"):
            try:
                return prim.eager(*args, **params)
            except Exception as error:
                prim.explain(error, args, params)
                raise


NUMPY = NumpyLevel() if _signals else PublicNumpyLevel()
floor: ContextVar[Level] = ContextVar("floor", default=NUMPY)
_depth: ContextVar[int] = ContextVar("depth", default=1)


def bind(prim, *args, **params):
    """Hand `prim` to the deepest level among `args`."""
    top = None
    for x in args:
        if isinstance(x, Box):
            level = x.level
            if top is None or level.depth > top.depth:
                top = level
    return (top or floor.get()).process(prim, args, params)


@contextmanager
def new_level(level: Level) -> Iterator[Level]:
    """Nest `level` inside all that are active in this context."""
    level.depth = _depth.get() + 1
    token = _depth.set(level.depth)
    try:
        yield level
    finally:
        _depth.reset(token)


def at_bottom(x):
    """The array (or traced value) under all boxes."""
    while isinstance(x, Box) and hasattr(x, "value"):
        x = x.value
    return x


def dtype_of(x) -> np.dtype:
    """NumPy dtype of a value at any level."""
    return at_bottom(x).dtype
