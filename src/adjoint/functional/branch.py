"""cond: one of two functions, chosen by a value."""

from __future__ import annotations

import numpy as np

from ..autodiff import transforms
from ..autodiff.vmap import vmap
from ..core import tree
from ..core.bind import NUMPY, Box, floor
from ..core.primitive import Primitive, op, spec_of
from ..errors import ShapeError
from ..ir.rewrite import quiet
from .bodies import (
    batch_at,
    bound,
    filled,
    flowing,
    is_known,
    leaves_of,
    moves,
    program_of,
    saved_by,
    selected,
    smooth_inputs,
    tensor_of,
    tensors_of,
    traced,
)
from .effects import among, in_order, is_ordered, left_out, threaded
from .face import function


@function
def cond(pred, true_fun, false_fun, *operands):
    """true_fun(*operands) if `pred` holds, else false_fun(*operands).

    Both must return the same containers, shapes and dtypes. Under vmap, where examples may
    differ, both are computed.

    >>> cond(tensor(True), lambda x: x + 1, lambda x: -x, tensor(1.))
    tensor(2.)
    """

    def with_order(order):
        return _cond(pred, in_order(true_fun), in_order(false_fun), (order, *operands))

    return threaded(lambda: _cond(pred, true_fun, false_fun, operands), with_order)


def _cond(pred, true_fun, false_fun, operands):
    if isinstance(pred, Box) and tuple(pred.shape) != ():
        raise ShapeError(f"cond: pred must have no dims, got shape {tuple(pred.shape)}")
    if not isinstance(pred, Box) or is_known(pred):
        return true_fun(*operands) if bool(pred) else false_fun(*operands)
    if floor.get() is NUMPY:
        return _both(pred, true_fun, false_fun, operands)
    return _written(pred, true_fun, false_fun, operands)


def _both(pred, true_fun, false_fun, operands):
    """Each part for the examples of a batch that choose it, then what each has chosen."""
    with among(pred):
        yes = true_fun(*operands)
    with among(op.logical_not(pred)):
        no = false_fun(*operands)
    return selected(pred, yes, no)


def _written(pred, true_fun, false_fun, operands):
    """Both parts as programs of one operation, which chooses when it runs."""
    leaves, shape = leaves_of(operands)
    specs = [spec_of(x) for x in leaves]
    moving = [moves(x) for x in leaves]
    yes = traced(true_fun, specs, shape, "yes", moving, closed=True)
    no = traced(false_fun, specs, shape, "no", moving, closed=True)
    _need_same(yes, no)
    a, b = (_moved(p, moving) for p in (yes, no))
    recorded = [r or s for r, s in zip(a, b, strict=True)]
    inputs = pred, *leaves, *yes.outside, *no.outside
    params = {"yes": yes.graph, "no": no.graph, "operands": len(leaves)}
    saved = _saved(yes, no, moving)
    ys = bound(op.branch, inputs, recorded, saved, split=len(yes.outside), **params)
    a, b = (_handed_on(p, leaves) for p in (yes, no))
    ys = [
        x if x is z and x is not None else tensor_of(y)
        for x, z, y in zip(a, b, ys, strict=True)
    ]
    _note_doubts(ys, (yes, no), leaves)
    return tree.unflatten(yes.results, ys)


def _note_doubts(ys, parts, leaves):
    """Tell which results may turn out to be, or show, what was there before."""
    for part in parts:
        for y, x in zip(ys, _shown(part, leaves), strict=True):
            if x is not None and x is not y:
                floor.get().perhaps(y, x)


def _shown(part, leaves) -> list:
    """Of each result of a branch the tensor whose memory it shows, if one was there before."""
    at = dict(zip(part.graph.inputs, [*leaves, *part.outside], strict=True))
    for o in part.graph.operations:
        if o.prim.view and o.inputs[0] in at:
            at.update(dict.fromkeys(o.outputs, at[o.inputs[0]]))
    return [at.get(v) for v in part.graph.outputs]


def _handed_on(part, leaves) -> list:
    """Of each result of a branch the tensor that it is, if it was there before."""
    at = dict(zip(part.graph.inputs, [*leaves, *part.outside], strict=True))
    return [at.get(v) for v in part.graph.outputs]


def _need_same(yes, no) -> None:
    a, b = ([v.spec for v in p.graph.outputs] for p in (yes, no))
    if yes.results != no.results or a != b:
        raise ShapeError(
            "cond: both branches must return the same, got "
            f"{[str(s) for s in a]} and {[str(s) for s in b]}"
        )


def _saved(yes, no, moving):
    """(which inputs, which results) are saved for the way back, whatever is chosen."""
    n, ends, kept = len(moving), [], []
    for part in (yes, no):
        saved = saved_by(part.graph, [*moving, *map(moves, part.outside)])
        ends.append([v in saved for v in part.graph.inputs])
        kept.append([v in saved for v in part.graph.outputs])
    (a, b), outside = (x[:n] for x in ends), [x for e in ends for x in e[n:]]
    both = [x and y for x, y in zip(a, b, strict=True)]
    return [True, *both, *outside], [x and y for x, y in zip(*kept, strict=True)]


