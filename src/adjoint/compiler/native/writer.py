"""Writer: the kernels of a part, one after the other, for one thread or in chunks for many."""

from __future__ import annotations

from .callbacks import Callbacks
from .calling import Calling
from .chained import Chained, in_room
from .kernels.emit import Emitter
from .kernels.failing import word
from .late import slices
from .likeness import likeness
from .llvm.flow import loop
from .llvm.types import I64
from .sharing import Sum

MANY = 40  # kernels from which on each is a function


class Writer(Chained, Calling, Callbacks):
    """Writes parts: the kernels that are loops here, the others as its ancestors do."""

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
        self._go_on(b.icmp_unsigned("==", b.load(word(b)), I64(0)))

    def _tell(self, clock, i):
        if clock is not None:
            f = self.b.module.declared("llvm.readcyclecounter", I64, [])
            self.b.store(self.b.call(f, []), self.b.gep(clock, [I64(i)]))

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
        f, b, given, (first, last, room, _) = self._job(pointers)
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

    # ------------------------------------------------------------ kernels together

    def _together(self, e, k, part, base):
        """Kernels slice by slice, each slice by one thread."""
        own = {v: part.offsets[v] for v in k.made if v in part.schedule.local}
        key, values, pointers = _pointers(e, k, own)
        chunks = part.shares.get(k, 1)
        number = chunks, k.parts, part.rooms[k], *own.values()
        f = self.alike.get((key, number))
        if f is None or key is None:
            f = self._of_slices(e, k, values, pointers, own, chunks)
            f = self.alike[key, number] = self._once(f)
        room = self.inside(base + part.offsets[k])
        if chunks == 1:
            all_ = self._context(pointers), I64(0), I64(1), room, I64(0)
            self.b.call(f, all_)
        else:
            self.share(f, pointers, chunks, room, part.rooms[k])
        for o, n in k.reduced():
            for stage in e.closing(o, k.parts or 1, n):
                self._stage(e, k, stage, part, base, ("sum", k.roots.index(o)))

    def _of_slices(self, e, k, values, pointers, own, chunks):
        f, b, given, (first, last, room, done) = self._job(pointers)
        at = {v: given[e.pointers[v]] for v in values}
        for v, offset in own.items():
            at[v] = b.bitcast(b.gep(room, [I64(offset)]), e.pointers[v].type)
        ends = [b.udiv(b.mul(i, I64(k.tasks)), I64(chunks)) for i in (first, last)]
        slices.Slices(e.elsewhere(b, at), k, room).tasks(*ends, done)
        if e.streamed.intersection(k.made):
            b.fence("seq_cst")
        b.ret_void()
        return f


def _pointers(e, k, without=()):
    """(what makes a kernel the same code, the values that it meets, their pointers)."""
    key, values = likeness(e, k)
    values = [v for v in values if v not in without]
    return key, values, list(dict.fromkeys(e.pointers[v] for v in values))
