"""Forward mode: every value carries its tangent (None stands for zero)."""

from __future__ import annotations

import numpy as np

from ..core.bind import Box, Level, bind, dtype_of
from ..core.dtype import is_inexact
from .tape import mark_view


class Forward(Level):
    """Dual numbers: y and dy side by side."""

    def process(self, prim, args, params):
        primals, tangents = [], []
        for x in args:
            if isinstance(x, Box) and x.level is self:
                x.sync()
                if x.level is not self:  # its base went to a deeper level
                    return bind(prim, *args, **params)
                primals.append(x.value)
                tangents.append(x.tangent)
            else:
                primals.append(x)
                tangents.append(None)
        y = bind(prim, *primals, **params)
        moved = prim.differentiable and any(t is not None for t in tangents)
        dy = prim.jvp(tangents, y, primals, params) if moved else None
        if prim.outputs != 1:
            dys = dy if dy is not None else (None,) * len(y)
            outs = tuple(self.dual(a, b) for a, b in zip(y, dys, strict=True))
        else:
            outs = out = self.dual(y, dy)
        if prim.view:
            for i, out in enumerate(outs if prim.outputs != 1 else (outs,)):
                mark_view(out, args[0], prim, params, i if prim.outputs != 1 else None)
        return outs

    def dual(self, value, tangent):
        """A value of this level with its tangent."""
        out = self.wrap(value)
        out.tangent = tangent if is_inexact(dtype_of(value)) else None
        return out

    def wrap(self, value):
        """A value of this level that does not move."""
        face = Box.face
        out = face.__new__(face)
        out.value = value if isinstance(value, Box) else np.asarray(value)
        out.level = self
        return out
