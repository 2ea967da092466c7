"""Emit: kernels as loops in one LLVM function."""

from __future__ import annotations

from .maps import Maps
from .placing import Placing
from .reducing import Reducing
from .rows import Rows
from .running import Running
from .spaced import Spaced


class Emitter(Spaced, Maps, Placing, Running, Rows, Reducing):
    """The body of one function; buffers are pointers it was given."""

    def elsewhere(self, builder, pointers) -> Emitter:
        """The same at another builder's place."""
        e = Emitter(builder, self.schedule, pointers)
        e.streamed, e.renewed = self.streamed, self.renewed
        return e

    def stages(self, k, chunks: int = 1):
        """The stages of a kernel, one after the other, in about so many chunks each."""
        return list(getattr(self, f"_{k.kind}_stages")(k, chunks))
