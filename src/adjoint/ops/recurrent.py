"""Recurrent layers over a whole sequence: one record a kind of cell, its time loop inside.

The input's share of the gates comes in ready made (one product for all steps). How rows are
ordered by time is told in over_time.py. A reverse rule is a loop of a step's rule, and one
product for the weight.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from ..core.bind import bind, dtype_of
from ..core.dtype import widened
from ..core.primitive import Primitive, op, total, with_batch
from ..core.shape import Spec
from .over_time import before_each, columns_of, over_time, rows_of, steps_of


def _beside(*xs):
    """The columns of all, one after the other."""
    return op.cat(*xs, dim=1)


def _mm(a, b):
    """a b."""
    return op.contract(a, b, spec="ij,jk->ik")


def _mmt(a, b):
    """a bᵀ."""
    return op.contract(a, b, spec="ij,kj->ik")


def _tmm(a, b):
    """aᵀ b, a weight's cotangent."""
    return op.contract(a, b, spec="ij,ik->jk")


def _zeros(x, like):
    return op.zeros_like(like) if x is None else x


def _turned(w, sizes):
    """wᵀ, in memory of its own if there are steps enough to repay it."""
    return w.T if len(sizes) < 4 else np.ascontiguousarray(w.T)


def _logistic(x, outs):
    """σ of the columns of x, which is used up, into one array a block; None goes nowhere."""
    np.negative(x, out=x)
    np.exp(x, out=x)
    x += 1
    for column, out in zip(columns_of(x, len(outs)), outs, strict=True):
        if out is not None:
            np.reciprocal(column, out=out)


class _Recurrent(Primitive, abstract=True):
    """What the cells share. The inputs after the first `data` ones are weights.

    A record writes `pull`, the transpose of its derivative. All cells are holomorphic, so
    that their adjoint is the transpose between two conjugations.
    """

    data = 2
    pull: ClassVar[Callable]

    def vjp(self, g, y, xs, params, need):
        gs = [g] if self.outputs == 1 else g
        if all(x is None or dtype_of(x).kind != "c" for x in gs):
            return self.pull(g, y, xs, params, need)
        gs = [x if x is None else op.conj(x) for x in gs]
        gs = self.pull(gs[0] if self.outputs == 1 else gs, y, xs, params, need)
        return [x if x is None else op.conj(x) for x in gs]

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


def _empty(x, *columns):
    """Room for the results of all steps, so many columns each."""
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
        x, h, w = map(widened, [x, h, w])
        (hs,) = _empty(x, h.shape[1])
        h, wt = h.copy(), _turned(w, sizes)
        for _, start, n in steps_of(sizes, reverse):
            y = hs[start : start + n]
            np.matmul(h[:n], wt, out=y)
            y += x[start : start + n]
            if act == "tanh":
                np.tanh(y, out=y)
            else:
                np.maximum(y, 0, out=y)
            h[:n] = y
        return hs.astype(kind, copy=False)

    def expand(x, h, w, *, sizes, reverse, act):
        def step(state, x):
            y = x[0] + _mmt(state[0], w)
            y = op.tanh(y) if act == "tanh" else op.relu(y)
            return (y,), (y,)

        return over_time(step, (h,), (x,), sizes, reverse)[1][0]

    def infer(self, x, h, w, *, sizes, reverse, act):
        return Spec((x.shape[0], h.shape[1]), x.dtype)

    def keeps(self, need, count):
        return (False, need[2], True)

    def pull(self, g, y, xs, params, need):
        _, h0, w = xs
        sizes, reverse = params["sizes"], params["reverse"]
        slope = _SLOPES[params["act"]]

        def step(state, x):
            d = slope(state[0] + x[0], x[1])
            return (_mm(d, w),), (d,)

        start = (op.zeros_like(rows_of(g, 0, sizes[0])),)
        (gh,), (gx,) = over_time(step, start, (g, y), sizes, not reverse)
        gw = _tmm(gx, before_each(y, h0, sizes, reverse)) if need[2] else None
        return gx, gh, gw

    def jvp(self, ts, y, xs, params):
        (tx, th, tw), (_, h0, w) = ts, xs
        sizes, reverse = params["sizes"], params["reverse"]
        slope = _SLOPES[params["act"]]
        if tw is not None:
            tx = total(tx, _mmt(before_each(y, h0, sizes, reverse), tw))

        def step(state, x):
            t = slope(total(x[0], _mmt(state[0], w)), x[1])
            return (t,), (t,)

        _, (ty,) = over_time(step, (_zeros(th, h0),), (tx, y), sizes, reverse)
        return ty


