"""A program as one native function over a table of pointers, and its way in from Python."""

from __future__ import annotations

import ctypes
import itertools
import json
import time

from ...ir.passes import prepared
from .. import cache
from ..cost import flop, lasting
from . import entry
from .answers import answer
from .budget import within
from .callbacks import callback
from .digest import digest
from .guards import Stream, guards
from .kernels.failing import FAILED, WORDS
from .llvm import machine
from .llvm import text as ir
from .llvm.types import I64, POINTER
from .pool import LARGE
from .table import Slots
from .writer import Writer

LONG = 50_000  # operations after which other threads of Python get their turn


class Native:
    """The machine code of a captured program, not yet bound to any state."""

    def __init__(self, captured, timed: bool = False):
        started = time.perf_counter()
        self.captured = captured
        self.timed, self.cached = timed, False
        self.part = self._planned()
        self._name_values()
        self._build()
        self.build_seconds = time.perf_counter() - started

    def _planned(self):
        """The captured program as kernels, with all that is told of what it is given."""
        c = self.captured
        n = c.arguments
        renewed = {
            s.written: n + i for i, s in enumerate(c.states) if s.written is not None
        }
        renewed |= {output: i for i, output in c.rewritten.items()}
        graph = prepared(c.graph)
        outside = {
            "arguments": graph.inputs[:n],
            "state": graph.inputs[n:],
            "results": [graph.outputs[i] for i in c.fresh()],
        }
        return within(graph, renewed, c.memory, outside)

    def _name_values(self) -> None:
        """What is in the graph's order by what it is for, and the places of all that is outside."""
        part, c = self.part, self.captured
        inputs, outputs = part.graph.inputs, part.outputs
        n = c.arguments
        self.arguments, self.states = inputs[:n], inputs[n : n + len(c.states)]
        self.extras = inputs[n + len(c.states) :]
        drawn = self.extras[: len(c.draws)]
        self.numbers = self.extras[len(c.draws) :]
        draws = enumerate(zip(c.draws, drawn, strict=True))
        self.streams = [Stream(i, *draw, v) for i, (draw, v) in draws]
        placed = c.fresh()[c.count :]
        self.results = outputs[: c.count]
        self.gradients = [outputs[i] for i in placed]
        self.specs = [part.graph.outputs[i].spec for i in (*range(c.count), *placed)]
        self.kept = any(map(part.early, self.gradients))  # old ones outlast a failure
        part.stream(self.results)
        self.constants = list(dict.fromkeys(part.constants()))
        outside = [*inputs, *self.constants, *self.results, *self.gradients]
        self.outside = list(dict.fromkeys(outside))
        self.slots = Slots(self.outside)

    def written(self) -> list[int]:
        """Numbers of the states whose memory is known before a call, and written."""
        states = enumerate(self.captured.states)
        return [i for i, s in states if s.place is None and s.written is not None]

    # ------------------------------------------------------------ code

    def _build(self):
        """The code, from disk if this program was compiled before."""
        key = None if self.timed else digest(self.captured)
        about, codes = self._saved(key) or self._compiled(key)
        operations = list(self.part.operations())
        self.errors: list = []
        called = [operations[i] for i in about["called"]]
        self.callbacks = [callback(o, self.errors) for o in called]
        self.slots.numbers = {name: i for i, name in enumerate(about["slots"])}
        entry.link()
        self.library = machine.Library(*codes)
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self.function = kind(self.library.address("run"))

    def _saved(self, key):
        """(what is told of the code, its modules' codes) compiled before, or None."""
        found = None if key is None else cache.load(key)
        if found is None or found[0].get("layout") != _plain(self.part.layout()):
            return None
        self.cached = True
        about, code = found
        ends = itertools.accumulate(about["sizes"])
        parts = zip(about["sizes"], ends, strict=True)
        return about, [code[end - n : end] for n, end in parts]

    def _compiled(self, key):
        codes = [machine.machine_code(text, n) for text, n in self._efforts()]
        number = {o: i for i, o in enumerate(self.part.operations())}
        about = {
            "name": self.captured.graph.name,
            "layout": _plain(self.part.layout()),
            "slots": list(self.slots.numbers),
            "called": [number[o] for o in self.called],
            "sizes": list(map(len, codes)),
        }
        if key is not None:
            cache.save(key, about, b"".join(codes))
        return about, codes

    def texts(self) -> list[str]:
        """What LLVM is given: the program, and what it makes no effort for, if there is any.

        That are functions which are hardly called, and the way in from Python, which waits for
        what it calls. Without effort machine code takes a third of the time.
        """
        m = ir.Module("adjoint")
        m.rare = ir.Module("adjoint.rare")
        failed = ir.GlobalVariable(m, ir.ArrayType(I64, WORDS), FAILED)
        failed.initializer = ir.Constant(failed.type.pointee, None)
        self._run(m)
        if entry.usable() and len(self.results) < entry.MOST and not self.captured.rare:
            self._call_in(m)
        modules = [m, m.rare] if m.rare.globals else [m]
        texts = list(map(str, modules))
        for m in modules:
            m.take_apart()
        return texts

    def text(self) -> str:
        """All that LLVM is given, for people."""
        return "\n".join(self.texts())

    def assembly(self) -> str:
        """The machine code as text."""
        return "\n".join(machine.assembly(text, n) for text, n in self._efforts())

    def _efforts(self):
        """The texts, and what effort LLVM makes for each."""
        return zip(self.texts(), (3, 0), strict=False)

    def _run(self, m):
        """The function that runs the program on what the table points to."""
        f = ir.Function(
            m, ir.FunctionType(ir.VoidType(), [POINTER.as_pointer()]), "run"
        )
        f.mark("nounwind")
        b, number = ir.IRBuilder(f.append_basic_block()), self.slots.number
        at = {
            v: b.load(b.gep(f.args[0], [I64(number(v))]))
            for v in ("arena", *self.outside)
        }
        arena = at.pop("arena")
        panel = b.gep(arena, [I64(self.part.bytes)])
        write = Writer(b, f.args[0], number, arena, panel)
        at = {v: write.typed(p, v) for v, p in at.items()}
        if self.timed:
            clock = b.load(b.gep(f.args[0], [I64(number("clock"))]))
            write.clock = b.bitcast(clock, I64.as_pointer())
        write.part(self.part, at, 0)
        if self.part.streamed:
            b.fence("seq_cst")
        b.ret_void()
        self.called = write.called

    def _call_in(self, program) -> None:
        """The function that Python calls: all looks come before anything is taken."""
        operations = self.part.graph.operations
        long = sum(map(flop, operations)) > LONG or any(map(lasting, operations))
        e = entry.Entry(program, self.slots.number, long)
        for guard in guards(self):
            guard.write(e)
        arrays = []
        for i, v in enumerate(self.results):
            pool = ("maker", i) if self.specs[i].bytes >= LARGE else None
            arrays.append(e.fresh(self.specs[i], pool, v))
        for stream in self.streams:
            stream.draw(e)
        e.go()
        e.finish(answer(self.captured), arrays, self.captured.hands_on)
        e.give_up()


def _plain(x):
    """As it comes back from a file."""
    return json.loads(json.dumps(x))


__all__ = ["Native"]
