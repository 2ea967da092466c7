"""One function of lanes as a loop over arrays, compiled alone."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable

import numpy as np

from adjoint.compiler.native.arithmetic.kinds import INT64
from adjoint.compiler.native.arithmetic.lanes import Lanes
from adjoint.compiler.native.llvm import text as ir
from adjoint.compiler.native.llvm.machine import Library, machine_code

_names = itertools.count()


class Kernel:
    """write(lanes, *xs) for all elements of arrays, whose size `width` divides.

    `kinds` are the types of the arrays' elements, the last that of the result.
    """

    def __init__(self, write: Callable, kinds, width: int = 16):
        module = ir.Module(f"adjoint.kernel{next(_names)}")
        pointers = [kind.as_pointer() for kind in kinds]
        signature = ir.FunctionType(ir.VoidType(), [*pointers, INT64])
        f = ir.Function(module, signature, "adjoint.kernel")
        f.mark("nounwind")
        self._loop(f, write, width)
        self.written = str(module).count("\n")  # its size in lines
        self.library = Library(machine_code(str(module)))
        call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(kinds), ctypes.c_int64)
        self.function = call(self.library.address("adjoint.kernel"))

    def _loop(self, f, write, width):
        *pointers, count = f.args
        entry, loop, done = (f.append_basic_block(n) for n in ("entry", "loop", "done"))
        b = ir.IRBuilder(entry)
        b.branch(loop)
        b.position_at_end(loop)
        i = b.phi(INT64)
        i.add_incoming(INT64(0), entry)
        lanes = Lanes(b, width)
        *places, out = (
            b.bitcast(b.gep(p, [i]), lanes.vector(p.type.pointee).as_pointer())
            for p in pointers
        )
        y = write(lanes, *(b.load(p, align=1) for p in places))
        b.store(y, out, align=1)
        following = b.add(i, INT64(width))
        i.add_incoming(following, b.block)
        b.cbranch(b.icmp_signed("<", following, count), loop, done)
        b.position_at_end(done)
        b.ret_void()

    def __call__(self, *xs: np.ndarray, out: np.ndarray) -> np.ndarray:
        """`out`, filled."""
        self.function(*(x.ctypes.data for x in (*xs, out)), out.size)
        return out
