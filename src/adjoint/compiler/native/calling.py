"""Kernels with code of their own, called: products, convolutions, what sorts rows."""

from __future__ import annotations

from .arithmetic.kinds import element
from .jobs import Jobs
from .late import contractions, conv, deep, products, sorting
from .llvm.flow import least, loop
from .llvm.types import I64
from .sharing import Sum, elements_apart


class Calling(Jobs):
    """What a writer does with kernels that are not loops over their space."""

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
        x, y = (self._begin_of(e, s, v) for v in o.inputs)
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

    def _begin_of(self, e, s, v):
        """Where an operand begins, which may be a part of another value."""
        p, n = e.pointers[s.root(v)], s.views[v].offset if v in s.views else 0
        return self.b.gep(p, [I64(n)]) if n else p

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

    def _deep(self, e, k, part, base, places):
        """A product cut along its sum: parts of it by threads, then joined unless one did all."""
        own, code = e.pointers[Sum(k.roots[0])], deep.Parts(self.b.module, part.deep[k])
        done = self.inside(base + part.offsets[k, "done"])
        done = self.b.bitcast(done, I64.as_pointer())
        self.b.store(I64(0), done)
        pointers = list(dict.fromkeys([*places, own, done]))
        f, b, given, (*ends, room, _) = self._job(pointers)
        room = b.bitcast(room, own.type)
        code.some(b, [*(given[p] for p in places), room], given[own], given[done], ends)
        b.ret_void()
        self.share(self._once(f), pointers, code.cut.chunks, self.panel, code.cut.bytes)
        with self.b.if_then(self.b.icmp_unsigned("==", self.b.load(done), I64(0))):
            pointers = [own, places[2]]
            f, b, given, (*ends, _, _) = self._job(pointers)
            code.join(b, *(given[p] for p in pointers), ends)
            b.ret_void()
            self.share(self._once(f), pointers, code.joints, self.panel, 0)

    def _conv(self, e, k, part, base):
        (o,) = k.roots
        made = conv.kernel(o)
        f = self._convolution(o, made.build)
        f.alone = True
        room = self.inside(base + part.offsets[k])
        places = [e.pointers[part.schedule.root(v)] for v in (*o.inputs, *o.outputs)]
        n = made.shape.n
        some = conv.images(o, made, part.shares.get(k, 1))
        if some < n:
            job = self._images(f, places, (some, n), o, e.pointers.get(Sum(o)))
            self.share(*job, -(-n // some), room, made.bytes)
            self._joined(e, k, o, -(-n // some), part, base)
            return
        room = self.b.bitcast(room, f.args[3].type)
        self.b.call(f, [*places, room, I64(0), I64(n)])

    def _convolution(self, o, write):
        """The functions that `write`, of what computes a convolution, makes; equal ones share."""
        key = write.__name__, *conv.identity(o)
        if key not in self.convolutions:
            scalar = element(o.outputs[0].spec.dtype)
            name = f"convolution{next(self.names)}"
            self.convolutions[key] = write(self.b.module, scalar, name)
        return self.convolutions[key]

    def _images(self, f, places, sizes, o, own):
        """(job, pointers): a convolution's images by threads, `some` a chunk.

        What is summed over images each chunk sums in its own place.
        """
        (some, n), size = sizes, elements_apart(o)
        pointers = list(dict.fromkeys([*places[:2], own or places[2]]))
        job, b, given, (first, last, room, _) = self._job(pointers)
        room = b.bitcast(room, places[0].type)

        def images(start, stop, to):
            start, stop = b.mul(start, I64(some)), b.mul(stop, I64(some))
            stop = least(b, stop, I64(n))
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
