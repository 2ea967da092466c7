"""Bound: machine code and the state it works on, and the way to it that needs no machine code."""

from __future__ import annotations

import ctypes
import functools
import threading
import time
import weakref

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ...core.forks import at_fork
from ..binding import MISS, Binding, Interpreted
from . import way
from .guards import guards
from .kernels.failures import FAILED, INSIDE, WORDS, raise_failure
from .late import crew
from .llvm.remains import let_go
from .pool import maker
from .program import Native
from .room import Room, room_for
from .table import Table

_bound: weakref.WeakSet = weakref.WeakSet()


def _forked() -> None:
    """In the child of a fork nobody is in a program: threads that were are not there."""
    for bound in _bound:
        bound.busy.value = bound.room.busy.value = 0


at_fork(after_in_child=_forked)


class Bound(Binding):
    """Machine code with the state it works on: what a call runs."""

    def __init__(self, native: Native, assemble):
        self.native, self.assemble = native, assemble
        self.surface = native.surface
        self.table = Table(native.slots)
        self.enter(room_for(self, self.surface.inside))
        for i, x in enumerate(native.constants, len(native.captured.graph.inputs)):
            self.table.array(("value", i), x)
        if "parallel" in native.slots:
            self.table.point("parallel", crew.crew().parallel)
        for i, f in enumerate(native.callbacks):
            address = ctypes.cast(f, ctypes.c_void_p).value
            self.table.point(("callback", i), address)
        self.busy, self.zero = ctypes.c_int64(0), ctypes.c_int64(0)
        _bound.add(self)
        failed = native.library.data(FAILED)
        self.failed = (ctypes.c_int64 * WORDS).from_address(failed)
        count = native.captured.count  # gradients are written again by other rules
        specs = self.surface.specs
        self.makers = [maker(spec) for spec in specs[:count]]
        self.makers += [functools.partial(np.empty, *s) for s in specs[count:]]
        self.gradients: list = [None] * len(self.surface.gradients)
        super().__init__(native.captured)
        if "miss" in native.slots:  # there is a way in
            self._open()

    def enter(self, room) -> None:
        """Work in this memory from now on."""
        self.room = room
        self.table.point("arena", room.start)
        self.table.counter("room", room.busy)

    def _open(self) -> None:
        """The way in from Python: what it looks at, and what it makes and calls."""
        for guard in guards(self.surface):
            guard.bind(self.table)
        table = self.table
        for key in ("busy", "zero", "calls"):
            table.counter(key, getattr(self, key))
        table.counter("moved before", self.moved)
        table.counter("changed before", self.changed)
        for i, make in enumerate(self.makers):
            table.object(("maker", i), make)
        for spec in self.surface.specs:
            table.object(("dtype", spec.dtype), spec.dtype)
        table.object("assemble", self.assemble)
        table.object("made as", "inference" if self.captured.inferring else "plain")
        table.object("failure", self._failure)
        table.object("miss", MISS)
        library = self.native.library
        slot = ctypes.c_void_p.from_address(library.data("table"))
        slot.value = ctypes.addressof(table.pointers)
        self.call = way.python_function(library.address("call"), self)

    def point_to_states(self) -> None:
        super().point_to_states()
        for v, x in zip(self.surface.states, self.arrays, strict=True):
            if x is not None:
                self.table.point(v, x.ctypes.data)
        for i, r in enumerate(self.captured.read):
            self.table.point(("read", i), r.tensor.value.ctypes.data)
        written = [self.arrays[i] for i in self.surface.written()]
        self.spans = np.array([byte_bounds(x) for x in written], np.int64)
        self.table.point("spans", self.spans.ctypes.data)

    # ------------------------------------------------------------ the slow way

    def __call__(self, arrays, extras):
        """The arrays of all outputs that are new memory, by number; the others are written."""
        while self.busy.value:  # another thread is in the program
            if self.failed[INSIDE] == threading.get_ident():  # no: this, in a handler
                return Interpreted(self.captured)(arrays, extras)
            time.sleep(1e-4)
        self.busy.value = 1
        try:
            made = self._in_room(arrays, extras)
        finally:
            self.busy.value = 0
        self._raise()
        return dict(zip(self.captured.fresh(), made, strict=True))

    def _in_room(self, arrays, extras):
        """In the common room, unless a program is in it, of this thread or of another."""
        room = self.room
        if room.busy.value:
            room.guests.discard(self)
            self.enter(room := Room(self.surface.inside))
        room.busy.value = 1
        try:
            return self._run(arrays, extras)
        finally:
            room.busy.value = 0

    def _run(self, arrays, extras):
        s, c = self.surface, self.captured
        keep, back = [], []
        given = dict(zip(s.arguments, arrays, strict=True))
        given |= dict(zip(s.extras, extras, strict=True))
        given |= dict(zip(s.states, self.memory(), strict=True))
        for v, x in given.items():
            y = x
            if not (x.flags.c_contiguous and x.flags.aligned):
                y = np.array(x, order="C")
                back.append((x, y, v))
            keep.append(y)
            self.table.point(v, y.ctypes.data)
        made = [make() for make in self.makers]
        for v, x in zip((*s.results, *s.gradients), made, strict=True):
            self.table.point(v, x.ctypes.data)
        self.native.function(self.table.pointers)
        if back:
            states = zip(c.states, s.states, strict=True)
            written = {v for state, v in states if state.written is not None}
            written.update(s.arguments[i] for i in c.rewritten)
            for x, y, v in back:
                if v in written:
                    np.copyto(x, y)
        return made

    def _failure(self):
        """What is answered when an operation failed: nothing has changed."""
        self.calls.value -= 1
        drawn = (self.table.arrays["drawn", i] for i in range(len(self.captured.draws)))
        self.undraw(drawn)
        self._raise()

    def _raise(self):
        raise_failure(self.failed, self.native.errors, self.captured.graph)

    def settle(self) -> None:
        let_go()

    def give(self, gradients) -> None:
        """These tensors are the gradients now; their memory is used again if no one else has it."""
        if self.native.kept:
            return
        self.gradients = list(gradients)
        for i, g in enumerate(self.gradients):
            self.table.point(("gradient", i), id(g))
            self.table.point(("memory", i), id(g.value))
            self.table.point(self.surface.gradients[i], g.value.ctypes.data)


__all__ = ["Bound", "Native"]
