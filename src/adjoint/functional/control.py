"""Loops and branches on values: scan, fori_loop, map, cond and while_loop.

Eagerly they are Python's own loops and branches, so all that is taped, mapped and printed in
them is. In a program that is written down they are one operation whose body is a program; its
derivatives are loops and branches again, over the derivatives of that body.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autodiff import transforms
from ..autodiff.modes import no_grad, recording
from ..autodiff.tape import BASE, Tape
from ..core import tree
from ..core.bind import NUMPY, Box, at_bottom, bind, dtype_of, floor
from ..core.dtype import is_inexact
from ..core.primitive import Primitive, op, spec_of
from ..core.shape import Spec
from ..errors import ArgumentError, GradError, ShapeError
from ..ir.section import Stateful, section
from .face import FUNCTIONS, function

# ---------------------------------------------------------------- scan


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
    first, carry_shape = _leaves(init)
    mapped, x_shape = _leaves(xs)
    specs = [spec_of(x) for x in first] + [_row(spec_of(x)) for x in mapped]
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
    _need_pair(out_shape, "scan")
    k = len(first)
    _same_carry(body.outputs[:k], specs[:k], out_shape.children[0], carry_shape, "scan")
    if loop is not None:
        first = _with_rounds(body, first, loop.rounds)
    ys = _bound(body, first, mapped, outside, n, reverse, loop)
    k, rounds = carry_shape.num_leaves, len(first)
    if loop is not None:
        loop.finish([_tensor(y) for y in ys[k:rounds]])
    carry = tree.unflatten(carry_shape, [_tensor(y) for y in ys[:k]])
    rows = [_tensor(y) for y in ys[2 * rounds :]]
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


@function
def map(f, xs):
    """f of each slice of `xs` along dim 0, one after the other, stacked.

    >>> ad.map(lambda x: x.sum(), tensor([[1., 2.], [3., 4.]]))
    tensor([3., 7.])
    """
    return scan(lambda _, x: (None, f(x)), None, xs)[1]


def _python_loop(f, carry, xs, n, reverse):
    leaves, shape = _leaves(xs)
    carry = tree.unflatten(*_leaves(carry)[::-1])
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
    none = [zeros((0, *y.shape), dtype=y.dtype) for y in _tensors(ys)]
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


def _leaves(x):
    leaves, shape = tree.flatten(x)
    return [_tensor(v) for v in leaves], shape


def _tensor(x):
    """A tensor of a value that a rule or a user hands in."""
    if isinstance(x, Box.face):
        return x
    if isinstance(x, (Box, np.ndarray)):
        return BASE.wrap(x)
    return FUNCTIONS["as_tensor"](x)


def _tensors(xs) -> list:
    return [None if x is None else _tensor(x) for x in xs]


def _row(spec) -> Spec:
    return Spec(tuple(spec.shape[1:]), spec.dtype)


def _need_pair(shape, name):
    if shape.kind is not tuple or len(shape.children) != 2:
        raise ArgumentError(f"{name}: the function must return a pair (carry, y)")


def _same_carry(outputs, specs, shape, before, name):
    """What goes round a loop keeps its containers, shapes and dtypes."""
    if shape != before:
        raise ArgumentError(
            f"{name}: the carry comes back in other containers than it went in"
        )
    for i, (v, spec) in enumerate(zip(outputs, specs, strict=True)):
        if v.spec != spec:
            raise ShapeError(
                f"{name}: value {i + 1} of the carry is {spec} at first and {v.spec} after a step",
                hint="give the first value the shape and dtype that the steps have",
            )


class Scan(Primitive):
    """A loop over dim 0: inputs are first carries, what is mapped over, and values from outside.

    `body`, a program, makes of (carries, rows, outside) new carries, the old ones, and rows of
    results; outputs are the last carries and all rows stacked.

    >>> from adjoint.functional.control import program_of
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


def program_of(f, count: int):
    """The program of f(*xs) of numbers in double precision: a body for the records here."""
    shape = tree.TreeDef(tuple, None, (tree.LEAF,) * count)
    return section(f, [Spec((), np.dtype(np.float64))] * count, shape, Tape, "body")[0]


