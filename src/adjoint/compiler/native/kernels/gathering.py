"""Gathering: elements at positions that are values, or that no loop counts alone."""

from __future__ import annotations

import math

from ....ir.positions import counts, within
from ...schedule.views import steps_of
from ..arithmetic.kinds import INT64, element, stored_element
from ..llvm.types import I32
from .affine import Affine, broadcast, framed, strided, summed
from .elements import Elements
from .failures import OUTSIDE


class Gathering(Elements):
    """Reading where values say: indexing, search, frames."""

    def _index(self, o, index):
        """x[.., i.., ..]: the dims from `dim` on are indexed by values."""
        x, *indices = o.inputs
        flat, places = self.position(o, x, indices, index)
        if not places:
            return self.load_flat(x, flat)
        if not self._moves(places):
            return self.load_flat(x, flat, self.alone_at(places))
        at = self.b.add(self.lane_numbers(flat), self.places_of(places))
        return self.gathered(x, at)

    def position(self, o, x, indices, index):
        """(what loops count of a place in x, [(value, its index, size, stride, dim)])."""
        dim, shape = o.params["dim"], x.spec.shape
        stop = len(index) - (len(shape) - dim - len(indices))
        strides, places = steps_of(shape), []
        counted = [*zip(index[:dim], strides[:dim], strict=True)]
        counted += zip(index[stop:], strides[dim + len(indices) :], strict=True)
        for d, v in enumerate(indices, dim):
            at, way = broadcast(v, index[dim:stop]), counts(v)
            if way is not None and v.value.size <= shape[d]:
                counted.append((at[way], strides[d]))
            else:
                places.append((v, at, shape[d], strides[d], d))
        return summed(counted), places

    def _moves(self, places) -> bool:
        """Whether the lanes read at different positions."""
        if self.lanes.width == 1:
            return False
        return any(self.inner in i.terms for _, at, *_ in places for i in at)

    def alone_at(self, places):
        """One position for all lanes."""
        with self.single():
            return self.places_of(places)

    def places_of(self, places):
        """The positions in each lane, as numbers of elements."""
        total, b = None, self.lanes
        for v, at, size, stride, d in places:
            i = b.cast(self.value(v, at), INT64)
            known = within(v, size, self.schedule.maker)
            if not known:
                self._watch(v, i, -size, size, d)
            i = b.select(b.compare("<", i, 0), b.add(i, size), i)
            i = b.mul(i if known else self._inside(i, size), stride)
            total = i if total is None else b.add(total, i)
        return total

    def _inside(self, i, size):
        """A position that can be read, whatever it is."""
        outside = self.b.icmp_unsigned(">=", i, self.lanes.number(size, i))
        return self.lanes.select(outside, 0, i)

    def _bounded(self, o, index):
        (v,), p, b = o.inputs, o.params, self.lanes
        i = b.cast(self.value(v, index), INT64)
        self._watch(v, i, 0, p["n"], p["dim"], p["by"], p["but"])
        y = self._inside(i, p["n"])
        if p["but"] is not None:
            y = b.select(b.compare("==", i, p["but"]), i, y)
        return b.cast(y, element(v.spec.dtype))

    def _watch(self, v, i, low, size, d, by="", but=None):
        """Positions outside, unless they are `but`, are told, once for each value and size."""
        if self.looks((v, size, low, but)):
            below = self.lanes.compare("<", i, low)
            outside = self.b.or_(below, self.lanes.compare(">=", i, size))
            if but is not None:
                outside = self.b.and_(outside, self.lanes.compare("!=", i, but))
            self.tell(OUTSIDE, outside, i, (d, size), by)

    def load_flat(self, x, flat: Affine, start=None):
        """Elements of x in order: `flat` of them and `start` more, in all lanes."""
        if not math.prod(x.spec.shape):
            return self.lanes.number(0, self.lanes.vector(element(x.spec.dtype)))
        p = self.b.gep(self.pointers[self.schedule.root(x)], [self.number(flat)])
        p = p if start is None else self.b.gep(p, [start])
        return self.load_from(p, flat.terms.get(self.inner, 0), x.spec.dtype)

    def gathered(self, x, at):
        """The elements of x with these numbers, a number for each lane."""
        kind, w = stored_element(x.spec.dtype), self.lanes.width
        if not math.prod(x.spec.shape):
            return self.lanes.number(0, self.lanes.vector(element(x.spec.dtype)))
        p = self.pointers[self.schedule.root(x)]
        if w == 1:
            y = self.b.load(self.b.gep(p, [at]))
        else:

            def one(k):
                return self.b.load(self.b.gep(p, [self.b.extract_element(at, I32(k))]))

            y = self.lane_by_lane(kind, one)
        return self.lanes.compare("!=", y, 0) if x.spec.dtype.kind == "b" else y

    # ------------------------------------------------------------ frames

    def _frames(self, o, index):
        return self.value(o.inputs[0], framed(o.params, index))

    def _as_strided(self, o, index):
        return self.load_flat(o.inputs[0], strided(o.params, index))

    # ------------------------------------------------------------ search

    def _searchsorted(self, o, index):
        """How many elements of a sorted row are below x, by halving; NaN is above all."""
        rows, x = o.inputs
        n = rows.spec.shape[-1]
        b, wanted = self.lanes, self.value(x, index)
        row = summed(zip(index, steps_of(rows.spec.shape)[:-1], strict=False))
        start = self.lane_numbers(row)
        found = b.number(0, start)
        for k in reversed(range(n.bit_length())):
            further = b.add(found, 1 << k)
            inside = b.compare("<=", further, n)
            last = b.sub(b.select(inside, further, 1), 1)
            y = self.gathered(rows, self.b.add(start, last))
            pair = (wanted, y) if o.params["right"] else (y, wanted)
            below = self._below(*pair)
            below = b.logical_not(below) if o.params["right"] else below
            found = b.select(b.logical_and(inside, below), further, found)
        return found

    def _below(self, x, y):
        b = self.lanes
        nan = b.logical_and(b.isnan(y), b.logical_not(b.isnan(x)))
        return b.logical_or(b.compare("<", x, y), nan)
