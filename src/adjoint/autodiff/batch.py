"""vmap's interpreter: every value has one more dim than it shows, or none."""

from __future__ import annotations

from contextvars import ContextVar

from ..core.bind import bind
from ..core.level import Level
from ..core.primitive import op
from .tape import belongs, enclosed, opened
from .views import mark_views

# The vmaps around here, outermost first: those who draw random numbers ask them how.
mapping: ContextVar[tuple[Batch, ...]] = ContextVar("mapping", default=())


class Batch(Level):
    """Carries a batch dim through each operation by the primitive's batching rule."""

    def __init__(self, size: int, randomness: str):
        self.size, self.randomness = size, randomness

    def process(self, prim, args, params):
        found = opened(self, args, "batch_dim")
        if found is None:
            return bind(prim, *args, **params)
        values, dims = found
        if all(d is None for d in dims):
            y = bind(prim, *values, **params)
            d = None if prim.outputs == 1 else (None,) * len(y)
        else:
            y, d = prim.batch(self.size, values, dims, params)
        if prim.outputs != 1:
            outs = tuple(self.batched(a, b) for a, b in zip(y, d, strict=True))
        else:
            outs = self.batched(y, d)
        if prim.view:
            mark_views(outs, args[0], prim, params)
        return outs

    def batched(self, value, dim):
        """A value of this level with its batch dim."""
        out = self.wrap(value)
        out.batch_dim = dim
        return out

    def wrap(self, value):
        """A value of this level without a batch dim."""
        out = enclosed(self, value)
        out.batch_dim = None
        return out

    def unwrap(self, x, out_dim):
        """The value below with its batch dim at `out_dim`, broadcast in if it has none."""
        value, d = (x.value, x.batch_dim) if belongs(x, self) else (x, None)
        if out_dim is None:
            return value
        if d is None:
            value, d = op.expand(value, shape=(self.size, *value.shape)), 0
        n = value.ndim
        order = [i for i in range(n) if i != d]
        order.insert(out_dim % n, d)
        return (
            value if order == list(range(n)) else op.permute(value, dims=tuple(order))
        )
