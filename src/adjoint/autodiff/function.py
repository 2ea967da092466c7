"""Function: an operation whose derivatives the user writes, as `torch.autograd.Function`.

`apply` works level by level, as `bind` does: at the bottom `forward` runs unrecorded; a tape
adds a node that calls `backward`, forward mode calls `jvp`, vmap calls `vmap`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from ..core.bind import Box
from ..core.primitive import op
from ..errors import GradError
from .batch import Batch
from .forward import Forward
from .function_mapped import Mapped, batched
from .function_node import (
    Context,
    as_tuple,
    below,
    for_jvp,
    in_form,
    needs,
    recorded,
)
from .keeping import alias
from .modes import no_grad, recording
from .node import Node, Record, Unread
from .tape import BASE, Tape, belongs


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
    def _pull(cls):
        """The reverse rule by either of its names."""
        return cls.backward if _has(cls, "backward") else cls.vjp

    @classmethod
    def apply(cls, *args):
        """Carry out the operation."""
        return _apply(cls, args)[0]


def _has(cls, name) -> bool:
    return getattr(cls, name) is not getattr(Function, name)


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


def _at_the_bottom(cls, args, level):
    ctx = Context(needs(args))
    with no_grad():
        if _has(cls, "setup_context"):
            out = cls.forward(*args)
            cls.setup_context(ctx, args, out)
        else:
            out = cls.forward(ctx, *args)
    return recorded(cls, ctx, args, out, level)


def _with_context(cls, args, out):
    """A ctx for this level, where `forward` itself ran further down."""
    ctx = Context(needs(args))
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
    out, _, _ = _apply(cls, tuple(below(x, level) for x in args))
    out = in_form(
        out, [level.wrap(y) if isinstance(y, Box) else y for y in as_tuple(out)]
    )
    return recorded(cls, _with_context(cls, args, out), args, out, level)


def _at_forward(cls, args, level):
    out, ctx, saved = _apply(cls, tuple(below(x, level) for x in args))
    ts = [x.tangent if belongs(x, level) else None for x in args]
    if all(t is None for t in ts):
        moved = (None,) * len(as_tuple(out))
    else:
        moved = _tangents(cls, ctx, saved, args, ts, out)
    pairs = zip(as_tuple(out), moved, strict=True)
    out = in_form(
        out, [level.dual(y, t) if isinstance(y, Box) else y for y, t in pairs]
    )
    if not _has(cls, "setup_context"):
        return out, ctx, saved
    ctx = _with_context(cls, args, out)
    return out, ctx, for_jvp(ctx)


def _tangents(cls, ctx, saved, args, ts, out):
    if not _has(cls, "jvp"):
        raise GradError(f"{cls.__name__} has no jvp staticmethod for forward mode")
    if ctx._materialize:
        ts = [
            op.zeros_like(x) if t is None and isinstance(x, Box) else t
            for t, x in zip(ts, args, strict=True)
        ]
    moved = as_tuple(ctx._using(saved, cls.jvp, *ts))
    if len(moved) != len(as_tuple(out)):
        raise GradError(
            f"{cls.__name__}.jvp returned {len(moved)} tangents for "
            f"{len(as_tuple(out))} outputs"
        )
    return moved


# ---------------------------------------------------------------- under vmap


def _at_batch(cls, args, level):
    dims = tuple(x.batch_dim if belongs(x, level) else None for x in args)
    lower = tuple(below(x, level) for x in args)
    if all(d is None for d in dims):
        out = _apply(cls, lower)[0]
        out_dims = (None,) * len(as_tuple(out))
    elif _has(cls, "vmap"):
        out, out_dims = cls.vmap(VmapInfo(level.size, level.randomness), dims, *lower)
    elif cls.generate_vmap_rule:
        _need_setup(cls)
        rules = {"one": cls, "around": level, "dims": dims}
        made = type(f"Vmapped{cls.__name__}", (Mapped, Function), rules)
        out = made.apply(*lower)
        out_dims = (0,) * len(as_tuple(out))
    else:
        raise GradError(
            f"{cls.__name__} has no vmap support",
            hint="define the vmap staticmethod or set generate_vmap_rule = True",
        )
    return _wrapped_batch(cls, args, level, out, out_dims)


def _wrapped_batch(cls, args, level, out, out_dims):
    out_dims = (
        out_dims if isinstance(out_dims, tuple) else (out_dims,) * len(as_tuple(out))
    )
    out = in_form(out, batched(level, as_tuple(out), out_dims))
    if not _has(cls, "setup_context"):
        return out, None, ()
    ctx = _with_context(cls, args, out)
    return out, ctx, for_jvp(ctx)


_AT: dict[type, Callable] = {Tape: _at_tape, Forward: _at_forward, Batch: _at_batch}


# ---------------------------------------------------------------- once only


class _Twice(Record):
    """The record behind what `once_differentiable` returned: no second derivative."""

    name = "once_differentiable"

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
        outs = [alias(x, node) if isinstance(x, Box) else x for x in as_tuple(out)]
        return in_form(out, outs)

    return wrapped
