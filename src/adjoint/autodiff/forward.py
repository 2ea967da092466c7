"""Forward mode: every value carries its tangent (None stands for zero)."""

from __future__ import annotations

from ..core.bind import bind, dtype_of
from ..core.dtype import is_inexact
from ..core.level import Level
from .tape import enclosed, opened
from .views import mark_views


class Forward(Level):
    """Dual numbers: y and dy side by side."""

    def process(self, prim, args, params):
        found = opened(self, args, "tangent")
        if found is None:
            return bind(prim, *args, **params)
        primals, tangents = found
        y = bind(prim, *primals, **params)
        moved = prim.differentiable and any(t is not None for t in tangents)
        dy = prim.jvp(tangents, y, primals, params) if moved else None
        if prim.outputs != 1:
            dys = dy if dy is not None else (None,) * len(y)
            outs = tuple(self.dual(a, b) for a, b in zip(y, dys, strict=True))
        else:
            outs = self.dual(y, dy)
        if prim.view:
            mark_views(outs, args[0], prim, params)
        return outs

    def dual(self, value, tangent):
        """A value of this level with its tangent."""
        out = self.wrap(value)
        out.tangent = tangent if is_inexact(dtype_of(value)) else None
        return out

    def wrap(self, value):
        """A value of this level that does not move."""
        return enclosed(self, value)
