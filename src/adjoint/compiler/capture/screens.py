"""Screens: what a captured function does to tensors from outside is seen by its thread alone.

Such a tensor has a class of its own meanwhile: to that thread it shows a copy of its attributes,
to all others the attributes themselves, which stay as they are. (What users gave it is an attribute
like those of other objects, of which `surroundings` knows.) That class is equal to its own, but
`type(x) is Parameter` is False: `type` asks nobody, and rules put into the class itself would slow
down all tensors of all threads.
"""

from __future__ import annotations

import functools
import sys
from threading import get_ident
from types import FunctionType

from ...core.bind import Box
from ...errors import TraceError
from ...ir.tracer import Tracer
from .unfit import Unfit

# id of a tensor -> (the thread, its copy of the attributes)
_behind: dict[int, tuple] = {}
_OURS = __name__.partition(".")[0]


# What tensors have of their own, and their class has nothing for.
_PARTS = frozenset({"value", "made", "sharers", "laid", "sample", "persistent"})


class Screens:
    """Tensors behind screens, until all are taken away; there may be others behind these."""

    def __init__(self):
        self.tensors: dict[int, tuple] = {}  # (the tensor, what it was behind before)

    def put(self, x) -> None:
        """What this thread does to `x` from now on no other one sees."""
        key = id(x)
        if key in self.tensors:
            return
        self.tensors[key] = x, _behind.get(key)
        _behind[key] = get_ident(), dict(vars(x))
        if self.tensors[key][1] is None:
            object.__setattr__(x, "__class__", _screened(type(x)))

    def take_away(self) -> None:
        """Nothing was done to any of them."""
        for key, (x, before) in self.tensors.items():
            if before is None:
                object.__setattr__(x, "__class__", x.__class__)
                _behind.pop(key, None)  # it is not there if Ctrl-C came in `put`
            else:
                _behind[key] = before
        self.tensors.clear()


def attributes(x) -> dict:
    """The attributes of a tensor as they are, be there a screen or not."""
    return object.__getattribute__(x, "__dict__")


def is_new(x) -> bool:
    """Whether it is a tensor that a captured function has made, or was given: of each call."""
    return isinstance(x, Box) and isinstance(attributes(x).get("value"), Tracer)


@functools.cache
def is_given(kind, name) -> bool:
    """Whether an attribute is one that a user gave a tensor of this class, not a part of it.

    It may have the name of a method.
    """
    if not hasattr(kind, name):
        return name not in _PARTS
    return isinstance(getattr(kind, name), FunctionType)


def _mine(x):
    """This thread's copy of the attributes of `x`; None if it sees these themselves."""
    thread, own = _behind.get(id(x), (None, None))
    return own if thread == get_ident() else None


@functools.cache
def _screened(kind):
    """The class of tensors of a class that are behind screens."""

    def __getattribute__(self, name):
        if name == "__class__":
            return kind
        own = _mine(self)
        if own is None or is_given(kind, name):
            return kind.__getattribute__(self, name)
        if name == "__dict__":
            return own
        if name in own:
            return own[name]
        if name in attributes(self):
            return getattr(kind, name)  # what it had is gone
        return kind.__getattribute__(self, name)

    def __setattr__(self, name, x):
        own = _mine(self)
        if own is None or _sets(kind, name):
            kind.__setattr__(self, name, x)
        else:
            own[name] = x

    def __delattr__(self, name):
        own = _mine(self)
        if own is None or _sets(kind, name):
            kind.__delattr__(self, name)
        elif name in own:
            del own[name]
        else:
            raise AttributeError(name)

    return _of(kind, [__getattribute__, __setattr__, __delattr__])


@functools.cache
def asked_for(kind):
    """The class of what stands for arguments to which users gave attributes, which it lacks."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise Unfit(
            f"it reads the attribute {name} of an argument; give it what is there as an argument"
        )

    return _of(kind, [__getattr__])


@functools.cache
def shown_for(kind):
    """The class of what stands for a number of Python that code finds in its place.

    Whoever asks whether it is a float, or a tensor, needs the number itself.
    """

    def __getattribute__(self, name):
        asks = sys._getframe(1).f_globals.get("__name__", "")
        lacks = name == "__class__" or not hasattr(float, name)
        if lacks and asks.partition(".")[0] != _OURS:
            raise TraceError(f"it is asked for {name} of an option that is an input")
        return kind.__getattribute__(self, name)

    return _of(kind, [__getattribute__])


def _of(kind, rules):
    """A class that is equal to `kind`, with rules of its own."""
    names = {k: getattr(kind, k) for k in ("__module__", "__qualname__", "__doc__")}
    names |= {f.__name__: f for f in rules}
    return type.__new__(_equal(type(kind)), kind.__name__, (kind,), names)


@functools.cache
def _equal(meta):
    """The class of classes that are equal to what they are made of."""

    def __eq__(self, other):
        return other is self or other is self.__base__

    def __hash__(self):
        return hash(self.__base__)

    return type(meta.__name__, (meta,), {"__eq__": __eq__, "__hash__": __hash__})


def _sets(kind, name) -> bool:
    """Whether the class itself sees to it that an attribute is set, or it is a user's."""
    own = name == "__class__" or is_given(kind, name)
    return own or hasattr(type(getattr(kind, name, None)), "__set__")
