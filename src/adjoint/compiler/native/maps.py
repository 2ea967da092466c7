"""Maps: one loop over a space, in which each result is a function of the index."""

from __future__ import annotations

import math

from ...core.primitive import Elementwise
from ...ir.graph import Const
from ...ops.random import Draw
from ..cost import SERIES, weight
from .affine import ZERO, broadcast
from .braid import side_by_side
from .drawing import Drawing
from .elements import Flat, element
from .nests import looped


class Maps(Drawing):
    """Kernels that compute each element on its own."""

    def _map_stages(self, k, chunks):
        flat = (math.prod(k.space),)
        space = flat if self._collapses(k) and self._even(k, flat) else k.space
        if 0 not in k.space:
            many = self._many(k, space)
            yield looped(space, lambda e, i: e._store_roots(k, i), chunks, many=many)

    def _many(self, k, space) -> int:
        """Vectors that are computed side by side."""
        return side_by_side(space) if self._dear(k) else 1

    def _even(self, k, flat) -> bool:
        """Whether the pieces of its first dim that it may have to keep to end with vectors."""
        unit = k.pieces * self._many(k, flat) * self.vectors
        return not unit or flat[0] % unit == 0

    def _store_roots(self, k, index):
        for v in sorted(self.renewed.get(k, ()), key=self.schedule.order):
            # Its memory is about to be written: read it first.
            if len(v.spec.shape) > len(k.space):
                continue  # the state of a draw, which is not read by elements
            if len(index) == len(k.space):
                self.value(v, broadcast(v, index))
            else:
                self._flat_value(v, index[0])
        for o in k.roots:
            v = o.outputs[0]
            if len(index) == len(k.space):
                at, shape = index, v.spec.shape
            else:
                at, shape = index, None
            x = self.compute(o, at) if shape is not None else self._flat(o, at[0])
            key = at if shape is None else broadcast(v, at)
            self.known[v, tuple(i.key() for i in key)] = x
            if shape is not None:
                self.store(x, v, at)
            else:
                self._store_flat(x, v, at[0])

    def _dear(self, k) -> bool:
        """Whether its elements take long chains of instructions."""
        return max(map(weight, self.schedule.operations(k)), default=0) >= SERIES

    def _collapses(self, k) -> bool:
        """Every value has the shape of the space, or one element: a single loop does."""
        for o in k.roots:
            todo = [o]
            while todo:
                p = todo.pop()
                if isinstance(p.prim, Draw):
                    continue
                if not isinstance(p.prim, Elementwise) and p.prim.name not in (
                    "cast",
                    "contiguous",
                    "stop_gradient",
                    "ones_like",
                    "zeros_like",
                    "real",
                    "reshape",
                    "expand",
                ):
                    return False
                for x in p.inputs:
                    size = math.prod(x.spec.shape)
                    if size not in (1, math.prod(k.space)):
                        return False
                    known = x in self.schedule.stored or x in self.schedule.alias
                    if not known and not isinstance(x, Const):
                        todo.append(self.schedule.maker[x])
        return len(k.space) > 1

    def _flat(self, o, i):
        """An operation at place i of its elements in order."""
        key = o.outputs[0], (i.key(),)
        if key in self.known:
            return self.known[key]
        if isinstance(o.prim, Elementwise):
            xs = [self._flat_value(x, i) for x in o.inputs]
            out = self._lowered(o, xs)
        elif isinstance(o.prim, Draw):
            out = self.drawn(o, i)
        elif o.prim.name == "cast":
            x = self._flat_value(o.inputs[0], i)
            out = self.lanes.cast(x, element(o.outputs[0].spec.dtype))
        elif o.prim.name in ("ones_like", "zeros_like"):
            out = getattr(self, f"_{o.prim.name}")(o, None)
        else:
            out = self._flat_value(o.inputs[0], i)
        self.known[key] = out
        return out

    def _flat_value(self, v, i):
        i = ZERO if math.prod(v.spec.shape) == 1 else i
        key = v, (i.key(),)
        if key in self.known:
            return self.known[key]
        if (
            v in self.schedule.stored
            or v in self.schedule.alias
            or isinstance(v, Const)
        ):
            flat = Flat(v)
            x = (
                self._value(v, ())
                if isinstance(v, Const) and v not in self.schedule.stored
                else self.load(flat, (i,))
            )
            self.known[key] = x
            return x
        return self._flat(self.schedule.maker[v], i)

    def _store_flat(self, x, v, i):
        self.store(x, Flat(v), (i,))
