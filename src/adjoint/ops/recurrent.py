"""Recurrent layers over a whole sequence: one record a kind of cell, its time loop inside.

The input's share of the gates comes in ready made (one product for all steps). Rows are in
the order of time: `sizes` says how many each step has, never more than the step before, so
that the first rows of the state take part; `reverse` walks from the last step to the first.
A reverse rule is a loop of a step's rule, and one product for the weight.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

import numpy as np

from ..core.bind import bind
from ..core.primitive import Primitive, op, with_batch
from ..core.shape import Spec


@lru_cache(1024)
def _steps(sizes, reverse):
    """(place, first row, number of rows) of each step, in the order they are taken."""
    ends = accumulate(sizes)
    steps = [(k, e - n, n) for k, (e, n) in enumerate(zip(ends, sizes, strict=True))]
    return tuple(reversed(steps)) if reverse else tuple(steps)


def over_time(step, state, xs, sizes, reverse):
    """step(state, x) -> (state, y) at each step; the last state, and the rows of every y.

    `state`, `x` and `y` are tuples: of the rows that take part, of the rows of that step
    (None stays None), and of what is kept of it.
    """
    kept: list = [None] * len(sizes)
    for k, start, n in _steps(sizes, reverse):
        here = tuple(_rows(s, 0, n) for s in state)
        new, kept[k] = step(here, tuple(_rows(x, start, n) for x in xs))
        state = tuple(_over(a, s) for a, s in zip(new, state, strict=True))
    return state, [op.cat(*ys, dim=0) for ys in zip(*kept, strict=True)]


def _rows(x, start, n):
    if x is None or n == x.shape[0]:
        return x
    if isinstance(x, np.ndarray):
        return x[start : start + n]
    return op.slice(x, key=((start, start + n, 1), *((0, m, 1) for m in x.shape[1:])))


def _over(new, state):
    """`state`, its first rows replaced by `new`."""
    n, count = new.shape[0], state.shape[0]
    return new if n == count else op.cat(new, _rows(state, n, count - n), dim=0)


def _before(ys, start, sizes, reverse):
    """The state before each step, from that after it and the first."""
    parts, last = [], None
    for k, first, n in _steps(sizes, reverse):
        before = start if last is None else _over(_rows(ys, *last), start)
        parts.append((k, _rows(before, 0, n)))
        last = (first, n)
    return op.cat(*(part for _, part in sorted(parts, key=lambda p: p[0])), dim=0)


def _gates(a, count=4):
    """The columns of `a` in `count` equal parts."""
    size = a.shape[1] // count
    if isinstance(a, np.ndarray):
        return [a[:, k * size : (k + 1) * size] for k in range(count)]
    whole = (0, a.shape[0], 1)
    return [
        op.slice(a, key=(whole, (k * size, (k + 1) * size, 1))) for k in range(count)
    ]


def _beside(*xs):
    return op.cat(*xs, dim=1)


def _mm(a, b):
    return op.contract(a, b, spec="ij,jk->ik")


def _mmt(a, b):
    """a bᵀ."""
    return op.contract(a, b, spec="ij,kj->ik")


def _tmm(a, b):
    """aᵀ b, a weight's cotangent."""
    return op.contract(a, b, spec="ij,ik->jk")


def _plus(*xs):
    """The sum of those that are not None; None if there are none."""
    total = None
    for x in xs:
        if x is not None:
            total = x if total is None else total + x
    return total


def _zeros(x, like):
    return op.zeros_like(like) if x is None else x


def _turned(w):
    """wᵀ in its own memory, which products over many steps repay."""
    return np.ascontiguousarray(w.T)


def _logistic(x):
    """σ(x), in the memory of x."""
    np.negative(x, out=x)
    np.exp(x, out=x)
    x += 1
    np.reciprocal(x, out=x)


