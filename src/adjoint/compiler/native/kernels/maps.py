"""Maps: one loop over a space, in which each result is a function of the index."""

from __future__ import annotations

import math

from ....core.primitive import Elementwise
from ....ir.graph import Const
from ....ops.random import Draw
from ...schedule.cost import SERIES, weight
from ..arithmetic.kinds import element
from ..sharing import pieces
from .affine import ZERO, broadcast, padded
from .braid import side_by_side
from .nests import lined, looped, vectored
from .squares import Squares, crossing
from .storage import Flat

# What gives elements in the order of its input's.
_IN_ORDER = frozenset(
    [
        "cast",
        "contiguous",
        "stop_gradient",
        "ones_like",
        "zeros_like",
        "real",
        "reshape",
        "expand",
    ]
)


class Maps(Squares):
    """Kernels that compute each element on its own."""

    def _map_stages(self, k, chunks):
        found = crossing(self.schedule, k)
        if found:
            yield self._crossed_stage(k, found, chunks)
            return
        flat = (math.prod(k.space),)
        if 0 in k.space:
            return
        space, rank = k.space, len(k.space)
        if self._collapses(k) and self._keeps(k, flat):
            space, rank = flat, 1
        elif self._keeps(k, lined(space)):
            space = lined(space)

        def body(e, index):
            e._store_roots(k, padded(index, rank))

        yield looped(space, body, chunks, many=self._many(k, space))

    def _many(self, k, space) -> int:
        """Vectors that are computed side by side."""
        return side_by_side(space) if self._dear(k) else 1

    def _keeps(self, k, space) -> bool:
        """Whether a space is cut in the pieces of the first dim that it may have to keep to.

        Where that dim is in lanes too, pieces have to end with vectors.
        """
        if not k.pieces or len(space) > 1:
            return True
        (n,), many = space, self._many(k, space)
        whole = n % (k.pieces * many * self.vectors) == 0
        return whole and pieces(vectored(space, many), k.pieces) == (k.pieces,)

    def _store_roots(self, k, index):
        """The results of a kernel at an index of its space, or at a place of its elements."""
        flat = len(index) < len(k.space)
        for v in sorted(self.renewed.get(k, ()), key=self.schedule.order):
            # Its memory is about to be written: read it first.
            if len(v.spec.shape) > len(k.space):
                continue  # the state of a draw, which is not read by elements
            if flat:
                self._flat_value(v, index[0])
            else:
                self.value(v, broadcast(v, index))
        for o in k.roots:
            (v,) = o.outputs
            x = self._flat(o, index[0]) if flat else self.compute(o, index)
            at = index if flat else broadcast(v, index)
            self.known[v, tuple(i.key() for i in at)] = x
            self.store(x, Flat(v) if flat else v, index)

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
                if not isinstance(p.prim, Elementwise) and p.prim.name not in _IN_ORDER:
                    return False
                if any(x.spec.size not in (1, math.prod(k.space)) for x in p.inputs):
                    return False
                todo += [self.schedule.maker[x] for x in p.inputs if self._computed(x)]
        return len(k.space) > 1

    def _computed(self, v) -> bool:
        """Whether it has no memory, and is no constant."""
        s = self.schedule
        return not (v in s.stored or v in s.alias or isinstance(v, Const))

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
        if self._computed(v):
            return self._flat(self.schedule.maker[v], i)
        number = isinstance(v, Const) and v not in self.schedule.stored
        x = self._value(v, ()) if number else self.load(Flat(v), (i,))
        self.known[key] = x
        return x
