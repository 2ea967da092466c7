"""Live: a compiled program as one operation of the tape, its derivative a program again."""

from __future__ import annotations

import numpy as np

from ..autodiff import transforms
from ..autodiff.function import Function
from ..autodiff.keeping import alias
from ..autodiff.tape import BASE
from ..core.dtype import is_inexact


class Live(Function):
    """forward runs the program, backward a program made of its reverse."""

    @staticmethod
    def forward(ctx, step, extras, own, *inputs):
        """`inputs` are the arguments and the states; `step.outputs` runs on them.

        Where none of them requires grad, the graph leads to leaves that the call makes, which
        nobody outside has: `own` stands for these.
        """
        ctx.step, ctx.extras = step, extras
        ctx.save_for_backward(*([own] if own is not None else _kept(step, inputs)))
        out = step.outputs(inputs, extras)
        smooth = _smooth(step.captured)
        ctx.mark_non_differentiable(*(y for i, y in enumerate(out) if i not in smooth))
        ctx.set_materialize_grads(False)
        return tuple(out)

    @staticmethod
    def backward(ctx, *gs):
        """The gradients of the inputs, computed anew from them; None where there are none."""
        given = tuple(i for i, g in enumerate(gs) if g is not None)
        reached = zip(ctx.needs_input_grad[3:], ctx.step.reached(given), strict=True)
        wanted = tuple(n and r for n, r in reached)
        if not any(wanted):
            return (None, None, None, *(None for w in wanted))
        pull, gs = ctx.step.pullback(wanted, given), [gs[i] for i in given]
        grads = iter(pull(ctx.saved_tensors, gs, ctx.extras))
        return (None, None, None, *(next(grads) if w else None for w in wanted))


def own_leaf(inputs):
    """What stands for the leaves of a call, where no input leads to others."""
    if any(x.requires_grad for x in inputs):
        return None
    return BASE.wrap(np.zeros(())).requires_grad_()


def _kept(step, inputs) -> list:
    """The inputs as they are before the program runs, which writes some, in their places."""
    written = step.overwritten()
    return [_copied(x) if i in written else x for i, x in enumerate(inputs)]


def _copied(x):
    return alias(x.detach().clone(), x.node)


def _smooth(captured) -> list:
    """Numbers of the results that have a derivative: their graph was there at the end."""
    outputs = captured.graph.outputs
    return [i for i in sorted(captured.live) if is_inexact(outputs[i].spec.dtype)]


def reached(captured, given) -> list[bool]:
    """Which inputs results of these numbers depend on: the others get no gradient of them."""
    graph = captured.graph
    alive = {graph.outputs[i] for i in given}
    for o in reversed(graph.operations):
        if alive.intersection(o.outputs):
            alive.update(v for v in o.passing() if is_inexact(v.spec.dtype))
    count = captured.arguments + len(captured.states)
    return [v in alive for v in graph.inputs[:count]]


def pullback(captured_for, wanted, given):
    """(inputs, cotangents, other inputs) -> gradients of the wanted inputs.

    `captured_for(inputs)` is the program that gave the results, for as many examples; the
    cotangents are of the results of the numbers `given`.
    """

    def pull(inputs, gs, extras):
        captured = captured_for(inputs)

        def f(*moving):
            moving = iter(moving)
            xs = [next(moving) if w else x for x, w in zip(inputs, wanted, strict=True)]
            ys = captured.graph.run([*xs, *extras])
            return tuple(ys[i] for i in given)

        moving = [x for x, w in zip(inputs, wanted, strict=True) if w]
        _, back = transforms.vjp(f, *moving)
        return back(tuple(gs))

    return pull
