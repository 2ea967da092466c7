"""Placing: inputs that go to their places in a result."""

from __future__ import annotations

import functools
import math

from ..arithmetic.kinds import element
from ..llvm import text as ir
from ..llvm.types import I32, I64
from ..sharing import Stage, pieces
from .affine import ZERO, Affine, broadcast, every, keyed, on_diagonal, shifted, then
from .nests import looped
from .scattering import ADD, Scattering


def _alternates(o) -> bool:
    """Two arrays of numbers, stacked along a new last dim."""
    x = o.inputs[0].spec
    pair = o.prim.name == "stack" and len(o.inputs) == 2
    last = pair and o.params["dim"] == len(x.shape)
    return last and x.dtype.kind != "b" and x.size > 0


class Placing(Scattering):
    """Kernels that write where their operation says."""

    def _place_stages(self, k, chunks):
        """Every input goes to its place in the result, one after the other."""
        (o,) = k.roots
        if _alternates(o):
            space = o.inputs[0].spec.shape
            yield looped(space, lambda e, index: e._interleave(o, index), chunks)
            return
        y = o.outputs[0]
        for x, shape, of, to in getattr(self, f"_place_{o.prim.name}")(o):
            if 0 in shape:
                continue

            def go(e, index, x=x, of=of, to=to):
                value = e.lanes.number(0, e.lanes.vector(element(y.spec.dtype)))
                value = value if x is None else e.value(x, of(index))
                e._scatter(value, y, to(index))

            yield looped(shape, go, chunks)

    def _shuffle_stages(self, k, chunks):
        """All of a few vectors are read, and each of the result is made of those it needs."""
        (o,) = k.roots
        yield looped((1,), lambda e, _: e._shuffle(o), 1, lanes=False)

    def _shuffle(self, o):
        x, places, w = o.inputs[0], o.inputs[1].value, self.vectors
        n, size = x.spec.size, x.spec.dtype.itemsize
        of, to = (self.pointers[self.schedule.root(v)] for v in (x, o.outputs[0]))
        parts = [self._vector(of, i, min(w, n - i), size) for i in range(0, n, w)]
        for i in range(0, len(places), w):
            y = self._chosen(parts, w, [int(p) for p in places[i : i + w]])
            p = self.b.bitcast(self.b.gep(to, [I64(i)]), y.type.as_pointer())
            self.b.store(y, p, align=size)

    def _vector(self, p, i, count, size):
        """`count` elements from place i on."""
        p = self.b.gep(p, [I64(i)])
        kind = ir.VectorType(p.type.pointee, count)
        return self.b.load(self.b.bitcast(p, kind.as_pointer()), align=size)

    def _chosen(self, parts, w, places):
        """The elements at these places of all parts, each of w elements but the last."""
        y = None
        for n in sorted({p // w for p in places}):
            own = [p % w if p // w == n else None for p in places]
            x = self._moved(parts[n], own)
            here = [i + len(own) if p is not None else i for i, p in enumerate(own)]
            y = x if y is None else self.b.shuffle_vector(y, x, self._numbers(here))
        return y

    def _moved(self, x, places):
        """Elements of a vector at these places; None: any."""
        return self.b.shuffle_vector(
            x, ir.Constant(x.type, ir.Undefined), self._numbers(places)
        )

    def _numbers(self, places):
        items = [p or 0 for p in places]
        return ir.Constant(ir.VectorType(I32, len(places)), items)

    def _scatter(self, x, v, index):
        """v[index] = x in all lanes, wherever they lie."""
        p, step = self.address(v, index)
        if self.lanes.width == 1 or step == 1:
            self.store(x, v, index)
        else:
            self.store_to(p, step, x, v.spec.dtype)

    def _interleave(self, o, index):
        """Two values side by side, element by element."""
        y = o.outputs[0]
        a, b = (self.value(x, index) for x in o.inputs)
        p, _ = self.address(y, (*index, ZERO))
        if self.lanes.width == 1:
            self.store_to(p, 1, a, y.spec.dtype)
            self.store_to(self.b.gep(p, [I64(1)]), 1, b, y.spec.dtype)
            return
        w = self.lanes.width
        both = self._lanes_of(a, b, [i // 2 + w * (i % 2) for i in range(2 * w)])
        self.b.store(both, self.b.bitcast(p, both.type.as_pointer()), align=1)

    def _place_stack(self, o):
        d = o.params["dim"]
        for i, x in enumerate(o.inputs):
            at = (Affine(const=i),)
            yield (
                x,
                x.spec.shape,
                every,
                lambda index, at=at: (*index[:d], *at, *index[d:]),
            )

    def _place_cat(self, o):
        d, start = o.params["dim"], 0
        for x in o.inputs:
            yield x, x.spec.shape, every, shifted(d, start)
            start += x.spec.shape[d]

    def _place_roll(self, o):
        """The two parts of each rolled dim change places."""
        (x,), p = o.inputs, o.params
        moves = list(zip(p["shifts"], p["dims"], strict=True))

        def split(shape, of, to, rest):
            if not rest:
                yield x, tuple(shape), of, to
                return
            (s, d), n = rest[0], x.spec.shape[rest[0][1]]
            s = s % n if n else 0
            for size, start, end in ((n - s, 0, s), (s, n - s, 0)):
                sizes = [*shape[:d], size, *shape[d + 1 :]]
                yield from split(
                    sizes,
                    then(of, shifted(d, start)),
                    then(to, shifted(d, end)),
                    rest[1:],
                )

        yield from split(list(x.spec.shape), every, every, moves)

    def _place_unslice(self, o):
        (x,), key = o.inputs, o.params["key"]
        yield None, o.outputs[0].spec.shape, every, every
        yield x, x.spec.shape, every, lambda index: keyed(key, index)

    def _place_undiagonal(self, o):
        (x,), y = o.inputs, o.outputs[0]
        yield None, y.spec.shape, every, every
        dims = len(y.spec.shape)
        yield x, x.spec.shape, every, lambda i: on_diagonal(o.params, dims, i)

    def _place_overwrite(self, o):
        x, new = o.inputs
        yield x, x.spec.shape, every, every
        ((prim, params, _),) = o.params["chain"] or ((None, {}, None),)

        def to(index):
            if prim is None:
                return index
            if prim.name == "slice":
                return keyed(params["key"], index)
            d = params["dim"]
            return (*index[:d], Affine(const=params["index"]), *index[d:])

        yield new, new.spec.shape, every, to

    def _put_stages(self, k, chunks):
        """Zeros, to which each element is added at its place: some rows at a time, while they
        are near, one row's elements one after the other. In a chain these are an image.
        """
        (o,) = k.roots
        shape, y = o.inputs[0].spec.shape, o.outputs[0]
        if 0 in y.spec.shape:
            return
        rows, lead = (*shape[:-1], 1), 1 if k.pieces else 0
        cut = pieces(rows, chunks)

        def write(e, chunk):
            spans = e.spans(rows, cut, chunk)

            def some(first):
                inner = y.spec.shape[lead:], lambda i: e.first_of(None, y, (*first, *i))
                e.over(*inner, spans[lead:])
                e.begin(k)
                if 0 not in shape:
                    add = functools.partial(e._added, o)
                    e.nest(shape[lead:], first, add, spans[lead:])

            e.nest(rows[:lead], (), some, spans[:lead])

        yield Stage(math.prod(cut), write)

    def _added(self, o, index):
        (x, places), y = o.inputs, o.outputs[0]
        place = self.value(places, broadcast(places, index))
        inside = self.b.icmp_unsigned("<", place, I64(y.spec.shape[-1]))
        with self.b.if_then(inside):
            p, _ = self.address(y, (*index[:-1], ZERO))
            p = self.b.gep(p, [place])
            self.b.store(ADD(self.lanes, self.b.load(p), self.load(x, index)), p)