_SLOPES = {
    "tanh": lambda t, y: t * (1 - y * y),
    "relu": lambda t, y: op.where(y > 0, t, op.zeros_like(t)),
}


class Lstm(_Recurrent):
    """Long short-term memory: (i f g o) = (σ σ tanh σ)(x + W h), c ← f c + i g, h ← o tanh c.

    With a projection P, h ← P (o tanh c). The results are h, c, i, f, g, o of all steps.

    >>> x, h, c, w = zeros(1, 4), zeros(1, 1), ones(1, 1), zeros(4, 1)
    >>> op.lstm(x, h, c, w, sizes=(1,), reverse=False)[:2]
    (tensor([[0.2311]]), tensor([[0.5000]]))
    """

    outputs = 6
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
            return [h, c], [h, c, i, f, g, o]

        return _one_by_one(cell, x, [h, c], sizes, reverse)

    def eager(x, h, c, w, *p, sizes, reverse):
        kind = x.dtype
        x, h, c, w, *p = map(widened, [x, h, c, w, *p])
        n = c.shape[1]
        ys = _empty(x, h.shape[1], *[n] * 5)
        h, c, wt = h.copy(), c.copy(), _turned(w, sizes)
        for _, start, rows in steps_of(sizes, reverse):
            at, state = slice(start, start + rows), c[:rows]
            hs, cs, i, f, g, o = (y[at] for y in ys)
            a = h[:rows] @ wt
            a += x[at]
            np.tanh(a[:, 2 * n : 3 * n], out=g)
            _logistic(a, (i, f, None, o))
            state *= f
            state += i * g
            cs[:] = state
            y = np.tanh(state)
            y *= o
            h[:rows] = hs[:] = y @ p[0].T if p else y
        return tuple(y.astype(kind, copy=False) for y in ys)

    def expand(x, h, c, w, *p, sizes, reverse):
        def step(state, x):
            h, c = state
            i, f, g, o = columns_of(x[0] + _mmt(h, w), 4)
            i, f, g, o = op.sigmoid(i), op.sigmoid(f), op.tanh(g), op.sigmoid(o)
            c = f * c + i * g
            h = o * op.tanh(c)
            h = _mmt(h, p[0]) if p else h
            return (h, c), (h, c, i, f, g, o)

        return tuple(over_time(step, (h, c), (x,), sizes, reverse)[1])

    def infer(self, x, h, c, w, *p, sizes, reverse):
        columns = h.shape[1], *[c.shape[1]] * 5
        return tuple(Spec((x.shape[0], n), x.dtype) for n in columns)

    def keeps(self, need, count):
        return (False, need[3], True, True, *[True] * (count - 4))

    def pull(self, g, y, xs, params, need):
        (gh, gc, *gates), (hs, cs, *a), (_, h0, c0, w, *p) = g, y, xs
        sizes, reverse = params["sizes"], params["reverse"]
        before = before_each(cs, c0, sizes, reverse)
        gh = _zeros(gh, hs)

        def step(state, x):
            dh, dc, (gh, gc, c, before, *rest) = *state, x
            dh = dh + gh
            dm = _mm(dh, p[0]) if p else dh
            d, dc = _lstm_pull(dm, total(dc, gc), c, before, rest[:4], rest[4:])
            return (_mm(d, w), dc), (d, dh) if p else (d,)

        start = op.zeros_like(rows_of(gh, 0, sizes[0])), op.zeros_like(c0)
        seen = gh, gc, cs, before, *a, *gates
        (dh, dc), (gx, *rest) = over_time(step, start, seen, sizes, not reverse)
        gw = _tmm(gx, before_each(hs, h0, sizes, reverse)) if need[3] else None
        gp = [_tmm(rest[0], a[3] * op.tanh(cs))] if p else []
        return gx, dh, dc, gw, *gp

    def jvp(self, ts, y, xs, params):
        (tx, th, tc, tw, *tp), (hs, cs, *a), (_, h0, c0, w, *p) = ts, y, xs
        sizes, reverse = params["sizes"], params["reverse"]
        if tw is not None:
            tx = total(tx, _mmt(before_each(hs, h0, sizes, reverse), tw))
        turned = None
        if p and tp[0] is not None:
            turned = _mmt(a[3] * op.tanh(cs), tp[0])

        def step(state, x):
            th, tc, (tx, turned, c, before, *a) = *state, x
            ti, tf, tg, to = _lstm_slope(columns_of(total(tx, _mmt(th, w)), 4), a)
            (i, f, g, o), t = a, op.tanh(c)
            tc = tf * before + f * tc + ti * g + i * tg
            th = to * t + o * (1 - t * t) * tc
            th = total(_mmt(th, p[0]), turned) if p else th
            return (th, tc), (th, tc, ti, tf, tg, to)

        seen = tx, turned, cs, before_each(cs, c0, sizes, reverse), *a
        start = _zeros(th, h0), _zeros(tc, c0)
        return tuple(over_time(step, start, seen, sizes, reverse)[1])


