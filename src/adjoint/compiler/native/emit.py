"""Emit: kernels as loops in one LLVM function."""

from __future__ import annotations

from .maps import Maps
from .placing import Placing
from .reducing import Reducing
from .rows import Rows
from .running import Running
from .scattering import Scattering
from .spaced import Spaced


class Emitter(Spaced, Maps, Placing, Scattering, Running, Rows, Reducing):
    """The body of one function; buffers are pointers it was given."""

    def kernel(self, k) -> None:
        """One kernel."""
        self.begin(k)
        getattr(self, f"_emit_{k.kind}")(k)
