"""Arguments: tensors without numbers in the place of those that a function was called with."""

from __future__ import annotations

from ...autodiff.node import Leaf
from ...autodiff.views import Laid
from ...core.bind import Box
from ...core.primitive import spec_of
from ...ir.tracer import Tracer
from .screens import asked_for, is_given
from .unfit import Unfit

_OWN = frozenset({"name", "persistent", "lasting"})


class Arguments:
    """What stands for each tensor, and the input of the program that it is."""

    def __init__(self, level):
        self.level = level
        self.boxes: list = []  # (what stands for it, its input)
        self.number: dict[int, int] = {}  # id of what stands for it -> its number
        self.strange: set = set()  # ids of those that are results of other programs
        self.awaiting: set = set()  # numbers of those at which gradients arrive
        self.inner: set = set()  # of those that are results in a graph
        self.asked = False  # whether the gradient of one was read

    def stand_ins(self, leaves) -> list:
        """The leaves with tensors of this program in the place of the tensors.

        One that is given twice is one; gradients that arguments have are inputs too.
        """
        known: dict = {}
        out = [self._stand_in(x, known) if isinstance(x, Box) else x for x in leaves]
        tensors = [x for x in leaves if isinstance(x, Box)]
        for x, box in [(x, known[id(x)]) for x in tensors if x._grad is not None]:
            g = self._stand_in(x._grad, {})
            box.__dict__.setdefault("_grad", g)
        return out

    def _stand_in(self, x, known):
        """A tensor without numbers for an argument."""
        var = self.level.graph.add_input(f"x{len(self.boxes) + 1}", spec_of(x))
        box = known.get(id(x))
        if box is None:
            box = known[id(x)] = self._made(x, var)
        if x.requires_grad:
            kinds = self.awaiting if x.is_leaf else self.inner
            kinds.add(len(self.boxes))
        self.boxes.append((box, var))
        return box

    def _made(self, x, var):
        box = object.__new__(type(x))
        box.value = Tracer(self.level, var)
        box.__dict__.update(own_of(x))
        if not row_by_row(x):
            box.laid = Laid(x.value.strides)
        if x.requires_grad:
            box.node = Leaf(box)
            box.node.outer = not x.is_leaf
        else:
            self.level.fixed.add(var)
        if not x.is_leaf:
            self.strange.add(id(box))
        if given_by_users(x):
            object.__setattr__(box, "__class__", asked_for(type(x)))
        self.number[id(box)] = len(self.boxes)
        return box

    def need_as_they_were(self) -> None:
        """None has been given an attribute, which the tensor that it stands for would not have."""
        for box, _ in self.boxes:
            for name in given_by_users(box):
                raise Unfit(
                    f"it sets the attribute {name} of an argument; return what is there"
                )

    def need_own(self, nodes, goals, start) -> None:
        """Derivatives through `nodes` to `goals` (None: all leaves) go through the function's
        own graph, which began at `start`, and not on through that of an argument."""
        strange = {x.node for x, _ in self.boxes if id(x) in self.strange}
        for node in strange.intersection(nodes):
            others = () if goals is None else (g for g in goals if g is not node)
            if goals is None or any(g.order < start or self._is_of(g) for g in others):
                raise Unfit(
                    "it goes back through the graph of an argument; detach() it before the call"
                )

    def _is_of(self, node) -> bool:
        """Whether it is the place of an argument, of which others may be made."""
        return type(node) is Leaf and node.tensor() in self

    def __contains__(self, x) -> bool:
        return id(x) in self.number

    def or_number(self, x):
        """The number of an argument; any other tensor is itself."""
        return self.number.get(id(x), x)

    def firsts(self) -> tuple[int, ...]:
        """For each argument the number of the first that is the same tensor."""
        return tuple(self.number[id(box)] for box, _ in self.boxes)

    def strides(self, var):
        """How one lies, which must then be given so from now on; None: row by row."""
        for box, v in self.boxes:
            if v is var and "laid" in box.__dict__:
                box.laid.seen = True
                return box.laid.strides
        return None


def own_of(x) -> dict:
    """What a tensor has besides its numbers and its place in the graph."""
    return {k: v for k, v in vars(x).items() if k in _OWN}


def given_by_users(x) -> list:
    """The attributes of a tensor that are no part of it."""
    return [k for k in vars(x) if is_given(type(x), k)]


def row_by_row(x) -> bool:
    """Whether the memory of an argument lies as that of a new array does."""
    return x.value.flags.c_contiguous or x.__dict__.get("sample", False)
