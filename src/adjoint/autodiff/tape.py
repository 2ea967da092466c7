"""The tape: a node per operation, holding its parents and what its rule reads."""

from __future__ import annotations

import weakref
from collections import defaultdict
from itertools import count
from typing import NamedTuple

import numpy as np

from ..core.bind import (
    NUMPY,
    Box,
    Level,
    at_bottom,
    bind,
    dtype_of,
    floor,
    moved,
    note_change,
    quiet,
)
from ..core.dtype import is_inexact
from ..core.primitive import spec_of
from ..core.shape import Spec
from ..errors import GradError, show_site, user_site
from .modes import inferring, packing, recording

_orders = count()


def next_order() -> int:
    """A number above those of all nodes so far."""
    return next(_orders)


class Version:
    """How often a piece of memory was written in place, shared by its views."""

    __slots__ = ("calls", "n", "site")

    def __init__(self):
        self.n, self.site, self.calls = 0, None, ()


_N = Version.n


class Counted(Version):
    """The version of memory that compiled programs write: their calls count too."""

    __slots__ = ()
    n = property(
        lambda self: _N.__get__(self) + sum(c.value for c in self.calls),
        lambda self, n: _N.__set__(self, n - sum(c.value for c in self.calls)),
    )

    @staticmethod
    def by(version: Version, calls) -> None:
        """Let `calls`, a counter, count in this version from now on."""
        n = version.n
        version.__class__ = Counted
        version.calls = (*version.calls, calls)
        version.n = n


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
        self.prim, self.params, self.parents, self.need = prim, params, parents, need
        self.saved, self.saved_y, self.site = saved, None, site
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


def versioned(x) -> Version:
    """The version counter of `x`'s memory, which the node that saved it as result shares."""
    if x.version is None:
        x.version = _of_result(x.node)
    return x.version


def _of_result(node) -> Version:
    if node is None:
        return Version()
    if node.pick is not None:
        several = node.parents[0]
        several.y_version = several.y_version or Versions()
        return several.y_version.of[node.pick]
    node.y_version = node.y_version or Version()
    return node.y_version


class Versions:
    """Those of several results, as one: the operation that saved them reads them all."""

    def __init__(self):
        self.of = defaultdict(Version)

    n = property(lambda self: sum(v.n for v in self.of.values()))
    site = property(lambda self: next((v.site for v in self.of.values() if v.n), None))


RELEASED = ("released",)


class Unread(tuple):
    """What a node saved of inputs that its rule does not read: nothing, or their Specs."""

    __slots__ = ()


UNREAD1, UNREAD2 = Unread((None,)), Unread((None, None))


class Leaf(Node):
    """Where a leaf's gradient arrives; the leaf owns it, so it refers back weakly."""

    rare = True

    def __init__(self, tensor):
        self.prim = self.params = self.saved_y = self.site = None
        self.parents = self.need = self.saved = ()
        self.order = next(_orders)
        self.tensor = weakref.ref(tensor)
        if tensor.level is not BASE:
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
        if prim.saves_y and packing.get():
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
            return bind(
                prim, *inner, **params
            )  # a value of a finished program: it says so
        return below.process(prim, inner, params)


BASE = BaseTape()
Box.level = Node.level = BASE


def at_hand(x) -> bool:
    """Whether `x`, which is not plain, is an array of the base tape; then in its place."""
    if x.base is not None:
        refresh(x)
    own = x.__dict__
    return type(own.get("value")) is np.ndarray and x.level is BASE and not x.inference


def save(node, i, x):
    """Input `i` as the node keeps it: its version noted, packed if hooks say so."""
    if x.inference:
        raise GradError("inference tensors cannot be saved for backward")
    version = x.version
    if version is not None and version.n:
        node.stamps = {**(node.stamps or {}), i: version.n}
    pack = packing.get()
    return Packed(pack, x) if pack else x


class Packed:
    """A saved tensor that the user's pack hook turned into something else."""

    __slots__ = ("node", "packed", "unpack")

    def __init__(self, hooks, x):
        self.packed, self.unpack, self.node = hooks[0](x), hooks[1], x.node

    def restore(self):
        """The tensor again, with its place in the graph."""
        x = self.unpack(self.packed)
        if x.node is None and self.node is not None:
            x = alias(x, self.node)
        return x


class PackedResult:
    """A saved result that the user's pack hook turned into something else."""

    __slots__ = ("packed", "single", "unpack")

    def __init__(self, hooks, results):
        self.single, self.unpack = not isinstance(results, tuple), hooks[1]
        self.packed = [hooks[0](y) for y in ((results,) if self.single else results)]

    def restore(self):
        """The value or values again."""
        ys = tuple(self.unpack(p).value for p in self.packed)
        return ys[0] if self.single else ys


def pack_result(node) -> None:
    """Hand the saved result, with its version, to the pack hook."""
    y = node.saved_y
    if isinstance(y, tuple):
        versions = node.y_version = Versions()
        shown = tuple(_shown(node, v, versions.of[i]) for i, v in enumerate(y))
    else:
        node.y_version = Version()
        shown = _shown(node, y, node.y_version)
    node.saved_y = PackedResult(packing.get(), shown)


def _shown(node, value, version):
    out = node.level.wrap(value)
    out.version = version
    return out


def alias(x, node):
    """Another tensor on the same memory and version, at another place in the graph."""
    out = x.level.wrap(x.value)
    out.__dict__.update({k: v for k, v in x.__dict__.items() if k in _PAYLOAD})
    out.node, out.version = node, x.version
    return out


