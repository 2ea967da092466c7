"""What a recorded graph still knows: shapes, values and adjoints of its nodes.

Nodes keep what their reverse rule reads and no more. The rest is worked out from that, and
nothing is changed: no `.grad`, no hook, no saved value.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.bind import Box, bind
from ..core.primitive import op, spec_of
from ..core.shape import Spec
from ..errors import AdjointError, GradError
from .keeping import Packed, PackedResult
from .modes import no_grad
from .node import RELEASED, Leaf
from .saved import inputs, output
from .tape import stripped


def overwritten(node, i, x) -> bool:
    """Whether the memory of saved input `i` has been written since."""
    then = node.stamps.get(i, 0) if node.stamps else 0
    return x.version is not None and x.version.n != then


def saved_by(node) -> tuple | list:
    """What a node still holds of each input; nothing once it was freed."""
    return () if node.saved is RELEASED else node.saved


class Specs:
    """Shapes and dtypes: from values at hand, from what consumers keep, by shape rules."""

    def __init__(self, nodes, outputs):
        self.found = {y.node: spec_of(y) for y in outputs}
        for node in nodes:
            x = node.tensor() if type(node) is Leaf else None
            if x is not None:
                self.found[node] = spec_of(x)
        for node in reversed(nodes):
            self._inputs(node)
        for node in nodes:
            self._result(node)

    def _inputs(self, node):
        """Every input is saved, or its Spec is, or it has the shape of the result."""
        y = self.found.get(node)
        for parent, x in zip(node.parents, saved_by(node), strict=False):
            if parent is None or parent in self.found or type(x) is Packed:
                continue
            if x is not None:
                self.found[parent] = x if isinstance(x, Spec) else spec_of(x)
            elif y is not None and node.prim.family == "elementwise":
                self.found[parent] = y

    def _result(self, node):
        if type(node) is Leaf or node in self.found or node.prim.calls_back:
            return
        if node.pick is not None:
            specs = self.found.get(node.parents[0])
            if specs is not None:
                self.found[node] = specs[node.pick]
            return
        xs = [self._spec(node, i) for i in range(len(node.parents))]
        if None not in xs:
            try:
                self.found[node] = node.prim.infer(*xs, **node.params)
            except (AdjointError, NotImplementedError):
                return

    def _spec(self, node, i):
        parent = node.parents[i]
        if parent is not None:
            return self.found.get(parent)
        x = next(iter(saved_by(node)[i : i + 1]), None)
        return None if x is None or type(x) is Packed else spec_of(x)


class Values:
    """Values: the results' own, the leaves' as they are now, what is saved, the rest again."""

    def __init__(self, nodes, outputs):
        self.found = {y.node: y.value for y in outputs}
        self.lost: set = set()  # overwritten since
        for node in nodes:
            if type(node) is not Leaf:
                self._kept(node)
        with no_grad():
            for node in nodes:
                if node not in self.found:
                    self._again(node)

    def _kept(self, node):
        for i, (parent, x) in enumerate(
            zip(node.parents, saved_by(node), strict=False)
        ):
            if parent is None or not isinstance(x, Box):
                continue
            if overwritten(node, i, x):
                self.lost.add(parent)
            else:
                self.found[parent] = stripped(x, node.level)
        stale = node.y_version is not None and node.y_version.n
        packed = isinstance(node.saved_y, PackedResult)
        if node.saved_y is not None and not stale and not packed:
            self.found[node] = node.saved_y

    def _again(self, node):
        if type(node) is Leaf:
            x = None if node in self.lost else node.tensor()
            if x is not None:
                self.found[node] = x.value
            return
        if node.prim.calls_back:
            return
        if node.pick is not None:
            ys = self.found.get(node.parents[0])
            if ys is not None:
                self.found[node] = ys[node.pick]
            return
        xs = [self._input(node, i) for i in range(len(node.parents))]
        if all(x is not None for x in xs):
            self.found[node] = bind(node.prim, *xs, **node.params)

    def _input(self, node, i):
        parent = node.parents[i]
        if parent is not None:
            return self.found.get(parent)
        x = next(iter(saved_by(node)[i : i + 1]), None)
        return None if isinstance(x, (Spec, Packed)) else stripped(x, node.level)


class Adjoints:
    """A reverse sweep for display: `total` by node, and `steps` in the order of `+=`.

    A step is (node, i, contribution to its input i, the sum so far). `stopped` is the error of
    the last operation that could not be passed, such as one whose values were freed.
    """

    def __init__(self, nodes, outputs):
        self.total: dict = {}
        self.steps: list = []
        self.stopped: GradError | None = None
        for y in outputs:
            self._add(y.node, op.ones_like(y.value))
        with no_grad(), np.errstate(all="ignore"):
            for node in reversed(nodes):
                g = self.total.get(node)
                if g is not None and type(node) is not Leaf:
                    self._through(node, g)

    def _add(self, node, g):
        before = self.total.get(node)
        self.total[node] = g if before is None else before + g

    def _through(self, node, g):
        if node.pick is not None:
            (parent,) = node.parents
            slots = self.total.setdefault(parent, [None] * parent.width)
            slots[node.pick] = g
            return
        try:
            gs = _pulled(node, g)
        except GradError as error:
            self.stopped = error
            return
        for i, (parent, gp) in enumerate(zip(node.parents, gs, strict=False)):
            if parent is not None and gp is not None:
                self._add(parent, gp)
                self.steps.append((node, i, gp, self.total[parent]))


def _pulled(node, g):
    """The cotangents of a node's inputs from that of its result."""
    y = None if node.saved_y is None else output(node, False)
    return node.prim.vjp(g, y, inputs(node, False), node.params, node.need)


def partials(node, spec, names) -> list:
    """(name, ∂result/∂input) for the inputs whose partial has their own shape: those of
    elementwise operations and of real scalars."""
    if type(node) is Leaf or not isinstance(spec, Spec) or spec.dtype.kind == "c":
        return []
    try:
        with no_grad(), np.errstate(all="ignore"):
            gs = _pulled(node, np.ones(spec.shape, spec.dtype))
    except GradError:
        return []
    diagonal = node.prim.family == "elementwise"
    return [
        (name, p)
        for name, parent, p in zip(names, node.parents, gs, strict=False)
        if parent is not None and p is not None
        if math.prod(spec.shape) == 1 or (diagonal and tuple(p.shape) == spec.shape)
    ]
