"""A program as one native function over a table of pointers, and its way in from Python."""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
import time

import numpy as np
from llvmlite import ir

from ...autodiff.modes import inferring, recording
from ...core.bind import NUMPY, Box, changed, floor, moved
from ...ir.rewrite import expanded, separated
from ...ops.contract import _letters as letters_of
from ..binding import MISS, Binding
from ..schedule import Schedule
from . import entry
from .emit import I64, Emitter, element, stored_element
from .machine import Library
from .matmul import Product
from .plan import ALIGN, plan

_names = itertools.count()
POINTER = entry.POINTER
LONG = 50_000  # operations after which other threads of Python get their turn


class Native:
    """The machine code of a captured program, not yet bound to any state."""

    def __init__(self, captured):
        started = time.perf_counter()
        self.captured = captured
        self.graph = g = separated(expanded(captured.graph))
        self.schedule = s = Schedule(g)
        n = captured.arguments
        self.arguments = g.inputs[:n]
        self.states = g.inputs[n : n + len(captured.states)]
        self.extras = g.inputs[n + len(captured.states) :]
        self.drawn = self.extras[: len(captured.draws)]
        self.numbers = self.extras[len(captured.draws) :]
        roots = [s.root(v) for v in g.outputs]
        self.results = roots[: captured.count]
        placed = [x.output for x in captured.gradients if x.output is not None]
        self.gradients = [roots[i] for i in placed]
        self.specs = [g.outputs[i].spec for i in (*range(captured.count), *placed)]
        homes = dict.fromkeys((*self.results, *self.gradients))
        self.copies: list = []
        for state, v in zip(captured.states, self.states, strict=True):
            if state.written is None:
                continue
            r = roots[state.written]
            if r not in homes and _renewable(s, r, v):
                homes[r] = v
            else:
                self.copies.append((r, v))
        self.plan = plan(s, homes)
        self.callbacks: list = []
        self.errors: list = []
        self._emit()
        self.build_seconds = time.perf_counter() - started

    # ------------------------------------------------------------ code

    def _emit(self):
        m = ir.Module(f"adjoint{next(_names)}")
        table = ir.GlobalVariable(m, POINTER.as_pointer(), "table")
        table.initializer = ir.Constant(table.type.pointee, None)
        run = self._run(m)
        if entry.usable() and len(self.results) < 60:
            self._call_in(m, run, table)
        self.library = Library(m)
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
        self.function = kind(self.library.address("run"))

    def _run(self, m):
        f = ir.Function(
            m, ir.FunctionType(ir.VoidType(), [POINTER.as_pointer()]), "run"
        )
        f.attributes.add("nounwind")
        b = ir.IRBuilder(f.append_basic_block())
        p = self.plan
        self.at = {}
        for v in [*p.slots, "panel"]:
            raw = b.load(b.gep(f.args[0], [I64(p.slot(v))]))
            kind = ir.FloatType() if v == "panel" else stored_element(v.spec.dtype)
            self.at[v] = b.bitcast(raw, kind.as_pointer())
        e = Emitter(b, self.schedule, self.at)
        e.table = f.args[0]
        for k in self.schedule.kernels:
            if k.kind == "contract":
                self._contract(m, e, k)
            elif k.kind == "call":
                self._call(e, k)
            else:
                e.kernel(k)
        for r, v in self.copies:
            e.copy(r, v)
        e.b.ret_void()
        return f

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
            self._call(e, k)
            return
        joined = (
            _joined(rows, steps[0], steps[2], size),
            _joined(columns, steps[1], steps[2], size),
            _joined(inner, steps[0], steps[1], size),
        )
        if None in joined:
            self._call(e, k)
            return
        (nm, am, cm), (nn, bn, cn), (nk, ak, bk) = joined
        if cn != 1 and nn != 1:
            self._call(e, k)
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

    def _call(self, e, k):
        """An operation without loops of its own: NumPy does it."""
        (o,) = k.roots
        values = [*o.inputs, *o.outputs]
        callback = _callback(o, self.errors)
        key = "callback", len(self.callbacks)
        self.callbacks.append(callback)
        b = e.b
        with b.goto_entry_block():
            table = b.alloca(POINTER, len(values))
        for i, v in enumerate(values):
            known = hasattr(v, "value")
            p = (
                POINTER(None)
                if known
                else b.bitcast(e.pointers[self.schedule.root(v)], POINTER)
            )
            b.store(p, b.gep(table, [I64(i)]))
        kind = ir.FunctionType(ir.VoidType(), [POINTER.as_pointer()]).as_pointer()
        f = b.load(b.gep(e.table, [I64(self.plan.slot(key))]))
        b.call(b.bitcast(f, kind), [table])

    def _call_in(self, m, run, table):
        """The function that Python calls."""
        c, p = self.captured, self.plan
        e = entry.Entry(m, run, table, p, self.schedule.work() > LONG)
        for key, wanted in (
            ("floor", NUMPY),
            ("recording", True),
            ("inferring", False),
        ):
            e.context(("context", key), ("constant", wanted))
        e.number("moved", "moved before")
        e.number("changed", "changed before")
        e.number("busy", "zero")
        places = e.arguments(c.arguments)
        for x, v in zip(places, self.arguments, strict=True):
            e.memory_of(x, v.spec, p.slot(v), ("type", Box.face))
        for i, (state, v) in enumerate(zip(c.states, self.states, strict=True)):
            if state.owner is not None:
                g = e.attribute(e.slot(("owner", i)), "_grad")
                e.drop(g)
                e.memory_of(g, v.spec, p.slot(v), ("type", Box.face))
        for i in range(len(self.gradients)):
            g = e.attribute(e.slot(("leaf", i)), "_grad")
            e.drop(g)
            e.need(e.same(g, e.slot(("gradient", i))))
            e.unshared(g, 2)
            e.unshared(e.slot(("memory", i)), 1)
        for i, (_, seen) in enumerate(c.options):
            for name in seen:
                found = e.item(("group", i), name)
                e.need(e.same(found, e.slot(("option", i, name))))
        for i, (v, (_, name)) in enumerate(zip(self.numbers, c.numbers, strict=True)):
            e.real(e.item(("numbered", i), name), ("number", i), p.slot(v))
        for i, v in enumerate(self.drawn):
            e.fresh(("draw", i), p.slot(v))
        arrays = [e.fresh(("maker", i), p.slot(v)) for i, v in enumerate(self.results)]
        e.go()
        e.finish("wrap", arrays)


