"""Noting: dicts that have compiled programs look again when something in them is replaced.

What programs read of them need not be compared before each call.
"""

from __future__ import annotations

from collections import defaultdict

from . import tree
from .bind import note_change

_ABSENT = object()


class Noting(dict):
    """A dict that notes what is set, unless it is there already, and what is taken away."""

    def __setitem__(self, key, x):
        if self.get(key, _ABSENT) is not x:
            note_change()
        super().__setitem__(key, x)

    def update(self, *args, **kwargs):
        """Set what another dict has, or pairs."""
        for key, x in dict(*args, **kwargs).items():
            self[key] = x

    def __ior__(self, other):
        self.update(other)
        return self

    def setdefault(self, key, default=None):
        """What is there, or else the default, from now on."""
        if key not in self:
            self[key] = default
        return self[key]


def _noting(name):
    plain = getattr(dict, name)

    def method(self, *args):
        note_change()
        return plain(self, *args)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = plain.__doc__
    setattr(Noting, name, method)


for _name in ("__delitem__", "pop", "popitem", "clear"):
    _noting(_name)


tree.register(
    Noting,
    lambda d: (d.values(), tuple(d)),
    lambda keys, xs: Noting(zip(keys, xs, strict=True)),
)


class NotingTree(Noting, defaultdict):
    """A dict of such dicts, which are made when they are asked for."""

    def __init__(self, items=()):
        defaultdict.__init__(self, Noting)
        self.update(items)

    def __setitem__(self, key, x):
        super().__setitem__(key, Noting(x) if type(x) is dict else x)

    def __reduce__(self):
        return NotingTree, (dict(self),)

    def copy(self):
        """Another with the same dicts in it."""
        return NotingTree(self)

    __copy__ = copy
