"""Hooks that gradients arrive at: on several at once, and what keeps that of a result."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary, ref

from ..core.primitive import op
from ..errors import ArgumentError, GradError
from .node import Handle


class Arrival:
    """The place of one tensor among those whose gradients are waited for."""

    def __init__(self, all_, i):
        self.all, self.i = all_, i

    def arrived(self, sweep, g):
        """`g` is the gradient of this tensor in `sweep`."""
        self.all.arrived(sweep, self.i, g)


class _All:
    """Calls `f` with all gradients when those that a sweep can bring are there."""

    def __init__(self, nodes, f):
        self.nodes, self.f = [ref(n) for n in nodes], f  # their hooks refer back here
        self.waiting: WeakKeyDictionary = WeakKeyDictionary()

    def arrived(self, sweep, i, g):
        if sweep not in self.waiting:
            due = sum(sweep.passes(n()) for n in self.nodes)
            self.waiting[sweep] = [due, [None] * len(self.nodes)]
        state = self.waiting[sweep]
        state[0] -= 1
        state[1][i] = g
        if state[0] == 0:
            self.f(state[1])


class _First:
    """Calls `f` with the first gradient that a sweep brings."""

    def __init__(self, nodes, f):
        self.f, self.done = f, WeakKeyDictionary()

    def arrived(self, sweep, i, g):
        if sweep not in self.done:
            self.done[sweep] = True
            self.f(g)


class Handles:
    """Removes the parts of one hook."""

    def __init__(self, handles):
        self.handles = handles

    def remove(self) -> None:
        """Forget the hook."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()


def register_multi_grad_hook(tensors, fn: Callable, *, mode: str = "all") -> Handles:
    """fn(gradients) when those of all `tensors` are there (None: not in this sweep); with
    mode="any" fn(gradient) at the first.

    >>> x = tensor(2., requires_grad=True)
    >>> y = x * 3
    >>> h = autograd.graph.register_multi_grad_hook((x, y), print)
    >>> y.backward()
    [tensor(3.), tensor(1.)]
    """
    if mode not in ("all", "any"):
        raise ArgumentError(
            f"register_multi_grad_hook: mode must be all or any, got {mode!r}"
        )
    for i, x in enumerate(tensors):
        if not x.requires_grad:
            raise GradError(
                f"register_multi_grad_hook: tensor {i} does not require gradient"
            )
    nodes = [x.node for x in tensors]
    group = (_All if mode == "all" else _First)(nodes, fn)
    return Handles([_attach(n, Arrival(group, i)) for i, n in enumerate(nodes)])


def _attach(node, hook) -> Handle:
    node.rare, node.prehooks = True, node.prehooks or {}
    return Handle(node.prehooks, hook)


class Retainer:
    """The hook of `retain_grad`; refers to its tensor weakly, as the graph must."""

    last = True  # after the hooks that may replace the gradient

    def __init__(self, tensor):
        self.tensor = ref(tensor)

    def __call__(self, g):
        x = self.tensor()
        if x is not None:
            x._grad = op.contiguous(g) if x._grad is None else x._grad + g
