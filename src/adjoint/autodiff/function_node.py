"""The node of a `Function` on a tape: what its forward left, and the user's `backward`."""

from __future__ import annotations

import weakref

import numpy as np

from ..core.bind import Box, dtype_of
from ..core.dtype import is_inexact
from ..core.primitive import op, spec_of, sum_to
from ..errors import ArgumentTypeError, GradError, user_site
from .backward import cotangent, reachable
from .inplace import forbid_leaf, take_place
from .keeping import Packed, alias
from .modes import no_grad, packing_of, recording
from .node import RELEASED, Leaf, Node, Record, Unread, stale
from .tape import BASE, belongs
from .versions import versioned


class Context:
    """What `forward` and `setup_context` leave for `backward` and `jvp`."""

    def __init__(self, needs):
        self.needs_input_grad = needs
        self._given = {"backward": (), "forward": None, "dirty": (), "constant": ()}
        self._materialize = True
        self._now: tuple | None = None

    def save_for_backward(self, *tensors):
        """Keep inputs or outputs for `backward`, which finds them in `saved_tensors`."""
        self._given["backward"] = _all_tensors("save_for_backward", tensors)

    def save_for_forward(self, *tensors):
        """Keep inputs or outputs for `jvp`, which finds them in `saved_tensors`."""
        self._given["forward"] = _all_tensors("save_for_forward", tensors)

    def mark_dirty(self, *tensors):
        """Say which inputs `forward` has overwritten; they are outputs as well."""
        self._given["dirty"] = tensors

    def mark_non_differentiable(self, *tensors):
        """Say which outputs have no derivative."""
        self._given["constant"] = tensors

    def set_materialize_grads(self, value: bool):
        """Whether missing gradients arrive as zeros (as they do by default) or as None."""
        self._materialize = bool(value)

    @property
    def saved_tensors(self):
        """What was saved; to be asked for in `backward` and `jvp`."""
        if self._now is None:
            return self._given["backward"]
        return self._now

    def _using(self, tensors, f, *args):
        """f(self, *args) with `tensors` as the saved ones."""
        before, self._now = self._now, tuple(tensors)
        try:
            return f(self, *args)
        finally:
            self._now = before


def _all_tensors(name, xs):
    for i, x in enumerate(xs):
        if x is not None and not isinstance(x, Box):
            raise ArgumentTypeError(
                f"{name} can only save variables, but argument {i} is of type "
                f"{type(x).__name__}",
                hint="keep other things as attributes: ctx.n = n",
            )
    return xs


def below(x, level):
    """The value of `x` one level down, as a tensor."""
    if not belongs(x, level):
        return x
    return x.value if isinstance(x.value, Box) else BASE.wrap(x.value)


def needs(args):
    return tuple(isinstance(x, Box) and x.requires_grad for x in args)


def as_tuple(out):
    return out if isinstance(out, tuple) else (out,)


def in_form(out, new):
    """`new` in the form of `out`: a tuple, or the one thing it is."""
    return tuple(new) if isinstance(out, tuple) else new[0]


def for_jvp(ctx):
    given = ctx._given
    return given["backward"] if given["forward"] is None else given["forward"]


def recorded(cls, ctx, args, out, level):
    """The outputs in their places in the graph, with a node that calls `backward`."""
    saved, given = for_jvp(ctx), ctx._given
    parents = tuple(x.node if belongs(x, level) else None for x in args)
    track = recording.get() and any(p is not None for p in parents)
    for x in given["dirty"]:
        _check_dirty(x, level)
    outs = as_tuple(out)
    if not track:
        return out, ctx, saved
    specs = [spec_of(x) if isinstance(x, Box) else None for x in args]
    made = [spec_of(y) if isinstance(y, Box) else None for y in outs]
    node = FunctionNode(
        _Pull(cls, ctx, level, specs, made), {}, parents, needs(args), (), user_site(4)
    )
    node.level, node.prim.node = level, weakref.ref(node)
    keeps = tuple(
        _keep(node, i, x, outs, given) for i, x in enumerate(given["backward"])
    )
    node.saved = list(keeps) if keeps else Unread()
    if isinstance(out, tuple):
        node.width = len(outs)
    placed = [_placed(node, i, y, args, given) for i, y in enumerate(outs)]
    ctx._given = {}
    return in_form(out, placed), ctx, saved


def _check_dirty(x, level):
    if level is not BASE:
        raise GradError("mark_dirty is not supported inside function transforms")
    forbid_leaf(x, "mark_dirty")


def among(x, xs) -> bool:
    return any(x is other for other in xs)


def _place(node, i):
    """Where output i of `node` is in the graph."""
    if node.width is None:
        return node
    pick = Node(node.prim, {}, (node,), (), site=node.site)
    pick.pick, pick.level, pick.rare = i, node.level, True
    return pick


def _placed(node, i, y, args, given):
    if not isinstance(y, Box):
        return y
    if not is_inexact(dtype_of(y)) or among(y, given["constant"]):
        return alias(y, None) if among(y, args) else y
    place = _place(node, i)
    if among(y, given["dirty"]):
        take_place(y, place)
    elif among(y, args) or y.base is not None:
        y = alias(y, place)
    else:
        y.node = place
        y.plain = y.plain and type(y.value) is np.ndarray
    return y


