"""The reverse sweep: one walk over the nodes in reverse order of recording, with `+=`.

What users call stands in gradients.py, what a rule reads in saved.py, and how a gradient
comes into `.grad` in accumulation.py.
"""

from __future__ import annotations

from operator import attrgetter
from sys import getrefcount

import numpy as np

from ..core.bind import NUMPY, Box, dtype_of, floor, hushed
from ..errors import ArgumentTypeError, GradError, in_backward, show_site, written
from .accumulation import accumulate
from .arrivals import Arrival
from .modes import anomalies, recording
from .node import RELEASED, Leaf, Unread
from .saved import inputs, output
from .tape import stripped


def reachable(roots) -> list:
    """Nodes below `roots`, last recorded first; iterative, so depth has no limit."""
    seen, stack = set(roots), list(roots)
    add, pop, push = seen.add, stack.pop, stack.append
    while stack:
        for parent in pop().parents:
            if parent is not None and parent not in seen:
                add(parent)
                push(parent)
    return sorted(seen, key=_order, reverse=True)


_order = attrgetter("order")


def in_graph(y) -> bool:
    """Whether the gradient of a result may still be asked for: no part was walked back."""
    if y.node is None:
        return False
    return all(n.saved is not RELEASED for n in reachable([y.node]))


def _leading_to(nodes, targets) -> set | None:
    """Of `nodes` (last first), those from which a target can be reached; None: all."""
    if targets.keys() == {n for n in nodes if type(n) is Leaf}:
        return None
    useful = set(targets)
    for node in reversed(nodes):
        if node not in useful and any(p in useful for p in node.parents):
            useful.add(node)
    return useful


class Sweep:
    """One reverse sweep. `targets` maps nodes to be captured; None accumulates into leaves."""

    def __init__(
        self, roots, seeds, *, targets=None, retain=False, create=False, into=None
    ):
        self.retain, self.create = retain, create
        self.targets, self.into = targets, into
        self.captured: dict = {}
        self.grads: dict = {}
        self.members: set | None = None
        self.nodes = reachable(roots)
        goals = targets if targets is not None else into
        floor.get().walks(self.nodes, goals)
        self.useful = None if goals is None else _leading_to(self.nodes, goals)
        for i, root in enumerate(roots):
            before = self.grads.get(root)
            self.grads[root] = seeds[i] if before is None else before + seeds[i]

    def run(self):
        """Walk, and return what was captured."""
        token = recording.set(True) if self.create else None
        try:
            if floor.get() is NUMPY:
                with hushed():
                    self._walk()
            else:
                self._walk_written()
        finally:
            if token is not None:
                recording.reset(token)
        return self.captured

    def _walk_written(self):
        """Walk while a program is written down, whose lines tell of which node they are."""
        if all(anomalies.get()):
            floor.get().needs_python(
                "detect_anomaly looks for NaN; compile(check='nan') does"
            )
        around = written.get()  # a derivative of which this is a part, or None
        try:
            self._walk()
        finally:
            written.set(around)

    def _walk(self):
        """Node by node, in one frame: a call for each would cost as much as what it does."""
        grads, useful, targets = self.grads, self.useful, self.targets
        create, retain, take = self.create, self.retain, grads.pop
        numbers = floor.get() is NUMPY  # a program written down asks for arrays
        plain = numbers and not all(anomalies.get())
        for node in self.nodes:
            g = take(node, None)
            if g is None or (useful is not None and node not in useful):
                continue
            if node.rare:
                alone = getrefcount(g) == _ALONE
                g = self._rare(node, g, alone)
                if g is None:
                    continue
            if targets is not None and node in targets:
                self.captured.setdefault(node, g)
            parents, need = node.parents, node.need
            if useful is not None:
                need = [p in useful for p in parents]
                if True not in need:
                    continue
            xs, y = node.saved, node.saved_y
            if type(xs) is not Unread:
                xs = inputs(node, create, numbers)
            if y is not None and (create or node.y_version is not None):
                y = output(node, create)
            if plain:
                gs = node.prim.vjp(g, y, xs, node.params, need)
            else:
                gs = _watched(node, g, y, xs, need)
            if node.hooks:
                gs = _node_hooks(node, g, gs, create)
            for i, parent in enumerate(parents):
                gp = gs[i]
                if gp is None or parent is None:
                    continue
                grads[parent] = _sum(take(parent), gp) if parent in grads else gp
            if not retain and (y is not None or type(xs) is not Unread):
                node.saved, node.saved_y = RELEASED, None
            gs = gp = None  # the sweep alone may refer to what it accumulates

    def _rare(self, node, g, alone):
        """Hooks before a node, leaves, and outputs of operations with several."""
        if node.prehooks:
            g = self._hooked(node, g)
        if type(node) is Leaf:
            if self.targets is None:
                self._arrive(node, g, alone)
            elif node in self.targets:
                self.captured[node] = g
            return None
        if self.targets is not None and node in self.targets:
            self.captured[node] = g
        if node.pick is not None:
            return self._collect(node, g)
        return _before(node, g, self.create) if node.before else g

    def passes(self, node) -> bool:
        """Whether this sweep goes through `node`."""
        if self.members is None:
            self.members = set(self.nodes) if self.useful is None else self.useful
        return node in self.members

    def _hooked(self, node, g):
        hooks = node.prehooks.values()
        for hook in sorted(hooks, key=_comes_last) if len(hooks) > 1 else tuple(hooks):
            if type(hook) is Arrival:
                hook.arrived(self, node.level.wrap(g) if not isinstance(g, Box) else g)
                continue
            ready = self.create or isinstance(g, list) or at_least(g, node.level)
            boxed = g if ready else node.level.wrap(g)
            out = hook(boxed)
            if out is not None:
                _check_hooked(hook, boxed, out)
                g = cotangent(out, node.level, self.create)
        return g

    def _collect(self, node, g):
        """An output of an operation with several: its cotangent joins the others'."""
        (parent,) = node.parents
        slots = self.grads.get(parent)
        if slots is None:
            slots = self.grads[parent] = [None] * parent.width
        i = node.pick
        slots[i] = g if slots[i] is None else slots[i] + g

    def _arrive(self, node, g, alone):
        """The cotangent of a leaf is complete; `alone`: nothing else refers to its memory.

        One that was frozen since the graph was recorded takes none.
        """
        tensor = node.tensor()
        if tensor is None or tensor.node is None:
            return
        if self.into is not None and node not in self.into:
            return
        if node.before:
            g, alone = _before(node, g, self.create), False
        accumulate(tensor, g, self.create, alone)
        if node.hooks:
            _node_hooks(node, g, (), self.create)
        for hook in tuple(tensor.post_hooks.values()) if tensor.post_hooks else ():
            hook(tensor)


