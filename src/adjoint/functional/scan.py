"""scan and map: a function again and again, its last result carried along."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff import transforms
from ..autodiff.modes import no_grad, recording
from ..autodiff.tape import BASE, Tape
from ..core import tree
from ..core.bind import NUMPY, bind, dtype_of, floor
from ..core.dtype import is_inexact
from ..core.primitive import Primitive, op, spec_of
from ..core.shape import Spec
from ..errors import ArgumentError, GradError
from ..ir.section import Stateful, section
from .bodies import (
    batch_at,
    cut,
    filled,
    leaves_of,
    need_pair,
    program_of,
    row_of,
    same_carry,
    smooth_inputs,
    split_inputs,
    tensor_of,
    tensors_of,
)
from .face import FUNCTIONS, function


@function
def scan(f, init, xs=None, length=None, reverse=False) -> tuple[Any, Any]:
    """(carry, ys): carry, y = f(carry, x) for each x along dim 0 of `xs`, the ys stacked.

    A loop that a compiled program keeps as a loop. `carry`, `xs` and `ys` may be containers;
    without `xs` it runs `length` times. With `reverse` it goes from the last x to the first.

    >>> scan(lambda c, x: (c + x, c * x), tensor(0.), tensor([1., 2., 3.]))
    (tensor(6.), tensor([0., 2., 9.]))
    """
    n = _length(xs, length)
    if floor.get() is NUMPY:
        return _python_loop(f, init, xs, n, reverse)
    first, carry_shape = leaves_of(init)
    mapped, x_shape = leaves_of(xs)
    specs = [spec_of(x) for x in first] + [row_of(spec_of(x)) for x in mapped]
    shape = tree.TreeDef(tuple, None, (carry_shape, x_shape))
    below: Any = floor.get()
    loop, whole = None, hasattr(below, "loop")
    try:
        body, outside, out_shape = section(f, specs, shape, Tape, "scan")
        if whole and n and not below.sections and _moves(first, mapped, outside):
            raise Stateful("what a step cuts off must be known")
    except (Stateful, GradError):  # it needs state, or gradients of it
        if not whole:
            raise
        if not n:
            return _python_loop(f, init, xs, n, reverse)
        loop = below.loop(f, first, mapped, shape, n)
        body, outside, out_shape = loop.body, loop.outside, loop.results
    need_pair(out_shape, "scan")
    k = len(first)
    same_carry(body.outputs[:k], specs[:k], out_shape.children[0], carry_shape, "scan")
    if loop is not None:
        first = _with_rounds(body, first, loop.rounds)
    ys = _bound(body, first, mapped, outside, n, reverse, loop)
    k, rounds = carry_shape.num_leaves, len(first)
    if loop is not None:
        loop.finish([tensor_of(y) for y in ys[k:rounds]])
    carry = tree.unflatten(carry_shape, [tensor_of(y) for y in ys[:k]])
    rows = [tensor_of(y) for y in ys[2 * rounds :]]
    return carry, tree.unflatten(out_shape.children[1], rows)


def _moves(*groups) -> bool:
    """Whether derivatives of these, ordinary tensors all, are recorded."""
    xs = [x for group in groups for x in group]
    plain = recording.get() and all(x.level is BASE for x in xs)
    return plain and any(x.requires_grad for x in xs)


def _with_rounds(body, first, rounds):
    """The first carries, with what else goes round put beside them in the body."""
    k = len(first)
    body.outputs[k:k] = [r.after for r in rounds]
    return [*first, *(r.first() for r in rounds)]


def _bound(body, first, mapped, outside, n, reverse, loop):
    """What the loop gives: last carries, what each step began with, rows of results."""
    k = len(first)
    # What every step began with is kept: the reverse starts there.
    body.outputs[k:k] = body.inputs[:k]
    params = {"carries": k, "mapped": len(mapped), "length": n}
    token = recording.set(recording.get() and (loop is None or loop.live))
    try:
        inputs = (*first, *mapped, *outside)
        return bind(op.scan, *inputs, body=body, **params, reverse=bool(reverse))
    finally:
        recording.reset(token)


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
        carry, y = pair
        rows.append(tree.flatten(y))
    if reverse:
        rows.reverse()
    if not rows:
        return carry, _no_rows(f, carry, leaves, shape)
    columns = zip(*(r[0] for r in rows), strict=True)
    return carry, tree.unflatten(rows[0][1], [FUNCTIONS["stack"](c) for c in columns])


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
        return _reverse_scan(g, y, xs, params, need)

    def jvp(self, ts, y, xs, params):
        return _forward_scan(ts, y, xs, params)

    def batch(self, size, xs, dims, params):
        return _batched_scan(size, xs, dims, params)


def _reverse_scan(g, y, xs, params, need):
    """A scan the other way, of the reverse of the body, from what every step began with."""
    g = tensors_of(g)
    body, k = params["body"], params["carries"]
    first, mapped, outside = split_inputs(tensors_of(xs), params)
    wanted = [
        need[k + params["mapped"] + i] and is_inexact(dtype_of(x))
        for i, x in enumerate(outside)
    ]
    held = [i for i, w in enumerate(wanted) if w]
    moving, rows = smooth_inputs(first), smooth_inputs(mapped)
    given = [i for i in range(k, len(y)) if g[i] is not None]
    # Of these the cotangents of results, not of what is kept.
    inner = [i for i in given if i >= 2 * k]

    def back(state, x):
        gc, gk = state
        start, row, gys = x
        gys = dict(zip(given, gys, strict=True))

        def once(*parts):
            a, b, c = cut(parts, len(moving), len(rows))
            ins = [
                *filled(a, moving, start),
                *filled(b, rows, row),
                *filled(c, held, outside),
            ]
            out = body.run(ins)
            return tuple([out[i] for i in moving] + [out[i] for i in inner])

        at = (
            [start[i] for i in moving]
            + [row[i] for i in rows]
            + [outside[i] for i in held]
        )
        _, pull = transforms.vjp(once, *at)
        a, b, c = cut(pull((*gc, *(gys[i] for i in inner))), len(moving), len(rows))
        a = [
            t + gys[k + i] if k + i in gys else t
            for t, i in zip(a, moving, strict=True)
        ]
        return (a, [t + u for t, u in zip(gk, c, strict=True)]), b

    gc = [op.zeros_like(first[i]) if g[i] is None else g[i] for i in moving]
    gk = [op.zeros_like(outside[i]) for i in held]
    history = tensors_of(y[k : 2 * k])
    (gc, gk), gx = scan(
        back,
        (gc, gk),
        (history, mapped, [g[i] for i in given]),
        length=params["length"],
        reverse=not params["reverse"],
    )
    none = [None] * len(xs)
    out = filled(gc, moving, none)
    out = filled(gx, [k + i for i in rows], out)
    return filled(gk, [k + params["mapped"] + i for i in held], out)


def _forward_scan(ts, y, xs, params):
    """A scan of the body and its derivative together."""
    body, k = params["body"], params["carries"]
    first, mapped, outside = split_inputs(tensors_of(xs), params)
    t_first, t_mapped, t_outside = split_inputs(ts, params)
    moving = smooth_inputs(first)
    rows = [i for i, t in enumerate(t_mapped) if t is not None]
    held = [i for i, t in enumerate(t_outside) if t is not None]
    smooth = [i for i in range(len(y)) if is_inexact(dtype_of(y[i]))]

    def push(state, x):
        (now, tc), (row, tx) = state, x

        def once(*parts):
            a, b, c = cut(parts, len(moving), len(rows))
            ins = [
                *filled(a, moving, now),
                *filled(b, rows, row),
                *filled(c, held, outside),
            ]
            return tuple(body.run(ins))

        at = (
            [now[i] for i in moving]
            + [row[i] for i in rows]
            + [outside[i] for i in held]
        )
        along = [*tc, *tx, *(t_outside[i] for i in held)]
        out, t_out = transforms.jvp(once, tuple(at), tuple(along))
        tc = [t_out[i] for i in moving]
        return (list(out[:k]), tc), [t_out[i] for i in smooth if i >= k]

    tc = [op.zeros_like(first[i]) if t_first[i] is None else t_first[i] for i in moving]
    start = (first, tc), (mapped, [t_mapped[i] for i in rows])
    (_, tc), ty = scan(push, *start, length=params["length"], reverse=params["reverse"])
    out = filled(tc, moving, [None] * len(y))
    return filled(ty, [i for i in smooth if i >= k], out)


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
        run = transforms.vmap(lambda *ins: tuple(body.run(ins)), tuple(inside))
        out = run(*now, *row, *outside)
        return list(out[:k]), list(out[k:])

    now, rows = scan(
        step, first, mapped, length=params["length"], reverse=params["reverse"]
    )
    return (*now, *rows), (0,) * k + (1,) * len(rows)
