"""Failing: numbers for which eager has an error are told, and the program stops."""

from __future__ import annotations

from ..llvm.types import I32, I64
from .failures import FAILED, TOLD, spelled
from .nests import Nests


def word(b, k: int = 0):
    """Where one of the words lies; the first is 0 as long as all is well."""
    return b.gep(b.module.globals[FAILED], [I64(0), I64(k)])


class Failing(Nests):
    """What kernels look at, and where they tell what they found."""

    schedule: object
    round: object  # the kernel that is written
    checks = False  # whether what was written may fail

    def looks(self, key) -> bool:
        """Whether this kernel is the one that looks at this."""
        mine = self.schedule.checked.setdefault(key, self.round) is self.round
        self.checks = self.checks or mine
        return mine

    def tell(self, what: int, mask, x, more, by: str) -> None:
        """If the mask holds, x of the first such lane and more, unless there is a failure."""
        with self.b.if_then(self.lanes.any(mask), likely=False):
            place = [word(self.b, k) for k in range(TOLD)]
            free = self.b.cmpxchg(place[0], I64(0), I64(what), "seq_cst", "seq_cst")
            first = self.b.extract_value(free, 1)  # for other threads look too
            with self.b.if_then(first):
                words = (self._first(x, mask), *map(I64, (*more, *spelled(by))))
                for p, said in zip(place[1:], words, strict=True):
                    self.b.store(said, p)

    def _first(self, x, mask):
        """The first lane where the mask holds."""
        if self.lanes.width == 1:
            return x
        found = self.b.extract_element(x, I32(0))
        for k in reversed(range(self.lanes.width)):
            here, one = (self.b.extract_element(y, I32(k)) for y in (mask, x))
            found = self.b.select(here, one, found)
        return found
