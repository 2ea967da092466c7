"""bind: one operation, handed to the interpreter that its inputs ask for.

A `Box` is a value that a `Level` looks after (tape, dual, batch, trace). Levels nest;
each takes its own wrapping off and binds again, down to the floor, which is NumPy.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar

import numpy as np

from .level import Floor, Level


class _Quiet(threading.local):
    """`quiet.run(f, ...)`: NumPy code with its floating-point warnings off.

    NumPy keeps that switch in the context, so one context a thread in which it is off costs
    a C call where `np.errstate` costs a microsecond. Not re-entrant: `f` is NumPy alone.
    """

    def __init__(self):
        context = Context()
        context.run(np.seterr, all="ignore")
        self.run = context.run


quiet = _Quiet()


def _switched_off():
    """NumPy's switch of its warnings, a context variable, and what it holds when off."""
    context = Context()
    context.run(np.seterr, all="ignore")
    return next(iter(context.items()))


_switch, _off = _switched_off()


@contextmanager
def hushed() -> Iterator[None]:
    """NumPy's warnings off in a block that may call anything: a tenth of `np.errstate`."""
    token = _switch.set(_off)
    try:
        yield
    finally:
        _switch.reset(token)


# Counters of what a compiled program cannot see: tensors that were given other memory, and
# modules that were changed. While they stand still it need not look for itself. A module that
# is switched between training and evaluation counts as changed, but not as remade; `modes`
# is the same number again when all modules are switched as they were before, and `flags` when
# numbers, texts and the like that are kept as their attributes are as they were before.
moved, changed, remade, modes, flags = (ctypes.c_int64(0) for _ in range(5))

# Ids of modules made since the last capture began. No program can have seen them, so what is
# done to them changes none: a snapshot of a model may be made, switched and let go.
# Where nothing is captured for long they are forgotten, which costs at most a new program.
young: set[int] = set()
_MANY_YOUNG = 100_000


def note_birth(module) -> None:
    """No program has seen this module yet."""
    if len(young) >= _MANY_YOUNG:
        young.clear()
    young.add(id(module))


class Box:
    """A value with the level that looks after it; `value` is what lies one level below."""

    level: Level  # the class's own is the base tape, for what has no other level
    face: type  # the class that levels make their values of: Tensor
    __array_ufunc__ = None  # ndarray * box asks the box
    plain = False  # an array of the base tape, not a view: nothing needs looking after


class NumpyLevel(Floor):
    """The floor: NumPy does the arithmetic, silently as IEEE 754 defines it."""

    depth = -1

    def process(self, prim, args, params):
        try:
            if prim.calls_back:
                return prim.eager(*args, **params)
            return quiet.run(prim.eager, *args, **params)
        except Exception as error:
            prim.explain(error, args, params)
            raise


NUMPY = NumpyLevel()
floor: ContextVar[Floor] = ContextVar("floor", default=NUMPY)
_depth: ContextVar[int] = ContextVar("depth", default=1)


def note_change(lasting: bool = False) -> None:
    """Have compiled programs look again at what they work on; `lasting`: be made anew."""
    if floor.get() is NUMPY:
        changed.value += 1
        remade.value += lasting


def note_flag(module, name, before, after) -> None:
    """Have them look again, for an attribute that is as simple as it was."""
    if floor.get() is NUMPY:
        changed.value += 1
        for x in (before, after):
            flags.value ^= hash((id(module), name, type(x), repr(x)))


def bind(prim, *args, **params):
    """Hand `prim` to the deepest level among `args`."""
    top = None
    for x in args:
        if isinstance(x, Box):
            level = x.level
            if top is None or level.depth > top.depth:
                top = level
    return (top or floor.get()).process(prim, args, params)


def is_outermost() -> bool:
    """Whether there is no transform around."""
    return _depth.get() == 1


def depth() -> int:
    """How deep the levels nest here."""
    return _depth.get()


@contextmanager
def nested(least: int) -> Iterator[None]:
    """A block whose new levels lie inside of what had this depth, over though that may be."""
    token = _depth.set(max(least, _depth.get()))
    try:
        yield
    finally:
        _depth.reset(token)


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