def _lstm_slope(t, a):
    """What the gates' derivatives make of `t`, one for each gate."""
    (ti, tf, tg, to), (i, f, g, o) = t, a
    return ti * (i * (1 - i)), tf * (f * (1 - f)), tg * (1 - g * g), to * (o * (1 - o))


def _lstm_pull(dm, dc, c, before, a, extra):
    """Cotangents of what goes into the gates and of the cell before; `dm` of o tanh c,
    `extra` of the gates themselves."""
    (i, f, g, o), t = a, op.tanh(c)
    dc = dc + dm * (o * (1 - t * t))
    da = dc * g, dc * before, dc * i, dm * t
    da = [total(d, e) for d, e in zip(da, extra, strict=True)]
    return _beside(*_lstm_slope(da, a)), dc * f


class Gru(_Recurrent):
    """Gated recurrent unit, with (u v k) = W h + b:
    r = σ(x₁ + u), z = σ(x₂ + v), n = tanh(x₃ + r k), h ← n + z (h − n).

    The results are h, r, z, n, k of all steps.

    >>> x, h, w = zeros(1, 3), ones(1, 1), zeros(3, 1)
    >>> op.gru(x, h, w, zeros(3), sizes=(1,), reverse=False)[0]
    tensor([[0.5000]])
    """

    outputs = 5
    samples = _samples(6, (2,), (6, 2), (6,))

    def reference(x, h, w, b, sizes, reverse):
        def cell(x, state):
            (h,) = state
            (x1, x2, x3), (u, v, k) = np.split(x, 3), np.split(w @ h + b, 3)
            r, z = _sigma(x1 + u), _sigma(x2 + v)
            n = np.tanh(x3 + r * k)
            h = (1 - z) * n + z * h
            return [h], [h, r, z, n, k]

        return _one_by_one(cell, x, [h], sizes, reverse)

    def eager(x, h, w, b, *, sizes, reverse):
        kind = x.dtype
        x, h, w, b = map(widened, [x, h, w, b])
        m = h.shape[1]
        ys = _empty(x, *[m] * 5)
        h, wt = h.copy(), _turned(w, sizes)
        for _, start, rows in steps_of(sizes, reverse):
            at, state = slice(start, start + rows), h[:rows]
            hs, r, z, n, k = (y[at] for y in ys)
            xt, a = x[at], state @ wt
            a += b
            k[:] = a[:, 2 * m :]
            a = a[:, : 2 * m] + xt[:, : 2 * m]
            _logistic(a, (r, z))
            np.multiply(r, k, out=n)
            n += xt[:, 2 * m :]
            np.tanh(n, out=n)
            state -= n
            state *= z
            state += n
            hs[:] = state
        return tuple(y.astype(kind, copy=False) for y in ys)

    def expand(x, h, w, b, *, sizes, reverse):
        def step(state, x):
            (h,) = state
            (x1, x2, x3), (u, v, k) = columns_of(x[0], 3), columns_of(_mmt(h, w) + b, 3)
            r, z = op.sigmoid(x1 + u), op.sigmoid(x2 + v)
            n = op.tanh(x3 + r * k)
            h = n + z * (h - n)
            return (h,), (h, r, z, n, k)

        return tuple(over_time(step, (h,), (x,), sizes, reverse)[1])

    def infer(self, x, h, w, b, *, sizes, reverse):
        return (Spec((x.shape[0], h.shape[1]), x.dtype),) * 5

    def keeps(self, need, count):
        return (False, True, True, False)

    def pull(self, g, y, xs, params, need):
        (gh, *gates), (hs, *a), (_, h0, w, _) = g, y, xs
        sizes, reverse = params["sizes"], params["reverse"]
        before = before_each(hs, h0, sizes, reverse)

        def step(state, x):
            (dh,), (gh, before, *rest) = state, x
            dx, d, direct = _gru_pull(total(dh, gh), before, rest[:4], rest[4:])
            return (_mm(d, w) + direct,), (dx, d)

        start, seen = (op.zeros_like(h0),), (gh, before, *a, *gates)
        (dh,), (gx, gy) = over_time(step, start, seen, sizes, not reverse)
        gw = _tmm(gy, before) if need[2] else None
        gb = op.sum(gy, dim=(0,), keepdim=False) if need[3] else None
        return gx, dh, gw, gb

    def jvp(self, ts, y, xs, params):
        (tx, th, tw, tb), (hs, *a), (x, h0, w, _) = ts, y, xs
        sizes, reverse = params["sizes"], params["reverse"]
        before = before_each(hs, h0, sizes, reverse)
        turned = None if tw is None else _mmt(before, tw)

        def step(state, x):
            (th,), (tx, turned, before, *a) = state, x
            th, *ta = _gru_push(th, total(_mmt(th, w), turned, tb), tx, before, *a)
            return (th,), (th, *ta)

        seen, start = (_zeros(tx, x), turned, before, *a), (_zeros(th, h0),)
        return tuple(over_time(step, start, seen, sizes, reverse)[1])


def _gru_pull(dh, before, a, extra):
    """Cotangents of x, of W h + b, and of h as it enters directly; `extra` of the gates."""
    (r, z, n, k), (gr, gz, gn, gk) = a, extra
    dn = total(dh * (1 - z), gn) * (1 - n * n)
    dz = total(dh * (before - n), gz) * (z * (1 - z))
    dr = total(dn * k, gr) * (r * (1 - r))
    dk = total(dn * r, gk)
    return _beside(dr, dz, dn), _beside(dr, dz, dk), dh * z


def _gru_push(th, ty, tx, before, r, z, n, k):
    """Tangents of h and of r, z, n, k, from those of h, W h + b and x."""
    (tx1, tx2, tx3), (tu, tv, tk) = columns_of(tx, 3), columns_of(ty, 3)
    tr, tz = (tx1 + tu) * (r * (1 - r)), (tx2 + tv) * (z * (1 - z))
    tn = (tx3 + tr * k + r * tk) * (1 - n * n)
    th = tn + tz * (before - n) + z * (th - tn)
    return th, tr, tz, tn, tk
