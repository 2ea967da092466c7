"""Answers: the new arrays of a program, and the tensors around them, made without Python."""

from __future__ import annotations

from copy import copy

from ...core.bind import Box
from ..results import ONE, TUPLE
from .llvm import text as ir
from .llvm.types import I32, I64, POINTER
from .objects import DATA, ITEMS, Objects
from .way import EMPTY


class Answers(Objects):
    """Writes what makes arrays for results, and the answer of them."""

    def fresh(self, spec, maker, v):
        """A new array for the output v; a large one by a function of Python."""
        if maker is None:
            x = self._empty(spec)
        else:
            x = self.api("PyObject_CallNoArgs", self.slot(maker))
        self.need(self.b.icmp_unsigned("!=", x, POINTER(None)))
        self.keep(x)
        self.b.store(self.field(x, DATA), self.place(v))
        return x

    def _empty(self, spec):
        name = f"shape {spec.shape}"
        dims = self.module.globals.get(name) or self.module.table(name, spec.shape)
        f = self.module.declared(EMPTY, POINTER, [I32, POINTER, POINTER, I32])
        dtype = self.slot(("dtype", spec.dtype))
        self.api("Py_IncRef", dtype)  # the array takes it
        dims = self.b.bitcast(dims, POINTER)
        return self.b.call(f, [I32(len(spec.shape)), dims, dtype, I32(0)])

    def finish(self, results, arrays, hands_on: bool):
        """The answer: a tensor, a tuple of them, or what `assemble` makes of these.

        `hands_on`: it makes it of what was given too.
        """
        b = self.b
        failed = b.load(b.gep(self.failed, [I64(0), I64(0)]))
        with b.if_then(b.icmp_unsigned("!=", failed, I64(0))):
            self.leave(self._called("failure", []))
        tensors = [self._tensor(x) for x in arrays]
        if results == ONE:
            (y,) = tensors
        elif results == TUPLE:
            y = self.api("PyTuple_New", I64(len(tensors)))
            for i, x in enumerate(tensors):  # the tuple takes them
                p = b.gep(y, [I64(ITEMS + 8 * i)])
                b.store(x, b.bitcast(p, POINTER.as_pointer()))
        else:
            y = self._called("assemble", [*tensors, *(self.given if hands_on else ())])
            for x in tensors:
                self.drop(x)
        self.leave(y)

    def _called(self, key, args):
        """What a function of Python makes of these."""
        b, n = self.b, len(args)
        with b.goto_entry_block():
            place = b.alloca(POINTER, max(n, 1))
        for i, x in enumerate(args):
            b.store(x, b.gep(place, [I64(i)]))
        return self.api(
            "PyObject_Vectorcall", self.slot(key), place, I64(n), POINTER(None)
        )

    def _tensor(self, array):
        """A new tensor around an array, as the base tape makes it."""
        f = self.module.globals.get("tensor")
        if f is None:
            kinds = POINTER.as_pointer(), POINTER
            f = self.module.internal("tensor", POINTER, kinds)
            e = copy(self)
            e.b, e.table = ir.IRBuilder(f.append_basic_block()), f.args[0]
            e.b.ret(e._around(f.args[1]))
        return self.b.call(f, [self.table, array])

    def _around(self, array):
        none = POINTER(None)
        x = self.api("PyType_GenericNew", self.slot(("type", Box.face)), none, none)
        self.api("PyObject_SetAttr", x, self.slot(("name", "value")), array)
        true = self.slot(("constant", True))
        self.api("PyObject_SetAttr", x, self.slot("made as"), true)
        return x
