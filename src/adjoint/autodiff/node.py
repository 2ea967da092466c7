"""Nodes: recorded operations, with their parents and what their rules read."""

from __future__ import annotations

import weakref
from itertools import count
from typing import NamedTuple

from ..core.bind import Box, note_change
from ..core.level import Level
from ..core.shape import Spec
from ..errors import GradError, show_site
from .keeping import Packed, PackedResult

_orders = count()


def next_order() -> int:
    """A number above those of all nodes so far."""
    return next(_orders)


# Primitives that users know by another name.
_CALLED = {
    "amax": "max",
    "amin": "min",
    "cast": "to_copy",
    "contiguous": "clone",
    "conv": "convolution",
    "held": "copy",
    "pow_scalar": "pow",
    "reshape": "view",
    "vector_norm": "linalg_vector_norm",
}


_CONTRACTIONS = {(2, 2): "mm", (2, 1): "mv", (1, 2): "mv", (1, 1): "dot"}  # by ranks


class Record:
    """What is asked of the record of a node that is no primitive's; its rule is `vjp`."""

    name = family = "function"
    saves_y, differentiable, outputs, view = False, True, 1, False


class Node:
    """One recorded operation."""

    __slots__ = (
        "__dict__",
        "__weakref__",
        "need",  # which inputs want a cotangent
        "order",
        "params",
        "parents",  # the nodes of the inputs; None for a constant
        "prim",
        "saved",  # what the rule reads of each input
        "saved_y",  # and of the result
        "site",  # where the user called
    )
    # What most nodes leave as it is.
    rare = False  # something happens before its rule runs, or instead of it
    pick = hooks = prehooks = before = stamps = y_version = width = None
    level: Level  # the base tape's nodes have the class's own

    def __init__(self, prim, params, parents, need, saved=(), site=None):
        # One by one: a tuple of them would cost a tenth of all this.
        self.prim = prim
        self.params = params
        self.parents = parents
        self.need = need
        self.saved = saved
        self.saved_y = None
        self.site = site
        self.order = next(_orders)

    def name(self) -> str:
        """PyTorch's name for it, such as MulBackward0."""
        name = _CALLED.get(self.prim.name, self.prim.name)
        if name == "contract":
            operands = self.params["spec"].split("->")[0].split(",")
            name = _CONTRACTIONS.get(tuple(map(len, operands)), "bmm")
        return "".join(p.capitalize() for p in name.split("_")) + "Backward0"

    def __repr__(self):
        return f"<{self.name()}>"

    @property
    def next_functions(self):
        """The nodes this one hands its cotangents to, and to which of their outputs."""
        return tuple((None, 0) if p is None else edge_of(p) for p in self.parents)

    @property
    def metadata(self) -> dict:
        """Room for a user's notes on this node."""
        return self.__dict__.setdefault("_metadata", {})

    # What the rule reads, by PyTorch's names.
    _saved_self = property(lambda self: self._kept(0))
    _saved_other = property(lambda self: self._kept(1))
    _saved_result = property(lambda self: self._shown(self.saved_y))

    def _kept(self, i):
        if self.saved is RELEASED:
            raise GradError("what the operation saved has been freed")
        return self._shown(self.saved[i])

    def _shown(self, x):
        """What was kept, as a tensor in its place."""
        if isinstance(x, (Packed, PackedResult)):
            x = x.restore()
        if isinstance(x, Spec) or x is None:
            return None
        if not isinstance(x, Box):
            x = self.level.wrap(x)
            x.node = self
        return x

    @property
    def saved_tensors(self):
        """What the rule reads: inputs, then the output."""
        kept = [x for x in self.saved or () if isinstance(x, Box)]
        return tuple(kept)

    def register_hook(self, hook):
        """hook(grad_inputs, grad_outputs) after this node's rule has run."""
        self.hooks = self.hooks or {}
        return Handle(self.hooks, hook)

    def register_prehook(self, hook):
        """hook(grad_outputs) before this node's rule runs."""
        self.rare, self.before = True, self.before or {}
        return Handle(self.before, hook)


def edge_of(node) -> tuple[Node, int]:
    """The node of an operation, and which of its outputs `node` stands for."""
    return (node, 0) if node.pick is None else (node.parents[0], node.pick)


class GradientEdge(NamedTuple):
    """A place in the graph that gradients can be asked for, in place of its tensor."""

    node: Node
    output_nr: int = 0


def get_gradient_edge(tensor) -> GradientEdge:
    """The place of `tensor` in the graph.

    >>> x = tensor(2., requires_grad=True)
    >>> y = x * 3
    >>> autograd.grad(y * y, autograd.graph.get_gradient_edge(y))
    (tensor(12.),)
    """
    tensor.sync()
    if tensor.node is None:
        raise GradError(
            "get_gradient_edge: the tensor does not require grad: it has no place in a graph"
        )
    return GradientEdge(tensor.node, tensor.output_nr)


RELEASED = ("released",)


class Unread(tuple):
    """What a node saved of inputs that its rule does not read: nothing, or their Specs."""

    __slots__ = ()


UNREAD1, UNREAD2 = Unread((None,)), Unread((None, None))


class Leaf(Node):
    """Where a leaf's gradient arrives; the leaf owns it, so it refers back weakly."""

    rare = True
    outer = False  # its tensor stands for a result of what lies around a program

    def __init__(self, tensor):
        self.prim = self.params = self.saved_y = self.site = None
        self.parents = self.need = self.saved = ()
        self.order = next(_orders)
        self.tensor = weakref.ref(tensor)
        if tensor.level is not Node.level:  # that of ordinary tensors
            self.level = tensor.level

    def name(self):
        return "AccumulateGrad"

    @property
    def variable(self):
        """The leaf tensor."""
        return self.tensor()


class Handle:
    """Removes a hook."""

    _ids = count()

    def __init__(self, hooks: dict, hook, lasting: bool = False):
        self.hooks, self.id, self.lasting = hooks, next(self._ids), lasting
        hooks[self.id] = hook
        note_change(lasting)

    def remove(self) -> None:
        """Forget the hook; doing it twice is harmless."""
        self.hooks.pop(self.id, None)
        note_change(self.lasting)

    def move(self, node) -> None:
        """Take the hook of a tensor to the node that is its place from now on."""
        hook = self.hooks.pop(self.id, None)
        if hook is not None and node is not None:
            node.rare, node.prehooks = True, node.prehooks or {}
            self.hooks = node.prehooks
            self.hooks[self.id] = hook

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()


def stale(node, what, x, version, n) -> str:
    """The message for a saved value that was overwritten."""
    shape = list(x.shape) if hasattr(x, "shape") else ""
    return (
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: {what} of {node.prim.name}, {shape}, saved at version {n}, is now at "
        f"version {version.n}\n  saved in {show_site(node.site)}"
        f"\n  overwritten in {show_site(version.site)}"
    )