def _split(xs, params):
    k, m = params["carries"], params["mapped"]
    return list(xs[:k]), list(xs[k : k + m]), list(xs[k + m :])


def _smooth(xs) -> list[int]:
    return [i for i, x in enumerate(xs) if is_inexact(dtype_of(x))]


def _filled(values, numbers, others) -> list:
    """`others` with `values` at these numbers."""
    out = list(others)
    for i, v in zip(numbers, values, strict=True):
        out[i] = v
    return out


def _reverse_scan(g, y, xs, params, need):
    """A scan the other way, of the reverse of the body, from what every step began with."""
    g = _tensors(g)
    body, k = params["body"], params["carries"]
    first, mapped, outside = _split(_tensors(xs), params)
    wanted = [
        need[k + params["mapped"] + i] and is_inexact(dtype_of(x))
        for i, x in enumerate(outside)
    ]
    held = [i for i, w in enumerate(wanted) if w]
    moving, rows = _smooth(first), _smooth(mapped)
    given = [i for i in range(k, len(y)) if g[i] is not None]
    # Of these the cotangents of results, not of what is kept.
    inner = [i for i in given if i >= 2 * k]

    def back(state, x):
        gc, gk = state
        start, row, gys = x
        gys = dict(zip(given, gys, strict=True))

        def once(*parts):
            a, b, c = _cut(parts, len(moving), len(rows))
            ins = [
                *_filled(a, moving, start),
                *_filled(b, rows, row),
                *_filled(c, held, outside),
            ]
            out = body.run(ins)
            return tuple([out[i] for i in moving] + [out[i] for i in inner])

        at = (
            [start[i] for i in moving]
            + [row[i] for i in rows]
            + [outside[i] for i in held]
        )
        _, pull = transforms.vjp(once, *at)
        a, b, c = _cut(pull((*gc, *(gys[i] for i in inner))), len(moving), len(rows))
        a = [
            t + gys[k + i] if k + i in gys else t
            for t, i in zip(a, moving, strict=True)
        ]
        return (a, [t + u for t, u in zip(gk, c, strict=True)]), b

    gc = [op.zeros_like(first[i]) if g[i] is None else g[i] for i in moving]
    gk = [op.zeros_like(outside[i]) for i in held]
    history = _tensors(y[k : 2 * k])
    (gc, gk), gx = scan(
        back,
        (gc, gk),
        (history, mapped, [g[i] for i in given]),
        length=params["length"],
        reverse=not params["reverse"],
    )
    none = [None] * len(xs)
    out = _filled(gc, moving, none)
    out = _filled(gx, [k + i for i in rows], out)
    return _filled(gk, [k + params["mapped"] + i for i in held], out)


def _cut(parts, *sizes):
    out, i = [], 0
    for n in sizes:
        out.append(list(parts[i : i + n]))
        i += n
    return *out, list(parts[i:])


