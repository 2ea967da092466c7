"""Operations without code of their own: NumPy does them, called from within the program."""

from __future__ import annotations

import ctypes
import math

import numpy as np

from .jobs import Jobs
from .kernels.failing import word
from .kernels.failures import CALLBACK
from .llvm import text as ir
from .llvm.types import I64, POINTER
from .polling import ask, locked

DONE = 0x600D  # what a callback answers; of one that Python cut short, it is anything


class Callbacks(Jobs):
    """What a writer does with what is NumPy's."""

    def _call(self, e, k, part, base):
        """An operation without loops of its own: NumPy does it."""
        (o,) = k.roots
        values = [*o.inputs, *o.outputs]
        key = "callback", len(self.called)
        self.called.append(o)
        b = self.b
        with b.goto_entry_block():
            table = b.alloca(POINTER, len(values))
        for i, v in enumerate(values):
            known = hasattr(v, "value")
            p = POINTER(None) if known else e.pointers[part.schedule.root(v)]
            b.store(b.bitcast(p, POINTER), b.gep(table, [I64(i)]))
        kind = ir.FunctionType(I64, [POINTER.as_pointer()]).as_pointer()
        f = b.load(b.gep(self.table, [I64(self.slot(key))]))
        failed = word(b)
        with locked(b):
            ask(b)  # else a handler would run before the callback can see to it
            with b.if_then(b.icmp_unsigned("==", b.load(failed), I64(0))):
                done = b.call(b.bitcast(f, kind), [table])
                well = b.icmp_unsigned("==", done, I64(DONE))
                b.store(b.select(well, I64(0), I64(CALLBACK)), failed)
        self._go_on(b.icmp_unsigned("==", b.load(failed), I64(0)))


def callback(o, errors):
    """The C function that runs one operation with NumPy on memory it is given."""
    views = [_view(v) for v in (*o.inputs, *o.outputs)]
    count = len(o.inputs)
    consts = {i: v.value for i, v in enumerate(o.inputs) if hasattr(v, "value")}

    def run(table):
        try:
            arrays = [
                consts[i] if i in consts else view(table[i])
                for i, view in enumerate(views)
            ]
            with np.errstate(all="ignore"):
                ys = o.prim.eager(*arrays[:count], **o.params)
            ys = ys if o.prim.outputs != 1 else (ys,)
            for y, out in zip(ys, arrays[count:], strict=True):
                np.copyto(out, y)
        except BaseException as error:  # raised again where the program was called
            errors.append(error)
            return 0
        return DONE

    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.POINTER(ctypes.c_void_p))(run)


def _view(v):
    shape, dtype = v.spec.shape, v.spec.dtype
    size = math.prod(shape) * dtype.itemsize

    def view(address):
        raw = (ctypes.c_char * size).from_address(address or 0)
        return np.frombuffer(raw, dtype).reshape(shape)

    return view if size else lambda _: np.empty(shape, dtype)
