"""The windows that a kernel slides over: where they lie, and im2col with its adjoint.

Convolution, pooling and `unfold` read their inputs through these.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from ..core.primitive import Linear, op
from ..core.shape import Spec
from ..errors import ShapeError

CHUNK = 1 << 19  # elements of a buffer; more is not faster and raises the peak


# ---------------------------------------------------------------- where they lie


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
    size = outside(x.shape[lead:], padding)
    out = np.full((*x.shape[:lead], *size), value, x.dtype)
    inside(out, x.shape[lead:], padding)[...] = x
    return out


def outside(size, padding):
    """The size with its padding."""
    return tuple(n + lo + hi for n, (lo, hi) in zip(size, padding, strict=True))


def inside(x, size, padding):
    """The view of the padded x that is left without its padding."""
    spans = zip(size, padding, strict=True)
    return x[(..., *(slice(lo, lo + n) for n, (lo, _) in spans))]


def reaches(kernel, dilation):
    """How far a kernel reaches in each dim, its gaps included."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


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
    axes = tuple(range(lead, x.ndim))
    view = np.lib.stride_tricks.sliding_window_view(x, reaches(kernel, dilation), axes)
    view = view[(..., *(slice(None, None, s) for s in stride), *(slice(None),) * n)]
    view = view[(..., *(slice(None, None, d) for d in dilation))]
    order = (*range(lead), *range(lead + n, lead + 2 * n), *axes)
    return view.transpose(order)


def add_windows(x, columns, kernel, stride, dilation, out):
    """Add columns (*lead, K, *out) to the padded x where its windows lie."""
    k_axis = columns.ndim - len(out) - 1
    for k, key in enumerate(tap_keys(kernel, stride, dilation, out)):
        x[key] += columns[(slice(None),) * k_axis + (k,)]


def chunks(count, each):
    """Slices of the examples, as many at a time as fill the buffer."""
    step = max(1, CHUNK // max(each, 1))
    return [slice(i, i + step) for i in range(0, count, step)]


# ---------------------------------------------------------------- im2col


def _surrounded(x, padding):
    """x with zeros around."""
    if not any(map(any, padding)):
        return x
    shape = (*x.shape[:2], *outside(x.shape[2:], padding))
    return op.unslice(x, shape=shape, key=_middle(x.shape, padding))


def _middle(shape, padding):
    """The key of what has this shape amid its padding."""
    whole = ((0, n, 1) for n in shape[:2])
    spans = ((lo, lo + n, 1) for n, (lo, _) in zip(shape[2:], padding, strict=True))
    return (*whole, *spans)


def _exchanged(x, n):
    """The last n dims before the n before them."""
    return op.permute(x, dims=(0, 1, *range(2 + n, 2 + 2 * n), *range(2, 2 + n)))


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
        n, sizes = len(kernel), reaches(kernel, dilation)
        x = _surrounded(x, padding)
        for d in range(n):
            x = op.frames(x, dim=2 + d, size=sizes[d], step=stride[d])
        x = _exchanged(op.slice(x, key=_dilated(x.shape, sizes, dilation)), n)
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
        x = np.zeros((*y.shape[:2], *outside(size, padding)), y.dtype)
        add_windows(x, y, kernel, stride, dilation, y.shape[3:])
        return inside(x, size, padding)

    def expand(x, *, size, kernel, stride, padding, dilation):
        n, sizes = len(kernel), reaches(kernel, dilation)
        around = outside(size, padding)
        x = _exchanged(op.reshape(x, shape=(*x.shape[:2], *kernel, *x.shape[3:])), n)
        shape = (*x.shape[: 2 + n], *sizes)
        x = op.unslice(x, shape=shape, key=_dilated(shape, sizes, dilation))
        for d in reversed(range(n)):
            x = op.overlap_add(x, n=around[d], dim=2 + d, size=sizes[d], step=stride[d])
        return op.slice(x, key=_middle((*x.shape[:2], *size), padding))

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
    """The first dim as batch and examples."""
    return op.reshape(x, shape=(size, x.shape[0] // size, *x.shape[1:]))
