"""Jobs: functions of a range of chunks, which threads share, and what they are given."""

from __future__ import annotations

import itertools
from typing import Self

from .arithmetic.kinds import stored_element
from .llvm import text as ir
from .llvm.types import BIT, I64, POINTER
from .sharing import CHUNKS, PARALLEL


class Jobs:
    """Writes at a builder's place; `table` holds what is only known at run time."""

    def __init__(self, builder, table, slot, arena, panel):
        self.b, self.table, self.slot = builder, table, slot
        self.arena, self.panel = arena, panel
        self.apart: dict[str, ir.Function] = {}  # by their text
        self.alike: dict = {}  # by what they compute
        self.names = itertools.count()
        self.convolutions: dict = {}  # what tells one from others -> its functions
        self.clock = None  # where the time at which each kernel starts is written
        self.called: list = []  # operations that NumPy does
        self.stopped = None  # where the program ends when it has failed

    def elsewhere(self, builder, arena, panel) -> Self:
        """The same in another function, with memory of its own."""
        w = type(self)(builder, None, self.slot, arena, panel)
        for name in ("apart", "alike", "convolutions", "names", "called"):
            setattr(w, name, getattr(self, name))
        return w

    def inside(self, offset: int):
        """A place in the arena."""
        return self.b.gep(self.arena, [I64(offset)])

    def typed(self, pointer, v):
        """A pointer to elements of this value."""
        return self.b.bitcast(pointer, stored_element(v.spec.dtype).as_pointer())

    def _go_on(self, well):
        b = self.b
        if self.stopped is None:
            self.stopped = b.function.append_basic_block("stopped")
            ir.IRBuilder(self.stopped).ret_void()
        go = b.append_basic_block("go")
        b.cbranch(well, go, self.stopped).set_weights([1000, 1])
        b.position_at_end(go)

    # ------------------------------------------------------------ functions

    def _job(self, pointers):
        """(function of a range of chunks, its builder, the pointers in it, its other args)."""
        f, b = self._function(CHUNKS.args)
        context = b.bitcast(f.args[0], POINTER.as_pointer())
        given = {}
        for i, p in enumerate(pointers):
            found = b.load(b.gep(context, [I64(i)]))
            given[p] = b.bitcast(found, p.type)
        return f, b, given, f.args[1:]

    def share(self, f, pointers, chunks, room, size):
        """All chunks of f, by the threads that are there; `room` is this one's."""
        b, context = self.b, self._context(pointers)
        parallel = b.load(b.gep(self.table, [I64(self.slot("parallel"))]))
        parallel = b.bitcast(parallel, PARALLEL.as_pointer())
        b.call(parallel, [f, context, I64(chunks), room, I64(size)])

    def _context(self, pointers):
        """Where a job finds the pointers that it works on."""
        b = self.b
        with b.goto_entry_block():
            context = b.alloca(POINTER, max(1, len(pointers)))
        for i, p in enumerate(pointers):
            b.store(b.bitcast(p, POINTER), b.gep(context, [I64(i)]))
        return b.bitcast(context, POINTER)

    def _function(self, kinds):
        name, marks = f"kernel{next(self.names)}", ("nounwind", "noinline")
        f = self.b.module.internal(name, ir.VoidType(), kinds, *marks)
        f.alone = True
        return f, ir.IRBuilder(f.append_basic_block())

    def _once(self, f):
        """The function; or, of those that read alike, the first."""
        text = f.done()
        same = self.apart.setdefault(text.replace(f.name, "kernel", 1), f)
        if same is not f:
            del self.b.module.globals[f.name]
        return same

    def _tasks(self, call, tasks, places, chunks, room):
        """call(places, room, first task, the one after the last) for all, perhaps by threads.

        Each thread has a room of its own; a call with one argument more is told whether it has
        done tasks in that room before.
        """
        (room, size), kind = room, call.args[len(places)].type
        if chunks <= 1:
            told = self.b.bitcast(room, kind), I64(0), I64(tasks), BIT(0)
            self.b.call(call, [*places, *told[: len(call.args) - len(places)]])
            return
        pointers = list(dict.fromkeys(places))
        f, b, given, (first, last, own, done) = self._job(pointers)
        ends = (b.udiv(b.mul(i, I64(tasks)), I64(chunks)) for i in (first, last))
        again = b.icmp_unsigned("!=", done, I64(0))
        told = b.bitcast(own, kind), *ends, again
        places = [given[p] for p in places]
        b.call(call, [*places, *told[: len(call.args) - len(places)]])
        b.ret_void()
        self.share(self._once(f), pointers, chunks, room, size)
