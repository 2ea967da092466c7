"""Convolution over any number of spatial dims.

Σ y(n,o,p) w(o,c,k) x(n,c,s p + d k) is linear in each of x, w and y. Its three partial maps
are the records here; each one's derivatives are the two others, so every order is exact.
Eager code is im2col and one matrix product a chunk, the chunk small enough to bound memory.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from ..core.bind import bind, dtype_of
from ..core.primitive import Primitive, op, product_of_parts, with_batch
from ..core.shape import Spec
from ..errors import ShapeError
from .windows import (
    add_windows,
    chunks,
    inside,
    out_size,
    outside,
    padded,
    tap_keys,
    window_view,
)


class _Trilinear(Primitive, abstract=True):
    """One partial map of the form in x (N,C,·), w (O,C/groups,·) and y (N,O,·)."""

    family = "convolution"
    saves_y = False
    roles = ""  # of the inputs, then of the result

    def keeps(self, need, count):
        return (need[1], need[0])

    def vjp(self, g, y, xs, params, need):
        a, b, c = self.roles
        conj = [op.conj(x) if _complex(x) else x for x in xs]
        ga = _towards(a, {b: conj[1], c: g}, xs[0].shape, params) if need[0] else None
        gb = _towards(b, {a: conj[0], c: g}, xs[1].shape, params) if need[1] else None
        return ga, gb

    def jvp(self, ts, y, xs, params):
        (ta, tb), (a, b) = ts, xs
        first = None if ta is None else bind(self, ta, b, **params)
        if tb is None:
            return first
        second = bind(self, a, tb, **params)
        return second if first is None else first + second

    def batch(self, size, xs, dims, params):
        """The batch joins the dim that only the two batched roles share, else the groups."""
        given = dict(zip(self.roles, xs, strict=False))
        where = dict(zip(self.roles, dims, strict=False))
        result = self.roles[2]
        moving = {r for r, d in where.items() if d is not None} | {result}
        groups = params["groups"]
        if len(moving) == 3 or (groups > 1 and moving != {"x", "y"}):
            moving = {"x", "w", "y"}
            params = {**params, "groups": groups * size}
            joins = _GROUPS
        else:
            joins = _JOINS["".join(sorted(moving))]
        folded = [
            _fold(with_batch(x, where[r], size), joins[r]) if r in moving else x
            for r, x in given.items()
        ]
        y = bind(self, *folded, **params)
        return _unfold(y, joins[result], size), joins[result]


# The dim of each role that takes the batch in.
_GROUPS = {"x": 1, "w": 0, "y": 1}
_JOINS = {"xy": {"x": 0, "y": 0}, "wy": {"w": 0, "y": 1}, "wx": {"x": 1, "w": 1}}


def _fold(x, dim):
    """The batch dim at 0 joined into what comes then at `dim`."""
    order = (*range(1, dim + 1), 0, *range(dim + 1, x.ndim))
    x = op.permute(x, dims=order)
    shape = (*x.shape[:dim], x.shape[dim] * x.shape[dim + 1], *x.shape[dim + 2 :])
    return op.reshape(x, shape=shape)


def _unfold(x, dim, size):
    n = x.shape[dim] // size
    return op.reshape(x, shape=(*x.shape[:dim], size, n, *x.shape[dim + 1 :]))


def _complex(x):
    return not isinstance(x, Spec) and dtype_of(x).kind == "c"


def _towards(role, given, shape, params):
    """The map to `role`, whose shape is to be `shape`, of the two others."""
    params = {k: params[k] for k in ("stride", "padding", "dilation", "groups")}
    size = tuple(shape[2:])
    if role == "y":
        return op.conv(given["x"], given["w"], **params)
    if role == "x":
        return op.conv_data(given["y"], given["w"], size=size, **params)
    return op.conv_weight(given["x"], given["y"], size=size, **params)


def _samples(make):
    def samples(rng):
        one = {"stride": (2,), "padding": ((1, 2),), "dilation": (2,), "groups": 1}
        two = {
            "stride": (1, 2),
            "padding": ((0, 0), (1, 1)),
            "dilation": (1, 1),
            "groups": 2,
        }
        deep = {**two, "groups": 4}
        return [
            make(rng, (2, 3, 9), (4, 3, 3), one),
            make(rng, (2, 4, 4, 5), (2, 2, 2, 3), two),
            make(rng, (2, 4, 4, 5), (4, 1, 2, 3), deep),
        ]

    return samples


def _y_shape(x, w, p):
    out = out_size(x[2:], w[2:], p["stride"], p["padding"], p["dilation"])
    return (x[0], w[0], *out)


def _dense(x_shape, w_shape, stride, padding, dilation, groups):
    """Index pairs of the form, one by one: (n, o, place, c, k, position in x)."""
    n, o, cg = x_shape[0], w_shape[0], w_shape[1]
    params = {"stride": stride, "padding": padding, "dilation": dilation}
    out = _y_shape(x_shape, w_shape, params)[2:]
    for p in itertools.product(*map(range, out)):
        for k in itertools.product(*map(range, w_shape[2:])):
            at = [
                i * s + j * d - lo
                for i, s, j, d, (lo, _) in zip(
                    p, stride, k, dilation, padding, strict=True
                )
            ]
            if all(0 <= i < m for i, m in zip(at, x_shape[2:], strict=True)):
                for a, b, e in itertools.product(range(n), range(o), range(cg)):
                    group = b // (o // groups)
                    yield (a, b, *p), (b, e, *k), (a, group * cg + e, *at)


class Conv(_Trilinear):
    """Cross-correlation, y(n,o,p) = Σ w(o,c,k) x(n,c,s p + d k), x padded by zeros.

    >>> x, w = tensor([[[1., 2., 3.]]]), tensor([[[1., -1.]]])
    >>> op.conv(x, w, stride=(1,), padding=((0, 0),), dilation=(1,), groups=1)
    tensor([[[-1., -1.]]])
    """

    roles = "xwy"
    samples = _samples(
        lambda rng, x, w, p: ((rng.normal(size=x), rng.normal(size=w)), p)
    )

    def reference(x, w, **p):
        y = np.zeros(_y_shape(x.shape, w.shape, p))
        for iy, iw, ix in _dense(x.shape, w.shape, **p):
            y[iy] += w[iw] * x[ix]
        return y

    def errors():
        p = {"stride": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1}
        x, w = np.ones((1, 2, 3)), np.ones((1, 3, 2))
        return [((x, w), p, ShapeError, "2 channels")]

    def expand(x, w, **params):
        if dtype_of(x).kind not in "bui":
            return op.conv(x, w, **params)
        out = _y_shape(x.shape, w.shape, params)
        columns = _columns(x, w.shape[2:], params)
        y = op.contract.expand(_grouped(w, params), columns, spec="gok,ngkp->ngop")
        return op.reshape(y, shape=out)

    def parts(x1, x2, **params):
        return product_of_parts(op.conv, x1, x2, **params)

    def eager(x, w, *, stride, padding, dilation, groups):
        _check(x, w, stride, padding, dilation, groups)
        kernel = w.shape[2:]
        out = out_size(x.shape[2:], kernel, stride, padding, dilation)
        if w.shape[1] == 1:
            x = padded(x, padding)
            return _depthwise(x, w, stride, dilation, groups, out)
        rows = w.reshape(groups, w.shape[0] // groups, -1)
        y = np.empty(
            (len(x), groups, rows.shape[1], math.prod(out)), np.result_type(x, w)
        )
        for part in chunks(len(x), x.shape[1] * math.prod(kernel) * math.prod(out)):
            view = window_view(padded(x[part], padding), kernel, stride, dilation)
            columns = view.reshape(len(view), groups, rows.shape[2], -1)
            np.matmul(rows, columns, out=y[part])
        return y.reshape(len(x), w.shape[0], *out)

    def infer(self, x, w, *, stride, padding, dilation, groups):
        _check(x, w, stride, padding, dilation, groups)
        out = out_size(x.shape[2:], w.shape[2:], stride, padding, dilation)
        return Spec((x.shape[0], w.shape[0], *out), x.dtype)


def _check(x, w, stride, padding, dilation, groups):
    if x.ndim != w.ndim or w.shape[1] * groups != x.shape[1]:
        raise ShapeError(
            f"conv: a weight of shape {tuple(w.shape)} with groups={groups} reads inputs of "
            f"{w.shape[1] * groups} channels and {w.ndim - 2} spatial dims; the input of shape "
            f"{tuple(x.shape)} has {x.shape[1]} channels and {x.ndim - 2} spatial dims"
        )
    if w.shape[0] % groups:
        raise ShapeError(
            f"conv: {w.shape[0]} output channels do not split in {groups} groups"
        )
    if min(out_size(x.shape[2:], w.shape[2:], stride, padding, dilation)) < 1:
        raise ShapeError(
            f"conv: a kernel of size {tuple(w.shape[2:])}, dilation {dilation}, does not fit "
            f"the input of size {tuple(x.shape[2:])} padded by {padding}"
        )


def _columns(x, kernel, params):
    """What a kernel meets, (example, group, element of the kernel, place)."""
    groups = params["groups"]
    some = {k: params[k] for k in ("stride", "padding", "dilation")}
    y = op.windows.expand(x, kernel=tuple(kernel), **some)
    deep = y.shape[1] // groups * y.shape[2]
    return op.reshape(y, shape=(y.shape[0], groups, deep, math.prod(y.shape[3:])))


def _grouped(w, params):
    """A weight, or what it makes, with its groups apart and what follows as one dim."""
    groups = params["groups"]
    rest = math.prod(w.shape[1:])
    return op.reshape(w, shape=(groups, w.shape[0] // groups, rest))


def _depthwise(x, w, stride, dilation, groups, out):
    """A channel a group: products too thin for a matrix product, so tap by tap."""
    kernel, n = w.shape[2:], len(out)
    many = w.shape[0] // groups
    taps = w.reshape(groups, many, -1, *(1,) * n)
    x = x[:, :, None]
    y = np.zeros((len(x), groups, many, *out), np.result_type(x, w))
    for k, key in enumerate(tap_keys(kernel, stride, dilation, out)):
        y += taps[:, :, k] * x[key]
    return y.reshape(len(x), w.shape[0], *out)


class ConvData(_Trilinear):
    """The adjoint of conv in x: x(n,c,s p + d k) = Σ w(o,c,k) y(n,o,p), of spatial `size`.

    >>> y, w = tensor([[[1., 2.]]]), tensor([[[1., -1.]]])
    >>> p = dict(stride=(1,), padding=((0, 0),), dilation=(1,), groups=1)
    >>> op.conv_data(y, w, size=(3,), **p)
    tensor([[[ 1.,  1., -2.]]])
    """

    roles = "ywx"
    samples = _samples(
        lambda rng, x, w, p: (
            (rng.normal(size=_y_shape(x, w, p)), rng.normal(size=w)),
            {**p, "size": x[2:]},
        )
    )

    def reference(y, w, size, **p):
        x = np.zeros((len(y), w.shape[1] * p["groups"], *size))
        for iy, iw, ix in _dense(x.shape, w.shape, **p):
            x[ix] += w[iw] * y[iy]
        return x

    def expand(y, w, *, size, **params):
        if dtype_of(y).kind not in "bui":
            return op.conv_data(y, w, size=size, **params)
        n, groups, out = y.shape[0], params["groups"], y.shape[2:]
        y = op.reshape(y, shape=(n, groups, w.shape[0] // groups, math.prod(out)))
        columns = op.contract.expand(_grouped(w, params), y, spec="gok,ngop->ngkp")
        channels, kernel = w.shape[1] * groups, tuple(w.shape[2:])
        columns = op.reshape(columns, shape=(n, channels, math.prod(kernel), *out))
        some = {k: params[k] for k in ("stride", "padding", "dilation")}
        return op.unwindows.expand(columns, size=size, kernel=kernel, **some)

    def parts(x1, x2, **params):
        return product_of_parts(op.conv_data, x1, x2, **params)

    def eager(y, w, *, size, stride, padding, dilation, groups):
        kernel, out = w.shape[2:], y.shape[2:]
        channels = w.shape[1] * groups
        rows = w.reshape(groups, w.shape[0] // groups, -1).swapaxes(1, 2)
        shape = (len(y), channels, *outside(size, padding))
        x = np.zeros(shape, np.result_type(y, w))
        y = y.reshape(len(y), groups, w.shape[0] // groups, math.prod(out))
        for part in chunks(len(y), channels * math.prod(kernel) * math.prod(out)):
            columns = np.matmul(rows, y[part])
            columns = columns.reshape(len(columns), channels, math.prod(kernel), *out)
            add_windows(x[part], columns, kernel, stride, dilation, out)
        return inside(x, size, padding)

    def infer(self, y, w, *, size, stride, padding, dilation, groups):
        return Spec((y.shape[0], w.shape[1] * groups, *size), y.dtype)


class ConvWeight(_Trilinear):
    """The adjoint of conv in w: w(o,c,k) = Σ x(n,c,s p + d k) y(n,o,p), of spatial `size`.

    >>> x, y = tensor([[[1., 2., 3.]]]), tensor([[[1., 1.]]])
    >>> p = dict(stride=(1,), padding=((0, 0),), dilation=(1,), groups=1)
    >>> op.conv_weight(x, y, size=(2,), **p)
    tensor([[[3., 5.]]])
    """

    roles = "xyw"
    samples = _samples(
        lambda rng, x, w, p: (
            (rng.normal(size=x), rng.normal(size=_y_shape(x, w, p))),
            {**p, "size": w[2:]},
        )
    )

    def reference(x, y, size, **p):
        w = np.zeros((y.shape[1], x.shape[1] // p["groups"], *size))
        for iy, iw, ix in _dense(x.shape, w.shape, **p):
            w[iw] += x[ix] * y[iy]
        return w

    def expand(x, y, *, size, **params):
        if dtype_of(x).kind not in "bui":
            return op.conv_weight(x, y, size=size, **params)
        columns = _columns(x, size, params)
        n, groups, o = x.shape[0], params["groups"], y.shape[1]
        y = op.reshape(y, shape=(n, groups, o // groups, math.prod(y.shape[2:])))
        w = op.contract.expand(y, columns, spec="ngop,ngkp->gok")
        return op.reshape(w, shape=(o, x.shape[1] // groups, *size))

    def parts(x1, x2, **params):
        return product_of_parts(op.conv_weight, x1, x2, **params)

    def eager(x, y, *, size, stride, padding, dilation, groups):
        cg, o, out = x.shape[1] // groups, y.shape[1], y.shape[2:]
        total = np.zeros(
            (groups, o // groups, cg * math.prod(size)), np.result_type(x, y)
        )
        y = y.reshape(len(y), groups, o // groups, math.prod(out))
        for part in chunks(len(x), x.shape[1] * math.prod(size) * math.prod(out)):
            # Examples beside places: one long product a group instead of one an example.
            some = padded(x[part], padding).swapaxes(0, 1)
            view = window_view(some, size, stride, dilation)
            columns = np.moveaxis(view, 1, 1 + len(size)).reshape(
                groups, total.shape[2], -1
            )
            rows = y[part].transpose(1, 2, 0, 3).reshape(groups, o // groups, -1)
            total += np.matmul(rows, columns.swapaxes(1, 2))
        return total.reshape(o, cg, *size)

    def infer(self, x, y, *, size, stride, padding, dilation, groups):
        return Spec((y.shape[1], x.shape[1] // groups, *size), x.dtype)
