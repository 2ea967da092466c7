"""scan and map: a function again and again, its last result carried along."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff import transforms
from ..autodiff.modes import no_grad
from ..autodiff.tape import BASE
from ..autodiff.vmap import vmap
from ..core import tree
from ..core.bind import NUMPY, Box, floor, is_outermost
from ..core.lasting import seldom_swept
from ..core.primitive import Primitive, op, spec_of
from ..core.shape import Spec
from ..errors import ArgumentError, GradError
from ..ir.rewrite import quiet
from ..ir.tracer import Stateful
from .bodies import (
    Smooth,
    batch_at,
    bound,
    filled,
    flowing_round,
    leaves_of,
    moves,
    need_pair,
    need_same_carry,
    program_of,
    row_of,
    same_carry,
    saved_in_steps,
    smooth_inputs,
    split_inputs,
    tensor_of,
    tensors_of,
    traced,
    unchanged,
)
from .effects import Effectful, in_order, threaded
from .face import FUNCTIONS, function


@function
def scan(f, init, xs=None, length=None, reverse=False) -> tuple[Any, Any]:
    """(carry, ys): carry, y = f(carry, x) for each x along dim 0 of `xs`, the ys stacked.

    A loop that a compiled program keeps as a loop. `carry`, `xs` and `ys` may be containers;
    without `xs` it runs `length` times. With `reverse` it goes from the last x to the first.

    >>> scan(lambda c, x: (c + x, c * x), tensor(0.), tensor([1., 2., 3.]))
    (tensor(6.), tensor([0., 2., 9.]))
    """

    def step(state, x):
        (c, y), order = in_order(_pair_of(f))(*state, x)
        return (order, c), y

    def with_order(order):
        (order, c), ys = _looped(step, (order, init), xs, length, reverse)
        return (c, ys), order

    return threaded(
        lambda: _looped(f, init, xs, length, reverse, is_outermost()), with_order
    )


def _pair_of(f):
    """f, whose result is a pair or an error."""

    def pair(carry, x):
        y = f(carry, x)
        if not isinstance(y, tuple) or len(y) != 2:
            raise ArgumentError("scan: the function must return a pair (carry, y)")
        return y

    return pair


def _looped(f, init, xs, length, reverse, whole=False):
    """The scan; `whole`: its steps may change state."""
    n = _length(xs, length)
    if floor.get() is NUMPY:
        with seldom_swept():
            return _python_loop(f, init, xs, n, reverse)
    first, carry_shape = leaves_of(init)
    mapped, x_shape = leaves_of(xs)
    shape = tree.TreeDef(tuple, None, (carry_shape, x_shape))
    if n == 0 and whole:
        return _python_loop(f, init, xs, n, reverse)
    body = _body(f, first, mapped, shape, n, whole)
    need_pair(body.results, "scan")
    k = len(first)
    before = [spec_of(x) for x in first]
    after, rows = body.results.children
    rounds = [v.spec for v in body.graph.outputs[:k]]
    same_carry(rounds, before, after, carry_shape, "scan")
    same = unchanged(body.graph, first)
    ys = _bound(body, first, mapped, n, reverse)
    last = [y if x is None else x for x, y in zip(same, ys, strict=False)]
    carry = tree.unflatten(carry_shape, [tensor_of(y) for y in last])
    return carry, tree.unflatten(rows, [tensor_of(y) for y in ys[k:]])


def _body(f, first, mapped, shape, n, whole):
    """A step as a program; where it changes state, what it changes goes round as well."""
    below: Any = floor.get()
    whole = whole and hasattr(below, "loop") and not below.sections
    plain = all(x.level is BASE for x in (*first, *mapped))
    if whole and plain:
        return below.loop(f, first, mapped, shape, n)
    specs = [spec_of(x) for x in first] + [row_of(spec_of(x)) for x in mapped]
    moving = [True] * len(first) + [moves(x) for x in mapped]
    try:
        return traced(f, specs, shape, "scan", moving)
    except Effectful:
        raise
    except (Stateful, GradError):  # it needs state, or gradients of it
        if not hasattr(below, "loop") or not n:
            raise
        return below.loop(f, first, mapped, shape, n)


def _bound(body, first, mapped, n, reverse):
    """What the loop gives: last carries, rows of results."""
    rounds = getattr(body, "rounds", ())
    graph, k = body.graph, len(first) + len(rounds)
    if rounds:
        first = _with_rounds(body, first)
    # What every step began with is kept: the reverse starts there.
    recorded = _moved(body, first, mapped, n)
    inputs = (*first, *mapped, *body.outside)
    kept, ends = saved_in_steps(graph, first, inputs[k:], recorded)
    graph.outputs[k:k] = graph.inputs[:k]
    recorded[k:k] = recorded[:k]
    params = {"carries": k, "mapped": len(mapped), "length": n}
    params |= {"body": graph, "reverse": bool(reverse)}
    ends += [False] * (len(recorded) - k)  # rows are copied together
    ys = bound(op.scan, inputs, recorded, (kept, ends), **params)
    if rounds:
        body.finish([tensor_of(y) for y in ys[k - len(rounds) : k]])
    return *ys[: k - len(rounds)], *ys[2 * k :]


def _with_rounds(body, first):
    """The first carries, with what else goes round put beside them in the body."""
    k = len(first)
    body.graph.outputs[k:k] = [r.after for r in body.rounds]
    body.recorded[k:k] = [r.recorded for r in body.rounds]
    return [*first, *(r.first() for r in body.rounds)]


def _moved(body, first, mapped, n) -> list:
    """Which results have a derivative: those of no step are what they were before."""
    start = [moves(x) for x in first]
    if not n:
        return start + [False] * (len(body.recorded) - len(start))
    others = [moves(x) for x in (*mapped, *body.outside)]
    flow = flowing_round(body.graph, [*start, *others], len(first))
    return [a and b for a, b in zip(body.recorded, flow, strict=True)]


@function
def map(f, xs):
    """f of each slice of `xs` along dim 0, one after the other, stacked.

    >>> ad.map(lambda x: x.sum(), tensor([[1., 2.], [3., 4.]]))
    tensor([3., 7.])
    """
    return scan(lambda _, x: (None, f(x)), None, xs)[1]


def _python_loop(f, carry, xs, n, reverse):
    leaves, shape = leaves_of(xs)
    carry = tree.unflatten(*leaves_of(carry)[::-1])
    rows = []
    for i in reversed(range(n)) if reverse else range(n):
        pair = f(carry, tree.unflatten(shape, [x[i] for x in leaves]))
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ArgumentError("scan: the function must return a pair (carry, y)")
        before, (carry, y) = carry, pair
        if not rows:
            need_same_carry(carry, before, "scan")
        ys, y_shape = tree.flatten(y)
        rows.append(([_copied(x) for x in ys], y_shape))
    if reverse:
        rows.reverse()
    if not rows:
        return carry, _no_rows(f, carry, leaves, shape)
    columns = zip(*(r[0] for r in rows), strict=True)
    return carry, tree.unflatten(rows[0][1], [FUNCTIONS["stack"](c) for c in columns])


def _copied(y):
    """A result of a step as it is now: a later step may write into its memory."""
    if not isinstance(y, Box):
        return y
    alone = y.plain and y.node is None
    return BASE.wrap(y.value.copy()) if alone else FUNCTIONS["clone"](y)


def _no_rows(f, carry, leaves, shape):
    """The ys of a loop over nothing: what `f` makes of zeros says of which shape none are."""
    zeros = FUNCTIONS["zeros"]
    with no_grad():
        rows = [zeros(x.shape[1:], dtype=x.dtype) for x in leaves]
        ys, out_shape = tree.flatten(f(carry, tree.unflatten(shape, rows))[1])
    none = [zeros((0, *y.shape), dtype=y.dtype) for y in tensors_of(ys)]
    return tree.unflatten(out_shape, none)


def _length(xs, length):
    """How many steps: the size of dim 0 of all of `xs`."""
    sizes = {int(x.shape[0]) for x in tree.flatten(xs)[0]}
    sizes |= set() if length is None else {length}
    if len(sizes) != 1:
        raise ArgumentError(
            f"scan: all of xs need one size of dim 0, and length must be it, got {sizes or None}"
        )
    return sizes.pop()


class Scan(Primitive):
    """A loop over dim 0: inputs are first carries, what is mapped over, and values from outside.

    `body`, a program, makes of (carries, rows, outside) new carries, the old ones, and rows of
    results; outputs are the last carries and all rows stacked.

    >>> from adjoint.functional.bodies import program_of
    >>> body = program_of(lambda c, x: (c + x, c), 2)
    >>> params = {"carries": 1, "mapped": 1, "length": 3, "reverse": False}
    >>> op.scan(tensor(0.), arange(3.), body=body, **params)[0].item()
    3.0
    """

    def samples(rng):
        body = program_of(lambda c, x, w: (c * w + x, c, c * x), 3)
        args = tuple(np.asarray(rng.normal(size=n)) for n in ((), 4, ()))
        params = {"body": body, "carries": 1, "mapped": 1, "length": 4}
        return [(args, {**params, "reverse": back}) for back in (False, True)]

    def reference(c, xs, w, reverse, **params):
        rows = []
        for x in xs[::-1] if reverse else xs:
            rows.append((c, c * x))
            c = c * w + x
        return c, *np.transpose(rows[::-1] if reverse else rows)

    outputs = 2
    calls_back = True

    def eager(*args, body, carries, mapped, length, reverse):
        now, xs = list(args[:carries]), args[carries : carries + mapped]
        outside = args[carries + mapped :]
        rows = [
            np.empty((length, *v.spec.shape), v.spec.dtype)
            for v in body.outputs[carries:]
        ]
        for i in reversed(range(length)) if reverse else range(length):
            ys = body.run([*now, *(np.asarray(x[i]) for x in xs), *outside])
            now = ys[:carries]
            for row, y in zip(rows, ys[carries:], strict=True):
                row[i] = y
        return *(np.array(y) for y in now), *rows

    def infer(self, *specs, body, carries, length, **params):
        last = [v.spec for v in body.outputs[:carries]]
        rows = [
            Spec((length, *v.spec.shape), v.spec.dtype) for v in body.outputs[carries:]
        ]
        return *last, *rows

    def vjp(self, g, y, xs, params, need):
        return _reverse_scan(g, y, xs, quiet(params), need)

    def jvp(self, ts, y, xs, params):
        return _forward_scan(ts, y, xs, quiet(params))

    def batch(self, size, xs, dims, params):
        return _batched_scan(size, xs, dims, params)


def _reverse_scan(g, y, xs, params, need):
    """A scan the other way, of the reverse of the body, from what every step began with."""
    g, k = tensors_of(g), params["carries"]
    first, mapped, outside = split_inputs(tensors_of(xs), params)
    asked = need[k + params["mapped"] :]
    held = [i for i in smooth_inputs(outside) if asked[i]]
    smooth = Smooth(
        params["body"], outside, smooth_inputs(first), held, smooth_inputs(mapped)
    )
    moving, rows = smooth.moving, smooth.rows
    given = [i for i in range(k, len(y)) if g[i] is not None]
    # Of these the cotangents of results, not of what is kept.
    inner = [i for i in given if i >= 2 * k]

    def back(state, x):
        (gc, gk), (start, row, gys) = state, x
        gys = dict(zip(given, gys, strict=True))
        step = smooth.step(start, row, [*moving, *inner])
        _, pull = transforms.vjp(step, *smooth.at(start, row))
        a, b, c = smooth.parts(pull((*gc, *(gys[i] for i in inner))))
        pairs = zip(a, moving, strict=True)
        a = [t + gys[k + i] if k + i in gys else t for t, i in pairs]
        return (a, [t + u for t, u in zip(gk, c, strict=True)]), b

    gc = [op.zeros_like(first[i]) if g[i] is None else g[i] for i in moving]
    gk = [op.zeros_like(outside[i]) for i in held]
    along = tensors_of(y[k : 2 * k]), mapped, [g[i] for i in given]
    n, reverse = params["length"], params["reverse"]
    (gc, gk), gx = _looped(back, (gc, gk), along, n, not reverse)
    out = filled(gc, moving, [None] * len(xs))
    out = filled(gx, [k + i for i in rows], out)
    return filled(gk, [k + params["mapped"] + i for i in held], out)


def _forward_scan(ts, y, xs, params):
    """A scan of the body and its derivative together."""
    k = params["carries"]
    first, mapped, outside = split_inputs(tensors_of(xs), params)
    t_first, t_mapped, t_outside = split_inputs(ts, params)
    moving = smooth_inputs(first)
    rows = [i for i, t in enumerate(t_mapped) if t is not None]
    held = [i for i, t in enumerate(t_outside) if t is not None]
    smooth = Smooth(params["body"], outside, moving, held, rows)
    made = [i for i in smooth_inputs(y) if i >= k]

    def push(state, x):
        (now, tc), (row, tx) = state, x
        along = [*tc, *tx, *(t_outside[i] for i in held)]
        at = tuple(smooth.at(now, row))
        out, t_out = transforms.jvp(smooth.step(now, row), at, tuple(along))
        return (list(out[:k]), [t_out[i] for i in moving]), [t_out[i] for i in made]

    tc = [op.zeros_like(first[i]) if t_first[i] is None else t_first[i] for i in moving]
    along = mapped, [t_mapped[i] for i in rows]
    n, reverse = params["length"], params["reverse"]
    (_, tc), ty = _looped(push, (first, tc), along, n, reverse)
    return filled(ty, made, filled(tc, moving, [None] * len(y)))


def _batched_scan(size, xs, dims, params):
    """A scan of the mapped body; every carry has a batch dim, rows have it second."""
    body, k = params["body"], params["carries"]
    first, mapped, outside = split_inputs(tensors_of(xs), params)
    d_first, d_mapped, d_outside = split_inputs(dims, params)
    first = [batch_at(x, d, 0, size) for x, d in zip(first, d_first, strict=True)]
    mapped = [
        x if d is None else batch_at(x, d, 1, size)
        for x, d in zip(mapped, d_mapped, strict=True)
    ]
    inside = [0] * k + [None if d is None else 0 for d in d_mapped] + list(d_outside)

    def step(now, row):
        run = vmap(lambda *ins: tuple(body.run(ins)), tuple(inside))
        out = run(*now, *row, *outside)
        return list(out[:k]), list(out[k:])

    now, rows = _looped(
        step, first, mapped, length=params["length"], reverse=params["reverse"]
    )
    return (*now, *rows), (0,) * k + (1,) * len(rows)