class _Recurrent(Primitive, abstract=True):
    """What the cells share. The inputs after the first `data` ones are weights."""

    data = 2

    def batch(self, size, xs, dims, params):
        sizes = params["sizes"]
        shared = all(d is None for d in dims[self.data :])
        if not shared or len(set(sizes)) > 1:
            return super().batch(size, xs, dims, params)
        steps, n = len(sizes), sizes[0]
        data = [with_batch(x, d, size) for x, d in zip(xs, dims, strict=True)]
        x = _swapped(data[0], size, steps)
        states = [
            op.reshape(s, shape=(size * n, *s.shape[2:])) for s in data[1 : self.data]
        ]
        params = {**params, "sizes": (size * n,) * steps}
        ys = bind(self, x, *states, *xs[self.data :], **params)
        if self.outputs == 1:
            return _swapped(ys, steps, size, size), 0
        return tuple(_swapped(y, steps, size, size) for y in ys), (0,) * len(ys)


def _swapped(x, outer, inner, *lead):
    """Rows counted by `outer`, then `inner`, in the other order; first dims `lead`."""
    columns = x.shape[-1]
    rows = int(np.prod(x.shape[:-1])) // max(1, outer * inner)
    x = op.reshape(x, shape=(outer, inner, rows, columns))
    x = op.permute(x, dims=(1, 0, 2, 3))
    last = outer * rows if lead else outer * inner * rows
    return op.reshape(x, shape=(*lead, last, columns))


def _single(args):
    """The arrays in which it is computed: single precision for halves."""
    if args[0].dtype.itemsize > 2:
        return args
    return [a.astype(np.float32) for a in args]


def _empty(x, *columns):
    return [np.empty((len(x), n), x.dtype) for n in columns]


def _one_by_one(cell, x, states, sizes, reverse):
    """The oracle: every sequence by itself, cell after cell."""
    starts = np.cumsum([0, *sizes])
    found = {}
    for b in range(len(states[0])):
        own = [k for k, n in enumerate(sizes) if b < n]
        state = [s[b] for s in states]
        for k in reversed(own) if reverse else own:
            row = starts[k] + b
            state, found[row] = cell(x[row], state)
    columns = zip(*(found[row] for row in range(len(x))), strict=True)
    return tuple(np.stack(c) for c in columns)


def _sigma(x):
    return 1 / (1 + np.exp(-x))


_UNIFORM = {"sizes": (2, 2), "reverse": False}
_RAGGED = {"sizes": (3, 2, 1), "reverse": True}


def _samples(gates, states, *weights):
    """Inputs for the two kinds of `sizes`: columns of x, of the states, shapes of weights."""

    def samples(rng):
        out = []
        for params in (_UNIFORM, _RAGGED):
            shapes = [(sum(params["sizes"]), gates)]
            shapes += [(params["sizes"][0], n) for n in states]
            xs = tuple(rng.normal(size=s) for s in (*shapes, *weights))
            out.append((xs, dict(params)))
        return out

    return samples


class Rnn(_Recurrent):
    """h ← φ(x + W h) at each step, φ = tanh or relu.

    >>> op.rnn(zeros(2, 1), ones(1, 1), ones(1, 1), sizes=(1, 1), reverse=False, act="tanh")
    tensor([[0.7616],
            [0.6420]])
    """

    def samples(rng):
        make = _samples(2, (2,), (2, 2))
        return [
            (xs, {**params, "act": act})
            for act in ("tanh", "relu")
            for xs, params in make(rng)
        ]

    def reference(x, h, w, sizes, reverse, act):
        def cell(x, state):
            y = x + w @ state[0]
            y = np.tanh(y) if act == "tanh" else np.clip(y, 0, None)
            return [y], [y]

        return _one_by_one(cell, x, [h], sizes, reverse)[0]

    def eager(x, h, w, *, sizes, reverse, act):
        kind = x.dtype
        x, h, w = _single([x, h, w])
        (hs,) = _empty(x, h.shape[1])
        h, wt = h.copy(), _turned(w)
        for _, start, n in _steps(sizes, reverse):
            y = hs[start : start + n]
            np.matmul(h[:n], wt, out=y)
            y += x[start : start + n]
            if act == "tanh":
                np.tanh(y, out=y)
            else:
                np.maximum(y, 0, out=y)
            h[:n] = y
        return hs.astype(kind, copy=False)

    def infer(self, x, h, w, *, sizes, reverse, act):
        return Spec((x.shape[0], h.shape[1]), x.dtype)

    def keeps(self, need, count):
        return (False, need[2], True)

    def vjp(self, g, y, xs, params, need):
        _, h0, w = xs
        sizes, reverse, slope = (
            params["sizes"],
            params["reverse"],
            _SLOPES[params["act"]],
        )

        def step(state, x):
            d = slope(state[0] + x[0], x[1])
            return (_mm(d, w),), (d,)

        start = (op.zeros_like(_rows(g, 0, sizes[0])),)
        (gh,), (gx,) = over_time(step, start, (g, y), sizes, not reverse)
        gw = _tmm(gx, _before(y, h0, sizes, reverse)) if need[2] else None
        return gx, gh, gw

    def jvp(self, ts, y, xs, params):
        (tx, th, tw), (_, h0, w) = ts, xs
        sizes, reverse, slope = (
            params["sizes"],
            params["reverse"],
            _SLOPES[params["act"]],
        )
        if tw is not None:
            tx = _plus(tx, _mmt(_before(y, h0, sizes, reverse), tw))

        def step(state, x):
            t = slope(_plus(x[0], _mmt(state[0], w)), x[1])
            return (t,), (t,)

        _, (ty,) = over_time(step, (_zeros(th, h0),), (tx, y), sizes, reverse)
        return ty


