"""The tape: it runs operations and records how, a node for each that needs a derivative."""

from __future__ import annotations

import numpy as np

from ..core.bind import NUMPY, Box, bind, dtype_of, floor, quiet
from ..core.dtype import is_inexact
from ..core.level import Level
from ..core.primitive import spec_of
from ..core.shape import Spec
from ..errors import user_site
from .keeping import pack_result, save
from .modes import inferring, packing, packing_of, recording
from .node import Node, Unread
from .views import mark_view, mark_views, refresh


class Tape(Level):
    """Reverse mode: runs the operation one level below and records how."""

    def process(self, prim, args, params):
        inner, parents, track = [], [], False
        for x in args:
            if isinstance(x, Box) and x.level is self:
                if x.base is not None:
                    refresh(x)
                    if x.level is not self:  # its base went to a deeper level
                        return bind(prim, *args, **params)
                inner.append(x.value)
                node = x.node
                parents.append(node)
                if node is not None:
                    track = True
            else:
                inner.append(x)
                parents.append(None)
        y = self.below(prim, inner, params)
        track = track and prim.differentiable and recording.get()
        if prim.outputs != 1:
            return self._many(prim, args, params, parents, inner, y, track)
        out = self.wrap(y)
        if track:
            out.node = self.record(prim, args, params, parents, inner, out.value)
        if prim.view:
            mark_view(out, args[0], prim, params)
        return out

    def below(self, prim, inner, params):
        """The operation one level down."""
        return bind(prim, *inner, **params)

    def wrap(self, value):
        """A tensor of this level around a value of the level below."""
        out = _new(Box.face)
        if type(value) is not np.ndarray and not isinstance(value, Box):
            value = np.asarray(value)
        out.value = value
        if self is not BASE:
            out.level = self
        elif type(value) is np.ndarray:
            out.plain = True
        if inferring.get():
            out.inference, out.plain = True, False
        return out

    def record(self, prim, args, params, parents, inner, y):
        """The node of `y`, keeping what the vjp will read, and in which version."""
        if type(y) is np.ndarray:
            if y.dtype.kind in "biu":
                return None  # integers have no derivative, whatever they are made of
        elif prim.outputs == 1 and not is_inexact(dtype_of(y)):
            return None
        need, keeps = prim.plan(parents)
        node = Node(prim, params, parents, need, site=user_site(4))
        if self is not BASE:
            node.level = self
        if prim.saves_y:
            node.saved_y = y
        pointwise = prim.family == "elementwise"
        saved = node.saved = []
        for i, x in enumerate(args):
            value = inner[i]
            if keeps is not None and keeps[i]:
                saved.append(save(node, i, x) if isinstance(x, Box.face) else x)
            elif pointwise and (parents[i] is None or value.shape == y.shape):
                saved.append(None)  # of no interest, or of the result's shape
            elif type(value) is np.ndarray:
                saved.append(_spec(Spec, (value.shape, value.dtype)))
            else:
                saved.append(spec_of(x))
        if keeps is None:
            node.saved = Unread(saved)
        if prim.saves_y and packing.get() and packing_of(self):
            pack_result(node)
        return node

    def _many(self, prim, args, params, parents, inner, ys, track):
        outs = tuple(self.wrap(y) for y in ys)
        if track:
            values = tuple(o.value for o in outs)
            node = self.record(prim, args, params, parents, inner, values)
            node.width = len(outs)
            for i, out in enumerate(outs):
                place(out, node, i)
        if prim.view:
            mark_views(outs, args[0], prim, params)
        return outs


def place(out, node, i: int) -> None:
    """Put output i of an operation with several at its place in the graph."""
    if is_inexact(dtype_of(out)):
        pick = Node(node.prim, node.params, (node,), (), site=node.site)
        pick.pick, pick.level = i, node.level
        pick.rare = True
        out.node = pick


_new, _spec = object.__new__, tuple.__new__


class BaseTape(Tape):
    """The tape of ordinary tensors, under which lies the floor itself.

    Arrays over NumPy take a shorter way to the same result.
    """

    depth, ground = 1, True

    def process(self, prim, args, params):
        inner, parents, track = [], [], False
        for x in args:
            if not isinstance(x, Box):
                inner.append(x)
                parents.append(None)
            elif x.plain or at_hand(x):
                inner.append(x.value)
                node = x.node
                parents.append(node)
                if node is not None:
                    track = True
            elif x.level.depth > self.depth:  # its base went to a deeper level
                return bind(prim, *args, **params)
            else:
                floor.get().see(args)
                return super().process(prim, args, params)
        below = floor.get()
        if prim.outputs != 1 or below is not NUMPY or prim.calls_back:
            if below is not NUMPY:
                below.see(args)
            return super().process(prim, args, params)
        try:
            y = quiet.run(prim.eager, *inner, **params)
        except Exception as error:
            prim.explain(error, args, params)
            raise
        out = _new(Box.face)
        out.value = y if type(y) is np.ndarray else np.asarray(y)
        out.plain = True
        if track and prim.differentiable and recording.get():
            out.node = self.record(prim, args, params, parents, inner, out.value)
        elif inferring.get():
            out.inference, out.plain = True, False
        if prim.view:
            mark_view(out, args[0], prim, params)
        return out

    def below(self, prim, inner, params):
        below = floor.get()
        if below is NUMPY and any(isinstance(v, Box) for v in inner):
            # A value of a finished program: it says so.
            return bind(prim, *inner, **params)
        return below.process(prim, inner, params)


BASE = BaseTape()

Box.level = Node.level = BASE


def at_hand(x) -> bool:
    """Whether `x`, which is not plain, is an array of the base tape; then in its place."""
    if x.base is not None:
        refresh(x)
    own = x.__dict__
    return type(own.get("value")) is np.ndarray and x.level is BASE and not x.inference


def opened(level, args, name: str):
    """(values one level down, what each carries under `name`); None where a write to its
    base has taken one of `args` to a deeper level."""
    values, carried = [], []
    for x in args:
        mine = isinstance(x, Box) and x.level is level
        if mine:
            x.sync()
            if x.level is not level:
                return None
        values.append(x.value if mine else x)
        carried.append(getattr(x, name) if mine else None)
    return values, carried


def enclosed(level, value):
    """A box of `level` around a value of the level below, or what makes an array."""
    out = _new(Box.face)
    out.value = value if isinstance(value, Box) else np.asarray(value)
    out.level = level
    return out


def belongs(x, level) -> bool:
    """Whether `x` is a box of this very level."""
    return isinstance(x, Box) and x.level is level


def stripped(x, level):
    """`x` without the wrapping of `level`, if it has it."""
    return x.value if isinstance(x, Box) and x.level is level else x
