"""Standing: modes that hold for all that comes after, which a call has to leave as they were."""

from __future__ import annotations

from ...autodiff.casting import choose, chosen
from ...autodiff.modes import anomalies, inferring, recording
from ...core.dtype import get_default_dtype, set_default_dtype
from .unfit import Unfit

_BLOCK, _BEFORE = "a `with` block ends", "set it before the calls"
_MODES = (  # what it is, how it is read and set, and what else to write
    ("autocast", chosen.get, choose, _BLOCK),
    ("the recording of operations", recording.get, recording.set, _BLOCK),
    ("inference mode", inferring.get, inferring.set, _BLOCK),
    ("anomaly mode", anomalies.get, anomalies.set, _BLOCK),
    ("the default dtype", get_default_dtype, set_default_dtype, _BEFORE),
)


class Standing:
    """What they were when a capture began."""

    def __init__(self):
        self.before = [read() for _, read, *_ in _MODES]

    def _others(self):
        """(mode, what it was) of all that are not as they were."""
        for mode, before in zip(_MODES, self.before, strict=True):
            if mode[1]() != before:
                yield mode, before

    def need_as_they_were(self) -> None:
        """No program switches them, so a function that does runs as it is written."""
        for (name, *_, instead), _ in self._others():
            raise Unfit(f"it leaves {name} other than it was; {instead}")

    def put_back(self) -> None:
        for (_, _, put, _), before in self._others():
            put(before)