class Kept:
    """A tensor that `forward` saved; an output without its place, which would be a cycle."""

    __slots__ = ("n", "output", "x")

    def __init__(self, x, n, output):
        self.x, self.n, self.output = x, n, output

    def restore(self, node, boxed):
        """The tensor again, if it is still what it was."""
        x = self.x.restore() if type(self.x) is Packed else self.x
        watched = x is self.x and x is not None and x.version is not None
        if watched and x.version.n != self.n:
            raise GradError(stale(node, "a saved tensor", x, x.version, self.n))
        if self.output is not None and boxed:
            x = alias(x, _place(node, self.output))
        return x


def _keep(node, i, x, outs, given):
    if x is None:
        return Kept(None, 0, None)
    n, output = versioned(x).n, None
    for k, y in enumerate(outs):
        if x is y:
            constant = not is_inexact(dtype_of(y)) or among(y, given["constant"])
            x, output = alias(x, None), None if constant else k
    hooks = packing_of(node.level)
    return Kept(Packed(hooks, x) if hooks else x, n, output)


class FunctionNode(Node):
    """The node of a `Function`; what `forward` put on ctx can be read here too."""

    def name(self):
        """The class's name and Backward, as PyTorch has it."""
        return f"{self.prim.name}Backward"

    @property
    def saved_tensors(self):
        """What was saved for backward."""
        if self.saved is RELEASED:
            raise GradError(
                "Trying to access the saved tensors after they have been freed",
                hint="retain_graph=True in the first backward keeps them",
            )
        return tuple(k.restore(self, True) for k in self.saved)

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.prim.ctx, name)


class _Pull(Record):
    """The record that the node of a Function has: its reverse rule is the user's."""

    def __init__(self, cls, ctx, level, specs, made):
        self.pull, self.ctx, self.level = cls._pull(), ctx, level
        self.specs, self.made, self.name = specs, made, cls.__name__

    def vjp(self, g, y, xs, params, need):
        """Cotangents of the inputs, by the user's `backward`."""
        gs = g if isinstance(g, list) else [g]
        boxed = any(belongs(a, self.level) for a in gs)
        gs = [
            self._ready(a, spec, boxed) for a, spec in zip(gs, self.made, strict=True)
        ]
        saved = [k.restore(self.node(), boxed) for k in xs]
        return self._call(gs, saved, boxed, need)

    def _call(self, gs, saved, boxed, need):
        ctx, pull = self.ctx, self.pull
        ctx.needs_input_grad = tuple(need)
        if boxed:
            out = ctx._using(saved, pull, *gs)
        elif self.level is BASE:
            with no_grad():
                out = ctx._using(saved, pull, *gs)
        else:
            saved = [below(x, self.level) for x in saved]
            out = ctx._using(saved, pull, *gs)
        return self._checked(as_tuple(out), boxed)

    def _ready(self, g, spec, boxed):
        """A cotangent as `backward` sees it: a tensor; None or zeros where there is none."""
        if g is None:
            if spec is None or not self.ctx._materialize:
                return None
            return BASE.wrap(np.zeros(spec.shape, spec.dtype))
        if boxed or (isinstance(g, Box) and g.level.depth >= BASE.depth):
            return g
        return BASE.wrap(np.asarray(g) if not isinstance(g, Box) else g)

    def _checked(self, out, boxed):
        count = len(self.specs)
        if len(out) < count or any(x is not None for x in out[count:]):
            raise GradError(
                f"function {self.name}Backward returned an incorrect number of gradients "
                f"(expected {count}, got {len(out)})",
                hint="one for each argument of forward but ctx, None where there is none",
            )
        return [
            self._fit(i, g, spec, boxed)
            for i, (g, spec) in enumerate(zip(out, self.specs, strict=False))
        ]

    def _fit(self, i, g, spec, boxed):
        if g is None:
            return None
        if spec is None:
            raise GradError(
                f"function {self.name}Backward returned a gradient different from None at "
                f"position {i + 1}, but the corresponding forward input was not a Variable"
            )
        if not isinstance(g, Box):
            raise ArgumentTypeError(
                f"function {self.name}Backward: expected a Tensor or None as gradient "
                f"{i}, got {type(g).__name__}"
            )
        g.sync()
        if tuple(g.shape) != tuple(spec.shape):
            g = self._reduced(i, g, spec)
        if dtype_of(g) != spec.dtype:
            g = op.cast(g, dtype=spec.dtype)
        return cotangent(g, self.level, boxed)

    def _reduced(self, i, g, spec):
        """Broadcasting undone, where it is that."""
        pairs = zip(reversed(g.shape), reversed(spec.shape), strict=False)
        if g.ndim < len(spec.shape) or any(n != m and m != 1 for n, m in pairs):
            raise GradError(
                f"Function {self.name}Backward returned an invalid gradient at index {i} - "
                f"got {list(g.shape)} but expected shape compatible with {list(spec.shape)}"
            )
        return sum_to(g, spec.shape)


def bespoke(nodes) -> bool:
    """Whether on the way back something happens that the program does not show."""
    return any(
        isinstance(n, FunctionNode)
        or (not isinstance(n, Leaf) and (n.hooks or n.prehooks or n.before))
        for n in reachable(nodes)
    )
