"""Convolution over any number of spatial dims, and the windows it slides over.

Σ y(n,o,p) w(o,c,k) x(n,c,s p + d k) is linear in each of x, w and y. Its three partial maps
are the records here; each one's derivatives are the two others, so every order is exact.
Eager code is im2col and one matrix product a chunk, the chunk small enough to bound memory.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from ..core.bind import bind, dtype_of
from ..core.primitive import Linear, Primitive, op, product_of_parts, with_batch
from ..core.shape import Spec
from ..errors import ShapeError

CHUNK = 1 << 19  # elements of a buffer; more is not faster and raises the peak


# ---------------------------------------------------------------- windows


def out_size(size, kernel, stride, padding, dilation):
    """Number of places the kernel takes in each dim."""
    return tuple(
        (n + lo + hi - d * (k - 1) - 1) // s + 1
        for n, k, s, (lo, hi), d in zip(
            size, kernel, stride, padding, dilation, strict=True
        )
    )


def padded(x, padding, value=0):
    """`x` with `value` around its last dims; x itself where there is nothing to add."""
    if not any(map(any, padding)):
        return x
    lead = x.ndim - len(padding)
    size = [n + lo + hi for n, (lo, hi) in zip(x.shape[lead:], padding, strict=True)]
    out = np.full((*x.shape[:lead], *size), value, x.dtype)
    out[(..., *_inside(x.shape[lead:], padding))] = x
    return out


def _inside(size, padding):
    return tuple(slice(lo, lo + n) for n, (lo, _) in zip(size, padding, strict=True))


def tap_keys(kernel, stride, dilation, out):
    """For each kernel element the slices of the padded input that it meets."""
    for tap in itertools.product(*map(range, kernel)):
        yield (
            ...,
            *(
                slice(k * d, k * d + s * (m - 1) + 1, s)
                for k, s, d, m in zip(tap, stride, dilation, out, strict=True)
            ),
        )


def window_view(x, kernel, stride, dilation):
    """(*lead, *kernel, *out), a view of the padded x."""
    n = len(kernel)
    lead = x.ndim - n
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    axes = tuple(range(lead, x.ndim))
    view = np.lib.stride_tricks.sliding_window_view(x, reach, axes)
    view = view[(..., *(slice(None, None, s) for s in stride), *(slice(None),) * n)]
    view = view[(..., *(slice(None, None, d) for d in dilation))]
    order = (*range(lead), *range(lead + n, lead + 2 * n), *axes)
    return view.transpose(order)


def add_windows(x, columns, kernel, stride, dilation, out):
    """Add columns (*lead, K, *out) to the padded x where its windows lie."""
    k_axis = columns.ndim - len(out) - 1
    for k, key in enumerate(tap_keys(kernel, stride, dilation, out)):
        x[key] += columns[(slice(None),) * k_axis + (k,)]


# ---------------------------------------------------------------- the three maps


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
        for part in _chunks(len(x), x.shape[1] * math.prod(kernel) * math.prod(out)):
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


def _chunks(count, each):
    """Slices of the examples, as many at a time as fill the buffer."""
    step = max(1, CHUNK // max(each, 1))
    return [slice(i, i + step) for i in range(0, count, step)]


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
        full = [n + lo + hi for n, (lo, hi) in zip(size, padding, strict=True)]
        x = np.zeros((len(y), channels, *full), np.result_type(y, w))
        y = y.reshape(len(y), groups, w.shape[0] // groups, math.prod(out))
        for part in _chunks(len(y), channels * math.prod(kernel) * math.prod(out)):
            columns = np.matmul(rows, y[part])
            columns = columns.reshape(len(columns), channels, math.prod(kernel), *out)
            add_windows(x[part], columns, kernel, stride, dilation, out)
        return x[(..., *_inside(size, padding))]

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
        for part in _chunks(len(x), x.shape[1] * math.prod(size) * math.prod(out)):
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


# ---------------------------------------------------------------- im2col


def _surrounded(x, padding):
    """x with zeros around."""
    if not any(map(any, padding)):
        return x
    spans = ((lo, lo + n, 1) for n, (lo, _) in zip(x.shape[2:], padding, strict=True))
    shape = (n + sum(p) for n, p in zip(x.shape[2:], padding, strict=True))
    lead = x.shape[:2]
    key = (*((0, n, 1) for n in lead), *spans)
    return op.unslice(x, shape=(*lead, *shape), key=key)


def _dilated(shape, sizes, dilation):
    """Of the last dims, of these sizes, the elements that a kernel meets."""
    whole = ((0, n, 1) for n in shape[: len(shape) - len(sizes)])
    return (*whole, *((0, n, d) for n, d in zip(sizes, dilation, strict=True)))


class Windows(Linear):
    """im2col: (N,C,·) to (N,C,K,*places), the K elements under the kernel at each place.

    >>> x = tensor([[[1., 2., 3.]]])
    >>> op.windows(x, kernel=(2,), stride=(1,), padding=((0, 0),), dilation=(1,))
    tensor([[[[1., 2.],
              [2., 3.]]]])
    """

    def samples(rng):
        p = {"kernel": (2, 3), "stride": (2, 1), "padding": ((1, 0), (0, 1))}
        return [((rng.normal(size=(2, 2, 4, 5)),), {**p, "dilation": (1, 2)})]

    def reference(x, kernel, stride, padding, dilation):
        out = out_size(x.shape[2:], kernel, stride, padding, dilation)
        x = np.pad(x, ((0, 0), (0, 0), *padding))
        y = np.zeros((*x.shape[:2], math.prod(kernel), *out))
        for k, tap in enumerate(itertools.product(*map(range, kernel))):
            for p in itertools.product(*map(range, out)):
                at = (
                    i * s + j * d
                    for i, s, j, d in zip(p, stride, tap, dilation, strict=True)
                )
                y[(..., k, *p)] = x[(..., *at)]
        return y

    def eager(x, *, kernel, stride, padding, dilation):
        view = window_view(padded(x, padding), kernel, stride, dilation)
        n = len(kernel)
        return view.reshape(*x.shape[:2], math.prod(kernel), *view.shape[2 + n :])

    def expand(x, *, kernel, stride, padding, dilation):
        n, dims = len(kernel), range(len(kernel))
        x = _surrounded(x, padding)
        sizes = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        for d in dims:
            x = op.frames(x, dim=2 + d, size=sizes[d], step=stride[d])
        x = op.slice(x, key=_dilated(x.shape, sizes, dilation))
        x = op.permute(
            x, dims=(0, 1, *(2 + n + d for d in dims), *(2 + d for d in dims))
        )
        return op.reshape(x, shape=(*x.shape[:2], math.prod(kernel), *x.shape[2 + n :]))

    def shape(x, *, kernel, stride, padding, dilation):
        out = out_size(x.shape[2:], kernel, stride, padding, dilation)
        if min(out) < 1:
            raise ShapeError(
                f"unfold: a kernel of size {kernel}, dilation {dilation}, does not fit the "
                f"input of size {tuple(x.shape[2:])} padded by {padding}"
            )
        return Spec((*x.shape[:2], math.prod(kernel), *out), x.dtype)

    def transpose(g, x, **params):
        return op.unwindows(g, size=tuple(x.shape[2:]), **params)

    def batched(x, **params):
        y = op.windows(merge_batch(x), **params)
        return split_batch(y, x.shape[0])


class Unwindows(Linear):
    """col2im: the adjoint of `windows`; elements that fall on one place are added.

    >>> y = tensor([[[[1., 2.], [2., 3.]]]])
    >>> p = dict(kernel=(2,), stride=(1,), padding=((0, 0),), dilation=(1,))
    >>> op.unwindows(y, size=(3,), **p)
    tensor([[[1., 4., 3.]]])
    """

    def samples(rng):
        p = {"kernel": (2, 3), "stride": (2, 1), "padding": ((1, 0), (0, 1))}
        return [
            (
                (rng.normal(size=(2, 2, 6, 2, 2)),),
                {**p, "dilation": (1, 2), "size": (4, 5)},
            )
        ]

    def reference(y, size, **params):
        basis = np.eye(math.prod(size)).reshape(-1, 1, *size)
        rows = Windows.reference(basis, **params).reshape(len(basis), -1)
        return (y.reshape(*y.shape[:2], -1) @ rows.T).reshape(*y.shape[:2], *size)

    def eager(y, *, size, kernel, stride, padding, dilation):
        full = [n + lo + hi for n, (lo, hi) in zip(size, padding, strict=True)]
        x = np.zeros((*y.shape[:2], *full), y.dtype)
        add_windows(x, y, kernel, stride, dilation, y.shape[3:])
        return x[(..., *_inside(size, padding))]

    def expand(x, *, size, kernel, stride, padding, dilation):
        n, dims = len(kernel), range(len(kernel))
        x = op.reshape(x, shape=(*x.shape[:2], *kernel, *x.shape[3:]))
        x = op.permute(
            x, dims=(0, 1, *(2 + n + d for d in dims), *(2 + d for d in dims))
        )
        sizes = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        shape = (*x.shape[: 2 + n], *sizes)
        x = op.unslice(x, shape=shape, key=_dilated(shape, sizes, dilation))
        for d in reversed(dims):
            around = size[d] + sum(padding[d])
            x = op.overlap_add(x, n=around, dim=2 + d, size=sizes[d], step=stride[d])
        spans = ((lo, lo + m, 1) for m, (lo, _) in zip(size, padding, strict=True))
        return op.slice(x, key=(*((0, m, 1) for m in x.shape[:2]), *spans))

    def shape(y, *, size, **params):
        return Spec((*y.shape[:2], *size), y.dtype)

    def transpose(g, y, *, size, **params):
        return op.windows(g, **params)

    def batched(y, **params):
        return split_batch(op.unwindows(merge_batch(y), **params), y.shape[0])


def merge_batch(x):
    """Batch and example dims as one."""
    return op.reshape(x, shape=(x.shape[0] * x.shape[1], *x.shape[2:]))


def split_batch(x, size):
    return op.reshape(x, shape=(size, x.shape[0] // size, *x.shape[1:]))


# ---------------------------------------------------------------- picking places


class _Picking(Linear, abstract=True):
    """Linear in a (N,C,·) by indices (N or 1, C or 1, M)."""

    def batch(self, size, xs, dims, params):
        x, index = xs
        x = with_batch(x, dims[0], size)
        if dims[1] is None and index.shape[0] == 1:
            return split_batch(bind(self, merge_batch(x), index, **params), size), 0
        index = with_batch(index, dims[1], size)
        if index.shape[1] != x.shape[1]:
            index = op.expand(index, shape=(size, x.shape[1], *index.shape[2:]))
        return split_batch(
            bind(self, merge_batch(x), merge_batch(index), **params), size
        ), 0


class Pick(_Picking):
    """y(n,c,m) = x(n,c,index(n,c,m)): places of a plane by their number.

    >>> op.pick(tensor([[[1., 2., 3.]]]), tensor([[[2, 0]]]))
    tensor([[[3., 1.]]])
    """

    def samples(rng):
        x = rng.normal(size=(2, 3, 5))
        full = rng.integers(0, 5, (2, 3, 4))
        return [((x, full), {}), ((x, full[:, :1]), {}), ((x, full[:1, :1]), {})]

    def reference(x, index):
        index = np.broadcast_to(index, (*x.shape[:2], index.shape[2]))
        return (x[:, :, None, :] * (index[..., None] == np.arange(x.shape[2]))).sum(-1)

    def eager(x, index):
        if index.shape[:2] == (1, 1):
            return x[:, :, index[0, 0]]
        if x.shape[1] == index.shape[2] == 1 and index.shape[0] == x.shape[0]:
            return x[np.arange(x.shape[0])[:, None, None], 0, index]
        return np.take_along_axis(
            x, np.broadcast_to(index, (*x.shape[:2], index.shape[2])), 2
        )

    def shape(x, index):
        return Spec((*x.shape[:2], index.shape[2]), x.dtype)

    def transpose(g, x, index):
        return op.put(g, index, size=x.shape[2])


class Put(_Picking):
    """x(n,c,index(n,c,m)) += y(n,c,m) from zeros of `size` places: the adjoint of `pick`.

    >>> op.put(tensor([[[3., 1.]]]), tensor([[[2, 2]]]), size=3)
    tensor([[[0., 0., 4.]]])
    """

    def samples(rng):
        y = rng.normal(size=(2, 3, 4))
        full = rng.integers(0, 5, (2, 3, 4))
        return [((y, full), {"size": 5}), ((y, full[:, :1]), {"size": 5})]

    def reference(y, index, size):
        return (y[..., None] * (index[..., None] == np.arange(size))).sum(2)

    def eager(y, index, *, size):
        if index.size and not 0 <= index.min() <= index.max() < size:
            raise IndexError(f"an index lies outside of the {size} places")
        rows = y.shape[0] * y.shape[1]
        index = np.broadcast_to(index, y.shape).reshape(rows, y.shape[2])
        x, flat = np.empty((rows, size), y.dtype), y.reshape(rows, y.shape[2])
        for part in _chunks(rows, 8 * size):
            some = index[part] + size * np.arange(len(x[part]))[:, None]
            total = _bincount(some.ravel(), flat[part].ravel(), x[part].size)
            x[part] = total.reshape(-1, size)
        return x.reshape(*y.shape[:2], size)

    def shape(y, index, *, size):
        return Spec((*y.shape[:2], size), y.dtype)

    def transpose(g, y, index, *, size):
        return op.pick(g, index)


def _bincount(index, weights, size):
    """Sums of the weights by index; NumPy's counts in double, real numbers only."""
    if weights.dtype.kind == "c":
        real = np.bincount(index, weights.real, size)
        return real + 1j * np.bincount(index, weights.imag, size)
    if weights.dtype.kind == "f":
        return np.bincount(index, weights, size)
    out = np.zeros(size, weights.dtype)
    np.add.at(out, index, weights)
    return out
