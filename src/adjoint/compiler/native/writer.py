"""Writer: the kernels of a part, one after the other, for one thread or in chunks for many."""

from __future__ import annotations

import ctypes
import itertools
import math

import numpy as np

from . import llvm_ir as ir
from .chained import Chained, in_room
from .elements import BYTE, I64, element, stored_element
from .emit import Emitter
from .failing import CALLBACK, FAILED
from .late import contractions, conv, deep, products, slices, sorting
from .likeness import likeness
from .polling import ask, locked
from .sharing import CHUNKS, PARALLEL, Sum, elements_apart
from .vectors import loop

POINTER = BYTE.as_pointer()
DONE = 0x600D  # what a callback answers; of one that Python cut short, it is anything
MANY = 40  # kernels from which on each is a function


class Writer(Chained):
    """Writes parts at a builder's place; `table` holds what is only known at run time."""

    def __init__(self, builder, table, slot, arena, panel):
        self.b, self.table, self.slot = builder, table, slot
        self.arena, self.panel = arena, panel
        self.apart: dict[str, ir.Function] = {}  # by their text
        self.alike: dict = {}  # by what they compute
        self.names = itertools.count()
        self.clock = None  # where the time at which each kernel starts is written
        self.called: list = []  # operations that NumPy does
        self.stopped = None  # where the program ends when it has failed

    def elsewhere(self, builder, arena, panel) -> Writer:
        """The same in another function, with memory of its own."""
        w = Writer(builder, None, self.slot, arena, panel)
        for name in ("apart", "alike", "names", "called"):
            setattr(w, name, getattr(self, name))
        return w

    def part(self, part, given: dict, base: int) -> None:
        """All of a part; `given` are the pointers of inputs, outputs and constants."""
        at = dict(given)
        for v, home in part.homes.items():
            if home is not None:
                at[v] = at[home]
        for v in part.offsets:
            known = v.o.outputs[0] if isinstance(v, Sum) else v
            if hasattr(known, "spec"):
                at[v] = self.typed(self.inside(base + part.place(v)), known)
        e = Emitter(self.b, part.schedule, at)
        e.streamed = part.streamed
        e.renewed = part.renewed
        clock, self.clock = self.clock, None  # parts inside are not told apart
        for i, k in enumerate(part.schedule.kernels):
            self._tell(clock, i)
            if k in part.chains:
                self._chain(e, k, part, base)
                continue
            getattr(self, f"_{k.kind}", self._plain)(e, k, part, base)
            self._stop_if_failed(e)
        self._tell(clock, len(part.schedule.kernels))
        for r, v in part.copies:
            e.copy(r, v)

    def _stop_if_failed(self, e):
        """What comes after a position outside is not run: state stays as it was."""
        if not e.checks:
            return
        e.checks, b = False, self.b
        words = b.module.globals[FAILED]
        self._go_on(
            b.icmp_unsigned("==", b.load(b.gep(words, [I64(0), I64(0)])), I64(0))
        )

    def _go_on(self, well):
        b = self.b
        if self.stopped is None:
            self.stopped = b.function.append_basic_block("stopped")
            ir.IRBuilder(self.stopped).ret_void()
        go = b.append_basic_block("go")
        b.cbranch(well, go, self.stopped).set_weights([1000, 1])
        b.position_at_end(go)

    def _tell(self, clock, i):
        if clock is not None:
            name = "llvm.readcyclecounter"
            f = self.b.module.globals.get(name)
            f = f or ir.Function(self.b.module, ir.FunctionType(I64, []), name)
            self.b.store(self.b.call(f, []), self.b.gep(clock, [I64(i)]))

    def inside(self, offset: int):
        """A place in the arena."""
        return self.b.gep(self.arena, [I64(offset)])

    def typed(self, pointer, v):
        """A pointer to elements of this value."""
        return self.b.bitcast(pointer, stored_element(v.spec.dtype).as_pointer())

    def _plain(self, e, k, part, base):
        """A kernel of loops, stage by stage."""
        chunks = part.shares.get(k, 1)
        for i, stage in enumerate(e.stages(k, chunks)):
            self._stage(e, k, stage, part, base, (i, chunks))

    def _stage(self, e, k, stage, part, base, number):
        if stage.chunks > 1:
            self._shared(e, k, stage, part, base, number)
        elif len(part.schedule.kernels) < MANY or base:
            self._write(e, k, stage)
        else:
            self._apart(e, k, stage, number)

    def _write(self, e, k, stage):
        e.begin(k)
        stage.write(e, None)

    def _apart(self, e, k, stage, number):
        """A stage as a function of its pointers.

        LLVM is slow on one long function, and the layers of a network are the same code.
        """
        key, values, pointers = _pointers(e, k)
        f = self.alike.get((key, number))
        if f is None or key is None:
            f, b = self._function([p.type for p in pointers])
            given = dict(zip(pointers, f.args, strict=True))
            inner = e.elsewhere(b, {v: given[e.pointers[v]] for v in values})
            self._write(inner, k, stage)
            e.checks = e.checks or inner.checks
            b.ret_void()
            f = self.alike[key, number] = self._once(f)
        places = zip(pointers, f.args, strict=True)  # numbers without a sign read alike
        self.b.call(f, [self.b.bitcast(p, a.type) for p, a in places])

    def _shared(self, e, k, stage, part, base, number):
        """A stage as a function of a range of chunks, which threads run."""
        local = (v for v in k.made if v in part.schedule.local)
        own = {v: (part.offsets[v], 0) for v in local}
        f, pointers = self._chunks_of(e, k, stage, number, own)
        room = self.inside(base + part.offsets[k])
        self.share(f, pointers, stage.chunks, room, part.rooms.get(k, 0))

    def _chunks_of(self, e, k, stage, number, own):
        """(function of a range of a stage's chunks, the pointers that it works on).

        `own` says where in the room values lie, and how many bytes of them a chunk has, if that
        is all there is room for.
        """
        key, values, pointers = _pointers(e, k, own)
        number = *number, *own.values()
        f = self.alike.get((key, number))
        if f is None or key is None:
            f = self._in_chunks(e, k, stage, values, pointers, own)
            f = self.alike[key, number] = self._once(f)
        return f, pointers

    def _in_chunks(self, e, k, stage, values, pointers, own):
        f, b, given, (first, last, room) = self._job(pointers)
        at = {v: given[e.pointers[v]] for v in values}
        for v, place in own.items():
            at[v] = b.bitcast(in_room(b, room, place, first), e.pointers[v].type)
        inner = e.elsewhere(b, at)
        inner.begin(k)
        with loop(b, first, last, 1) as chunk:
            stage.write(inner, chunk)
        e.checks = e.checks or inner.checks
        if e.streamed.intersection(k.made):
            b.fence("seq_cst")
        b.ret_void()
        return f

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
        kind = ir.FunctionType(ir.VoidType(), kinds)
        f = ir.Function(self.b.module, kind, f"kernel{next(self.names)}")
        f.linkage = "internal"
        f.mark("nounwind", "noinline")
        return f, ir.IRBuilder(f.append_basic_block())

    def _once(self, f):
        """The function; or, of those that read alike, the first."""
        text = f.done()
        same = self.apart.setdefault(text.replace(f.name, "kernel", 1), f)
        if same is not f:
            del self.b.module.globals[f.name]
        return same

    # ------------------------------------------------------------ kernels together

    def _together(self, e, k, part, base):
        """Kernels slice by slice, each slice by one thread."""
        own = {v: part.offsets[v] for v in k.made if v in part.schedule.local}
        key, values, pointers = _pointers(e, k, own)
        chunks = min(part.shares.get(k, 1), k.tasks)
        number = chunks, part.rooms[k], *own.values()
        f = self.alike.get((key, number))
        if f is None or key is None:
            f = self._of_slices(e, k, values, pointers, own, chunks)
            f = self.alike[key, number] = self._once(f)
        room = self.inside(base + part.offsets[k])
        if chunks > 1:
            self.share(f, pointers, chunks, room, part.rooms[k])
        else:
            self.b.call(f, [self._context(pointers), I64(0), I64(1), room])

    def _of_slices(self, e, k, values, pointers, own, chunks):
        f, b, given, (first, last, room) = self._job(pointers)
        at = {v: given[e.pointers[v]] for v in values}
        for v, offset in own.items():
            at[v] = b.bitcast(b.gep(room, [I64(offset)]), e.pointers[v].type)
        ends = [b.udiv(b.mul(i, I64(k.tasks)), I64(chunks)) for i in (first, last)]
        slices.Slices(e.elsewhere(b, at), k, room).tasks(*ends)
        if e.streamed.intersection(k.made):
            b.fence("seq_cst")
        b.ret_void()
        return f

    # ------------------------------------------------------------ products

    def _contract(self, e, k, part, base):
        (o,) = k.roots
        s = part.schedule
        found = contractions.form_of(o, steps=s.steps)
        if found is None:
            self._call(e, k, part, base)
            return
        form, swap = found
        if not form.tasks:
            return
        scalar = element(o.outputs[0].spec.dtype)
        product = products.Product(self.b.module, scalar, form)
        x, y = (e.pointers[s.root(v)] for v in o.inputs)
        offsets = [s.views[v].offset if v in s.views else 0 for v in o.inputs]
        x, y = (
            self.b.gep(p, [I64(n)]) if n else p
            for p, n in zip((x, y), offsets, strict=True)
        )
        x, y = (y, x) if swap else (x, y)
        places = x, y, e.pointers[o.outputs[0]]
        if k in part.deep:
            self._deep(e, k, part, base, places)
            return
        chunks, room = min(part.shares.get(k, 1), form.tasks), (self.panel, form.bytes)
        if chunks > 1:
            self._tasks(product.call, form.tasks, places, chunks, room)
        else:
            product.whole(self.b, places, self.panel)

    def _order(self, e, k, part, base):
        (o,) = k.roots
        form = sorting.order_of(o)
        if not form.rows * form.made:
            return
        call = sorting.Sorting(self.b.module, form).call
        values = zip((*o.inputs, *o.outputs), call.args, strict=False)
        places = [
            self.b.bitcast(e.pointers[part.schedule.root(v)], a.type) for v, a in values
        ]
        room = self.inside(base + part.offsets[k]), form.bytes
        chunks = min(part.shares.get(k, 1), form.rows)
        self._tasks(call, form.rows, places, chunks, room)

    def _tasks(self, call, tasks, places, chunks, room):
        """call(places, room, first task, the one after the last) for all, perhaps by threads.

        Each thread has a room of its own.
        """
        (room, size), kind = room, call.args[len(places)].type
        if chunks <= 1:
            room = self.b.bitcast(room, kind)
            self.b.call(call, [*places, room, I64(0), I64(tasks)])
            return
        pointers = list(dict.fromkeys(places))
        f, b, given, (first, last, own) = self._job(pointers)
        ends = (b.udiv(b.mul(i, I64(tasks)), I64(chunks)) for i in (first, last))
        b.call(call, [*(given[p] for p in places), b.bitcast(own, kind), *ends])
        b.ret_void()
        self.share(self._once(f), pointers, chunks, room, size)

    def _deep(self, e, k, part, base, places):
        """A product cut along its sum: parts of it by threads, then joined unless one did all."""
        own, code = e.pointers[Sum(k.roots[0])], deep.Parts(self.b.module, part.deep[k])
        done = self.inside(base + part.offsets[k, "done"])
        done = self.b.bitcast(done, I64.as_pointer())
        self.b.store(I64(0), done)
        pointers = list(dict.fromkeys([*places, own, done]))
        f, b, given, (*ends, room) = self._job(pointers)
        room = b.bitcast(room, own.type)
        code.some(b, [*(given[p] for p in places), room], given[own], given[done], ends)
        b.ret_void()
        self.share(self._once(f), pointers, code.cut.chunks, self.panel, code.cut.bytes)
        with self.b.if_then(self.b.icmp_unsigned("==", self.b.load(done), I64(0))):
            pointers = [own, places[2]]
            f, b, given, (*ends, _) = self._job(pointers)
            code.join(b, *(given[p] for p in pointers), ends)
            b.ret_void()
            self.share(self._once(f), pointers, code.joints, self.panel, 0)

    def _conv(self, e, k, part, base):
        (o,) = k.roots
        scalar, made = element(o.outputs[0].spec.dtype), conv.kernel(o)
        f = made.build(self.b.module, scalar, f"convolution{next(self.names)}")
        room = self.inside(base + part.offsets[k])
        places = [e.pointers[part.schedule.root(v)] for v in (*o.inputs, *o.outputs)]
        n = made.shape.n
        some = conv.images(o, made, part.shares.get(k, 1))
        if some < n:
            job = self._images(f, places, (some, n), o, e.pointers.get(Sum(o)))
            self.share(*job, -(-n // some), room, made.bytes)
            self._joined(e, k, o, -(-n // some), part, base)
            return
        room = self.b.bitcast(room, scalar.as_pointer())
        self.b.call(f, [*places, room, I64(0), I64(n)])

    def _images(self, f, places, sizes, o, own):
        """(job, pointers): a convolution's images by threads, `some` a chunk.

        What is summed over images each chunk sums in its own place.
        """
        (some, n), size = sizes, elements_apart(o)
        pointers = list(dict.fromkeys([*places[:2], own or places[2]]))
        job, b, given, (first, last, room) = self._job(pointers)
        room = b.bitcast(room, places[0].type)

        def images(start, stop, to):
            start, stop = b.mul(start, I64(some)), b.mul(stop, I64(some))
            stop = b.select(b.icmp_signed("<", stop, I64(n)), stop, I64(n))
            b.call(f, [*(given[p] for p in places[:2]), to, room, start, stop])

        if own is None:
            images(first, last, given[places[2]])
        else:
            with loop(b, first, last, 1) as chunk:
                to = b.gep(given[own], [b.mul(chunk, I64(size))])
                images(chunk, b.add(chunk, I64(1)), to)
        b.ret_void()
        return self._once(job), pointers

    def _joined(self, e, k, o, chunks, part, base):
        """The sums of chunks become the result."""
        if Sum(o) in e.pointers:
            for i, stage in enumerate(e.closing(o, chunks, chunks)):
                self._stage(e, k, stage, part, base, (i, chunks))

    # ------------------------------------------------------------ operations of NumPy

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
        failed = b.gep(b.module.globals[FAILED], [I64(0), I64(0)])
        with locked(b):
            ask(
                b
            )  # else a signal's handler would run before the callback can see to it
            with b.if_then(b.icmp_unsigned("==", b.load(failed), I64(0))):
                done = b.call(b.bitcast(f, kind), [table])
                well = b.icmp_unsigned("==", done, I64(DONE))
                b.store(b.select(well, I64(0), I64(CALLBACK)), failed)
        self._go_on(b.icmp_unsigned("==", b.load(failed), I64(0)))


def _pointers(e, k, without=()):
    """(what makes a kernel the same code, the values that it meets, their pointers)."""
    key, values = likeness(e, k)
    values = [v for v in values if v not in without]
    return key, values, list(dict.fromkeys(e.pointers[v] for v in values))


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
