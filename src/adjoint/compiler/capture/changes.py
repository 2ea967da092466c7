"""Changes: what a function did to what lies outside while it was captured, to be undone."""

from __future__ import annotations

from ...autodiff.views import OWN
from .surroundings import look, put

# What a tensor that is given other memory has of the value that it stands for.
_MEMORY = (*(k for k in OWN if k != "node"), "laid", "made", "sharers")


class Changes:
    """Tensors and places with what they had before; the first change of each counts."""

    def __init__(self):
        self.places: dict[int, tuple] = {}  # tensors in another place in the graph
        self.grads: dict[int, tuple] = {}  # tensors whose .grad was set
        self.moved: dict[int, tuple] = {}  # tensors given other memory
        self.slots: dict[tuple, tuple] = {}  # (id of a keeper, key): what was put there

    def place(self, x) -> None:
        """`x` is about to have another place in the graph."""
        self.places.setdefault(id(x), (x, (x.node, x.seen, x.writes)))

    def grad(self, x) -> None:
        self.grads.setdefault(id(x), (x, x.__dict__.get("_grad")))

    def memory(self, x) -> None:
        self.place(x)
        had = {k: vars(x)[k] for k in _MEMORY if k in vars(x)}
        self.moved.setdefault(id(x), (x, x.value, had))

    def slot(self, keeper, key) -> None:
        self.put(keeper, key, look(keeper, key))

    def put(self, keeper, key, before) -> None:
        """Something was put there, where `before` was."""
        self.slots.setdefault((id(keeper), key), (keeper, key, before))

    def undo(self) -> None:
        """Give all tensors and places from outside back what they had."""
        for x, place in self.places.values():
            x.__dict__.pop("sharers", None)
            x.node, x.seen, x.writes = place
        for x, old in self.grads.values():
            if old is None:
                x.__dict__.pop("_grad", None)
            else:
                x.__dict__["_grad"] = old
        for x, _, before in self.moved.values():
            for k in _MEMORY:
                vars(x).pop(k, None)
            vars(x).update(before)
        for slot in self.slots.values():
            put(*slot)

    def forget(self) -> None:
        """Let go of all tensors."""
        for kept in (self.places, self.grads, self.moved, self.slots):
            kept.clear()
