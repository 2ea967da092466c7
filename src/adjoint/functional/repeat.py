"""while_loop and fori_loop: as often as a value says."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np

from ..autodiff import transforms
from ..autodiff.vmap import vmap
from ..core import tree
from ..core.bind import NUMPY, at_bottom, floor
from ..core.lasting import seldom_swept
from ..core.primitive import Primitive, op, spec_of
from ..core.shape import Spec
from ..errors import ArgumentError
from ..ir.rewrite import quiet
from .bodies import (
    Smooth,
    batch_at,
    bound,
    filled,
    flowing_round,
    is_known,
    leaves_of,
    moves,
    need_same_carry,
    program_of,
    same_carry,
    saved_in_steps,
    selected,
    smooth_inputs,
    tensor_of,
    tensors_of,
    traced,
    unchanged,
)
from .effects import among, in_order, is_ordered, left_out, threaded
from .face import FUNCTIONS, function
from .scan import scan


@function
def fori_loop(lower, upper, body_fun, init_val):
    """The value after value = body_fun(i, value) for i from `lower` up to `upper`.

    >>> fori_loop(0, 4, lambda i, x: x * 2, tensor(1.))
    tensor(16.)
    """
    if isinstance(lower, int) and isinstance(upper, int):
        numbers = FUNCTIONS["arange"](lower, max(lower, upper))
        return scan(lambda x, i: (body_fun(i, x), None), init_val, numbers)[0]
    start = FUNCTIONS["as_tensor"](lower)
    return while_loop(
        lambda s: s[0] < upper, lambda s: (s[0] + 1, body_fun(*s)), (start, init_val)
    )[1]


SNAPSHOTS = 256  # of the carry, kept by the reverse of a loop whose length no one knows


@function
def while_loop(cond_fun, body_fun, init_val):
    """The value after value = body_fun(value) for as long as cond_fun(value) holds.

    Its reverse runs the loop again from a bounded number of snapshots.

    >>> while_loop(lambda x: x < 100, lambda x: x * 2, tensor(3.))
    tensor(192.)
    """

    # The condition is asked before the loop and at the end of each step, not by the loop: so
    # what happens in it has its turn.
    def asked(y, order):
        go, order = in_order(cond_fun)(order, y)
        return order, y, go

    def step(state):
        order, y, _ = state
        return asked(*in_order(body_fun)(order, y))

    def with_order(order):
        order, y, _ = _while(lambda state: state[2], step, asked(init_val, order))
        return y, order

    return threaded(lambda: _while(cond_fun, body_fun, init_val), with_order)


def _while(cond_fun, body_fun, init_val):
    if floor.get() is NUMPY:
        with seldom_swept():
            return _python_while(cond_fun, body_fun, init_val)
    first, shape = leaves_of(init_val)
    specs = [spec_of(x) for x in first]
    args = tree.TreeDef(tuple, None, (shape,))
    test = traced(cond_fun, specs, args, "test")
    body = traced(body_fun, specs, args, "body")
    if test.results != tree.LEAF or test.graph.outputs[0].spec != _TRUTH:
        raise ArgumentError(
            "while_loop: cond_fun must return one truth value without dims"
        )
    after = [v.spec for v in body.graph.outputs]
    same_carry(after, specs, body.results, shape, "while_loop")
    inputs = *first, *test.outside, *body.outside
    params = {"test": test.graph, "body": body.graph, "carries": len(first)}
    recorded = _moved(body, first)
    kept, ends = saved_in_steps(body.graph, first, body.outside, recorded)
    kept[len(first) : len(first)] = [False] * len(test.outside)
    params["split"] = len(test.outside)
    ys = bound(op.repeat_while, inputs, recorded, (kept, ends), **params)
    same = unchanged(body.graph, first)
    ys = [y if x is None else x for x, y in zip(same, ys, strict=True)]
    return tree.unflatten(shape, [tensor_of(y) for y in ys])


_TRUTH = Spec((), np.dtype(bool))


def _moved(body, first) -> list:
    """Which results have a derivative: those of no step are what they were before."""
    start = [moves(x) for x in first]
    flow = flowing_round(body.graph, [*start, *map(moves, body.outside)], len(first))
    pairs = zip(body.recorded, flow, start, strict=True)
    return [(r and f) or s for r, f, s in pairs]


def _python_while(test, body, value):
    go, first = test(value), True
    while _any(go):
        with nullcontext() if is_known(go) else among(go):
            new = body(value)
            if first:
                need_same_carry(new, value, "while_loop")
            value = new if is_known(go) else selected(go, new, value)
            more, first = test(value), False
            go = more if is_known(go) else op.logical_and(go, more)
    return value


def _any(go) -> bool:
    """Whether there is a further step; under vmap, for any example: the others stay as they are."""
    return bool(go) if is_known(go) else bool(np.any(at_bottom(go)))


class RepeatWhile(Primitive):
    """A loop while a program says so: inputs are first carries and values from outside.

    >>> from adjoint.functional.bodies import program_of
    >>> test, body = (program_of(f, 1) for f in (lambda x: x < 10, lambda x: x * 2))
    >>> op.repeat_while(tensor(3.), test=test, body=body, carries=1, split=0)[0].item()
    12.0
    """

    def samples(rng):
        test = program_of(lambda x, top: x < top, 2)
        body = program_of(lambda x, w: x * w, 2)
        params = {"test": test, "body": body, "carries": 1, "split": 1}
        return [(tuple([np.array(x) for x in (1.0, 9.0, 1.7)]), params)]

    def reference(x, top, w, **params):
        while x < top:
            x = x * w
        return (x,)

    outputs = 2
    calls_back = True

    def eager(*args, test, body, carries, split):
        now, own = list(args[:carries]), args[carries : carries + split]
        others = args[carries + split :]
        while test.run([*now, *own])[0]:
            now = body.run([*now, *others])
        return tuple(np.array(y) for y in now)

    def infer(self, *specs, body, **params):
        return tuple(v.spec for v in body.outputs)

    def vjp(self, g, y, xs, params, need):
        return _reverse_while(g, xs, quiet(params), need)

    def jvp(self, ts, y, xs, params):
        return _forward_while(ts, y, xs, quiet(params))

    def batch(self, size, xs, dims, params):
        return _batched_while(size, xs, dims, params)


def _parts(xs, params):
    k, m = params["carries"], params["split"]
    return list(xs[:k]), list(xs[k : k + m]), list(xs[k + m :])


def _reverse_while(g, xs, params, need):
    """Count the steps, keep snapshots, and go back from one to the one before it."""
    g, body = tensors_of(g), params["body"]
    first, own, others = _parts(tensors_of(xs), params)
    offset = params["carries"] + params["split"]
    held = [i for i in smooth_inputs(others) if need[offset + i]]
    smooth = Smooth(body, others, smooth_inputs(first), held)
    count, every, kept = _snapshots(first, own, others, params)

    def back(s):
        i, gc, gk = s
        start = [_row_at(x, i // every) for x in kept]
        now = fori_loop(
            (i // every) * every, i, lambda _, c: body.run([*c, *others]), start
        )
        step = smooth.step(now, outputs=smooth.moving)
        _, pull = transforms.vjp(step, *smooth.at(now))
        a, _, c = smooth.parts(pull(tuple(gc)))
        return i - 1, a, [t + u for t, u in zip(gk, c, strict=True)]

    gc = [op.zeros_like(first[i]) if g[i] is None else g[i] for i in smooth.moving]
    gk = [op.zeros_like(others[i]) for i in held]
    _, gc, gk = while_loop(lambda s: s[0] >= 0, back, (count - 1, gc, gk))
    out = filled(gc, smooth.moving, [None] * len(xs))
    return filled(gk, [offset + i for i in held], out)


def _snapshots(first, own, others, params):
    """(how many steps there are, every how many carries are kept, the carries kept)."""
    test, body, whole = params["test"], params["body"], FUNCTIONS["as_tensor"]

    def go(s):
        return tensor_of(test.run([*s[1], *own])[0])

    def onward(s):
        return s[0] + 1, body.run([*s[1], *others])

    count, _ = while_loop(go, onward, (whole(0), first))
    every = (count + (SNAPSHOTS - 1)) // SNAPSHOTS
    every = FUNCTIONS["maximum"](every, whole(1))

    def snap(s):
        i, now, kept = s
        here = (FUNCTIONS["arange"](SNAPSHOTS) == i // every) & (i % every == 0)
        kept = [_where_row(here, x, old) for x, old in zip(now, kept, strict=True)]
        return i + 1, body.run([*now, *others]), kept

    empty = [op.expand(op.zeros_like(x), shape=(SNAPSHOTS, *x.shape)) for x in first]
    _, _, kept = while_loop(lambda s: s[0] < count, snap, (whole(0), first, empty))
    return count, every, kept


def _where_row(here, x, old):
    """`old` with the row that `here` marks replaced by x."""
    here = op.reshape(here, shape=(SNAPSHOTS, *(1,) * x.ndim))
    shape = tuple(old.shape)
    return op.where(op.expand(here, shape=shape), op.expand(x, shape=shape), old)


def _row_at(x, i):
    """Row number i, a value, of x."""
    return op.reshape(op.index(x, i.reshape(1), dim=0), shape=tuple(x.shape[1:]))


def _forward_while(ts, y, xs, params):
    """A loop of the body and its derivative together."""
    first, own, others = _parts(tensors_of(xs), params)
    t_first, _, t_others = _parts(ts, params)
    moving = smooth_inputs(first)
    held = [i for i, t in enumerate(t_others) if t is not None]
    smooth = Smooth(params["body"], others, moving, held)

    def go(s):
        return tensor_of(params["test"].run([*s[0], *own])[0])

    def push(s):
        now, tc = s
        along = [*tc, *(t_others[i] for i in held)]
        out, t_out = transforms.jvp(
            smooth.step(now), tuple(smooth.at(now)), tuple(along)
        )
        return list(out), [t_out[i] for i in moving]

    tc = [op.zeros_like(first[i]) if t_first[i] is None else t_first[i] for i in moving]
    _, tc = while_loop(go, push, (first, tc))
    return filled(tc, moving, [None] * len(y))


def _batched_while(size, xs, dims, params):
    """All examples go on while any does; those that are done stay as they are."""
    first, own, others = _parts(tensors_of(xs), params)
    d_first, d_own, d_others = _parts(dims, params)
    k = params["carries"]
    first = [batch_at(x, d, 0, size) for x, d in zip(first, d_first, strict=True)]

    def run(graph, ds):
        return vmap(lambda *a: tuple(graph.run(a)), (*(0,) * k, *ds))

    def going(now):
        (go,) = run(params["test"], d_own)(*now, *own)
        return go

    def step(now):
        go, given = going(now), list(now)
        if is_ordered(params["body"]):
            given[0] = left_out(now[0], go)
        new, out = run(params["body"], d_others)(*given, *others), []
        for x, old in zip(new, now, strict=True):
            here = op.reshape(go, shape=(size, *(1,) * (x.ndim - 1)))
            out.append(op.where(op.expand(here, shape=tuple(x.shape)), x, old))
        return out

    out = while_loop(lambda now: going(now).any(), step, first)
    return tuple(out), (0,) * k