_SLOPES = {
    "tanh": lambda t, y: t * (1 - y * y),
    "relu": lambda t, y: op.where(y > 0, t, op.zeros_like(t)),
}


class Lstm(_Recurrent):
    """Long short-term memory: (i f g o) = (σ σ tanh σ)(x + W h), c ← f c + i g, h ← o tanh c.

    With a projection P, h ← P (o tanh c). The result is h, c and the gates of all steps.

    >>> x, h, c, w = zeros(1, 4), zeros(1, 1), ones(1, 1), zeros(4, 1)
    >>> op.lstm(x, h, c, w, sizes=(1,), reverse=False)[:2]
    (tensor([[0.2311]]), tensor([[0.5000]]))
    """

    outputs = 3
    data = 3

    def samples(rng):
        make = _samples(8, (2, 2), (8, 2)), _samples(8, (1, 2), (8, 1), (1, 2))
        return [*make[0](rng), *make[1](rng)]

    def reference(x, h, c, w, *p, sizes, reverse):
        def cell(x, state):
            h, c = state
            i, f, g, o = np.split(x + w @ h, 4)
            i, f, g, o = _sigma(i), _sigma(f), np.tanh(g), _sigma(o)
            c = f * c + i * g
            h = o * np.tanh(c)
            h = p[0] @ h if p else h
            return [h, c], [h, c, np.concatenate([i, f, g, o])]

        return _one_by_one(cell, x, [h, c], sizes, reverse)

    def eager(x, h, c, w, *p, sizes, reverse):
        kind = x.dtype
        x, h, c, w, *p = _single([x, h, c, w, *p])
        n = c.shape[1]
        hs, cs, acts = _empty(x, h.shape[1], n, 4 * n)
        h, c, wt = h.copy(), c.copy(), _turned(w)
        for _, start, rows in _steps(sizes, reverse):
            at = slice(start, start + rows)
            a, state = acts[at], c[:rows]
            np.matmul(h[:rows], wt, out=a)
            a += x[at]
            i, f, g, o = _gates(a)
            t = np.tanh(g)
            _logistic(a)  # of g too: one pass over neighbours costs less than three
            g[:] = t
            state *= f
            state += i * g
            cs[at] = state
            y = np.tanh(state)
            y *= o
            h[:rows] = hs[at] = y @ p[0].T if p else y
        return tuple(y.astype(kind, copy=False) for y in (hs, cs, acts))

    def infer(self, x, h, c, w, *p, sizes, reverse):
        n = x.shape[0]
        return tuple(
            Spec((n, m), x.dtype) for m in (h.shape[1], c.shape[1], x.shape[1])
        )

    def keeps(self, need, count):
        return (False, need[3], True, True, *[True] * (count - 4))

    def vjp(self, g, y, xs, params, need):
        (gh, gc, ga), (hs, cs, acts), (_, h0, c0, w, *p) = g, y, xs
        sizes, reverse = params["sizes"], params["reverse"]
        before = _before(cs, c0, sizes, reverse)
        gh = _zeros(gh, hs)

        def step(state, x):
            dh, dc, (gh, gc, ga, c, before, a) = *state, x
            dh = dh + gh
            dm = _mm(dh, p[0]) if p else dh
            d, dc = _lstm_pull(dm, _plus(dc, gc), ga, c, before, a)
            return (_mm(d, w), dc), (d, dh) if p else (d,)

        start = op.zeros_like(_rows(gh, 0, sizes[0])), op.zeros_like(c0)
        seen = gh, gc, ga, cs, before, acts
        (dh, dc), (gx, *rest) = over_time(step, start, seen, sizes, not reverse)
        gw = _tmm(gx, _before(hs, h0, sizes, reverse)) if need[3] else None
        gp = [_tmm(rest[0], _gates(acts)[3] * op.tanh(cs))] if p else []
        return gx, dh, dc, gw, *gp

    def jvp(self, ts, y, xs, params):
        (tx, th, tc, tw, *tp), (hs, cs, acts), (_, h0, c0, w, *p) = ts, y, xs
        sizes, reverse = params["sizes"], params["reverse"]
        if tw is not None:
            tx = _plus(tx, _mmt(_before(hs, h0, sizes, reverse), tw))
        turned = None
        if p and tp[0] is not None:
            turned = _mmt(_gates(acts)[3] * op.tanh(cs), tp[0])

        def step(state, x):
            th, tc, (tx, turned, c, before, a) = *state, x
            i, f, g, o = _gates(a)
            t = op.tanh(c)
            ta = _plus(tx, _mmt(th, w)) * _lstm_slopes(a)
            ti, tf, tg, to = _gates(ta)
            tc = tf * before + f * tc + ti * g + i * tg
            th = to * t + o * (1 - t * t) * tc
            th = _plus(_mmt(th, p[0]), turned) if p else th
            return (th, tc), (th, tc, ta)

        seen = tx, turned, cs, _before(cs, c0, sizes, reverse), acts
        start = _zeros(th, h0), _zeros(tc, c0)
        return tuple(over_time(step, start, seen, sizes, reverse)[1])


