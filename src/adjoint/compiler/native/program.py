"""A program as one native function over a table of pointers: compiled, or found on disk.

What is told of the code says all that it is bound by. A program that is found is not planned
again, but for operations that NumPy does, and for people who want to see it.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import time

import numpy as np

from .. import cache
from . import way
from .digest import digest
from .late import callbacks, hands, plan
from .llvm import machine
from .surface import Surface
from .table import Slots


class Native:
    """The machine code of a captured program, not yet bound to any state."""

    def __init__(self, captured, timed: bool = False):
        started = time.perf_counter()
        self.captured, self.timed = captured, timed
        key = None if timed else digest(captured)
        found = None if key is None else self._found(key)
        self.cached = found is not None
        about, pieces = found or self._compiled(key)
        made = len([c for c in about["constants"] if not isinstance(c, int)])
        codes, raw = pieces[: len(pieces) - made], iter(pieces[len(pieces) - made :])
        self.surface, self.kept = Surface(captured, *about["surface"]), about["kept"]
        self.slots = Slots(about["slots"])
        self.constants = [self._constant(c, raw) for c in about["constants"]]
        self.errors: list = []
        self.callbacks = self._callbacks(about["called"])
        way.link()
        self.library = machine.Library(*codes)
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self.function = kind(self.library.address("run"))
        self.build_seconds = time.perf_counter() - started

    @functools.cached_property
    def plan(self):
        """What the code was made of."""
        return plan.Plan(self.captured, self.timed)

    @property
    def part(self):
        """The program as kernels whose values have places."""
        return self.plan.part

    def texts(self) -> list[str]:
        """What LLVM is given: the program, or pieces of it, and what it makes no effort for."""
        return self.plan.texts()

    def text(self) -> str:
        """All that LLVM is given, for people."""
        return "\n".join(self.texts())

    def assembly(self) -> str:
        """The machine code as text."""
        return "\n".join(machine.assembly(*made) for made in self.plan.efforts())

    # ------------------------------------------------------------ code

    def _found(self, key):
        """(what is told of the code, its pieces) that was compiled before, or None."""
        found = cache.load(key)
        if found is None:
            return None
        about, code = found
        if about["called"] and about["layout"] != self.plan.layout():
            return None
        ends = itertools.accumulate(about["sizes"])
        pieces = zip(about["sizes"], ends, strict=True)
        return about, [code[end - n : end] for n, end in pieces]

    def _compiled(self, key):
        """The same, from LLVM: modules of code, then constants."""
        made = self.plan.efforts()
        pieces = hands.at_once(lambda x: machine.machine_code(*x), made)
        pieces += self.plan.constants_made()
        about = self.plan.about() | {"sizes": list(map(len, pieces))}
        if key is not None:
            cache.save(key, about, b"".join(pieces))
        return about, pieces

    def _constant(self, told, raw) -> np.ndarray:
        """A constant of the captured program, or the next of those that were made of it."""
        if isinstance(told, int):
            return np.ascontiguousarray(self.captured.graph.consts[told].value)
        name, shape = told
        return np.frombuffer(next(raw), np.dtype(name)).reshape(shape).copy()

    def _callbacks(self, called) -> list:
        """Operations that NumPy does, by their numbers in the plan, as functions of C."""
        if not called:
            return []
        operations = list(self.part.operations())
        return [callbacks.callback(operations[i], self.errors) for i in called]


__all__ = ["Native"]
