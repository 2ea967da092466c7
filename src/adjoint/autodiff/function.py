"""Function: an operation whose derivatives the user writes, as `torch.autograd.Function`.

`apply` works level by level, as `bind` does: at the bottom `forward` runs unrecorded; a tape
adds a node that calls `backward`, forward mode calls `jvp`, vmap calls `vmap`.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..core.bind import Box, dtype_of, new_level
from ..core.dtype import is_inexact
from ..core.primitive import op, spec_of, sum_to
from ..errors import ArgumentTypeError, GradError, user_site
from .backward import reachable
from .batch import Batch
from .forward import Forward
from .inplace import forbid_leaf, take_place
from .keeping import Packed, alias
from .modes import no_grad, packing, recording
from .node import RELEASED, Leaf, Node, Unread, stale
from .tape import BASE, Tape, belongs
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


class VmapInfo(NamedTuple):
    """What `Function.vmap` is told of the map around it."""

    batch_size: int
    randomness: str


class Function:
    """An operation with derivatives of your own.

    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x ** 3
    ...     @staticmethod
    ...     def backward(ctx, gy):
    ...         (x,) = ctx.saved_tensors
    ...         return gy * 3 * x ** 2
    >>> x = tensor(2., requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad
    tensor(12.)
    """

    generate_vmap_rule = False

    @staticmethod
    def forward(*args, **kwargs) -> Any:
        """forward(ctx, *inputs), or forward(*inputs) beside a `setup_context`."""
        raise NotImplementedError("a Function must define the staticmethod forward")

    @staticmethod
    def setup_context(ctx, inputs, output) -> Any:
        """Save what the derivatives need, where `forward` does not take ctx."""
        raise NotImplementedError("setup_context is not defined")

    @staticmethod
    def backward(ctx, *grad_outputs) -> Any:
        """The gradient of each input from those of the outputs."""
        raise NotImplementedError(
            "a Function must define the staticmethod backward (or vjp) for reverse mode"
        )

    vjp = backward

    @staticmethod
    def jvp(ctx, *grad_inputs) -> Any:
        """The tangent of each output from those of the inputs."""
        raise NotImplementedError(
            "a Function must define the staticmethod jvp for forward mode"
        )

    @staticmethod
    def vmap(info, in_dims, *args) -> Any:
        """(output, out_dims) for inputs of which some have a batch dim."""
        raise NotImplementedError("vmap is not defined")

    @classmethod
    def apply(cls, *args):
        """Carry out the operation."""
        return _apply(cls, args)[0]


def _has(cls, name) -> bool:
    return getattr(cls, name) is not getattr(Function, name)


def _below(x, level):
    """The value of `x` one level down, as a tensor."""
    if not belongs(x, level):
        return x
    return x.value if isinstance(x.value, Box) else BASE.wrap(x.value)


def _tuple(out):
    return out if isinstance(out, tuple) else (out,)


def _like(out, new):
    """`new` in the form of `out`: a tuple, or the one thing it is."""
    return tuple(new) if isinstance(out, tuple) else new[0]


def _apply(cls, args):
    """(output, ctx, what jvp may read), all at the deepest level among `args`."""
    level = BASE
    for x in args:
        if isinstance(x, Box):
            x.sync()
            level = x.level if x.level.depth > level.depth else level
    if level.ground:
        return _at_the_bottom(cls, args, level)
    return _AT[type(level)](cls, args, level)


def _needs(args):
    return tuple(isinstance(x, Box) and x.requires_grad for x in args)


def _at_the_bottom(cls, args, level):
    ctx = Context(_needs(args))
    with no_grad():
        if _has(cls, "setup_context"):
            out = cls.forward(*args)
            cls.setup_context(ctx, args, out)
        else:
            out = cls.forward(ctx, *args)
    return _recorded(cls, ctx, args, out, level)


def _with_context(cls, args, out):
    """A ctx for this level, where `forward` itself ran further down."""
    ctx = Context(_needs(args))
    with no_grad():
        cls.setup_context(ctx, args, out)
    return ctx


def _need_setup(cls):
    if not _has(cls, "setup_context"):
        raise GradError(
            f"{cls.__name__}: In order to use an autograd.Function with function "
            "transforms (vmap, grad, jvp, jacrev, ...), it must override the "
            "setup_context staticmethod",
            hint="forward(*inputs), and setup_context(ctx, inputs, output)",
        )


def _at_tape(cls, args, level):
    _need_setup(cls)
    out, _, _ = _apply(cls, tuple(_below(x, level) for x in args))
    out = _like(out, [level.wrap(y) if isinstance(y, Box) else y for y in _tuple(out)])
    return _recorded(cls, _with_context(cls, args, out), args, out, level)


def _at_forward(cls, args, level):
    out, ctx, saved = _apply(cls, tuple(_below(x, level) for x in args))
    ts = [x.tangent if belongs(x, level) else None for x in args]
    if all(t is None for t in ts):
        moved = (None,) * len(_tuple(out))
    else:
        moved = _tangents(cls, ctx, saved, args, ts, out)
    pairs = zip(_tuple(out), moved, strict=True)
    out = _like(out, [level.dual(y, t) if isinstance(y, Box) else y for y, t in pairs])
    if not _has(cls, "setup_context"):
        return out, ctx, saved
    ctx = _with_context(cls, args, out)
    return out, ctx, _for_jvp(ctx)


def _tangents(cls, ctx, saved, args, ts, out):
    if not _has(cls, "jvp"):
        raise GradError(f"{cls.__name__} has no jvp staticmethod for forward mode")
    if ctx._materialize:
        ts = [
            op.zeros_like(x) if t is None and isinstance(x, Box) else t
            for t, x in zip(ts, args, strict=True)
        ]
    moved = _tuple(ctx._using(saved, cls.jvp, *ts))
    if len(moved) != len(_tuple(out)):
        raise GradError(
            f"{cls.__name__}.jvp returned {len(moved)} tangents for "
            f"{len(_tuple(out))} outputs"
        )
    return moved


def _for_jvp(ctx):
    given = ctx._given
    return given["backward"] if given["forward"] is None else given["forward"]


# ---------------------------------------------------------------- on a tape


def _recorded(cls, ctx, args, out, level):
    """The outputs in their places in the graph, with a node that calls `backward`."""
    saved, given = _for_jvp(ctx), ctx._given
    parents = tuple(x.node if belongs(x, level) else None for x in args)
    track = recording.get() and any(p is not None for p in parents)
    for x in given["dirty"]:
        _check_dirty(x, level)
    outs = _tuple(out)
    if not track:
        return out, ctx, saved
    specs = [spec_of(x) if isinstance(x, Box) else None for x in args]
    made = [spec_of(y) if isinstance(y, Box) else None for y in outs]
    node = FunctionNode(
        _Pull(cls, ctx, level, specs, made), {}, parents, _needs(args), (), user_site(4)
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
    return _like(out, placed), ctx, saved


def _check_dirty(x, level):
    if level is not BASE:
        raise GradError("mark_dirty is not supported inside function transforms")
    forbid_leaf(x, "mark_dirty")


def _among(x, xs) -> bool:
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
    if not is_inexact(dtype_of(y)) or _among(y, given["constant"]):
        return alias(y, None) if _among(y, args) else y
    place = _place(node, i)
    if _among(y, given["dirty"]):
        take_place(y, place)
    elif _among(y, args) or y.base is not None:
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
            constant = not is_inexact(dtype_of(y)) or _among(y, given["constant"])
            x, output = alias(x, None), None if constant else k
    pack = packing.get()
    return Kept(Packed(pack, x) if pack else x, n, output)


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


class _Pull:
    """The record that the node of a Function has: its reverse rule is the user's."""

    family, saves_y, differentiable, outputs, view = "function", False, True, 1, False

    def __init__(self, cls, ctx, level, specs, made):
        self.cls, self.ctx, self.level = cls, ctx, level
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
        ctx, cls = self.ctx, self.cls
        pull = cls.backward if _has(cls, "backward") else cls.vjp
        ctx.needs_input_grad = tuple(need)
        if boxed:
            out = ctx._using(saved, pull, *gs)
        elif self.level is BASE:
            with no_grad():
                out = ctx._using(saved, pull, *gs)
        else:
            saved = [_below(x, self.level) for x in saved]
            out = ctx._using(saved, pull, *gs)
        return self._checked(_tuple(out), boxed)

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
        return g.value if self.level is BASE and not boxed and belongs(g, BASE) else g

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


# ---------------------------------------------------------------- under vmap


def _at_batch(cls, args, level):
    dims = tuple(x.batch_dim if belongs(x, level) else None for x in args)
    below = tuple(_below(x, level) for x in args)
    if all(d is None for d in dims):
        out = _apply(cls, below)[0]
        out_dims = (None,) * len(_tuple(out))
    elif _has(cls, "vmap"):
        out, out_dims = cls.vmap(VmapInfo(level.size, level.randomness), dims, *below)
    elif cls.generate_vmap_rule:
        _need_setup(cls)
        out = _mapped(cls, level, dims).apply(*below)
        out_dims = (0,) * len(_tuple(out))
    else:
        raise GradError(
            f"{cls.__name__} has no vmap support",
            hint="define the vmap staticmethod or set generate_vmap_rule = True",
        )
    return _wrapped_batch(cls, args, level, out, out_dims)


def _wrapped_batch(cls, args, level, out, out_dims):
    out_dims = (
        out_dims if isinstance(out_dims, tuple) else (out_dims,) * len(_tuple(out))
    )
    out = _like(out, _boxed(level, _tuple(out), out_dims))
    if not _has(cls, "setup_context"):
        return out, None, ()
    ctx = _with_context(cls, args, out)
    return out, ctx, _for_jvp(ctx)


def _boxed(level, xs, dims):
    return [
        level.batched(x, d) if isinstance(x, Box) and d is not None else x
        for x, d in zip(xs, dims, strict=True)
    ]


def _first(level, x):
    """`x` with its batch dim first, broadcast in if it has none; or what is no tensor."""
    return level.unwrap(x, 0) if isinstance(x, Box) else x


def _mapped(cls, around, dims):
    """The Function whose forward, backward and jvp are those of `cls`, mapped over."""

    def nested():
        return new_level(Batch(around.size, around.randomness))

    def all_first(level, xs):
        return [_first(level, x) for x in xs]

    class Mapped(Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(*xs):
            with nested() as level:
                out = cls.forward(*_boxed(level, xs, dims))
                return _like(out, all_first(level, _tuple(out)))

        @staticmethod
        def setup_context(ctx, inputs, output):
            with nested() as level:
                xs = tuple(_boxed(level, inputs, dims))
                ys = _boxed(level, _tuple(output), (0,) * len(_tuple(output)))
                ctx.inner = Context(ctx.needs_input_grad)
                ctx.shapes = [
                    tuple(x.shape) if isinstance(x, Box) else None for x in xs
                ]
                cls.setup_context(ctx.inner, xs, _like(output, ys))
                given, ctx.inner._given = ctx.inner._given, {}
                kept = given["backward"]
                ctx.save_for_backward(*all_first(level, kept))
                forward = kept if given["forward"] is None else given["forward"]
                ctx.save_for_forward(*all_first(level, forward))
            constant = [
                o
                for o, y in zip(_tuple(output), ys, strict=True)
                if _among(y, given["constant"])
            ]
            ctx.mark_non_differentiable(*constant)
            ctx.set_materialize_grads(ctx.inner._materialize)

        @staticmethod
        def backward(ctx, *gs):
            with nested() as level:
                out = _inside(ctx, level, cls.backward, gs, (0,) * len(gs))
                found = zip(_tuple(out), dims, ctx.shapes, strict=False)
                return tuple(_back(level, g, d, shape) for g, d, shape in found)

        @staticmethod
        def jvp(ctx, *ts):
            with nested() as level:
                out = _inside(ctx, level, cls.jvp, ts, dims)
                return _like(out, all_first(level, _tuple(out)))

    Mapped.__name__ = Mapped.__qualname__ = f"Vmapped{cls.__name__}"
    return Mapped


def _inside(ctx, level, rule, xs, dims):
    saved = _boxed(level, ctx.saved_tensors, (0,) * len(ctx.saved_tensors))
    ctx.inner.needs_input_grad = ctx.needs_input_grad
    return ctx.inner._using(saved, rule, *_boxed(level, xs, dims))


def _back(level, g, dim, shape):
    """The gradient of an input with its batch dim at `dim`; summed if it had none."""
    if not isinstance(g, Box):
        return g
    if shape is not None:
        g = sum_to(g, shape)
    if dim is None:
        return op.sum(_first(level, g), dim=(0,), keepdim=False)
    return level.unwrap(g, dim)


_AT: dict[type, Callable] = {Tape: _at_tape, Forward: _at_forward, Batch: _at_batch}


# ---------------------------------------------------------------- once only


class _Twice:
    """The record behind what `once_differentiable` returned: no second derivative."""

    name, family, saves_y, differentiable = (
        "once_differentiable",
        "function",
        False,
        True,
    )

    def vjp(self, g, y, xs, params, need):
        """There is none."""
        raise GradError(
            "trying to differentiate twice a function that was marked with "
            "@once_differentiable"
        )


def once_differentiable(f):
    """Marks a `backward` whose own derivative must not be taken.

    >>> class Double(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...     @staticmethod
    ...     @once_differentiable
    ...     def backward(ctx, gy):
    ...         return gy * 2
    """

    @functools.wraps(f)
    def wrapped(ctx, *args):
        with no_grad():
            out = f(ctx, *args)
        inputs = [x for x in (*args, *ctx.saved_tensors) if isinstance(x, Box)]
        if not recording.get() or not any(x.requires_grad for x in inputs):
            return out
        parents = tuple(x.node for x in inputs if x.node is not None)
        node = Node(_Twice(), {}, parents, (True,) * len(parents), Unread())
        outs = [alias(x, node) if isinstance(x, Box) else x for x in _tuple(out)]
        return _like(out, outs)

    return wrapped
