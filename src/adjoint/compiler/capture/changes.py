"""Changes: what a function did to what lies outside while it was captured, to be undone."""

from __future__ import annotations

from .screens import Screens, is_new
from .surroundings import look, put


class Changes:
    """Tensors and places with what they had before; the first change of each counts."""

    def __init__(self):
        self.screens = Screens()
        self.places: dict[int, tuple] = {}  # tensors in another place in the graph
        self.grads: dict[int, tuple] = {}  # tensors whose .grad was set
        self.moved: dict[int, tuple] = {}  # tensors given other memory
        self.slots: dict[tuple, tuple] = {}  # (id of a keeper, key): what was put there
        self.begun: dict[int, dict] = {}  # keepers of objects that were made meanwhile
        self.switched: dict[int, tuple] = {}  # modules with the mode that they were in
        self.walked: dict[int, tuple] = {}  # nodes with what they had saved

    def place(self, x) -> None:
        """`x` is about to have another place in the graph."""
        self.screens.put(x)
        self.places.setdefault(id(x), (x, (x.node, x.seen, x.writes)))

    def grad(self, x) -> None:
        """The gradient of `x` is about to be set."""
        self.screens.put(x)
        self.grads.setdefault(id(x), (x, x.__dict__.get("_grad")))

    def memory(self, x) -> None:
        """`x` is about to be given other memory."""
        self.place(x)
        self.moved.setdefault(id(x), (x, x.value))

    def first(self, x):
        """The value that `x` had before it was given other memory, if it was."""
        return self.moved.get(id(x), (x, x.value))[1]

    def slot(self, keeper, key) -> None:
        before = look(keeper, key)
        of_this_call = id(keeper) in self.begun or is_new(before)
        if not of_this_call:
            self.put(keeper, key, before)

    def put(self, keeper, key, before) -> None:
        """Something was put there, where `before` was."""
        self.slots.setdefault((id(keeper), key), (keeper, key, before))

    def switch(self, module) -> None:
        """`module` is about to be switched between training and evaluation."""
        if id(vars(module)) not in self.begun:
            self.switched.setdefault(id(module), (module, module.training))

    def walk(self, node) -> None:
        """`node` is walked back, which may free what it has saved."""
        self.walked.setdefault(id(node), (node, node.saved, node.saved_y))

    def undo(self) -> None:
        """What lies outside is as it was before: tensors, their graph, modules and places."""
        self.screens.take_away()
        for node, saved, y in self.walked.values():
            node.saved, node.saved_y = saved, y
        for module, training in self.switched.values():
            module.training = training
        for slot in self.slots.values():
            put(*slot)

    def forget(self) -> None:
        """Let go of all tensors."""
        kept = self.places, self.grads, self.moved, self.slots, self.begun
        for x in (*kept, self.switched, self.walked):
            x.clear()
