"""Pooling: the largest or the mean of windows that slide over the input; and max_unpool."""

from __future__ import annotations

import inspect
import math

import numpy as np

from ..autodiff.straight import viewed
from ..core.bind import at_bottom, dtype_of
from ..core.primitive import number, op
from ..errors import ArgumentError, DtypeError, ShapeError
from .convolution import batched, per_dim, unbatched
from .face import cast, function, need_tensor
from .precision import single


def _plan(n, x, kernel_size, stride, padding, dilation, ceil_mode, name):
    """Kernel, stride, padding, dilation and number of windows, a dim each."""
    kernel = per_dim(kernel_size, n, f"{name}: kernel_size", 1)
    stride = (
        kernel if stride in (None, (), []) else per_dim(stride, n, f"{name}: stride", 1)
    )
    padding = per_dim(padding, n, f"{name}: padding")
    dilation = per_dim(dilation, n, f"{name}: dilation", 1)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ArgumentError(
            f"{name}: padding should be at most half of the kernel size, "
            f"got padding {padding} and kernel {kernel}"
        )
    dims = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    out = tuple(_count(*sizes, ceil_mode) for sizes in dims)
    if min(out) < 1:
        raise ShapeError(
            f"{name}: input {tuple(x.shape)} is too small for kernel {kernel}"
        )
    return kernel, stride, padding, dilation, out


def _count(size, kernel, stride, padding, dilation, ceil_mode):
    """Windows in a dim; with ceil_mode one that begins inside may end outside."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - ((count - 1) * stride >= size + padding)


# ---------------------------------------------------------------- maxima


def flat(x):
    """(N,C,·) with its places in one dim."""
    return viewed(op.reshape, x, shape=(*x.shape[:2], math.prod(x.shape[2:])))


def elements_at(x, index):
    """The elements of (N,C,·) at numbered places, in the shape of index."""
    y = op.pick(flat(x), flat(index))
    return viewed(op.reshape, y, shape=tuple(index.shape))


def _max_pool(n, x, kernel_size, stride, padding, dilation, ceil_mode, return_indices):
    name = f"max_pool{n}d"
    x, alone = batched(x, n, name)
    plan = _plan(n, x, kernel_size, stride, padding, dilation, ceil_mode, name)
    kernel, stride, padding, dilation, out = plan
    index = op.pool_argmax(
        x,
        kernel=kernel,
        stride=stride,
        padding=tuple((p, p) for p in padding),
        dilation=dilation,
        out=out,
    )
    y = unbatched(elements_at(x, index), alone)
    return (y, unbatched(index, alone)) if return_indices else y


@function
def max_pool1d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
):
    """The largest element of each window of (N,C,L).

    >>> max_pool1d(tensor([[[1., 4., 2., 3.]]]), 2)
    tensor([[[4., 3.]]])
    """
    return _max_pool(
        1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


@function
def max_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
):
    """The largest element of each window of (N,C,H,W).

    >>> max_pool2d(tensor([[[1., 4.], [2., 3.]]]), 2, return_indices=True)
    (tensor([[[4.]]]), tensor([[[1]]]))
    """
    return _max_pool(
        2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


@function
@single
def max_pool3d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    dilation=1,
    ceil_mode=False,
    return_indices=False,
):
    """The largest element of each window of (N,C,D,H,W).

    >>> max_pool3d(ones(1, 1, 4, 4, 4), 2).shape
    adjoint.Size([1, 1, 2, 2, 2])
    """
    return _max_pool(
        3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def _max_unpool(n, x, indices, kernel_size, stride, padding, output_size):
    name = f"max_unpool{n}d"
    x, alone = batched(x, n, name)
    need_tensor(indices, name, "indices")
    index = op.reshape(indices, shape=(1, *indices.shape)) if alone else indices
    if tuple(index.shape) != tuple(x.shape):
        raise ShapeError(
            f"{name}: indices must have the shape of the input, {tuple(x.shape)}, "
            f"got {tuple(index.shape)}"
        )
    kernel = per_dim(kernel_size, n, f"{name}: kernel_size", 1)
    stride = (
        kernel if stride in (None, (), []) else per_dim(stride, n, f"{name}: stride", 1)
    )
    padding = per_dim(padding, n, f"{name}: padding")
    dims = zip(x.shape[2:], kernel, stride, padding, strict=True)
    size = tuple((m - 1) * s - 2 * p + k for m, k, s, p in dims)
    if output_size is not None:
        size = _wanted(tuple(output_size), size, stride, n, name)
    _need_inside(index, math.prod(size), name)
    index = flat(index)
    last = op.last_writer(index)
    x = op.where(last, flat(x), number(0, x))
    y = op.reshape(
        op.put(x, index, size=math.prod(size)), shape=(*index.shape[:2], *size)
    )
    return unbatched(y, alone)


def _wanted(given, usual, stride, n, name):
    """The size asked for, if pooling it gives what came in."""
    size = given[2:] if len(given) == n + 2 else given
    if len(size) != n:
        raise ArgumentError(
            f"{name}: output_size must have {n} or {n + 2} numbers, got {given}"
        )
    for m, u, s in zip(size, usual, stride, strict=True):
        if not u - s < m < u + s:
            raise ArgumentError(
                f"{name}: invalid output_size {given}: {m} must be between {u - s} and "
                f"{u + s}"
            )
    return size


def _need_inside(index, count, name):
    values = at_bottom(index)
    if not isinstance(values, np.ndarray):
        return
    bad = (values < 0) | (values >= count)
    if bad.any():
        raise ArgumentError(
            f"{name}: found an invalid max index: {values[bad][0]} for an output of "
            f"{count} places"
        )


def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Maxima put back where max_pool1d found them, zeros elsewhere.

    >>> max_unpool1d(tensor([[[4., 3.]]]), tensor([[[1, 3]]]), 2)
    tensor([[[0., 4., 0., 3.]]])
    """
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