def _lstm_slopes(a):
    """The derivatives of the gates, from the gates."""
    s, g = a * (1 - a), _gates(a)[2]
    i, f, _, o = _gates(s)
    return _beside(i, f, 1 - g * g, o)


def _lstm_pull(dm, dc, ga, c, before, a):
    """Cotangents of what goes into the gates and of the cell before; `dm` of o tanh c."""
    i, f, g, o = _gates(a)
    t = op.tanh(c)
    dc = dc + dm * (o * (1 - t * t))
    d = _beside(dc * g, dc * before, dc * i, dm * t)
    return _plus(d, ga) * _lstm_slopes(a), dc * f


class Gru(_Recurrent):
    """Gated recurrent unit, with (u v w) = W h + b:
    r = σ(x₁ + u), z = σ(x₂ + v), n = tanh(x₃ + r w), h ← n + z (h − n).

    The result is h, and r, z, n, w side by side, of all steps.

    >>> x, h, w = zeros(1, 3), ones(1, 1), zeros(3, 1)
    >>> op.gru(x, h, w, zeros(3), sizes=(1,), reverse=False)[0]
    tensor([[0.5000]])
    """

    outputs = 2
    samples = _samples(6, (2,), (6, 2), (6,))

    def reference(x, h, w, b, sizes, reverse):
        def cell(x, state):
            (h,) = state
            (x1, x2, x3), (u, v, k) = np.split(x, 3), np.split(w @ h + b, 3)
            r, z = _sigma(x1 + u), _sigma(x2 + v)
            n = np.tanh(x3 + r * k)
            h = (1 - z) * n + z * h
            return [h], [h, np.concatenate([r, z, n, k])]

        return _one_by_one(cell, x, [h], sizes, reverse)

    def eager(x, h, w, b, *, sizes, reverse):
        kind = x.dtype
        x, h, w, b = _single([x, h, w, b])
        m = h.shape[1]
        hs, acts = _empty(x, m, 4 * m)
        h, wt = h.copy(), _turned(w)
        for _, start, rows in _steps(sizes, reverse):
            at = slice(start, start + rows)
            a, xt, state = acts[at], x[at], h[:rows]
            y = state @ wt
            y += b
            a[:, 3 * m :] = k = y[:, 2 * m :]
            rz, n = a[:, : 2 * m], a[:, 2 * m : 3 * m]
            np.add(y[:, : 2 * m], xt[:, : 2 * m], out=rz)
            _logistic(rz)
            np.multiply(rz[:, :m], k, out=n)
            n += xt[:, 2 * m :]
            np.tanh(n, out=n)
            state -= n
            state *= rz[:, m:]
            state += n
            hs[at] = state
        return hs.astype(kind, copy=False), acts.astype(kind, copy=False)

    def infer(self, x, h, w, b, *, sizes, reverse):
        n, m = x.shape[0], h.shape[1]
        return Spec((n, m), x.dtype), Spec((n, 4 * m), x.dtype)

    def keeps(self, need, count):
        return (False, True, True, False)

    def vjp(self, g, y, xs, params, need):
        (gh, ga), (hs, acts), (_, h0, w, _) = g, y, xs
        sizes, reverse = params["sizes"], params["reverse"]
        before = _before(hs, h0, sizes, reverse)

        def step(state, x):
            (dh,), (gh, ga, before, a) = state, x
            dh = _plus(dh, gh)
            dx, d, direct = _gru_pull(dh, ga, before, a)
            return (_mm(d, w) + direct,), (dx, d)

        start, seen = (op.zeros_like(h0),), (gh, ga, before, acts)
        (dh,), (gx, gy) = over_time(step, start, seen, sizes, not reverse)
        gw = _tmm(gy, before) if need[2] else None
        gb = op.sum(gy, dim=(0,), keepdim=False) if need[3] else None
        return gx, dh, gw, gb

    def jvp(self, ts, y, xs, params):
        (tx, th, tw, tb), (hs, acts), (x, h0, w, _) = ts, y, xs
        sizes, reverse = params["sizes"], params["reverse"]
        before = _before(hs, h0, sizes, reverse)
        turned = None if tw is None else _mmt(before, tw)
        tx = _zeros(tx, x)

        def step(state, x):
            (th,), (tx, turned, before, a) = state, x
            ty = _plus(_mmt(th, w), turned, tb)
            th, ta = _gru_push(th, ty, tx, before, a)
            return (th,), (th, ta)

        seen = tx, turned, before, acts
        start = (_zeros(th, h0),)
        return tuple(over_time(step, start, seen, sizes, reverse)[1])


def _gru_pull(dh, ga, before, a):
    """Cotangents of x, of W h + b, and of h as it enters directly."""
    r, z, n, k = _gates(a)
    dn, dz = dh * (1 - z), dh * (before - n)
    gr = gz = gn = gk = None
    if ga is not None:
        gr, gz, gn, gk = _gates(ga)
    dn = _plus(dn, gn) * (1 - n * n)
    dr = _plus(dn * k, gr) * (r * (1 - r))
    dz = _plus(dz, gz) * (z * (1 - z))
    dk = _plus(dn * r, gk)
    return _beside(dr, dz, dn), _beside(dr, dz, dk), dh * z


def _gru_push(th, ty, tx, before, a):
    """Tangents of h and of the gates, from those of h, W h + b and x."""
    r, z, n, k = _gates(a)
    (tx1, tx2, tx3), (tu, tv, tk) = _gates(tx, 3), _gates(ty, 3)
    tr, tz = (tx1 + tu) * (r * (1 - r)), (tx2 + tv) * (z * (1 - z))
    tn = (tx3 + tr * k + r * tk) * (1 - n * n)
    th = tn + tz * (before - n) + z * (th - tn)
    return th, _beside(tr, tz, tn, tk)
