"""A program as one native function over a table of pointers, and its way in from Python."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import sys
import time
import weakref

import numpy as np
from llvmlite import ir
from numpy.lib.array_utils import byte_bounds

from ...autodiff.modes import inferring, recording
from ...autodiff.node import Leaf
from ...core.bind import NUMPY, Box, changed, floor, moved
from ...ir.passes import prepared
from ...ops.arithmetic import by_zero
from ...ops.index import out_of_bounds
from .. import cache
from ..binding import MISS, Binding, number
from ..positions import read_name
from . import entry, machine
from .answers import answer
from .budget import within
from .crew import crew
from .digest import digest
from .failing import BY_ZERO, FAILED, OUTSIDE, WORDS
from .nests import I64
from .pool import LARGE, Pool, maker
from .remains import let_go
from .room import LEAST, Room, room_for
from .spelling import forget, spelled
from .writer import POINTER, Writer, callback

# The context variables that the quick way looks at, and what they must be for it.
MODES = {
    "floor": (floor, NUMPY),
    "recording": (recording, True),
    "inferring": (inferring, False),
}
LONG = 50_000  # operations after which other threads of Python get their turn


class Native:
    """The machine code of a captured program, not yet bound to any state."""

    def __init__(self, captured, timed: bool = False):
        started = time.perf_counter()
        self.captured = c = captured
        n = c.arguments
        renewed = {
            s.written: n + i for i, s in enumerate(c.states) if s.written is not None
        }
        renewed |= {output: i for i, output in c.rewritten.items()}
        graph = prepared(c.graph)
        outside = {"arguments": graph.inputs[:n], "state": graph.inputs[n:]}
        fresh = [graph.outputs[i] for i in c.fresh()]
        self.part = part = within(
            graph, renewed, c.memory, outside | {"results": fresh}
        )
        inputs = part.graph.inputs
        self.arguments, self.states = inputs[:n], inputs[n : n + len(c.states)]
        self.extras = inputs[n + len(c.states) :]
        self.drawn = self.extras[: len(c.draws)]
        self.numbers = self.extras[len(c.draws) :]
        placed = c.fresh()[c.count :]
        self.results = part.outputs[: c.count]
        self.gradients = [part.outputs[i] for i in placed]
        self.specs = [part.graph.outputs[i].spec for i in (*range(c.count), *placed)]
        self.kept = any(map(part.early, self.gradients))  # old ones outlast a failure
        part.stream(self.results)
        self.constants = list(dict.fromkeys(part.constants()))
        outside = [*part.graph.inputs, *self.constants, *self.results, *self.gradients]
        self.outside = list(dict.fromkeys(outside))
        self.number = {v: i for i, v in enumerate(self.outside)}
        self.slots: dict[str, int] = {}
        self.timed, self.cached = timed, False
        self._build()
        self.build_seconds = time.perf_counter() - started

    def slot(self, key) -> int:
        """The number of a pointer in the table, a new one at first."""
        return self.slots.setdefault(self.spelled(key), len(self.slots))

    def spelled(self, key) -> str:
        """A key as text, the same in every process."""
        if key in self.number:
            return f"value {self.number[key]}"
        return key if isinstance(key, str) else " ".join(map(_spelled, key))

    # ------------------------------------------------------------ code

    def _build(self):
        """The code, from disk if this program was compiled before."""
        key = None if self.timed else digest(self.captured)
        about, code = self._saved(key) or self._compiled(key)
        operations = list(self.part.operations())
        self.errors: list = []
        called = [operations[i] for i in about["called"]]
        self.callbacks = [callback(o, self.errors) for o in called]
        self.slots = {name: i for i, name in enumerate(about["slots"])}
        entry.link()
        self.library = machine.Library(code)
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self.function = kind(self.library.address("run"))

    def _saved(self, key):
        """(what is told of the code, the code) that was compiled before, or None."""
        found = None if key is None else cache.load(key)
        if found is None or found[0].get("layout") != _plain(self.part.layout()):
            return None
        self.cached = True
        return found

    def _compiled(self, key):
        code = machine.machine_code(self.text())
        number = {o: i for i, o in enumerate(self.part.operations())}
        about = {
            "name": self.captured.graph.name,
            "layout": _plain(self.part.layout()),
            "slots": list(self.slots),
            "called": [number[o] for o in self.called],
        }
        if key is not None:
            cache.save(key, about, code)
        return about, code

    def text(self) -> str:
        """The program as LLVM is given it."""
        m = ir.Module("adjoint")
        table = ir.GlobalVariable(m, POINTER.as_pointer(), "table")
        table.initializer = ir.Constant(table.type.pointee, None)
        failed = ir.GlobalVariable(m, ir.ArrayType(I64, WORDS), FAILED)
        failed.initializer = ir.Constant(failed.type.pointee, None)
        run = self._run(m)
        if entry.usable() and len(self.results) < entry.MOST and not self.captured.rare:
            self._call_in(m, run, table)
        text = spelled(m, self.texts)
        del self.texts
        forget(m)
        return text

    def assembly(self) -> str:
        """The machine code as text."""
        return machine.assembly(self.text())

    def _run(self, m):
        f = ir.Function(
            m, ir.FunctionType(ir.VoidType(), [POINTER.as_pointer()]), "run"
        )
        f.attributes.add("nounwind")
        b = ir.IRBuilder(f.append_basic_block())
        at = {
            v: b.load(b.gep(f.args[0], [I64(self.slot(v))]))
            for v in ("arena", *self.outside)
        }
        arena = at.pop("arena")
        write = Writer(
            b, f.args[0], self.slot, arena, b.gep(arena, [I64(self.part.bytes)])
        )
        at = {v: write.typed(p, v) for v, p in at.items()}
        if self.timed:
            clock = b.load(b.gep(f.args[0], [I64(self.slot("clock"))]))
            write.clock = b.bitcast(clock, I64.as_pointer())
        write.part(self.part, at, 0)
        if self.part.streamed:
            b.fence("seq_cst")
        b.ret_void()
        self.called, self.texts = write.called, write.texts
        return f

    def _written(self) -> list[int]:
        """Numbers of the states whose memory is known before a call, and written."""
        states = enumerate(self.captured.states)
        return [i for i, s in states if s.place is None and s.written is not None]

    def _call_in(self, m, run, table):
        """The function that Python calls."""
        c = self.captured
        e = entry.Entry(m, run, table, self.slot, self.part.schedule.work() > LONG)
        for key, (_, wanted) in MODES.items():
            e.context(("context", key), ("constant", wanted))
        e.number("moved", "moved before")
        e.number("changed", "changed before")
        e.number("busy", "zero")
        common = self.part.inside >= LEAST
        if common:
            e.number("room", "zero")
        e.claim(["busy", "room"] if common else ["busy"])
        places = e.arguments(c.arguments)
        for i, (x, v) in enumerate(zip(places, self.arguments, strict=True)):
            e.memory_of(x, v.spec, self.slot(v), i in c.leaves)
            if v.spec.bytes and self._written():
                e.apart(self.slot(v), v.spec.bytes, "spans", len(self._written()))
        for i, (state, v) in enumerate(zip(c.states, self.states, strict=True)):
            if state.place is not None:
                g = e.item(("place", i), "_grad")
                e.memory_of(g, v.spec, self.slot(v))
                for x in self.arguments if state.written is not None else ():
                    e.need(
                        e.apart_of(
                            self.slot(x), x.spec.bytes, self.slot(v), v.spec.bytes
                        )
                    )
        for i in range(len(self.gradients)):
            g = e.attribute(e.slot(("leaf", i)), "_grad")
            e.drop(g)
            e.need(e.same(g, e.slot(("gradient", i))))
            e.unshared(g, 2)
            e.unshared(e.slot(("memory", i)), 1)
        for i, (keeper, items) in enumerate(c.seen):
            for name in items:
                if isinstance(keeper, list):
                    e.items(("keeper", i), ("items", i), len(items[name]))
                    continue
                found = e.kept(("keeper", i), name, isinstance(keeper, dict))
                e.need(e.same(found, e.slot(("item", i, name))))
        for i, r in enumerate(c.read):
            e.bits(("read", i), ("numbers", i), r.numbers.nbytes)
        for i, (v, (_, name, place)) in enumerate(
            zip(self.numbers, c.numbers, strict=True)
        ):
            x = e.item(("numbered", i), name)
            x = x if place is None else e.member(x, place)
            e.real(x, ("number", i), self.slot(v))
        for i in range(len(self.drawn)):
            e.idle(i)
        arrays = []
        for i, v in enumerate(self.results):
            pool = ("maker", i) if self.specs[i].bytes >= LARGE else None
            arrays.append(e.fresh(self.specs[i], pool, self.slot(v)))
        for i, v in enumerate(self.drawn):
            e.draw(i, c.draws[i][1], self.slot(v))
        e.go()
        e.finish(answer(c), arrays, places if c.hands_on else ())
        e.give_up()


def _spelled(x) -> str:
    """A part of a key as text."""
    if isinstance(x, type):
        return x.__name__
    if isinstance(x, np.dtype):
        return f"{x.str} {x.name}"
    return str(x) if isinstance(x, (str, int, type(None))) else type(x).__name__


def _interned(name):
    """The key that Python itself uses: found without a look at its letters."""
    return sys.intern(name) if type(name) is str else name


def _plain(x):
    """As it comes back from a file."""
    return json.loads(json.dumps(x))


_bound: weakref.WeakSet = weakref.WeakSet()


def _forked() -> None:
    """In the child of a fork nobody is in a program: threads that were are not there."""
    for bound in _bound:
        bound.busy.value = bound.room.busy.value = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Bound(Binding):
    """Machine code with the state it works on: what a call runs."""

    def __init__(self, native: Native, assemble):
        self.native, self.assemble = native, assemble
        self.table = (ctypes.c_void_p * (len(native.slots) + 1))()
        self.kept: list = []
        self.enter(room_for(self, native.part.inside))
        for c in native.constants:
            self._array(c, np.ascontiguousarray(c.value))
        if "parallel" in native.slots:
            self._point("parallel", crew().parallel)
        for i, f in enumerate(native.callbacks):
            self._point(("callback", i), ctypes.cast(f, ctypes.c_void_p).value)
        self.busy, self.zero = ctypes.c_int64(0), ctypes.c_int64(0)
        _bound.add(self)
        self.call = None
        failed = native.library.data(FAILED)
        self.failed = (ctypes.c_int64 * WORDS).from_address(failed)
        count = native.captured.count  # gradients are written again by other rules
        self.makers = [maker(spec) for spec in native.specs[:count]]
        self.makers += [functools.partial(np.empty, *s) for s in native.specs[count:]]
        self.gradients: list = [None] * len(native.gradients)
        super().__init__(native.captured)
        if "miss" in native.slots:  # there is a way in
            self._open()

    def enter(self, room) -> None:
        """Work in this memory from now on."""
        self.room = room
        self._point("arena", room.start)
        self._point("room", ctypes.addressof(room.busy))

    def _point(self, key, address):
        slot = self.native.slots.get(self.native.spelled(key))
        if slot is not None:
            self.table[slot] = address

    def _object(self, key, x):
        """A Python object that the code calls or compares."""
        self.kept.append(x)
        self._point(key, id(x))

    def _array(self, key, x):
        self.kept.append(x)
        self._point(key, x.ctypes.data)

    def _open(self):
        """Everything that the way in from Python looks at."""
        n, c = self.native, self.captured
        for key, (var, _) in MODES.items():
            self._object(("context", key), var)
        for x in (NUMPY, True, False, None):
            self._object(("constant", x), x)
        for name in ("plain", "node", "value", "_grad"):
            self._object(("name", name), _interned(name))
        self._object(("type", Box.face), Box.face)
        self._object(("type", np.ndarray), np.ndarray)
        for spec in (*(v.spec for v in n.part.graph.inputs), *n.specs):
            self._object(("dtype", spec.dtype), spec.dtype)
        for i, make in enumerate(self.makers):
            self._object(("maker", i), make)
        for i, (generator, _) in enumerate(c.draws):
            self._point(("stream", i), ctypes.addressof(generator.place))
            self._array(("drawn", i), np.zeros(2, np.int64))
        for i, s in enumerate(c.states):
            if s.place is not None:
                self._object(("place", i), s.place.mapping)
        for i, (keeper, items) in enumerate(c.seen):
            self._object(("keeper", i), keeper)
            for name, x in items.items():
                if isinstance(keeper, list):
                    self.kept.append(x)
                    self._array(("items", i), np.array([id(y) for y in x], np.int64))
                self._object(("item", i, name), x)
                self._object(("name", name), _interned(name))
        for i, r in enumerate(c.read):
            self._array(("numbers", i), r.numbers)
        self.reals = np.zeros(len(c.numbers))
        for i, (group, name, _) in enumerate(c.numbers):
            self._object(("numbered", i), group)
            self._object(("name", name), _interned(name))
            self._point(("number", i), self.reals.ctypes.data + 8 * i)
        self._object(("type", float), float)
        self._object(("type", tuple), tuple)
        self.targets = [g.tensor for g in c.gradients if g.output is not None]
        for i, x in enumerate(self.targets):
            self._object(("leaf", i), x)
        self._object("assemble", self.assemble)
        self._object(("type", Leaf), Leaf)
        self._object("failure", self._failure)
        counters = {
            "moved": moved,
            "changed": changed,
            "busy": self.busy,
            "calls": self.calls,
            "zero": self.zero,
            "moved before": self.moved,
            "changed before": self.changed,
        }
        for key, x in counters.items():
            self._point(key, ctypes.addressof(x))
        self._object("miss", MISS)
        slot = ctypes.c_void_p.from_address(n.library.data("table"))
        slot.value = ctypes.addressof(self.table)
        self.call = entry.python_function(n.library.address("call"), self)

    def point_to_states(self) -> None:
        super().point_to_states()
        for v, x in zip(self.native.states, self.arrays, strict=True):
            if x is not None:
                self._point(v, x.ctypes.data)
        for i, r in enumerate(self.captured.read):
            self._point(("read", i), r.tensor.value.ctypes.data)
        written = [self.arrays[i] for i in self.native._written()]
        self.spans = np.array([byte_bounds(x) for x in written], np.int64)
        self._point("spans", self.spans.ctypes.data)

    # ------------------------------------------------------------ the slow way

    def __call__(self, arrays, extras):
        """The arrays of all outputs that are new memory, by number; the others are written."""
        while self.busy.value:  # another thread is in the program
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
            self.enter(room := Room(self.native.part.inside))
        room.busy.value = 1
        try:
            return self._run(arrays, extras)
        finally:
            room.busy.value = 0

    def _run(self, arrays, extras):
        n, c = self.native, self.captured
        keep, back = [], []
        given = dict(zip(n.arguments, arrays, strict=True))
        given |= dict(zip(n.extras, extras, strict=True))
        given |= dict(zip(n.states, self.memory(), strict=True))
        for v, x in given.items():
            y = x
            if not (x.flags.c_contiguous and x.flags.aligned):
                y = np.array(x, order="C")
                back.append((x, y, v))
            keep.append(y)
            self._point(v, y.ctypes.data)
        made = [make() for make in self.makers]
        for v, x in zip((*n.results, *n.gradients), made, strict=True):
            self._point(v, x.ctypes.data)
        n.function(self.table)
        states = zip(c.states, n.states, strict=True)
        written = {v for s, v in states if s.written is not None}
        written.update(n.arguments[i] for i in c.rewritten)
        for x, y, v in back:
            if v in written:
                np.copyto(x, y)
        return made

    def _failure(self):
        """What is answered when an operation failed."""
        self._raise()

    def _raise(self):
        words = self.failed
        if not words[0]:
            return
        what, words[0], errors = words[0], 0, self.native.errors
        if what == OUTSIDE:
            raise out_of_bounds(*words[1:4], read_name(words[4:]))
        if what == BY_ZERO:
            raise by_zero(read_name(words[4:]))
        error = errors.pop()
        errors.clear()
        raise error

    def settle(self) -> None:
        let_go()

    def give(self, gradients) -> None:
        """These tensors are the gradients now; their memory is used again if no one else has it."""
        if self.native.kept:
            return
        self.gradients = list(gradients)
        for i, g in enumerate(self.gradients):
            self._point(("gradient", i), id(g))
            self._point(("memory", i), id(g.value))
            self._point(self.native.gradients[i], g.value.ctypes.data)


class Clocked(Bound):
    """A program that says how long each of its kernels takes; it works on copies."""

    def __init__(self, captured):
        super().__init__(Native(captured, timed=True), None)
        self.clock = np.zeros(len(self.native.part.schedule.kernels) + 1, np.int64)
        self._array("clock", self.clock)
        self.first: tuple[float, int] | None = None
        # What results and states are written to is met once before: new memory takes long.
        self.makers = [Pool(spec) for spec in self.native.specs]
        self.copies = [x.copy() for x in super().memory()]

    def memory(self):
        for x, copy in zip(super().memory(), self.copies, strict=True):
            np.copyto(copy, x)
        return self.copies

    def __call__(self, arrays):
        """Seconds of each kernel; the first call only sets the clock."""
        draws = [np.zeros(2, np.int64) for _ in self.captured.draws]
        numbers = [np.array(number(*n)) for n in self.captured.numbers]
        now = time.perf_counter()
        super().__call__(arrays, [*draws, *numbers])
        if self.first is None:
            self.first = now, int(self.clock[0])
            time.sleep(0.02)
            return []
        ticks = (self.clock[0] - self.first[1]) / (now - self.first[0])
        return list(np.diff(self.clock) / ticks)


__all__ = ["Bound", "Clocked", "Native"]