@single
def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Maxima put back where max_pool2d found them, zeros elsewhere.

    >>> max_unpool2d(tensor([[[4.]]]), tensor([[[1]]]), 2)
    tensor([[[0., 4.],
             [0., 0.]]])
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


@single
def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Maxima put back where max_pool3d found them, zeros elsewhere.

    >>> max_unpool3d(ones(1, 1, 1, 1, 1), zeros(1, 1, 1, 1, 1, dtype=int64), 2).shape
    adjoint.Size([1, 1, 2, 2, 2])
    """
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


# ---------------------------------------------------------------- means


def _window_sums(x, kernel, stride, padding, out):
    """Sums over windows, padding counted as zeros; each channel is an example of its own."""
    n = len(kernel)
    size = x.shape[2:]
    pads = []
    for m, k, s, p, count in zip(size, kernel, stride, padding, out, strict=True):
        pads.append((p, max(p, (count - 1) * s + k - m - p)))
    one = op.reshape(x, shape=(x.shape[0] * x.shape[1], 1, *size))
    w = np.ones((1, 1, *kernel), dtype_of(x))
    y = op.conv(one, w, stride=stride, padding=tuple(pads), dilation=(1,) * n, groups=1)
    y = op.slice(y, key=tuple((0, m, 1) for m in (*y.shape[:2], *out)))
    return op.reshape(y, shape=(*x.shape[:2], *out))


def _divisors(size, kernel, stride, padding, out, count_include_pad, dtype):
    """Elements in each window: inside the input, or inside it padded."""
    counts = []
    for n, k, s, p, m in zip(size, kernel, stride, padding, out, strict=True):
        start = np.arange(m) * s - p
        low, high = (-p, n + p) if count_include_pad else (0, n)
        counts.append(np.minimum(start + k, high) - np.maximum(start, low))
    return math.prod(np.ix_(*counts), start=np.ones((), dtype))


def _avg_pool(
    n, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor=None
):
    name = f"avg_pool{n}d"
    x, alone = batched(x, n, name)
    plan = _plan(n, x, kernel_size, stride, padding, 1, ceil_mode, name)
    kernel, stride, padding, _, out = plan
    if dtype_of(x).kind == "b":
        raise DtypeError(f"{name}: not defined for bool", hint="x.float() counts")
    if divisor == 0:
        raise ArgumentError(f"{name}: divisor_override must not be zero")
    y = _window_sums(x, kernel, stride, padding, out)
    d = dtype_of(x)
    if divisor is None:
        size = x.shape[2:]
        by = _divisors(size, kernel, stride, padding, out, count_include_pad, d)
        by = by.astype(d)
    else:
        by = np.array(divisor, d)
    if d.kind in "iu":
        y = op.div(cast(y, np.dtype(np.float64)), by.astype(np.float64))
        return unbatched(cast(op.trunc(y), d), alone)
    return unbatched(op.div(y, by), alone)


@function
def avg_pool1d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
):
    """The mean of each window of (N,C,L).

    >>> avg_pool1d(tensor([[[1., 3., 2., 4.]]]), 2)
    tensor([[[2., 3.]]])
    """
    return _avg_pool(
        1, input, kernel_size, stride, padding, ceil_mode, count_include_pad
    )


def avg_pool2d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """The mean of each window of (N,C,H,W).

    >>> avg_pool2d(tensor([[[1., 3.], [2., 4.]]]), 2)
    tensor([[[2.5000]]])
    """
    return _avg_pool(
        2,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


@single
def avg_pool3d(
    input,
    kernel_size,
    stride=None,
    padding=0,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """The mean of each window of (N,C,D,H,W).

    >>> avg_pool3d(ones(1, 1, 4, 4, 4), 2).shape
    adjoint.Size([1, 1, 2, 2, 2])
    """
    return _avg_pool(
        3,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
    )


def _lp_pool(n, x, norm_type, kernel_size, stride, ceil_mode):
    kernel = per_dim(kernel_size, n, f"lp_pool{n}d: kernel_size", 1)
    x = need_tensor(x, f"lp_pool{n}d")
    mean = _avg_pool(n, x**norm_type, kernel, stride, 0, ceil_mode, True)
    total = op.sign(mean) * op.relu(op.abs(mean)) * math.prod(kernel)
    return total ** (1.0 / norm_type)


def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of each window of (N,C,L), (Σ xᵖ)^(1/p).

    >>> lp_pool1d(tensor([[[3., 4.]]]), 2, 2)
    tensor([[[5.]]])
    """
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of each window of (N,C,H,W), (Σ xᵖ)^(1/p).

    >>> lp_pool2d(ones(1, 2, 2), 2, 2)
    tensor([[[2.]]])
    """
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


@single
def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of each window of (N,C,D,H,W), (Σ xᵖ)^(1/p).

    >>> lp_pool3d(ones(1, 2, 2, 2), 3, 2)
    tensor([[[[2.]]]])
    """
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)


# ---------------------------------------------------------------- by their second names


def with_indices(f):
    """The pooling `f`, which always returns the places too."""
    given = inspect.signature(f)
    names = [n for n in given.parameters if n != "return_indices"]

    def pool(*args, **kwargs):
        bound = dict(zip(names, args, strict=False))
        return f(**bound, **{**kwargs, "return_indices": True})

    pool.__name__ = pool.__qualname__ = f"{f.__name__}_with_indices"
    pool.__doc__ = f"`{f.__name__}` with `return_indices`."
    pool.__module__, pool.__signature__ = f.__module__, given
    return pool


max_pool1d_with_indices = with_indices(max_pool1d)
max_pool2d_with_indices = with_indices(max_pool2d)
max_pool3d_with_indices = with_indices(max_pool3d)
