"""Parting: tensors that a function gives other memory (`x.data = y`), and what shows it."""

from __future__ import annotations

from ...autodiff.inplace import joined
from ...ir.tracer import Tracer
from .unfit import Unfit


class Parting:
    """What was given other memory while a function was captured."""

    def __init__(self):
        self.parted: dict = {}  # each tensor, and how often it had been written then
        self.joint: list = []  # with parts of others, and how often both had been written

    def give(self, x, new) -> None:
        """`x` gets the memory of `new`: what views of `x` show, and sharers of it, part from it."""
        if x.base is not None:
            raise Unfit("it gives a view other memory than its base has")
        x.writes += 1  # its views look again
        self.parted[id(x)] = x, x.writes
        if isinstance(new.value, Tracer):
            joined(x, new)
        if new.base is not None:
            self.joint.append([(y, y.writes) for y in (x, new.base)])

    def need_base(self, view) -> None:
        """A view that was there before its base was given other memory shows the old one."""
        _, writes = self.parted.get(id(view.base), (None, 0))
        if view.seen < writes:
            raise Unfit("it needs a view of a tensor that it has given other memory")

    def need_parts(self) -> None:
        """What has a part of another's memory does not follow what is written there."""
        if any(y.writes != n for pair in self.joint for y, n in pair):
            raise Unfit("it writes memory of which it has given a part to a tensor")

    def forget(self) -> None:
        """Let go of all tensors."""
        self.parted.clear()
        self.joint.clear()
