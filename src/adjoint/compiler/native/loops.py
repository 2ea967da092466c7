"""Loops and branches around parts; of loops over independent rows, threads take some each."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ...ir.graph import Operation
from .arithmetic.kinds import element
from .kernels.storage import Flat
from .late import lots, vectors
from .llvm.flow import loop
from .llvm.types import BYTE, I64
from .polling import Polling, polled
from .sharing import apart


class Around(NamedTuple):
    """What a loop or branch has around its parts: pointers of what it is given and makes, and of
    constants, and where in the arena each part begins.
    """

    e: Any  # the emitter
    o: Operation
    ins: list
    outs: list
    parts: dict
    bases: dict
    constants: dict


class Loops(Polling):
    """What a writer does with parts inside of parts."""

    def _loop(self, e, k, part, base):
        (o,) = k.roots
        ins = [e.pointers[part.schedule.root(v)] for v in o.inputs]
        outs = [e.pointers[v] for v in o.outputs]
        parts = part.inner[k]
        if k in part.lots:
            self._in_lots(e, k, ins, outs, part, base)
            return
        bases = {name: base + part.offsets[p] for name, p in parts.items()}
        constants = {c: e.pointers[c] for p in parts.values() for c in p.constants()}
        write = {
            "scan": self._scan,
            "branch": self._branch,
            "repeat_while": self._while,
        }
        write[o.prim.name](Around(e, o, ins, outs, parts, bases, constants))

    def _inner(self, around, name, ins, made=()):
        """A part, given these pointers of its inputs, and (value, pointer) of what it makes."""
        part = around.parts[name]
        given = dict(zip(part.graph.inputs, ins, strict=True))
        self.part(part, around.constants | given | dict(made), around.bases[name])

    def _begin(self, around):
        """The carries lie where the results will: there they start."""
        e, o = around.e, around.o
        for i in range(o.params["carries"]):
            first = e.pointers[e.schedule.root(o.inputs[i])]
            e.move(first, around.outs[i], o.outputs[i])

    def _scan(self, around):
        self._begin(around)
        e, o, outs = around.e, around.o, around.outs
        near = [self._near(e, p, v) for p, v in zip(outs, o.outputs, strict=True)]
        near[o.params["carries"] :] = outs[o.params["carries"] :]
        self._steps(around._replace(outs=near))
        for p, q, v in zip(near, outs, o.outputs, strict=True):
            if p is not q:
                e.move(p, q, v)

    def _near(self, e, pointer, v):
        """Where a carry is meanwhile: of one number, a place that can be a register."""
        if v.spec.size != 1 or v.spec.dtype.kind == "c":
            return pointer
        with self.b.goto_entry_block():
            place = self.b.alloca(pointer.type.pointee)
        e.move(pointer, place, v)
        return place

    def _steps(self, around, near=frozenset(), share=1):
        """Step by step; the body may be that for some of the rows, which lie together.

        Of what is `near` the steps of these rows lie one after the other.
        """
        e, o, ins, outs = around[:4]
        p, whole, body = o.params, o.params["body"], around.parts["body"]
        k, m, n = p["carries"], p["mapped"], p["length"]
        if not n:
            return

        def rows(pointers, values, side):
            """Where the rows of step t begin: `side` are inputs or outputs of the body."""
            bodies = (getattr(g, side)[k:] for g in (whole, body.graph))
            steps = zip(pointers, values[k:], *bodies, strict=False)
            return [self._row(x, u if w in near else v, t) for x, w, v, u in steps]

        with e.loop(0, n) as i:
            t = e.at[i.mark]
            t = self.b.sub(I64(n - 1), t) if p["reverse"] else t
            mapped = rows(ins[k : k + m], o.inputs, "inputs")
            made = rows(outs[k:], o.outputs, "outputs")
            given = [*outs[:k], *mapped, *ins[k + m :]]
            made = zip(body.outputs[k:], made, strict=True)
            self._inner(around, "body", given, made)
            self.poll(o, share)

    def _row(self, pointer, v, t):
        words = math.prod(v.spec.shape) * (2 if v.spec.dtype.kind == "c" else 1)
        return self.b.gep(pointer, [self.b.mul(t, I64(words))])

    def _branch(self, around):
        o, (flag, *ins) = around.o, around.ins
        n, m = o.params["operands"], o.params["split"]
        pred = self.b.icmp_unsigned("!=", self.b.load(flag), BYTE(0))
        own = {"yes": ins[n : n + m], "no": ins[n + m :]}
        with self.b.if_else(pred) as ways:
            for way, (name, rest) in zip(ways, own.items(), strict=True):
                with way:
                    made = zip(around.parts[name].outputs, around.outs, strict=True)
                    self._inner(around, name, [*ins[:n], *rest], made)

    def _while(self, around):
        o, ins, outs, b = around.o, around.ins, around.outs, self.b
        k, m = o.params["carries"], o.params["split"]
        self._begin(around)
        head, go, done = (b.append_basic_block(x) for x in ("while", "go", "done"))
        b.branch(head)
        b.position_at_end(head)
        self._inner(around, "test", [*outs, *ins[k : k + m]])
        test = around.parts["test"]
        flag = self.inside(around.bases["test"] + test.offsets[test.outputs[0]])
        b.cbranch(b.icmp_unsigned("!=", b.load(flag), BYTE(0)), go, done)
        b.position_at_end(go)
        self._inner(around, "body", [*outs, *ins[k + m :]])
        self.poll(o)
        b.branch(head)
        b.position_at_end(done)

    # ------------------------------------------------------------ rows in lots

    def _in_lots(self, e, k, ins, outs, part, base):
        """A loop whose rows threads share: each takes all steps for some of them."""
        (o,), body = k.roots, part.inner[k]["body"]
        lot = _Lot(o, part.lots[k], body, part.by_lots)
        own = {
            i: self.typed(self.inside(base + part.offsets[k, i]), v)
            for i, v in lot.sums()
        }
        constants = {c: e.pointers[c] for c in body.constants()}
        places = *ins, *outs, *own.values(), *constants.values()
        pointers = list(dict.fromkeys(places))
        f, b, given, (first, last, room, _) = self._job(pointers)
        inner = self.elsewhere(b, room, b.gep(room, [I64(body.whole)]))
        with loop(b, first, last, 1) as number:
            results = [given[own.get(i, p)] for i, p in enumerate(outs)]
            here = e.elsewhere(b, {})
            starts = lot.places([given[p] for p in ins], results, b, number)
            inner._all_steps(
                here, lot, *starts, {c: given[p] for c, p in constants.items()}
            )
        b.ret_void()
        room = self.inside(base + part.offsets[k])
        self.share(self._once(f), pointers, lot.count, room, part.rooms[k])
        if body.safe or polled(o):  # what follows is not run after a failure
            e.checks = True
            self._stop_if_failed(e)
        for i, v in lot.sums():
            e.move(ins[i], outs[i], v)
            self._add_up(e, v, own[i], lot)

    def _all_steps(self, e, lot, ins, outs, constants):
        """All steps for one lot."""
        for i, v in enumerate(lot.body.graph.inputs[: lot.o.params["carries"]]):
            if lot.outputs[i] == lots.SUMMED:
                clear = vectors.Vectors(self.b.module, element(v.spec.dtype)).clear
                clear(self.b, outs[i], v.spec.size)
            else:
                e.move(ins[i], outs[i], v)
        parts, bases = {"body": lot.body}, {"body": 0}
        around = Around(e, lot.o, ins, outs, parts, bases, constants)
        self._steps(around, lot.near, lot.count)

    def _add_up(self, e, v, own, lot):
        """What lots summed up, in order, is added to what there was."""

        def go(index):
            (i,) = index
            x = e.load(Flat(v), index)
            for n in range(lot.count):
                p = e.b.gep(own, [e.b.add(e.number(i), I64(n * lot.step(v)))])
                y = e.load_from(p, i.terms.get(e.inner, 0), v.spec.dtype)
                x = e.lanes.add(x, y)
            e.store(x, Flat(v), index)

        e.over((v.spec.size,), go)


class _Lot:
    """Where the rows of one lot are in what a loop is given and gives."""

    def __init__(self, o, lots, body, near):
        self.o, self.body, self.count, self.near = o, body, lots.count, near
        self.inputs, self.outputs = lots.inputs, lots.outputs
        self.sizes = [
            [v.spec.size for v in vs] for vs in (lots.body.inputs, lots.body.outputs)
        ]

    def sums(self):
        """(number, result) of what lots sum up."""
        results = zip(self.o.outputs, self.outputs, strict=True)
        return [(i, v) for i, (v, d) in enumerate(results) if d == lots.SUMMED]

    def step(self, v) -> int:
        """Elements from a lot's sum to the next one's."""
        return apart(v.spec.bytes) // v.spec.dtype.itemsize

    def places(self, ins, outs, b, number):
        """The same pointers, for the lot of this number."""
        dims = self.inputs, self.outputs
        sizes = [
            [n if isinstance(d, int) else 0 for n, d in zip(*pair, strict=True)]
            for pair in zip(self.sizes, dims, strict=True)
        ]
        for i, v in self.sums():
            sizes[1][i] = self.step(v)
        for ns, values in zip(sizes, (self.o.inputs, self.o.outputs), strict=True):
            for i, v in enumerate(values):
                ns[i] *= self.o.params["length"] if v in self.near else 1
        return [
            [
                b.gep(p, [b.mul(number, I64(n))]) if n else p
                for p, n in zip(ps, ns, strict=True)
            ]
            for ps, ns in zip((ins, outs), sizes, strict=True)
        ]