def _references_of_a_local() -> int:
    x = np.empty(0)
    return getrefcount(x)


_ALONE = _references_of_a_local()


def _sum(before, g):
    """before + g, in the memory of `before` where nothing else refers to it."""
    alone = type(before) is np.ndarray and getrefcount(before) == _ALONE
    mine = alone and type(g) is np.ndarray and before.base is None
    if mine and g.dtype == before.dtype and g.shape == before.shape:
        return np.add(before, g, out=before)
    return before + g


def _watched(node, g, y, xs, need):
    """The rule of `node` while a program is written down, or anomalies are looked for."""
    below = floor.get()
    if below is not NUMPY:
        written.set(in_backward(node.site))
    gs = node.prim.vjp(g, y, xs, node.params, need)
    below.walked(node, g, gs)
    if all(anomalies.get()):
        _need_numbers(node, gs)
    return gs


# ---------------------------------------------------------------- hooks


def _check_hooked(hook, before, after):
    """What a tensor's hook returned must be able to stand for its gradient."""
    if isinstance(before, list):
        return
    name = getattr(hook, "__name__", repr(hook))
    if not isinstance(after, Box):
        raise ArgumentTypeError(
            f"expected Variable, but hook '{name}' returned {type(after).__name__}"
        )
    if dtype_of(after) != dtype_of(before):
        raise GradError(
            f"hook '{name}' has changed the type of value (was {before.dtype}, got "
            f"{after.dtype})"
        )
    if tuple(after.shape) != tuple(before.shape):
        raise GradError(
            f"hook '{name}' has changed the size of value (was {tuple(before.shape)}, got "
            f"{tuple(after.shape)})"
        )


def _comes_last(hook) -> bool:
    return getattr(hook, "last", False)


def at_least(g, level) -> bool:
    """Already a value of this level, or of one inside it (a cotangent under vmap)."""
    return isinstance(g, Box) and g.level.depth >= level.depth


def cotangent(x, level, create: bool):
    """What a user gives for a cotangent, perhaps from outside, as a sweep on `level` has it."""
    if not isinstance(x, Box):
        return x
    x.sync()
    if x.level.depth < level.depth:
        x = level.own(x)
    below = floor.get()
    if below is NUMPY:
        return x if create else stripped(x, level)
    below.keep((x,))
    return x if create else below.known(stripped(x, level))


def _boxed(node, xs):
    wrap = node.level.wrap
    return tuple(x if x is None or isinstance(x, Box) else wrap(x) for x in xs)


def _before(node, g, create):
    """The cotangents of the results, seen and perhaps replaced by the node's prehooks."""
    gs = _boxed(node, g if isinstance(g, list) else (g,))
    for hook in tuple(node.before.values()):
        out = hook(gs)
        if out is not None:
            gs = out if isinstance(out, tuple) else (out,)
    gs = [cotangent(x, node.level, create) for x in gs]
    return gs if isinstance(g, list) else gs[0]


def _node_hooks(node, g, gs, create):
    """The cotangents of the inputs, seen and perhaps replaced by the node's hooks."""
    gs, gy = _boxed(node, gs), _boxed(node, g if isinstance(g, list) else (g,))
    for hook in tuple(node.hooks.values()):
        out = hook(gs, gy)
        if out is not None:
            gs = out if isinstance(out, tuple) else (out,)
    return [cotangent(x, node.level, create) for x in gs]


def _need_numbers(node, gs) -> None:
    """The error for a NaN among the cotangents of a node's inputs."""
    for i, g in enumerate(gs):
        while isinstance(g, Box):
            g = g.value
        if isinstance(g, np.ndarray) and g.dtype.kind in "fcV" and np.isnan(g).any():
            raise GradError(
                f"{node.name()} gave NaN as the gradient of its input {i}\n"
                f"  the operation was recorded in {show_site(node.site)}"
            )
