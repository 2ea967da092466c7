"""A program as one native function over a table of pointers."""

from __future__ import annotations

import ctypes
import itertools
import math

import numpy as np
from llvmlite import ir

from ...ops.contract import _letters as letters_of
from ...ir.rewrite import expanded
from ..schedule import Schedule
from .emit import I64, Emitter, element, stored_element
from .machine import Library
from .matmul import Product, panel_bytes

_ALIGN = 64
_names = itertools.count()


class Native:
    """A program bound to the memory of its state; call(arguments) -> new outputs, as arrays.

    `held` are the arrays of the inputs after the arguments; `writes` pairs such an input with
    the output that is its new value, which is computed in its memory where that is safe.
    """

    def __init__(self, captured):
        self.graph = g = expanded(captured.graph)
        self.schedule = Schedule(g)
        n = captured.arguments
        self.arguments = g.inputs[:n]
        held = [h.array for h in captured.held]
        self.state = dict(zip(g.inputs[n : n + len(held)], held, strict=True))
        self.drawn = g.inputs[n + len(held) :]
        array_of = {id(h): h.array for h in captured.held}
        self.slots: dict = {}  # stored value -> number of its pointer
        self.callbacks: list = []
        self.direct: dict = {}  # output -> the state in whose memory it is computed
        self.copies: list = []  # (output, array) to be copied at the end
        inputs = {id(x): v for v, x in self.state.items()}
        for h, i in captured.writes:
            self._settle(self.schedule.root(g.outputs[i]), inputs[id(array_of[id(h)])])
        written = {i for _, i in captured.writes}
        self.fresh = [v for i, v in enumerate(g.outputs) if i not in written]
        self._plan()
        self.library = Library(self._module())
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self.function = kind(self.library.address("run"))
        self._bind()

    def _settle(self, r, state):
        """Where the new value of a state is computed."""
        array = self.state[state]
        if self._safe(r, state) and array.flags.c_contiguous:
            self.direct[r] = array
        else:
            self.copies.append((r, array))

    def _safe(self, r, state) -> bool:
        """No loop reads the old value after, or elsewhere than, its own element."""
        s = self.schedule
        kernel = s.kernel_of.get(r)
        if kernel is None or kernel.kind != "map" or r in self.direct:
            return False
        i = s.kernels.index(kernel)
        if any(state in k.reads for k in s.kernels[i + 1 :]):
            return False
        return all(s.accesses(o).get(state, True) for o in kernel.roots)

    def _bind(self):
        """Fill in all pointers that stay."""
        self.table = (ctypes.c_void_p * len(self.slots))()
        self.arena = np.zeros(self.arena_size + _ALIGN, np.uint8)
        base = self.arena.ctypes.data
        base += -base % _ALIGN
        self.consts = [np.ascontiguousarray(c.value) for c in self.const_slots]
        fixed = dict(zip(self.const_slots, self.consts, strict=True))
        fixed |= {v: x for v, x in self.state.items()} | self.direct
        for v, x in fixed.items():
            self.table[self.slots[v]] = x.ctypes.data
        for v, offset in {**self.offsets, "panel": self.panel_offset}.items():
            self.table[self.slots[v]] = base + offset
        root = self.schedule.root
        temporary = {r for r, _ in self.copies}
        self.temporary = {
            r: np.empty(r.spec.shape, r.spec.dtype) for r in temporary if r in self.slots
        }
        for r, x in self.temporary.items():
            self.table[self.slots[r]] = x.ctypes.data
        self.made = list(
            dict.fromkeys(
                root(v) for v in self.fresh if root(v) not in self.fixed_outputs()
            )
        )

    def fixed_outputs(self):
        """Outputs whose memory does not change from call to call."""
        return {*self.graph.inputs, *self.direct, *self.temporary}

    # ------------------------------------------------------------ memory

    def _plan(self):
        """Where each stored value lies: given, in an output, in another's place, or here."""
        s, g = self.schedule, self.graph
        self.const_slots = [c for c in g.consts if c in s.stored]
        made = [v for k in s.kernels for o in k.roots for v in o.outputs]
        last: dict = {}
        for i, k in enumerate(s.kernels):
            for v in k.reads:
                last[v] = i
            for o in k.roots:
                for v in o.outputs:
                    last.setdefault(v, i)
        outs = {s.root(v) for v in g.outputs}
        for v in (*g.inputs, *self.const_slots):
            self.slots[v] = len(self.slots)
        for v in made:
            self.slots.setdefault(v, len(self.slots))
        self.slots["panel"] = len(self.slots)
        self.offsets, free, top = {}, [], 0
        ends: dict = {}
        for i, k in enumerate(s.kernels):
            for size, offset in ends.pop(i, []):
                free.append((size, offset))
            for o in k.roots:
                for v in o.outputs:
                    if v in outs:
                        continue
                    n = math.prod(v.spec.shape) * v.spec.dtype.itemsize
                    n = max(_ALIGN, -(-n // _ALIGN) * _ALIGN)
                    fit = min((f for f in free if f[0] >= n), default=None)
                    if fit:
                        free.remove(fit)
                        size, offset = fit
                    else:
                        size, offset, top = n, top, top + n
                    self.offsets[v] = offset
                    ends.setdefault(last[v] + 1, []).append((size, offset))
        self.panel_offset = top
        self.arena_size = top + panel_bytes()

    # ------------------------------------------------------------ code

    def _module(self):
        m = ir.Module(f"adjoint{next(_names)}")
        table = ir.IntType(8).as_pointer().as_pointer()
        f = ir.Function(m, ir.FunctionType(ir.VoidType(), [table]), "run")
        f.attributes.add("nounwind")
        b = ir.IRBuilder(f.append_basic_block())
        pointers = {}
        for v, i in self.slots.items():
            p = b.load(b.gep(f.args[0], [I64(i)]))
            kind = ir.FloatType() if v == "panel" else stored_element(v.spec.dtype)
            pointers[v] = b.bitcast(p, kind.as_pointer())
        e = Emitter(b, self.schedule, pointers)
        for k in self.schedule.kernels:
            if k.kind == "contract":
                self._contract(m, e, k)
            elif k.kind == "call":
                self._call(m, e, k)
            else:
                e.kernel(k)
        b.ret_void()
        return m

    def _contract(self, m, e, k):
        (o,) = k.roots
        left, right, out = letters_of(o.params["spec"])
        x, y = (self.schedule.root(v) for v in o.inputs)
        shapes = [v.spec.shape for v in o.inputs]
        size = dict(zip(left + right, shapes[0] + shapes[1], strict=True))
        if out and out[-1] not in right:
            left, right, x, y = right, left, y, x
        steps = [_steps(s, size) for s in (left, right, out)]
        batch = [c for c in out if c in left and c in right]
        rows = [c for c in out if c in left and c not in right]
        columns = [c for c in out if c in right and c not in left]
        inner = [c for c in left if c not in out]
        alone = set(left) ^ set(right)
        if o.inputs[0].spec.dtype.str[1:] not in ("f4", "f8") or alone - set(out):
            self._call(m, e, k)
            return
        plan = (
            _joined(rows, steps[0], steps[2], size),
            _joined(columns, steps[1], steps[2], size),
            _joined(inner, steps[0], steps[1], size),
        )
        if None in plan:
            self._call(m, e, k)
            return
        (nm, am, cm), (nn, bn, cn), (nk, ak, bk) = plan
        if cn != 1 and nn != 1:
            self._call(m, e, k)
            return
        scalar = element(o.outputs[0].spec.dtype)
        name = f"product{next(_names)}"
        product = Product(m, name, scalar, (nm, nn, nk), (am, ak), (bk, bn), cm)
        panel = e.b.bitcast(e.pointers["panel"], scalar.as_pointer())

        def go(index):
            places = [e.pointers[x], e.pointers[y], e.pointers[o.outputs[0]]]
            for j, p in enumerate(places):
                for c, i in zip(batch, index, strict=True):
                    p = e.b.gep(p, [e.b.mul(e.number(i), I64(steps[j][c]))])
                places[j] = p
            e.b.call(product.function, [*places, panel])

        e._nest([size[c] for c in batch], (), go)

    def _call(self, m, e, k):
        """An operation without loops of its own: NumPy does it."""
        (o,) = k.roots
        views = [_view(v) for v in (*o.inputs, *o.outputs)]
        count = len(o.inputs)
        consts = {i: v.value for i, v in enumerate(o.inputs) if hasattr(v, "value")}

        def run(table):
            arrays = [
                consts[i] if i in consts else view(table[i]) for i, view in enumerate(views)
            ]
            ys = o.prim.eager(*arrays[:count], **o.params)
            for y, out in zip(ys if o.prim.outputs != 1 else (ys,), arrays[count:], strict=True):
                np.copyto(out, y)

        kind = ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_void_p))
        callback = kind(run)
        self.callbacks.append(callback)
        address = ctypes.cast(callback, ctypes.c_void_p).value
        b, pointer = e.b, ir.IntType(8).as_pointer()
        n = len(views)
        with b.goto_entry_block():
            table = b.alloca(pointer, n)
        for i, v in enumerate((*o.inputs, *o.outputs)):
            if i in consts:
                p = ir.Constant(pointer, None)
            else:
                p = b.bitcast(e.pointers[self.schedule.root(v)], pointer)
            b.store(p, b.gep(table, [I64(i)]))
        signature = ir.FunctionType(ir.VoidType(), [pointer.as_pointer()]).as_pointer()
        b.call(b.inttoptr(I64(address), signature), [table])

    # ------------------------------------------------------------ running

    def __call__(self, arguments, draws):
        """The outputs that are not new values of state, after the state was renewed."""
        table, slots = self.table, self.slots
        given, keep = {}, []
        for v, x in zip(
            (*self.arguments, *self.drawn), (*arguments, *draws), strict=True
        ):
            if not x.flags.c_contiguous:
                x = np.ascontiguousarray(x)
            keep.append(x)
            given[v] = x
            table[slots[v]] = x.ctypes.data
        made = {}
        for r in self.made:
            made[r] = x = np.empty(r.spec.shape, r.spec.dtype)
            table[slots[r]] = x.ctypes.data
        self.function(table)
        for r, array in self.copies:
            np.copyto(array, self._array(r, made, given))
        return [self._result(v, made, given) for v in self.fresh]

    def _array(self, r, made, given):
        """The array of a stored value."""
        for where in (made, self.temporary, self.direct, self.state, given):
            if r in where:
                return where[r]
        return r.value

    def _result(self, v, made, given):
        r = self.schedule.root(v)
        x = self._array(r, made, given)
        x = x if r in made else x.copy()
        return x if x.shape == v.spec.shape else x.reshape(v.spec.shape)


def _steps(letters, size) -> dict:
    out, step = {}, 1
    for c in reversed(letters):
        out[c] = step
        step *= size[c]
    return out


def _joined(letters, first, second, size):
    """Several letters as one dim: (size, step in the first, step in the second), or None."""
    if not letters:
        return 1, 0, 0
    n, *steps = size[letters[-1]], first[letters[-1]], second[letters[-1]]
    for c in reversed(letters[:-1]):
        if first[c] != steps[0] * n or second[c] != steps[1] * n:
            return None
        n *= size[c]
    return n, *steps


def _view(v):
    shape, dtype = v.spec.shape, v.spec.dtype
    size = math.prod(shape) * dtype.itemsize

    def view(address):
        raw = (ctypes.c_char * size).from_address(address)
        return np.frombuffer(raw, dtype).reshape(shape)

    return view
