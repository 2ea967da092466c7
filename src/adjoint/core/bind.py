"""bind: one operation, handed to the interpreter that its inputs ask for.

A `Box` is a value that a `Level` looks after (tape, dual, batch, trace). Levels nest;
each takes its own wrapping off and binds again, down to the floor, which is NumPy.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import Context, ContextVar

import numpy as np


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
# is the same number again when all modules are switched as they were before.
moved, changed, remade, modes = (ctypes.c_int64(0) for _ in range(4))


class Level:
    """An interpreter at one depth of nesting."""

    depth = 0
    ground = False  # whether what a user's `Function` does is carried out here as it is

    def process(self, prim, args, params):
        """Carry out `prim` on `args`, of which at least one box is ours."""
        raise NotImplementedError

    def own(self, x):
        """`x`, of a level further down, as a value of this one."""
        return self.wrap(x)

    def wrap(self, value):
        """A value of this level around one of the level below."""
        raise NotImplementedError

    def stopped(self, value):
        """`value` cut off from all derivatives; asked of levels of sections alone."""
        return value

    # What a floor that writes a program down is told of tensors from outside it.

    def see(self, args) -> None:
        """These are about to be read by an operation."""

    def keep(self, args) -> None:
        """These have a value in the program from now on."""

    def known(self, x):
        """An array of a tensor from outside as its value in the program."""
        return x

    def read_grad(self, x) -> None:
        """The gradient of `x` is about to be read."""

    def rebind(self, x) -> None:
        """The gradient of `x` is about to be set."""

    def numbers(self, x) -> None:
        """Python is about to read the numbers of `x`, an array of the base tape."""

    def reads(self, mapping: dict, key) -> None:
        """mapping[key] decides what is done next, unseen in the function's own code."""

    def replaces(self, mapping: dict, key) -> None:
        """mapping[key], in which something from outside is kept, is about to be set."""

    def moves(self, x) -> None:
        """`x` is about to be given other memory."""

    def changes(self, x) -> None:
        """`x` is about to be written in place."""

    def lies(self, value):
        """The steps in memory that a value will have, in elements; None: row by row."""

    def perhaps(self, y, x) -> None:
        """`y` shows the memory of `x` or is new, as numbers decide when a program runs."""

    def leaves(self, x, whole: bool) -> None:
        """`x` is about to be given a value that has not its place in the graph, and not its
        tangent if `whole`."""

    def begins(self, x) -> None:
        """`x` was made a leaf: a graph begins there."""

    def take(self, generator, blocks: int):
        """The state of a stream of random numbers, of which `blocks` blocks are used up."""
        return generator.take(blocks)

    def walked(self, node, g, gs) -> None:
        """The derivative of a node made `gs` of `g`."""

    def position(self, generator):
        """How far a stream is used up: what `go_to` goes back to."""
        return generator.position()

    def go_to(self, generator, position) -> None:
        """Have a stream continue from a position."""
        generator.go_to(position)

    def seeds(self, generator) -> None:
        """A stream is about to be another."""

    def options(self, group: dict) -> dict:
        """The options of a group of parameters, about to be read."""
        return group

    def later(self, f, args, groups) -> bool:
        """Whether f(*args), Python's own work on options of these groups, is done at the end
        of every call instead of now."""
        return False

    def needs_python(self, why: str) -> None:
        """What follows is done with numbers of Python, for which no program can stand."""

    def constant(self, value):
        """A new array, as this floor's programs have it."""
        return value

    def apart(self):
        """A context in which a part of a program is written down."""
        return nullcontext()

    def holds(self, x) -> bool:
        """Whether `x` is from outside, so that it must not change before the program runs."""
        return False


class Box:
    """A value with the level that looks after it; `value` is what lies one level below."""

    level: Level  # the class's own is the base tape, for what has no other level
    face: type  # the class that levels make their values of: Tensor
    __array_ufunc__ = None  # ndarray * box asks the box
    plain = False  # an array of the base tape, not a view: nothing needs looking after


class NumpyLevel(Level):
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
floor: ContextVar[Level] = ContextVar("floor", default=NUMPY)
_depth: ContextVar[int] = ContextVar("depth", default=1)


def note_change(lasting: bool = False) -> None:
    """Have compiled programs look again at what they work on; `lasting`: be made anew."""
    if floor.get() is NUMPY:
        changed.value += 1
        remade.value += lasting


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
