"""Spaced: values with zeros around or beside them, computed where they are read.

Where an index lies outside of what is there, nothing is read: inside of such an operation
loads have a mask.
"""

from __future__ import annotations

from contextlib import contextmanager

from ..arithmetic.kinds import HALF, stored_element
from ..llvm import text as ir
from ..llvm.types import I32, I64
from .affine import ZERO, Affine
from .elements import Elements


class Spaced(Elements):
    """Elements of which only those in `inside`, a mask, are there."""

    def _unslice(self, o, index):
        (x,), bounds, at = o.inputs, [], []
        shape, left = o.outputs[0].spec.shape, list(index)
        for k in o.params["key"]:
            if k is None:
                at.append(ZERO)
                continue
            n, i = shape[len(shape) - len(left)], left.pop(0)
            if isinstance(k, tuple):
                at.append(i + Affine(const=-k[0]))
                bounds += [(">=", i, k[0])] * (k[0] > 0) + [("<", i, k[1])] * (k[1] < n)
            else:
                bounds.append(("==", i, k % n))
        conditions = [self._compared(sign, i, n) for sign, i, n in bounds]
        return self._there(x, (*at, *left), conditions)

    def _undiagonal(self, o, index):
        (x,), p = o.inputs, o.params
        i, j = index[p["dim1"]], index[p["dim2"]]
        rest = [k for d, k in enumerate(index) if d not in (p["dim1"], p["dim2"])]
        place = i + Affine(const=min(p["offset"], 0))
        on = self._compared("==", j + i.times(-1), p["offset"])
        return self._there(x, (*rest, place), [on])

    def _compared(self, sign, i, n: int):
        """Whether an index compares so: one bit, or one a lane."""
        if i.terms.get(self.inner, 0):
            numbers = self.lane_numbers(i)
            return self.lanes.compare(sign, numbers, n)
        return self.lanes.splat(self.b.icmp_signed(sign, self.number(i), I64(n)))

    def _there(self, x, index, conditions):
        """x where all conditions hold, else 0."""
        mask = None
        for c in conditions:
            mask = c if mask is None else self.b.and_(mask, c)
        if mask is None:
            return self.value(x, index)
        with self._within(mask):
            y = self.value(x, index)
        return self.lanes.select(mask, y, 0)

    @contextmanager
    def _within(self, mask):
        """Inside, only lanes of the mask are read; what is known there is known only there."""
        before = self.inside, self.known
        self.inside = mask if self.inside is None else self.b.and_(mask, self.inside)
        self.known = {}
        yield
        self.inside, self.known = before

    def load_inside(self, v, p, step):
        """What lies from `p` on, `step` elements between lanes, where the mask holds."""
        base, w = self.pointers[self.schedule.root(v)], self.lanes.width
        if w == 1 or step == 0:
            place = self.b.select(self.lanes.any(self.inside), p, base)
            return self.load_from(place, 0, v.spec.dtype)
        kind = ir.VectorType(stored_element(v.spec.dtype), w)
        if step == 1:
            x = self._masked(p, kind, self.inside)
        else:
            x = self._one_by_one(p, step, kind.element, base)
        return self.lanes.compare("!=", x, 0) if v.spec.dtype.kind == "b" else x

    def _one_by_one(self, p, step, kind, base):
        """Lanes apart; for those that are not there, what lies at `base`, which always is."""

        def one(k):
            there = self.b.extract_element(self.inside, I32(k))
            return self.b.load(
                self.b.select(there, self.b.gep(p, [I64(k * step)]), base)
            )

        return self.lane_by_lane(kind, one)

    def _masked(self, p, kind, mask):
        """The lanes of the mask from memory, 0 for the others."""
        if kind.element == HALF:  # which has no masked loads everywhere
            bits = self._masked(p, ir.VectorType(ir.IntType(16), kind.count), mask)
            return self.b.bitcast(bits, kind)
        p = self.b.bitcast(p, kind.as_pointer())
        return self.b.load_masked(p, mask, ir.Constant(kind, None), 1)


__all__ = ["Spaced"]
