"""Plan: a captured program as kernels whose values have places, and the text that LLVM reads."""

from __future__ import annotations

import numpy as np

from ...ir.passes import prepared
from ..results import answer
from ..schedule.cost import flop, lasting
from . import way
from .budget import within
from .entry import Entry
from .guards import guards, streams
from .kernels.failures import FAILED, WORDS
from .llvm import text as ir
from .llvm.cuts import cut
from .llvm.types import I64, POINTER
from .pool import LARGE
from .surface import Surface
from .table import Slots
from .writer import Writer

LONG = 50_000  # operations after which other threads of Python get their turn


class Plan:
    """All that is decided of a captured program before its code is written, and the writing."""

    def __init__(self, captured, timed: bool):
        self.captured, self.timed = captured, timed
        self.part = part = self._planned()
        c, slots = captured, Slots()
        results = part.outputs[: c.count]
        gradients = [part.outputs[i] for i in c.fresh()[c.count :]]
        self.kept = any(map(part.early, gradients))  # old ones outlast a failure
        part.stream(results)
        self.constants = list(dict.fromkeys(part.constants()))
        outside = [*part.graph.inputs, *self.constants, *results, *gradients]
        self.numbers = {v: i for i, v in enumerate(dict.fromkeys(outside))}
        made = ([self.numbers[v] for v in vs] for vs in (results, gradients))
        self.surface, self.slots = Surface(c, *made, part.inside), slots
        self.called: list = []  # operations that NumPy does

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

    # ------------------------------------------------------------ what is told of the code

    def about(self) -> dict:
        """What a program is bound by, once its code is written."""
        number = {o: i for i, o in enumerate(self.part.operations())}
        ports = self.surface.results, self.surface.gradients
        results, gradients = ([p.number for p in ps] for ps in ports)
        return {
            "name": self.captured.graph.name,
            "slots": list(self.slots.numbers),
            "surface": [results, gradients, self.surface.inside],
            "kept": self.kept,
            "constants": self._told(),
            "called": [number[o] for o in self.called],
            "layout": self.layout() if self.called else None,
        }

    def constants_made(self) -> list[bytes]:
        """The numbers of those constants that are not in the captured program, as bytes."""
        made = (c for c in self.constants if id(c.value) not in self._captured())
        return [np.ascontiguousarray(c.value).tobytes() for c in made]

    def _told(self) -> list:
        """Of each constant its number in the captured program, or its dtype and shape."""
        known = self._captured()
        made = ([c.spec.dtype.name, list(c.spec.shape)] for c in self.constants)
        return [
            known.get(id(c.value), m) for c, m in zip(self.constants, made, strict=True)
        ]

    def _captured(self) -> dict[int, int]:
        """The captured program's constants: where the numbers are -> which it is."""
        return {id(c.value): i for i, c in enumerate(self.captured.graph.consts)}

    def layout(self):
        """What code takes for granted of the operations' order."""
        return self.part.layout()

    # ------------------------------------------------------------ text

    def efforts(self) -> list[tuple[str, int]]:
        """The texts that LLVM is given, and what effort it makes for each.

        The program is one, or is cut into a few if it is large. The last, without effort, are
        functions which are hardly called, and the way in from Python, which waits for what it
        calls: machine code of these takes a third of the time.
        """
        m = ir.Module("adjoint")
        m.rare = ir.Module("adjoint.rare")
        failed = ir.GlobalVariable(m, ir.ArrayType(I64, WORDS), FAILED)
        failed.initializer, failed.align = ir.Constant(failed.type.pointee, None), 16
        self._run(m)
        few = len(self.surface.results) < way.MOST
        if way.usable() and few and not self.captured.rare:
            self._call_in(m)
        made = [(text, 3) for text in cut(m)]
        if m.rare.globals:
            made.append((str(m.rare), 0))
        for x in (m, m.rare):
            x.take_apart()
        return made

    def texts(self) -> list[str]:
        """The texts alone."""
        return [text for text, _ in self.efforts()]

    def _run(self, m):
        """The function that runs the program on what the table points to."""
        f = ir.Function(
            m, ir.FunctionType(ir.VoidType(), [POINTER.as_pointer()]), "run"
        )
        f.mark("nounwind")
        b, number = ir.IRBuilder(f.append_basic_block()), self.slots.number

        def pointer(key):
            return b.load(b.gep(f.args[0], [I64(number(key))]))

        arena = pointer("arena")
        at = {v: pointer(("value", i)) for v, i in self.numbers.items()}
        panel = b.gep(arena, [I64(self.part.bytes)])
        write = Writer(b, f.args[0], number, arena, panel)
        at = {v: write.typed(p, v) for v, p in at.items()}
        if self.timed:
            write.clock = b.bitcast(pointer("clock"), I64.as_pointer())
        write.part(self.part, at, 0)
        if self.part.streamed:
            b.fence("seq_cst")
        b.ret_void()
        self.called = write.called

    def _call_in(self, program) -> None:
        """The function that Python calls: all looks come before anything is taken."""
        operations = self.part.graph.operations
        long = sum(map(flop, operations)) > LONG or any(map(lasting, operations))
        e = Entry(program, self.slots.number, long)
        for guard in guards(self.surface):
            guard.write(e)
        arrays = []
        for i, port in enumerate(self.surface.results):
            pool = ("maker", i) if port.spec.bytes >= LARGE else None
            arrays.append(e.fresh(port.spec, pool, port))
        for stream in streams(self.surface):
            stream.draw(e)
        e.go()
        c = self.captured
        e.finish(answer(c), arrays, c.hands_on or bool(c.live))
        e.give_up()


__all__ = ["Plan"]