_PAYLOAD = frozenset({"tangent", "batch_dim", "detached", "laid"})


def as_it_is(x):
    """x in its place, with the value that it has now whatever is written into it later.

    A value that is written down never changes; memory has its variable in the program.
    """
    below = floor.get()
    if x.base is not None:
        x.sync()
    below.keep((x,))
    value = below.known(x.value) if type(x.value) is np.ndarray else x.value
    out = x.level.wrap(value)
    out.__dict__.update({k: v for k, v in x.__dict__.items() if k in _PAYLOAD})
    out.node = x.node
    return out


# ---------------------------------------------------------------- views


def mark_view(out, x, prim, params, pick=None):
    """Note that `out` shows part of `x`'s memory, so that writes reach both."""
    if not isinstance(x, Box) or x.level is not out.level:
        return
    a, b = out.value, x.value
    if isinstance(a, np.ndarray):
        if not shares(a, b):
            return
    elif prim.name == "reshape" and _may_copy(x) and _copies(x, params):
        return
    out.plain, out.version, out.inference = False, versioned(x), x.inference
    base = x if x.base is None else x.base
    out.base, out.seen = base, base.writes
    out.chain = (*x.chain, (prim, params, pick))


def mark_views(outs, x, prim, params):
    """Note it of all results, one or several."""
    if prim.outputs == 1:
        mark_view(outs, x, prim, params)
        return
    for i, out in enumerate(outs):
        mark_view(out, x, prim, params, i)


class Laid:
    """How the memory lies that a value will have, and whether that made a difference."""

    def __init__(self, strides):
        self.strides, self.seen = strides, False

    def array(self, shape, d) -> np.ndarray:
        """An array that lies so; its numbers mean nothing."""
        self.seen = True
        steps = [
            s // d.itemsize * (n - 1) for s, n in zip(self.strides, shape, strict=True)
        ]
        low = -sum(s for s in steps if s < 0)
        memory = np.zeros(low + sum(s for s in steps if s > 0) + 1, d)
        return np.ndarray(shape, d, memory, low * d.itemsize, self.strides)


def layout(x) -> np.ndarray:
    """Memory laid out as that of `x`, a traced value, will be; its numbers mean nothing."""
    base = x if x.base is None else x.base
    shape, d, laid = tuple(base.shape), dtype_of(base), base.__dict__.get("laid")
    if type(base.value) is np.ndarray:
        y = base.value
    else:
        y = np.empty(shape, d) if laid is None or 0 in shape else laid.array(shape, d)
    for prim, params, pick in x.chain:
        y = prim.eager(y, **params)
        y = y if pick is None else y[pick]
    return np.asarray(y)


def _may_copy(x) -> bool:
    """Whether it is a view, or its memory lies otherwise than row by row."""
    value = x.value
    if type(value) is np.ndarray:
        return not value.flags.c_contiguous
    return x.base is not None or "laid" in x.__dict__


def _copies(x, params) -> bool:
    """Whether a traced value, once it has memory, can be reshaped by a copy alone."""
    if x.level is not BASE and isinstance(at_bottom(x), np.ndarray):
        return False
    y = layout(x)
    return y.size > 0 and not np.may_share_memory(y, y.reshape(params["shape"]))


def shares(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether `a`, made of `b`, shows its memory: both then have the same owner.

    The owner of what `as_strided` makes is not an array, and only addresses tell.
    """
    owner = a.base
    if owner is None or owner is b or owner is b.base:
        return owner is not None
    return not isinstance(owner, np.ndarray) and np.may_share_memory(a, b)


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


def replay(chain, x):
    """Take the same views of `x`."""
    for prim, params, pick in chain:
        x = bind(prim, x, **params)
        if pick is not None:
            x = x[pick]
    return x


def refresh(x):
    """After a write to its base, a view takes its place in the graph anew."""
    base = x.base
    if x.seen == base.writes:
        return
    below = floor.get()
    held = below is not NUMPY and below.holds(x)
    if held:
        below.hold(x)
    x.seen = base.writes
    token = recording.set(True)
    try:
        again = replay(x.chain, base)
    finally:
        recording.reset(token)
    if isinstance(x.value, np.ndarray) and isinstance(again.value, np.ndarray):
        settle(x, again.node)
    elif held:
        below.write(x, again)
        settle(x, again.node)
    else:
        adopt(x, again)


def settle(x, node):
    """x has its place at `node` from now on, and keeps its gradient there if it does."""
    if x.retainer is not None:
        x.retainer.move(node)
    x.node = node


_OWN = ("level", "value", "plain", "node", "tangent", "batch_dim", "detached")


def adopt(x, new):
    """x stands for `new` from now on: its level, value and derivative."""
    if not isinstance(new, Box) or new.level.depth < x.level.depth:
        new = x.level.own(new) if isinstance(new, Box) else x.level.wrap(new)
    settle(x, new.node)
    moved.value += 1
    for name in _OWN:
        if name in new.__dict__:
            x.__dict__[name] = new.__dict__[name]
        else:
            x.__dict__.pop(name, None)


def stale(node, what, x, version, n) -> str:
    """The message for a saved value that was overwritten."""
    shape = list(x.shape) if hasattr(x, "shape") else ""
    return (
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: {what} of {node.prim.name}, {shape}, saved at version {n}, is now at "
        f"version {version.n}\n  saved in {show_site(node.site)}"
        f"\n  overwritten in {show_site(version.site)}"
    )
