"""Scattering: elements that go to positions that are values, or meet others at a place."""

from __future__ import annotations

import functools

from ..arithmetic.kinds import BFLOAT, FLOAT, HALF, element
from .affine import ZERO, Affine, framed, in_order, strided
from .gathering import Gathering
from .nests import looped


def _join(join):
    """Two numbers as one; those of two bytes by way of float32, rounded."""

    def both(b, x, y):
        kind = b.element(x)
        if kind not in (HALF, BFLOAT):
            return join(b, x, y)
        return b.cast(join(b, b.cast(x, FLOAT), b.cast(y, FLOAT)), kind)

    return both


ADD = _join(lambda b, x, y: b.add(x, y))
JOINS = {
    "prod": _join(lambda b, x, y: b.mul(x, y)),
    "amax": _join(lambda b, x, y: b.maximum(x, y)),
    "amin": _join(lambda b, x, y: b.minimum(x, y)),
}


class Scattering(Gathering):
    """Kernels that write or add element by element, in the order of the source."""

    def _scatter_stages(self, k, chunks):
        """What is there first, and then each element to its position, the last dims in lanes.

        Dims that are not indexed can be cut; elements that may meet come in their order.
        """
        (o,) = k.roots
        y, (first, x, indices, join) = o.outputs[0], _reading(o)
        yield from self._filling(first, y, chunks)
        shape, lead = x.spec.shape, o.params["dim"]
        if 0 in (*shape, *y.spec.shape):
            return

        def go(e, index):
            flat, places = e.position(o, y, indices, index)
            start = e.alone_at(places) if places else None
            e.join_at(y, flat, start, e.value(x, index), join)

        rest = len(y.spec.shape) - lead - len(indices)
        free = [d < lead or d >= len(shape) - rest for d in range(len(shape))]
        yield looped(shape, go, chunks, free, lanes=rest > 0)

    def _filling(self, first, y, chunks):
        """A value, or zeros, as what is there first."""
        if 0 not in y.spec.shape:
            yield looped(y.spec.shape, lambda e, i: e.first_of(first, y, i), chunks)

    def first_of(self, x, y, index):
        """y[index] = x[index], or zero."""
        zero = self.lanes.number(0, self.lanes.vector(element(y.spec.dtype)))
        self.store(zero if x is None else self.value(x, index), y, index)

    def join_at(self, y, flat: Affine, start, x, join):
        """y[flat + start] = join(y[flat + start], x), in lanes side by side or apart."""
        p = self.b.gep(self.pointers[self.schedule.root(y)], [self.number(flat)])
        p = p if start is None else self.b.gep(p, [start])
        step = flat.terms.get(self.inner, 0)
        if join is not None:
            x = join(self.lanes, self.load_from(p, step, y.spec.dtype), x)
        self.store_to(p, step, x, y.spec.dtype)

    # ------------------------------------------------------------ frames

    def _gather_stages(self, k, chunks):
        """Zeros, to which every element is added at its affine place."""
        (o,) = k.roots
        (x,), y = o.inputs, o.outputs[0]
        yield from self._filling(None, y, chunks)
        if 0 in (*x.spec.shape, *y.spec.shape):
            return
        place, last = _place_of(o), Affine({0: 1})
        first = [ZERO] * (len(x.spec.shape) - 1)
        far = x.spec.shape and place((*first, last)).terms.get(0, 0)

        def go(e, index):
            e.join_at(y, place(index), None, e.value(x, index), ADD)

        yield looped(x.spec.shape, go, 1, lanes=bool(far))


def _place_of(o):
    """index of an element -> which of the result's, in order, it is added to."""
    if o.prim.name == "strided_add":
        return functools.partial(strided, o.params)
    return lambda index: in_order(framed(o.params, index), o.outputs[0].spec.shape)


def _reading(o):
    """(what is there first, what is written, the positions, how they are joined)."""
    if o.prim.name == "unindex":
        x, *indices = o.inputs
        return None, x, indices, ADD
    first, x, *indices = o.inputs
    return first, x, indices, JOINS.get(o.params.get("reduce"))
