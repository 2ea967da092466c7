"""Table: the pointers that a program's code reads, which knows no address itself."""

from __future__ import annotations

import ctypes
import sys

import numpy as np

from .surface import Port


class Slots:
    """The numbers of a table's pointers, by keys that are the same in every process."""

    def __init__(self, names=()):
        self.numbers = {name: i for i, name in enumerate(names)}

    def __contains__(self, key) -> bool:
        return self.spelled(key) in self.numbers

    def number(self, key) -> int:
        """The number of a pointer, a new one at first."""
        return self.numbers.setdefault(self.spelled(key), len(self.numbers))

    def spelled(self, key) -> str:
        """A key as text."""
        if isinstance(key, Port):
            return f"value {key.number}"
        return key if isinstance(key, str) else " ".join(map(_spelled, key))


def _spelled(x) -> str:
    """A part of a key as text."""
    if isinstance(x, type):
        return x.__name__
    if isinstance(x, np.dtype):
        return f"{x.str} {x.name}"
    plain = isinstance(x, (str, bytes, int, type(None)))
    return str(x) if plain else type(x).__name__


class Table:
    """The pointers for one state, and what must live as long; the code may not read all keys."""

    def __init__(self, slots: Slots):
        self.slots = slots
        self.pointers = (ctypes.c_void_p * (len(slots.numbers) + 1))()
        self.kept: list = []
        self.arrays: dict = {}

    def point(self, key, address) -> None:
        slot = self.slots.numbers.get(self.slots.spelled(key))
        if slot is not None:
            self.pointers[slot] = address

    def counter(self, key, x) -> None:
        """A number of ctypes, which its owner keeps."""
        self.point(key, ctypes.addressof(x))

    def object(self, key, x) -> None:
        """A Python object that the code calls or compares."""
        self.kept.append(x)
        self.point(key, id(x))

    def name(self, name) -> None:
        """The key that Python itself uses: found without a look at its letters."""
        self.object(("name", name), sys.intern(name) if type(name) is str else name)

    def array(self, key, x) -> None:
        """The memory of an array."""
        self.arrays[key] = x
        self.point(key, x.ctypes.data)