def _renewable(s, r, state) -> bool:
    """Whether a state's new value can be computed in its memory.

    No loop may read the old value after, or elsewhere than, its own element.
    """
    kernel = s.kernel_of.get(r)
    if kernel is None or kernel.kind != "map":
        return False
    if any(state in k.reads for k in s.kernels[s.number[kernel] + 1 :]):
        return False
    return all(s.accesses(o).get(state, True) for o in kernel.roots)


def _callback(o, errors):
    """The C function that runs one operation with NumPy on memory it is given."""
    views = [_view(v) for v in (*o.inputs, *o.outputs)]
    count = len(o.inputs)
    consts = {i: v.value for i, v in enumerate(o.inputs) if hasattr(v, "value")}

    def run(table):
        if errors:
            return
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
        except (
            BaseException
        ) as error:  # it is raised again where the program was called
            errors.append(error)

    return ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_void_p))(run)


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
        raw = (ctypes.c_char * size).from_address(address or 0)
        return np.frombuffer(raw, dtype).reshape(shape)

    return view if size else lambda _: np.empty(shape, dtype)


class Bound(Binding):
    """Machine code with the state it works on: what a call runs."""

    def __init__(self, native: Native, captured, wrap):
        self.native, self.wrap = native, wrap
        p = native.plan
        self.table = (ctypes.c_void_p * (len(p.slots) + 1))()
        self.arena = np.zeros(p.bytes + ALIGN, np.uint8)
        base = self.arena.ctypes.data
        base += -base % ALIGN
        self.kept: list = []
        for v, offset in {**p.offsets, "panel": p.panel}.items():
            self._point(v, base + offset)
        for c in native.schedule.constants:
            self._array(c, np.ascontiguousarray(c.value))
        for i, f in enumerate(native.callbacks):
            self._point(("callback", i), ctypes.cast(f, ctypes.c_void_p).value)
        self.busy, self.zero = ctypes.c_int64(0), ctypes.c_int64(0)
        self.call = None
        self.gradients: list = [None] * len(native.gradients)
        super().__init__(captured)
        if "call" in native.library.names:
            self._open()

    def _point(self, key, address):
        slot = self.native.plan.slots.get(key)
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
        for key, var in (
            ("floor", floor),
            ("recording", recording),
            ("inferring", inferring),
        ):
            self._object(("context", key), var)
        for x in (NUMPY, True, False, None):
            self._object(("constant", x), x)
        for name in ("plain", "node", "value", "_grad"):
            self._object(("name", name), name)
        self._object(("type", Box.face), Box.face)
        self._object(("type", np.ndarray), np.ndarray)
        for v in n.graph.inputs:
            self._object(("dtype", v.spec.dtype), v.spec.dtype)
        for i, spec in enumerate(n.specs):
            self._object(("maker", i), functools.partial(np.empty, *spec))
        for i, (generator, blocks) in enumerate(c.draws):
            self._object(("draw", i), functools.partial(generator.take, blocks))
        for i, s in enumerate(c.states):
            if s.owner is not None:
                self._object(("owner", i), s.owner)
        for i, (group, seen) in enumerate(c.options):
            self._object(("group", i), group)
            for name, x in seen.items():
                self._object(("option", i, name), x)
                self._object(("name", name), name)
        self.reals = np.zeros(len(c.numbers))
        for i, (group, name) in enumerate(c.numbers):
            self._object(("numbered", i), group)
            self._object(("name", name), name)
            self._point(("number", i), self.reals.ctypes.data + 8 * i)
        self._object(("type", float), float)
        self.targets = [g.tensor for g in c.gradients if g.output is not None]
        for i, x in enumerate(self.targets):
            self._object(("leaf", i), x)
        self._object("wrap", self.wrap)
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
        self.call, self.method = entry.python_function(n.library.address("call"))

    def point_to_states(self) -> None:
        super().point_to_states()
        for v, x in zip(self.native.states, self.arrays, strict=True):
            if x is not None:
                self._point(v, x.ctypes.data)

    # ------------------------------------------------------------ the slow way

    def __call__(self, arrays, extras):
        """(arrays of the results, of the gradients) from those of arguments and other inputs."""
        n, c = self.native, self.captured
        keep, back = [], []
        given = dict(zip(n.arguments, arrays, strict=True))
        given |= dict(zip(n.extras, extras, strict=True))
        given |= dict(zip(n.states, self.memory(), strict=True))
        for v, x in given.items():
            y = (
                x
                if x.flags.carray or (x.flags.c_contiguous and x.flags.aligned)
                else None
            )
            if y is None:
                y = np.array(x, order="C")
                back.append((x, y, v))
            keep.append(y)
            self._point(v, y.ctypes.data)
        made = [np.empty(*spec) for spec in n.specs]
        for v, x in zip((*n.results, *n.gradients), made, strict=True):
            self._point(v, x.ctypes.data)
        while self.busy.value:
            time.sleep(1e-4)
        self.busy.value = 1
        try:
            n.function(self.table)
        finally:
            self.busy.value = 0
        self._raise()
        written = {
            v for s, v in zip(c.states, n.states, strict=True) if s.written is not None
        }
        for x, y, v in back:
            if v in written:
                np.copyto(x, y)
        return made[: c.count], made[c.count :]

    def _raise(self):
        if self.native.errors:
            error = self.native.errors.pop()
            self.native.errors.clear()
            raise error

    def give(self, gradients) -> None:
        """These tensors are the gradients now; their memory is used again if no one else has it."""
        self.gradients = list(gradients)
        for i, g in enumerate(self.gradients):
            self._point(("gradient", i), id(g))
            self._point(("memory", i), id(g.value))
            self._point(self.native.gradients[i], g.value.ctypes.data)


__all__ = ["Bound", "Native"]