def _forward_scan(ts, y, xs, params):
    """A scan of the body and its derivative together."""
    body, k = params["body"], params["carries"]
    first, mapped, outside = _split(_tensors(xs), params)
    t_first, t_mapped, t_outside = _split(ts, params)
    moving = _smooth(first)
    rows = [i for i, t in enumerate(t_mapped) if t is not None]
    held = [i for i, t in enumerate(t_outside) if t is not None]
    smooth = [i for i in range(len(y)) if is_inexact(dtype_of(y[i]))]

    def push(state, x):
        (now, tc), (row, tx) = state, x

        def once(*parts):
            a, b, c = _cut(parts, len(moving), len(rows))
            ins = [
                *_filled(a, moving, now),
                *_filled(b, rows, row),
                *_filled(c, held, outside),
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
    out = _filled(tc, moving, [None] * len(y))
    return _filled(ty, [i for i in smooth if i >= k], out)


def _batched_scan(size, xs, dims, params):
    """A scan of the mapped body; every carry has a batch dim, rows have it second."""
    body, k = params["body"], params["carries"]
    first, mapped, outside = _split(_tensors(xs), params)
    d_first, d_mapped, d_outside = _split(dims, params)
    first = [_batch_at(x, d, 0, size) for x, d in zip(first, d_first, strict=True)]
    mapped = [
        x if d is None else _batch_at(x, d, 1, size)
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


def _batch_at(x, d, place, size):
    """x with its batch dim at `place`, broadcast in if it has none."""
    if d is None:
        x, d = op.expand(x, shape=(size, *x.shape)), 0
    return op.permute(x, dims=_moved(x.ndim, d, place)) if d != place else x


def _moved(n, d, place):
    order = [i for i in range(n) if i != d]
    order.insert(place, d)
    return tuple(order)


# ---------------------------------------------------------------- cond


@function
def cond(pred, true_fun, false_fun, *operands):
    """true_fun(*operands) if `pred` holds, else false_fun(*operands).

    Both must return the same containers, shapes and dtypes. Under vmap, where examples may
    differ, both are computed.

    >>> cond(tensor(True), lambda x: x + 1, lambda x: -x, tensor(1.))
    tensor(2.)
    """
    if isinstance(pred, Box) and tuple(pred.shape) != ():
        raise ShapeError(f"cond: pred must have no dims, got shape {tuple(pred.shape)}")
    if not isinstance(pred, Box) or _known(pred):
        return true_fun(*operands) if bool(pred) else false_fun(*operands)
    if floor.get() is NUMPY:
        return _selected(pred, true_fun(*operands), false_fun(*operands))
    leaves, shape = _leaves(operands)
    specs = [spec_of(x) for x in leaves]
    yes, outside, out_shape = section(true_fun, specs, shape, Tape, "yes")
    no, others, other_shape = section(false_fun, specs, shape, Tape, "no")
    if out_shape != other_shape or [v.spec for v in yes.outputs] != [
        v.spec for v in no.outputs
    ]:
        raise ShapeError(
            "cond: both branches must return the same, got "
            f"{[str(v.spec) for v in yes.outputs]} and {[str(v.spec) for v in no.outputs]}"
        )
    params = {"yes": yes, "no": no, "operands": len(leaves), "split": len(outside)}
    ys = bind(op.branch, pred, *leaves, *outside, *others, **params)
    return tree.unflatten(out_shape, [_tensor(y) for y in ys])


def _known(x) -> bool:
    """Whether a value has one number now."""
    while isinstance(x, Box):
        if x.__dict__.get("batch_dim") is not None or not hasattr(x, "value"):
            return False
        x = x.value
    return True


def _selected(pred, a, b):
    xs, shape = tree.flatten(a)
    ys, other = tree.flatten(b)
    if shape != other:
        raise ArgumentError("cond: both branches must return the same containers")
    where = FUNCTIONS["where"]
    return tree.unflatten(
        shape, [where(pred, x, y) for x, y in zip(xs, ys, strict=True)]
    )


class Branch(Primitive):
    """One of two programs: inputs are the truth value, operands, and values from outside.

    >>> from adjoint.functional.control import program_of
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
        args = _tensors(xs[1:])
        g = _tensors(g)
        moving = [i for i in _smooth(args) if need[i + 1]]
        given = [i for i, t in enumerate(g) if t is not None]

        def pulled(run):
            def pull(args, gs):
                def once(*parts):
                    out = run(_filled(parts, moving, args))
                    return tuple(out[i] for i in given)

                return list(
                    transforms.vjp(once, *(args[i] for i in moving))[1](tuple(gs))
                )

            return pull

        yes, no = (_runner(params, which) for which in ("yes", "no"))
        out = cond(_tensor(xs[0]), pulled(yes), pulled(no), args, [g[i] for i in given])
        return [None, *_filled(out, moving, [None] * len(args))]

    def jvp(self, ts, y, xs, params):
        args, ts = _tensors(xs[1:]), list(ts[1:])
        moving = [i for i, t in enumerate(ts) if t is not None]
        smooth = _smooth(y)

        def pushed(run):
            def push(args, along):
                def once(*parts):
                    out = run(_filled(parts, moving, args))
                    return tuple(out[i] for i in smooth)

                at = tuple(args[i] for i in moving)
                return list(transforms.jvp(once, at, tuple(along))[1])

            return push

        yes, no = (_runner(params, which) for which in ("yes", "no"))
        out = cond(
            _tensor(xs[0]), pushed(yes), pushed(no), args, [ts[i] for i in moving]
        )
        return _filled(out, smooth, [None] * len(y))

    def batch(self, size, xs, dims, params):
        def mapped(run):
            def several(*args):
                if all(d is None for d in dims[1:]):
                    return [_batch_at(_tensor(y), None, 0, size) for y in run(args)]
                return list(
                    transforms.vmap(lambda *a: tuple(run(a)), tuple(dims[1:]))(*args)
                )

            return several

        xs = _tensors(xs)
        yes, no = (mapped(_runner(params, which)) for which in ("yes", "no"))
        if dims[0] is None:
            return tuple(cond(_tensor(xs[0]), yes, no, *xs[1:])), (0,) * len(
                params["yes"].outputs
            )
        a, b = (f(*xs[1:]) for f in (yes, no))
        pred = _batch_at(xs[0], dims[0], 0, size)
        out = []
        for x, y in zip(a, b, strict=True):
            p = op.reshape(pred, shape=(size, *(1,) * (x.ndim - 1)))
            out.append(op.where(op.expand(p, shape=tuple(x.shape)), x, y))
        return tuple(out), (0,) * len(out)


def _runner(params, which):
    """The program of a branch as a function of all inputs but the truth value."""
    n, m = params["operands"], params["split"]

    def run(args):
        own = args[n : n + m] if which == "yes" else args[n + m :]
        return params[which].run([*args[:n], *own])

    return run


# ---------------------------------------------------------------- while_loop

SNAPSHOTS = 256  # of the carry, kept by the reverse of a loop whose length no one knows


@function
def while_loop(cond_fun, body_fun, init_val):
    """The value after value = body_fun(value) for as long as cond_fun(value) holds.

    Its reverse runs the loop again from a bounded number of snapshots.

    >>> while_loop(lambda x: x < 100, lambda x: x * 2, tensor(3.))
    tensor(192.)
    """
    if floor.get() is NUMPY:
        return _python_while(cond_fun, body_fun, init_val)
    first, shape = _leaves(init_val)
    specs = [spec_of(x) for x in first]
    args = tree.TreeDef(tuple, None, (shape,))
    test, outside, test_shape = section(cond_fun, specs, args, Tape, "test")
    body, others, out_shape = section(body_fun, specs, args, Tape, "body")
    if test_shape != tree.LEAF or test.outputs[0].spec != Spec((), np.dtype(bool)):
        raise ArgumentError(
            "while_loop: cond_fun must return one truth value without dims"
        )
    _same_carry(body.outputs, specs, out_shape, shape, "while_loop")
    params = {"test": test, "body": body, "carries": len(first), "split": len(outside)}
    ys = bind(op.repeat_while, *first, *outside, *others, **params)
    return tree.unflatten(shape, [_tensor(y) for y in ys])


def _python_while(test, body, value):
    while True:
        go = test(value)
        if _known(go):
            if not bool(go):
                return value
            value = body(value)
        else:  # examples of a batch that differ: those that are done stay as they are
            if not np.any(at_bottom(go)):
                return value
            value = _selected(go, body(value), value)


class RepeatWhile(Primitive):
    """A loop while a program says so: inputs are first carries and values from outside.

    >>> from adjoint.functional.control import program_of
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
        return _reverse_while(g, xs, params, need)

    def jvp(self, ts, y, xs, params):
        return _forward_while(ts, y, xs, params)

    def batch(self, size, xs, dims, params):
        return _batched_while(size, xs, dims, params)


def _parts(xs, params):
    k, m = params["carries"], params["split"]
    return list(xs[:k]), list(xs[k : k + m]), list(xs[k + m :])


def _reverse_while(g, xs, params, need):
    """Count the steps, keep snapshots, and go back from one to the one before it."""
    g = _tensors(g)
    first, own, others = _parts(_tensors(xs), params)
    k = params["carries"]
    test, body = params["test"], params["body"]
    moving = _smooth(first)
    offset = k + params["split"]
    held = [
        i for i, x in enumerate(others) if need[offset + i] and is_inexact(dtype_of(x))
    ]
    whole = FUNCTIONS["as_tensor"]

    def go(s):
        return _tensor(test.run([*s[1], *own])[0])

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

    def back(s):
        i, gc, gk = s
        start = [_row_at(x, i // every) for x in kept]
        now = fori_loop(
            (i // every) * every, i, lambda _, c: body.run([*c, *others]), start
        )

        def once(*parts):
            a, c = _cut(parts, len(moving))
            out = body.run([*_filled(a, moving, now), *_filled(c, held, others)])
            return tuple(out[j] for j in moving)

        at = [now[j] for j in moving] + [others[j] for j in held]
        a, c = _cut(transforms.vjp(once, *at)[1](tuple(gc)), len(moving))
        return i - 1, a, [t + u for t, u in zip(gk, c, strict=True)]

    gc = [op.zeros_like(first[i]) if g[i] is None else g[i] for i in moving]
    gk = [op.zeros_like(others[i]) for i in held]
    _, gc, gk = while_loop(lambda s: s[0] >= 0, back, (count - 1, gc, gk))
    out = _filled(gc, moving, [None] * len(xs))
    return _filled(gk, [offset + i for i in held], out)


def _where_row(here, x, old):
    """`old` with the row that `here` marks replaced by x."""
    here = op.reshape(here, shape=(SNAPSHOTS, *(1,) * x.ndim))
    shape = tuple(old.shape)
    return op.where(op.expand(here, shape=shape), op.expand(x, shape=shape), old)


def _row_at(x, i):
    """Row number i, a value, of x."""
    return op.reshape(op.index(x, i.reshape(1), dim=0), shape=tuple(x.shape[1:]))


def _forward_while(ts, y, xs, params):
    first, own, others = _parts(_tensors(xs), params)
    t_first, _, t_others = _parts(ts, params)
    moving = _smooth(first)
    held = [i for i, t in enumerate(t_others) if t is not None]

    def push(s):
        now, tc = s

        def once(*parts):
            a, c = _cut(parts, len(moving))
            return tuple(
                params["body"].run(
                    [*_filled(a, moving, now), *_filled(c, held, others)]
                )
            )

        at = [now[i] for i in moving] + [others[i] for i in held]
        along = [*tc, *(t_others[i] for i in held)]
        out, t_out = transforms.jvp(once, tuple(at), tuple(along))
        return list(out), [t_out[i] for i in moving]

    tc = [op.zeros_like(first[i]) if t_first[i] is None else t_first[i] for i in moving]
    _, tc = while_loop(
        lambda s: _tensor(params["test"].run([*s[0], *own])[0]), push, (first, tc)
    )
    return _filled(tc, moving, [None] * len(y))


def _batched_while(size, xs, dims, params):
    """All examples go on while any does; those that are done stay as they are."""
    first, own, others = _parts(_tensors(xs), params)
    d_first, d_own, d_others = _parts(dims, params)
    k = params["carries"]
    first = [_batch_at(x, d, 0, size) for x, d in zip(first, d_first, strict=True)]

    def run(graph, ds):
        return transforms.vmap(lambda *a: tuple(graph.run(a)), (*(0,) * k, *ds))

    def going(now):
        (go,) = run(params["test"], d_own)(*now, *own)
        return go

    def step(now):
        go, new = going(now), run(params["body"], d_others)(*now, *others)
        out = []
        for x, old in zip(new, now, strict=True):
            here = op.reshape(go, shape=(size, *(1,) * (x.ndim - 1)))
            out.append(op.where(op.expand(here, shape=tuple(x.shape)), x, old))
        return out

    out = while_loop(lambda now: going(now).any(), step, first)
    return tuple(out), (0,) * k
