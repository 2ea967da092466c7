"""Emit: kernels as loops in one LLVM function."""

from __future__ import annotations

from .maps import Maps
from .placing import Placing
from .reducing import Reducing
from .rows import Rows
from .running import Running
from .scattering import Scattering
from .sharing import Stage
from .spaced import Spaced


class Emitter(Spaced, Maps, Placing, Scattering, Running, Rows, Reducing):
    """The body of one function; buffers are pointers it was given."""

    def elsewhere(self, builder, pointers) -> Emitter:
        """The same at another builder's place."""
        e = Emitter(builder, self.schedule, pointers)
        e.streamed, e.renewed = self.streamed, self.renewed
        return e

    def stages(self, k, chunks: int = 1):
        """The stages of a kernel, one after the other, in about so many chunks each."""
        cut = getattr(self, f"_{k.kind}_stages", None)
        if cut is not None:
            return list(cut(k, chunks))
        return [Stage(1, lambda e, chunk: getattr(e, f"_emit_{k.kind}")(k))]