def _moved(part, moving) -> list:
    """Which results of a branch have a derivative."""
    flow = flowing(part.graph, [*moving, *map(moves, part.outside)])
    return [a and b for a, b in zip(part.recorded, flow, strict=True)]


class Branch(Primitive):
    """One of two programs: inputs are the truth value, operands, and values from outside.

    >>> from adjoint.functional.bodies import program_of
    >>> yes, no = (program_of(f, 1) for f in (lambda x: x * 2, lambda x: -x))
    >>> op.branch(tensor(False), tensor(3.), yes=yes, no=no, operands=1, split=0)
    (tensor(-3.),)
    """

    def samples(rng):
        yes, no = (
            program_of(f, 2) for f in (lambda x, w: x * x * w, lambda x, w: x + w)
        )
        args = rng.normal(), rng.normal(), rng.normal()
        params = {"yes": yes, "no": no, "operands": 1, "split": 1}
        args = tuple([np.asarray(x) for x in args])
        return [((np.array(flag), *args), params) for flag in (True, False)]

    def reference(flag, x, w1, w2, **params):
        return (x * x * w1 if flag else x + w2,)

    outputs = 2
    calls_back = True

    def eager(pred, *args, yes, no, operands, split):
        xs, outside = args[:operands], args[operands:]
        own, others = outside[:split], outside[split:]
        ys = yes.run([*xs, *own]) if bool(pred) else no.run([*xs, *others])
        return tuple(np.array(y) for y in ys)

    def infer(self, *specs, yes, **params):
        return tuple(v.spec for v in yes.outputs)

    def vjp(self, g, y, xs, params, need):
        args = tensors_of(xs[1:])
        g = tensors_of(g)
        moving = [i for i in smooth_inputs(args) if need[i + 1]]
        given = [i for i, t in enumerate(g) if t is not None]

        def pulled(run):
            def pull(args, gs):
                def once(*parts):
                    out = run(filled(parts, moving, args))
                    return tuple(out[i] for i in given)

                return list(
                    transforms.vjp(once, *(args[i] for i in moving))[1](tuple(gs))
                )

            return pull

        yes, no = (_runner(quiet(params), which) for which in ("yes", "no"))
        out = cond(
            tensor_of(xs[0]), pulled(yes), pulled(no), args, [g[i] for i in given]
        )
        return [None, *filled(out, moving, [None] * len(args))]

    def jvp(self, ts, y, xs, params):
        args, ts = tensors_of(xs[1:]), list(ts[1:])
        moving = [i for i, t in enumerate(ts) if t is not None]
        smooth = smooth_inputs(y)

        def pushed(run):
            def push(args, along):
                def once(*parts):
                    out = run(filled(parts, moving, args))
                    return tuple(out[i] for i in smooth)

                at = tuple(args[i] for i in moving)
                return list(transforms.jvp(once, at, tuple(along))[1])

            return push

        yes, no = (_runner(quiet(params), which) for which in ("yes", "no"))
        out = cond(
            tensor_of(xs[0]), pushed(yes), pushed(no), args, [ts[i] for i in moving]
        )
        return filled(out, smooth, [None] * len(y))

    def batch(self, size, xs, dims, params):
        xs, dims = tensors_of(xs), list(dims)
        if dims[0] is None:
            yes, no = (_mapped(params, k, dims[1:], size) for k in ("yes", "no"))
            out = cond(xs[0], yes, no, *xs[1:])
            return tuple(out), (0,) * len(out)
        pred, args = batch_at(xs[0], dims[0], 0, size), xs[1:]
        taken = {"yes": args, "no": args}
        if is_ordered(params["yes"], params["no"]):
            order = batch_at(args[0], dims[1], 0, size)
            dims[1] = 0
            chosen = {"yes": pred, "no": op.logical_not(pred)}
            taken = {k: [left_out(order, c), *args[1:]] for k, c in chosen.items()}
        a, b = (_mapped(params, k, dims[1:], size)(*xs) for k, xs in taken.items())
        out = [_where(pred, x, y) for x, y in zip(a, b, strict=True)]
        return tuple(out), (0,) * len(out)


def _mapped(params, which, dims, size):
    """The program of a branch for all examples, where inputs have these dims of examples."""
    run = _runner(params, which)

    def several(*args):
        if all(d is None for d in dims):
            return [batch_at(tensor_of(y), None, 0, size) for y in run(args)]
        return list(vmap(lambda *a: tuple(run(a)), tuple(dims))(*args))

    return several


def _where(pred, x, y):
    """x for the examples for which `pred` holds, y for the others."""
    pred = op.reshape(pred, shape=(*pred.shape, *(1,) * (x.ndim - 1)))
    return op.where(op.expand(pred, shape=tuple(x.shape)), x, y)


def _runner(params, which):
    """The program of a branch as a function of all inputs but the truth value."""
    n, m = params["operands"], params["split"]

    def run(args):
        own = args[n : n + m] if which == "yes" else args[n + m :]
        return params[which].run([*args[:n], *own])

    return run
