"""A `Function` under vmap: one for all examples, made of that for a single one."""

from __future__ import annotations

from ..core.bind import Box, new_level
from ..core.primitive import op, sum_to
from .batch import Batch
from .function_node import Context, among, as_tuple, in_form


class Mapped:
    """The rules of a Function, `one`, each carried out for all examples of `around`.

    `dims` says where the inputs have their examples, saved tensors and results have them first.
    """

    one: type
    around: Batch
    dims: tuple
    generate_vmap_rule = True

    @classmethod
    def forward(cls, *xs):
        """The results for all examples."""
        with cls._nested() as level:
            out = cls.one.forward(*batched(level, xs, cls.dims))
            return in_form(out, _first(level, as_tuple(out)))

    @classmethod
    def setup_context(cls, ctx, inputs, output):
        """Save what `one` saves in a context of its own, `ctx.inner`."""
        with cls._nested() as level:
            xs = tuple(batched(level, inputs, cls.dims))
            ys = batched(level, as_tuple(output))
            ctx.inner = Context(ctx.needs_input_grad)
            ctx.shapes = [tuple(x.shape) if isinstance(x, Box) else None for x in xs]
            cls.one.setup_context(ctx.inner, xs, in_form(output, ys))
            given, ctx.inner._given = ctx.inner._given, {}
            kept, forward = given["backward"], given["forward"]
            ctx.save_for_backward(*_first(level, kept))
            ctx.save_for_forward(*_first(level, kept if forward is None else forward))
        pairs = zip(as_tuple(output), ys, strict=True)
        constant = [o for o, y in pairs if among(y, given["constant"])]
        ctx.mark_non_differentiable(*constant)
        ctx.set_materialize_grads(ctx.inner._materialize)

    @classmethod
    def backward(cls, ctx, *gs):
        """The gradients of all examples; of an input without examples their sum."""
        with cls._nested() as level:
            out = _inside(ctx, level, cls.one.backward, batched(level, gs))
            found = zip(as_tuple(out), cls.dims, ctx.shapes, strict=False)
            return tuple(_back(level, g, d, shape) for g, d, shape in found)

    @classmethod
    def jvp(cls, ctx, *ts):
        """The tangents of all examples."""
        with cls._nested() as level:
            out = _inside(ctx, level, cls.one.jvp, batched(level, ts, cls.dims))
            return in_form(out, _first(level, as_tuple(out)))

    @classmethod
    def _nested(cls):
        return new_level(Batch(cls.around.size, cls.around.randomness))


def batched(level, xs, dims=None) -> list:
    """The tensors among `xs` with their examples at `dims`, else first."""
    dims = (0,) * len(xs) if dims is None else dims
    return [
        level.batched(x, d) if isinstance(x, Box) and d is not None else x
        for x, d in zip(xs, dims, strict=True)
    ]


def _first(level, xs) -> list:
    """The tensors among `xs` one level down, examples first, copied in where there are none."""
    return [level.unwrap(x, 0) if isinstance(x, Box) else x for x in xs]


def _inside(ctx, level, rule, xs):
    """rule(ctx.inner, *xs) with what it saved."""
    ctx.inner.needs_input_grad = ctx.needs_input_grad
    return ctx.inner._using(batched(level, ctx.saved_tensors), rule, *xs)


def _back(level, g, dim, shape):
    """The gradient of an input with its batch dim at `dim`; summed if it had none."""
    if not isinstance(g, Box):
        return g
    if shape is not None:
        g = sum_to(g, shape)
    if dim is None:
        return op.sum(level.unwrap(g, 0), dim=(0,), keepdim=False)
    return level.unwrap(g, dim)
